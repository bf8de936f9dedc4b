"""From usage and facts to a cost, in integer pico-USD: statuses, reasons, parts, list and stated amounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Final, NamedTuple, cast

from otel_tokenomics.pricing.book import Model, PriceBook
from otel_tokenomics.pricing.facts import UNKNOWN_PROVIDER, effective
from otel_tokenomics.pricing.match import Match, in_force, resolve
from otel_tokenomics.pricing.rates import RateTable, Row
from otel_tokenomics.pricing.terms import something_acts, table_of, terms, with_batch
from otel_tokenomics.usage import MAX_COUNT, MAX_PICO, NO_FACTS, Facts, Reading, Usage

FLAGS: Final = (
    "inconsistent_usage", "assumed_rate", "assumed_default", "assumed_provider", "stale_book", "price_conflict",
    "foreign_zero_ignored",
)  # fmt: skip
#: Reasons that a reader may give for an amount that is not known at all, and for one that is a lower bound.
_UNPRICED_BY_READER: Final = ("pending", "billing_unknown", "no_usage", "invalid_usage")
_PARTIAL: Final = ("missing_rate", "tier_unpriced", "incomplete_usage")
_NO_AMOUNTS: Final[Mapping[str, int]] = MappingProxyType({})
_new_cost = cast("Callable[[type[Cost], tuple[object, ...]], Cost]", tuple.__new__)
_WORST: Final = ("unpriced", "partial", "priced", "free")


class Cost(NamedTuple):
    """What one call costs, and why; money in pico-USD.

    ``total`` is None where ``status`` is unpriced. ``parts`` holds the non-zero parts of our own figure. ``list``
    stands where it differs from the total, ``computed`` beside a provider's total. ``source`` is ``provider`` or
    ``sdk``, None without a total. ``facts`` are the effective ones. ``savings`` holds ``cache`` (against plain
    input; negative while write premiums are not earned back) and ``batch`` (against the standard price).
    """

    status: str
    reason: str | None
    total: int | None
    parts: Mapping[str, int]
    list: int | None
    computed: int | None
    source: str | None
    basis: str | None
    flags: tuple[str, ...]
    provider: str | None
    model: str | None
    match: str | None
    sku: str | None
    book: str
    facts: Facts
    savings: Mapping[str, int]


def price(  # noqa: C901  # the reasons stand in their order of precedence
    book: PriceBook,
    provider: str | None,
    model: str | None,
    usage: Usage | None,
    facts: Facts,
    at_ms: int,
    *,
    request_model: str | None = None,
    host: str | None = None,
    stated_cost: int | None = None,
    unknown_host: str = "assume",
    reason: str | None = None,
    flags: tuple[str, ...] = (),
    summed: bool = False,
) -> Cost:
    """Return the cost of one request. Never raises on any count, name or fact.

    Args:
        book: the price book.
        provider: who bills, any registered name.
        model: the response model; None where the response named none.
        usage: disjoint counts; None where nothing was reported.
        facts: what else the price depends on.
        at_ms: start of the call, milliseconds since 1970, UTC.
        request_model: the model asked for, used where there is no response model.
        host: the host called, where the provider is not certain without it.
        stated_cost: what the billing party stated, in pico-USD; it becomes the total. Negative counts as absent.
        unknown_host: what an unlisted host means (``assume`` or ``unpriced``).
        reason: the reader's: ``incomplete_usage`` or ``missing_rate`` make the cost partial; ``pending``,
            ``billing_unknown``, ``no_usage`` and ``invalid_usage`` make it unpriced, and so does ``missing_rate``
            where all that was used is of a unit that the book does not know.
        flags: the reader's flags, kept.
        summed: the counts are those of several requests: what is larger than the first context tier is priced below
            it, as a lower bound, for nobody knows how large each was.
    """
    if stated_cost is not None:
        ours = price(
            book, provider, model, usage, facts, at_ms,
            request_model=request_model, host=host, unknown_host=unknown_host, reason=reason, flags=flags,
            summed=summed,
        )  # fmt: skip
        return with_stated(ours, stated_cost)
    match = resolve(book, provider, model, request_model, host, unknown_host)
    if match.otherwise is not None:
        match = in_force(book, match, facts, at_ms)
    found = match.model
    if match.flags:
        flags += match.flags
    if facts or match.facts:
        facts = effective(facts, match.facts, book.providers.get(match.provider or "", UNKNOWN_PROVIDER))
    if usage is None or not usage.counts or reason in _UNPRICED_BY_READER:
        known = reason in _UNPRICED_BY_READER or reason == "missing_rate"
        return _unpriced(book, match, facts, flags, reason if reason and known else "no_usage")
    counts = usage.counts
    for count in counts.values():
        if type(count) is not int or not 0 <= count <= MAX_COUNT:
            believed = _believed(counts)
            if believed is None:
                return _unpriced(book, match, facts, flags, "invalid_usage")
            counts, reason = believed, reason or "incomplete_usage"
            break
    if usage.source != "provider":
        reason = reason or "incomplete_usage"
    if found is None:
        return _unpriced(book, match, facts, flags, match.reason)
    if found.search_context is not None and "search_context_size" not in facts:
        facts = {**facts, "search_context_size": found.search_context}
    # `choose`, without its call.
    for row in found.rows if facts else found.factless:
        if row.start <= at_ms < row.until and (row.plain or row.applies(facts, at_ms)):
            table = table_of(row, counts) if row.tiers else row.table
            if summed and table is not row.table:
                table, reason = row.table, reason or "incomplete_usage"
            return _from_table(book, match, found, row, table, counts, facts, at_ms, reason, flags)
    return _unpriced(book, match, facts, flags, "no_row_for_date")


def price_reading(
    book: PriceBook,
    reading: Reading,
    provider: str | None,
    at_ms: int,
    *,
    request_model: str | None = None,
    host: str | None = None,
    unknown_host: str = "assume",
    facts: Facts = NO_FACTS,
) -> Cost:
    """Return the cost of a reading: the main request, and each other charge that the response reports.

    ``facts`` are the request's; a fact of the response ends the search for that fact.
    """
    known = {**facts, **reading.facts} if facts else reading.facts
    if reading.shares:
        cost = _shared(book, reading, provider, known, at_ms, host, unknown_host)
    else:
        cost = price(
            book, provider, reading.response_model, reading.usage, known, at_ms, request_model=request_model,
            host=host, unknown_host=unknown_host, reason=reading.reason, flags=reading.flags, summed=reading.summed,
        )  # fmt: skip
    for other in reading.others:
        extra = price(
            book, provider, other.model, other.usage, known, at_ms, host=host, unknown_host=unknown_host,
            request_model=None if other.model else request_model,
        )  # fmt: skip
        cost = _together(cost, extra)
    return cost if reading.stated_cost is None else with_stated(cost, reading.stated_cost)


def _shared(
    book: PriceBook, reading: Reading, provider: str | None, facts: Facts, at_ms: int, host: str | None, unknown: str
) -> Cost:
    """Return the sum over several models, each at its own rates and context tier; what one lacks makes it partial."""
    costs = [
        price(
            book, provider, share.model, share.usage, facts, at_ms,
            host=host, unknown_host=unknown, reason=reading.reason, flags=reading.flags, summed=reading.summed,
        )
        for share in reading.shares
    ]  # fmt: skip
    costs.sort(key=lambda cost: cost.total is None)
    return reduce(_together, costs)


def _from_table(  # noqa: C901  # one loop written out: a call per unit would double the time
    book: PriceBook,
    match: Match,
    model: Model,
    row: Row,
    table: RateTable,
    counts: Mapping[str, int],
    facts: Facts,
    at_ms: int,
    reason: str | None,
    flags: tuple[str, ...],
) -> Cost:
    """Return the cost of believed counts under the rates in force."""
    rate_of, missing, used, total, spared = table.plain.get, False, False, 0, 0
    parts: dict[str, int] = {}
    for unit, count in counts.items():
        if count:
            found = rate_of(unit)
            if found is not None:
                rate, part, assumed, unit_spared = found
                used = True
                if rate:
                    amount = count * rate
                    total += amount
                    parts[part] = parts[part] + amount if part in parts else amount
                if unit_spared:
                    spared += count * unit_spared
                if assumed:
                    flags += ("assumed_rate",)
            elif unit != "request":
                missing = True
    if not used and (missing or (len(counts) == 1 and counts.get("request"))):
        return _unpriced(book, match, facts, flags, "missing_rate", table.sku)
    if total > MAX_PICO:
        return _unpriced(book, match, facts, flags, "overflow", table.sku)
    listed, basis, nothing_owed = None, row.basis, used and not total
    savings = {"cache": spared} if spared and -MAX_PICO <= spared <= MAX_PICO else _NO_AMOUNTS
    if row.contracted or model.adjusted or (facts and model.multipliers and something_acts(model, facts)):
        adjusted = terms(model, row, table, counts, facts, at_ms)
        if adjusted is None:
            return _unpriced(book, match, facts, flags, "overflow", table.sku)
        total, listed, parts, discounted, savings = adjusted
        listed = None if listed == total else listed
        basis = "contracted" if discounted else basis
    if "processing" in facts and "processing" not in row.unasked:
        savings = with_batch(savings, model, counts, facts, at_ms, total)
    why = _partial_reason(row, facts, reason, missing) if facts or missing or reason else None
    status = "partial" if why else "free" if nothing_owed else "priced"
    # Cost(...) takes as long to sort its sixteen names as the rest of a small price.
    return _new_cost(
        Cost,
        (
            status, why, total, parts, listed, None, "sdk", basis, _in_order(flags) if flags else flags,
            model.provider, model.id, match.match, table.sku, book.id, facts, savings,
        ),
    )  # fmt: skip


def _believed(counts: Mapping[str, int]) -> Mapping[str, int] | None:
    """Return the counts that can be true; None where one is above the cap, or none is left.

    A negative count, a bool and what is no integer are dropped: the rest is a lower bound.
    """
    kept = {unit: count for unit, count in counts.items() if type(count) is int and count >= 0}
    return kept if kept and max(kept.values()) <= MAX_COUNT else None


def _unpriced(
    book: PriceBook, match: Match, facts: Facts, flags: tuple[str, ...], reason: str | None, sku: str | None = None
) -> Cost:
    model_id = match.model.id if match.model else None
    return _new_cost(
        Cost,
        (
            "unpriced", reason, None, _NO_AMOUNTS, None, None, None, None, _in_order(flags) if flags else flags,
            match.provider, model_id, match.match, sku, book.id, facts, _NO_AMOUNTS,
        ),
    )  # fmt: skip


def with_stated(cost: Cost, stated: int) -> Cost:
    """Return the cost with the billing party's own figure (pico-USD) as the total, ours beside it."""
    if type(stated) is not int or not 0 <= stated <= MAX_PICO:
        return cost
    flags = cost.flags
    if cost.total is not None and cost.status == "priced" and abs(cost.total - stated) * 100 > stated:
        flags = _in_order((*flags, "price_conflict"))
    return cost._replace(
        status="priced" if stated else "free",
        reason=None,
        total=stated,
        parts=_NO_AMOUNTS,
        list=None,
        computed=cost.total,
        source="provider",
        basis="billed",
        flags=flags,
    )


