"""Merge one model's rows from our patch and the two sources.

Order per model, unit, condition and tier: our patch, then genai-prices (the only source with dates), then litellm,
which fills what genai-prices does not have. litellm states what is charged now: it is compared with the row that is
in force at the book's date, and knows nothing of a price that is announced for later. A rate on which the sources
differ by more than 0.5 % and that no patch decides keeps the order's winner and is a dispute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, NamedTuple

PICO: Final = Decimal(10) ** 12
TOLERANCE: Final = Decimal("0.005")
_FOREVER: Final = "9999-12-31T23:59:59Z"
Row = dict[str, Any]
Disputes = dict[str, list[str]]


class Merged(NamedTuple):
    """The rows of one model, what the sources disagree on, and how many rates were rounded."""

    rows: list[Row]
    disputes: Disputes
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
    patch: Mapping[str, Any] | None,
    genai: Mapping[str, Any] | None,
    litellm: Mapping[str, Any] | None,
    at: str = _FOREVER,
    tolerance: Decimal = TOLERANCE,
) -> Merged:
    """Return the merged rows of one model; at least one of the three is given. ``at`` is the book's date.

    A patch has ``rows`` of its own, or takes the rows of one source as they are (``take``), or says whose rate stands
    where both state a unit (``prefer``), or leaves the merge to the order above; ``before`` states what units cost
    before an instant, in front of the base row that begins there.
    """
    rounding = Rounding()
    decided = patch or {}
    if "rows" in decided:
        rows = [_patch_row(row, rounding) for row in decided["rows"]]
        return Merged(_finished(_marked(rows, decided)), {}, rounding.noise)
    if decided.get("take") == "litellm":
        genai = None
    elif decided.get("take") == "genai-prices":
        litellm = None
    first = [_row(row, "g", rounding) for row in genai["rows"]] if genai else []
    second = [_row(row, "l", rounding) for row in litellm["rows"]] if litellm else []
    disputes: Disputes = {}
    if first:
        base = _in_force(first, None, at)
        for theirs in second:
            ours = _in_force(first, theirs.get("when"), at)
            if ours is None:
                first.append({**theirs, **_dates(first, theirs.get("when"), base, at)})
                continue
            found = _meet(ours, theirs, decided.get("prefer"), tolerance)
            disputes |= found
            # genai-prices began to carry conditions on one day: where both agree, they hold as long as the base row.
            if not found and "when" in ours and base and "from" in ours and base.get("from", "") < ours["from"]:
                del ours["from"]
                ours |= {"from": base["from"]} if "from" in base else {}
    rows = first or second
    for step in reversed(decided.get("before", ())):
        _before(rows, step, rounding)
    return Merged(_finished(_marked(rows, decided)), disputes, rounding.noise)


def _row(row: Mapping[str, Any], source: str, rounding: Rounding) -> Row:
    result: Row = {key: row[key] for key in ("from", "until", "when") if key in row}
    result["rates"] = {unit: rounding.pico(rate) for unit, rate in row["rates"].items()}
    if "tiers" in row:
        result["tiers"] = [
            {"gt": tier["gt"], "rates": {unit: rounding.pico(rate) for unit, rate in tier["rates"].items()}}
            for tier in row["tiers"]
        ]
    result["src"] = [source]
    return result


def _patch_row(row: Mapping[str, Any], rounding: Rounding) -> Row:
    result: Row = {key: row[key] for key in ("from", "until", "when") if key in row}
    result["rates"] = _patch_rates(row, rounding)
    if "tiers" in row:
        result["tiers"] = [{"gt": tier["gt"], "rates": _patch_rates(tier, rounding)} for tier in row["tiers"]]
    return {**result, "src": ["p"]}


def _patch_rates(entry: Mapping[str, Any], rounding: Rounding) -> dict[str, int]:
    rates = {unit: rounding.pico(rate, 10**6) for unit, rate in entry.get("usd_per_million", {}).items()}
    return rates | {unit: rounding.pico(rate) for unit, rate in entry.get("usd_each", {}).items()}


def _before(rows: list[Row], step: Mapping[str, Any], rounding: Rounding) -> None:
    """Put a row before the oldest base row: its rates but for those that the patch states, until the instant."""
    oldest = next(row for row in rows if "when" not in row and "from" not in row)
    earlier: Row = {"until": step["until"], "rates": {**oldest["rates"], **_patch_rates(step, rounding)}}
    if "tiers" in oldest:
        earlier["tiers"] = oldest["tiers"]
    # What a condition cost before the change, no source says.
    for row in rows:
        if row.get("from", "") < step["until"] < row.get("until", _FOREVER):
            row["from"] = step["until"]
    rows.insert(0, {**earlier, "src": ["p"]})


def _in_force(rows: Sequence[Row], when: Any, at: str) -> Row | None:
    """Return the row of a condition that holds at an instant: of several, the one that began last."""
    of_condition = [row for row in rows if row.get("when") == when]
    holding = [row for row in of_condition if row.get("from", "") <= at and ("until" not in row or at < row["until"])]
    return max(holding, key=lambda row: row.get("from", ""), default=None)


def _dates(rows: Sequence[Row], when: Any, base: Row | None, at: str) -> Row:
    """Return how long what the source without dates states holds: from the last change to the next one announced."""
    dates: Row = {"from": base["from"]} if base and "from" in base else {}
    later = [row["from"] for row in rows if row.get("from", "") > at and row.get("when") in (None, when)]
    return dates | ({"until": min(later)} if later else {})


def _meet(ours: Row, theirs: Row, prefer: str | None, tolerance: Decimal) -> Disputes:
    """Fill what a row of ours lacks from the other source's, tier by tier; return what both state differently."""
    condition = "".join(f";{key}={'|'.join(words)}" for key, words in sorted(ours.get("when", {}).items()))
    found = _differences(ours["rates"], theirs["rates"], condition, tolerance)
    if prefer == "litellm":
        _adopt(ours, theirs)
    agreed = any(ours["rates"].get(unit) == rate for unit, rate in theirs["rates"].items())
    filled = _fill(ours["rates"], theirs["rates"])
    for tier in ours.get("tiers", ()):
        other = next((one for one in theirs.get("tiers", ()) if one["gt"] == tier["gt"]), None)
        if other is not None:
            found |= _differences(tier["rates"], other["rates"], f"{condition};tier={tier['gt']}", tolerance)
            filled = _fill(tier["rates"], other["rates"]) or filled
    if filled or agreed:
        ours["src"] = ["g", "l"]
    if found and prefer:
        ours["src"] = [*ours["src"], "p"]
        return {}
    if found:
        ours["x-disputed"] = {unit: [int(values[0]), int(values[1])] for unit, values in found.items()}
    return found


