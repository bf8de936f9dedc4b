"""What our components cost a whole collector: CPU per span with and without them, side by side in one run.

The real binary gets the same OTLP batches in every arrangement: 1,000 spans in traces of 20, 20 attributes on each, one
of twenty a model call. The collectors run at the same time and are fed in turn, in short rounds whose order changes;
CPU is what /proc says that its threads took. Of each round the ratio to the arrangement without us is kept; printed
are the medians and their quartiles. ``--json FILE`` also writes them for the page.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTION = ROOT / "collector" / "distribution"
BINARY = Path(os.environ.get("OTELCOL_TOKENOMICS", DISTRIBUTION / "build" / "otelcol-tokenomics"))
SPANS, PER_TRACE, ATTRIBUTES, STEP = 1000, 20, 20, 20
PAYLOADS, START_SECONDS = 40, 30.0
NAMES = (
    *("http.request.method", "http.response.status_code", "http.route", "url.path", "url.scheme"),
    *("user_agent.original", "server.address", "server.port", "client.address", "network.protocol.version"),
    *("thread.id", "thread.name", "db.system.name", "db.operation.name", "db.collection.name"),
    *("code.function.name", "code.file.path", "messaging.system", "session.id", "enduser.id"),
)


def pair(key: str, value: str | int) -> KeyValue:
    return KeyValue(
        key=key, value=AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value)
    )


def payload(number: int) -> bytes:
    """One batch whose traces no other batch has."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.append(pair("service.name", "shop"))
    scope = resource.scope_spans.add()
    scope.scope.name = "opentelemetry.instrumentation.genai.openai"
    for index in range(SPANS):
        trace, place = divmod(index, PER_TRACE)
        span = scope.spans.add(
            trace_id=(number * SPANS + trace + 1).to_bytes(16),
            span_id=(index + 1).to_bytes(8),
            parent_span_id=b"" if place == 0 else (index - place + 1).to_bytes(8),
            name="GET /basket",
            kind=3,
            start_time_unix_nano=1_795_341_600_000_000_000,
            end_time_unix_nano=1_795_341_600_100_000_000,
        )
        span.attributes.extend(pair(name, f"{name[:12]} {index % 7}") for name in NAMES[:ATTRIBUTES])
        if index % STEP == STEP - 1:
            span.attributes.extend(
                [
                    pair("gen_ai.operation.name", "chat"),
                    pair("gen_ai.provider.name", "openai"),
                    pair("gen_ai.request.model", "gpt-4o"),
                    pair("gen_ai.response.model", "gpt-4o"),
                    pair("gen_ai.response.id", f"resp_{number}_{index}"),
                    pair("gen_ai.usage.input_tokens", 1000 + index),
                    pair("gen_ai.usage.output_tokens", 500),
                ]
            )
    return request.SerializeToString()


