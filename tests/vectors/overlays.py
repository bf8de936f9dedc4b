"""Random overlays over the live book: own rows, discounts, multipliers, aliases, calendars and providers.

Most of them are valid; a rule is broken here and there, so that both languages must refuse the same documents.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from generate import WORDS, Entries

from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import TOKEN_UNITS, UNITS

ACCOUNTS: Final = ("acct-eu", "acct-us", "Acct-EU")
HOSTS: Final = ("llm.acme.example", "eu.acme.example")
_FIRST, _LAST = instant("2024-01-01T00:00:00Z"), instant("2027-06-30T00:00:00Z")
_RATES: Final = (0, 1, 7, 150_000, 2_500_000, 30_000_000, 10**10, 10**15)
_AMOUNTS: Final = ("0", "0.0000005", "0.0000015", "2.50", "1e-7", "0.3333333333333333", "12", "7.5E1", "0.000001")
_RATIOS: Final = ([85, 100], [1, 1], [1, 2], [3, 4], [1, 3], [11, 10], [999_983, 1_000_000], [1, 1_000_000], [7, 6])
_BASES: Final = ("list", "contracted", "billed", "allocated", "list_equivalent")
Document = dict[str, Any]


def overlay(draw: random.Random, pick: Entries, number: int) -> Document:
    """Return an overlay; the models that it speaks of are those that its cases should call."""
    document: Document = {}
    if draw.random() < 0.4:
        document["calendars"] = {"nights": _calendar(draw)}
    calendars = [*document.get("calendars", ()), "deepseek-peak"]
    if draw.random() < 0.4:
        document["providers"] = {"acme": _provider(draw)}
    providers = [*document.get("providers", ()), "vllm", "ollama"]
    known = [pick.one(draw, number + step) for step in range(draw.randint(1, 4))]
    models: dict[tuple[str, str], Document] = {}
    for entry in known:
        if draw.random() < 0.8:
            models[entry["p"], entry["id"]] = {"p": entry["p"], "id": entry["id"], "rows": _rows(draw, calendars)}
    for provider in providers:
        if draw.random() < 0.4:
            models[provider, "house"] = {"p": provider, "id": "house", "rows": _rows(draw, calendars)}
            if draw.random() < 0.5:
                models[provider, "house"]["prefixes"] = ["house-", "corp/"]
    for model in models.values():
        if draw.random() < 0.3:
            model["ids"] = [f"own-{draw.randint(0, 2)}-of-{model['id']}"[:200]]
    if models or draw.random() < 0.5:
        document["models"] = list(models.values())
    document["discounts"] = [_discount(draw, draw.choice(known)) for _ in range(draw.randint(0, 4))]
    document["multipliers"] = [_multiplier(draw, draw.choice(known)) for _ in range(draw.randint(0, 3))]
    document["aliases"] = _aliases(draw, known, list(models.values()))
    if draw.random() < 0.02:
        _break(draw, document)
    return document


def _rows(draw: random.Random, calendars: Sequence[str]) -> list[Document]:
    """Return rows: base rows that follow one another, conditional ones beside them."""
    edges = [_instant(draw, edge) for edge in sorted(draw.sample(range(_FIRST, _LAST), draw.randint(0, 2)))]
    spans = list(zip([None, *edges], [*edges, None], strict=True)) if draw.random() < 0.9 else []
    rows = [_row(draw, *span) for span in spans if draw.random() < 0.9]
    tiered = any("tiers" in row for row in rows)
    for _ in range(draw.randint(0, 3)):
        row = _row(draw, *(draw.choice(spans) if spans and draw.random() < 0.5 else (None, None)))
        row["when"] = _when(draw, calendars)
        if tiered:
            row.setdefault("tiers", [])
        if row["when"] not in [other.get("when") for other in rows]:
            rows.append(row)
    if not rows:
        rows = [_row(draw, None, None)]
    draw.shuffle(rows)
    return rows


def _row(draw: random.Random, start: str | None, until: str | None) -> Document:
    row: Document = {}
    if start is not None:
        row["from"] = start
    if until is not None:
        row["until"] = until
    shape = draw.random()
    if shape < 0.6:
        row["rates"] = _rates(draw)
    if shape > 0.5:
        # A unit may be stated once alone.
        left = [unit for unit in UNITS if unit not in row.get("rates", ())]
        units = draw.sample(left, draw.randint(1, 4))
        for key, own in (("usd_per_million", TOKEN_UNITS), ("usd_each", UNITS[len(TOKEN_UNITS) :])):
            if amounts := {unit: draw.choice(_AMOUNTS) for unit in units if unit in own}:
                row[key] = amounts
    if draw.random() < 0.25:
        gts = sorted(draw.sample((1000, 32_000, 128_000, 200_000, 272_000), draw.randint(1, 2)))
        row["tiers"] = [{"gt": gt, "rates": _rates(draw)} for gt in gts]
    if draw.random() < 0.3:
        row["basis"] = draw.choice(_BASES)
    return row


def _rates(draw: random.Random) -> dict[str, int]:
    units = {"input", "output"} if draw.random() < 0.7 else set[str]()
    units |= set(draw.sample(UNITS, draw.randint(0 if units else 1, 3)))
    return {unit: draw.choice(_RATES[:-2]) if draw.random() < 0.95 else draw.choice(_RATES) for unit in sorted(units)}


def _instant(draw: random.Random, at_ms: int) -> str:
    """Write an instant in one of the forms that the format allows, or rarely in one that it refuses."""
    seconds, milliseconds = divmod(at_ms, 1000)
    text = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}"
    shape = draw.random()
    if shape < 0.002:
        return f"{text}+00:00"  # no UTC for the format
    if shape < 0.2:
        return f"{text}000999Z"  # what is below a millisecond is cut
    if shape < 0.3:
        return f"{text[:-4]}Z"
    return text + "Z"


def _when(draw: random.Random, calendars: Sequence[str]) -> dict[str, list[str]]:
    keys = draw.sample(sorted(WORDS), draw.choice((1, 1, 1, 2)))
    when = {key: [word for word in draw.sample(WORDS[key], draw.choice((1, 1, 2))) if word] for key in keys}
    when = {key: words for key, words in when.items() if words}
    if draw.random() < 0.3:
        when["account"] = draw.sample(ACCOUNTS[:2], draw.randint(1, 2))
    if draw.random() < 0.2 or not when:
        when["calendar"] = [draw.choice(calendars)]
    return when


def _discount(draw: random.Random, entry: Mapping[str, Any]) -> Document:
    name = entry["id"]
    found: Document = {"p": entry["p"], "ratio": draw.choice(_RATIOS)}
    found["match"] = draw.choice(("*", name, f"{name[: draw.randint(1, len(name))]}*"))
    if draw.random() < 0.4:
        found["units"] = draw.sample(UNITS[:14], draw.randint(1, 5))
    if draw.random() < 0.3:
        found["account"] = [draw.choice(ACCOUNTS)]
    if draw.random() < 0.3:
        start, until = sorted(draw.sample(range(_FIRST, _LAST), 2))
        found |= {"from": _instant(draw, start), "until": _instant(draw, until)}
    return found


def _multiplier(draw: random.Random, entry: Mapping[str, Any]) -> Document:
    found: Document = {"p": entry["p"], "ratio": draw.choice(_RATIOS), "units": draw.sample(UNITS, draw.randint(1, 8))}
    if draw.random() < 0.5:
        found["ids"] = [entry["id"]]
    if draw.random() < 0.5:
        key = draw.choice(("inference_geo", "region", "service_tier", "speed"))
        found["when"] = {key: [next(word for word in draw.sample(WORDS[key], len(WORDS[key])) if word)]}
    return found


def _aliases(draw: random.Random, known: Sequence[Mapping[str, Any]], own: Sequence[Document]) -> Document:
    aliases: Document = {}
    for entry in (*known, *own):
        if draw.random() < 0.4:
            target: Document = {"model": draw.choice([entry["id"], entry["id"].upper(), f"{entry['id']}-2026-01-31"])}
            if draw.random() < 0.4:
                key = draw.choice(sorted(WORDS))
                target[key] = next(word for word in draw.sample(WORDS[key], len(WORDS[key])) if word)
            host = draw.choice(known)["p"] if draw.random() < 0.2 else entry["p"]
            if host != entry["p"]:
                target["provider"] = entry["p"]
            name = draw.choice(("My-Deployment", "my-deployment", "Prod", entry["id"]))
            aliases.setdefault(host, {})[name] = target if len(target) > 1 or draw.random() < 0.5 else target["model"]
    return aliases


def _calendar(draw: random.Random) -> Document:
    found: Document = {"tz": "UTC", "windows": [["00:00", "06:30"], ["22:00", "24:00"]]}
    if draw.random() < 0.5:
        found["weekdays"] = sorted(draw.sample(range(1, 8), draw.randint(1, 6)))
    if draw.random() < 0.5:
        found["except_dates"] = ["2026-10-01", "2026-12-25"]
    return found


def _provider(draw: random.Random) -> Document:
    kind = draw.choice(("host", "first_party", "gateway", "self_hosted"))
    found: Document = {"kind": kind, "names": ["acme", "acme-ai"], "hosts": [HOSTS[0], "*.acme.example"]}
    if draw.random() < 0.5:
        found["tier_aliases"] = {"turbo": "priority", "cheap": "flex", "auto": "priority"}
    if draw.random() < 0.5:
        found["neutral_tiers"] = ["default", "plain"]
    return found


def _break(draw: random.Random, document: Document) -> None:
    """Break one rule of the format."""
    draw.choice(
        (
            lambda: document.update(discount=[]),
            lambda: document["discounts"].append({"p": "nobody", "ratio": [1, 2]}),
            lambda: document["discounts"].append({"p": "openai", "ratio": [0, 2]}),
            lambda: document["multipliers"].append({"p": "openai", "ratio": [1, 2], "units": ["tokens"]}),
            lambda: document["aliases"].update(nobody={"a": "b"}),
            lambda: document.setdefault("models", []).append({"p": "openai", "id": "GPT", "rows": [{"rates": {}}]}),
            lambda: document.update(models=[{"p": "openai", "id": "x", "rows": [{"usd_each": {"input": "1"}}]}]),
            lambda: document.update(models=[{"p": "openai", "id": "x", "rows": [{"rates": {"input": -1}}]}]),
            lambda: document.update(
                models=[{"p": "openai", "id": "x", "rows": [{"usd_per_million": {"input": "-1"}}]}]
            ),
        )
    )()
