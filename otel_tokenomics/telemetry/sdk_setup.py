"""Providers: those that exist are used as they are; only where there are none, the SDK is set up with OTLP."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from opentelemetry import metrics, trace

from otel_tokenomics.attributes import names
from otel_tokenomics.telemetry.tag_processor import TagProcessor

_logger = logging.getLogger("otel_tokenomics")
_GRPC: Final = "grpc"


class Providers(NamedTuple):
    """What was found or made, for ``status()``; ``processor`` is None where the provider takes none."""

    tracer: str
    meter: str
    processor: TagProcessor | None
    resource_tags: Mapping[str, str]


def add_processor(default_tags: Mapping[str, str]) -> TagProcessor | None:
    """Add our span processor to the global provider where one exists and takes it; nothing is set up here."""
    provider: Any = trace.get_tracer_provider()
    if not _has_tracer_provider() or not hasattr(provider, "add_span_processor"):
        return None
    processor = TagProcessor(default_tags)
    provider.add_span_processor(processor)
    return processor


def settle_providers(default_tags: Mapping[str, str], processor: TagProcessor | None) -> Providers:
    """Use the global providers, or set up the SDK where there are none, and add our span processor if it is not yet.

    An existing provider is never replaced. ``OTEL_TRACES_EXPORTER`` and ``OTEL_METRICS_EXPORTER`` of ``none``
    are respected.
    """
    tracer = "found" if _has_tracer_provider() else _make_tracer_provider()
    meter = "found" if _has_meter_provider() else _make_meter_provider()
    provider: Any = trace.get_tracer_provider()
    processor = processor or add_processor(default_tags)
    attributes: Mapping[str, Any] = getattr(getattr(provider, "resource", None), "attributes", None) or {}
    tags = {k: str(v) for k, v in attributes.items() if k.startswith(names.TOKENOMICS_TAG_PREFIX)}
    return Providers(f"{tracer}: {type(provider).__name__}", meter, processor, tags)


def _has_tracer_provider() -> bool:
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def _has_meter_provider() -> bool:
    return type(metrics.get_meter_provider()).__name__ != "_ProxyMeterProvider"


def _make_tracer_provider() -> str:
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip() != "otlp":
        return "none, by OTEL_TRACES_EXPORTER"
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if _protocol("TRACES") == _GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return "set up"


def _make_meter_provider() -> str:
    if os.environ.get("OTEL_METRICS_EXPORTER", "otlp").strip() != "otlp":
        return "none, by OTEL_METRICS_EXPORTER"
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    if _protocol("METRICS") == _GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
    return "set up"


def _protocol(signal: str) -> str:
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL")
    return (own or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf").strip()
