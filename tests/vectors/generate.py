"""Write ``generated.jsonl``: random prices against the embedded book, as the Python engine gives them.

The Go engine reads the file and must agree in every field. Deterministic: the same book gives the same bytes. Fails
after writing where anything changed, so that a build cannot pass with a stale file.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from otel_tokenomics.pricing import Cost, PriceBook, load_embedded, price
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import UNITS, Usage

CASES: Final = 5400
SEED: Final = 20261124
FILE: Final = Path(__file__).with_name("generated.jsonl")
_EDGES: Final = ("00:59:59.999", "01:00:00", "03:59:59.999", "04:00:00", "05:59:59.999", "06:00:00", "09:59:59.999")
WORDS: Final[Mapping[str, Sequence[str]]] = {
    "service_tier": ("default", "auto", "flex", "priority", "batch", "fast", "ultrafast", "unheard-of", ""),
    "processing": ("batch", "default", "offline"),
    "speed": ("fast", "standard", "slow"),
    "inference_geo": ("us", "eu", "global", "not_available"),
    "deployment_type": ("global", "datazone-us", "datazone-eu", "regional", "geo"),
    "region": ("us-east-1", "westeurope", "nowhere"),
    "search_context_size": ("low", "medium", "high"),
}
_TAILS: Final = ("-2026-01-31", "-20260131", "@20260131", "-latest", "-preview-05-20", "[1m]", ":128k")
_FIRST, _LAST = instant("2024-01-01T00:00:00Z"), instant("2027-06-30T00:00:00Z")


def main() -> int:
    """Write the file; return 1 where it was stale."""
    before = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    after = "".join(json.dumps(case, separators=(",", ":"), sort_keys=True) + "\n" for case in cases(load_embedded()))
    FILE.write_text(after, encoding="utf-8")
    if after != before:
        print(f"{FILE.name} was stale; it is written anew: commit it", file=sys.stderr)
        return 1
    return 0


def cases(book: PriceBook) -> list[dict[str, Any]]:
    """Return the cases: half of them on models whose price depends on more than the counts."""
    draw = random.Random(SEED)
    pick = Entries(book)
    return [_case(book, draw, number, pick.one(draw, number)) for number in range(CASES)]


class Entries:
    """The models of a book, from which the intricate ones are drawn as often as all others together."""

    def __init__(self, book: PriceBook) -> None:
        entries = [
            entry for key in sorted(book.ids()) if (entry := book.entry(*key)) is not None and entry["id"] == key[1]
        ]
        self.of_provider: dict[str, list[Mapping[str, Any]]] = {}
        for entry in entries:
            self.of_provider.setdefault(entry["p"], []).append(entry)
        self.providers = sorted(self.of_provider)
        self._intricate = [
            entry for entry in entries if len(entry["rows"]) > 1 or any(row.get("tiers") for row in entry["rows"])
        ]
        self._calendars = [
            entry for entry in entries if any("calendar" in row.get("when", {}) for row in entry["rows"])
        ]

    def one(self, draw: random.Random, number: int) -> Mapping[str, Any]:
        """Return the model of a case: every twentieth has a calendar, every second one is intricate."""
        if number % 20 == 0 and self._calendars:
            return draw.choice(self._calendars)
        if number % 2:
            return draw.choice(self._intricate)
        return draw.choice(self.of_provider[self.providers[number // 2 % len(self.providers)]])


def _case(book: PriceBook, draw: random.Random, number: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    at, units, facts = an_instant(draw, entry), some_units(draw, entry), some_facts(draw, entry)
    case: dict[str, Any] = {
        "name": f"g{number:05d}",
        "why": "random, by the Python engine",
        "provider": entry["p"],
        "model": a_name(draw, entry),
        "at": at,
        "units": {unit: str(count) for unit, count in units.items()},
        "facts": facts,
    }
    stated = draw.choice((0, 1, draw.randrange(10**12), draw.randrange(10**9))) if draw.random() < 0.04 else None
    if stated is not None:
        case["stated_cost"] = str(stated)
    cost = price(book, case["provider"], case["model"], Usage(units), facts, instant(at), stated_cost=stated)
    case["expect"] = _expect(cost)
    return case


def a_name(draw: random.Random, entry: Mapping[str, Any]) -> str:
    """Return a name of the model: one of its ids, often changed as people change names."""
    name: str = draw.choice([entry["id"], entry["id"], *entry.get("ids", ())])
    change = draw.random()
    if change < 0.06:
        return name + draw.choice(_TAILS)
    if change < 0.10:
        return draw.choice((name.upper(), f" {name} ", f"models/{name}", f"openai/{name}", f"azure/{name}"))
    if change < 0.12:
        return draw.choice((f"{name}-acme", f"my-{name}", f"ft:{name}:org::1", ""))
    return name


def an_instant(draw: random.Random, entry: Mapping[str, Any]) -> str:
    """Return an instant: often at a change of price, or at the edge of a calendar's hours."""
    dates = [row[key] for row in entry["rows"] for key in ("from", "until") if key in row]
    chance = draw.random()
    if dates and chance < 0.3:
        at_ms = instant(draw.choice(dates)) + draw.choice((-1, 0, 1))
    elif chance < 0.5:
        day = datetime.fromtimestamp(draw.randrange(_FIRST, _LAST) // 1000, UTC).date()
        return f"{day}T{draw.choice(_EDGES)}Z"
    elif chance < 0.8:
        at_ms = draw.randrange(instant("2026-10-20T00:00:00Z"), _LAST)
    else:
        at_ms = draw.randrange(_FIRST, _LAST)
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def some_units(draw: random.Random, entry: Mapping[str, Any]) -> dict[str, int]:
    """Return counts: mostly of units that the model has a rate of, often beside the edge of a tier."""
    row = draw.choice(entry["rows"])
    priced, edges = sorted(row["rates"]), [tier["gt"] for tier in row.get("tiers", ())]
    chosen = set(draw.sample(priced, draw.randint(min(1, len(priced)), len(priced))))
    if draw.random() < 0.4:
        chosen |= set(draw.sample(("input", "cache_read", "cache_write", "output", "reasoning", "request"), 2))
    if draw.random() < 0.1:
        chosen.add(draw.choice(UNITS))
    largest = draw.choice((0, 10, 5_000, 400_000, 2_000_000))
    units = {unit: draw.randint(0, largest) for unit in UNITS if unit in chosen}
    if "request" in units:
        units["request"] = 1
    if edges and "input" in units and draw.random() < 0.5:
        beside = draw.choice((-1, 0, 1))
        cached = min(units.get("cache_read", 0), 100_000)
        units = {unit: count for unit, count in units.items() if unit in ("output", "web_search")}
        units |= {"input": draw.choice(edges) + beside - cached, "cache_read": cached}
    if draw.random() < 0.01:
        units[draw.choice(UNITS)] = draw.choice((10**12, 10**12 + 1, 9 * 10**11))
    return {} if draw.random() < 0.005 else units


def some_facts(draw: random.Random, entry: Mapping[str, Any]) -> dict[str, str]:
    """Return facts: often those that a row asks for, sometimes one that none does."""
    facts: dict[str, str] = {}
    asked = [row["when"] for row in entry["rows"] if row.get("when")]
    if asked and draw.random() < 0.6:
        facts = {key: draw.choice(words) for key, words in draw.choice(asked).items() if key != "calendar"}
    if draw.random() < 0.3:
        key = draw.choice(sorted(WORDS))
        facts[key] = draw.choice(WORDS[key])
    return facts


def _expect(cost: Cost) -> dict[str, Any]:
    expect = {
        "status": cost.status,
        "reason": cost.reason,
        "total": _text(cost.total),
        "parts": {part: str(amount) for part, amount in cost.parts.items()} or None,
        "list": _text(cost.list),
        "computed": _text(cost.computed),
        "source": cost.source,
        "basis": cost.basis,
        "flags": list(cost.flags) or None,
        "sku": cost.sku,
        "id": cost.model,
        "match": cost.match,
    }
    return {key: value for key, value in expect.items() if value is not None}


def _text(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


if __name__ == "__main__":
    sys.exit(main())
