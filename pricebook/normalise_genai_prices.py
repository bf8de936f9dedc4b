"""Turn genai-prices' data module into our extract; runs inside an environment that has the package.

Usage: ``python normalise_genai_prices.py > sources/genai-prices.json``. One entry per model:
``provider`` (our key), ``id``, ``ids``, ``rows`` (``from``, ``when``, ``rates`` and ``tiers`` in USD per
unit as decimal text) and ``left_out`` (what the book format cannot express).
"""

# pyright: basic, reportMissingImports=false
# The objects of the other package have no types here.
from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

#: price key -> (unit, how many units the price is for)
UNIT_OF: Final = {
    "input_mtok": ("input", 10**6),
    "cache_read_mtok": ("cache_read", 10**6),
    "cache_write_mtok": ("cache_write", 10**6),
    "cache_write_1h_mtok": ("cache_write_1h", 10**6),
    "output_mtok": ("output", 10**6),
    "output_reasoning_mtok": ("reasoning", 10**6),
    "input_audio_mtok": ("audio_in", 10**6),
    "output_audio_mtok": ("audio_out", 10**6),
    "cache_audio_read_mtok": ("audio_cache_read", 10**6),
    "input_image_mtok": ("image_in", 10**6),
    "output_image_mtok": ("image_out", 10**6),
    "input_video_mtok": ("video_in", 10**6),
    "output_video_mtok": ("video_out", 10**6),
    "requests_kcount": ("request", 10**3),
    "web_searches_kcount": ("web_search", 10**3),
    "storage_searches_kcount": ("file_search", 10**3),
    "input_audio_hours": ("audio_in_second", 3600),
    "audio_hours": ("audio_in_second", 3600),
    "input_document_kpages": ("page", 10**3),
    "input_mchars": ("character", 10**6),
}
PROVIDER_OF: Final = {
    "aws": ("aws.bedrock",),
    "azure": ("azure.ai.openai",),
    "google": ("gcp.gemini", "gcp.vertex_ai"),
    "mistral": ("mistral_ai",),
    "moonshotai": ("moonshot_ai",),
    "x-ai": ("x_ai",),
    "openai-decisions": ("openai",),
}
#: The source lists these under Google as one; the Gemini API does not sell them, Vertex AI does.
_VERTEX_ONLY: Final = ("claude-",)
_LEFT_OUT_CONDITIONS: Final = {"route", "search_type"}


def price_fields(prices: Any) -> dict[str, Any]:
    """Return the prices of one row that are given, by the source's own key."""
    return {key: value for key, value in vars(prices).items() if value is not None and not key.startswith("_")}


def row(
    prices: Any, left_out: list[str], start: str | None = None, when: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return one row of the extract; a key that no unit of ours can carry goes to ``left_out``."""
    base: dict[str, Decimal] = {}
    steps: dict[int, dict[str, Decimal]] = {}
    for key, value in price_fields(prices).items():
        if key not in UNIT_OF:
            left_out.append(f"price {key}")
            continue
        unit, per = UNIT_OF[key]
        base[unit] = (value.base if hasattr(value, "tiers") else value) / per
        for tier in getattr(value, "tiers", ()):
            steps.setdefault(tier.start, {})[unit] = tier.price / per
    result: dict[str, Any] = {"rates": {unit: text(rate) for unit, rate in base.items()}}
    if start:
        result["from"] = start
    if when:
        result["when"] = {key: [value] for key, value in when.items()}
    if steps:
        result["tiers"] = [
            {"gt": gt, "rates": {unit: text(rate) for unit, rate in rates.items()}}
            for gt, rates in sorted(steps.items())
        ]
    return result


def text(rate: Decimal) -> str:
    """Return a rate as plain decimal text."""
    return format(rate.normalize(), "f")


def midnight(constraint: Any) -> str:
    """Return the first instant of a start date, in UTC."""
    return datetime.combine(constraint.start_date, datetime.min.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def base_rows(model: Any, left_out: list[str]) -> list[dict[str, Any]]:
    """Return the dated rows without condition; a row ends where the next one begins."""
    listed = model.prices if isinstance(model.prices, list) else None
    if listed is None:
        return [row(model.prices, left_out)]
    rows: dict[str | None, dict[str, Any]] = {}
    for entry in listed:
        kind = type(entry.constraint).__name__
        if kind == "TimeOfDateConstraint":
            left_out.append("time of day row")
        else:
            start = midnight(entry.constraint) if entry.constraint else None
            rows[start] = row(entry.prices, left_out, start)
    ordered = [rows[start] for start in sorted(rows, key=lambda start: start or "")]
    for earlier, later in pairwise(ordered):
        earlier["until"] = later["from"]
    return ordered


def variant_rows(model: Any, left_out: list[str]) -> list[dict[str, Any]]:
    """Return the rows under a condition; OpenAI's ``fast`` tier is an alias of ``priority``."""
    rows: list[dict[str, Any]] = []
    for variant in model.price_variants or ():
        if variant.when == {"service_tier": "default"} or not price_fields(variant.prices):
            continue
        kind = type(variant.constraint).__name__
        if _LEFT_OUT_CONDITIONS & set(variant.when) or kind == "TimeOfDateConstraint":
            left_out.append(f"condition {json.dumps(variant.when)}")
            continue
        when = {
            key: "priority" if (key, value) == ("service_tier", "fast") else value
            for key, value in variant.when.items()
        }
        candidate = row(variant.prices, left_out, midnight(variant.constraint) if variant.constraint else None, when)
        if candidate not in rows:
            rows.append(candidate)
    return rows


def exact_ids(clause: Any) -> list[str]:
    """Return the ids that a match rule names by equality; looser rules are not carried over."""
    if hasattr(clause, "equals"):
        return [clause.equals.lower()]
    return [found for part in getattr(clause, "or_", ()) for found in exact_ids(part)]


def main() -> int:
    """Write the extract to standard output."""
    from genai_prices.data import providers

    entries: list[dict[str, Any]] = []
    for provider in providers:
        for model in provider.models:
            left_out: list[str] = []
            rows = [*base_rows(model, left_out), *variant_rows(model, left_out)]
            ids = [found for found in dict.fromkeys(exact_ids(model.match)) if found != model.id.lower()]
            for key in PROVIDER_OF.get(provider.id, (provider.id.replace("-", "_"),)):
                if key == "gcp.gemini" and model.id.lower().startswith(_VERTEX_ONLY):
                    continue
                entry: dict[str, Any] = {"provider": key, "id": model.id.lower(), "rows": rows}
                if ids:
                    entry["ids"] = ids
                if left_out:
                    entry["left_out"] = sorted(set(left_out))
                entries.append(entry)
    entries.sort(key=lambda entry: (entry["provider"], entry["id"]))
    sys.stdout.write("[\n" + ",\n".join(json.dumps(entry, sort_keys=True) for entry in entries) + "\n]\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
