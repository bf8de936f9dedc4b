"""An answer of an application's own cache: it costs nothing, and what it saved is known or is not written."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from openai.types.responses import ResponseUsage
from opentelemetry import metrics as otel_metrics
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_tokenomics as tk
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import Cost, load_embedded
from otel_tokenomics.telemetry import charges
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Recorder, last_cost
from otel_tokenomics.telemetry.tag_processor import TagProcessor
from otel_tokenomics.usage import Usage, parse_usd

# gpt-5.4, per million: $2.50 in, $0.25 cached, $15 out
PLAIN = 4_000_000_000  # 1000 x 2.5 + 100 x 15 micro-dollars
COUNTS = {"input": 1000, "output": 100}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-5.4",
    "status": "completed",
    "output": [],
    "usage": {
        "input_tokens": 1000,
        "input_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 0},
        "output_tokens": 100,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 1100,
    },
}


class Bench(NamedTuple):
    recorder: Recorder
    tracer: trace.Tracer
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    def hit(self, usage: object, model: str = "gpt-5.4", provider: str | None = None) -> Cost:
        return charges.cache_hit(self.recorder, model, charges.saved_usage(usage, provider), provider)

    @property
    def spans(self) -> dict[str, dict[str, Any]]:
        return {span.name: dict(span.attributes or {}) for span in self.exporter.get_finished_spans()}

    def points(self, name: str) -> list[tuple[dict[str, Any], float]]:
        data: Any = self.reader.get_metrics_data()
        return [
            (dict(point.attributes), point.value)
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(TagProcessor({}))
    reader = InMemoryMetricReader()
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    monkeypatch.setattr(otel_metrics, "get_meter", MeterProvider([reader], shutdown_on_exit=False).get_meter)
    book = load_embedded()
    settings = Settings(**dict(getattr(request, "param", {})))
    recorder = Recorder(settings, lambda: book, Instruments("", lambda: (book.id, 0.0)))
    return Bench(recorder, provider.get_tracer("app"), exporter, reader)


def test_a_hit_is_free_and_says_what_it_saved(bench: Bench) -> None:
    start = bench.tracer.start_as_current_span
    with start("root"), tk.tags(team="search"), start("lookup"):
        cost = bench.hit(COUNTS)
    assert (cost.status, cost.total, cost.savings) == ("free", 0, {"response_cache": PLAIN})
    assert last_cost() == cost
    assert bench.spans["lookup"] == {
        "tokenomics.charge.kind": "cache_hit",
        "tokenomics.cost.total": 0.0,
        "tokenomics.cost.currency": "USD",
        "tokenomics.cost.source": "sdk",
        "tokenomics.cost.status": "free",
        "tokenomics.cost.savings.response_cache": 0.004,
        "tokenomics.tag.team": "search",
    }
    # A free call is a cost of 0, and what was saved adds to no total; no model was called.
    assert bench.spans["root"]["tokenomics.trace.cost.total"] == 0.0
    assert bench.spans["root"]["tokenomics.trace.llm_calls"] == 0
    ((dimensions, value),) = bench.points("tokenomics.client.savings")
    assert parse_usd(value) == PLAIN
    assert dimensions == {
        "gen_ai.provider.name": "openai",
        "tokenomics.price.model": "gpt-5.4",
        "tokenomics.tag.team": "search",
        "tokenomics.savings.kind": "response_cache",
    }
    assert bench.points("tokenomics.client.requests") == bench.points("tokenomics.client.tokens") == []


@pytest.mark.parametrize(
    ("usage", "saved"),
    [
        (Usage(COUNTS), PLAIN),
        ({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}, PLAIN),
        # The provider's own cache had 200 of them: 800 x 2.5 + 200 x 0.25 + 100 x 15
        ({"input_tokens": 1000, "output_tokens": 100, "input_tokens_details": {"cached_tokens": 200}}, 3_550_000_000),
        # A client's object, and the whole answer around it.
        (ResponseUsage.model_validate(RESPONSE["usage"]), 3_550_000_000),
        (RESPONSE, 3_550_000_000),
        # Cut short, the counts are a lower bound, and so is what was saved.
        (Usage(COUNTS, "estimated"), PLAIN),
    ],
)
def test_usage_in_every_form(bench: Bench, usage: object, saved: int) -> None:
    assert bench.hit(usage).savings == {"response_cache": saved}


def test_anthropics_usage_excludes_its_cache(bench: Bench) -> None:
    usage = {
        "input_tokens": 1000,
        "cache_read_input_tokens": 500,
        "cache_creation_input_tokens": 0,
        "output_tokens": 100,
    }
    # claude-sonnet-5-5, per million: $2 in, $0.10 cached, $10 out
    assert bench.hit(usage, "claude-sonnet-5-5", "anthropic").savings == {"response_cache": 3_050_000_000}


@pytest.mark.parametrize(
    ("usage", "model"),
    [(COUNTS, "gpt-7-turbo"), (None, "gpt-5.4"), ({}, "gpt-5.4"), ({"prompt_tokens": -5}, "gpt-5.4")],
)
def test_what_nobody_knows_is_not_written(bench: Bench, usage: object, model: str) -> None:
    cost = bench.hit(usage, model)
    assert (cost.status, cost.total, cost.savings) == ("free", 0, {})
    assert "tokenomics.cost.savings.response_cache" not in bench.spans["charge cache_hit"]
    assert bench.points("tokenomics.client.savings") == []


def test_two_hits_in_one_span_are_two_charges(bench: Bench) -> None:
    with bench.tracer.start_as_current_span("lookup"):
        bench.hit(COUNTS)
        bench.hit(COUNTS)
    assert [name for name, found in bench.spans.items() if "tokenomics.charge.kind" in found] == [
        "charge cache_hit",
        "lookup",
    ]
    ((_, value),) = bench.points("tokenomics.client.savings")
    assert parse_usd(value) == 2 * PLAIN


@pytest.mark.parametrize("bench", [{"price": False}], indirect=True)
def test_without_prices_there_is_no_figure_of_ours(bench: Bench) -> None:
    assert bench.hit(COUNTS).savings == {}
    assert bench.points("tokenomics.client.savings") == []


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="model is empty"):
        tk.cache_hit(model=" ", usage=COUNTS)
    with pytest.raises(ValueError, match="not negative"):
        tk.cache_hit(model="gpt-5.4", usage={"input": -1})
