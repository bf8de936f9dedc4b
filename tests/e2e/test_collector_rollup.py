"""The built collector tells each trace what it cost: the numbers of the SDK, sampling by them, and no span lost."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Final

import pytest
from collector_run import DISTRIBUTION, ROOT, command, free_port
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from test_collector_binary import CHAT, Json, _attributes, _otlp, _post, _running, _Sink

from otel_tokenomics.client_api import Request
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import load_embedded
from otel_tokenomics.telemetry.charges import charge
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Outcome, Recorder
from otel_tokenomics.telemetry.tag_processor import TagProcessor
from otel_tokenomics.usage import Reading, Usage

pytestmark = pytest.mark.collector

README: Final = ROOT / "collector" / "processor" / "tokenomicsrollupprocessor" / "README.md"
ROLLUP: Final[Json] = {"wait_after_root": "300ms"}


def agent_trace(monkeypatch: pytest.MonkeyPatch, *, price: bool = True) -> list[ReadableSpan]:
    """Let the SDK settle an agent's calls and a charge: two models, one that nobody knows, one call within another."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(TagProcessor({}))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    book = load_embedded()
    recorder = Recorder(Settings(price=price), lambda: book, Instruments("", lambda: (book.id, 0.0)))
    tracer = provider.get_tracer("app")

    def call(model: str, given: int, made: int, name: str = "openai", *, within: bool = False) -> None:
        request = Request(model, name)
        choice = recorder.provider(request)
        span = recorder.start(CHAT, request, choice)
        if within:
            with trace.use_span(span, end_on_exit=False):
                call("gpt-5.4", 300, 40)
        reading = Reading(Usage({"input": given, "output": made}), response_model=model)
        outcome = Outcome(reading, "completed", time.time_ns(), 0.1)
        recorder.settle(span, CHAT, request, choice, outcome, own=True, tags={})

    with tracer.start_as_current_span("answer"):
        with tracer.start_as_current_span("agent"):
            call("gpt-5.4", 1000, 100)
            call("claude-sonnet-4-5", 2000, 300, "anthropic", within=True)
            call("model-unheard-of", 70, 8)
        with tracer.start_as_current_span("read the scan"):
            charge(recorder, 1_500_000_000, "ocr", 1, "page")
        call("gpt-5.4", 500, 50)
    return list(exporter.get_finished_spans())


def as_otlp(spans: list[ReadableSpan]) -> Json:
    """Return ended spans as one OTLP/JSON request."""
    scopes: list[Json] = []
    for span in spans:
        assert span.context is not None
        assert span.instrumentation_scope is not None
        made: Json = {
            "traceId": f"{span.context.trace_id:032x}",
            "spanId": f"{span.context.span_id:016x}",
            "name": span.name,
            "kind": span.kind.value + 1,
            "startTimeUnixNano": str(span.start_time),
            "endTimeUnixNano": str(span.end_time),
            "attributes": [{"key": key, "value": _otlp(value)} for key, value in (span.attributes or {}).items()],
        }
        if span.parent is not None:
            made["parentSpanId"] = f"{span.parent.span_id:016x}"
        scopes.append({"scope": {"name": span.instrumentation_scope.name}, "spans": [made]})
    return {"resourceSpans": [{"resource": {}, "scopeSpans": scopes}]}


def by_id(traces: Json) -> dict[str, dict[str, Any]]:
    """Return what each span bears, by its id, doubles by their bits."""
    ids = [s["spanId"] for r in traces["resourceSpans"] for scope in r["scopeSpans"] for s in scope["spans"]]
    return dict(zip(ids, _attributes(traces), strict=True))


