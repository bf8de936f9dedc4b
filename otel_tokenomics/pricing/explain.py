"""Why a call costs what it costs: which rule found the model, which row was taken, which were not and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from otel_tokenomics.pricing.book import Model, PriceBook
from otel_tokenomics.pricing.calc import Cost
from otel_tokenomics.pricing.factors import ratio_text
from otel_tokenomics.pricing.facts import UNKNOWN_PROVIDER, Provider, effective
from otel_tokenomics.pricing.match import Match, free_model, in_force, probes, resolve, unwrapped, usable_id
from otel_tokenomics.pricing.names import ascii_trim
from otel_tokenomics.pricing.rates import FOREVER, Row
from otel_tokenomics.pricing.terms import acting, choose, table_of
from otel_tokenomics.usage import UNITS, Facts, Usage


class BreakdownRow(NamedTuple):
    """One line of a bill in pico-USD: ``amount_pico`` is before ``factor`` (``11/10`` or None)."""

    unit: str
    count: int  # pyright: ignore[reportIncompatibleMethodOverride]  # the word of the price lines
    rate_pico: int
    amount_pico: int
    factor: str | None


class NameTried(NamedTuple):
    """One name that the resolution tried under the provider, and whether the book has it."""

    step: str
    name: str
    found: bool


class RowVerdict(NamedTuple):
    """One row of the model: its conditions, dates and sources, and why it was taken or not."""

    when: Mapping[str, list[str]]
    start: str | None
    until: str | None
    taken: bool
    why: str
    sources: tuple[str, ...]
    verified: str | None


class Explanation(NamedTuple):
    """What stands behind a cost, for people: all text, no rule left out."""

    model_rule: str
    names: list[NameTried]
    rows: list[RowVerdict]
    tier: str
    breakdown: list[BreakdownRow]


_RULES: Final = {
    "exact": "the id stands in the book as written",
    "alias": "an alias of the overlay, or a capacity of it, names this model",
    "normalized": "the id stands in the book once wrapping, prefix, suffix, date or geography are taken off",
    "pattern": "a prefix that the book declares begins the id",
}
_MISSES: Final = {
    "no_model": "the call names no model that can be read",
    "unknown_model": "no step of the resolution finds the id; nothing looser is tried",
    "ambiguous_model": "the id does not stand under one single provider, and nothing else says who bills",
}
_THE_CUSTOMERS: Final = (
    "a profile, endpoint or tuned model of your own, whose name says nothing of its model: only an alias can"
)
_NO_MAKER: Final = "nobody lists the host or provider, and no maker of models sells the id"


def breakdown(book: PriceBook, cost: Cost, usage: Usage, at_ms: int, *, summed: bool = False) -> list[BreakdownRow]:
    """Return the bill behind our own figure, one row per unit in unit order; empty where nothing was priced.

    ``cost``, ``usage``, ``at_ms`` and ``summed`` are those of one ``price`` call. Amounts stand before their factor.
    """
    model = _model(book, cost)
    row = choose(model, cost.facts, at_ms) if model else None
    if model is None or row is None or cost.sku is None:
        return []
    counts = believed(usage.counts)
    table, factors = row.table if summed else table_of(row, counts), acting(model, row, cost.facts, at_ms)
    return [
        BreakdownRow(
            unit,
            count,
            table.units[unit].rate,
            count * table.units[unit].rate,
            ratio_text(factors.final.get(unit) or (1, 1)),
        )
        for unit, count in counts.items()
        if unit in table.units
    ]


def explain(
    book: PriceBook,
    cost: Cost,
    usage: Usage,
    facts: Facts,
    at_ms: int,
    *,
    provider: str | None,
    model: str | None,
    request_model: str | None = None,
    host: str | None = None,
    unknown_host: str = "assume",
) -> Explanation:
    """Return the explanation of a cost that ``price`` gave for the same arguments."""
    match = in_force(book, resolve(book, provider, model, request_model, host, unknown_host), facts, at_ms)
    text = usable_id(model if model is not None and ascii_trim(model) else request_model)
    names = _names_tried(book, match, provider, text)
    if match.model is None:
        return Explanation(_miss(match, text), names, [], "", [])
    rule = _RULES[match.match or "exact"]
    if "assumed_provider" in match.flags:
        rule += "; nobody lists the host or provider, and one maker alone sells this id"
    known = effective(facts, match.facts, book.providers.get(match.provider or "", UNKNOWN_PROVIDER))
    if match.model.search_context is not None:
        known = {"search_context_size": match.model.search_context, **known}
    chosen = choose(match.model, known, at_ms)
    verdicts = [_verdict(row, chosen, known, at_ms) for row in match.model.rows]
    tier = ""
    if chosen is not None and chosen.tiers:
        gt = table_of(chosen, believed(usage.counts)).gt
        tier = f"above {gt} input tokens" if gt >= 0 else f"at most {chosen.tiers[0].gt} input tokens"
    return Explanation(rule, names, verdicts, tier, breakdown(book, cost, usage, at_ms))


def believed(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts above 0 that can be true, in unit order."""
    return {unit: count for unit in UNITS if type(count := counts.get(unit)) is int and count > 0}