class Sink:
    """An OTLP/HTTP receiver that takes everything and keeps nothing."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                left = int(self.headers["Content-Length"])
                while left > 0:
                    left -= len(self.rfile.read(min(left, 1 << 20)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pipeline(processors: list[str], exporter: str = "nop") -> dict[str, Any]:
    """A configuration of one pipeline; every component in it stands with its defaults."""
    limiter = {"check_interval": "1s", "limit_percentage": 75, "spike_limit_percentage": 15}
    settings = {"memory_limiter": limiter}
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": "${env:OTLP_HTTP_ENDPOINT}"}}}},
        "processors": {name: settings.get(name, {}) for name in processors},
        "exporters": {exporter: {}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "processors": processors, "exporters": [exporter]}},
        },
    }


def shipped(name: str, *, ours: bool) -> list[dict[str, Any] | Path]:
    """A configuration as it is shipped, on other ports; without our components where they are not wanted."""
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": free_port()}}}}
    ports: dict[str, Any] = {
        "receivers": {
            "otlp": {
                "protocols": {
                    "http": {"endpoint": "${env:OTLP_HTTP_ENDPOINT}"},
                    "grpc": {"endpoint": f"127.0.0.1:{free_port()}"},
                }
            }
        },
        "service": {"telemetry": {"metrics": {"readers": [reader]}, "logs": {"level": "warn"}}},
    }
    if "prometheus" in (DISTRIBUTION / name).read_text().partition("exporters:")[2].partition("service:")[0]:
        ports["exporters"] = {"prometheus": {"endpoint": f"127.0.0.1:{free_port()}"}}
    if not ours:
        bare = {"receivers": ["otlp"], "processors": ["memory_limiter"], "exporters": ["otlp_http"]}
        ports["service"]["pipelines"] = {"traces": bare, "logs": bare}
        if "exporters" in ports:
            ports["service"]["pipelines"]["metrics"] = {"receivers": ["otlp"], "exporters": ["prometheus"]}
    return [DISTRIBUTION / name, ports]


class Collector:
    """A running collector, fed with batches one after the other."""

    def __init__(self, configs: list[dict[str, Any] | Path], sink: str, folder: Path) -> None:
        arguments = [str(BINARY)]
        for number, config in enumerate(configs):
            if isinstance(config, dict):
                (folder / f"{number}.json").write_text(json.dumps(config))
                config = folder / f"{number}.json"
            arguments += ["--config", str(config)]
        port = free_port()
        environment = {"OTLP_HTTP_ENDPOINT": f"127.0.0.1:{port}", "FORWARD_ENDPOINT": sink, "GOMAXPROCS": "2"}
        self._log = (folder / "log").open("w+b")
        self._process = subprocess.Popen(
            arguments, env={"PATH": os.environ["PATH"], **environment}, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._log.seek(0)
                raise SystemExit(f"the collector did not start: {self._log.read().decode()}")
            time.sleep(0.05)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)

    def feed(self, body: bytes) -> None:
        self._connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        response = self._connection.getresponse()
        response.read()
        if response.status != 200:
            raise SystemExit(f"the collector answered {response.status}")

    def seconds(self) -> float:
        """User and system CPU of the process so far; of its threads, for these are told to the nanosecond."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def quiet(self, held: float) -> float:
        """The CPU so far, once what was fed has left: what is held first, then until next to nothing is used."""
        time.sleep(held)
        before = self.seconds()
        for _ in range(100):
            time.sleep(0.1)
            now = self.seconds()
            if now - before < 0.003:
                return now
            before = now
        return before

    def close(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait(START_SECONDS)
        self._log.close()


class Arrangement(NamedTuple):
    name: str
    base: str
    configs: list[dict[str, Any] | Path]
    # held is how long spans stay inside, in seconds.
    held: float = 0.0


def arrangements() -> list[Arrangement]:
    return [
        Arrangement("otlp, nop", "", [pipeline([])]),
        Arrangement("otlp, tokenomics, nop", "otlp, nop", [pipeline(["tokenomics"])]),
        Arrangement("otlp, memory_limiter, otlp_http", "", shipped("config.yaml", ours=False)),
        Arrangement(
            "config.yaml (tokenomics and connector)",
            "otlp, memory_limiter, otlp_http",
            shipped("config.yaml", ours=True),
        ),
        Arrangement(
            "config.rollup.yaml (tokenomics and tokenomics_rollup)",
            "otlp, memory_limiter, otlp_http",
            shipped("config.rollup.yaml", ours=True),
            held=3.0,
        ),
    ]


@contextlib.contextmanager
def running(wanted: list[Arrangement]) -> Generator[dict[str, Collector]]:
    with contextlib.ExitStack() as stack:
        sink = Sink()
        stack.callback(sink.close)
        found: dict[str, Collector] = {}
        for one in wanted:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            found[one.name] = Collector(one.configs, sink.endpoint, folder)
            stack.callback(found[one.name].close)
        yield found


def quartiles(values: list[float]) -> list[float]:
    return statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3


def measure(rounds: int, batches: int) -> list[dict[str, Any]]:
    """CPU nanoseconds per span of every arrangement, and the share that ours adds to the base."""
    wanted = arrangements()
    spent: dict[str, list[float]] = {one.name: [] for one in wanted}
    number = 0
    with running(wanted) as collectors:
        for turn in range(rounds + 1):
            # Traces that nobody saw before: the roll-up takes what it knows for late.
            bodies = [payload(number + index) for index in range(batches)]
            number += batches
            for one in random.sample(wanted, len(wanted)):
                before = collectors[one.name].quiet(0)
                for body in bodies:
                    collectors[one.name].feed(body)
                used = collectors[one.name].quiet(one.held) - before
                if turn:  # the first one warms up
                    spent[one.name].append(used * 1e9 / (batches * SPANS))
    results: list[dict[str, Any]] = []
    for one in wanted:
        low, middle, high = quartiles(spent[one.name])
        entry: dict[str, Any] = {"name": one.name, "base": one.base, "ns": middle, "low": low, "high": high}
        if one.base:
            pairs = zip(spent[one.name], spent[one.base], strict=True)
            entry["share"] = quartiles([mine / base - 1 for mine, base in pairs])
        results.append(entry)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--batches", type=int, default=PAYLOADS, help="of 1,000 spans in each round")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not BINARY.is_file():
        raise SystemExit("the collector is not built: make collector")
    results = measure(options.rounds, options.batches)
    for one in results:
        share = f"  {one['share'][1]:+.1%} [{one['share'][0]:+.1%}, {one['share'][2]:+.1%}]" if one["base"] else ""
        print(f"{one['name']:55} {one['ns']:7.0f} ns/span [{one['low']:.0f}, {one['high']:.0f}]{share}")
    if options.json:
        options.json.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
