"""The span processor that copies tags to every span, and keeps the way from a call to its ancestors."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import get_current_span

from otel_tokenomics.tags import current_tags
from otel_tokenomics.telemetry import one_charge, unended
from otel_tokenomics.telemetry.rollup import remember_parent


class TagProcessor(SpanProcessor):
    """Copies the tags in force to each span at its start. Attributes cannot be added when a span ends."""

    def __init__(self, defaults: Mapping[str, str]) -> None:
        self.defaults = dict(defaults)
        self.active = True

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Copy the tags in force, and remember the parent."""
        if not self.active:
            return
        tags = current_tags(parent_context)
        if tags or self.defaults:
            span.set_attributes({**self.defaults, **tags} if self.defaults else tags)
        _note_start(span)
        unended.note_start(span)
        if span.parent is not None and not span.parent.is_remote:
            remember_parent(span, get_current_span(parent_context))

    def on_end(self, span: ReadableSpan) -> None:
        """Note the end; an ended span takes no attributes."""
        if span.context is not None:
            unended.note_end(span.context.span_id)

    def shutdown(self) -> None:
        """Stop copying."""
        self.active = False

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return at once: nothing is held here."""
        del timeout_millis
        return True


def _note_start(span: Span) -> None:
    context, parent, scope = span.context, span.parent, span.instrumentation_scope
    if context is not None:
        above = parent.span_id if parent is not None else None
        one_charge.note_start(context.trace_id, context.span_id, above, scope.name if scope is not None else "")
