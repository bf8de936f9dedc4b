"""What multipliers, discounts and own rows make of an amount: contracted total, list price, savings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from otel_tokenomics.pricing.book import Model
from otel_tokenomics.pricing.factors import ONE, Discount, Multiplier, Ratio, charge, half_even, ratio_of
from otel_tokenomics.pricing.rates import PLAIN_OF, RateTable, Row
from otel_tokenomics.usage import MAX_PICO, UNITS, Facts

#: Units whose counts make up one request's whole input: what context tiers are compared with.
INPUT_UNITS: Final = frozenset(
    {
        "input", "cache_read", "cache_write", "cache_write_1h", "cache_write_12h",
        "audio_in", "audio_cache_read", "image_in", "video_in",
    }
)  # fmt: skip


class Factors(NamedTuple):
    """What acts on the amounts of one call: each unit's factor, None where more than three ratios act on it.

    ``listed`` is under the multipliers that hold, None where none does; ``final`` also under the narrowest discount
    on the unit; ``discounted`` are the units on which one acts.
    """

    listed: Mapping[str, Ratio | None] | None
    final: Mapping[str, Ratio | None]
    discounted: frozenset[str]


NOTHING_ACTS: Final = Factors(None, {}, frozenset())


class Terms(NamedTuple):
    """A total under its terms, the list price, the non-zero parts, whether a discount acted, and cache savings."""

    total: int
    listed: int
    parts: dict[str, int]
    discounted: bool
    savings: Mapping[str, int]


def choose(model: Model, facts: Facts, at_ms: int, *, book_only: bool = False) -> Row | None:
    """Return the row in force at an instant (ms UTC) under effective facts, or None."""
    for row in model.rows if facts else model.factless:
        if row.start <= at_ms < row.until and not (book_only and row.contracted) and row.applies(facts, at_ms):
            return row
    return None


def table_of(row: Row, counts: Mapping[str, int]) -> RateTable:
    """Return the rates of the context tier that the request's whole input reaches."""
    table = row.table
    # All counts together bound the input from above: most requests end here.
    if not row.tiers or sum(counts.values()) <= row.tiers[0].gt:
        return table
    total_in = sum([count for unit, count in counts.items() if unit in INPUT_UNITS])
    for tier in row.tiers:
        if total_in > tier.gt:
            table = tier
    return table


def acting(model: Model, row: Row, facts: Facts, at_ms: int) -> Factors:
    """Return what acts under a row: every multiplier that holds, and on book rows the discounts in force.

    On a share of an hour that is paid no factor of the provider acts.
    """
    if row.basis == "allocated":
        return NOTHING_ACTS
    # Few rules hold together, and calls are many: what they come to is made once.
    key, bit = 0, 1
    for one in model.multipliers:
        if one.holds(facts):
            key |= bit
        bit <<= 1
    if not row.contracted:
        for cut in model.discounts:
            if cut.start <= at_ms < cut.until and (not cut.accounts or cut.holds(facts, at_ms)):
                key |= bit
            bit <<= 1
    if not key:
        return NOTHING_ACTS
    found = model.factors.get(key)
    if found is None:
        rules = (*model.multipliers, *model.discounts)
        found = model.factors[key] = _factors([rule for place, rule in enumerate(rules) if key >> place & 1])
    return found


def _factors(rules: Sequence[Multiplier | Discount]) -> Factors:
    """Return the factors under rules, of discounts the narrowest first."""
    listed: dict[str, Ratio | None] = {}
    final: dict[str, Ratio | None] = {}
    multipliers = [one for one in rules if isinstance(one, Multiplier)]
    discounts = [one for one in rules if isinstance(one, Discount)]
    for unit in UNITS:
        ratios = [one.ratio for one in multipliers if unit in one.units]
        cut = next((one.ratio for one in discounts if unit in one.units), None)
        listed[unit] = ratio_of(ratios)
        final[unit] = listed[unit] if cut is None else ratio_of([*ratios, cut])
    discounted = frozenset(unit for one in discounts for unit in one.units)
    return Factors(listed if multipliers else None, final, discounted)


