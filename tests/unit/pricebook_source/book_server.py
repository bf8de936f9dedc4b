"""A real https server on 127.0.0.1 that publishes price books, and every answer that is none."""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
import http.server
import ipaddress
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from otel_tokenomics.config import Settings
from otel_tokenomics.pricebook_source import PriceBookSource
from otel_tokenomics.pricebook_source.signature import new_key, sign
from otel_tokenomics.pricing import PriceBook

VECTORS = Path(__file__).parents[2] / "vectors"
FROZEN: dict[str, Any] = json.loads((VECTORS / "book.json").read_text(encoding="utf-8"))
PRIVATE, PUBLIC = new_key()
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def book(day: int = 22, **changes: Any) -> bytes:
    made = {"version": f"2026.11.{day}", "generated_at": f"2026-11-{day}T05:00:00Z", **changes}
    return json.dumps({**copy.deepcopy(FROZEN), **made}).encode()


def named(subject: str, public: Any, issuer: x509.Name, key: Any, *, authority: bool) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )


class Server(http.server.ThreadingHTTPServer):
    """Answers by path: bytes, or a function that writes the answer; keeps what was asked."""

    daemon_threads = False

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.paths: dict[str, bytes | Answer] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"https://127.0.0.1:{self.server_port}/book.json"

    def publish(self, content: bytes, *, signed: bool = True) -> None:
        self.paths["/book.json"] = content
        if signed:
            self.paths["/book.json.sig"] = sign(content, PRIVATE)[0].encode()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is what some tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("If-None-Match")))
        found = self.server.paths.get(self.path.partition("?")[0])
        if found is None:
            self.send_error(404)
        elif callable(found):
            found(self)
        else:
            etag = f'"{hashlib.sha256(found).hexdigest()[:8]}"'
            if self.headers.get("If-None-Match") == etag:
                self.send_response(304)
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


def signed_by_us(server: Server, **more: Any) -> Settings:
    return Settings(pricebook_url=server.url, pricebook_public_key=PUBLIC, **more)


def configured(source: Any, settings: Settings) -> PriceBook:
    """Configure a source, or the process's own; return the book that is in use then."""
    source.configure(settings)
    return source.current()


def updated(settings: Settings) -> PriceBookSource:
    made = PriceBookSource()
    made.configure(settings)
    made.refresh(settings)
    return made


def cut(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(book(23))))
    handler.end_headers()
    handler.wfile.write(book(23)[:1000])
    handler.close_connection = True


def cut_in_a_chunk(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n%s" % (len(book(23)), book(23)[:1000]))
    handler.close_connection = True


def endless_head(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    for number in range(1000):
        handler.send_header(f"X-{number}", "x")
    handler.end_headers()


def slow(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:  # a byte now and then keeps every timeout of a socket from acting
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.02)


def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65_536)


def stated_too_large(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "99999999999")
    handler.end_headers()


def to(address: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", address)
        handler.end_headers()

    return answer


def silent(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def unasked_304(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(304)
    handler.end_headers()


OTHER_PRIVATE, OTHER_PUBLIC = new_key()
NO_BOOK: dict[str, tuple[bytes | Answer, str]] = {
    "cut off": (cut, "cut off after 1000 of"),
    "cut off in a chunk": (cut_in_a_chunk, "IncompleteRead"),
    "a thousand headers": (endless_head, "got more than 100 headers"),
    "slow": (slow, "took longer than"),
    "endless": (endless, "is larger than"),
    "stated too large": (stated_too_large, "is larger than"),
    "redirect to http": (to("http://127.0.0.1:1/book.json"), "redirects to an address that is not https"),
    "redirect to a file": (to("file:///etc/passwd"), "answered 302"),
    "redirect in a circle": (to("/book.json"), "answered 302"),
    "no answer": (silent, "cannot be fetched"),
    "304 for nothing": (unasked_304, "answered 304"),
    "broken JSON": (b"{", "is no JSON"),
    "no UTF-8": (b"\xff\xfe", "is no UTF-8"),
    "older": (book(21), "version: must not go back behind"),
    "half of the models lost": (book(23, models=FROZEN["models"][:5]), "models: must be at least half as many"),
    "another currency": (book(23, currency="EUR"), 'currency: must be "USD", is "EUR"'),
}


def spoil(server: Server, answer: bytes | Answer) -> None:
    server.paths["/book.json"] = answer
    if isinstance(answer, bytes):
        server.paths["/book.json.sig"] = sign(answer, PRIVATE)[0].encode()
