"""One result feeds span, metrics and running totals; the status says what is known; nothing is ever a silent 0."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import pytest
from opentelemetry import metrics as otel_metrics
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_tokenomics.client_api import Operation, Request
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import Cost, load_embedded
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.telemetry import metrics
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Outcome, Recorder, last_cost
from otel_tokenomics.telemetry.tag_processor import TagProcessor
from otel_tokenomics.usage import OtherCharge, Reading, Usage, parse_usd

CHAT = Operation("chat", "chat")
REQUEST = Request("gpt-5.4", "openai", "api.openai.com", 443, "/v1")
# $2.50 and $15 per million: 1000 x 2.5 + 100 x 15 = 4000 micro-dollars
USAGE = Usage({"input": 1000, "output": 100})
COST = 4_000_000_000


class Bench(NamedTuple):
    recorder: Recorder
    tracer: trace.Tracer
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    def call(
        self, reading: Reading | None = None, end: str = "completed", *, request: Request = REQUEST, **outcome: Any
    ) -> tuple[Cost, dict[str, Any]]:
        choice = self.recorder.provider(request)
        span = self.recorder.start(CHAT, request, choice)
        how = Outcome(reading, end, time.time_ns(), 0.5, **outcome)
        cost = self.recorder.settle(span, CHAT, request, choice, how, own=True, tags={"tokenomics.tag.team": "search"})
        spans = self.exporter.get_finished_spans()
        return cost, dict(spans[-1].attributes or {}) if spans else {}

    def points(self, name: str) -> list[tuple[dict[str, Any], float]]:
        data: Any = self.reader.get_metrics_data()
        return [
            (dict(point.attributes), point.value)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    options: dict[str, Any] = dict(getattr(request, "param", {}))
    sampler = sampling.ALWAYS_OFF if options.pop("sampled_out", False) else sampling.ALWAYS_ON
    exporter, provider = InMemorySpanExporter(), TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(TagProcessor({}))
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    monkeypatch.setattr(otel_metrics, "get_meter", meters.get_meter)
    book = load_embedded()
    recorder = Recorder(Settings(**options), lambda: book, Instruments("", lambda: (book.id, 0.0)))
    return Bench(recorder, provider.get_tracer("app"), exporter, reader)


READING = Reading(USAGE, response_model="gpt-5.4", response_id="r1")


@pytest.mark.parametrize(
    ("began", "total"),
    # DeepSeek's peak begins at 01:00 UTC: $0.15 and $0.60 per million before, $0.30 and $1.20 in it.
    [("2026-11-23T00:59:59.999Z", 210_000_000), ("2026-11-23T01:00:00Z", 420_000_000)],
)
def test_a_call_costs_what_it_cost_when_it_began_however_late_it_ends(bench: Bench, began: str, total: int) -> None:
    request = Request("deepseek-v4-flash", "deepseek", "api.deepseek.com", 443, "/v1")
    choice = bench.recorder.provider(request)
    span = bench.recorder.start(CHAT, request, choice)
    outcome = Outcome(
        Reading(USAGE, response_model="deepseek-v4-flash"), "completed", instant(began) * 1_000_000, 3600.0
    )
    cost = bench.recorder.settle(span, CHAT, request, choice, outcome, own=True, tags={})
    assert (cost.status, cost.total) == ("priced", total)


def test_span_metric_and_subtotal_agree(bench: Bench) -> None:
    with bench.tracer.start_as_current_span("root"), bench.tracer.start_as_current_span("agent"):
        cost, attributes = bench.call(READING)
        bench.call(READING)
    assert cost.total == parse_usd(attributes["tokenomics.cost.total"]) == COST
    assert last_cost() == cost
    agent, root = bench.exporter.get_finished_spans()[-2:]
    for span in (agent, root):
        assert span.attributes is not None
        assert parse_usd(span.attributes["tokenomics.subtree.cost.total"]) == 2 * COST  # type: ignore[arg-type]
        assert span.attributes["tokenomics.subtree.partial"] is False
    assert root.attributes is not None
    assert agent.attributes is not None
    assert "tokenomics.trace.cost.total" not in agent.attributes
    assert root.attributes["tokenomics.trace.llm_calls"] == 2
    assert root.attributes["tokenomics.trace.tokens.input"] == 2000
    assert root.attributes["tokenomics.trace.top_model"] == "gpt-5.4"
    ((dimensions, value),) = bench.points("tokenomics.client.cost")
    assert parse_usd(value) == 2 * COST
    assert dimensions["tokenomics.tag.team"] == "search"
    assert {d["tokenomics.token.class"]: v for d, v in bench.points("tokenomics.client.tokens")} == {
        "input": 2000,
        "output": 200,
    }


@pytest.mark.parametrize("bench", [{"sampled_out": True}], indirect=True)
def test_metrics_do_not_depend_on_sampling(bench: Bench) -> None:
    cost, attributes = bench.call(READING)
    assert (cost.total, attributes) == (COST, {})
    ((_, value),) = bench.points("tokenomics.client.cost")
    assert parse_usd(value) == COST


# (reading, end, outcome) -> status, reason
UNKNOWN = "unpriced"
CASES = [
    (READING, "completed", {}, "priced", None),
    (READING, "abandoned", {"started": True}, "partial", "incomplete_usage"),
    (READING, "error", {"started": True, "error_type": "X"}, "partial", "incomplete_usage"),
    (None, "abandoned", {"started": True}, UNKNOWN, "no_usage"),
    (None, "completed", {"started": True}, UNKNOWN, "no_usage"),
    (None, "error", {"error_type": "429"}, "not_applicable", "call_failed"),
    (None, "error", {"error_type": "APITimeoutError", "ambiguous": True}, UNKNOWN, "billing_unknown"),
    (None, "cancelled", {"ambiguous": True}, UNKNOWN, "billing_unknown"),
    (None, "error", {"error_type": "APIError", "started": True}, UNKNOWN, "no_usage"),
    (Reading(reason="pending", response_id="r"), "completed", {"started": True}, UNKNOWN, "pending"),
    (Reading(reason="invalid_usage"), "completed", {"started": True}, UNKNOWN, "invalid_usage"),
    (READING._replace(response_model="gpt-9"), "completed", {}, UNKNOWN, "unknown_model"),
    (READING._replace(stated_cost=0), "completed", {}, "free", None),
]


@pytest.mark.parametrize(("reading", "end", "outcome", "status", "reason"), CASES)
def test_the_status_says_what_is_known(
    bench: Bench, reading: Reading | None, end: str, outcome: dict[str, Any], status: str, reason: str | None
) -> None:
    cost, attributes = bench.call(reading, end, **outcome)
    assert (cost.status, cost.reason) == (status, reason)
    assert attributes["tokenomics.cost.status"] == status
    assert attributes.get("tokenomics.cost.reason") == reason
    assert attributes["tokenomics.call.end"] == end
    unknown = {"tokenomics.cost.total", "tokenomics.cost.source", "gen_ai.usage.cost", "tokenomics.cost.currency"}
    assert bool(unknown & set(attributes)) == (status in ("priced", "partial", "free"))
    ((dimensions, number),) = bench.points("tokenomics.client.requests")
    assert (dimensions["tokenomics.cost.status"], dimensions["tokenomics.call.end"], number) == (status, end, 1)


@pytest.mark.parametrize("bench", [{"price": False}], indirect=True)
def test_without_pricing_facts_and_usage_stand_alone(bench: Bench) -> None:
    reading = READING._replace(facts={"service_tier": "flex"})
    with bench.tracer.start_as_current_span("root"):
        _, attributes = bench.call(reading)
    assert attributes["gen_ai.usage.input_tokens"] == 1000
    assert attributes["tokenomics.request.tier"] == "flex"
    assert not [
        key for key in attributes if key.startswith(("tokenomics.cost.", "tokenomics.price.", "gen_ai.usage.cost"))
    ]
    assert bench.points("tokenomics.client.cost") == []
    root = bench.exporter.get_finished_spans()[-1]
    assert root.attributes is not None
    assert not [key for key in root.attributes if "cost" in key]


@pytest.mark.parametrize("bench", [{"price": False}], indirect=True)
def test_an_amount_that_the_provider_stated_stands_also_without_pricing(bench: Bench) -> None:
    _, attributes = bench.call(READING._replace(stated_cost=5_000_000_000))
    assert attributes["tokenomics.cost.total"] == 0.005
    assert (attributes["tokenomics.cost.source"], attributes["tokenomics.cost.basis"]) == ("provider", "billed")
    assert "tokenomics.cost.computed" not in attributes


def test_a_stated_cost_is_the_total_and_ours_stands_beside_it(bench: Bench) -> None:
    _, attributes = bench.call(READING._replace(stated_cost=5_000_000_000))
    assert (attributes["tokenomics.cost.total"], attributes["tokenomics.cost.computed"]) == (0.005, 0.004)
    assert attributes["tokenomics.cost.flags"] == ("price_conflict",)
    assert "tokenomics.cost.input" not in attributes


def test_units_that_the_standard_cannot_carry_and_inclusive_totals(bench: Bench) -> None:
    request = Request("claude-sonnet-5-5", "anthropic", "api.anthropic.com", 443)
    usage = Usage(
        {
            "input": 10,
            "cache_read": 5,
            "cache_write": 3,
            "cache_write_1h": 4,
            "output": 20,
            "reasoning": 30,
            "web_search": 2,
        }
    )
    _, attributes = bench.call(Reading(usage, response_model="claude-sonnet-5-5"), request=request)
    assert attributes["gen_ai.usage.input_tokens"] == 22
    assert attributes["gen_ai.usage.output_tokens"] == 50
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 5
    assert attributes["gen_ai.usage.cache_creation.input_tokens"] == 7
    assert "gen_ai.usage.cache_write.input_tokens" not in attributes
    assert attributes["gen_ai.usage.reasoning.output_tokens"] == 30
    assert attributes["tokenomics.usage.cache_write_1h"] == 4
    assert attributes["tokenomics.usage.web_search"] == 2
    parts = sum(
        parse_usd(attributes[f"tokenomics.cost.{part}"])
        for part in ("input", "cache_read", "cache_write", "output", "tools")
    )
    assert parts == parse_usd(attributes["tokenomics.cost.total"])


def test_estimates_are_flagged_and_never_under_standard_names(bench: Bench) -> None:
    estimated = Usage({"input": 1000, "output": 100}, "estimated")
    cost, attributes = bench.call(None, "completed", started=True, estimated=estimated)
    assert (cost.status, cost.reason, cost.total) == ("partial", "incomplete_usage", COST)
    assert attributes["tokenomics.usage.source"] == "estimated"
    assert attributes["tokenomics.usage.estimated.input_tokens"] == 1000
    assert attributes["tokenomics.usage.estimated.output_tokens"] == 100
    assert not [key for key in attributes if key.startswith("gen_ai.usage.") and key != "gen_ai.usage.cost"]


@pytest.mark.parametrize("bench", [{"billed_elsewhere": ("gw.acme.example/openai",)}], indirect=True)
def test_a_gateway_that_bills_is_not_charged_here(bench: Bench) -> None:
    request = REQUEST._replace(host="gw.acme.example", path="/openai/v1")
    cost, attributes = bench.call(READING, request=request)
    assert (cost.status, cost.reason, cost.total) == ("not_applicable", "billed_elsewhere", None)
    assert attributes["gen_ai.usage.input_tokens"] == 1000


def test_an_unknown_host_is_assumed_to_be_the_maker_and_says_so(bench: Bench) -> None:
    cost, attributes = bench.call(READING, request=REQUEST._replace(host="llm.acme.example"))
    assert (cost.total, attributes["tokenomics.cost.flags"]) == (COST, ("assumed_provider",))


@pytest.mark.parametrize("bench", [{"unknown_host": "unpriced"}], indirect=True)
def test_an_unknown_host_is_unpriced_by_setting(bench: Bench) -> None:
    cost, _ = bench.call(READING, request=REQUEST._replace(host="llm.acme.example"))
    assert (cost.status, cost.reason) == ("unpriced", "unknown_model")


@pytest.mark.parametrize("bench", [{"dialects": ("mlflow", "openinference", "semconv443", "scalar")}], indirect=True)
def test_dialects_repeat_the_cost(bench: Bench) -> None:
    _, attributes = bench.call(READING)
    assert attributes["mlflow.llm.cost"] == '{"input_cost":0.0025,"output_cost":0.0015,"total_cost":0.004}'
    assert (attributes["llm.cost.prompt"], attributes["llm.cost.completion"]) == (0.0025, 0.0015)
    assert attributes["gen_ai.usage.cost"] == 0.004
    assert "gen_ai.usage.cost.amount" not in attributes


def test_a_call_within_a_call_is_in_the_total_of_both(bench: Bench) -> None:
    """google-genai runs the caller's functions within its call, and these may ask other models."""
    choice = bench.recorder.provider(REQUEST)
    outer = bench.recorder.start(CHAT, REQUEST, choice)
    with trace.use_span(outer, end_on_exit=False):
        bench.call(READING)
    outcome = Outcome(READING, "completed", time.time_ns(), 0.1)
    bench.recorder.settle(outer, CHAT, REQUEST, choice, outcome, own=True, tags={})
    found: list[dict[str, Any]] = [dict(span.attributes or {}) for span in bench.exporter.get_finished_spans()]
    inner, root = found
    assert parse_usd(root["tokenomics.cost.total"]) == COST
    assert parse_usd(root["tokenomics.subtree.cost.total"]) == 2 * COST
    assert parse_usd(root["tokenomics.trace.cost.total"]) == 2 * COST
    assert (root["tokenomics.trace.llm_calls"], root["tokenomics.trace.tokens.input"]) == (2, 2000)
    assert "tokenomics.subtree.cost.total" not in inner