def _model(book: PriceBook, cost: Cost) -> Model | None:
    if cost.provider is None or cost.model is None:
        return None
    found = book.model(cost.provider, cost.model)
    return free_model(cost.model) if found is None and cost.model.endswith(":free") else found


def _miss(match: Match, text: str | None) -> str:
    if match.reason == "unknown_model" and text is not None:
        if match.provider is None:
            return _NO_MAKER
        if unwrapped(match.provider, text) is None:
            return _THE_CUSTOMERS
    return _MISSES.get(match.reason or "", match.reason or "")


def _names_tried(book: PriceBook, match: Match, provider: str | None, text: str | None) -> list[NameTried]:
    owner = book.providers.get(match.provider or book.provider_by_name(provider) or "")
    if text is None:
        return []
    if match.provider is None and (owner is None or owner.kind != "self_hosted"):
        # Nobody is known to bill: every maker was asked.
        makers = [entry for entry in book.providers.values() if entry.kind == "first_party"]
        found = [next((one for one in _steps(book, maker, text, certain=False) if one.found), None) for maker in makers]
        return [one._replace(step=f"{maker.key}: {one.step}") for maker, one in zip(makers, found, strict=True) if one]
    named = match.match == "alias"
    tried = [NameTried("alias", text, named)] if named or (owner and book.aliases.get(owner.key)) else []
    if owner is None or named:
        return tried
    for one in _steps(book, owner, text):
        tried.append(one)
        if one.found:
            return tried
    if match.match == "pattern":
        tried.append(NameTried("declared prefix", tried[-1].name, found=True))
    return tried


def _steps(book: PriceBook, owner: Provider, text: str, *, certain: bool = True) -> Iterator[NameTried]:
    for step, name, _ in probes(owner, text, certain=certain):
        yield NameTried(step, name, book.has(owner.key, name))


def _verdict(row: Row, chosen: Row | None, facts: Facts, at_ms: int) -> RowVerdict:
    return RowVerdict(
        row.source.get("when", {}),
        _date(row.start),
        _date(row.until),
        row is chosen,
        "in force" if row is chosen else _why_not(row, facts, at_ms),
        tuple(row.source.get("src", ())),
        row.source.get("verified"),
    )


def _why_not(row: Row, facts: Facts, at_ms: int) -> str:
    if at_ms < row.start:
        return "begins after the call"
    if at_ms >= row.until:
        return "ended before the call"
    for key, values in row.when:
        if facts.get(key) not in values:
            return f"asks for {key}={'|'.join(sorted(values))}, the call has {facts.get(key, 'none')}"
    if row.calendar is not None and not row.calendar.holds(at_ms):
        return "the instant is outside its calendar"
    return "another row that holds comes first: one of your overlay, one with more conditions, or a newer one"


def _date(at_ms: int) -> str | None:
    if abs(at_ms) >= FOREVER:
        return None
    seconds, milliseconds = divmod(at_ms, 1000)
    fraction = f".{milliseconds:03d}" if milliseconds else ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"
