"""The built collector, as people run it: spans in over OTLP/HTTP, priced spans out, bad configs refused.

The binary is that of `make collector`, or the path in OTELCOL_TOKENOMICS. Where neither is there these tests fail:
nobody shall take a skipped test for a passed one.
"""

from __future__ import annotations

import copy
import json
import re
import struct
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import pytest
from collector_run import (
    DISTRIBUTION,
    ROOT,
    START_SECONDS,
    STEP_SECONDS,
    Receiver,
    binary,
    command,
    free_port,
    request,
    started,
)
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_tokenomics.client_api import Operation, Request
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import load_embedded
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Outcome, Recorder
from otel_tokenomics.usage import MAX_COUNT, Reading, Usage

MAX_BODY: Final = 4 << 20
BATCH: Final = 500
CHAT: Final = Operation("chat", "chat")

pytestmark = pytest.mark.collector

Json = dict[str, Any]


class _Sink(Receiver):
    """A receiver that keeps what it is sent; ``wait`` returns one request."""

    max_body = MAX_BODY

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._bodies: list[bytes] = []
        super().__init__(self._keep)

    def _keep(self, _: str, body: bytes) -> None:
        with self._arrived:
            self._bodies.append(body)
            self._arrived.notify_all()

    def wait(self) -> Json:
        with self._arrived:
            assert self._arrived.wait_for(lambda: self._bodies, START_SECONDS), "nothing was forwarded"
            return json.loads(self._bodies.pop(0))


@contextmanager
def _running(
    tmp_path: Path, extra: Json, config: str = "config.demo.yaml", expected: str = "", **environment: str
) -> Generator[tuple[int, _Sink]]:
    """Run the collector, ``extra`` merged over its config; yield port and sink. Only ``expected`` may be warned of."""
    override = tmp_path / "extra.json"
    exporters = {"otlp_http": {"encoding": "json", "compression": "none"}, **extra.pop("exporters", {})}
    override.write_text(json.dumps({**extra, "exporters": exporters}))
    port, log = free_port(), tmp_path / "collector.log"
    with closing(_Sink()) as sink:
        environment |= {"OTLP_HTTP_ENDPOINT": f"127.0.0.1:{port}", "FORWARD_ENDPOINT": sink.endpoint}
        with started(binary(), [DISTRIBUTION / config, override], log, **environment):
            yield port, sink
    said = log.read_text()
    assert "is deprecated" not in said
    warnings = [line for line in said.splitlines() if "\twarn\t" in line]
    assert [line for line in warnings if not expected or expected not in line] == []
    assert bool(warnings) == bool(expected), said


def _post(port: int, body: Json) -> None:
    assert request(port, "POST", "/v1/traces", json.dumps(body)) == (200, '{"partialSuccess":{}}')


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


BOOK_FILE: Final = ROOT / "tests" / "vectors" / "book.json"
BOOK: Final[Json] = {"max_age": "0", "book": {"files": [{"path": str(BOOK_FILE)}]}}


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


