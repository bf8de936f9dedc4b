"""The composition root: what survives ``uninstrument()``, what the kill switch stops, who writes the tags."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from opentelemetry import metrics, trace

import otel_tokenomics as tk

# A process of its own for each script: providers are global, and set once.
GROUND = """
import json, httpx2, openai
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import otel_tokenomics as tk

BODY = json.dumps({
    "id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-5.4",
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}],
})
JSON = {"content-type": "application/json"}
transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=BODY, headers=JSON))
client = openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=transport))

def call():
    client.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": "h"}])

exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
own = TracerProvider(resource=Resource.create({"tokenomics.tag.team": "platform", "tokenomics.tag.product": "shop"}))
own.add_span_processor(SimpleSpanProcessor(exporter))

def points(name):
    return [
        (scope.scope.version, point.value)
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics if metric.name == name
        for point in metric.data.data_points
    ]

def show(value):
    print(json.dumps(value))
"""
PROVIDERS = "trace.set_tracer_provider(own)\nmetrics.set_meter_provider(MeterProvider([reader]))\n"


def run(script: str, ground: str = GROUND + PROVIDERS, **environment: str) -> list[Any]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", ground + script],
        env=inherited | {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"} | environment,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_counters_go_on_after_uninstrument_and_instrument() -> None:
    script = """
tk.instrument(); call(); show(points("tokenomics.client.requests"))
tk.uninstrument(); call(); tk.instrument(); call(); call()
show(points("tokenomics.client.requests"))
show([round(value, 9) for _, value in points("tokenomics.client.cost")])
show(len(exporter.get_finished_spans()))
"""
    first, second, cost, spans = run(script)
    version = first[0][0]
    assert version
    assert (first, second) == ([[version, 1]], [[version, 3]])
    # 1000 x $2.50 and 100 x $15 per million, three times
    assert (cost, spans) == ([0.012], 3)


def test_an_optional_metric_may_come_with_a_later_instrument() -> None:
    script = """
tk.instrument(); call(); tk.uninstrument()
tk.instrument(metrics_optional=["request.cost"]); call()
names = [m.name for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics]
show([names.count("tokenomics.client.request.cost"), names.count("gen_ai.client.operation.duration")])
"""
    assert run(script) == [[1, 1]]


def test_tags_of_the_resource_are_defaults_and_the_nearest_wins() -> None:
    script = """
tk.instrument(tags={"product": "search", "feature": "ask"})
with tk.tags(feature="summarise"):
    call()
(span,) = exporter.get_finished_spans()
show({k: v for k, v in span.attributes.items() if k.startswith("tokenomics.tag.")})
"""
    assert run(script) == [
        {
            "tokenomics.tag.team": "platform",
            "tokenomics.tag.product": "search",
            "tokenomics.tag.feature": "summarise",
        }
    ]


def test_our_spans_bear_their_tags_where_the_provider_takes_no_processor() -> None:
    script = """
class Foreign(trace.TracerProvider):
    def get_tracer(self, *args, **kwargs):
        return own.get_tracer(*args, **kwargs)
trace.set_tracer_provider(Foreign())
tk.instrument()
with tk.tags(team="search", user="u1"):
    call()
    with own.get_tracer("app").start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
        tk.record_cost("0.5", kind="ocr")
chat, charge, _ = exporter.get_finished_spans()
for span in (chat, charge):
    show([span.name, span.attributes["tokenomics.tag.team"], span.attributes["user.id"]])
"""
    assert run(script, GROUND) == [["chat gpt-5.4", "search", "u1"], ["charge ocr", "search", "u1"]]


@pytest.mark.parametrize("off", ["tk.instrument(enabled=False)", ""])
def test_the_kill_switch_stops_charges_too(off: str) -> None:
    environment = {} if off else {"OTEL_TOKENOMICS_ENABLED": "false"}
    script = f"""
{off}
tk.record_cost("1", kind="ocr"); call()
show([tk.status()["instrumented"], tk.last_cost(), type(trace.get_tracer_provider()).__name__])
"""
    assert run(script, GROUND, **environment) == [[False, None, "ProxyTracerProvider"]]


def test_settings_count_where_a_charge_came_before_instrument() -> None:
    script = """
tk.record_cost("0.5", kind="ocr")
tk.instrument(tags={"feature": "ask"}); call()
charge, chat = exporter.get_finished_spans()
show([charge.name, chat.attributes.get("tokenomics.tag.feature")])
show(sum(value for _, value in points("tokenomics.client.cost")))
"""
    assert run(script) == [["charge ocr", "ask"], 0.504]


def test_processors_do_not_pile_up_and_stop_with_uninstrument() -> None:
    script = """
before = len(own._active_span_processor._span_processors)
for _ in range(5):
    tk.instrument(); call(); tk.uninstrument()