def _partial_reason(row: Row, facts: Facts, reason: str | None, missing: bool) -> str | None:
    if missing or reason == "missing_rate":
        return "missing_rate"
    if facts:
        for fact in row.unasked:
            if fact in facts:
                return "tier_unpriced"
    return reason if reason in _PARTIAL else None


def _in_order(flags: Iterable[str]) -> tuple[str, ...]:
    return tuple([flag for flag in FLAGS if flag in flags])


def _together(cost: Cost, extra: Cost) -> Cost:
    """Add another charge of the same response; what is unknown of it makes the sum a lower bound."""
    if cost.total is None:
        return cost
    if extra.total is None:
        return cost._replace(status="partial", reason=cost.reason or "missing_rate")
    total = cost.total + extra.total
    if total > MAX_PICO:
        return cost._replace(
            status="unpriced", reason="overflow", total=None, parts=_NO_AMOUNTS, list=None, source=None, basis=None,
            savings=_NO_AMOUNTS,
        )  # fmt: skip
    listed = (cost.total if cost.list is None else cost.list) + (extra.total if extra.list is None else extra.list)
    worst = min((cost, extra), key=lambda one: _WORST.index(one.status))
    return cost._replace(
        status=worst.status,
        reason=worst.reason,
        total=total,
        parts=_added(cost.parts, extra.parts),
        list=None if listed == total else listed,
        flags=_in_order((*cost.flags, *extra.flags)),
        savings=_added(cost.savings, extra.savings),
    )


def _added(first: Mapping[str, int], second: Mapping[str, int]) -> Mapping[str, int]:
    return {
        key: first.get(key, 0) + second.get(key, 0) for key in (*first, *(key for key in second if key not in first))
    }
