"""What multipliers, discounts and own rows make of an amount: contracted total, list price, savings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from otel_tokenomics.pricing.book import Model
from otel_tokenomics.pricing.factors import ONE, Charge, Discount, Ratio, charge, half_even, ratio_of
from otel_tokenomics.pricing.rates import RateTable, Row
from otel_tokenomics.usage import Facts

#: Units whose counts make up one request's whole input: what context tiers are compared with.
INPUT_UNITS: Final = frozenset(
    {
        "input", "cache_read", "cache_write", "cache_write_1h", "cache_write_12h",
        "audio_in", "audio_cache_read", "image_in", "video_in",
    }
)  # fmt: skip
CACHE_UNITS: Final = frozenset({"cache_read", "cache_write", "cache_write_1h", "cache_write_12h", "audio_cache_read"})


class UnitFactors(NamedTuple):
    """A unit's factor under multipliers, its factor under multipliers and discount, and that discount.

    A factor is None where more than three act.
    """

    listed: Ratio | None
    final: Ratio | None
    discount: Discount | None


class Terms(NamedTuple):
    """A total under its terms, the list price, the non-zero parts, and whether a discount acted."""

    total: int
    listed: int
    parts: dict[str, int]
    discounted: bool


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
    if row.tiers and sum(counts.values()) > row.tiers[0].gt:
        total_in = sum([count for unit, count in counts.items() if unit in INPUT_UNITS])
        for tier in row.tiers:
            if total_in > tier.gt:
                table = tier
    return table


def factors_of(model: Model, row: Row, unit: str, facts: Facts, at_ms: int) -> UnitFactors:
    """Return what acts on a unit: every multiplier that holds, and on book rows the narrowest discount."""
    acting = [one.ratio for one in model.multipliers if unit in one.units and one.holds(facts)]
    rules = [] if row.contracted else [one for one in model.discounts if unit in one.units and one.holds(facts, at_ms)]
    cut = max(rules, key=lambda one: one.narrowness(model.id), default=None)
    listed = ratio_of(acting)
    return UnitFactors(listed, ratio_of([*acting, cut.ratio]) if cut else listed, cut)


def something_acts(model: Model, row: Row, facts: Facts) -> bool:
    """Return whether list price or total may differ from the plain sum."""
    if row.contracted or model.discounts:
        return True
    for one in model.multipliers:  # noqa: SIM110  # a generator costs as much as the price
        if one.holds(facts):
            return True
    return False


def terms(
    model: Model, row: Row, table: RateTable, counts: Mapping[str, int], facts: Facts, at_ms: int
) -> Terms | None:
    """Return the amounts of counts under multipliers and discounts; None where int64 is left."""
    amounts = amounts_of(table, counts)
    factors = {unit: factors_of(model, row, unit, facts, at_ms) for unit in amounts}
    final = _charge(amounts, {unit: factor.final for unit, factor in factors.items()})
    if final is None:
        return None
    if row.contracted:
        known, listed = list_of_book(model, counts, facts, at_ms)
        listed = listed if known else final.total
    else:
        base = _charge(amounts, {unit: factor.listed for unit, factor in factors.items()})
        listed = base.total if base else None
    if listed is None:
        return None
    parts: dict[str, int] = {}
    for unit, share in final.shares.items():
        if share:
            part = table.units[unit].part
            parts[part] = parts.get(part, 0) + share
    return Terms(final.total, listed, parts, any(factor.discount for factor in factors.values()))


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
    amounts = amounts_of(table, counts)
    charged = _charge(amounts, {unit: factors_of(model, row, unit, facts, at_ms).listed for unit in amounts})
    return True, charged.total if charged else None


def savings_of(
    model: Model, row: Row, table: RateTable, counts: Mapping[str, int], facts: Facts, at_ms: int, total: int
) -> Mapping[str, int]:
    """Return what caching (against plain input) and batch (against the standard price) saved; may be negative."""
    saved: dict[str, int] = {}
    plain_terms = not (model.multipliers or model.discounts)
    cache = 0
    for unit in CACHE_UNITS.intersection(counts):
        plain = table.units.get("audio_in" if unit == "audio_cache_read" else "input")
        if plain is not None and unit in table.units:
            num, den = ONE if plain_terms else factors_of(model, row, unit, facts, at_ms).final or ONE
            difference = counts[unit] * (plain.rate - table.units[unit].rate)
            cache += difference if num == den else half_even(difference * num, den)
    if cache:
        saved["cache"] = cache
    if facts.get("processing") == "batch" and "processing" not in row.unasked:
        usual = {key: value for key, value in facts.items() if key != "processing"}
        _, listed = list_of_book(model, counts, usual, at_ms)
        if listed is not None and listed != total:
            saved["batch"] = listed - total
    return saved
