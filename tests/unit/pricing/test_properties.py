"""Laws that hold for every usage, not for chosen ones."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_tokenomics.pricing import PriceBook, breakdown, price
from otel_tokenomics.pricing.factors import charge, half_even
from otel_tokenomics.usage import MAX_COUNT, MAX_PICO, UNITS, Usage

VECTORS = Path(__file__).parents[2] / "vectors"
BOOK = PriceBook.parse((VECTORS / "book.json").read_text(encoding="utf-8"), "book.json").with_overlay(
    (VECTORS / "overlay.json").read_text(encoding="utf-8"), "overlay.json"
)
MODELS = sorted(BOOK.ids())
MODEL = st.sampled_from(MODELS)
COUNTS = st.dictionaries(st.sampled_from(UNITS), st.integers(0, 10**7), min_size=1)
ANY_COUNTS = st.dictionaries(st.sampled_from(UNITS), st.integers(-5, MAX_COUNT + 5))
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "service_tier": st.sampled_from(["flex", "priority", "batch", "default"]),
        "inference_geo": st.sampled_from(["us", "eu", "half", "dear", "dust"]),
        "region": st.sampled_from(["third", "west"]),
        "account": st.sampled_from(["acct-eu", "acct-sub"]),
    },
)
AT = st.integers(1_700_000_000_000, 1_830_000_000_000)
LIMITED = settings(max_examples=250, deadline=None)


@LIMITED
@given(MODEL, ANY_COUNTS, FACTS, AT)
def test_status_amount_and_parts_agree(
    model: tuple[str, str], counts: dict[str, int], facts: dict[str, str], at_ms: int
) -> None:
    cost = price(BOOK, *model, Usage(counts), facts, at_ms)
    if cost.status == "unpriced":
        assert (cost.total, cost.parts, cost.source, cost.basis, cost.list) == (None, {}, None, None, None)
        assert cost.reason
        return
    assert cost.total is not None
    assert 0 <= cost.total <= MAX_PICO
    assert sum(cost.parts.values()) == cost.total
    assert all(amount > 0 for amount in cost.parts.values())
    assert (cost.reason is None) == (cost.status != "partial")
    assert cost.status != "free" or cost.total == 0
    assert cost.list is None or cost.list != cost.total


@LIMITED
@given(MODEL, COUNTS, FACTS, AT, st.randoms(use_true_random=False))
def test_order_of_counts_and_facts_is_nothing(
    model: tuple[str, str], counts: dict[str, int], facts: dict[str, str], at_ms: int, order: object
) -> None:
    counted, known = list(counts.items()), list(facts.items())
    order.shuffle(counted)  # type: ignore[attr-defined]
    order.shuffle(known)  # type: ignore[attr-defined]
    assert price(BOOK, *model, Usage(dict(counted)), dict(known), at_ms) == price(
        BOOK, *model, Usage(counts), facts, at_ms
    )


@LIMITED
@given(MODEL, COUNTS, st.sampled_from(UNITS), st.integers(1, 10**6), FACTS, AT)
def test_more_of_anything_never_costs_less(
    model: tuple[str, str], counts: dict[str, int], unit: str, more: int, facts: dict[str, str], at_ms: int
) -> None:
    before = price(BOOK, *model, Usage(counts), facts, at_ms)
    after = price(BOOK, *model, Usage({**counts, unit: counts.get(unit, 0) + more}), facts, at_ms)
    if before.total is not None and after.total is not None:
        assert after.total >= before.total


@LIMITED
@given(
    st.dictionaries(
        st.sampled_from(["input", "cache_read", "output", "request"]), st.integers(0, MAX_COUNT), min_size=1
    )
)
def test_overflow_is_said_exactly_where_it_happens(counts: dict[str, int]) -> None:
    rates = {"input": 10**15, "cache_read": 1000, "output": 10**15, "request": 807}
    exact = sum(count * rates[unit] for unit, count in counts.items())
    cost = price(BOOK, "lab", "huge", Usage(counts), {"account": "none"}, 0)
    # The overlay halves the book's rates; the list price itself must fit.
    assert (cost.reason == "overflow") == (exact > MAX_PICO)
    if cost.total is not None and exact:
        assert cost.total == half_even(exact, 2)
        assert cost.list == exact


@LIMITED
@given(
    st.dictionaries(st.sampled_from(UNITS), st.integers(1, 10**15), min_size=1),
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=3),
    st.data(),
)
def test_groups_round_once_and_shares_add_up(
    amounts: dict[str, int], ratios: list[tuple[int, int]], data: st.DataObject
) -> None:
    given_ratios = {unit: data.draw(st.sampled_from(ratios)) for unit in amounts}
    charged = charge(amounts, given_ratios)
    groups: dict[tuple[int, int], list[str]] = {}
    for unit in sorted(amounts, key=UNITS.index):
        groups.setdefault(given_ratios[unit], []).append(unit)
    # Python's own fractions round half-even.
    totals = {ratio: round(Fraction(*ratio) * sum(amounts[u] for u in units)) for ratio, units in groups.items()}
    too_much = any(part > MAX_PICO for part in (*totals.values(), sum(totals.values())))
    assert (charged is None) == too_much
    if charged is None:
        return
    assert charged.total == sum(totals.values()) == sum(charged.shares.values())
    for ratio, units in groups.items():
        largest = max(units, key=lambda unit: amounts[unit])
        for unit in units:
            floor = int(Fraction(*ratio) * amounts[unit])
            rest = totals[ratio] - sum(int(Fraction(*ratio) * amounts[one]) for one in units)
            assert charged.shares[unit] == floor + (rest if unit == largest else 0)


@LIMITED
@given(st.integers(-(10**20), 10**20), st.integers(1, 10**9))
def test_half_even(numerator: int, denominator: int) -> None:
    assert half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@LIMITED
@given(MODEL, COUNTS, FACTS, AT)
def test_breakdown_adds_up_before_factors(
    model: tuple[str, str], counts: dict[str, int], facts: dict[str, str], at_ms: int
) -> None:
    cost = price(BOOK, *model, Usage(counts), facts, at_ms)
    rows = breakdown(BOOK, cost, Usage(counts), at_ms)
    if cost.total is None:
        assert cost.reason == "overflow" or not rows
        return
    assert [row.unit for row in rows] == sorted((row.unit for row in rows), key=UNITS.index)
    assert all(row.amount_pico == row.count * row.rate_pico and row.count == counts[row.unit] for row in rows)
    if all(row.factor is None for row in rows):
        assert sum(row.amount_pico for row in rows) == cost.total
