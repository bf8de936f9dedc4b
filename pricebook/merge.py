"""Merge one model's rows from our patch and the two sources.

Order per model and unit: our patch, then genai-prices (the only source with dates), then litellm, which fills
what genai-prices does not have. A base rate on which the sources differ by more than 0.5 % and that no patch
decides keeps the order's winner and is a dispute.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, NamedTuple

PICO: Final = Decimal(10) ** 12
TOLERANCE: Final = Decimal("0.005")
#: Units that litellm may add to a row of genai-prices: no rate is ever derived from another one.
FILLED_UNITS: Final = (
    "cache_write_1h",
    "cache_write_12h",
    "reasoning",
    "audio_in",
    "audio_out",
    "audio_cache_read",
    "image_in",
    "image_out",
    "audio_in_second",
    "character",
    "page",
    "web_search",
)


class Merged(NamedTuple):
    """The rows of one model, what the sources disagree on, and how many rates were rounded."""

    rows: list[dict[str, Any]]
    disputes: dict[str, list[str]]
    noise: int


class Rounding:
    """Turns decimal USD into integer pico-USD, half-even, and counts what was not exact."""

    def __init__(self) -> None:
        self.noise = 0

    def pico(self, usd: str, per: int = 1) -> int:
        """Return ``usd`` for ``per`` units as pico-USD per one unit."""
        exact = Decimal(usd) * PICO / per
        rounded = int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))
        self.noise += exact != rounded
        return rounded


def merge(
    patch: Mapping[str, Any] | None, genai: Mapping[str, Any] | None, litellm: Mapping[str, Any] | None
) -> Merged:
    """Return the merged rows of one model; at least one of the three is given."""
    rounding = Rounding()
    if patch is not None and "rows" in patch:
        return Merged([_patch_row(row, rounding) for row in patch["rows"]], {}, rounding.noise)
    first = [_row(row, "g", rounding) for row in genai["rows"]] if genai else []
    second = [_row(row, "l", rounding) for row in litellm["rows"]] if litellm else []
    if not first:
        return Merged(_with_own_tiers(second), {}, rounding.noise)
    current = _current(first)
    other = next((row for row in second if "when" not in row), None)
    disputes = _disputes(current, other) if current and other else {}
    if current and other:
        _fill(current, other)
        if disputes:
            current["x-disputed"] = {unit: [int(values[0]), int(values[1])] for unit, values in disputes.items()}
    conditions = [row.get("when") for row in first]
    first += [row for row in second if "when" in row and row["when"] not in conditions]
    return Merged(_with_own_tiers(first), disputes, rounding.noise)


def _row(row: Mapping[str, Any], source: str, rounding: Rounding) -> dict[str, Any]:
    result: dict[str, Any] = {key: row[key] for key in ("from", "until", "when") if key in row}
    result["rates"] = {unit: rounding.pico(rate) for unit, rate in row["rates"].items()}
    if "tiers" in row:
        result["tiers"] = [
            {"gt": tier["gt"], "rates": {unit: rounding.pico(rate) for unit, rate in tier["rates"].items()}}
            for tier in row["tiers"]
        ]
    result["src"] = [source]
    return result


def _patch_row(row: Mapping[str, Any], rounding: Rounding) -> dict[str, Any]:
    result: dict[str, Any] = {key: row[key] for key in ("from", "until", "when") if key in row}
    rates = {unit: rounding.pico(rate, 10**6) for unit, rate in row.get("usd_per_million", {}).items()}
    rates |= {unit: rounding.pico(rate) for unit, rate in row.get("usd_each", {}).items()}
    return {**result, "rates": rates, "src": ["p"]}


def _current(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    return next((row for row in rows if "when" not in row and "until" not in row), None)


def _disputes(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for unit, rate in ours["rates"].items():
        other = theirs["rates"].get(unit)
        if other is not None and abs(rate - other) > TOLERANCE * max(rate, other):
            found[unit] = [str(rate), str(other)]
    return found


def _fill(ours: dict[str, Any], theirs: Mapping[str, Any]) -> None:
    added = {
        unit: theirs["rates"][unit] for unit in FILLED_UNITS if theirs["rates"].get(unit) and unit not in ours["rates"]
    }
    agreed = any(ours["rates"].get(unit) == rate for unit, rate in theirs["rates"].items())
    ours["rates"] |= added
    if added or agreed:
        ours["src"] = ["g", "l"]


def _with_own_tiers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where the base row has tiers, a conditional row states its own, none if need be."""
    if any("tiers" in row for row in rows if "when" not in row):
        for row in rows:
            if "when" in row:
                row.setdefault("tiers", [])
    return rows
