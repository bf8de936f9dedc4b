"""The keys under which backends read a cost: repetitions of our numbers, never a source."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from otel_tokenomics.attributes import names
from otel_tokenomics.pricing import Cost
from otel_tokenomics.usage import pico_to_usd

#: Keys that hold one JSON object; the other keys of their dialect are its members.
_JSON: Final = frozenset({"mlflow.llm.cost", "langfuse.observation.cost_details"})


def dialect_attributes(cost: Cost, dialects: Iterable[str]) -> dict[str, Any]:
    """Return the attributes of the chosen dialects; nothing for a cost without a total.

    A provider's total has no parts of ours, so keys of parts are left out then. ``scalar`` and ``semconv443``
    never stand on one span: a value and an object would share a path.
    """
    if cost.total is None:
        return {}
    chosen = tuple(dialects)
    attributes: dict[str, Any] = {}
    for dialect in chosen:
        if dialect == "semconv443" and "scalar" in chosen:
            continue
        attributes |= _one(names.DIALECTS[dialect], cost)
    return attributes


def _one(keys: Mapping[str, tuple[str, ...]], cost: Cost) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, parts in keys.items():
        if parts == ("json",):
            continue
        if parts == ("text",):
            values[key] = "USD" if key.endswith("currency") else "provider" if cost.source == "provider" else "local"
        elif parts == ("total",):
            values[key] = pico_to_usd(cost.total or 0)
        elif cost.parts and (amount := sum(cost.parts.get(part, 0) for part in parts)):
            values[key] = pico_to_usd(amount)
    container = next((key for key in keys if key in _JSON), None)
    return {container: json.dumps(values, separators=(",", ":"))} if container else values
