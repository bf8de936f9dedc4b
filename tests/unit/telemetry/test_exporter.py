"""The exporter that prices what others recorded: spans go on as they are but for the cost, each charge once."""

from __future__ import annotations

import contextlib
from importlib.metadata import entry_points
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_tokenomics.config import Settings
from otel_tokenomics.telemetry import exporter as module
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.exporter import PricingSpanExporter
from otel_tokenomics.telemetry.foreign_spans import without_ours

OFFICIAL = "opentelemetry.instrumentation.genai.openai"
#: gpt-5.4: $2.50 and $15 per million tokens, 1000 x 2.5 + 100 x 15 = 4000 millionths of a dollar.
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.4",
    "gen_ai.response.model": "gpt-5.4",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
    "openai.response.service_tier": "default",
}
COST = 0.004


class Batch(SpanExporter):
    """Keeps ended spans until they are sent through the exporter under test as one batch."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


@pytest.fixture
def batch() -> Batch:
    return Batch()


@pytest.fixture
def tracer_of(batch: Batch) -> Any:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(batch))
    return provider.get_tracer


def sent(batch: Batch, **settings: Any) -> dict[str, ReadableSpan]:
    inner = InMemorySpanExporter()
    assert PricingSpanExporter(inner, settings=Settings.resolve({}, **settings)).export(batch.spans) is (
        SpanExportResult.SUCCESS
    )
    return {span.name: span for span in inner.get_finished_spans()}


def test_a_foreign_span_leaves_with_its_cost_and_is_else_the_same(batch: Batch, tracer_of: Any) -> None:
    with tracer_of(OFFICIAL, "1.3b0").start_as_current_span(
        "chat gpt-5.4", kind=trace.SpanKind.CLIENT, attributes=CALL
    ) as span:
        span.add_event("said")
    (before,) = batch.spans
    after = sent(batch)["chat gpt-5.4"]
    assert dict(before.attributes or {}) == CALL  # what ended is never written on
    added = {key: value for key, value in (after.attributes or {}).items() if key not in CALL}
    assert (added["tokenomics.cost.total"], added["tokenomics.cost.source"]) == (COST, "sdk")
    assert added["gen_ai.usage.cost"] == COST
    for name in ("context", "parent", "kind", "start_time", "end_time", "events", "resource", "instrumentation_scope"):
        assert getattr(after, name) == getattr(before, name), name


def test_what_is_no_model_call_is_the_same_object(batch: Batch, tracer_of: Any) -> None:
    tracer_of("app").start_span("GET /", attributes={"http.method": "GET"}).end()
    assert sent(batch)["GET /"] is batch.spans[0]


@pytest.mark.parametrize("settings", [{"price": False}, {"enabled": False}])
def test_switched_off_it_passes_everything(batch: Batch, tracer_of: Any, settings: dict[str, bool]) -> None:
    tracer_of(OFFICIAL).start_span("chat", attributes=CALL).end()
    assert sent(batch, **settings)["chat"] is batch.spans[0]


def test_a_framework_span_over_its_client_is_shadowed(batch: Batch, tracer_of: Any) -> None:
    with tracer_of("langchain").start_as_current_span("framework", attributes=CALL):
        tracer_of(OFFICIAL, "1.3b0").start_span("client", attributes=CALL).end()
    spans = sent(batch)
    assert (spans["client"].attributes or {})["tokenomics.cost.total"] == COST
    outer = spans["framework"].attributes or {}
    assert outer["tokenomics.cost.reason"] == "shadowed"
    assert "tokenomics.cost.total" not in outer
    assert "gen_ai.usage.cost" not in outer
    assert outer["gen_ai.usage.input_tokens"] == 1000


def test_two_spans_of_one_response_are_one_charge(batch: Batch, tracer_of: Any) -> None:
    call = {**CALL, "gen_ai.response.id": "resp_1"}
    with tracer_of("app").start_as_current_span("root"):
        tracer_of(OFFICIAL, "1.3b0").start_span("first", attributes=call).end()
        tracer_of("openlit.openai").start_span("second", attributes=call).end()
    spans = sent(batch)
    charged = [name for name, span in spans.items() if "tokenomics.cost.total" in (span.attributes or {})]
    assert charged == ["first"]


def test_equal_calls_side_by_side_are_two_charges(batch: Batch, tracer_of: Any) -> None:
    with tracer_of("app").start_as_current_span("root"):
        for name in ("first", "second"):
            tracer_of(OFFICIAL, "1.3b0").start_span(name, attributes=CALL).end()
    spans = sent(batch)
    assert [(spans[name].attributes or {}).get("tokenomics.cost.total") for name in ("first", "second")] == [COST] * 2


#: Scope, kind, attributes, and whether CALL's are among them; nested from the outside in.
LAYERS: dict[str, list[tuple[str, trace.SpanKind, dict[str, Any], bool]]] = {
    # AI SDK 6: https://ai-sdk.dev/docs/ai-sdk-core/telemetry (ai.generateText repeats the sum of its steps).
    "vercel": [
        ("ai", trace.SpanKind.INTERNAL, {"ai.operationId": "ai.streamText", "ai.model.id": "gpt-5.4",
         "ai.model.provider": "openai.responses", "ai.usage.inputTokens": 1000, "ai.usage.outputTokens": 100}, False),
        ("ai", trace.SpanKind.INTERNAL, {"ai.operationId": "ai.streamText.doStream", "ai.model.id": "gpt-5.4",
         "ai.model.provider": "openai.responses", "ai.response.model": "gpt-5.4", "ai.response.id": "resp_1",
         "ai.usage.inputTokens": 1000, "ai.usage.outputTokens": 100,
         "ai.usage.inputTokenDetails.cacheReadTokens": 0, "openai.response.service_tier": "default"}, False),
    ],
    # LiteLLM's proxy: https://docs.litellm.ai/docs/observability/opentelemetry_integration (the request it received,
    # its own span of the call, and the raw request below that).
    "litellm proxy": [
        ("litellm", trace.SpanKind.SERVER, {"gen_ai.operation.name": "chat"}, True),
        ("litellm", trace.SpanKind.INTERNAL, {"litellm.cost.total": 0.0041, "gen_ai.response.id": "chatcmpl-1"}, True),
        ("litellm", trace.SpanKind.INTERNAL, {"llm.openai.model": "gpt-5.4", "llm.openai.usage": "{}"}, False),
    ],
    # Envoy AI Gateway: https://aigateway.envoyproxy.io/docs/capabilities/observability/tracing (OpenInference's names).
    "envoy": [
        ("envoyproxy/ai-gateway", trace.SpanKind.INTERNAL, {"openinference.span.kind": "LLM", "llm.system": "openai",
         "llm.model_name": "gpt-5.4", "llm.token_count.prompt": 1000, "llm.token_count.completion": 100,
         "llm.token_count.total": 1100, "openai.response.service_tier": "default"}, False),
    ],
    # A gateway that answers as a server, after the standard names.
    "gateway as a server": [
        (OFFICIAL, trace.SpanKind.CLIENT, {}, True),
        ("kong", trace.SpanKind.SERVER, {}, True),
    ],
    # Langfuse: https://langfuse.com/integrations/native/opentelemetry#property-mapping (an agent around a generation).
    "langfuse": [
        ("langfuse-sdk", trace.SpanKind.INTERNAL, {"langfuse.observation.type": "agent"}, False),
        ("langfuse-sdk", trace.SpanKind.INTERNAL, {"langfuse.observation.type": "generation",
         "langfuse.observation.model.name": "gpt-5.4", "gen_ai.system": "openai", "gen_ai.usage.input_tokens": 1000,
         "gen_ai.usage.output_tokens": 100, "openai.response.service_tier": "default"}, False),
    ],
}  # fmt: skip


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_layers_that_arrive_from_outside_bear_one_charge(
    batch: Batch, tracer_of: Any, layers: list[tuple[str, trace.SpanKind, dict[str, Any], bool]]
) -> None:
    with contextlib.ExitStack() as open_spans:
        for number, (scope, kind, own, standard) in enumerate(layers):
            attributes = {**(CALL if standard else {}), **own}
            start = tracer_of(scope, "1.109.1").start_as_current_span
            open_spans.enter_context(start(f"layer {number}", kind=kind, attributes=attributes))
    costs = [(span.attributes or {}).get("tokenomics.cost.total") for span in sent(batch).values()]
    assert len(costs) == len(layers)
    assert [cost for cost in costs if cost is not None] == [COST]


def test_totals_of_the_sdk_above_a_foreign_span_are_partial(batch: Batch, tracer_of: Any) -> None:
    totals = {"tokenomics.subtree.cost.total": 0.5, "tokenomics.subtree.partial": False}
    start = tracer_of("app").start_as_current_span
    with start("root", attributes=totals), start("untouched"):
        tracer_of(OFFICIAL, "1.3b0").start_span("client", attributes=CALL).end()
    spans = sent(batch)
    assert (spans["root"].attributes or {})["tokenomics.subtree.partial"] is True
    assert "tokenomics.subtree.partial" not in (spans["untouched"].attributes or {})


def test_a_failure_of_ours_loses_no_span(batch: Batch, tracer_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tracer_of(OFFICIAL).start_span("chat", attributes=CALL).end()

    def broken(_span: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(module, "_view", broken)
    before = failures.counts().get("export", 0)
    assert sent(batch)["chat"] is batch.spans[0]
    assert failures.counts()["export"] == before + 1


def test_the_entry_point_is_a_class_and_status_names_it() -> None:
    import otel_tokenomics as tk

    (entry,) = entry_points(group="opentelemetry_traces_exporter", name="tokenomics_otlp")
    made = entry.load()
    assert isinstance(made, type)
    assert issubclass(made, tk.PricingSpanExporter)
    exporter = made()
    assert tk.status()["foreign_spans"] == "priced at export; no metric counts them"
    exporter.shutdown()
    assert "foreign_spans" not in tk.status()


@pytest.mark.parametrize(
    ("figure", "stays"),
    [(0.004500000000000003, False), ("0.0045", False), (0.004500000001, True), ((0.0045,), True)],
)
def test_a_repetition_of_ours_is_known_to_the_pico_dollar(figure: object, stays: bool) -> None:
    """The reader of foreign costs takes it for ours: one that stayed would be somebody else's the next time."""
    ours = {"tokenomics.cost.total": 0.0045, "tokenomics.cost.source": "sdk", "gen_ai.usage.cost": figure}
    assert ("gen_ai.usage.cost" in without_ours(ours, None)) is stays