def test_a_call_that_outlives_its_ancestor_leaves_it_partial(bench: Bench) -> None:
    choice = bench.recorder.provider(REQUEST)
    with bench.tracer.start_as_current_span("root"):
        span = bench.recorder.start(CHAT, REQUEST, choice)
    outcome = Outcome(READING, "completed", time.time_ns(), 0.1)
    bench.recorder.settle(span, CHAT, REQUEST, choice, outcome, own=True, tags={})
    root = next(span for span in bench.exporter.get_finished_spans() if span.name == "root")
    assert root.attributes is not None
    assert root.attributes["tokenomics.subtree.partial"] is True


def test_series_and_values_are_bounded(bench: Bench) -> None:
    accumulator = bench.recorder.instruments.accumulator
    accumulator.add((metrics.COST, (("n", n),), 1) for n in range(2500))
    points = accumulator.observations(metrics.COST)
    assert len(points) == 2001
    assert sum(parse_usd(point.value) for point in points) == 2500
    assert {dict(point.attributes or {}).get("otel.metric.overflow") for point in points} == {None, True}
    values = {accumulator.bounded("customer", str(n), 100) for n in range(150)}
    assert len(values) == 101
    assert "__other__" in values


def test_nothing_of_an_error_message_is_written(bench: Bench) -> None:
    _, attributes = bench.call(None, "error", error_type="BadRequestError")
    span = bench.exporter.get_finished_spans()[-1]
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description is None
    assert attributes["error.type"] == "BadRequestError"
    assert span.events == ()


