"""What is new with each result of Claude Code: by model, once, and never what another program had counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from otel_tokenomics.usage import Usage
from otel_tokenomics.usage.dialects.claude_code import SessionCount, Used, last_state, nothing, read

MAIN, HELPER = "claude-sonnet-5-5", "claude-haiku-5-5"


def counts(given: int, made: int, read_: int = 0, written: int = 0, searched: int = 0) -> dict[str, Any]:
    return {
        "inputTokens": given, "outputTokens": made, "cacheReadInputTokens": read_, "cacheCreationInputTokens": written,
        "webSearchRequests": searched, "costUSD": 1.5, "contextWindow": 1000000,
    }  # fmt: skip


def result(used: Mapping[str, Any] | None, query: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "type": "result", "subtype": "success", "session_id": "s", "modelUsage": used, "usage": query or {}, **more
    }  # fmt: skip


def query(given: int, made: int, **more: Any) -> dict[str, Any]:
    return {"input_tokens": given, "output_tokens": made, **more}


def readings(found: list[Used]) -> list[tuple[str | None, Any, str | None, tuple[str, ...]]]:
    made = [read(used) for used in found]
    return [
        (one.response_model, one.usage and dict(one.usage.counts), one.reason, one.flags) for one in made if one
    ]  # fmt: skip


def test_only_what_is_new_is_told_of_each_model() -> None:
    session = SessionCount(resumed=False)
    first = session.new(result({HELPER: counts(9, 1), MAIN: counts(100, 10, 50)}), MAIN)
    assert readings(first) == [
        (MAIN, {"input": 100, "cache_read": 50, "output": 10}, None, ()),
        (HELPER, {"input": 9, "output": 1}, None, ()),
    ]
    second = session.new(result({HELPER: counts(9, 1), MAIN: counts(130, 12, 50, searched=2)}), MAIN)
    assert readings(second) == [(MAIN, {"input": 30, "output": 2, "web_search": 2}, None, ())]
    assert session.new(result({HELPER: counts(9, 1), MAIN: counts(130, 12, 50, searched=2)}), MAIN) == []


@pytest.mark.parametrize("given", [20, 120])
def test_a_session_that_was_cleared_begins_anew(given: int) -> None:
    """Claude Code 2.1.332: zero under another id. Its next query may be larger than all before."""
    session = SessionCount(resumed=False)
    session.new(result({MAIN: counts(100, 10)}, query(100, 10)), MAIN)
    found = session.new(result({MAIN: counts(given, 11)}, query(given, 11), session_id="t"), MAIN)
    assert readings(found) == [(MAIN, {"input": given, "output": 11}, None, ())]


def test_a_session_that_was_cleared_may_go_on_counting() -> None:
    """The program of the SDK's 0.1.81 and 0.2.100: another id, the same count."""
    session = SessionCount(resumed=False)
    session.new(result({MAIN: counts(100, 10)}, query(100, 10)), MAIN)
    assert session.new(result({MAIN: counts(100, 10)}, query(0, 0), session_id="t"), MAIN) == []
    found = session.new(result({MAIN: counts(130, 12)}, query(30, 2), session_id="t"), MAIN)
    assert readings(found) == [(MAIN, {"input": 30, "output": 2}, None, ())]


def test_a_result_may_hold_the_query_after_it() -> None:
    """A subagent in the background wakes the session: both queries end with the same count."""
    session = SessionCount(resumed=False)
    session.new(result({MAIN: counts(130, 12)}, query(100, 10)), MAIN)
    assert session.new(result({MAIN: counts(130, 12)}, query(30, 2)), MAIN) == []


def test_a_count_that_falls_began_anew() -> None:
    session = SessionCount(resumed=False)
    session.new(result({MAIN: counts(100, 10)}), MAIN)
    assert readings(session.new(result({MAIN: counts(20, 11)}), MAIN)) == [
        (MAIN, {"input": 20, "output": 11}, None, ())
    ]


def test_an_interrupted_query_is_a_lower_bound() -> None:
    session = SessionCount(resumed=False)
    session.new(result({MAIN: counts(100, 10)}, query(100, 10)), MAIN)
    cut = {"subtype": "error_during_execution"}
    found = session.new(result({MAIN: counts(150, 11)}, query(0, 0), **cut), MAIN)
    assert readings(found) == [(MAIN, {"input": 50, "output": 1}, "incomplete_usage", ())]
    # Nothing is new: whether anything was asked is not known, so it is not nothing.
    assert readings(session.new(result({MAIN: counts(150, 11)}, query(0, 0), **cut), MAIN)) == [(MAIN, None, None, ())]


