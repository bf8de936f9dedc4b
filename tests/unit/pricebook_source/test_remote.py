"""A newer book over https: taken where it is whole, signed or pinned, and newer; else the last good one stays.

The server is a real one on 127.0.0.1, with a certificate of an authority made for the test.
"""

from __future__ import annotations

import base64
import copy
import datetime as dt
import hashlib
import http.server
import ipaddress
import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_tokenomics as tk
from otel_tokenomics import pricebook_source
from otel_tokenomics.cli.main import main
from otel_tokenomics.config import Settings
from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source import PriceBookSource, files, last_good, remote, source
from otel_tokenomics.pricebook_source.last_good import LastGood
from otel_tokenomics.pricebook_source.signature import new_key, sign
from otel_tokenomics.pricing import load_embedded

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


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the authority's file and the server's (certificate and key)."""
    folder = tmp_path_factory.mktemp("tls")
    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    authority = named("test authority", root.public_key(), issuer, root, authority=True)
    leaf = named("127.0.0.1", own.public_key(), issuer, root, authority=False)
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(
        leaf.public_bytes(serialization.Encoding.PEM) + own.private_bytes(serialization.Encoding.PEM, *plain)
    )
    return folder / "ca.pem", folder / "server.pem"


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


@pytest.fixture
def server(certificates: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")
    running = Server(certificates[1])
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def signed_by_us(server: Server, **more: Any) -> Settings:
    return Settings(pricebook_url=server.url, pricebook_public_key=PUBLIC, **more)


def updated(settings: Settings) -> PriceBookSource:
    made = PriceBookSource()
    made.configure(settings)
    made.refresh(settings)
    return made


def test_a_signed_book_is_taken_and_kept_for_the_next_start(server: Server) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    first = PriceBookSource()
    assert first.configure(settings) is load_embedded()  # configuring fetches nothing
    assert server.asked == []
    assert first.refresh(settings).id == "vectors@2026.11.22"
    assert first.current().id == "vectors@2026.11.22"
    server.paths.clear()
    server.asked.clear()
    assert PriceBookSource().configure(settings).id == "vectors@2026.11.22"
    assert server.asked == []


def test_a_pinned_digest_needs_no_key_and_no_signature(server: Server) -> None:
    server.publish(book(), signed=False)
    pinned = Settings(pricebook_url=server.url, pricebook_sha256=hashlib.sha256(book()).hexdigest())
    assert updated(pinned).current().id == "vectors@2026.11.22"
    assert [path for path, _ in server.asked] == ["/book.json"]


def test_what_has_not_changed_is_not_sent_again(server: Server) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    made = updated(settings)
    etag = f'"{hashlib.sha256(book()).hexdigest()[:8]}"'
    server.asked.clear()
    before = made.current()
    assert made.refresh(settings).id == before.id
    # The signature is asked for without a tag: the publisher may have changed the key.
    assert server.asked == [("/book.json", etag), ("/book.json.sig", None)]
    server.publish(book(23))
    assert made.refresh(settings).id == "vectors@2026.11.23"


def test_an_overlay_lies_on_what_was_fetched(server: Server, tmp_path: Path) -> None:
    server.publish(book())
    overlay = tmp_path / "own.json"
    overlay.write_text('{"discounts": [{"p": "openai", "ratio": [1, 2]}]}')
    made = updated(signed_by_us(server, pricebook_overrides=str(overlay)))
    assert made.current().id.startswith("vectors@2026.11.22+")


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
    "older": (book(21), "version: 2026.11.21 goes back behind 2026.11.22"),
    "half of the models lost": (book(23, models=FROZEN["models"][:5]), "models: has 5 models"),
    "another currency": (book(23, currency="EUR"), "currency: must be 'USD'"),
}


def spoil(server: Server, answer: bytes | Answer) -> None:
    server.paths["/book.json"] = answer
    if isinstance(answer, bytes):
        server.paths["/book.json.sig"] = sign(answer, PRIVATE)[0].encode()


@pytest.mark.parametrize("case", NO_BOOK)
def test_what_is_no_newer_book_changes_nothing(server: Server, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, words = NO_BOOK[case]
    server.publish(book())
    settings = signed_by_us(server)
    made = updated(settings)
    before = made.current()
    # A tag is sent only with a copy: this answer has none, so that 304 is no answer to it either.
    if case == "304 for nothing":
        for kept in Path(LastGood(settings).folder or "").glob("*.json"):
            kept.unlink()
    spoil(server, answer)
    monkeypatch.setattr(files, "LARGEST_FILE", 300_000)
    if answer is slow:
        monkeypatch.setattr(remote, "TIMEOUT_S", 0.3)
    with pytest.raises(PriceBookError, match=r"book\.json") as refused:
        made.refresh(settings)
    assert words in str(refused.value)
    assert made.current() is before
    if case != "304 for nothing":
        assert PriceBookSource().configure(settings).id == before.id


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (sign(book(23), OTHER_PRIVATE)[0].encode(), "the signature is none of pricebook_public_key"),
        (sign(book(22), PRIVATE)[0].encode(), "the signature is none of pricebook_public_key"),
        (b"not base64!", "is no Ed25519 signature"),
        (b"", "is no Ed25519 signature"),
        (b"A" * 100_000, "is larger than 4096 bytes"),
        (None, "book.json.sig: answered 404"),
    ],
)
def test_a_book_that_somebody_else_signed_or_nobody(server: Server, signature: bytes | None, words: str) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    made = updated(settings)
    server.paths["/book.json"] = book(23)
    if signature is None:
        del server.paths["/book.json.sig"]
    else:
        server.paths["/book.json.sig"] = signature
    with pytest.raises(PriceBookError) as refused:
        made.refresh(settings)
    assert words in str(refused.value)
    assert made.current().id == "vectors@2026.11.22"


def test_another_digest_or_version_than_the_pinned_one(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.publish(book(23))
    pinned = Settings(pricebook_url=server.url, pricebook_sha256=hashlib.sha256(book(22)).hexdigest())
    made = PriceBookSource()
    made.configure(pinned)
    assert not caplog.records
    with pytest.raises(PriceBookError, match="sha256 is"):
        made.refresh(pinned)
    by_version = signed_by_us(server, pricebook_version="2026.11.22")
    made.configure(by_version)
    assert not caplog.records  # the pinned one has not been fetched yet: that is no fault
    with pytest.raises(PriceBookError, match=r"is 2026\.11\.23, pricebook_version pins 2026\.11\.22"):
        made.refresh(by_version)
    assert made.current() is load_embedded()


def test_a_version_that_is_pinned_may_be_an_older_one(server: Server) -> None:
    server.publish(book(23))
    made = updated(signed_by_us(server))
    server.publish(book(22))
    pinned = signed_by_us(server, pricebook_version="2026.11.22")
    made.configure(pinned)
    assert made.refresh(pinned).version == "2026.11.22"


def test_the_first_fetch_does_not_go_back_behind_the_package(server: Server, tmp_path: Path) -> None:
    text = (Path(source.__file__).parents[1] / "pricing" / "pricebook.json").read_text(encoding="utf-8")
    version = load_embedded().version
    older = text.replace(f'"version":"{version}"', '"version":"2026.01.01"', 1).encode()
    server.publish(older)
    with pytest.raises(PriceBookError, match=r"version: 2026\.01\.01 goes back behind"):
        updated(signed_by_us(server))


def test_an_authority_that_nobody_knows(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.publish(book())
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(PriceBookError, match="certificate is not trusted"):
        updated(signed_by_us(server))


def test_nobody_there(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{taken.getsockname()[1]}/book.json?token=secret"
        with pytest.raises(PriceBookError, match="refused") as refused:
            updated(Settings(pricebook_url=url, pricebook_public_key=PUBLIC))
    assert "secret" not in str(refused.value)


def test_a_redirect_within_https_is_followed_and_a_query_stays(server: Server) -> None:
    server.publish(book())
    server.paths |= {"/latest.json": to("/book.json?a=1"), "/latest.json.sig": to("/book.json.sig")}
    url = server.url.replace("book.json", "latest.json?token=x")
    made = updated(Settings(pricebook_url=url, pricebook_public_key=PUBLIC))
    assert made.current().id == "vectors@2026.11.22"
    assert ("/latest.json.sig?token=x", None) in server.asked
    assert made.address == url.partition("?")[0]


def test_a_damaged_copy_is_no_copy(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    path = Path(updated(settings).origin)
    path.write_bytes(path.read_bytes().replace(b"2500000", b"2500001", 1))
    assert PriceBookSource().configure(settings) is load_embedded()
    server.asked.clear()
    assert updated(settings).current().id == "vectors@2026.11.22"
    assert server.asked[0] == ("/book.json", None)


def test_a_copy_is_checked_again_whenever_it_is_read(server: Server) -> None:
    other = Settings(pricebook_url=server.url, pricebook_public_key=OTHER_PUBLIC)
    LastGood(other).keep(book(), None, sign(book(), PRIVATE)[0], time.time())
    assert PriceBookSource().configure(other) is load_embedded()
    LastGood(other).keep(book(), None, sign(book(), OTHER_PRIVATE)[0], time.time())
    assert PriceBookSource().configure(other).id == "vectors@2026.11.22"


def test_services_with_other_pins_do_not_take_each_others_copy(server: Server) -> None:
    server.publish(book())
    pinned = signed_by_us(server, pricebook_version="2026.11.22")
    updated(pinned)
    server.publish(book(23))
    assert updated(signed_by_us(server)).current().version == "2026.11.23"
    assert PriceBookSource().configure(pinned).version == "2026.11.22"


@pytest.mark.parametrize("spoilt", ["[]", "{", '{"sha256": 7}', '{"sha256": "../../etc/passwd"}', "null", "[" * 90_000])
def test_a_state_that_cannot_be_read_is_none(server: Server, spoilt: str) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    (Path(updated(settings).origin).parent / "state.json").write_text(spoilt)
    assert PriceBookSource().configure(settings) is load_embedded()
    assert updated(settings).current().id == "vectors@2026.11.22"


def test_one_copy_is_kept_and_no_leftover(server: Server) -> None:
    settings = signed_by_us(server)
    server.publish(book())
    made = updated(settings)
    server.publish(book(23))
    made.refresh(settings)
    digest = hashlib.sha256(book(23)).hexdigest()
    folder = Path(made.origin).parent
    assert sorted(path.name for path in folder.iterdir()) == sorted([f"{digest}.json", "state.json"])
    assert folder.stat().st_mode & 0o077 == 0


def test_a_cache_that_cannot_be_written_costs_the_copy_alone(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    server.publish(book())
    settings = signed_by_us(server)
    made = updated(settings)
    assert made.current().id == "vectors@2026.11.22"
    # In this process what is in memory is the last good one, also once settings change.
    assert made.configure(signed_by_us(server, metric_tags=())).id == "vectors@2026.11.22"


def test_a_user_without_a_home(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    server.publish(book())
    assert updated(signed_by_us(server)).current().id == "vectors@2026.11.22"


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {}, "~/.cache"),
        ("linux", {"XDG_CACHE_HOME": "/var/x"}, "/var/x"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "~/.cache"),
        ("darwin", {"XDG_CACHE_HOME": "/var/x"}, "~/Library/Caches"),
        ("win32", {"LOCALAPPDATA": "/c/local"}, "/c/local"),
        ("win32", {}, "~/AppData/Local"),
    ],
)
def test_the_folder_is_the_platforms(
    platform: str, environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert last_good.cache_folder() == Path(folder).expanduser()


def test_a_key_that_is_none(server: Server) -> None:
    server.publish(book())
    for key in ("x", base64.b64encode(b"1" * 31).decode(), PUBLIC + "AAAA", "é"):
        with pytest.raises(PriceBookError, match="pricebook_public_key: is no Ed25519 key"):
            updated(Settings(pricebook_url=server.url, pricebook_public_key=key))


def test_without_the_package_for_signatures_the_way_out_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(book())
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PriceBookError, match=r"pip install 'otel-tokenomics\[signing\]'"):
        updated(signed_by_us(server))


def test_a_signed_file(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "book.json"
    path.write_bytes(book())
    settings = Settings(pricebook_url=path.as_uri(), pricebook_public_key=PUBLIC)
    assert PriceBookSource().configure(settings) is load_embedded()
    assert "book.json.sig: cannot be read" in caplog.text
    (tmp_path / "book.json.sig").write_text(sign(book(), PRIVATE)[0] + "\n")
    assert PriceBookSource().configure(settings).id == "vectors@2026.11.22"


# --- the thread ---------------------------------------------------------------------------------


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Iterator[PriceBookSource]:
    """A source whose thread looks again at once; stopped and waited for."""
    monkeypatch.setattr(source, "INTERVAL_S", 0.0)
    monkeypatch.setattr(source, "JITTER_S", 1)
    made, owner = PriceBookSource(), object.__new__(Owner)
    made.owner = owner  # type: ignore[attr-defined]
    yield made
    thread = made._thread
    made.stop(owner)
    if thread is not None:
        thread.join()


class Owner:
    """Something that wants a fresh book."""


def wait_for(met: Callable[[], bool]) -> None:
    for _ in range(1000):
        if met():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def start(made: PriceBookSource, settings: Settings) -> None:
    made.configure(settings)
    made.start(made.owner)  # type: ignore[attr-defined]


def test_the_thread_takes_each_newer_book(server: Server, looking: PriceBookSource) -> None:
    server.publish(book())
    start(looking, signed_by_us(server))
    wait_for(lambda: looking.current().version == "2026.11.22")
    server.publish(book(23))
    wait_for(lambda: looking.current().version == "2026.11.23")


@pytest.mark.parametrize("case", [case for case in NO_BOOK if case != "304 for nothing"])
def test_a_failure_is_one_warning_until_the_next_success(
    server: Server,
    looking: PriceBookSource,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    monkeypatch.setattr(files, "LARGEST_FILE", 300_000)
    monkeypatch.setattr(remote, "TIMEOUT_S", 0.3 if case == "slow" else 5.0)
    server.publish(book())
    start(looking, signed_by_us(server))
    wait_for(lambda: looking.current().version == "2026.11.22")
    spoil(server, NO_BOOK[case][0])
    before = len(server.asked)
    wait_for(lambda: len(server.asked) > before + 6)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "vectors@2026.11.22 stays in use" in warned[0]
    # Where the thread asked between the two files that were spoilt, their signature does not fit.
    assert NO_BOOK[case][1] in warned[0] or "the signature is none of" in warned[0]
    # The age goes on with the book that serves.
    assert looking.current().generated_at_ms == int(dt.datetime(2026, 11, 22, 5, tzinfo=dt.UTC).timestamp()) * 1000
    server.publish(book(24))
    wait_for(lambda: looking.current().version == "2026.11.24")
    server.paths["/book.json"] = b"{"
    wait_for(lambda: len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2)


def test_whatever_breaks_the_thread_lives(
    server: Server, looking: PriceBookSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("content of somebody")

    server.publish(book())
    with monkeypatch.context() as patched:
        patched.setattr(remote, "fetch", broken)
        start(looking, signed_by_us(server))
        wait_for(lambda: "KeyError" in caplog.text)
    assert "content of somebody" not in caplog.text
    wait_for(lambda: looking.current().version == "2026.11.22")


def test_processes_of_one_user_ask_once_an_hour_together(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    updated(settings)
    asked = len(server.asked)
    # Another process, or the same one started anew: it takes the copy and asks nobody.
    second = PriceBookSource()
    second.configure(settings)
    assert (second._round(settings) or 0) > source.INTERVAL_S - 60
    assert second.current().version == "2026.11.22"
    # What a third one fetched meanwhile is taken from the disk.
    content = book(23)
    LastGood(settings).keep(content, None, sign(content, PRIVATE)[0], time.time())
    second._round(settings)
    assert second.current().version == "2026.11.23"
    assert len(server.asked) == asked
    # An hour later, or where the clock was set back, it is asked again.
    server.publish(book(24))
    for checked in (time.time() - source.INTERVAL_S - 1, time.time() + 86_400):
        LastGood(settings).note_check(checked)
        second._round(settings)
    assert second.current().version == "2026.11.24"
    assert len(server.asked) == asked + 4


def test_a_failed_fetch_counts_as_asked(server: Server) -> None:
    settings = signed_by_us(server)
    made = PriceBookSource()
    made.configure(settings)
    with pytest.raises(PriceBookError, match="answered 404"):
        made._round(settings)
    assert (made._round(settings) or 0) > 0
    assert len(server.asked) == 1


def test_a_pinned_book_that_is_there_is_not_asked_for_again(server: Server, looking: PriceBookSource) -> None:
    server.publish(book(), signed=False)
    start(looking, Settings(pricebook_url=server.url, pricebook_sha256=hashlib.sha256(book()).hexdigest()))
    wait_for(lambda: looking._thread is not None and not looking._thread.is_alive())
    assert looking.current().version == "2026.11.22"
    assert len(server.asked) == 1


def test_a_file_is_read_again_when_it_changed(
    tmp_path: Path, looking: PriceBookSource, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "book.json"
    path.write_bytes(book())
    start(looking, Settings(pricebook_url=path.as_uri()))
    path.write_bytes(book(23) + b" ")
    wait_for(lambda: looking.current().version == "2026.11.23")
    path.unlink()
    wait_for(lambda: "cannot be read" in caplog.text)
    assert looking.current().version == "2026.11.23"


def test_other_settings_end_what_the_earlier_ones_began(server: Server, looking: PriceBookSource) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    start(looking, settings)
    wait_for(lambda: looking.current().version == "2026.11.22")
    thread = looking._thread
    assert looking.configure(Settings()) is load_embedded()
    assert looking._thread is None
    assert thread is not None
    thread.join()
    # A fetch that was under way when the settings changed is dropped.
    assert looking.refresh(settings) is load_embedded()


def test_an_owner_that_is_dropped_ends_it_and_another_begins_anew(server: Server, looking: PriceBookSource) -> None:
    server.publish(book())
    dropped = Owner()
    looking.configure(signed_by_us(server))
    looking.start(dropped)
    wait_for(lambda: looking.current().version == "2026.11.22")
    del dropped
    thread = looking._thread
    assert thread is not None
    thread.join(timeout=10)
    assert not thread.is_alive()
    looking.start(looking.owner)  # type: ignore[attr-defined]
    server.publish(book(23))
    wait_for(lambda: looking.current().version == "2026.11.23")


def test_off_without_an_address_and_before_somebody_asks(server: Server) -> None:
    made, owner = PriceBookSource(), Owner()
    made.configure(Settings())
    made.start(owner)
    assert made._thread is None
    server.publish(book())
    other = PriceBookSource()
    other.configure(signed_by_us(server))
    assert other._thread is None
    assert server.asked == []


def test_it_runs_from_instrument_to_uninstrument(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.publish(book())
    tk.instrument(libraries=[], pricebook_url=server.url, pricebook_public_key=PUBLIC)
    thread = pricebook_source._process._thread
    try:
        assert thread is not None
        assert thread.daemon
        wait_for(lambda: pricebook_source.current().version == "2026.11.22")
    finally:
        tk.uninstrument()
        pricebook_source.configure(Settings())
    assert thread is not None
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert pricebook_source._process._thread is None


def test_the_exporter_looks_until_its_shutdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "book.json"
    path.write_bytes(book())
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_URL", path.as_uri())
    exporter = tk.PricingSpanExporter(InMemorySpanExporter())
    thread = pricebook_source._process._thread
    try:
        assert thread is not None
        assert thread.is_alive()
        assert pricebook_source.current().version == "2026.11.22"
    finally:
        exporter.shutdown()
        pricebook_source.configure(Settings())
    assert thread is not None
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_an_old_book_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "book.json"
    made = PriceBookSource()
    with caplog.at_level(logging.INFO):
        for days, fresh, times in ((14, PriceBookSource(), 0), (15, made, 1)):
            # An hour is added so that a slow machine does not cross the line.
            at = dt.datetime.now(dt.UTC) - dt.timedelta(days=days) + dt.timedelta(hours=1)
            path.write_bytes(book(generated_at=at.strftime("%Y-%m-%dT%H:%M:%SZ")))
            for _ in range(2):
                fresh.configure(Settings(pricebook_url=path.as_uri()))
            assert caplog.text.count("days old") == times
    (told,) = [record for record in caplog.records if "days old" in record.getMessage()]
    assert told.levelno == logging.INFO
    assert "vectors@2026.11.22 is 14 days old" in told.getMessage()


FORKED = """
import os, signal, sys, threading
from otel_tokenomics import pricebook_source
from otel_tokenomics.config import Settings
class Owner: pass
owner = Owner()
source = pricebook_source._process
source.configure(Settings.resolve())
pricebook_source.keep_fresh(owner)
before = source._thread
with source._lock, source._stop._cond:  # held by another thread at the moment of the fork, for all that the child knows
    child = os.fork()
    if not child:
        signal.alarm(10)
        pricebook_source.configure(Settings.resolve())
        fresh = source._thread is not before and source._thread.is_alive()
        pricebook_source.rest(owner)
        os._exit(0 if fresh and source._thread is None else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_looks_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "book.json"
    path.write_bytes(book())
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, check=False, timeout=60,
        env={"OTEL_TOKENOMICS_PRICEBOOK_URL": path.as_uri(), "PATH": ""},
    )  # fmt: skip
    assert done.stdout.strip() == "0", done.stderr