def arrived(sink: _Sink, count: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    while len(found) < count:
        found |= by_id(sink.wait())
    return found


def roll_up_config(port: int, rollup: Json = ROLLUP) -> Json:
    """Return what stands over the shipped config: ports of our own."""
    http, grpc = {"endpoint": f"127.0.0.1:{port}"}, {"endpoint": f"127.0.0.1:{free_port()}"}
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": free_port()}}}}
    return {
        "receivers": {"otlp": {"protocols": {"http": http, "grpc": grpc}}},
        "processors": {"tokenomics_rollup": rollup},
        "service": {"telemetry": {"metrics": {"readers": [reader]}}},
    }


def test_the_numbers_are_those_of_the_live_roll_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one process whose calls settled before their ancestors ended, sent in pieces, the last span first."""
    port = free_port()
    with _running(tmp_path, roll_up_config(port), "config.rollup.yaml") as (_, sink):
        spans = agent_trace(monkeypatch)  # a trace that was under way before would not be held for whole
        for start in range(0, len(spans), 3):
            _post(port, as_otlp(spans[::-1][start : start + 3]))
        found = arrived(sink, len(spans))
    sdk = by_id(as_otlp(spans))
    root = found[f"{spans[-1].context.span_id:016x}"]  # type: ignore[union-attr]
    assert root.pop("tokenomics.trace.complete") == {"boolValue": True}
    assert int(root.pop("tokenomics.trace.cost.total_micros")["intValue"]) > 0
    assert found == sdk
    assert root["tokenomics.trace.llm_calls"] == {"intValue": "5"}
    assert root["tokenomics.trace.unpriced_calls"] == {"intValue": "1"}


def test_the_same_where_the_collector_prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK writes usage alone; the collector prices, and rolls up what it priced."""
    priced = agent_trace(monkeypatch)
    port = free_port()
    with _running(tmp_path, roll_up_config(port), "config.rollup.yaml") as (_, sink):
        bare = agent_trace(monkeypatch, price=False)
        _post(port, as_otlp(bare))
        found = arrived(sink, len(bare))
    for seen, sdk in zip(bare, priced, strict=True):
        assert seen.context is not None
        bears = found[f"{seen.context.span_id:016x}"]
        wanted = inclusive(_attributes(as_otlp([sdk]))[0])
        assert inclusive(bears) == wanted
        assert bool(wanted) == (seen.name in ("answer", "agent", "chat claude-sonnet-4-5"))


def inclusive(bears: dict[str, Any]) -> dict[str, Any]:
    """Return the totals that the SDK writes too."""
    found = {key: value for key, value in bears.items() if re.match(r"tokenomics\.(subtree|trace)\.", key)}
    for added in ("complete", "cost.total_micros"):
        found.pop(f"tokenomics.trace.{added}", None)
    return found


def test_what_is_held_leaves_before_the_collector_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spans = agent_trace(monkeypatch)
    port = free_port()
    config = roll_up_config(port, {"wait_after_root": "4m", "idle_wait": "4m"})
    with _running(tmp_path, config, "config.rollup.yaml") as (_, sink):
        _post(port, as_otlp(spans))
    found = arrived(sink, len(spans))
    root = found[f"{spans[-1].context.span_id:016x}"]  # type: ignore[union-attr]
    assert root["tokenomics.trace.complete"] == {"boolValue": False}
    sdk = by_id(as_otlp(spans[-1:])).popitem()[1]
    assert root["tokenomics.trace.cost.total"] == sdk["tokenomics.trace.cost.total"]


def test_traces_are_sampled_by_what_they_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy of the README over a dear trace and a cheap one."""
    spans = agent_trace(monkeypatch)
    cheap = agent_trace(monkeypatch)[-3:-2]  # one charge of 1,500 micro-dollars
    total = by_id(as_otlp(spans[-1:])).popitem()[1]["tokenomics.trace.cost.total"]
    assert total
    policy = {"key": "tokenomics.trace.cost.total_micros", "min_value": 5000}
    config = roll_up_config(free_port())
    config["processors"]["tail_sampling"] = {
        "decision_wait": "1s",
        "policies": [{"name": "dear", "type": "numeric_attribute", "numeric_attribute": policy}],
    }
    config["service"]["pipelines"] = {
        "traces": {
            "receivers": ["otlp"],
            "processors": ["tokenomics", "tokenomics_rollup", "tail_sampling"],
            "exporters": ["otlp_http"],
        }
    }
    port = int(config["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2])
    with _running(tmp_path, config, "config.rollup.yaml") as (_, sink):
        alone = as_otlp(cheap)
        for scope in alone["resourceSpans"][0]["scopeSpans"]:
            scope["spans"][0].pop("parentSpanId", None)
        _post(port, alone)
        _post(port, as_otlp(spans))
        found = arrived(sink, len(spans))
    assert set(found) == set(by_id(as_otlp(spans)))


def test_the_shipped_config_and_the_examples_are_valid_as_printed(tmp_path: Path) -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert len(examples) == 2
    configs = [[DISTRIBUTION / "config.rollup.yaml"]]
    for number, example in enumerate(examples):
        path = tmp_path / f"example{number}.yaml"
        path.write_text(example)
        configs.append([DISTRIBUTION / "config.demo.yaml", path])
    for config in configs:
        done = command("validate", *(f"--config={path}" for path in config))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), config


def test_a_bad_config_is_refused_and_quoted(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("processors: {tokenomics_rollup: {idle_wait: 0s}}\n")
    done = command("--config", DISTRIBUTION / "config.rollup.yaml", "--config", bad)
    assert done.returncode == 1
    assert '"idle_wait" must be positive, got 0s' in done.stderr
