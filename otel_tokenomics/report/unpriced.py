"""The share of calls whose amount nobody knows, or only a lower bound of it, by reason, each with what would help."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from otel_tokenomics.attributes import names
from otel_tokenomics.pricing import Cost, PriceBook
from otel_tokenomics.report.span_prices import SpanCall, cost_of
from otel_tokenomics.usage import TOKEN_UNITS

_GAPS: Final = ("unpriced", "partial")
PLACEHOLDER: Final = "ID-IN-THE-BOOK"
_ADVICE: Final = {
    "no_model": "the span names no model: the instrumentation has to write gen_ai.response.model",
    "no_usage": "the provider reported no usage: OTEL_TOKENOMICS_STREAM_USAGE=always asks for it in streams, "
    "OTEL_TOKENOMICS_ESTIMATE=true counts tokens where it still does not",
    "invalid_usage": "the reported counts cannot be true: see the instrumentation that wrote them",
    "incomplete_usage": "the stream was cut, or counts are estimated: a lower bound, which no price can change",
    "pending": "a queued call: its result is priced when it is fetched, or handed to record_batch()",
    "billing_unknown": "the connection was lost before any usage came: only the provider's bill knows",
    "tier_unpriced": "the book has no row of that service tier; write one with `when` into an overlay",
    "overflow": "the amount leaves what one span can hold: see the counts",
}


class Gap(NamedTuple):
    """Calls without a full price: one reason of one model. ``fix`` is one line for people."""

    status: str
    reason: str
    provider: str
    model: str
    calls: int
    tokens: int
    fix: str


class UnpricedReport(NamedTuple):
    """All calls, and those with a gap, most calls first; ``overlay`` is what to paste, to be filled in."""

    calls: int
    tokens: int
    gaps: tuple[Gap, ...]
    overlay: dict[str, Any]


def unpriced_report(calls: Iterable[SpanCall], book: PriceBook, unknown_host: str = "assume") -> UnpricedReport:
    """Return the gaps among calls: as recorded where a span bears our verdict, else as the book prices it now."""
    number = all_tokens = 0
    counts: dict[tuple[str, str, str, str], list[int]] = {}
    costs: dict[tuple[str, str, str, str], tuple[SpanCall, Cost]] = {}
    for call in calls:
        number, tokens = number + 1, _tokens(call)
        all_tokens += tokens
        status = _recorded(call, names.TOKENOMICS_COST_STATUS)
        if status and status not in _GAPS:
            continue
        cost = cost_of(book, call, unknown_host)
        status = status or cost.status
        if status not in _GAPS:
            continue
        recorded = names.TOKENOMICS_COST_STATUS in call.span.attributes
        reason = _recorded(call, names.TOKENOMICS_COST_REASON) if recorded else cost.reason
        model = call.reading.reading.response_model or call.reading.request_model or ""
        key = status, reason or "", cost.provider or call.reading.provider or "", model
        counted = counts.setdefault(key, [0, 0])
        counted[0] += 1
        counted[1] += tokens
        costs.setdefault(key, (call, cost))
    gaps = [Gap(*key, counted[0], counted[1], _fix(book, key, *costs[key])) for key, counted in counts.items()]
    gaps.sort(key=lambda gap: (-gap.calls, gap.reason, gap.provider, gap.model))
    return UnpricedReport(number, all_tokens, tuple(gaps), _overlay(costs))


def aliases_to_write(names_by_provider: Sequence[tuple[str | None, str]]) -> dict[str, Any]:
    """Return the section of an overlay that names models which the book has under another id."""
    aliases: dict[str, dict[str, Any]] = {}
    for provider, name in names_by_provider:
        aliases.setdefault(provider or "PROVIDER", {})[name] = {"model": PLACEHOLDER}
    return {"aliases": aliases}


def _recorded(call: SpanCall, key: str) -> str | None:
    value = call.span.attributes.get(key)
    return value if isinstance(value, str) else None


def _tokens(call: SpanCall) -> int:
    usage = call.reading.reading.usage
    return sum(count for unit, count in usage.counts.items() if unit in TOKEN_UNITS) if usage is not None else 0


def _fix(book: PriceBook, key: tuple[str, str, str, str], call: SpanCall, cost: Cost) -> str:
    status, reason, provider, model = key
    if status == "unpriced" and cost.total is not None and cost.status != "partial":
        return f"{book.id} prices it: with that book it is not unpriced any more"
    if reason == "unknown_model":
        return f"name it in an overlay: {json.dumps(aliases_to_write([(provider, model)]))}"
    if reason == "ambiguous_model":
        host = call.reading.host
        if host is not None:
            return f"say who bills behind it: OTEL_TOKENOMICS_ENDPOINTS={host}=PROVIDER"
        sellers = [seller for seller, name in sorted(book.ids()) if name == model.strip().lower()]
        return f"say who bills: gen_ai.provider.name is one of {', '.join(sellers) or 'none in the book'}"
    if reason in ("missing_rate", "no_row_for_date"):
        return f"write the rate into an overlay: {json.dumps(_own_rows([(call, cost)]))}"
    return _ADVICE.get(reason, "")


def _own_rows(found: Iterable[tuple[SpanCall, Cost]]) -> dict[str, Any]:
    models: dict[tuple[str, str], dict[str, Any]] = {}
    for call, cost in found:
        usage = call.reading.reading.usage
        units = [unit for unit, count in usage.counts.items() if count and unit != "request"] if usage else []
        row: dict[str, Any] = {}
        for word, wanted in (("usd_per_million", True), ("usd_each", False)):
            if rates := {unit: "USD" for unit in units if (unit in TOKEN_UNITS) is wanted}:
                row[word] = rates
        key = cost.provider or "PROVIDER", cost.model or "MODEL"
        models.setdefault(key, {"p": key[0], "id": key[1], "rows": [row]})
    return {"models": list(models.values())}


def _overlay(costs: dict[tuple[str, str, str, str], tuple[SpanCall, Cost]]) -> dict[str, Any]:
    """Return one overlay for all gaps that an overlay can close."""
    unknown = [
        (provider, model)
        for (_, reason, provider, model), (_, cost) in costs.items()
        if reason == "unknown_model" and model and cost.total is None
    ]
    rateless = [one for (_, reason, _, _), one in costs.items() if reason in ("missing_rate", "no_row_for_date")]
    return {**(aliases_to_write(unknown) if unknown else {}), **(_own_rows(rateless) if rateless else {})}
