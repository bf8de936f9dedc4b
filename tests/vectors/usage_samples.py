"""The raw samples of ``tests/vectors/usage``, and what a reading says in their words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.usage import OtherCharge, Reading, Usage

FOLDER = Path(__file__).resolve().parent / "usage"
CASES = [
    pytest.param(case, id=f"{path.stem}-{case['name']}")
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text(encoding="utf-8"))
]


def units_of(usage: Usage) -> dict[str, str]:
    return {unit: str(count) for unit, count in usage.counts.items()}


def _charges(charges: tuple[OtherCharge, ...]) -> list[dict[str, Any]]:
    return [{"model": charge.model, "units": units_of(charge.usage)} for charge in charges]


def found_in(reading: Reading) -> dict[str, Any]:
    """Return a reading in the form of a case's ``expect``."""
    found: dict[str, Any] = {}
    if reading.usage is not None:
        found = {"units": units_of(reading.usage), "facts": dict(reading.facts)}
    said = {
        "flags": list(reading.flags),
        "stated_cost": None if reading.stated_cost is None else str(reading.stated_cost),
        "reason": reading.reason,
        "model": reading.response_model,
        "others": _charges(reading.others),
        "shares": _charges(reading.shares),
        "summed": reading.summed,
    }
    return found | {name: value for name, value in said.items() if value not in (None, [], False)}