@pytest.mark.parametrize("bench", [{}, {"semconv": "latest"}], indirect=True, ids=["1.41", "latest"])
def test_parameters_have_the_types_of_the_standard(bench: Bench) -> None:
    given = {
        "temperature": 0, "top_p": 1, "top_k": 5, "seed": 7, "max_tokens": True, "stop_sequences": ("a",),
        "dimensions": "many", "reasoning_level": "high",
    }  # fmt: skip
    _, attributes = bench.call(READING, request=REQUEST._replace(parameters=given))
    written = {key: value for key, value in attributes.items() if key.startswith("gen_ai.request.")}
    kinds = {key.removeprefix("gen_ai.request."): type(value) for key, value in written.items()}
    latest = bench.recorder.settings.semconv == "latest"
    assert kinds == {
        "model": str, "temperature": float, "top_p": float, "top_k": int if latest else float, "seed": int,
        "stop_sequences": tuple, "reasoning.level": str,
    }  # fmt: skip


@pytest.mark.parametrize("bench", [{}, {"semconv": "latest"}], indirect=True, ids=["1.41", "latest"])
def test_modalities_and_the_spelling_of_cache_writes_belong_to_a_profile(bench: Bench) -> None:
    counts = {"input": 5, "audio_in": 3, "audio_cache_read": 2, "cache_write": 4, "output": 1, "audio_out": 6}
    _, attributes = bench.call(Reading(Usage(counts), response_model="gpt-5.4"))
    latest = bench.recorder.settings.semconv == "latest"
    spellings = {key for key in attributes if "cache_write.input" in key or "cache_creation.input" in key}
    assert spellings == {f"gen_ai.usage.cache_{'write' if latest else 'creation'}.input_tokens"}
    modal = {key: value for key, value in attributes.items() if key.startswith("gen_ai.usage.audio.")}
    expected = {"input_tokens": 5, "cache_read.input_tokens": 2, "output_tokens": 6}
    assert modal == ({f"gen_ai.usage.audio.{key}": value for key, value in expected.items()} if latest else {})
    assert attributes["gen_ai.usage.input_tokens"] == 14
    assert attributes["gen_ai.usage.output_tokens"] == 7
    assert attributes["tokenomics.usage.audio_in"] == 3