def _adopt(ours: Row, theirs: Row) -> None:
    """Put the other source's rates in place of ours, tier by tier."""
    ours["rates"] |= {unit: rate for unit, rate in theirs["rates"].items() if rate}
    for tier in ours.get("tiers", ()):
        for other in theirs.get("tiers", ()):
            if other["gt"] == tier["gt"]:
                tier["rates"] |= {unit: rate for unit, rate in other["rates"].items() if rate}


def _differences(ours: Mapping[str, int], theirs: Mapping[str, int], where: str, tolerance: Decimal) -> Disputes:
    found: Disputes = {}
    for unit, rate in ours.items():
        other = theirs.get(unit)
        if other is not None and abs(rate - other) > tolerance * max(rate, other):
            found[unit + where] = [str(rate), str(other)]
    return found


def _fill(ours: dict[str, int], theirs: Mapping[str, int]) -> bool:
    """Add the units that only the other source has; a zero there is no price."""
    added = {unit: rate for unit, rate in theirs.items() if rate and unit not in ours}
    ours |= added
    return bool(added)


def _marked(rows: list[Row], patch: Mapping[str, Any]) -> list[Row]:
    return [{**row, "x-mark": patch["mark"]} for row in rows] if "mark" in patch else rows


def _finished(rows: list[Row]) -> list[Row]:
    return _with_own_tiers(_without_repeated_reasoning(rows))


def _without_repeated_reasoning(rows: list[Row]) -> list[Row]:
    """Leave out a ``reasoning`` rate that only repeats ``output``.

    Reasoning bills at the output rate where it has none of its own. Stated in the base row alone, the repetition
    would outlive a batch or flex row that states just the cheaper ``output``: half price, but not for the thoughts.
    """
    stated = [entry["rates"] for row in rows for entry in (row, *row.get("tiers", ()))]
    if all(rates["reasoning"] == rates.get("output") for rates in stated if "reasoning" in rates):
        for rates in stated:
            rates.pop("reasoning", None)
    return rows


def _with_own_tiers(rows: list[Row]) -> list[Row]:
    """Where the base row has tiers, a conditional row states its own, none if need be."""
    if any("tiers" in row for row in rows if "when" not in row):
        for row in rows:
            if "when" in row:
                row.setdefault("tiers", [])
    return rows
