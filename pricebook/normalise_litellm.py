"""Turn litellm's price map into our extract.

The map is one flat object per model; suffixes of its keys carry tiers (``_above_272k_tokens``) and
conditions (``_flex``, ``_priority``, ``_batches``, ``_ultrafast``). It has no dates, and it writes 0 for what
is free as well as for what it does not know: a zero is no price here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, cast

from litellm_names import BY_SIZE, named

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
    "output_cost_per_video_per_second": "video_out_second",
    "input_cost_per_character": "character",
    "ocr_cost_per_page": "page",
    "code_interpreter_cost_per_session": "code_session",
}
#: Keys whose unit depends on what the model does: (key, mode) -> unit.
UNIT_IN_MODE: Final = {
    ("input_cost_per_query", "rerank"): "search_unit",
    ("input_cost_per_second", "audio_transcription"): "audio_in_second",
    ("input_cost_per_second", "realtime"): "audio_in_second",
    ("input_cost_per_audio_per_second", "embedding"): "audio_in_second",
    ("output_cost_per_second", "video_generation"): "video_out_second",
}
CONDITION_OF: Final = {
    "_flex": {"service_tier": ["flex"]},
    "_priority": {"service_tier": ["priority"]},
    "_ultrafast": {"service_tier": ["ultrafast"]},
    "_balanced": {"service_tier": ["balanced"]},
    "_batches": {"processing": ["batch"]},
}
#: Read elsewhere: what the same entry says under another key.
_READ: Final = frozenset({"input_cost_per_token_cache_hit"})
#: Units that another one of the same row makes redundant: both would bill the same second or token.
_INSTEAD_OF: Final = {"audio_in_second": ("input", "audio_in")}
_ABOVE: Final = re.compile(r"_above_(\d+)k_tokens")
_DIGITS: Final = Decimal("1e-15")
_DATE: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
_SIZED: Final = re.compile(r"(output_cost_per_(?:second|image))_(?:[0-9.]+[kp]?)$", re.IGNORECASE)
_PEAK_ELSEWHERE: Final = [
    {"hours_utc": ["00:00-01:00", "04:00-06:00", "10:00-00:00"], "weekdays": [1, 2, 3, 4, 5]},
    {"hours_utc": "00:00-00:00", "weekdays": [6, 7]},
]
#: Tags of a second way to a service: what the first one says of an id stands.
_SECOND: Final = ("azure_ai", "bedrock_mantle")
_ZERO: Final = "rate 0: free and unknown look alike"
Rates = dict[str, str]


def split_key(key: str, mode: str | None = None) -> tuple[str, int, str] | None:
    """Return (unit, tier threshold or 0, condition suffix) of one of the map's keys, or None."""
    condition = next((suffix for suffix in CONDITION_OF if key.endswith(suffix)), "")
    stem = key.removesuffix(condition) if condition else key
    above = _ABOVE.search(stem)
    stem = _ABOVE.sub("", stem)
    unit = UNIT_OF.get(stem) or UNIT_IN_MODE.get((stem, mode or ""))
    return None if unit is None else (unit, int(above[1]) * 1000 if above else 0, condition)


def rows_of(fields: Mapping[str, Any], provider: str, left_out: list[str]) -> list[dict[str, Any]]:
    """Return the base row and one row per condition that the map names."""
    found: dict[str, dict[int, Rates]] = {}
    for key, value in (dict(fields) | _as_published(fields)).items():
        if not _is_number(value) or "cost" not in key or key in _READ:
            continue
        split = split_key(key, fields.get("mode"))
        if split is None:
            left_out.append("price in DBU" if "_dbu_" in key else f"price {key}")
        elif not value:
            left_out.append(_ZERO)
        else:
            unit, gt, condition = split
            # xAI's long context begins at the threshold itself.
            found.setdefault(condition, {}).setdefault(gt - (provider == "x_ai" and gt > 0), {})[unit] = _text(value)
    base = found.setdefault("", {}).setdefault(0, {})
    _image_made(fields, base, left_out)
    _where_size_decides(fields, base, left_out)
    _cache_hit(fields, base)
    sized = _search(fields, provider, base)
    _ranges(fields, found[""], base)
    for tiers in found.values():
        for unit, others in _INSTEAD_OF.items():
            if unit in tiers.get(0, {}) and any(other in base for other in others):
                del tiers[0][unit]
    rows = [row for condition, tiers in sorted(found.items()) if (row := _row(condition, tiers))]
    return [*_peak(fields, rows), *sized]


