"""Runs a built collector: to its end, until a block ends, or as shipped, ports and waits laid over."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
DISTRIBUTION: Final = ROOT / "collector" / "distribution"
FRAGMENTS: Final = DISTRIBUTION / "fragments"
START_SECONDS: Final = 20.0
STEP_SECONDS: Final = 0.05

Json = dict[str, Any]

#: Prices of our own, in USD per million tokens, so that what is expected can be reckoned by hand.
PRICES: Final = [{"provider": "openai", "model": "made-to-measure", "input": "100", "output": "200"}]


def binary(name: str = "demo") -> str:
    """Return the built distribution of this name; nobody shall take a skipped test for a passed one.

    ``OTELCOL_TOKENOMICS`` is the path of another one in the place of ``demo``.
    """
    folder, target = {
        "demo": ("build", "collector"),
        "wide": ("build-wide", "collector-wide"),
        "newest": ("build-newest", "collector-newest"),
    }[name]
    path = DISTRIBUTION / folder / "otelcol-tokenomics"
    if name == "demo":
        path = Path(os.environ.get("OTELCOL_TOKENOMICS", path))
    assert path.is_file(), f"{path} is not built: run `make {target}`"
    return str(path)


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Receiver:
    """An OTLP/HTTP receiver on a free port of loopback, which hands on what it is sent."""

    #: How many bytes of a request are read.
    max_body: ClassVar[int] = sys.maxsize

    def __init__(self, take: Callable[[str, bytes], None]) -> None:
        """Listen; ``take`` gets path and body of each request, in a thread of its own."""
        most = self.max_body

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                take(self.path, self.rfile.read(min(int(self.headers["Content-Length"]), most)))
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

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(START_SECONDS)


class Backend(Receiver):
    """A receiver that keeps what it is sent, by signal."""

    def __init__(self) -> None:
        """Listen on a free port of loopback."""
        self.received: defaultdict[str, list[Json]] = defaultdict(list)
        super().__init__(lambda path, body: self.received[path].append(json.loads(body)))

    def spans(self) -> list[Json]:
        """Return the spans that came, each with its attributes as a plain dict."""
        return [
            {**span, "attributes": plain(span.get("attributes", []))}
            for body in list(self.received["/v1/traces"])
            for resource in body["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def records(self) -> list[Json]:
        """Return the attributes of the log records that came."""
        return [
            plain(record.get("attributes", []))
            for body in list(self.received["/v1/logs"])
            for resource in body["resourceLogs"]
            for scope in resource["scopeLogs"]
            for record in scope["logRecords"]
        ]

    def cost(self) -> float:
        """Return the sum of the newest points of tokenomics.span.cost that came as OTLP metrics."""
        newest: dict[str, float] = {}
        for body in list(self.received["/v1/metrics"]):
            for resource in body["resourceMetrics"]:
                for metric in (m for scope in resource["scopeMetrics"] for m in scope["metrics"]):
                    if metric["name"] == "tokenomics.span.cost":
                        for point in metric["sum"]["dataPoints"]:
                            newest[json.dumps(point["attributes"], sort_keys=True)] = point["asDouble"]
        return sum(newest.values())


def plain(pairs: list[Json]) -> Json:
    """Return attributes as a dict, whole numbers as such."""
    found: Json = {}
    for pair in pairs:
        ((kind, value),) = pair["value"].items()
        found[pair["key"]] = int(value) if kind == "intValue" else value
    return found


def pairs(attributes: Json) -> Iterator[Json]:
    """Yield attributes as OTLP/JSON has them: text, or whole numbers."""
    for key, value in attributes.items():
        yield {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}


class Running:
    """A collector that runs: where it listens, and what it said."""

    def __init__(self, process: subprocess.Popen[bytes], grpc: int, http: int, scrape: int, log: Path) -> None:
        """Know the process and its ports."""
        self.process, self.grpc, self.http, self.scrape, self.log = process, grpc, http, scrape, log

    def kill(self) -> None:
        """Kill it: it cannot say goodbye."""
        self.process.kill()
        self.process.wait(START_SECONDS)

    def send(self, spans: Sequence[Json]) -> None:
        """Send spans as one OTLP request."""
        scope = {"scope": {"name": "opentelemetry.instrumentation.genai.openai"}, "spans": list(spans)}
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}
        self._post("traces", body)

    def send_event(self, scope: str, attributes: Json) -> None:
        """Send one log record of now."""
        record = {"timeUnixNano": str(time.time_ns()), "attributes": [*pairs(attributes)]}
        self._post("logs", {"resourceLogs": [{"scopeLogs": [{"scope": {"name": scope}, "logRecords": [record]}]}]})

    def _post(self, signal: str, body: Json) -> None:
        status, answer = request(self.http, "POST", f"/v1/{signal}", json.dumps(body))
        assert (status, json.loads(answer)) == (200, {"partialSuccess": {}})

    def scraped_cost(self) -> float:
        """Return the sum of the cost series that Prometheus would scrape."""
        _, text = request(self.scrape, "GET", "/metrics")
        lines = [line for line in text.splitlines() if line.startswith("tokenomics_span_cost_total{")]
        return sum(float(line.rpartition("} ")[2].split()[0]) for line in lines)


def request(port: int, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    """Make one HTTP request on loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(STEP_SECONDS)


