"""One charge for one response, over the batches of one exporter; the vectors hold what is decided within one batch."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from otel_tokenomics.attributes.read import CallIdentity
from otel_tokenomics.telemetry import one_charge
from otel_tokenomics.telemetry.one_charge import Charged, RecentCalls

LANGCHAIN = "opentelemetry.instrumentation.langchain"
TOTAL = "tokenomics.cost.total"
#: Of a trace that nothing else stands in.
TRACE = 0xA


def span(
    number: int, start: int, end: int, *, own: bool = False, parent: int | None = 1, trace: int = TRACE, **more: Any
) -> Charged:
    identity = CallIdentity(own, False, more.get("response_id"), "openai", frozenset({"gpt-5.4"}), (1000, 100))
    bears = {TOTAL: 0.004}
    before, after = (bears, None) if own else ({}, bears)
    scope = "otel_tokenomics" if own else more.get("scope", LANGCHAIN)
    return Charged(trace, number, parent, start, end, scope, before, after, identity)


def around(number: int, parent: int | None = None, **attributes: Any) -> Charged:
    """Return a span of the application, with totals of the SDK where they are given."""
    return Charged(TRACE, number, parent, 0, 1000, "application", attributes, None, None)


def sent(recent: RecentCalls, *batches: Sequence[Charged]) -> dict[int, dict[str, Any]]:
    """Return what each span bears as it leaves."""
    left: dict[int, dict[str, Any]] = {}
    for batch in batches:
        for given, attributes in zip(batch, recent.settle(batch), strict=True):
            left[given.span_id] = dict(given.before) if attributes is None else attributes
    return left


def charged(left: dict[int, dict[str, Any]]) -> set[int]:
    return {number for number, bears in left.items() if TOTAL in bears}


@pytest.fixture(autouse=True)
def _nothing_started() -> Iterator[None]:
    one_charge._started.clear()
    yield
    one_charge._started.clear()


def test_a_call_that_left_before_is_known() -> None:
    left = sent(RecentCalls(), [span(2, 20, 80, own=True)], [span(3, 10, 90)])
    assert charged(left) == {2}
    assert left[3] == {"tokenomics.cost.status": "not_applicable", "tokenomics.cost.reason": "shadowed"}


def test_each_call_meets_one_span_of_an_instrumentation_in_whatever_batches_they_come() -> None:
    ended = [span(2, 20, 80, own=True), span(3, 10, 90), span(4, 9, 91), span(5, 8, 92, scope="openinference.x")]
    for cut in range(4):
        left = sent(RecentCalls(), ended[:cut], ended[cut:])
        assert charged(left) == {2, 4}, cut


def test_an_instrumentation_that_left_first_keeps_its_charge() -> None:
    """It cannot be taken back, and a call of ours is never held for somebody else's."""
    assert charged(sent(RecentCalls(), [span(3, 10, 90)], [span(2, 20, 80, own=True)])) == {2, 3}


def test_parallel_equal_calls_in_every_order_of_their_ends() -> None:
    """Three calls of ours, their three spans, and one more of the instrumentation that holds none of them."""
    times = [(10, 40), (12, 50), (11, 45)]
    calls = [span(10 + at, start + 1, end - 1, own=True) for at, (start, end) in enumerate(times)]
    spans = [span(20 + at, start, end) for at, (start, end) in enumerate(times)]
    alone = span(30, 13, 39)
    ended = sorted([*calls, *spans, alone], key=lambda one: one.end)
    for size in (1, 2, 3, 7):
        left = sent(RecentCalls(), *(ended[at : at + size] for at in range(0, 7, size)))
        assert charged(left) == {10, 11, 12, 30}, size