def _as_published(fields: Mapping[str, Any]) -> dict[str, Decimal]:
    """Return a second's price from the published one of a minute or an hour, which the map rounds to few digits."""
    metadata = fields.get("metadata")
    stated = fields.get("input_cost_per_second")
    if not stated or not isinstance(metadata, dict):
        return {}
    published = cast("dict[str, Any]", metadata)
    for key, seconds in (("original_pricing_per_minute", 60), ("original_pricing_per_hour", 3600)):
        if _is_number(published.get(key)):
            exact = (Decimal(published[key]) / seconds).quantize(_DIGITS)
            if abs(exact - stated) <= stated / 200:
                return {"input_cost_per_second": exact}
    return {}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _text(value: Decimal | int) -> str:
    return format(Decimal(value), "f")


def _row(condition: str, tiers: dict[int, Rates]) -> dict[str, Any] | None:
    for rates in tiers.values():
        # A model that makes images alone: whatever comes out of it is image tokens, however they were counted.
        if "image_out" in rates:
            rates.setdefault("output", rates["image_out"])
    row: dict[str, Any] = {"rates": tiers.pop(0, {})}
    if condition:
        row["when"] = CONDITION_OF[condition]
    if tiers:
        row["tiers"] = [{"gt": gt, "rates": rates} for gt, rates in sorted(tiers.items())]
    return row if row["rates"] else None


def _where_size_decides(fields: Mapping[str, Any], base: Rates, left_out: list[str]) -> None:
    """Take out a price that another resolution of the same model does not share: no fact says which was made."""
    for key, value in fields.items():
        sized = _SIZED.fullmatch(key)
        if sized and value and value != fields.get(sized[1]):
            unit = split_key(sized[1], fields.get("mode"))
            if unit and base.pop(unit[0], None):
                left_out.append(f"price {sized[1]} by resolution")


def _image_made(fields: Mapping[str, Any], base: Rates, left_out: list[str]) -> None:
    """Read the price of an image made where the map writes it as one of the input, and no other price beside it."""
    cost = fields.get("input_cost_per_image")
    if cost and fields.get("mode") == "image_generation" and not base:
        base["image"] = _text(cost)
        left_out.remove("price input_cost_per_image")


def _cache_hit(fields: Mapping[str, Any], base: Rates) -> None:
    hit = fields.get("input_cost_per_token_cache_hit")
    if hit and "cache_read" not in base:
        base["cache_read"] = _text(hit)


def _search(fields: Mapping[str, Any], provider: str, base: Rates) -> list[dict[str, Any]]:
    """Read the price of a search: one for all sizes of context, or Perplexity's fee per request by size."""
    by_size = fields.get("search_context_cost_per_query")
    if not isinstance(by_size, dict):
        return []
    costs = {
        key.removeprefix("search_context_size_"): value for key, value in cast("dict[str, Decimal]", by_size).items()
    }
    if len(set(costs.values())) == 1:
        cost = next(iter(costs.values()))
        if cost:
            base["web_search"] = _text(cost)
        return []
    unit = "request" if provider == "perplexity" else "web_search"
    return [
        {"when": {"search_context_size": [size]}, "rates": {unit: _text(cost)}} for size, cost in sorted(costs.items())
    ]


def _ranges(fields: Mapping[str, Any], tiers: dict[int, Rates], base: Rates) -> None:
    """Read the list form of tiers: ranges of input tokens, each with its own prices."""
    for entry in fields.get("tiered_pricing", ()):
        if "range" not in entry:
            continue
        start = int(entry["range"][0])
        rates = base if start == 0 else tiers.setdefault(start, {})
        for key, value in entry.items():
            split = split_key(key) if _is_number(value) else None
            if split and value:
                rates.setdefault(split[0], _text(value))