def test_what_the_program_believes_that_it_cost_grows_too() -> None:
    session = SessionCount(resumed=False)
    costs = [
        [read(used).opinion for used in session.new(result({MAIN: {**counts(given, 1), "costUSD": cost}}), MAIN)]  # type: ignore[union-attr]
        for given, cost in ((100, 0.010414), (130, 0.021088000000000003), (150, None))
    ]
    # In pico-USD; where none is stated, none is known.
    assert costs == [[10_414_000_000], [10_674_000_000], [None]]


def test_a_query_without_a_call_used_nothing() -> None:
    assert readings([nothing(MAIN)]) == [(MAIN, {"input": 0, "output": 0}, None, ())]


@pytest.mark.parametrize(
    ("before", "total", "expected"),
    [
        pytest.param({MAIN: {"inputTokens": 100, "outputTokens": 10}}, counts(130, 12), (30, 2, None), id="goes on"),
        pytest.param({MAIN: {"inputTokens": 100, "outputTokens": 10}}, counts(150, 13), (50, 3, None), id="and more"),
        pytest.param({MAIN: {"inputTokens": 100, "outputTokens": 10}}, counts(30, 2), (30, 2, None), id="from zero"),
        pytest.param({}, counts(30, 2), (30, 2, None), id="nothing before"),
        pytest.param(None, counts(30, 2), (30, 2, None), id="unknown, but all of it is the query's"),
        pytest.param(None, counts(130, 12), (30, 2, "incomplete_usage"), id="unknown"),
        pytest.param({MAIN: {"inputTokens": 110, "outputTokens": 10}}, counts(130, 12), (30, 2, "incomplete_usage"),
                     id="known wrongly"),
    ],
)  # fmt: skip
def test_a_resumed_session_is_never_charged_twice(before: Any, total: Any, expected: tuple[int, int, Any]) -> None:
    session = SessionCount(resumed=True)
    session.before = before
    given, made, reason = expected
    assert readings(session.new(result({MAIN: total}, query(30, 2)), MAIN)) == [
        (MAIN, {"input": given, "output": made}, reason, ())
    ]
    # From then on the total tells.
    more = {MAIN: counts(total["inputTokens"] + 7, total["outputTokens"] + 1)}
    assert readings(session.new(result(more, query(7, 1)), MAIN)) == [(MAIN, {"input": 7, "output": 1}, None, ())]


def test_a_program_that_counts_no_session_tells_of_its_query() -> None:
    found = SessionCount(resumed=False).new(result(None, query(30, 2)), MAIN)
    assert readings(found) == [(MAIN, {"input": 30, "output": 2}, "incomplete_usage", ())]


def test_the_lifetime_of_cache_writes_is_the_query_s_where_it_wrote_them_all() -> None:
    split = {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200}
    asked = query(10, 5, cache_creation_input_tokens=500, cache_creation=split, service_tier="standard")
    (known,) = SessionCount(resumed=False).new(result({MAIN: counts(10, 5, 0, 500)}, asked), MAIN)
    reading = read(known)
    assert reading is not None
    assert reading.usage == Usage({"input": 10, "cache_write": 300, "cache_write_1h": 200, "output": 5})
    assert (reading.flags, reading.facts, reading.summed) == ((), {"service_tier": "standard"}, True)
    # 100 more were written by a call that the query does not count.
    found = SessionCount(resumed=False).new(result({MAIN: counts(10, 5, 0, 600)}, asked), MAIN)
    assert readings(found) == [(MAIN, {"input": 10, "cache_write": 600, "output": 5}, None, ("assumed_default",))]


@pytest.mark.parametrize(
    "used",
    [
        {},
        {MAIN: None},
        {MAIN: "x"},
        {MAIN: {"inputTokens": -5}},
        {MAIN: {"inputTokens": "many"}},
        {MAIN: {"inputTokens": True}},
    ],
)
def test_what_is_no_count_is_no_charge(used: Any) -> None:
    assert SessionCount(resumed=False).new(result(used), MAIN) == []


def test_the_state_of_a_session_is_the_last_in_its_transcript() -> None:
    lines = [
        {"type": "user", "message": "cost-state"},
        {"type": "cost-state", "sessionId": "s", "modelUsage": {MAIN: counts(1, 1)}},
        {"type": "cost-state", "sessionId": "s", "modelUsage": {MAIN: counts(30, 2)}},
        {"type": "assistant"},
    ]
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines).encode()
    state = last_state(text)
    assert state is not None
    assert (state[MAIN]["inputTokens"], state[MAIN]["outputTokens"]) == (30, 2)
    assert last_state(b'{"type":"user"}\n') is None