def command(*arguments: str | Path, program: str = "demo", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a distribution that ends by itself: to validate, or on a configuration that it refuses.

    What ``config.demo.yaml`` asks of the environment is there: a free port, and nobody behind it.
    """
    demo = {"OTLP_HTTP_ENDPOINT": f"127.0.0.1:{free_port()}", "FORWARD_ENDPOINT": "http://127.0.0.1:9"}
    return subprocess.run(
        [binary(program), *map(str, arguments)],
        env={**demo, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )


@contextmanager
def started(program: str, configs: Sequence[Path], log: Path, **environment: str) -> Generator[subprocess.Popen[bytes]]:
    """Run a collector until the block ends, entered when it is ready; it must stop on request, unless it was killed."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [program, *(f"--config={path}" for path in configs)],
            env={"PATH": os.environ["PATH"], **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            until(
                lambda: process.poll() is not None or b"Everything is ready" in log.read_bytes(), "the collector starts"
            )
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            killed = process.poll() == -signal.SIGKILL
            process.terminate()
            ended = process.wait(3 * START_SECONDS)
    assert ended == 0 or killed, log.read_text(errors="replace")


def ports_and_waits(configs: Sequence[Path], grpc: int, http: int, scrape: int) -> Json:
    """Return what is laid over configurations: ports that are free, prices that are ours, short waits, JSON out."""
    merged: Json = {}
    for config in configs:
        for section, entries in yaml.safe_load(config.read_text()).items():
            merged.setdefault(section, {}).update(entries)
    over: Json = defaultdict(dict)
    listens = {"grpc": grpc, "http": http}
    protocols = merged["receivers"]["otlp"]["protocols"]
    over["receivers"] = {"otlp": {"protocols": {p: {"endpoint": f"127.0.0.1:{listens[p]}"} for p in protocols}}}
    for name in merged["processors"]:
        kind = name.partition("/")[0]
        if kind == "tokenomics":
            over["processors"][name] = {"max_age": "0", "book": {"overrides": PRICES}}
        elif kind == "tokenomics_rollup":
            over["processors"][name] = {"wait_after_root": "300ms"}
    for name in merged.get("connectors", {}):
        if name.partition("/")[0] == "tokenomics":
            over["connectors"][name] = {"flush_interval": "1s"}
    if "otlp_http" in merged["exporters"]:
        over["exporters"]["otlp_http"] = {"encoding": "json", "compression": "none"}
    if "prometheus" in merged["exporters"]:
        over["exporters"]["prometheus"] = {"endpoint": f"127.0.0.1:{scrape}"}
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": free_port()}}}}
    over["service"] = {"telemetry": {"metrics": {"readers": [reader]}}}
    return dict(over)


@contextmanager
def running(
    program: str, folder: Path, configs: Sequence[Path], more: Json | None = None, **environment: str
) -> Generator[Running]:
    """Run a collector; at its end it must stop on request and have warned of nothing, unless it was killed.

    What it keeps on disk lies in the folder, and is there again for one that runs in it later.
    """
    folder.mkdir(exist_ok=True)
    grpc, http, scrape = free_port(), free_port(), free_port()
    over, log = folder / "over.json", folder / "collector.log"
    over.write_text(json.dumps(ports_and_waits(configs, grpc, http, scrape)))
    files = [*configs, over]
    if more is not None:
        (folder / "more.json").write_text(json.dumps(more))
        files.append(folder / "more.json")
    with started(program, files, log, **{"STATE_DIRECTORY": str(folder / "state"), **environment}) as process:
        yield Running(process, grpc, http, scrape, log)
    if process.returncode == -signal.SIGKILL:
        return
    said = log.read_text()
    assert "is deprecated" not in said
    assert [line for line in said.splitlines() if "\twarn\t" in line or "\terror\t" in line] == []


def call(trace: int, number: int, given: int, made: int, model: str = "made-to-measure", parent: int = 0) -> Json:
    """Return a model call of another instrumentation: tokens and no price."""
    now = time.time_ns()
    attributes = {
        "gen_ai.operation.name": {"stringValue": "chat"},
        "gen_ai.provider.name": {"stringValue": "openai"},
        "gen_ai.request.model": {"stringValue": model},
        "gen_ai.usage.input_tokens": {"intValue": str(given)},
        "gen_ai.usage.output_tokens": {"intValue": str(made)},
    }
    span = {
        "traceId": trace_id(trace),
        "spanId": f"{number:016x}",
        "name": f"chat {model}",
        "kind": 3,
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 1_000_000),
        "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
    }
    return span | ({"parentSpanId": f"{parent:016x}"} if parent else {})


def root(trace: int) -> Json:
    """Return the root of a trace: an application's span, which is no model call."""
    span = call(trace, 1, 0, 0)
    return {**span, "name": "POST /tickets", "kind": 2, "attributes": []}


def trace_id(number: int) -> str:
    """Return a trace id that looks drawn (samplers read its bits), the same in each run."""
    return f"{(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % (1 << 128) or 1:032x}"
