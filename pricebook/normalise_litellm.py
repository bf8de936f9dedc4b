"""Turn litellm's price map into our extract.

The map is one flat object per model; suffixes of its keys carry tiers (``_above_272k_tokens``) and
conditions (``_flex``, ``_priority``, ``_batches``, ``_ultrafast``). It has no dates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, cast

#: litellm's provider tag -> our provider keys, and the prefix that its ids bear
PROVIDER_OF: Final = {
    "anthropic": ("anthropic", ""),
    "azure": ("azure.ai.openai", "azure/"),
    "bedrock": ("aws.bedrock", ""),
    "bedrock_converse": ("aws.bedrock", ""),
    "cohere": ("cohere", ""),
    "cohere_chat": ("cohere", ""),
    "deepseek": ("deepseek", "deepseek/"),
    "fireworks_ai": ("fireworks", "fireworks_ai/"),
    "gemini": ("gcp.gemini", "gemini/"),
    "groq": ("groq", "groq/"),
    "mistral": ("mistral_ai", "mistral/"),
    "openai": ("openai", ""),
    "perplexity": ("perplexity", "perplexity/"),
    "together_ai": ("together", "together_ai/"),
    "vertex_ai-anthropic_models": ("gcp.vertex_ai", "vertex_ai/"),
    "vertex_ai-language-models": ("gcp.vertex_ai", ""),
    "voyage": ("voyageai", "voyage/"),
    "xai": ("x_ai", "xai/"),
}
UNIT_OF: Final = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_12h",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_in",
    "output_cost_per_audio_token": "audio_out",
    "cache_read_input_audio_token_cost": "audio_cache_read",
    "input_cost_per_image_token": "image_in",
    "output_cost_per_image_token": "image_out",
    "input_cost_per_video_token": "video_in",
    "output_cost_per_video_token": "video_out",
    "input_cost_per_request": "request",
    "output_cost_per_image": "image",
    "output_cost_per_second": "video_out_second",
    "input_cost_per_character": "character",
    "ocr_cost_per_page": "page",
    "code_interpreter_cost_per_session": "code_session",
}
CONDITION_OF: Final = {
    "_flex": {"service_tier": ["flex"]},
    "_priority": {"service_tier": ["priority"]},
    "_ultrafast": {"service_tier": ["ultrafast"]},
    "_batches": {"processing": ["batch"]},
}
_ABOVE: Final = re.compile(r"_above_(\d+)k_tokens")
_REGION: Final = re.compile(
    r"^(?:[a-z]{2}(?:-[a-z]+)*-\d+|\*|us|eu|global|global-standard|apac)/|^\d+-x-\d+/|/1-month|/6-month|commitment"
)


def split_key(key: str) -> tuple[str, int, str] | None:
    """Return (unit, tier threshold or 0, condition suffix) of one of the map's keys, or None."""
    condition = next((suffix for suffix in CONDITION_OF if key.endswith(suffix)), "")
    stem = key.removesuffix(condition) if condition else key
    above = _ABOVE.search(stem)
    unit = UNIT_OF.get(_ABOVE.sub("", stem))
    return None if unit is None else (unit, int(above[1]) * 1000 if above else 0, condition)


def rows_of(fields: Mapping[str, Any], left_out: list[str]) -> list[dict[str, Any]]:
    """Return the base row and one row per condition that the map names."""
    found: dict[str, dict[int, dict[str, str]]] = {}
    for key, value in fields.items():
        if not isinstance(value, (int, Decimal)) or isinstance(value, bool) or "cost" not in key:
            continue
        split = split_key(key)
        if split is None:
            left_out.append(f"price {key}")
            continue
        unit, gt, condition = split
        found.setdefault(condition, {}).setdefault(gt, {})[unit] = format(Decimal(value), "f")
    _transcription(fields, found)
    rows: list[dict[str, Any]] = []
    for condition, tiers in sorted(found.items()):
        row: dict[str, Any] = {"rates": tiers.pop(0, {})}
        if condition:
            row["when"] = CONDITION_OF[condition]
        if tiers:
            row["tiers"] = [{"gt": gt, "rates": rates} for gt, rates in sorted(tiers.items())]
        if row["rates"]:
            rows.append(row)
    return rows


def _transcription(fields: Mapping[str, Any], found: dict[str, dict[int, dict[str, str]]]) -> None:
    """Seconds are audio heard in transcription; elsewhere the map's per-second price is video made."""
    seconds = fields.get("input_cost_per_second")
    if fields.get("mode") == "audio_transcription":
        base = found.setdefault("", {}).setdefault(0, {})
        base.pop("video_out_second", None)
        if isinstance(seconds, (int, Decimal)) and "input" not in base:
            base["audio_in_second"] = format(Decimal(seconds), "f")
    search = fields.get("search_context_cost_per_query")
    if isinstance(search, dict):
        costs = {str(value) for value in cast("dict[str, Decimal]", search).values()}
        if len(costs) == 1:
            found.setdefault("", {}).setdefault(0, {})["web_search"] = format(Decimal(costs.pop()), "f")


def normalise(price_map: str) -> list[dict[str, Any]]:
    """Return the extract: one entry per (provider, id) of the providers that we map."""
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for name, fields in json.loads(price_map, parse_float=Decimal).items():
        mapped = PROVIDER_OF.get(fields.get("litellm_provider", ""))
        if mapped is None:
            continue
        provider, prefix = mapped
        model = name.lower().removeprefix(prefix)
        if _REGION.search(model):
            continue
        left_out: list[str] = []
        rows = rows_of(fields, left_out)
        if not rows or (provider, model) in entries:
            continue
        entry: dict[str, Any] = {"provider": provider, "id": model, "rows": rows}
        geo = fields.get("provider_specific_entry")
        if isinstance(geo, dict) and "us" in geo:
            entry["us_multiplier"] = str(cast("dict[str, Decimal]", geo)["us"])
        if left_out:
            entry["left_out"] = sorted(set(left_out))
        entries[provider, model] = entry
    return [entries[key] for key in sorted(entries)]
