"""The price book of the built collector, live: a file replaced while spans flow, an address with every bad answer."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from collector_run import DISTRIBUTION, START_SECONDS, STEP_SECONDS, binary, free_port
from test_collector_binary import BOOK_FILE, _attributes, _bits, _post, _running, _Sink

from otel_tokenomics.pricebook_source.signature import new_key, sign

pytestmark = pytest.mark.collector

Answer = Callable[[BaseHTTPRequestHandler], None]
PRIVATE, PUBLIC = new_key()
STRANGER, _ = new_key()
TEXT: Final = BOOK_FILE.read_text()
#: What gpt-4o's input costs in book.json, pico-USD per token.
RATE: Final = 2_500_000
RELOADS: Final = re.compile(r"^otelcol_processor_tokenomics_book_reloads\w*\{(.*?)\} (\d+)", re.MULTILINE)


def _book(number: int, rate: int | None = None) -> bytes:
    """Return version ``number`` of the book, in which gpt-4o's input costs ``number`` pico-USD more."""
    text = TEXT.replace('"2026.11.22"', f'"2026.11.22.{number}"')
    priced = text.replace(
        f'"id": "gpt-4o", "rows": [{{"rates": {{"input": {RATE}',
        f'"id": "gpt-4o", "rows": [{{"rates": {{"input": {RATE + number if rate is None else rate}',
    )
    assert priced != text or number == 0
    return priced.encode()


def _calls(count: int) -> dict[str, Any]:
    """Return OTLP of so many calls that cost one million times gpt-4o's rate of input each."""
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.response.model": "gpt-4o"}
    pairs = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    pairs.append({"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1000000"}})
    spans = [
        {
            "traceId": f"{number + 1:032x}",
            "spanId": f"{number + 1:016x}",
            "name": "chat gpt-4o",
            "kind": 3,
            "startTimeUnixNano": "1795500000000000000",
            "endTimeUnixNano": "1795500001000000000",
            "attributes": pairs,
        }
        for number in range(count)
    ]
    return {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}


def _books(traces: dict[str, Any]) -> set[int]:
    """Return the numbers of the books of a batch; each span bears just the price of its book."""
    numbers: set[int] = set()
    for attributes in _attributes(traces):
        number = int(attributes["tokenomics.price.book"]["stringValue"].rpartition(".")[2])
        assert attributes["tokenomics.cost.total"]["doubleValue"] == _bits((RATE + number) / 1e6)
        numbers.add(number)
    return numbers


def _replace(path: Path, content: bytes) -> None:
    """Let another file take the name at once, as a Kubernetes volume does."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)


def test_a_file_is_replaced_while_spans_flow(tmp_path: Path) -> None:
    path = tmp_path / "book.json"
    _replace(path, _book(1))
    settings = {"max_age": "0", "book": {"files": [{"path": str(path), "reload_interval": "1s"}]}}
    seen: list[int] = []
    newest = 4
    with _running(tmp_path, {"processors": {"tokenomics": settings}}) as (port, sink):
        deadline = time.monotonic() + 4 * START_SECONDS
        while not seen or seen[-1] != newest:
            assert time.monotonic() < deadline, f"the books {seen} were seen"
            _post(port, _calls(20))
            books = _books(sink.wait())
            assert len(books) == 1, "two books in one batch"
            number = books.pop()
            if not seen or seen[-1] != number:
                seen.append(number)
                _replace(path, _book(min(number + 1, newest)))
    assert seen == [1, 2, 3, 4]


class _Publisher:
    """An http server of one book and its signature, or of an answer that is none; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.book, self.signature = b"", b""
        self.answer: Answer | None = None
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/book.json" and publisher.answer is not None:
                    publisher.asked.append((self.path, 0))
                    publisher.answer(self)
                    return
                content = publisher.signature if path.endswith(".sig") else publisher.book
                tag = f'"{hash(content):x}"'
                status = 304 if self.headers.get("If-None-Match") == tag else 200
                publisher.asked.append((self.path, status))
                self.send_response(status)
                self.send_header("ETag", tag)
                if status == 200:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if status == 200:
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
                """Say nothing: pytest shows what matters."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
                """A client that leaves is what some answers are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/book.json?token=hunter2"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def publish(self, content: bytes, key: bytes = PRIVATE, signed: bytes | None = None) -> None:
        self.answer = None
        self.book, self.signature = content, sign(content if signed is None else signed, key)[0].encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(START_SECONDS)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(STEP_SECONDS)
    raise AssertionError(f"the collector did not listen: {log.read_text()}")


