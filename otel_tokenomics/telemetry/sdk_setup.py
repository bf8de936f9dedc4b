"""Providers: those that exist are used as they are; only where there are none, the SDK is set up with OTLP."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final, NamedTuple

from opentelemetry import metrics, trace

from otel_tokenomics.attributes import names
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.tag_processor import TagProcessor

_GRPC: Final = "grpc"
_OTLP: Final = "otlp"
_UNASKED_S: Final = 1.0

_logger = logging.getLogger("otel_tokenomics")


class _OneLine(logging.Filter):
    """Lets one line through about an endpoint that cannot be reached, of the many that the exporters' retries write.

    The service never asked for a backend by itself. Other refusals (a wrong key, a wrong path) are another message.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is no repetition."""
        if not str(record.msg).startswith(("Transient error", "Failed to export %s batch due to timeout")):
            return True
        first, self._said = not self._said, True
        return first


_one_line: Final = _OneLine()


class Providers(NamedTuple):
    """What was found or made, for ``status()``; ``processor`` is None where the provider takes none."""

    tracer: str
    meter: str
    processor: TagProcessor | None
    resource_tags: Mapping[str, str]


_added: tuple[object, TagProcessor] | None = None


def add_processor(default_tags: Mapping[str, str]) -> TagProcessor | None:
    """Add our span processor to the global provider where one exists and takes it; nothing is set up here.

    A provider keeps its processors for good, so ours is added once, and woken where it was stopped.
    """
    global _added
    provider: Any = trace.get_tracer_provider()
    if not _has_tracer_provider() or not hasattr(provider, "add_span_processor"):
        return None
    defaults = {**_resource_tags(provider), **default_tags}
    if _added is not None and _added[0] is provider:
        processor = _added[1]
        processor.defaults, processor.active = defaults, True
        return processor
    processor = TagProcessor(defaults)
    provider.add_span_processor(processor)
    _added = provider, processor
    return processor


def settle_providers(default_tags: Mapping[str, str], processor: TagProcessor | None) -> Providers:
    """Use the global providers, or set up the SDK where there are none, and add our span processor if it is not yet.

    An existing provider is never replaced. ``OTEL_TRACES_EXPORTER`` and ``OTEL_METRICS_EXPORTER`` of ``none``
    are respected. What cannot be set up (an exporter that is not installed) is a failure of ours: it is reported,
    and the service runs on without.
    """
    tracer = "found" if _has_tracer_provider() else _attempt(_make_tracer_provider)
    meter = "found" if _has_meter_provider() else _attempt(_make_meter_provider)
    provider: Any = trace.get_tracer_provider()
    processor = processor or add_processor(default_tags)
    return Providers(f"{tracer}: {type(provider).__name__}", meter, processor, _resource_tags(provider))


def _attempt(make: Callable[[], str]) -> str:
    try:
        return make()
    except LookupError as error:
        _logger.warning("otel_tokenomics: %s; nothing is exported", error.args[0])
        return "failed: unknown exporter"
    except Exception as error:  # noqa: BLE001  # the caller is entering a block of tags, or calls a model
        failures.report("export", error)
        return f"failed: {type(error).__name__}"


def _resource_tags(provider: Any) -> Mapping[str, str]:
    attributes: Mapping[str, Any] = getattr(getattr(provider, "resource", None), "attributes", None) or {}
    return {key: str(value) for key, value in attributes.items() if key.startswith(names.TOKENOMICS_TAG_PREFIX)}


def _has_tracer_provider() -> bool:
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def _has_meter_provider() -> bool:
    return type(metrics.get_meter_provider()).__name__ != "_ProxyMeterProvider"


def _make_tracer_provider() -> str:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporters = [_trace_exporter(name) for name in _exporter_names("TRACES")]
    if not exporters:
        return "none, by OTEL_TRACES_EXPORTER"
    provider = TracerProvider()
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return "set up"


def _make_meter_provider() -> str:
    from opentelemetry.sdk.metrics import MeterProvider

    readers = [_metric_reader(name) for name in _exporter_names("METRICS")]
    if not readers:
        return "none, by OTEL_METRICS_EXPORTER"
    metrics.set_meter_provider(MeterProvider(readers))
    return "set up"


def _trace_exporter(name: str) -> Any:
    if name != _OTLP:
        return _plugin("opentelemetry_traces_exporter", name)()
    if _protocol("TRACES") == _GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    logging.getLogger(OTLPSpanExporter.__module__).addFilter(_one_line)
    return OTLPSpanExporter(timeout=_patience("TRACES"))


def _metric_reader(name: str) -> Any:
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

    if name != _OTLP:
        made = _plugin("opentelemetry_metrics_exporter", name)()
        return made if isinstance(made, MetricReader) else PeriodicExportingMetricReader(made)
    if _protocol("METRICS") == _GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    logging.getLogger(OTLPMetricExporter.__module__).addFilter(_one_line)
    return PeriodicExportingMetricReader(OTLPMetricExporter(timeout=_patience("METRICS")))


def _exporter_names(signal: str) -> list[str]:
    """Return the exporters that the standard variable names; ``none`` is none."""
    words = (os.environ.get(f"OTEL_{signal}_EXPORTER") or _OTLP).split(",")
    return [name for word in words if (name := word.strip()) and name != "none"]


def _plugin(group: str, name: str) -> Any:
    """Return the class of an exporter that a package offers under a name, as the SDK's own start would."""
    found = next(iter(entry_points(group=group, name=name)), None)
    if found is None:
        known = ", ".join(sorted({entry.name for entry in entry_points(group=group)}))
        raise LookupError(f"OTEL_*_EXPORTER names {name[:60]!r}, which no package offers; installed are {known}")
    return found.load()


def _patience(signal: str) -> float | None:
    """Return for how many seconds an export may be tried; None leaves it to the standard variables.

    Where nobody named a backend, a service must not wait at its end for one that is not there.
    """
    kinds = ("ENDPOINT", "TIMEOUT", f"{signal}_ENDPOINT", f"{signal}_TIMEOUT")
    return None if any(os.environ.get(f"OTEL_EXPORTER_OTLP_{kind}") for kind in kinds) else _UNASKED_S


def _protocol(signal: str) -> str:
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL")
    return (own or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf").strip()
