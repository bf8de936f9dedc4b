"""The readers against the shared vectors: one case per rule of each wire dialect."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from otel_tokenomics.usage.dialects import read

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "usage"
CASES = [
    pytest.param(case, id=f"{path.stem}-{case['name']}")
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text(encoding="utf-8"))
]


def as_object(value: Any) -> Any:
    """The same usage as a client's object: attributes instead of keys."""
    return (
        SimpleNamespace(**{key: as_object(inner) for key, inner in value.items()}) if isinstance(value, dict) else value
    )


@pytest.mark.parametrize("shape", [dict, as_object], ids=["dict", "object"])
@pytest.mark.parametrize("case", CASES)
def test_usage(case: dict[str, Any], shape: Any) -> None:
    assert set(case) == {"name", "why", "provider", "api", "usage", "expect"}
    reading = read(case["api"], shape(case["usage"]), provider=case["provider"])
    found: dict[str, Any] = {}
    if reading.usage is not None:
        found["units"] = {unit: str(count) for unit, count in reading.usage.counts.items()}
        found["facts"] = dict(reading.facts)
    if reading.flags:
        found["flags"] = list(reading.flags)
    if reading.stated_cost is not None:
        found["stated_cost"] = str(reading.stated_cost)
    if reading.reason is not None:
        found["reason"] = reading.reason
    assert found == case["expect"]


def test_names_are_unique() -> None:
    names = [case.values[0]["name"] for case in CASES]
    assert len(names) == len(set(names)) > 40


def test_an_unknown_api_names_those_available() -> None:
    with pytest.raises(ValueError, match="'telepathy' is not available; available are chat, completions"):
        read("telepathy", {})