show(len(own._active_span_processor._span_processors) - before)
with tk.tags(team="search"), own.get_tracer("app").start_as_current_span("after"):
    pass
show(exporter.get_finished_spans()[-1].attributes.get("tokenomics.tag.team"))
"""
    assert run(script) == [1, None]


def test_what_cannot_be_set_up_never_reaches_the_caller() -> None:
    script = """
import logging, sys
logging.disable(logging.CRITICAL)
sys.modules["opentelemetry.exporter.otlp.proto.http.trace_exporter"] = None
tk.instrument()
with tk.tags(team="search"):
    call()
status = tk.status()
show([status["providers"]["tracer"].partition(":")[0], status["failures"], tk.last_cost().status])
"""
    environment = {"OTEL_TRACES_EXPORTER": "otlp"}
    assert run(script, GROUND, **environment) == [["failed", {"export": 1}, "priced"]]


def test_an_unreachable_endpoint_is_one_line() -> None:
    script = GROUND + "tk.instrument()\nfor _ in range(3): call()\ntk.flush(2)\nprint('called')\n"
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "3"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=inherited | environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "called")
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_flush_shares_its_time_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    class Provider:
        def force_flush(self, timeout_millis: int) -> bool:
            given.append(timeout_millis)
            return len(given) == 1

    monkeypatch.setattr(trace, "get_tracer_provider", Provider)
    monkeypatch.setattr(metrics, "get_meter_provider", Provider)
    assert tk.flush(0.5) is False
    assert len(given) == 2
    assert all(0 < part <= 500 for part in given)


def test_flush_survives_an_exporter_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def force_flush(self, _timeout_millis: int) -> bool:
            raise OSError

    monkeypatch.setattr(trace, "get_tracer_provider", Broken)
    assert tk.flush(0.5) is False


def test_a_flush_that_is_late_is_no_failure_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK raises where metrics come too late: the spans' exporter had used the time up on a dead endpoint."""

    class Slow:
        def force_flush(self, timeout_millis: int) -> bool:
            time.sleep(timeout_millis / 1000)
            raise RuntimeError("timed out while flushing")

    monkeypatch.setattr(metrics, "get_meter_provider", Slow)
    before = tk.status()["failures"]
    assert tk.flush(0.05) is False
    assert tk.status()["failures"] == before


def test_an_estimate_takes_the_whole_output_and_no_cache() -> None:
    cost = tk.estimate(model="gpt-5.4", provider="openai", input_tokens=1000, max_output_tokens=100)
    # $2.50 and $15 per million
    assert (cost.status, cost.reason, cost.total) == ("partial", "incomplete_usage", 4_000_000_000)
    unknown = tk.estimate(model="no-such-model", provider="openai", input_tokens=1000)
    assert (unknown.status, unknown.total, unknown.reason) == ("unpriced", None, "unknown_model")
    with pytest.raises(ValueError, match="-1"):
        tk.estimate(model="gpt-5.4", input_tokens=-1)


@pytest.mark.parametrize("usd", ["-1", "1e999", "one", float("nan"), "", True])
def test_what_is_no_amount_is_refused(usd: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        tk.record_cost(usd, kind="ocr")


def test_a_wrong_setting_is_refused_and_nothing_is_patched() -> None:
    for settings in ({"no_such": 1}, {"price": "perhaps"}):
        with pytest.raises(tk.ConfigError, match=next(iter(settings))):
            tk.instrument(**settings)
    assert tk.status()["instrumented"] is False


def test_settings_of_a_later_call_are_laid_over_the_earlier_ones() -> None:
    script = """
def tags_of_the_last():
    call()
    return exporter.get_finished_spans()[-1].attributes
tk.instrument(tags={"feature": "ask"}); tk.instrument(dialects="none"); tk.instrument()
last = tags_of_the_last()
show([last.get("tokenomics.tag.feature"), "gen_ai.usage.cost" in last])
tk.instrument(tags={"feature": "find"})
last = tags_of_the_last()
show([last.get("tokenomics.tag.feature"), "gen_ai.usage.cost" in last])
tk.instrument(enabled=False); call()
show([len(exporter.get_finished_spans()), tk.status()["instrumented"]])
"""
    assert run(script) == [["ask", False], ["find", False], [2, False]]


def test_the_same_settings_again_change_nothing() -> None:
    script = """
import openai._base_client as base
tk.instrument(tags={"feature": "ask"})
before = vars(base.SyncAPIClient)["request"]
tk.instrument(); tk.instrument(tags="feature=ask")
show(vars(base.SyncAPIClient)["request"] is before)
tk.uninstrument()
tk.record_cost("1", kind="ocr")
show(tk.status()["instrumented"])
"""
    assert run(script) == [True, False]
