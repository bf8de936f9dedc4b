"""What multipliers, discounts and own rows make of an amount: contracted total, list price, savings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from otel_tokenomics.pricing.book import Model
from otel_tokenomics.pricing.factors import ONE, Charge, Discount, Multiplier, Ratio, charge, half_even, ratio_of
from otel_tokenomics.pricing.rates import RateTable, Row
from otel_tokenomics.usage import MAX_PICO, Facts

#: Units whose counts make up one request's whole input: what context tiers are compared with.
INPUT_UNITS: Final = frozenset(
    {
        "input", "cache_read", "cache_write", "cache_write_1h", "cache_write_12h",
        "audio_in", "audio_cache_read", "image_in", "video_in",
    }
)  # fmt: skip


class Acting(NamedTuple):
    """What acts on the amounts of one call: the multipliers that hold, and the discounts, narrowest first."""

    multipliers: Sequence[Multiplier]
    discounts: Sequence[Discount]

    def listed(self, unit: str) -> Ratio | None:
        """Return the unit's factor under multipliers; None where more than three act."""
        return ratio_of(tuple([one.ratio for one in self.multipliers if unit in one.units]))

    def final(self, unit: str) -> Ratio | None:
        """Return the unit's factor under multipliers and its discount; None where more than three act."""
        ratios = [one.ratio for one in self.multipliers if unit in one.units]
        for cut in self.discounts:
            if unit in cut.units:
                ratios.append(cut.ratio)
                break
        return ratio_of(tuple(ratios))


_NOTHING: Final = Acting((), ())


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
    total_in = sum([count for unit, count in counts.items() if unit in INPUT_UNITS])
    for tier in row.tiers:
        if total_in > tier.gt:
            table = tier
    return table


def acting(model: Model, row: Row, facts: Facts, at_ms: int) -> Acting:
    """Return what acts under a row: every multiplier that holds, and on book rows the discounts in force.

    On a share of an hour that is paid no factor of the provider acts.
    """
    if row.basis == "allocated":
        return _NOTHING
    multipliers = [one for one in model.multipliers if one.holds(facts)]
    if row.contracted or not model.discounts:
        return Acting(multipliers, ())
    return Acting(multipliers, [one for one in model.discounts if one.holds(facts, at_ms)])


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
    amounts, rules = amounts_of(table, counts), acting(model, row, facts, at_ms)
    ratios = {unit: rules.final(unit) for unit in amounts}
    final = _charge(amounts, ratios)
    if final is None:
        return None
    listed: int | None = final.total
    if row.contracted:
        known, of_book = list_of_book(model, counts, facts, at_ms)
        listed = of_book if known else listed
    elif rules.discounts:
        base = _charge(amounts, {unit: rules.listed(unit) for unit in amounts})
        listed = base.total if base else None
    if listed is None:
        return None
    parts: dict[str, int] = {}
    spared = 0
    for unit, share in final.shares.items():
        _, part, _, unit_spared = table.units[unit]
        if share:
            parts[part] = parts.get(part, 0) + share
        if unit_spared:
            num, den = ratios[unit] or ONE
            spared += half_even(counts[unit] * unit_spared * num, den)
    # On an amount of 0 nothing acts.
    discounted = any(amount and unit in cut.units for cut in rules.discounts for unit, amount in amounts.items())
    return Terms(final.total, listed, parts, discounted, _cache_savings(spared))


def _cache_savings(spared: int) -> Mapping[str, int]:
    return {"cache": spared} if spared and abs(spared) <= MAX_PICO else {}


def amounts_of(table: RateTable, counts: Mapping[str, int]) -> dict[str, int]:
    """Return count times rate of each unit that has a rate, in pico-USD."""
    units = table.units
    return {unit: count * units[unit].rate for unit, count in counts.items() if count and unit in units}


def _charge(amounts: Mapping[str, int], ratios: Mapping[str, Ratio | None]) -> Charge | None:
    known = {unit: ratio for unit, ratio in ratios.items() if ratio is not None}
    return charge(amounts, known) if len(known) == len(ratios) else None


def list_of_book(model: Model, counts: Mapping[str, int], facts: Facts, at_ms: int) -> tuple[bool, int | None]:
    """Return whether the book's own row prices all counts, and the amount; None where int64 is left."""
    row = choose(model, facts, at_ms, book_only=True)
    if row is None:
        return False, None
    table = table_of(row, counts)
    if any(count and unit not in table.units and unit != "request" for unit, count in counts.items()):
        return False, None
    amounts, rules = amounts_of(table, counts), acting(model, row, facts, at_ms)
    charged = _charge(amounts, {unit: rules.listed(unit) for unit in amounts})
    return True, charged.total if charged else None


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
    if any(count and unit not in table.units and unit != "request" for unit, count in counts.items()):
        return savings
    standard = terms(model, row, table, counts, usual, at_ms)
    if standard is None or standard.total == total:
        return savings
    return {**savings, "batch": standard.total - total}
