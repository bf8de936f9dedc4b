"""claude-agent-sdk: its program runs against the local server, and the spans say what was billed, once.

Where the program exports spans, those bear the cost. Where it is silent, as it is by default, the SDK sees no model
call, only the totals of a query and of its session: what is new of these is charged.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from framework_table import CONTAINERS, Row, said_by

PROGRAM = "com.anthropic.claude_code.tracing"
TABLE = tuple(
    Row("claude_agent_sdk", name, PROGRAM, ("claude_agent_sdk",)) for name in ("alone", "openinference", "logfire")
)
CELLS = [
    pytest.param(row, order, id=f"{row.neighbour}-{order.replace(' ', '-')}")
    for row in TABLE
    for order in (("ours first", "theirs first") if row.neighbour != "alone" else ("ours first",))
]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("claude_agent_sdk") is None,
    reason="claude_agent_sdk is in the other environment: make test-frameworks",
)


@functools.cache
def run(neighbour: str, order: str, home: str, telemetry: str = "exporting") -> dict[str, Any]:
    """Run one cell in a process of its own, with nothing of the developer's own settings for the program."""
    here = Path(__file__).parent
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CLAUDE", "ANTHROPIC", "TRACE"))}
    environment = {
        **kept, "PYTHONPATH": str(here.parents[1]), "HOME": home, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    return said_by(here / "claude.py", (neighbour, order, telemetry), environment, home)


def _forms(row: Row, order: str, home: str, telemetry: str = "exporting") -> list[tuple[str, Any]]:
    result = run(row.neighbour, order, home, telemetry)
    return [(form, seen) for form, seen in result.items() if form not in ("failures", "figures")]


@pytest.mark.parametrize(("row", "order"), CELLS)
def test_what_the_program_exports_is_the_bill(row: Row, order: str, home: str) -> None:
    assert run(row.neighbour, order, home)["failures"] == {}
    for form, seen in _forms(row, order, home):
        bearing = [span for span in seen["at_export"] if span["cost"] is not None]
        assert {span["scope"] for span in bearing} == {row.holder}, form
        assert {span["team"] for span in bearing} == {"search"}, form  # a tag of its resource: it is another process
        if form == "cached":
            # 100 of plain input, 1,000 read from the cache, 50 of output: adding the cache twice would give 2,150.
            (span,) = bearing
            assert span["tokens"] == 1150
            assert span["cost"] == pytest.approx(seen["results"][0]["cost"], abs=1e-9)
            continue
        assert sorted(span["tokens"] for span in bearing) == sorted(seen["billed"]), form
        assert sum(span["cost"] for span in bearing) == pytest.approx(seen["bill"], abs=1e-12), form


@pytest.mark.parametrize(("row", "order"), CELLS)
def test_nothing_else_bears_a_cost(row: Row, order: str, home: str) -> None:
    for form, seen in _forms(row, order, home):
        assert [
            span for span in seen["spans"] if span["cost"] is not None or span["scope"] == "otel_tokenomics"
        ] == [], form
        boxes = [span for span in seen["at_export"] if span["kind"] in CONTAINERS]
        assert boxes, form
        assert {(span["cost"], span["status"]) for span in boxes} == {(None, "not_applicable")}, form
        assert not seen["content"], form
        assert not any("tokenomics" in header for header in seen["baggage"]), form


def test_a_query_reports_itself_and_its_session(home: str) -> None:
    """``usage`` is of one query, ``model_usage`` and ``total_cost_usd`` are of all since the session began."""
    seen = run("alone", "ours first", home)["session"]
    first, second, third = seen["billed"]
    assert [result["query"] for result in seen["results"]] == [first + second, third]
    assert [result["session"] for result in seen["results"]] == [first + second, first + second + third]
    assert seen["results"][1]["cost"] == pytest.approx(seen["bill"], abs=1e-9)


def test_the_program_exports_no_span_of_a_call_that_was_interrupted(home: str) -> None:
    """That call is billed, and neither the program's spans nor the query's usage hold it: the session's total does."""
    seen = run("alone", "ours first", home)["interrupted"]
    assert seen["cut"] == 1
    assert seen["results"][1]["query"] == 0
    assert seen["results"][1]["session"] > sum(seen["billed"])


@pytest.mark.parametrize(("row", "order"), CELLS)
def test_the_caller_gets_what_he_would_without_us(row: Row, order: str, home: str) -> None:
    without = run(row.neighbour, "without ours", home)
    for form, seen in _forms(row, order, home):
        if form != "interrupted":  # how much of it arrives is a race
            assert seen["answer"] == without[form]["answer"], form


# --- the program is silent -------------------------------------------------------------------------

OLD = importlib.util.find_spec("claude_agent_sdk") is not None and version("claude-agent-sdk").startswith("0.1.")
#: USD of a million tokens of input, output and cache read: https://platform.claude.com/docs/en/about-claude/pricing.
PRICES = {
    "claude-sonnet-5-5": (2.0, 10.0, 0.1),
    "claude-haiku-5-5": (0.1, 0.5, 0.01),
    "claude-haiku-4-5-20251001": (1.0, 5.0, 0.1),  # of programs of 0.1
}


def _bill(ledger: list[Any]) -> float:
    total = 0.0
    for model, usage in ledger:
        given, made, cached = PRICES[model]
        total += usage["input_tokens"] * given + usage["output_tokens"] * made
        total += usage.get("cache_read_input_tokens", 0) * cached
    return total / 1e6


def _bearing(seen: Any) -> list[Any]:
    return [span for span in seen["at_export"] if span["cost"] is not None]


@pytest.mark.parametrize(("row", "order"), CELLS)
def test_what_a_silent_program_used_is_the_bill(row: Row, order: str, home: str) -> None:
    assert run(row.neighbour, order, home, "silent")["failures"] == {}
    for form, seen in _forms(row, order, home, "silent"):
        bearing = _bearing(seen)
        assert {span["scope"] for span in bearing} <= {"otel_tokenomics"}, form
        if form == "abandoned":
            assert bearing == []
        elif form == "interrupted" and OLD:  # its program says nothing of what it broke off
            assert [span["status"] for span in bearing] == ["priced"]
            assert "unpriced" in {span["status"] for span in seen["at_export"]}
        elif form == "interrupted":
            assert [span["status"] for span in bearing] == ["priced", "partial"]
            assert bearing[0]["cost"] == pytest.approx(_bill(seen["ledger"][:1]), abs=1e-12)
            # All that it was asked, and the little of the answer that had come.
            assert bearing[1]["cost"] == pytest.approx(_bill([_without_output(seen["ledger"][1])]), abs=1e-4)
        else:
            assert {span["status"] for span in bearing} == {"priced"}, form
            assert sum(span["cost"] for span in bearing) == pytest.approx(_bill(seen["ledger"]), abs=1e-12), form
            told = sum(span["tokens"] for span in bearing)
            cached = sum(usage.get("cache_read_input_tokens", 0) for _, usage in seen["ledger"])
            assert told == sum(usage["input_tokens"] + usage["output_tokens"] for _, usage in seen["ledger"]) + cached


def _without_output(line: Any) -> Any:
    return line[0], {**line[1], "output_tokens": 0}


@pytest.mark.parametrize(("row", "order"), CELLS)
def test_a_silent_program_is_charged_where_and_for_whom_it_was_asked(row: Row, order: str, home: str) -> None:
    for form, seen in _forms(row, order, home, "silent"):
        above = {span["id"]: span["parent"] for span in seen["at_export"]}
        ours = [span for span in seen["at_export"] if span["scope"] == "otel_tokenomics"]
        assert {span["team"] for span in ours} == ({"red", "blue"} if form == "together" else {form})
        for span in ours:
            at = span["parent"]
            while at != seen["request"]:
                at = above[at]
        boxes = [span for span in seen["at_export"] if span["kind"] in CONTAINERS]
        assert {(span["cost"], span["status"]) for span in boxes} <= {(None, "not_applicable")}, form
        assert not seen["content"], form
        assert not any("tokenomics" in header for header in seen["baggage"]), form


def test_what_the_program_believes_that_it_cost_is_compared(home: str) -> None:
    figures = run("alone", "ours first", home, "silent")["figures"]
    assert list(figures) == ["agree"]
    assert figures["agree"] > 15


def test_each_model_of_a_query_has_a_span(home: str) -> None:
    seen = run("alone", "ours first", home, "silent")["subagent"]
    assert sorted(span["name"] for span in _bearing(seen)) == ["chat claude-haiku-5-5", "chat claude-sonnet-5-5"]


def test_two_programs_side_by_side_are_told_apart(home: str) -> None:
    seen = run("alone", "ours first", home, "silent")["together"]
    costs = {team: [span["cost"] for span in _bearing(seen) if span["team"] == team] for team in ("red", "blue")}
    assert len(costs["red"]) == 2
    assert costs["red"] == costs["blue"]


def test_a_query_whose_end_is_not_awaited_is_unpriced(home: str) -> None:
    seen = run("alone", "ours first", home, "silent")["abandoned"]
    (span,) = [span for span in seen["at_export"] if span["scope"] == "otel_tokenomics"]
    assert (span["cost"], span["status"], span["end"]) == (None, "unpriced", "abandoned")
    assert len(seen["ledger"]) == 1


@pytest.mark.parametrize(("row", "order"), CELLS)
def test_the_caller_of_a_silent_program_gets_what_he_would_without_us(row: Row, order: str, home: str) -> None:
    without = run(row.neighbour, "without ours", home, "silent")
    for form, seen in _forms(row, order, home, "silent"):
        if form not in ("interrupted", "together"):  # how much of it arrives, and whose is first, is a race
            assert seen["answer"] == without[form]["answer"], form
