"""LLM cost for OpenTelemetry: the price of every model call, truthful, attributed and drillable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_tokenomics._api import (
    cache_hit,
    estimate,
    flush,
    instrument,
    last_cost,
    record_batch,
    record_cost,
    status,
    uninstrument,
)
from otel_tokenomics.errors import BadInputError, ConfigError, PriceBookError, TokenomicsError
from otel_tokenomics.tags import tags

if TYPE_CHECKING:
    from otel_tokenomics.telemetry.exporter import PricingSpanExporter

__all__ = [
    "BadInputError",
    "ConfigError",
    "PriceBookError",
    "PricingSpanExporter",
    "TokenomicsError",
    "cache_hit",
    "estimate",
    "flush",
    "instrument",
    "last_cost",
    "record_batch",
    "record_cost",
    "status",
    "tags",
    "uninstrument",
]


def __getattr__(name: str) -> object:
    """Return the exporter when it is asked for: it needs the SDK, which a service need not load for the rest."""
    if name == "PricingSpanExporter":
        from otel_tokenomics.telemetry.exporter import PricingSpanExporter

        return PricingSpanExporter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
