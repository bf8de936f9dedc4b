"""Laws that hold for every usage, not for chosen ones: on the frozen book under its overlay, and on the live one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from otel_tokenomics.pricing import Cost, PriceBook, breakdown, load_embedded, price
from otel_tokenomics.pricing.factors import charge, half_even
from otel_tokenomics.usage import MAX_COUNT, MAX_PICO, UNITS, Usage

VECTORS = Path(__file__).parents[2] / "vectors"
BOOK = PriceBook.parse((VECTORS / "book.json").read_text(encoding="utf-8"), "book.json").with_overlay(
    (VECTORS / "overlay.json").read_text(encoding="utf-8"), "overlay.json"
)
LIVE = load_embedded()
MODELS = sorted(BOOK.ids())
MODEL = st.sampled_from(MODELS)
HEADER, ENTRIES = LIVE.written()
LIVE_MODELS = sorted(ENTRIES)
#: Models whose price depends on more than the counts, and those with context tiers.
INTRICATE = [key for key in LIVE_MODELS if len(ENTRIES[key]["rows"]) > 1 or "tiers" in ENTRIES[key]["rows"][0]]
TIERED = [key for key in LIVE_MODELS if any(row.get("tiers") for row in ENTRIES[key]["rows"])]
LIVE_MODEL = st.sampled_from(LIVE_MODELS) | st.sampled_from(INTRICATE)
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


class Call(NamedTuple):
    """Who is called, under which facts, when."""

    book: PriceBook
    provider: str
    model: str
    facts: dict[str, str]
    at_ms: int

    def cost(self, counts: Mapping[str, int]) -> Cost:
        return price(self.book, self.provider, self.model, Usage(counts), self.facts, self.at_ms)


@st.composite
def live_calls(draw: st.DrawFn, models: st.SearchStrategy[tuple[str, str]] = LIVE_MODEL) -> Call:
    """A call of a model of the live book, mostly under facts that its rows or factors ask for, of two of them too."""
    provider, model = draw(models)
    asked = [row.get("when", {}) for row in ENTRIES[provider, model]["rows"]]
    asked += [one["when"] for one in HEADER["multipliers"] if one["p"] == provider]
    when = {**draw(st.sampled_from(asked)), **draw(st.sampled_from(asked))}
    facts = {key: draw(st.sampled_from(words)) for key, words in when.items() if key != "calendar"}
    return Call(LIVE, provider, model, facts, draw(AT))


@st.composite
def frozen_calls(draw: st.DrawFn) -> Call:
    """A call of a model of the frozen book, under its overlay."""
    return Call(BOOK, *draw(MODEL), draw(FACTS), draw(AT))


CALLS = frozen_calls() | live_calls()


@LIMITED
@given(CALLS, ANY_COUNTS)
def test_status_amount_and_parts_agree(call: Call, counts: dict[str, int]) -> None:
    cost = call.cost(counts)
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
@given(CALLS, COUNTS, st.randoms(use_true_random=False))
def test_order_of_counts_and_facts_is_nothing(call: Call, counts: dict[str, int], order: Random) -> None:
    assert call._replace(facts=shuffled(call.facts, order)).cost(shuffled(counts, order)) == call.cost(counts)


def shuffled(value: Any, order: Random) -> Any:
    """Return the same JSON value, the keys of every object in another order."""
    if isinstance(value, dict):
        items = [(key, shuffled(one, order)) for key, one in value.items()]
        order.shuffle(items)
        return dict(items)
    return [shuffled(one, order) for one in value] if isinstance(value, list) else value


@settings(max_examples=60, deadline=None)  # it reads two books each time
@given(st.lists(LIVE_MODEL, min_size=2, max_size=6, unique=True), COUNTS, st.data(), st.randoms(use_true_random=False))
def test_order_within_a_book_is_nothing(
    models: list[tuple[str, str]], counts: dict[str, int], data: st.DataObject, order: Random
) -> None:
    written = {**HEADER, "models": [ENTRIES[key] for key in models]}
    mixed = shuffled(json.loads(json.dumps(written)), order)
    order.shuffle(mixed["models"])
    order.shuffle(mixed["multipliers"])
    for model in mixed["models"]:
        order.shuffle(model["rows"])
    straight, crooked = (PriceBook.parse(json.dumps(one), "book") for one in (written, mixed))
    for key in models:
        for call in data.draw(st.lists(live_calls(st.just(key)), min_size=3, max_size=3)):
            assert call._replace(book=crooked).cost(counts) == call.cost(counts)
            assert call._replace(book=straight).cost(counts) == call.cost(counts)


@LIMITED
@given(CALLS, COUNTS, st.sampled_from(UNITS), st.integers(1, 10**6))
def test_more_of_anything_never_costs_less(call: Call, counts: dict[str, int], unit: str, more: int) -> None:
    before, after = call.cost(counts), call.cost({**counts, unit: counts.get(unit, 0) + more})
    # Beyond a tier's edge other rates hold: no tier of the frozen book is cheaper, and of the live one the next test.
    if before.total is not None and after.total is not None and before.sku == after.sku:
        assert after.total >= before.total


def test_no_context_tier_is_cheaper_than_the_one_below() -> None:
    """So that more tokens never cost less across an edge, either."""
    for key in TIERED:
        for row in ENTRIES[key]["rows"]:
            below = row["rates"]
            for tier in row.get("tiers", ()):
                above = {**row["rates"], **tier["rates"]}
                assert not [unit for unit, rate in below.items() if above[unit] < rate], f"{key} above {tier['gt']}"
                below = above


@LIMITED
@given(live_calls(st.sampled_from(TIERED)), st.data())
def test_at_the_edge_of_a_tier_the_whole_request_is_priced_anew(call: Call, data: st.DataObject) -> None:
    rows = [row for row in ENTRIES[call.provider, call.model]["rows"] if row.get("tiers")]
    row = data.draw(st.sampled_from(rows))
    index = data.draw(st.integers(0, len(row["tiers"]) - 1))
    gt = row["tiers"][index]["gt"]
    cached, output = data.draw(st.integers(0, gt)), data.draw(st.integers(0, 10**6))
    below, above = (
        call.cost({"input": total - cached, "cache_read": cached, "output": output}) for total in (gt, gt + 1)
    )
    assume(above.sku is not None and above.sku.endswith(f";tier={gt}"))
    assert below.sku is not None
    lower = f";tier={row['tiers'][index - 1]['gt']}" if index else ""
    assert below.sku == above.sku.removesuffix(f";tier={gt}") + lower
    assert above.total is None or below.total is None or above.total >= below.total


@LIMITED
@given(live_calls(), COUNTS, st.integers(2, 50))
def test_so_many_times_the_usage_costs_so_many_times_as_much(call: Call, counts: dict[str, int], times: int) -> None:
    once, often = call.cost(counts), call.cost({unit: count * times for unit, count in counts.items()})
    rows = breakdown(LIVE, once, Usage(counts), call.at_ms)
    if once.total is not None and often.total is not None and once.sku == often.sku:
        if all(row.factor is None for row in rows):
            assert often.total == once.total * times
        else:
            # Each group of units is rounded once, by half a pico at most.
            groups = len({row.factor for row in rows})
            assert abs(often.total - once.total * times) * 2 <= groups * (times + 1)


@LIMITED
@given(
    live_calls(),
    COUNTS,
    st.lists(
        st.fixed_dictionaries(
            {
                "match": st.sampled_from(["*", "id", "half*"]),
                "ratio": st.integers(1, 10**6).flatmap(lambda den: st.tuples(st.integers(1, den), st.just(den))),
            },
            optional={"units": st.lists(st.sampled_from(UNITS), min_size=1, unique=True)},
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_a_discount_never_raises_a_price_and_its_parts_add_up(
    call: Call, counts: dict[str, int], cuts: list[dict[str, Any]]
) -> None:
    names = {"*": "*", "id": call.model, "half*": call.model[: len(call.model) // 2 + 1] + "*"}
    written = [{**cut, "p": call.provider, "match": names[cut["match"]]} for cut in cuts]
    own = LIVE.with_overlay(json.dumps({"discounts": written}), "own")
    listed, cut = call.cost(counts), call._replace(book=own).cost(counts)
    assert (cut.status, cut.reason, cut.sku, cut.flags) == (listed.status, listed.reason, listed.sku, listed.flags)
    if cut.total is None or listed.total is None:
        assert cut.total is listed.total is None
        return
    assert (cut.total if cut.list is None else cut.list) == listed.total
    # Groups that a discount splits are rounded apart, each by half a pico at most.
    assert cut.total <= listed.total + len(counts) // 2
    assert sum(cut.parts.values()) == cut.total
    assert billed(own, cut, counts, call.at_ms) == cut.total


def billed(book: PriceBook, cost: Cost, counts: Mapping[str, int], at_ms: int) -> int:
    """Return what the lines of the bill come to: units of equal factor are summed, and rounded once."""
    groups: dict[str | None, int] = {}
    for row in breakdown(book, cost, Usage(counts), at_ms):
        groups[row.factor] = groups.get(row.factor, 0) + row.amount_pico
    # Python's own fractions round half-even.
    return sum(round(Fraction(factor or "1") * amount) for factor, amount in groups.items())


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
@given(CALLS, COUNTS)
def test_the_lines_of_the_bill_add_up(call: Call, counts: dict[str, int]) -> None:
    cost = call.cost(counts)
    rows = breakdown(call.book, cost, Usage(counts), call.at_ms)
    if cost.total is None:
        assert cost.reason == "overflow" or not rows
        return
    assert [row.unit for row in rows] == sorted((row.unit for row in rows), key=UNITS.index)
    assert all(row.amount_pico == row.count * row.rate_pico and row.count == counts[row.unit] for row in rows)
    assert billed(call.book, cost, counts, call.at_ms) == cost.total
