"""Prices: a pure function of (book, provider, model, usage, facts, instant).

Nothing impure may enter this room: no clock, no network, no OpenTelemetry, no settings. It imports ``usage``,
``errors`` and the standard library, and is twinned in ``collector/pricing``; ``tests/vectors`` hold both equal.
"""

from __future__ import annotations

from otel_tokenomics.pricing.book import Model, PriceBook, load_embedded
from otel_tokenomics.pricing.calc import Cost, price, price_reading
from otel_tokenomics.pricing.capacity import Capacity
from otel_tokenomics.pricing.explain import BreakdownRow, Explanation, NameTried, RowVerdict, breakdown, explain
from otel_tokenomics.pricing.hosts import EndpointTable
from otel_tokenomics.pricing.match import Match, resolve

__all__ = [
    "BreakdownRow",
    "Capacity",
    "Cost",
    "EndpointTable",
    "Explanation",
    "Match",
    "Model",
    "NameTried",
    "PriceBook",
    "RowVerdict",
    "breakdown",
    "explain",
    "load_embedded",
    "price",
    "price_reading",
    "resolve",
]
