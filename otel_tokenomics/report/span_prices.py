"""Prices the spans of a file anew, from their attributes alone, each at its own time; whoever made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from otel_tokenomics.attributes import names
from otel_tokenomics.attributes.read import WRITTEN, ReadOptions, SpanReading, SpanView, read_span
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import Cost, EndpointTable, PriceBook, price_reading
from otel_tokenomics.report.otlp_files import SpanRecord

_SERVER_KINDS: Final = (2, 5)
#: A total that the provider stated is the price, whatever the book.
_STATED: Final = (names.TOKENOMICS_COST_TOTAL, names.TOKENOMICS_COST_SOURCE)


class SpanCall(NamedTuple):
    """One model call of a file: its span, and what it says once our earlier figures are left out."""

    span: SpanRecord
    reading: SpanReading

    @property
    def start_ms(self) -> int:
        """Return when the call began, ms UTC."""
        return self.span.start_ns // 1_000_000


def calls_of(spans: Iterable[SpanRecord], settings: Settings) -> Iterator[SpanCall]:
    """Yield the billable calls among spans; a span that came twice counts once.

    Left out are charges, containers, and what an earlier step found ``not_applicable``. Of ``settings`` those count
    that name who bills: ``endpoints``, ``usage_convention``, ``price_server_spans``.
    """
    options = ReadOptions(settings.usage_convention, settings.price_server_spans)
    endpoints, seen = EndpointTable.parse(settings.endpoints), set[tuple[str, str]]()
    for span in spans:
        key = span.trace_id, span.span_id
        if key in seen or span.attributes.get(names.TOKENOMICS_COST_STATUS) == "not_applicable":
            continue
        seen.add(key)
        found = read_span(_view(span), options)
        if found.verdict != "price":
            continue
        ruled = endpoints.lookup(found.host, found.port, found.path) if found.host is not None else None
        yield SpanCall(span, found._replace(provider=ruled, host=None) if ruled else found)


def cost_of(book: PriceBook, call: SpanCall, unknown_host: str = "assume") -> Cost:
    """Return what a call costs by a book, at the call's own time."""
    found = call.reading
    return price_reading(
        book, found.reading, found.provider, call.start_ms,
        request_model=found.request_model, host=found.host, unknown_host=unknown_host,
    )  # fmt: skip


def _view(span: SpanRecord) -> SpanView:
    stated = _STATED if span.attributes.get(names.TOKENOMICS_COST_SOURCE) == "provider" else ()
    attributes = {key: value for key, value in span.attributes.items() if key not in WRITTEN or key in stated}
    accounting = span.attributes.get(names.TOKENOMICS_USAGE_ACCOUNTING)
    if accounting is not None:
        attributes[names.TOKENOMICS_USAGE_ACCOUNTING] = accounting
    return SpanView(
        span.scope, span.scope_version, attributes, span.start_ns // 1_000_000,
        span.kind in _SERVER_KINDS, span.error, resource=span.resource,
    )  # fmt: skip


class ModelTotals(NamedTuple):
    """The calls of one model under two books; money in pico-USD, of the calls that have an amount."""

    model: str
    calls: int
    old: int
    new: int
    old_unpriced: int
    new_unpriced: int


def compare(
    calls: Iterable[SpanCall], old: PriceBook, new: PriceBook, unknown_host: str = "assume"
) -> list[ModelTotals]:
    """Return what calls cost by two books, by model; the greatest difference first.

    A model goes by its name in the newer book, in the older one where only that has it, else by the call's own name.
    """
    totals: dict[str, ModelTotals] = {}
    for call in calls:
        before, after = cost_of(old, call, unknown_host), cost_of(new, call, unknown_host)
        named = after if after.model is not None else before
        own = call.reading.reading.response_model or call.reading.request_model or "?"
        name = f"{named.provider or call.reading.provider or '?'}/{named.model or own}"
        known = totals.get(name, ModelTotals(name, 0, 0, 0, 0, 0))
        totals[name] = ModelTotals(
            name, known.calls + 1, known.old + (before.total or 0), known.new + (after.total or 0),
            known.old_unpriced + (before.total is None), known.new_unpriced + (after.total is None),
        )  # fmt: skip
    return sorted(totals.values(), key=lambda one: (-abs(one.new - one.old), one.model))
