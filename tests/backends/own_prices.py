"""Prices that no catalogue has, so that a backend that prices by itself is told from one that takes ours."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Final

from recorded import Sent, attributes_of, spans_of

#: USD per million tokens, of a model that everybody prices otherwise and of one that nobody knows: plain input, read
#: from a cache, output.
OWN: Final = MappingProxyType({"gpt-4o": ("1.70", "0.90", "7.10"), "house-summary-1": ("0.31", "0.31", "1.23")})


def overlay(folder: Path) -> Path:
    """Return a file of own prices, as the SDK, the collector and the command line read it."""
    models = [
        {"p": "openai", "id": model, "rows": [{"usd_per_million": {"input": i, "cache_read": r, "output": o}}]}
        for model, (i, r, o) in OWN.items()
    ]
    path = folder / "own-prices.json"
    path.write_text(json.dumps({"models": models}), encoding="utf-8")
    return path


def under_own_prices(sent: Sent) -> Sent:
    """Return what is right about a trace under these prices."""
    calls = []
    spans = {span["spanId"]: attributes_of(span) for span in spans_of(sent.body)}
    for call in sent.calls:
        if call.model in OWN:
            plain, read, made = (Decimal(rate) for rate in OWN[call.model])
            cached = spans[call.span].get("gen_ai.usage.cache_read.input_tokens", 0)
            usd = (call.input_tokens - cached) * plain + cached * read + call.output_tokens * made
            calls.append(call._replace(cost=usd / 1_000_000))
        else:
            calls.append(call)
    return sent._replace(calls=tuple(calls))