def something_acts(model: Model, facts: Facts) -> bool:
    """Return whether the facts of a call meet a multiplier's conditions."""
    for one in model.multipliers:  # noqa: SIM110  # a generator costs as much as a small price
        if one.holds(facts):
            return True
    return False


def terms(
    model: Model, row: Row, table: RateTable, counts: Mapping[str, int], facts: Facts, at_ms: int
) -> Terms | None:
    """Return the amounts of counts under multipliers and discounts; None where int64 is left."""
    factors = acting(model, row, facts, at_ms)
    plain, ratios = table.plain, factors.final
    amounts = amounts_of(table, counts)
    if factors is NOTHING_ACTS:
        total, shares = sum(amounts.values()), amounts
    else:
        final = charge(amounts, ratios)
        if final is None:
            return None
        total, shares = final
    if total > MAX_PICO:
        return None
    parts: dict[str, int] = {}
    for unit, share in shares.items():
        if share:
            part = plain[unit][1]
            parts[part] = parts[part] + share if part in parts else share
    spared = 0
    for unit, count in counts.items():
        if count and unit in PLAIN_OF and unit in plain:
            difference = plain[unit][3]
            num, den = ratios.get(unit) or ONE
            spared += half_even(count * difference * num, den)
    listed: int | None = total
    discounted = False
    if row.contracted:
        known, of_book = list_of_book(model, counts, facts, at_ms)
        listed = of_book if known else total
    elif factors.discounted:
        # On an amount of 0 nothing acts.
        discounted = not factors.discounted.isdisjoint(amounts)
        listed = _total(amounts, factors.listed)
    return None if listed is None else Terms(total, listed, parts, discounted, _cache_savings(spared))


def _total(amounts: Mapping[str, int], ratios: Mapping[str, Ratio | None] | None) -> int | None:
    """Return the sum under ratios, if any; None where int64 is left."""
    if ratios is None:
        total = sum(amounts.values())
        return total if total <= MAX_PICO else None
    charged = charge(amounts, ratios)
    return charged.total if charged else None


def _cache_savings(spared: int) -> Mapping[str, int]:
    return {"cache": spared} if spared and abs(spared) <= MAX_PICO else {}


def amounts_of(table: RateTable, counts: Mapping[str, int]) -> dict[str, int]:
    """Return count times rate of each unit that costs something, in pico-USD."""
    plain = table.plain
    return {
        unit: count * rate for unit, count in counts.items() if count and unit in plain and (rate := plain[unit][0])
    }


def list_of_book(model: Model, counts: Mapping[str, int], facts: Facts, at_ms: int) -> tuple[bool, int | None]:
    """Return whether the book's own row prices all counts, and the amount; None where int64 is left."""
    row = choose(model, facts, at_ms, book_only=True)
    if row is None:
        return False, None
    table = table_of(row, counts)
    if _lacks(table, counts):
        return False, None
    return True, _total(amounts_of(table, counts), acting(model, row, facts, at_ms).listed)


def _lacks(table: RateTable, counts: Mapping[str, int]) -> bool:
    """Return whether something that was used has no rate."""
    plain = table.plain
    for unit, count in counts.items():  # noqa: SIM110  # a generator costs as much as a small price
        if count and unit not in plain and unit != "request":
            return True
    return False


def with_batch(
    savings: Mapping[str, int], model: Model, counts: Mapping[str, int], facts: Facts, at_ms: int, total: int
) -> Mapping[str, int]:
    """Return the savings with what batch processing saved against the standard price, under the same terms."""
    if facts["processing"] != "batch":
        return savings
    usual = {key: value for key, value in facts.items() if key != "processing"}
    row = choose(model, usual, at_ms)
    if row is None:
        return savings
    table = table_of(row, counts)
    if _lacks(table, counts):
        return savings
    standard = terms(model, row, table, counts, usual, at_ms)
    if standard is None or standard.total == total:
        return savings
    return {**savings, "batch": standard.total - total}