class _Collector:
    """The collector with a book over http, and its own telemetry on a port."""

    def __init__(self, tmp_path: Path, url: str) -> None:
        self.sink, self.otlp, self._metrics = _Sink(), free_port(), free_port()
        self.log = tmp_path / "collector.log"
        reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": self._metrics}}}}
        override = tmp_path / "override.json"
        address = {
            "endpoint": url, "insecure_http": True, "timeout": "2s", "trusted_keys": [PUBLIC],
            "cache_directory": str(tmp_path / "cache"),
        }  # fmt: skip
        override.write_text(
            json.dumps(
                {
                    "processors": {"tokenomics": {"max_age": "0", "book": {"http": address}}},
                    "exporters": {"otlp_http": {"encoding": "json"}},
                    "service": {"telemetry": {"metrics": {"level": "normal", "readers": [reader]}}},
                }
            )
        )
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [binary(), "--config", str(DISTRIBUTION / "config.demo.yaml"), "--config", str(override)],
                env={
                    "PATH": os.environ["PATH"],
                    "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{self.otlp}",
                    "FORWARD_ENDPOINT": self.sink.endpoint,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def looks(self) -> dict[tuple[str, str], int]:
        """Return how often the book was looked for, by source and result; the counts begin anew with the graph."""
        connection = http.client.HTTPConnection("127.0.0.1", self._metrics, timeout=START_SECONDS)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()
        found: dict[tuple[str, str], int] = {}
        for labels, value in RELOADS.findall(text):
            named = dict(re.findall(r'(\w+)="(.*?)"', labels))
            found[named["source"], named["result"]] = int(value)
        return found

    def wait_for(self, source: str, result: str) -> dict[tuple[str, str], int]:
        deadline = time.monotonic() + START_SECONDS
        looks: dict[tuple[str, str], int] = {}
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            looks = self.looks()
            if looks.get((source, result)):
                return looks
            time.sleep(STEP_SECONDS)
        raise AssertionError(f"no {source} {result}, but {looks}: {self.log.read_text()}")

    def restart_the_graph(self) -> None:
        """Read the configuration anew, as after ``kill -HUP``."""
        graphs = self.log.read_text().count("Everything is ready")
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + START_SECONDS
        while self.log.read_text().count("Everything is ready") == graphs:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(STEP_SECONDS)

    def book(self) -> int:
        """Return the number of the book by which spans are priced now."""
        _wait_for(self.otlp, self.process, self.log)
        _post(self.otlp, _calls(5))
        (number,) = _books(self.sink.wait())
        return number

    def end(self) -> str:
        self.process.terminate()
        try:
            assert self.process.wait(START_SECONDS) == 0, self.log.read_text()
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.sink.close()
        return self.log.read_text()


@contextmanager
def _publishing() -> Generator[_Publisher]:
    publisher = _Publisher()
    try:
        yield publisher
    finally:
        publisher.close()


def _status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def _cut(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(TEXT)))
    handler.end_headers()
    handler.wfile.write(TEXT[:1000].encode())
    handler.close_connection = True


