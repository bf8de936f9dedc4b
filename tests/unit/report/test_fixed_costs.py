"""What is owed whatever is used: paid hours, their idle share, and fixed costs by day."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import Capacity, PriceBook, price
from otel_tokenomics.pricing.overlay import StaticCost
from otel_tokenomics.pricing.rates import FOREVER, instant
from otel_tokenomics.report.fixed_costs import (
    MS_PER_HOUR,
    CapacityCost,
    StaticDay,
    Use,
    capacity_costs,
    owed,
    spread,
    static_days,
    use_of,
)
from otel_tokenomics.report.otlp_files import read_spans
from otel_tokenomics.report.span_prices import SpanCall, calls_of

FOLDER = Path(__file__).resolve().parents[2] / "vectors"
USD = 10**12
DAY = instant("2026-11-22T00:00:00Z"), instant("2026-11-23T00:00:00Z")
HOUR = Capacity("azure.ai.openai", ("ptu",), "hourly", "capacity", 98 * USD, -FOREVER, FOREVER, {}, {"input": 9})
BY_USE = HOUR._replace(allocate="use")


def use(one: Capacity, at: str, pico: int = 0, weight: int = 0, span: str = "1") -> Use:
    return Use(one, "t", span, instant(at), pico, weight)


def only(one: Capacity, *uses: Use, period: tuple[int, int] = DAY) -> CapacityCost:
    (found,) = capacity_costs([one], uses, *period)
    return found


def test_a_day_without_a_call_is_idle() -> None:
    found = only(HOUR)
    assert (found.paid_ms, found.calls) == (24 * MS_PER_HOUR, 0)
    # 24 hours at $98
    assert (found.cost, found.allocated, found.idle) == (2352 * USD, 0, 2352 * USD)


def test_calls_take_their_price_and_those_of_another_day_nothing() -> None:
    found = only(
        HOUR,
        use(HOUR, "2026-11-21T23:59:59.999Z", 7 * USD),
        use(HOUR, "2026-11-22T00:00:00Z", 2 * USD),
        use(HOUR, "2026-11-22T23:59:59.999Z", 350 * USD),
        use(HOUR, "2026-11-23T00:00:00Z", 7 * USD),
        use(BY_USE, "2026-11-22T10:00:00Z", 7 * USD),
    )
    assert (found.calls, found.allocated, found.idle) == (2, 352 * USD, 2000 * USD)


def test_more_than_the_stated_throughput_shows_below_zero() -> None:
    assert only(HOUR, use(HOUR, "2026-11-22T10:00:00Z", 2400 * USD)).idle == -48 * USD


def test_an_hour_is_paid_within_its_dates_alone() -> None:
    dated = HOUR._replace(start=instant("2026-11-22T22:30:00Z"), until=instant("2026-12-01T00:00:00Z"))
    assert only(dated).cost == 147 * USD
    assert capacity_costs([dated], [], DAY[0] - 24 * MS_PER_HOUR, DAY[0]) == []


def test_gpus_are_paid_each_however_many() -> None:
    gpus = HOUR._replace(kind="gpu", pico_per_hour=9_223_372 * USD * (2**31 - 1))
    assert only(gpus).cost == 24 * 9_223_372 * (2**31 - 1) * USD


def test_a_day_has_24_hours_where_clocks_change() -> None:
    # In Europe 2026-10-25 has 25 hours, in UTC it does not.
    assert only(HOUR, period=(instant("2026-10-25T00:00:00Z"), instant("2026-10-26T00:00:00Z"))).cost == 2352 * USD


def test_the_hour_of_none_is_a_row_without_a_share() -> None:
    none = HOUR._replace(allocate="none")
    found = only(none, use(none, "2026-11-22T10:00:00Z"))
    assert (found.calls, found.cost, found.allocated, found.idle) == (1, 2352 * USD, None, None)


def test_hours_are_spread_over_the_calls_of_each() -> None:
    found = only(
        BY_USE,
        use(BY_USE, "2026-11-22T10:00:00Z", weight=1, span="a"),
        use(BY_USE, "2026-11-22T10:59:59.999Z", weight=2, span="b"),
        use(BY_USE, "2026-11-22T11:00:00Z", weight=5, span="c"),
        use(BY_USE, "2026-11-22T12:00:00Z", weight=0, span="d"),
    )
    # $98 / 3 = 32.666...; the remainder of one pico-dollar goes to the larger call. The hour of a call that took
    # nothing is idle.
    assert [(share.span_id, share.pico) for share in found.shares] == [
        ("a", 32_666_666_666_666), ("b", 65_333_333_333_334), ("c", 98 * USD), ("d", 0),
    ]  # fmt: skip
    assert (found.allocated, found.idle) == (196 * USD, 2156 * USD)


def test_an_hour_that_the_period_cuts_is_spread_in_part() -> None:
    period = instant("2026-11-22T10:45:00Z"), instant("2026-11-22T11:00:00Z")
    found = only(BY_USE, use(BY_USE, "2026-11-22T10:50:00Z", weight=1), period=period)
    assert (found.cost, found.allocated, found.idle) == (98 * USD // 4, 98 * USD // 4, 0)


@given(st.integers(0, 2**63), st.lists(st.integers(0, 10**30), max_size=20))
def test_parts_of_a_spread_add_up(cost: int, weights: list[int]) -> None:
    parts = spread(cost, weights)
    assert sum(parts) == (cost if any(weights) else 0)
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if not weight)


@given(st.integers(0, 2**63), st.lists(st.integers(DAY[0], DAY[1]), min_size=2, max_size=9).map(sorted))
def test_times_that_follow_each_other_add_up(pico: int, cuts: list[int]) -> None:
    one = HOUR._replace(pico_per_hour=pico)
    assert sum(owed(one, *pair) for pair in pairwise(cuts)) == owed(one, cuts[0], cuts[-1])
    if cuts[0] < cuts[-1]:
        cost = StaticCost("lease", pico, cuts[0], cuts[-1], {})
        days = [day.pico for pair in pairwise(cuts) for day in static_days([cost], *pair)]
        assert sum(days) == pico
        assert [day.pico for day in static_days([cost], *DAY)] == [pico]


def lease(usd: int, start: str, until: str | None = None) -> StaticCost:
    return StaticCost("lease", usd * USD, instant(start), instant(until) if until else FOREVER, {"team": "platform"})


def test_a_fixed_cost_is_spread_by_day_to_the_last_pico() -> None:
    cost = lease(10, "2026-11-01T00:00:00Z", "2026-11-04T00:00:00Z")
    month = instant("2026-11-01T00:00:00Z"), instant("2026-12-01T00:00:00Z")
    assert static_days([cost], *month) == [
        StaticDay("lease", "2026-11-01", 3_333_333_333_333, {"team": "platform"}),
        StaticDay("lease", "2026-11-02", 3_333_333_333_333, {"team": "platform"}),
        StaticDay("lease", "2026-11-03", 3_333_333_333_334, {"team": "platform"}),
    ]


def test_a_fixed_cost_that_begins_at_noon_has_half_days() -> None:
    cost = lease(4, "2026-11-01T12:00:00Z", "2026-11-03T12:00:00Z")
    days = static_days([cost], instant("2026-10-01T00:00:00Z"), instant("2026-12-01T00:00:00Z"))
    assert [(day.day, day.pico // USD) for day in days] == [("2026-11-01", 1), ("2026-11-02", 2), ("2026-11-03", 1)]


def test_a_fixed_cost_without_an_end_is_one_of_its_first_day() -> None:
    cost = lease(1200, "2026-11-22T23:59:59.999Z")
    assert [(day.day, day.pico) for day in static_days([cost], *DAY)] == [("2026-11-22", 1200 * USD)]
    assert static_days([cost], DAY[1], DAY[1] + 24 * MS_PER_HOUR) == []
    assert static_days([cost], DAY[0], DAY[1] - 1) == []


@pytest.fixture(scope="module")
def book() -> PriceBook:
    below = PriceBook.parse((FOLDER / "book.json").read_text(encoding="utf-8"), "book.json")
    return below.with_overlay((FOLDER / "overlay.json").read_text(encoding="utf-8"), "overlay.json")


def call_of(folder: Path, **attributes: Any) -> SpanCall:
    values = [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in {"gen_ai.operation.name": "chat", **attributes}.items()
    ]
    start = instant("2026-11-22T10:00:00Z") * 10**6
    span = {"traceId": "0a" * 16, "spanId": "0b" * 8, "name": "chat", "kind": 3, "attributes": values,
            "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 10**9)}  # fmt: skip
    file = folder / "spans.json"
    file.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}), encoding="utf-8")
    (found,) = calls_of(read_spans(file), Settings())
    return found


AZURE = {"gen_ai.provider.name": "azure.ai.openai", "gen_ai.response.model": "gpt-5"}


@pytest.mark.parametrize(
    ("deployment", "pico", "weight"),
    [
        # 1000 x 3266667 + 10 x 16333333; what it costs at the stated units per hour is what it weighs
        ("ptu-gpt5", 3_430_000_330, 3_430_000_330),
        ("ptu-use", 0, 3_430_000_330),
        # without units_per_hour the number of tokens
        ("ptu-none", 0, 1010),
    ],
)
def test_what_a_call_takes(book: PriceBook, tmp_path: Path, deployment: str, pico: int, weight: int) -> None:
    used = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 10}
    call = call_of(tmp_path, **{**AZURE, "gen_ai.request.model": deployment, **used})
    cost = price(
        book, "azure.ai.openai", "gpt-5", call.reading.reading.usage, {}, call.start_ms, request_model=deployment
    )
    found = use_of(book, call, cost)
    assert found is not None
    assert (found.capacity.ids[0], found.pico, found.weight) == (deployment, pico, weight)
    assert any(found.capacity is one for one in book.capacity)


def test_a_call_of_another_model_takes_nothing(book: PriceBook, tmp_path: Path) -> None:
    call = call_of(tmp_path, **AZURE, **{"gen_ai.usage.input_tokens": 1})
    assert use_of(book, call, price(book, "azure.ai.openai", "gpt-5", call.reading.reading.usage, {}, DAY[0])) is None
