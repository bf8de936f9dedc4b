"""Prices the spans of an OTLP file that a coding agent wrote, and sends them on to OTEL_EXPORTER_OTLP_ENDPOINT.

Their events stay behind: some agents write prompts there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

import otel_tokenomics as tk
from otel_tokenomics.report.otlp_files import SpanRecord, read_spans


def context_of(record: SpanRecord, span_id: str) -> SpanContext:
    """Return the identity of a span of the file."""
    return SpanContext(int(record.trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(1))


def span_of(record: SpanRecord) -> ReadableSpan:
    """Return a span of the file as an exporter takes it."""
    return ReadableSpan(
        record.name,
        context=context_of(record, record.span_id),
        parent=context_of(record, record.parent_id) if record.parent_id else None,
        resource=Resource(record.resource),
        attributes=record.attributes,
        kind=list(SpanKind)[max(record.kind - 1, 0)],  # OTLP counts from 1, and 0 is unsaid
        status=Status(StatusCode.ERROR if record.error else StatusCode.UNSET),
        start_time=record.start_ns,
        end_time=record.end_ns,
        instrumentation_scope=InstrumentationScope(record.scope),
    )


path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("session.json")
exporter = tk.PricingSpanExporter(OTLPSpanExporter())
exporter.export([span_of(record) for record in read_spans(path)])
exporter.shutdown()
