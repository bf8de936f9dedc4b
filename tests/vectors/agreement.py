"""Write random calls and what the Python engine makes of them, for the Go engine to agree with.

Usage: ``python tests/vectors/agreement.py COUNT [SEED] > cases.jsonl``. Calls against the embedded book, and against
it under random overlays: a line with ``overlay`` is the document under which the calls after it are priced (empty:
none), or one that must be refused. ``expect`` is the result on one line, in the form of ``collector/pricing``'s
``TestAgreement``. The file is not committed: ``make test`` draws the same twenty thousand calls each time,
``make test-all`` another million.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from generate import Entries, a_name, an_instant, some_facts, some_units
from overlays import ACCOUNTS, HOSTS, overlay

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing import Cost, PriceBook, load_embedded, price
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import UNITS, Usage

SEED: Final = "2026-11-26"
#: So many calls are priced under one overlay.
BATCH: Final = 250
PARTS: Final = ("input", "cache_read", "cache_write", "output", "reasoning", "tools", "requests")
_REASONS: Final = ("pending", "billing_unknown", "no_usage", "invalid_usage", "missing_rate", "incomplete_usage")
#: Names and words as people, scripts and enemies write them; %s is the right one.
_ODD_NAMES: Final = (
    "%s\u00a0", "\t%s\r\n", "\u2003%s", "%s\x00", "\u0130%s", "%s\u212a", "%s" + "x" * 250, "\u00e9" * 128 + "%s",
    "%s/", "publishers/x/models/%s", "arn:aws:bedrock:us-east-1:1:inference-profile/%s", "openai/azure/%s",
    "arn:aws:bedrock:us-east-1:1:application-inference-profile/%s", "openai/azure/xai/%s", "azure/eu/%s", "us.%s",
    "global.%s", "ft:%s", "ft:%s:a::b", "%s:free", "%s:beta", "%s-20260230", "%s-latest-latest", "%s@20260131",
    "%s-preview-05-2026", "%s-05-2026", "%s[1M]",
)  # fmt: skip
_ODD_WORDS: Final = (" %s ", "%s\u00a0", "%s\n", "\u2003%s", "%s-")
Line = dict[str, Any]


def lines(count: int, seed: str) -> Iterator[Line]:
    """Yield the lines of so many calls; every second batch lies under an overlay."""
    draw = random.Random(seed)
    plain = load_embedded()
    pick = Entries(plain)
    for first in range(0, count, BATCH):
        book, document = plain, {}
        if first // BATCH % 2:
            document = overlay(draw, pick, first)
            text = json.dumps(document)
            try:
                book = plain.with_overlay(text, "overlay.json")
            except PriceBookError:
                yield {"overlay": text, "refused": True}
                book, document = plain, {}
        yield {"overlay": json.dumps(document) if document else "", "book": book.id}
        for number in range(first, min(count, first + BATCH)):
            yield _call(draw, book, pick, document, number)


def _call(draw: random.Random, book: PriceBook, pick: Entries, document: Mapping[str, Any], number: int) -> Line:
    entry = _entry(draw, pick, document, number)
    units, facts = some_units(draw, entry), some_facts(draw, entry)
    if document and draw.random() < 0.4:
        facts["account"] = draw.choice((*ACCOUNTS, ""))
    if facts and draw.random() < 0.05:
        key = draw.choice(sorted(facts))
        facts[key] = draw.choice((facts[key].upper(), draw.choice(_ODD_WORDS).replace("%s", facts[key])))
    if draw.random() < 0.01:
        units[draw.choice(UNITS)] = draw.choice((-1, -5))
    line: Line = {**_names(draw, entry, document), "at": an_instant(draw, entry), "facts": facts}
    line["units"] = {unit: str(amount) for unit, amount in units.items()}
    if draw.random() < 0.05:
        line["unknown_host"] = "unpriced"
    if draw.random() < 0.03:
        line["reason"] = draw.choice(_REASONS)
    if draw.random() < 0.04:
        line["stated_cost"] = str(draw.choice((0, 1, -1, draw.randrange(10**12), draw.randrange(10**9))))
    cost = price(
        book,
        line["provider"],
        line["model"],
        Usage(units),
        facts,
        instant(line["at"]),
        request_model=line.get("request_model"),
        host=line.get("host"),
        stated_cost=int(line["stated_cost"]) if "stated_cost" in line else None,
        unknown_host=line.get("unknown_host", "assume"),
        reason=line.get("reason"),
    )
    return {**line, "expect": expected(cost)}


def _names(draw: random.Random, entry: Mapping[str, Any], document: Mapping[str, Any]) -> Line:
    """Return who is called by which names: mostly plainly, else by an alias, a prefix, a host or in an odd way."""
    line: Line = {"provider": entry["p"], "model": a_name(draw, entry)}
    chance = draw.random()
    aliases: Sequence[str] = list(document.get("aliases", {}).get(entry["p"], ()))
    if aliases and chance < 0.25:
        line["model"] = draw.choice((*aliases, aliases[0].upper()))
    elif chance < 0.30:
        line["request_model"], line["model"] = line["model"], draw.choice(("", "  ", "gpt-77"))
    elif chance < 0.36:
        line["host"] = draw.choice((*HOSTS, "api.openai.com", "api.deepseek.com", "x.openai.azure.com", "gw.example"))
        line["provider"] = draw.choice((entry["p"], "", "who"))
    elif chance < 0.40:
        line["provider"] = draw.choice((entry["p"].upper(), f" {entry['p']}\t", "", "nobody"))
    elif chance < 0.45:
        line["model"] = draw.choice(_ODD_NAMES).replace("%s", entry["id"])
    elif "prefixes" in entry and chance < 0.7:
        line["model"] = draw.choice(entry["prefixes"]) + draw.choice(("", "x", line["model"]))
    return line


def _entry(draw: random.Random, pick: Entries, document: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """Return a model to call: under an overlay mostly one that it speaks of, with its rows and the book's."""
    own: list[Mapping[str, Any]] = document.get("models", [])
    spoken: list[str] = [cut["p"] for cut in (*document.get("discounts", ()), *document.get("multipliers", ()))]
    chance = draw.random()
    if own and chance < 0.6:
        model = draw.choice(own)
        beneath = [entry for entry in pick.of_provider.get(model["p"], ()) if entry["id"] == model["id"]]
        rows = [{**row, "rates": _stated(row)} for row in model["rows"]]
        return {**model, "rows": [*rows, *(row for entry in beneath for row in entry["rows"])]}
    if spoken and chance < 0.85:
        return draw.choice(pick.of_provider[draw.choice(spoken)])
    return pick.one(draw, number)


def _stated(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row.get("rates", {}), **row.get("usd_per_million", {}), **row.get("usd_each", {})}


def expected(cost: Cost) -> str:
    """Return a result as one line: every field that both languages have."""
    parts = [f"{part}={cost.parts[part]}" for part in PARTS if part in cost.parts]
    savings = [f"{kind}={cost.savings[kind]}" for kind in ("cache", "batch") if kind in cost.savings]
    amounts = ["" if amount is None else str(amount) for amount in (cost.total, cost.list, cost.computed)]
    texts = [
        text or ""
        for text in (cost.status, cost.reason, cost.source, cost.basis, cost.provider, cost.model, cost.match, cost.sku)
    ]
    return "|".join([*texts, *amounts, ",".join(parts), ",".join(cost.flags), ",".join(savings)])


def main(arguments: Sequence[str]) -> int:
    """Write the lines to standard output."""
    count, seed = int(arguments[0]), arguments[1] if len(arguments) > 1 else SEED
    for line in lines(count, seed):
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