def _peak(fields: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where the map states off-peak prices, they are the base row, and its top-level ones are those of the peak."""
    off_peak = fields.get("off_peak_pricing")
    if not isinstance(off_peak, dict) or not rows:
        return rows
    prices = cast("dict[str, Any]", off_peak)
    if prices["windows"] != _PEAK_ELSEWHERE:
        raise SystemExit(f"litellm: off-peak hours changed: {prices['windows']}; see patches/calendars.yaml")
    base, *others = rows
    plain = {split[0]: _text(prices[key]) for key in prices if (split := split_key(key))}
    return [{"rates": plain}, {**base, "when": {"calendar": ["deepseek-peak"]}}, *others]


def multipliers_of(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the factors on all token prices: by the place of inference, or by the kind of endpoint."""
    found: list[dict[str, Any]] = []
    special = fields.get("provider_specific_entry")
    if isinstance(special, dict) and "us" in special:
        found.append({"when": {"inference_geo": ["us"]}, "ratio": str(cast("dict[str, Decimal]", special)["us"])})
    found += [
        {"when": {"inference_geo": [place]}, "ratio": str(ratio)}
        for place in ("eu", "us")
        if (ratio := fields.get(f"regional_processing_uplift_multiplier_{place}")) is not None
    ]
    if (ratio := fields.get("regional_endpoint_uplift_multiplier")) is not None:
        found.append({"when": {"deployment_type": ["regional"]}, "ratio": str(ratio)})
    return found


class Extract:
    """The extract while it is made: entries by (provider, id), and what became of the rest."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], dict[str, Any]] = {}
        #: Every model that the map names, those without a rate that the format can express too.
        self.named: set[tuple[str, str]] = set()
        self.left_out: dict[str, Counter[str]] = {}
        #: Models that the map prices by size of the image under ids of their own: the plain id's price is one of them.
        self.sized: set[tuple[str, str]] = set()
        self._of_regions: list[tuple[tuple[str, str], Mapping[str, list[str]], list[dict[str, Any]]]] = []

    def add(self, name: str, fields: Mapping[str, Any]) -> None:
        """Add one entry of the map, or count why not."""
        tag = fields["litellm_provider"]
        found = named(name, tag, fields.get("mode"))
        if found.left_out:
            self._count(found.left_out, tag)
            return
        for provider in found.providers:
            left_out: list[str] = []
            rows = rows_of(fields, provider, left_out)
            key = (provider, found.id)
            self.named.add(key)
            if not rows:
                zeros = set(left_out) == {_ZERO}
                self._count("every rate is 0" if zeros else "no rate that format v1 can express", tag)
            elif (tag, found.id) in self.sized and {unit for row in rows for unit in row["rates"]} == {"image"}:
                self._count(BY_SIZE, tag)
            elif found.when:
                self._of_regions.append((key, found.when, rows))
            elif key in self.entries:
                if not _join(self.entries[key], rows, multipliers_of(fields)):
                    self._count("another price under an id that stands already", tag)
            else:
                entry: dict[str, Any] = {"provider": provider, "id": found.id, "rows": rows}
                if multipliers := multipliers_of(fields):
                    entry["multipliers"] = multipliers
                if _DATE.fullmatch(withdrawn := str(fields.get("deprecation_date"))):
                    entry["retired_at"] = f"{withdrawn}T00:00:00Z"
                if left_out:
                    entry["left_out"] = sorted(set(left_out))
                self.entries[key] = entry

    def finish(self) -> list[dict[str, Any]]:
        """Return all entries; a region's rows stand beside those of the model, where they differ."""
        for key, when, rows in self._of_regions:
            entry = self.entries.setdefault(key, {"provider": key[0], "id": key[1], "rows": []})
            usual: list[dict[str, Any]] = entry["rows"]
            if any(not _as_usual(row, usual) for row in rows):
                here = [{**row, "when": {**row.get("when", {}), **when}} for row in rows]
                usual += [row for row in here if row["when"] not in [other.get("when") for other in usual]]
        return [self.entries[key] for key in sorted(self.entries) if self.entries[key]["rows"]]

    def _count(self, reason: str, tag: str) -> None:
        self.left_out.setdefault(reason, Counter())[tag] += 1


def _join(entry: dict[str, Any], rows: Iterable[Mapping[str, Any]], multipliers: Iterable[Mapping[str, Any]]) -> bool:
    """Add to an entry what its second spelling says more; False, and nothing, where both state a rate differently."""
    pairs = [
        (usual["rates"], row["rates"])
        for row in rows
        for usual in entry["rows"]
        if row.get("when") == usual.get("when")
    ]
    if any(ours.get(unit, rate) != rate for ours, theirs in pairs for unit, rate in theirs.items()):
        return False
    for ours, theirs in pairs:
        ours |= theirs
    conditions = [usual.get("when") for usual in entry["rows"]]
    entry["rows"] += [row for row in rows if row.get("when") not in conditions]
    if more := [one for one in multipliers if one not in entry.get("multipliers", ())]:
        entry["multipliers"] = [*entry.get("multipliers", ()), *more]
    return True


def _as_usual(row: Mapping[str, Any], usual: Iterable[Mapping[str, Any]]) -> bool:
    return any(all(row.get(key) == other.get(key) for key in ("when", "rates", "tiers")) for other in usual)


def normalise(price_map: str) -> Extract:
    """Return the extract of the map's text: every provider, one entry per (provider, id)."""
    extract = Extract()
    known = {
        name: fields
        for name, fields in json.loads(price_map, parse_float=Decimal).items()
        if name != "sample_spec" and "litellm_provider" in fields
    }
    for name, fields in known.items():
        if named(name, fields["litellm_provider"], fields.get("mode")).left_out == BY_SIZE:
            extract.sized.add((fields["litellm_provider"], name.lower().rpartition("/")[2]))
    for name in sorted(known, key=lambda name: known[name]["litellm_provider"] in _SECOND):
        extract.add(name, known[name])
    return extract
