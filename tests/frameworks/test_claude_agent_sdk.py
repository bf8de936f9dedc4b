"""claude-agent-sdk: its program runs against the local server, and what it exports says what was billed, once.

The SDK itself sees no model call, only the totals of a query and of its session, so nothing of it is instrumented.
"""

from __future__ import annotations

import functools
import importlib.util
import os
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
def run(neighbour: str, order: str, home: str) -> dict[str, Any]:
    """Run one cell in a process of its own, with nothing of the developer's own settings for the program."""
    here = Path(__file__).parent
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CLAUDE", "ANTHROPIC", "TRACE"))}
    environment = {
        **kept, "PYTHONPATH": str(here.parents[1]), "HOME": home, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    return said_by(here / "claude.py", (neighbour, order), environment, home)


def _forms(row: Row, order: str, home: str) -> list[tuple[str, Any]]:
    result = run(row.neighbour, order, home)
    return [(form, seen) for form, seen in result.items() if form != "failures"]


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
