"""Write the calls on which the book and its oracles are compared, one JSON object per line.

Usage: ``python pricebook/audit/sample.py > calls.jsonl``. Every model of the book is asked for every kind of usage, one
unit at a time, so that a difference says of itself which rate it lies in; then in mixes, on both sides of every
context tier, under every condition that a row or an oracle knows, and around every change of price. A call has a
number ``n``, ``provider``, ``model``, ``at``, ``units`` and ``facts``; a mix names in ``of`` the calls that it is made
of. Deterministic: the same book gives the same bytes.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from otel_tokenomics.pricing import PriceBook, load_embedded
from otel_tokenomics.pricing.rates import instant

SEED: Final = 20261126
#: A Thursday, ten minutes after DeepSeek's peak hours.
NOW: Final = "2026-11-26T10:10:00Z"
PEAK: Final = ("2026-11-26T02:00:00Z", "2026-11-28T02:00:00Z")
#: Below every context tier, and divisible: no oracle rounds.
COUNT: Final = 1000
TOKENS: Final = (
    "input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning",
    "audio_in", "audio_out", "image_in", "image_out", "video_in",
)  # fmt: skip
#: Units that make up the input, in whatever way they are counted.
INPUTS: Final = ("input", "cache_read", "cache_write", "cache_write_1h", "audio_in", "image_in", "video_in")
#: What is counted in ones, and how many of it one call has.
PIECES: Final = {
    "web_search": 1, "file_search": 1, "code_session": 1, "search_unit": 3, "audio_in_second": 60,
    "video_out_second": 8, "page": 7, "character": 1000, "image": 2,
}  # fmt: skip
#: Conditions that an oracle can be asked for.
FACTS: Final[Sequence[Mapping[str, str]]] = (
    {"service_tier": "flex"},
    {"service_tier": "priority"},
    {"service_tier": "ultrafast"},
    {"processing": "batch"},
    {"speed": "fast"},
    {"inference_geo": "us"},
    {"inference_geo": "eu"},
    {"deployment_type": "regional"},
)
Call = dict[str, Any]


class Sample:
    """The calls while they are written; equal ones are asked once."""

    def __init__(self, entry: Mapping[str, Any], numbers: Iterator[int]) -> None:
        self.entry = entry
        self.numbers = numbers
        self.calls: dict[str, Call] = {}
        fee = any("request" in row["rates"] for row in entry["rows"])
        self.always: Mapping[str, int] = {"request": 1} if fee else {}

    def ask(
        self,
        units: Mapping[str, int],
        facts: Mapping[str, str] | None = None,
        at: str = NOW,
        model: str | None = None,
        of: Sequence[int] = (),
        *,
        dated: bool = False,
    ) -> int:
        """Add a call; return its number. ``dated`` is one of another day: an oracle without dates cannot price it."""
        call: Call = {
            "provider": self.entry["p"],
            "model": model or self.entry["id"],
            "at": at,
            "units": {**units, **self.always},
            "facts": dict(facts or {}),
        }
        key = json.dumps(call, sort_keys=True)
        if key not in self.calls:
            self.calls[key] = {
                "n": next(self.numbers),
                **call,
                **({"of": list(of)} if of else {}),
                **({"dated": True} if dated else {}),
            }
        return self.calls[key]["n"]


def calls(book: PriceBook) -> Iterator[Call]:
    """Yield the calls of every model, in the order of the book."""
    draw = random.Random(SEED)  # noqa: S311  # a sample, no secret
    numbers = iter(range(1, 10**9))
    for key in sorted(book.ids()):
        entry = book.entry(*key)
        if entry is not None and entry["id"] == key[1]:
            sample = Sample(entry, numbers)
            _each_unit(sample)
            _mixes(sample, draw)
            _tiers(sample)
            _conditions(sample)
            _dates(sample)
            for name in entry.get("ids", ()):
                sample.ask({"input": COUNT}, model=name)
                sample.ask({"output": COUNT}, model=name)
            yield from sample.calls.values()


def _each_unit(sample: Sample) -> None:
    priced = {unit for row in sample.entry["rows"] for unit in row["rates"]}
    for unit in TOKENS:
        sample.ask({unit: COUNT})
    for unit, count in PIECES.items():
        if unit in priced or unit == "web_search":
            sample.ask({unit: count})
    if "audio_cache_read" in priced:
        sample.ask({"audio_cache_read": COUNT})
    if "cache_write_12h" in priced:
        sample.ask({"cache_write_12h": COUNT})


def _mixes(sample: Sample, draw: random.Random) -> None:
    """Mix the tokens that a model has prices of: parts of one request must add up."""
    priced = {unit for row in sample.entry["rows"] for unit in row["rates"]}
    usual = [unit for unit in TOKENS if unit in priced]
    if len(usual) > 1:
        # The mix has the counts of its single calls: each is then explained by them.
        for units in (usual, draw.sample(usual, draw.randint(2, len(usual)))):
            of = [sample.ask({unit: COUNT}) for unit in units]
            sample.ask(dict.fromkeys(sorted(units, key=TOKENS.index), COUNT), of=of)


def _tiers(sample: Sample) -> None:
    for row in sample.entry["rows"]:
        facts = {key: words[0] for key, words in row.get("when", {}).items() if key != "calendar"}
        for tier in row.get("tiers", ()):
            gt = tier["gt"]
            units = [
                unit for unit in ("cache_read", "cache_write", "reasoning") if unit in {**row["rates"], **tier["rates"]}
            ]
            for known in ({}, facts) if facts else ({},):
                sample.ask({"input": gt}, known)
                for further in ({}, *({unit: COUNT} for unit in ("output", *units))):
                    sample.ask({"input": gt + 1, **further}, known)


def _conditions(sample: Sample) -> None:
    asked = [
        {key: words[0] for key, words in row["when"].items() if key != "calendar"}
        for row in sample.entry["rows"]
        if row.get("when")
    ]
    for facts in (*asked, *FACTS):
        if facts:
            for unit in ("input", "output"):
                sample.ask({unit: COUNT}, facts)
    for row in sample.entry["rows"]:
        facts = {key: words[0] for key, words in row.get("when", {}).items() if key != "calendar"}
        for unit in row["rates"]:
            if facts and unit != "request":
                sample.ask({unit: PIECES.get(unit, COUNT)}, facts)
    if any("calendar" in row.get("when", {}) for row in sample.entry["rows"]):
        for at in PEAK:
            for unit in ("input", "cache_read", "output"):
                sample.ask({unit: COUNT}, at=at)


def _dates(sample: Sample) -> None:
    """Ask on both sides of every change; the oracle without dates is asked for today alone."""
    for row in sample.entry["rows"]:
        for edge in {row[key] for key in ("from", "until") if key in row}:
            for at_ms in (instant(edge) - 1000, instant(edge)):
                at = f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
                for unit in ("input", "cache_read", "output"):
                    if unit in row["rates"]:
                        sample.ask({unit: COUNT}, at=at, dated=True)


def main() -> int:
    """Write the calls to standard output."""
    for call in calls(load_embedded()):
        sys.stdout.write(json.dumps(call, separators=(",", ":")) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
