"""What is owed whatever is used: hours of capacity with the share that calls took of them, and fixed costs by day.

Pure integer arithmetic in pico-USD on UTC milliseconds. A cost of a time is the difference of what is owed up to its
two ends, so that the costs of times that follow each other add up to the cost of the whole, to the pico-dollar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from otel_tokenomics.pricing import Capacity, Cost, PriceBook
from otel_tokenomics.pricing.overlay import StaticCost
from otel_tokenomics.pricing.rates import FOREVER, MS_PER_DAY, rate_table
from otel_tokenomics.pricing.terms import choose
from otel_tokenomics.report.span_prices import SpanCall
from otel_tokenomics.usage import TOKEN_UNITS

MS_PER_HOUR: Final = 3_600_000


class Use(NamedTuple):
    """What one call took of a capacity: its own price (pico-USD), and its weight where the hour is spread by use."""

    capacity: Capacity
    trace_id: str
    span_id: str
    at_ms: int
    pico: int
    weight: int


class Share(NamedTuple):
    """One call's part of the hour that it was made in (``hour_ms`` is the hour's begin, ms UTC)."""

    trace_id: str
    span_id: str
    hour_ms: int
    pico: int


class CapacityCost(NamedTuple):
    """One capacity in a period: the time that it was paid for, what that cost, and what calls took of it.

    ``idle`` is cost less allocated; below 0 more was used than the stated throughput. Both are None for ``allocate:
    none``, whose calls take nothing. ``shares`` are those of ``allocate: use``.
    """

    capacity: Capacity
    paid_ms: int
    calls: int
    cost: int
    allocated: int | None
    idle: int | None
    shares: tuple[Share, ...]


class StaticDay(NamedTuple):
    """A fixed cost's part of one UTC day."""

    name: str
    day: str
    pico: int
    tags: Mapping[str, str]


def use_of(book: PriceBook, call: SpanCall, cost: Cost) -> Use | None:
    """Return what a call took of a capacity of the book's overlay, or None where none priced it.

    The weight is what the call would cost at the stated ``units_per_hour``, and without them its number of tokens.
    """
    if cost.provider is None or cost.model is None or cost.sku is None:
        return None
    model = book.model(cost.provider, cost.model)
    row = choose(model, cost.facts, call.start_ms) if model is not None else None
    if row is None or "capacity" not in row.source:
        return None
    capacity: Capacity = row.source["capacity"]
    # Beside an amount that somebody stated ours is what the hour is worth.
    pico = cost.computed if cost.source == "provider" else cost.total
    usage = call.reading.reading.usage
    counts: Mapping[str, int] = usage.counts if usage is not None else {}
    rates = rate_table(-1, capacity.rates or dict.fromkeys(TOKEN_UNITS, 1), "").units
    weight = sum(count * rates[unit].rate for unit, count in counts.items() if count > 0 and unit in rates)
    return Use(capacity, call.span.trace_id, call.span.span_id, call.start_ms, pico or 0, weight)


def capacity_costs(
    capacities: Iterable[Capacity], uses: Iterable[Use], start_ms: int, until_ms: int
) -> list[CapacityCost]:
    """Return what each capacity cost in a period (ms UTC, its end exclusive), in order; none of another time.

    Uses outside of the period are left out.
    """
    known: dict[int, list[Use]] = {}
    for use in uses:
        if start_ms <= use.at_ms < until_ms:
            # A mapping of rates is no key; an entry is the same object in the book and in its rows.
            known.setdefault(id(use.capacity), []).append(use)
    return [
        _capacity_cost(one, known.get(id(one), ()), max(start_ms, one.start), min(until_ms, one.until))
        for one in capacities
        if max(start_ms, one.start) < min(until_ms, one.until)
    ]


def _capacity_cost(one: Capacity, uses: Sequence[Use], start: int, until: int) -> CapacityCost:
    cost, shares = owed(one, start, until), tuple[Share, ...]()
    if one.allocate == "none":
        return CapacityCost(one, until - start, len(uses), cost, None, None, ())
    if one.allocate == "use":
        shares = tuple(_shares(one, uses, start, until))
        allocated = sum(share.pico for share in shares)
    else:
        allocated = sum(use.pico for use in uses)
    return CapacityCost(one, until - start, len(uses), cost, allocated, cost - allocated, shares)


def owed(one: Capacity, start_ms: int, until_ms: int) -> int:
    """Return what a capacity costs between two instants of its time, pico-USD."""
    return one.pico_per_hour * until_ms // MS_PER_HOUR - one.pico_per_hour * start_ms // MS_PER_HOUR


def _shares(one: Capacity, uses: Sequence[Use], start: int, until: int) -> Iterator[Share]:
    hours: dict[int, list[Use]] = {}
    for use in uses:
        hours.setdefault(use.at_ms - use.at_ms % MS_PER_HOUR, []).append(use)
    for hour in sorted(hours):
        cost = owed(one, max(start, hour), min(until, hour + MS_PER_HOUR))
        parts = spread(cost, [use.weight for use in hours[hour]])
        yield from (Share(use.trace_id, use.span_id, hour, part) for use, part in zip(hours[hour], parts, strict=True))


def spread(cost: int, weights: Sequence[int]) -> list[int]:
    """Return a cost (pico-USD) in parts by weight, floors, the remainder with the largest (of equal ones the first).

    All parts are 0 where nothing has a weight.
    """
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [cost * weight // whole for weight in weights]
    parts[max(range(len(weights)), key=weights.__getitem__)] += cost - sum(parts)
    return parts


def static_days(costs: Iterable[StaticCost], start_ms: int, until_ms: int) -> list[StaticDay]:
    """Return fixed costs by UTC day of a period (ms UTC, its end exclusive), in order.

    A cost is spread evenly over its time; without an end it falls on the day of its start.
    """
    return [day for cost in costs for day in _days(cost, start_ms, until_ms)]


def _days(cost: StaticCost, start_ms: int, until_ms: int) -> Iterator[StaticDay]:
    if cost.until >= FOREVER:
        if start_ms <= cost.start < until_ms:
            yield StaticDay(cost.name, day_text(cost.start), cost.pico, cost.tags)
        return
    whole = cost.until - cost.start
    at, end = max(start_ms, cost.start), min(until_ms, cost.until)
    while at < end:
        next_day = min(at - at % MS_PER_DAY + MS_PER_DAY, end)
        pico = cost.pico * (next_day - cost.start) // whole - cost.pico * (at - cost.start) // whole
        yield StaticDay(cost.name, day_text(at), pico, cost.tags)
        at = next_day


def day_text(at_ms: int) -> str:
    """Return the UTC day of an instant (ms UTC) as YYYY-MM-DD."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).date().isoformat()