def test_an_import_starts_nothing_and_loads_nothing_that_fetches() -> None:
    script = (
        "import sys, threading, otel_tokenomics.pricebook_source as p; p.current();"
        "loaded = ('cryptography', p.__name__ + '.remote', p.__name__ + '.signature');"
        "print(threading.active_count(), [m for m in loaded if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "1 []"


# --- the commands -------------------------------------------------------------------------------


def test_keys_sign_and_update(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, file, taken = tmp_path / "key.pem", tmp_path / "book.json", tmp_path / "taken.json"
    file.write_bytes(book())
    assert main(["book", "keys", str(key), "--json"]) == 0
    public = json.loads(capsys.readouterr().out)["public_key"]
    assert key.stat().st_mode & 0o077 == 0
    assert main(["book", "keys", str(key)]) == 2
    assert "is not overwritten" in capsys.readouterr().err
    assert main(["book", "sign", str(file), "--key", str(key), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["public_key"] == public
    server.paths = {"/book.json": file.read_bytes(), "/book.json.sig": (tmp_path / "book.json.sig").read_bytes()}
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_URL", server.url)
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_PUBLIC_KEY", public)
    assert main(["book", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["price_book"] == load_embedded().id
    assert main(["book", "update", "--output", str(taken)]) == 0
    assert capsys.readouterr().out.startswith(f"{load_embedded().id} -> vectors@2026.11.22\n")
    assert taken.read_bytes() == book()
    assert main(["book", "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["price_book"], shown["address"]) == ("vectors@2026.11.22", server.url)
    assert shown["sha256"] == hashlib.sha256(book()).hexdigest()
    assert main(["book", "update"]) == 0
    assert "vectors@2026.11.22: nothing newer" in capsys.readouterr().out
    server.paths["/book.json"] = b"{"
    assert main(["book", "update"]) == 2
    assert "the signature is none of" in capsys.readouterr().err


def test_sign_refuses_a_broken_book_and_a_key_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, key = tmp_path / "book.json", tmp_path / "key.pem"
    key.write_bytes(PRIVATE)
    file.write_bytes(book(currency="EUR"))
    assert main(["book", "sign", str(file), "--key", str(key)]) == 2
    assert "currency: must be 'USD'" in capsys.readouterr().err
    assert not (tmp_path / "book.json.sig").exists()
    file.write_bytes(book())
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    elliptic = ec.generate_private_key(ec.SECP256R1()).private_bytes(serialization.Encoding.PEM, *plain)
    for wrong in (b"no key", elliptic):
        key.write_bytes(wrong)
        assert main(["book", "sign", str(file), "--key", str(key)]) == 2
        assert "is no Ed25519 key" in capsys.readouterr().err


def test_update_without_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["book", "update"]) == 2
    assert "OTEL_TOKENOMICS_PRICEBOOK_URL" in capsys.readouterr().err
