"""Prices foreign spans in front of any span exporter: for services that cannot be instrumented anew.

Attributes cannot be added to a span that has ended, so a copy of it goes on. No metric counts these calls: only what
``instrument()`` watches is counted.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from otel_tokenomics import pricebook_source
from otel_tokenomics.attributes.read import SpanView
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import PriceBook
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.foreign_spans import ForeignPricing
from otel_tokenomics.telemetry.one_charge import Charged, RecentCalls

_SERVER_KINDS: Final = (SpanKind.SERVER, SpanKind.CONSUMER)
_live: weakref.WeakSet[PricingSpanExporter] = weakref.WeakSet()


class PricingSpanExporter(SpanExporter):
    """Wraps a span exporter: spans of other instrumentations leave with their cost, ours and all others as they are.

    ``PricingSpanExporter(OTLPSpanExporter())``. Settings are read once, from ``OTEL_TOKENOMICS_*`` unless given.
    """

    def __init__(self, inner: SpanExporter, *, settings: Settings | None = None) -> None:
        self._inner = inner
        self._settings = settings or Settings.resolve()
        if settings is None:
            pricebook_source.configure(self._settings)
            pricebook_source.keep_fresh(self)
        self._pricing: tuple[PriceBook, ForeignPricing] | None = None
        self._recent = RecentCalls()
        _live.add(self)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Price the spans of a batch and hand them on; what cannot be priced goes on as it is."""
        return self._inner.export(self._priced(spans) if self._settings.enabled and self._settings.price else spans)

    def shutdown(self) -> None:
        """Shut the wrapped exporter down."""
        _live.discard(self)
        pricebook_source.rest(self)
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the wrapped exporter."""
        return self._inner.force_flush(timeout_millis)

    def _priced(self, spans: Sequence[ReadableSpan]) -> Sequence[ReadableSpan]:
        try:
            pricing = self._current()
            changed = self._recent.settle([self._charged(pricing, span) for span in spans])
        except Exception as error:  # noqa: BLE001  # our failure never loses a span
            failures.report("export", error)
            return spans
        return [
            span if attributes is None else _copy(span, attributes)
            for span, attributes in zip(spans, changed, strict=True)
        ]

    def _current(self) -> ForeignPricing:
        book = pricebook_source.current()
        if self._pricing is None or self._pricing[0] is not book:
            self._pricing = book, ForeignPricing(self._settings, book)
        return self._pricing[1]

    def _charged(self, pricing: ForeignPricing, span: ReadableSpan) -> Charged:
        context, parent, scope = span.context, span.parent, span.instrumentation_scope
        placed = Charged(
            context.trace_id if context is not None else 0,
            context.span_id if context is not None else 0,
            parent.span_id if parent is not None else None,
            span.start_time or 0,
            span.end_time or 0,
            scope.name if scope is not None else "",
            span.attributes or {},
            None,
            None,
        )
        try:
            view = _view(span)
            after = pricing.attributes_of(view)
            bears = view.attributes if after is None else after
            return placed._replace(after=after, call=pricing.identity_of(view._replace(attributes=bears)))
        except Exception as error:  # noqa: BLE001  # one span that nobody foresaw must not keep the others unpriced
            failures.report("export", error)
            return placed


class OTLPPricingSpanExporter(PricingSpanExporter):
    """The exporter ``tokenomics_otlp``: OTLP by the standard variables, foreign spans priced on the way."""

    def __init__(self) -> None:
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        if (protocol or "").strip() == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        else:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        super().__init__(OTLPSpanExporter())


def live_exporters() -> int:
    """Return how many exporters of this process price foreign spans."""
    return len(_live)


def _view(span: ReadableSpan) -> SpanView:
    scope = span.instrumentation_scope
    failed = span.status.status_code is StatusCode.ERROR
    return SpanView(
        scope.name if scope is not None else "",
        (scope.version or "") if scope is not None else "",
        span.attributes or {},
        (span.start_time or 0) // 1_000_000,
        span.kind in _SERVER_KINDS,
        failed,
        _exception(span.events) if failed else "",
        span.resource.attributes,
    )


def _exception(events: Sequence[Event]) -> str:
    for event in events:
        kind = (event.attributes or {}).get("exception.type") if event.name == "exception" else None
        if isinstance(kind, str):
            return kind
    return ""


def _copy(span: ReadableSpan, attributes: Mapping[str, Any]) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