@pytest.mark.parametrize("settles", [True, False], ids=["in time", "too late"])
def test_a_call_on_somebody_elses_span_leaves_its_ancestors_partial_until_it_settles(
    bench: Bench, settles: bool
) -> None:
    choice = bench.recorder.provider(REQUEST)
    outcome = Outcome(READING, "completed", time.time_ns(), 0.1)
    with bench.tracer.start_as_current_span("root"):
        theirs = bench.tracer.start_span("chat")
        bench.recorder.adopt(theirs)
        if settles:
            bench.recorder.settle(theirs, CHAT, REQUEST, choice, outcome, own=False, tags={})
    if not settles:
        bench.recorder.settle(theirs, CHAT, REQUEST, choice, outcome, own=False, tags={})
    theirs.end()
    root = next(span for span in bench.exporter.get_finished_spans() if span.name == "root")
    assert root.attributes is not None
    assert root.attributes["tokenomics.subtree.partial"] is not settles
    assert ("tokenomics.subtree.cost.total" in root.attributes) is settles


def test_a_span_that_its_owner_ends_while_we_write_leaves_the_charge_on_one_of_ours(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dropped stream is settled in a thread of ours, while the finaliser of its owner's ends his span."""
    outcome = Outcome(READING, "abandoned", time.time_ns(), 0.1)
    theirs = bench.tracer.start_span("chat")
    bench.recorder.adopt(theirs)
    write = theirs.set_attributes

    def ended_first(attributes: Any) -> None:
        theirs.end()
        write(attributes)

    monkeypatch.setattr(theirs, "set_attributes", ended_first)
    choice = bench.recorder.provider(REQUEST)
    cost = bench.recorder.settle(theirs, CHAT, REQUEST, choice, outcome, own=False, tags={})
    lost, ours = bench.exporter.get_finished_spans()
    assert (lost.name, dict(lost.attributes or {})) == ("chat", {})
    assert ours.attributes is not None
    assert cost.total
    assert ours.attributes["tokenomics.cost.total"] == pytest.approx(cost.total / 10**12)
    assert ours.parent is not None
    assert ours.parent.span_id == theirs.get_span_context().span_id


def test_a_stream_that_broke_has_the_standards_word_for_a_missing_reason(bench: Bench) -> None:
    _, attributes = bench.call(Reading(response_id="r"), "error", started=True, error_type="X")
    assert attributes["gen_ai.response.finish_reasons"] == ("error",)
    _, attributes = bench.call(Reading(response_id="r"), "abandoned", started=True)
    assert "gen_ai.response.finish_reasons" not in attributes


@pytest.mark.parametrize("bench", [{"price": False}], indirect=True)
def test_without_pricing_the_metrics_know_tokens_and_no_status(bench: Bench) -> None:
    bench.call(READING)
    bench.call(Reading(USAGE, response_model="nobody-knows"))
    assert sum(value for _, value in bench.points("tokenomics.client.tokens")) == 2200
    for name in ("tokenomics.client.cost", "tokenomics.client.unpriced.tokens", "tokenomics.client.savings"):
        assert bench.points(name) == []
    ((dimensions, value),) = bench.points("tokenomics.client.requests")
    assert value == 2
    assert not [key for key in dimensions if key.startswith(("tokenomics.cost.", "tokenomics.price."))]


def test_the_tier_of_the_answer_stands_under_its_providers_name(bench: Bench) -> None:
    reading = READING._replace(facts={"service_tier": "priority"})
    _, attributes = bench.call(reading)
    assert attributes["openai.response.service_tier"] == "priority"
    messages = Operation("chat", "messages")
    request = Request("claude-sonnet-5-5", "anthropic", "api.anthropic.com", 443)
    choice = bench.recorder.provider(request)
    span = bench.recorder.start(messages, request, choice)
    outcome = Outcome(reading._replace(response_model=None), "completed", time.time_ns(), 0.1)
    bench.recorder.settle(span, messages, request, choice, outcome, own=True, tags={})
    attributes = dict(bench.exporter.get_finished_spans()[-1].attributes or {})
    assert attributes["anthropic.response.service_tier"] == "priority"
    assert "openai.response.service_tier" not in attributes


@pytest.mark.parametrize("bench", [{"price": False}], indirect=True)
@pytest.mark.parametrize(
    "reading",
    [
        READING._replace(others=(OtherCharge("claude-sonnet-5-5", Usage({"input": 50_000})),)),
        READING._replace(reason="incomplete_usage"),
    ],
    ids=["a compaction beside the counts", "a count that could not be believed"],
)
def test_without_pricing_a_span_says_that_it_cannot_carry_everything(bench: Bench, reading: Reading) -> None:
    _, attributes = bench.call(reading)
    assert attributes["tokenomics.cost.reason"] == "incomplete_usage"
    assert "tokenomics.cost.status" not in attributes
    _, attributes = bench.call(READING)
    assert "tokenomics.cost.reason" not in attributes


def test_a_newer_book_says_anew_who_bills_at_an_address(bench: Bench) -> None:
    request = Request("gpt-5.4", "openai", "llm.host.example", 443)
    assert bench.recorder.provider(request).name == "openai"
    newer = load_embedded().with_overlay(
        '{"providers": {"new_host": {"kind": "host", "hosts": ["llm.host.example"]}}}', "test"
    )
    bench.recorder.book = lambda: newer
    assert bench.recorder.provider(request).name == "new_host"
