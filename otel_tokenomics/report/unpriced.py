"""The share of calls whose amount nobody knows, or only a lower bound of it, by reason, each with what would help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

from otel_tokenomics.attributes import names
from otel_tokenomics.pricing import Cost, PriceBook
from otel_tokenomics.report.fixes import Asked, Fix, doubt_of, fix_of
from otel_tokenomics.report.span_prices import SpanCall, cost_of
from otel_tokenomics.usage import TOKEN_UNITS

_GAPS: Final = ("unpriced", "partial")
_Key = tuple[str, str, str, str]


class Gap(NamedTuple):
    """Calls without a full price: one reason of one model. ``fix`` is one line for people."""

    status: str
    reason: str
    provider: str
    model: str
    calls: int
    tokens: int
    fix: str


class Doubt(NamedTuple):
    """Calls whose price rests on an assumption, or disagrees with another: one flag of one model."""

    flag: str
    provider: str
    model: str
    calls: int
    tokens: int
    fix: str


class UnpricedReport(NamedTuple):
    """All calls, those with a gap and those in doubt, most calls first; ``overlay`` is to be filled in and pasted."""

    calls: int
    tokens: int
    gaps: tuple[Gap, ...]
    doubts: tuple[Doubt, ...]
    overlay: dict[str, Any]


class _Tally:
    """Counts calls and tokens by key; keeps what helps in the first call of each."""

    def __init__(self) -> None:
        self.counts: dict[_Key, list[int]] = {}
        self.fixes: dict[_Key, Fix] = {}

    def add(self, key: _Key, tokens: int) -> bool:
        """Count a call; return whether it is the first of its key."""
        new = key not in self.counts
        counted = self.counts.setdefault(key, [0, 0])
        counted[0] += 1
        counted[1] += tokens
        return new


def unpriced_report(calls: Iterable[SpanCall], book: PriceBook, unknown_host: str = "assume") -> UnpricedReport:
    """Return the gaps among calls: as recorded where a span bears our verdict, else as the book prices it now."""
    number = all_tokens = 0
    gaps, doubts = _Tally(), _Tally()
    for call in calls:
        number, tokens = number + 1, _tokens(call)
        all_tokens += tokens
        recorded = _recorded(call, names.TOKENOMICS_COST_STATUS)
        flags = _recorded_flags(call)
        if recorded and recorded not in _GAPS and not flags:
            continue
        cost = cost_of(book, call, unknown_host)
        asked = _asked(call)
        provider, status = cost.provider or asked.provider or "", recorded or cost.status
        if status in _GAPS:
            reason = (_recorded(call, names.TOKENOMICS_COST_REASON) if recorded else cost.reason) or ""
            key = status, reason, provider, asked.model
            if gaps.add(key, tokens):
                gaps.fixes[key] = _fix(book, status, reason, cost, asked)
        for flag in flags if recorded else cost.flags:
            key = "", flag, provider, asked.model
            if doubts.add(key, tokens):
                doubts.fixes[key] = doubt_of(book, key[1], cost, asked)
    listed = [Gap(*key, calls, tokens, gaps.fixes[key].line) for key, (calls, tokens) in gaps.counts.items()]
    listed.sort(key=lambda gap: (-gap.calls, gap.reason, gap.provider, gap.model))
    flagged = [Doubt(*key[1:], calls, tokens, doubts.fixes[key].line) for key, (calls, tokens) in doubts.counts.items()]
    flagged.sort(key=lambda doubt: (-doubt.calls, doubt.flag, doubt.provider, doubt.model))
    return UnpricedReport(number, all_tokens, tuple(listed), tuple(flagged), _together(gaps.fixes.values()))


def _recorded(call: SpanCall, key: str) -> str | None:
    value = call.span.attributes.get(key)
    return value if isinstance(value, str) else None


def _recorded_flags(call: SpanCall) -> list[str]:
    value = call.span.attributes.get(names.TOKENOMICS_COST_FLAGS)
    return [str(flag) for flag in cast("list[object]", value)] if isinstance(value, list) else []


def _tokens(call: SpanCall) -> int:
    usage = call.reading.reading.usage
    return sum(count for unit, count in usage.counts.items() if unit in TOKEN_UNITS) if usage is not None else 0


def _asked(call: SpanCall) -> Asked:
    reading = call.reading.reading
    model = reading.response_model or call.reading.request_model or ""
    units = [unit for unit, count in reading.usage.counts.items() if count] if reading.usage is not None else []
    return Asked(call.reading.provider, model, call.reading.host, units, call.start_ms)


def _fix(book: PriceBook, status: str, reason: str, cost: Cost, asked: Asked) -> Fix:
    if status == "unpriced" and cost.total is not None and cost.status != "partial":
        return Fix(f"{book.id} prices it: with that book it is not unpriced any more")
    return fix_of(book, cost, reason, asked)


def _together(fixes: Iterable[Fix]) -> dict[str, Any]:
    """Return one overlay for all gaps that an overlay can close."""
    result: dict[str, Any] = {}
    models: dict[tuple[str, str], Mapping[str, Any]] = {}
    for fix in fixes:
        for key in ("providers", "aliases"):
            for name, entry in fix.overlay.get(key, {}).items():
                known = result.setdefault(key, {}).setdefault(name, {})
                known |= entry
        for model in fix.overlay.get("models", ()):
            models.setdefault((model["p"], model["id"]), model)
    return {**result, **({"models": list(models.values())} if models else {})}