def _slow(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(400):  # a byte now and then, far beyond the timeout
        with suppress(OSError):
            handler.wfile.write(b" ")
            handler.wfile.flush()
        time.sleep(0.01)


def _huge(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(20):
        handler.wfile.write(b" " * 2**20)


def _answers(answer: Answer) -> Callable[[_Publisher], None]:
    def spoil(publisher: _Publisher) -> None:
        publisher.answer = answer

    return spoil


#: What goes wrong at the publisher, and what the collector calls it.
TROUBLES: Final[dict[str, tuple[Callable[[_Publisher], None], str]]] = {
    "too many questions": (_answers(_status(429, Retry_After="7200")), "failed"),
    "out of order": (_answers(_status(503, Retry_After="Fri, 31 Dec 9999 23:59:59 GMT")), "failed"),
    "cut off": (_answers(_cut), "failed"),
    "slow": (_answers(_slow), "failed"),
    "huge": (_answers(_huge), "failed"),
    "elsewhere": (_answers(_status(302, Location="http://localhost:1/book.json")), "failed"),
    "to a file": (_answers(_status(302, Location="file:///etc/passwd")), "failed"),
    "in a circle": (_answers(_status(302, Location="/book.json")), "failed"),
    "a stranger's signature": (lambda publisher: publisher.publish(_book(3), STRANGER), "refused"),
    "another book's signature": (lambda publisher: publisher.publish(_book(3), signed=_book(2)), "refused"),
    "an older version": (lambda publisher: publisher.publish(_book(1)), "refused"),
    "a rate that jumps": (lambda publisher: publisher.publish(_book(3, rate=99 * RATE)), "refused"),
    "no book": (lambda publisher: publisher.publish(b"<html>"), "refused"),
}


def test_a_book_over_http_through_all_troubles_of_its_publisher(tmp_path: Path) -> None:
    with _publishing() as publisher:
        publisher.publish(_book(2))
        collector = _Collector(tmp_path, publisher.url)
        try:
            collector.wait_for("http", "swapped")
            assert collector.book() == 2
            for name, (trouble, result) in TROUBLES.items():
                trouble(publisher)
                collector.restart_the_graph()
                looks = collector.wait_for("http", result)
                assert looks == {("cache", "swapped"): 1, ("http", result): 1}, name
                assert collector.book() == 2, name
            publisher.publish(_book(2))
            collector.restart_the_graph()
            collector.wait_for("http", "unchanged")
            assert publisher.asked[-1] == ("/book.json?token=hunter2", 304)
            publisher.publish(_book(5))
            collector.restart_the_graph()
            collector.wait_for("http", "swapped")
            assert collector.book() == 5
            publisher.answer = _slow
            collector.restart_the_graph()  # and the end comes while an answer trickles
        finally:
            said = collector.end()
    assert "hunter2" not in said
    assert "panic" not in said
    assert "\terror\t" not in said
    restarts = "Config updated, restart service"
    warnings = [line for line in said.splitlines() if "\twarn\t" in line and restarts not in line]
    assert len(warnings) == len(TROUBLES), said
    assert all("the last good one stays in use" in line for line in warnings)


def test_a_start_without_a_network_takes_the_copy_and_never_a_tampered_one(tmp_path: Path) -> None:
    with _publishing() as publisher:
        publisher.publish(_book(2))
        collector = _Collector(tmp_path, publisher.url)
        try:
            collector.wait_for("http", "swapped")
        finally:
            collector.end()
    collector = _Collector(tmp_path, publisher.url)
    try:
        collector.wait_for("http", "failed")
        assert collector.book() == 2
    finally:
        collector.end()
    (copy,) = (tmp_path / "cache").iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    copy.write_bytes(copy.read_bytes().replace(str(RATE + 2).encode(), b"1"))
    collector = _Collector(tmp_path, publisher.url)
    try:
        looks = collector.wait_for("http", "failed")
        assert looks["cache", "refused"] == 1
        _wait_for(collector.otlp, collector.process, collector.log)
        _post(collector.otlp, _calls(1))
        (attributes,) = _attributes(collector.sink.wait())
        assert attributes["tokenomics.price.book"]["stringValue"].startswith("otel-tokenomics@")
    finally:
        collector.end()