def _sdk_spans(monkeypatch: pytest.MonkeyPatch, calls: list[_Call], *, price: bool) -> list[Json]:
    """Let the SDK's recorder settle calls; return its spans as OTLP/JSON."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    book = load_embedded()
    recorder = Recorder(Settings(price=price, cost_parts=True), lambda: book, Instruments("", lambda: (book.id, 0.0)))
    for call in calls:
        request = Request(call.reading.response_model, call.provider, facts=call.reading.facts)
        choice = recorder.provider(request)
        span = recorder.start(CHAT, request, choice)
        recorder.settle(span, CHAT, request, choice, call.outcome(), own=True, tags={})
    return [
        {
            "traceId": f"{number + 1:032x}",
            "spanId": f"{number + 1:016x}",
            "name": span.name,
            "kind": 3,
            "startTimeUnixNano": str(call.at_ns),
            "endTimeUnixNano": str(call.at_ns + 1),
            "attributes": [{"key": key, "value": _otlp(value)} for key, value in (span.attributes or {}).items()],
        }
        for number, (call, span) in enumerate(zip(calls, exporter.get_finished_spans(), strict=True))
    ]


def _otlp(value: object) -> Json:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case _:
            return {"arrayValue": {"values": [_otlp(item) for item in cast("tuple[object, ...]", value)]}}


class _Call(NamedTuple):
    """One call as the SDK saw it."""

    name: str
    provider: str
    at_ns: int
    reading: Reading
    end: str

    def outcome(self) -> Outcome:
        estimated = self.end == "estimated"
        output = Usage({"output": 77}, "estimated") if self.end == "mixed" else None
        return Outcome(
            None if estimated else self.reading,
            "completed" if self.end == "completed" else "abandoned",
            self.at_ns,
            0.5,
            estimated=Usage({"input": 1200, "output": 77}, "estimated") if estimated else output,
        )


def _calls() -> list[_Call]:
    """Return the generated cases of the price vectors as calls, most of them complete."""
    ends = ("completed",) * 7 + ("abandoned", "mixed", "estimated")
    calls: list[_Call] = []
    for number, line in enumerate((ROOT / "tests" / "vectors" / "generated.jsonl").read_text().splitlines()):
        case = json.loads(line)
        # A fee per request is the recorder's to add.
        units = {unit: int(count) for unit, count in case["units"].items() if unit != "request"}
        if min(units.values(), default=0) < 0 or sum(units.values()) > MAX_COUNT:
            # No reader of ours returns a negative count; the standard counts are sums, and one above the limit would
            # not be believed.
            continue
        facts: dict[str, str] = case["facts"]
        if "processing" in facts:
            # A call is a batch or has a tier; one attribute carries both.
            facts.pop("service_tier", None)
        stated = case.get("stated_cost")
        usage = Usage(units) if units else None
        reading = Reading(usage, facts, case["model"], stated_cost=int(stated) if stated is not None else None)
        at_ns = round(datetime.fromisoformat(case["at"]).timestamp() * 1000) * 1_000_000
        calls.append(_Call(case["name"], case["provider"], at_ns, reading, ends[number % len(ends)]))
    return calls


def _in_scope(spans: list[Json]) -> Json:
    scope = {"scope": {"name": "otel_tokenomics", "version": "0.1.0"}, "spans": spans}
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [scope]}]}


def test_what_the_sdk_saw_is_priced_the_same_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every generated call, priced by the SDK, or settled with ``price=false`` and priced by the collector."""
    calls = _calls()
    assert len(calls) > 5000
    priced = _attributes(_in_scope(_sdk_spans(monkeypatch, calls, price=True)))
    bare = _sdk_spans(monkeypatch, calls, price=False)
    settings: Json = {"processors": {"tokenomics": {"max_age": "0", "cost_parts": True}}}
    wrong: list[str] = []
    with _running(tmp_path, settings) as (port, sink):
        for start in range(0, len(bare), BATCH):
            _post(port, _in_scope(bare[start : start + BATCH]))
            for number, got in enumerate(_attributes(sink.wait()), start):
                want = dict(priced[number])
                for span in (got, want):
                    span.pop("tokenomics.cost.total_micros", None)
                    _without(span, "stale_book")
                if want.get("tokenomics.cost.source") == {"stringValue": "sdk"}:
                    want["tokenomics.cost.source"] = {"stringValue": "collector"}
                if got != want:
                    keys = sorted(key for key in got.keys() | want.keys() if got.get(key) != want.get(key))
                    wrong.append(
                        f"{calls[number].name} {calls[number].end}: {[(k, got.get(k), want.get(k)) for k in keys]}"
                    )
    assert not wrong, f"{len(wrong)} of {len(bare)}:\n" + "\n".join(wrong[:20])


def _without(span: dict[str, Any], flag: str) -> None:
    flags = span.get("tokenomics.cost.flags")
    if flags is not None:
        flags["arrayValue"]["values"] = [
            value for value in flags["arrayValue"]["values"] if value["stringValue"] != flag
        ]
        if not flags["arrayValue"]["values"]:
            del span["tokenomics.cost.flags"]


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


@pytest.mark.parametrize("config", ["config.yaml", "config.demo.yaml"])
def test_the_shipped_configs_are_valid_without_a_warning(config: str) -> None:
    done = command("validate", "--config", DISTRIBUTION / config)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_examples_of_the_processor_are_valid_as_printed(tmp_path: Path) -> None:
    text = (ROOT / "collector" / "processor" / "tokenomicsprocessor" / "README.md").read_text()
    examples = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(examples) >= 7
    own = tmp_path / "own.yaml"
    own.write_text("discounts:\n- {p: openai, ratio: [85, 100]}\n")
    for number, example in enumerate(examples):
        config = tmp_path / f"example{number}.yaml"
        # The paths of files that a reader has and this machine has not.
        there = example.replace("/etc/otelcol-tokenomics/pricebook.json", str(BOOK_FILE))
        config.write_text(there.replace("/etc/tokenomics-prices/own.yaml", str(own)))
        # The demo's config brings what an example leaves out: receiver, exporter, pipeline.
        configs = ["--config", DISTRIBUTION / "config.demo.yaml", "--config", config]
        done = command("validate", *configs, TOKENOMICS_SALT="secret", PRICES_TOKEN="x")
        assert (done.returncode, done.stderr) == (0, ""), example