def test_any_interleaving_keeps_the_sum() -> None:
    """Of n watched calls and m that only the instrumentation saw, n + m are charged: in one batch or one by one."""
    chance = random.Random(20261126)
    for _ in range(200):
        numbers = itertools.count(2)
        spans: list[Charged] = []
        watched, unwatched = chance.randrange(1, 6), chance.randrange(3)
        for _ in range(watched):
            start = chance.randrange(50)
            end = start + 4 + chance.randrange(50)
            spans += [span(next(numbers), start, end), span(next(numbers), start + 1, end - 1, own=True)]
        for _ in range(unwatched):
            start = 200 + chance.randrange(50)  # no call of ours lies in its time
            spans.append(span(next(numbers), start, start + 9))
        spans.sort(key=lambda one: one.end)
        whole = charged(sent(RecentCalls(), spans))
        single = charged(sent(RecentCalls(), *([one] for one in spans)))
        assert len(whole) == len(single) == watched + unwatched
        assert {one.span_id for one in spans if one.call and one.call.own} <= whole & single


def test_a_tree_that_hides_is_known_before_its_parents_end() -> None:
    kept = RecentCalls()
    one_charge.note_start(TRACE, 1, None, "application")
    one_charge.note_start(TRACE, 2, 1, LANGCHAIN)
    one_charge.note_start(TRACE, 6, 1, "application")
    left = sent(kept, [span(3, 20, 80, own=True)], [span(7, 10, 90, parent=6)], [span(4, 10, 90, parent=2)])
    assert charged(left) == {3, 7}  # under the application's own span it is another call


def test_starts_are_kept_for_an_exporter_alone_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_charge, "_live", set())
    one_charge.note_start(TRACE, 1, None, "application")
    assert not one_charge._started
    monkeypatch.setattr(one_charge, "_live", {RecentCalls()})
    monkeypatch.setattr(one_charge, "_MAX_STARTED", 5)
    for number in range(1, 20):
        one_charge.note_start(TRACE, number, None, "application")
    assert list(one_charge._started) == [(TRACE, number) for number in range(15, 20)]


def test_a_call_outside_any_span_is_known_over_traces() -> None:
    call = span(2, 20, 80, own=True, parent=None, trace=1)
    assert charged(sent(RecentCalls(), [call], [span(3, 10, 90, parent=None, trace=2)])) == {2}
    later = span(3, 100, 190, parent=None, trace=2)
    assert charged(sent(RecentCalls(), [call], [later])) == {2, 3}


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_charge, "_MAX_SPANS", 10)
    monkeypatch.setattr(one_charge, "_MAX_SPANS_OF_A_TRACE", 4)
    recent = RecentCalls()
    for trace in range(50):
        sent(recent, [span(number, 20, 80, own=True, trace=trace) for number in range(2, 9)])
        assert recent._spans == sum(len(spans) for spans in recent._traces.values()) <= 10
    assert list(recent._traces) == [48, 49]
    assert charged(sent(recent, [span(90, 10, 90, trace=49)])) == set()
    assert charged(sent(recent, [span(91, 10, 90, trace=3)])) == {91}  # forgotten: a charge more, none lost


def test_totals_are_partial_where_something_was_priced_below_them_and_only_there() -> None:
    totals = {"tokenomics.subtree.cost.total": 0.004, "tokenomics.subtree.partial": False}
    for priced in (False, True):
        below = span(3, 10, 70 if priced else 90)  # it ends before our call does: another call
        left = sent(RecentCalls(), [span(2, 20, 80, own=True)], [below], [around(1, **totals)])
        assert (3 in charged(left)) is priced
        assert left[1]["tokenomics.subtree.partial"] is priced


def test_cycles_and_depth_end() -> None:
    ring = [span(number, 10, 90, parent=number % 5 + 1) for number in range(1, 6)]
    deep = [span(number, 10, 90, parent=number - 1, trace=2) for number in range(2, 2000)]
    assert len(sent(RecentCalls(), [*ring, *deep, span(1, 1, 2, parent=1, trace=3)])) == 1999


def test_a_fork_under_the_held_lock_does_not_hang_the_child() -> None:
    script = """
import os, signal
from otel_tokenomics.telemetry.one_charge import RecentCalls
recent = RecentCalls()
with recent._lock:
    child = os.fork()
    if not child:
        signal.alarm(5)
        recent.settle([])
        os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.strip() == "0", done.stderr
