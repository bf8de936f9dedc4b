"""LLM cost for OpenTelemetry: the price of every model call, truthful, attributed and drillable."""

from __future__ import annotations

from otel_tokenomics._api import estimate, flush, instrument, last_cost, record_cost, status, uninstrument
from otel_tokenomics.errors import BadInputError, ConfigError, PriceBookError, TokenomicsError
from otel_tokenomics.tags import tags

__all__ = [
    "BadInputError",
    "ConfigError",
    "PriceBookError",
    "TokenomicsError",
    "estimate",
    "flush",
    "instrument",
    "last_cost",
    "record_cost",
    "status",
    "tags",
    "uninstrument",
]
