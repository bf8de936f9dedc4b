"""The built collector, as people run it: spans in over OTLP/HTTP, priced spans out, bad configs refused.

The binary is that of `make collector`, or the path in OTELCOL_TOKENOMICS. Where neither is there these tests fail:
nobody shall take a skipped test for a passed one.
"""

from __future__ import annotations

import copy
import http.client
import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
DISTRIBUTION: Final = ROOT / "collector" / "distribution"
BINARY: Final = Path(os.environ.get("OTELCOL_TOKENOMICS", DISTRIBUTION / "build" / "otelcol-tokenomics"))
START_SECONDS: Final = 20.0
STEP_SECONDS: Final = 0.05
MAX_BODY: Final = 1 << 20

pytestmark = pytest.mark.collector

Json = dict[str, Any]


class _Sink:
    """An OTLP/HTTP receiver that keeps what it is sent; ``wait`` returns one request."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._bodies: list[bytes] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers["Content-Length"]), MAX_BODY))
                with sink._arrived:
                    sink._bodies.append(body)
                    sink._arrived.notify_all()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
                """Say nothing: pytest shows what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def wait(self) -> Json:
        with self._arrived:
            assert self._arrived.wait_for(lambda: self._bodies, START_SECONDS), "nothing was forwarded"
            return json.loads(self._bodies.pop(0))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(START_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _require_binary() -> str:
    assert BINARY.is_file(), f"{BINARY.name} is not built: run `make collector`"
    return str(BINARY)


def _environment(port: int, forward: str, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{port}", "FORWARD_ENDPOINT": forward, **more}


@contextmanager
def _running(tmp_path: Path, extra: Json, **environment: str) -> Generator[tuple[int, _Sink]]:
    """Run the collector with the demo's config and ``extra`` merged over it; yield its port and the sink."""
    override = tmp_path / "extra.json"
    override.write_text(json.dumps({**extra, "exporters": {"otlp_http": {"encoding": "json"}}}))
    port, sink = _free_port(), _Sink()
    log = tmp_path / "collector.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [_require_binary(), "--config", str(DISTRIBUTION / "config.demo.yaml"), "--config", str(override)],
            env=_environment(port, sink.endpoint, **environment),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for(port, process, log)
            yield port, sink
        finally:
            process.terminate()
            assert process.wait(START_SECONDS) == 0, log.read_text()
            sink.close()
    assert "is deprecated" not in log.read_text()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(STEP_SECONDS)
    raise AssertionError(f"the collector did not listen: {log.read_text()}")


def _post(port: int, body: Json) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request("POST", "/v1/traces", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert (response.status, response.read()[:200]) == (200, b'{"partialSuccess":{}}')
    finally:
        connection.close()


def _vector(name: str) -> Json:
    return json.loads((ROOT / "tests" / "vectors" / "spans" / f"{name}.json").read_text())


def _bits(value: object) -> object:
    """Doubles by their bits: equality of what is printed is not equality."""
    return struct.pack(">d", value).hex() if isinstance(value, int | float) and not isinstance(value, bool) else value


def _attributes(traces: Json) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for resource in traces["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                pairs = span.get("attributes", [])
                found.append({pair["key"]: {k: _bits(v) for k, v in pair["value"].items()} for pair in pairs})
    return found


BOOK: Final[Json] = {"max_age": "0", "book": {"files": [{"path": str(ROOT / "tests" / "vectors" / "book.json")}]}}


@pytest.mark.parametrize(
    "name", ["sdk_without_prices", "otel_openai", "openllmetry_compatible_hosts", "openinference_openai"]
)
def test_spans_are_priced_to_the_last_bit_and_only_once(tmp_path: Path, name: str) -> None:
    vector = _vector(name)
    with _running(tmp_path, {"processors": {"tokenomics": BOOK}}) as (port, sink):
        _post(port, vector["in"])
        first = sink.wait()
        assert _attributes(first) == _attributes(vector["out"])

        _post(port, first)
        assert sink.wait() == first, "a second pass changed the span"


def test_a_local_provider_is_named_by_the_environment(tmp_path: Path) -> None:
    vector = _vector("otel_openai")
    span = vector["in"]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    for pair in span["attributes"]:
        if pair["key"] == "server.address":
            pair["value"] = {"stringValue": "127.0.0.1"}
    span["attributes"].append({"key": "server.port", "value": {"intValue": "8001"}})
    unnamed = copy.deepcopy(vector["in"])
    with _running(tmp_path, {"processors": {"tokenomics": BOOK}}, TOKENOMICS_ENDPOINTS='["127.0.0.1:8001=openai"]') as (
        port,
        sink,
    ):
        _post(port, vector["in"])
        named = _attributes(sink.wait())[0]
    with _running(tmp_path, {"processors": {"tokenomics": BOOK}}) as (port, sink):
        _post(port, unnamed)
        assumed = _attributes(sink.wait())[0]
    # 600 x 2500000 + 400 x 1250000 + 500 x 10000000 pico.
    assert named["tokenomics.cost.total"] == assumed["tokenomics.cost.total"] == {"doubleValue": _bits(0.007)}
    assert "tokenomics.cost.flags" not in named
    assert json.dumps(assumed["tokenomics.cost.flags"]).count("assumed_provider") == 1


def test_the_default_config_is_valid_without_a_warning() -> None:
    done = subprocess.run(
        [_require_binary(), "validate", "--config", str(DISTRIBUTION / "config.yaml")],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("settings", "quoted"),
    [
        ({"on_exist": "verify"}, "on_exist"),
        ({"on_existing": "sometimes"}, '"on_existing" must be verify, keep or overwrite, got "sometimes"'),
        ({"dialects": ["semconv443"]}, '"dialects" holds an unknown dialect, got "semconv443"'),
        ({"endpoints": ["127.0.0.1:99999999=openai"]}, '"endpoints" holds an entry that is no rule'),
        ({"book": {"files": [{"path": ""}]}}, '"book::files::path" must be set'),
        ({"book": {"overrides": [{"provider": "openai", "model": "m", "inputs": "1"}]}}, "inputs"),
        ({"book": {"overrides": [{"provider": "openai", "model": "m", "input": "-1"}]}}, '"book::overrides"'),
    ],
)
def test_a_bad_config_is_refused_and_quoted(tmp_path: Path, settings: Json, quoted: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"processors": {"tokenomics": settings}}))
    done = subprocess.run(
        [_require_binary(), "--config", str(DISTRIBUTION / "config.demo.yaml"), "--config", str(bad)],
        env=_environment(_free_port(), "http://127.0.0.1:9"),
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    assert done.returncode == 1
    assert quoted in done.stderr


def test_a_refused_price_book_keeps_the_collector_from_starting(tmp_path: Path) -> None:
    book = tmp_path / "book.json"
    book.write_text('{"schema":"otel-tokenomics/pricebook/1","surprise":1}')
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"processors": {"tokenomics": {"book": {"files": [{"path": str(book)}]}}}}))
    done = subprocess.run(
        [_require_binary(), "--config", str(DISTRIBUTION / "config.demo.yaml"), "--config", str(bad)],
        env=_environment(_free_port(), "http://127.0.0.1:9"),
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    assert done.returncode == 1
    assert str(book) in done.stderr
    assert "surprise" in done.stderr