def test_the_default_config_runs_on_loopback_and_prices(tmp_path: Path) -> None:
    """As it is shipped, but for the ports, which may be taken where the tests run."""
    grpc, own = free_port(), free_port()
    port = free_port()
    extra: Json = {
        "receivers": {
            "otlp": {
                "protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}, "grpc": {"endpoint": f"127.0.0.1:{grpc}"}}
            }
        },
        "processors": {"tokenomics": BOOK},
        "exporters": {"prometheus": {"endpoint": f"127.0.0.1:{free_port()}"}},
        "service": {
            "telemetry": {
                "metrics": {"readers": [{"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": own}}}}]}
            }
        },
    }
    vector = _vector("otel_openai")
    with _running(tmp_path, extra, "config.yaml") as (_, sink):
        _post(port, vector["in"])
        assert _attributes(sink.wait()) == _attributes(vector["out"])
        _, metrics = request(own, "GET", "/metrics")
    # Telemetry of its own says the same: one span, 7 thousandths of a dollar, from this book.
    assert re.search(r'^otelcol_processor_tokenomics_spans\w*\{.*outcome="priced".*\} 1$', metrics, re.MULTILINE)
    assert re.search(r'^otelcol_processor_tokenomics_cost\w*\{.*source="collector".*\} 0\.007$', metrics, re.MULTILINE)
    assert re.search(
        r'^otelcol_processor_tokenomics_book_info\w*\{.*version="vectors@2026\.11\.22".*\} 1$', metrics, re.MULTILINE
    )


@pytest.mark.parametrize(
    ("settings", "quoted"),
    [
        ({"on_exist": "verify"}, "on_exist"),
        ({"on_existing": "sometimes"}, '"on_existing" must be verify, keep or overwrite, got "sometimes"'),
        ({"dialects": ["semconv443"]}, 'sentry or openrouter, got "semconv443"'),
        ({"endpoints": ["127.0.0.1:99999999=openai"]}, '"endpoints" holds an entry that is no rule'),
        ({"book": {"files": [{"path": ""}]}}, '"book::files::path" must be set'),
        ({"book": {"overrides": [{"provider": "openai", "model": "m", "inputs": "1"}]}}, "inputs"),
        ({"book": {"overrides": [{"provider": "openai", "model": "m", "input": "-1"}]}}, '"book::overrides"'),
    ],
)
def test_a_bad_config_is_refused_and_quoted(tmp_path: Path, settings: Json, quoted: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"processors": {"tokenomics": settings}}))
    done = command("--config", DISTRIBUTION / "config.demo.yaml", "--config", bad)
    assert done.returncode == 1
    assert quoted in done.stderr


def test_a_refused_price_book_keeps_the_collector_from_starting(tmp_path: Path) -> None:
    book = tmp_path / "book.json"
    book.write_text('{"schema":"otel-tokenomics/pricebook/1","surprise":1}')
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"processors": {"tokenomics": {"book": {"files": [{"path": str(book)}]}}}}))
    done = command("--config", DISTRIBUTION / "config.demo.yaml", "--config", bad)
    assert done.returncode == 1
    assert str(book) in done.stderr
    assert "surprise" in done.stderr


def test_a_changed_price_book_is_taken_and_a_damaged_one_refused(tmp_path: Path) -> None:
    book, good = tmp_path / "book.json", BOOK_FILE.read_text()
    newer = good.replace('"2026.11.22"', '"2026.11.23"').replace("2026-11-22T05:00:00Z", "2026-11-23T05:00:00Z")
    newer = newer.replace(
        '"id": "gpt-4o", "rows": [{"rates": {"input": 2500000', '"id": "gpt-4o", "rows": [{"rates": {"input": 3000000'
    )
    book.write_text(good)
    settings: Json = {"max_age": "0", "book": {"files": [{"path": str(book), "reload_interval": "1s"}]}}
    vector = _vector("server_side_priced")
    settings["price_server_spans"] = True
    with _running(tmp_path, {"processors": {"tokenomics": settings}}, expected="price book refused") as (port, sink):

        def total() -> object:
            _post(port, vector["in"])
            return _attributes(sink.wait())[0]["tokenomics.cost.total"]["doubleValue"]

        # 1000 input and 500 output tokens: 1000 x 2500000 + 500 x 10000000 pico, then 1000 x 3000000.
        assert total() == _bits(0.0075)
        _replace(book, newer)
        deadline = time.monotonic() + START_SECONDS
        while total() != _bits(0.008):
            assert time.monotonic() < deadline, "the newer book was not taken"
            time.sleep(STEP_SECONDS)
        _replace(book, newer[: len(newer) // 2])
        while "price book refused" not in (tmp_path / "collector.log").read_text():
            assert time.monotonic() < deadline, "the damaged book was not noticed"
            assert total() == _bits(0.008), "the last good book stays"
            time.sleep(STEP_SECONDS)
        assert total() == _bits(0.008)


def _replace(path: Path, text: str) -> None:
    """Let another file take the name at once, as a mounted volume does."""
    newer = path.with_suffix(".new")
    newer.write_text(text)
    newer.replace(path)
