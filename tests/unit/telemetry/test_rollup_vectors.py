"""The roll-up's vectors, as far as one process can see: live totals, and which of several spans bears a charge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Span

from otel_tokenomics.attributes import names
from otel_tokenomics.attributes.read import CallIdentity
from otel_tokenomics.pricing import Cost
from otel_tokenomics.telemetry import rollup
from otel_tokenomics.telemetry.one_charge import Charged, settle_batch
from otel_tokenomics.telemetry.tag_processor import TagProcessor
from otel_tokenomics.usage import pico_to_usd

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "rollup.json").read_text(encoding="utf-8")
)
NAMES = [case["name"] for case in CASES]
TRACER = TracerProvider(shutdown_on_exit=False)
TRACER.add_span_processor(TagProcessor({}))
FIELDS = {"id", "parent", "start", "status", "own", "provider", "model", "response_id", "input", "output"}
EXPECTED = {"subtree", "partial", "trace", "shadowed"}


def is_live(case: dict[str, Any]) -> bool:
    """One process sees its own calls below its own spans: nothing is missing, comes twice or is somebody else's."""
    expect, spans = case["expect"], case["spans"]
    roots = [span for span in spans if not span["parent"]]
    return (
        expect["trace"] is not None
        and expect["trace"]["complete"]
        and not expect["shadowed"]
        and len(roots) == 1
        and len({span["id"] for span in spans}) == len(spans)
        # A call that is a whole trace bears its own cost, not the same once more.
        and len(spans) > 1
    )


LIVE = [case for case in CASES if is_live(case)]


def test_most_cases_are_live() -> None:
    assert len(LIVE) > len(CASES) / 2
    assert all(set(case) == {"name", "why", "spans", "expect"} and case["why"] for case in CASES)
    assert all(set(case["expect"]) == EXPECTED for case in CASES)
    assert not {field for case in CASES for span in case["spans"] for field in span} - FIELDS
    assert len(set(NAMES)) == len(NAMES)


def cost_of(span: dict[str, Any]) -> Cost:
    own = span.get("own")
    return Cost(
        span["status"], None, None if own is None else int(own), {}, None, None, "sdk", "list", (), None,
        span["model"], None, None, "b", {}, {},
    )  # fmt: skip


def run(case: dict[str, Any]) -> dict[str, Span]:
    """Start every span below its parent, then settle and end them, the leaves first."""
    given = {span["id"]: span for span in case["spans"]}
    made: dict[str, Span] = {}

    def start(number: str) -> Span:
        if number not in made:
            parent = given[number]["parent"]
            within = trace.set_span_in_context(start(parent)) if parent else None
            made[number] = TRACER.get_tracer("t").start_span(number, within)
            if "model" in given[number]:
                rollup.opened(rollup.ancestors_of(made[number]))
        return made[number]

    def end(number: str) -> None:
        span, fields = made[number], given[number]
        if "own" in fields and "model" not in fields:
            rollup.charged(span, rollup.ancestors_of(span), int(fields["own"]))
        for child in given.values():
            if child["parent"] == number:
                end(child["id"])
        if "model" in fields:
            tokens = int(fields.get("input", 0)), int(fields.get("output", 0))
            rollup.settled(rollup.ancestors_of(span), cost_of(fields), tokens, holder=span)
        span.end()

    for number in given:
        start(number)
    end(next(number for number, span in given.items() if not span["parent"]))
    return made


@pytest.mark.parametrize("case", LIVE, ids=[case["name"] for case in LIVE])
def test_the_live_totals_are_those_of_the_vectors(case: dict[str, Any]) -> None:
    subtree: dict[str, Any] = {}
    trace_totals: dict[str, Any] = {}
    for number, span in run(case).items():
        assert isinstance(span, ReadableSpan)
        bears = dict(span.attributes or {})
        assert bears.pop(names.TOKENOMICS_SUBTREE_PARTIAL, False) is False
        if names.TOKENOMICS_SUBTREE_COST_TOTAL in bears:
            subtree[number] = bears.pop(names.TOKENOMICS_SUBTREE_COST_TOTAL)
        if bears:
            assert not case["spans"][[s["id"] for s in case["spans"]].index(number)]["parent"]
            trace_totals = bears
    expect = case["expect"]
    assert subtree == {number: pico_to_usd(int(pico)) for number, pico in expect["subtree"].items()}
    wanted: dict[str, Any] = {
        names.TOKENOMICS_TRACE_LLM_CALLS: int(expect["trace"]["llm_calls"]),
        names.TOKENOMICS_TRACE_UNPRICED_CALLS: int(expect["trace"]["unpriced_calls"]),
        names.TOKENOMICS_TRACE_TOKENS_INPUT: int(expect["trace"]["input"]),
        names.TOKENOMICS_TRACE_TOKENS_OUTPUT: int(expect["trace"]["output"]),
    }
    if "total" in expect["trace"]:
        wanted[names.TOKENOMICS_TRACE_COST_TOTAL] = pico_to_usd(int(expect["trace"]["total"]))
    if "top_model" in expect["trace"]:
        wanted[names.TOKENOMICS_TRACE_TOP_MODEL] = expect["trace"]["top_model"]
    assert trace_totals == wanted


def charged(span: dict[str, Any]) -> Charged:
    bears: dict[str, Any] = {names.TOKENOMICS_COST_STATUS: span["status"]}
    if "own" in span:
        bears[names.TOKENOMICS_COST_TOTAL] = pico_to_usd(int(span["own"]))
    call = None
    if "model" in span and span["status"] != "not_applicable":
        call = CallIdentity(
            own=False,
            repeats=False,
            response_id=span.get("response_id"),
            provider=span["provider"],
            models=frozenset({span["model"]}),
            tokens=(int(span.get("input", 0)), int(span.get("output", 0))),
        )
    start = int(span["start"])
    parent = int(span["parent"]) if span["parent"] else None
    return Charged(1, int(span["id"]), parent, start, start, "theirs", {}, bears, call)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_one_charge_as_in_the_vectors(case: dict[str, Any]) -> None:
    changed = settle_batch([charged(span) for span in case["spans"]])
    lost = {
        span["id"]
        for span, bears in zip(case["spans"], changed, strict=True)
        if bears is not None and bears.get(names.TOKENOMICS_COST_REASON) == "shadowed"
    }
    assert lost == set(case["expect"]["shadowed"])
