"""What would give a call a full price: one line for people for each reason, and the lines of an overlay to paste."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from otel_tokenomics.pricing import Cost, PriceBook
from otel_tokenomics.pricing.match import unwrapped
from otel_tokenomics.pricing.rates import Row, instant
from otel_tokenomics.usage import TOKEN_UNITS

#: What to put the id of a model of the book in place of.
PLACEHOLDER: Final = "ID-IN-THE-BOOK"
_USD: Final = "USD"
#: Kinds of providers, those who make a model first.
KINDS: Final = ("first_party", "cloud", "host", "gateway", "self_hosted")
#: How many names are offered, and how much of a name they are compared with.
_OFFERED: Final = 5
_COMPARED: Final = 64
_SELLERS: Final = 8
_COPIED: Final = ("from", "until", "when", "rates", "tiers")
_AZURE: Final = "azure.ai.openai"
_ADVICE: Final = MappingProxyType(
    {
        "no_model": "the span names no model: the instrumentation has to write gen_ai.response.model",
        "no_usage": "the provider reported no usage: OTEL_TOKENOMICS_STREAM_USAGE=always asks for it in streams, "
        "OTEL_TOKENOMICS_ESTIMATE=true counts tokens where it still does not",
        "invalid_usage": "the reported counts cannot be true: see the instrumentation that wrote them",
        "incomplete_usage": "the stream was cut, or counts are estimated: a lower bound, which no price can change; "
        "OTEL_TOKENOMICS_STREAM_USAGE=always asks for the usage of streams that are read to their end",
        "pending": "a queued call: its result is priced when it is fetched, or handed to record_batch()",
        "billing_unknown": "the connection was lost before any usage came: only the provider's bill knows",
        "overflow": "the amount leaves what one span can hold: see the counts",
    }
)
_DOUBTS: Final = MappingProxyType(
    {
        "inconsistent_usage": "counts contradict each other and were read as far as they agree: see who wrote them",
        "assumed_default": "the span does not say what the price depends on (tier, lifetime of cache writes, profile): "
        "the provider's default is assumed; the SDK's own span says it",
        "stale_book": "the book is old: `otel-tokenomics book update`",
        "price_conflict": "the provider's bill differs by more than 1 % from our figure, and is the price: `explain` "
        "shows both; a discount or a rate of your own belongs into an overlay",
        "foreign_zero_ignored": "another library wrote 0 for a call that has a price: ours stands",
    }
)


class Fix(NamedTuple):
    """One line for people, and the overlay to paste, if any; ``ID-IN-THE-BOOK`` and ``USD`` are to be filled in."""

    text: str
    overlay: Mapping[str, Any] = MappingProxyType({})

    @property
    def line(self) -> str:
        """Return text and overlay in one line."""
        return f"{self.text}: {json.dumps(self.overlay)}" if self.overlay else self.text


class Asked(NamedTuple):
    """What is known of a call whose price is in doubt: its names as it bore them, its counts, its time (ms UTC)."""

    provider: str | None
    model: str
    host: str | None
    units: Sequence[str]
    at_ms: int


def fix_of(book: PriceBook, cost: Cost, reason: str, asked: Asked) -> Fix:
    """Return what helps against a reason of status unpriced or partial (`tokenomics.cost.reason`)."""
    if reason == "unknown_model":
        return _unknown(book, cost, asked)
    if reason == "ambiguous_model":
        return _ambiguous(book, asked)
    if reason in ("missing_rate", "no_row_for_date", "tier_unpriced"):
        words = {
            "missing_rate": "write the missing rate into an overlay",
            "no_row_for_date": "write the rates of that time into an overlay",
            "tier_unpriced": "write the rates of that service level into an overlay",
        }
        return Fix(words[reason], _own_row(book, cost, reason, asked))
    return Fix(_ADVICE.get(reason, ""))


def doubt_of(book: PriceBook, flag: str, cost: Cost, asked: Asked) -> Fix:
    """Return what helps against a flag of a price (`tokenomics.cost.flags`)."""
    if flag == "assumed_provider":
        if asked.host is not None:
            return Fix(f"say who bills: OTEL_TOKENOMICS_ENDPOINTS={asked.host}={cost.provider or 'PROVIDER'}")
        return Fix("say who bills: gen_ai.provider.name is none that the book knows")
    if flag == "assumed_rate":
        return Fix(
            "a unit without a rate of its own took that of another: write it into an overlay",
            _own_row(book, cost, flag, asked),
        )
    return Fix(_DOUBTS.get(flag, ""))


def nearest(book: PriceBook, text: str, provider: str | None = None) -> list[str]:
    """Return the ids most like a text as PROVIDER/ID, of one provider or of all; makers before those who resell."""
    owners: dict[str, str] = {}
    for key, name in sorted(book.ids(), key=lambda one: (KINDS.index(book.providers[one[0]].kind), one)):
        if provider in (None, key):
            owners.setdefault(name, key)
    asked = text.lower()[:_COMPARED].rpartition("/")[2]
    return [f"{owners[name]}/{name}" for name in difflib.get_close_matches(asked, owners, _OFFERED)]


def aliases_to_write(provider: str, name: str, model: str = PLACEHOLDER) -> dict[str, Any]:
    """Return the section of an overlay that names a model which the book has under another id."""
    return {"aliases": {provider: {name: {"model": model}}}}


def capacity_to_write(provider: str, model: str) -> dict[str, Any]:
    """Return the section of an overlay that prices a model on one's own GPUs; numbers and USD are to be filled in."""
    speed = {"input": 20_000, "output": 2_000}
    entry = {"p": provider, "ids": [model.strip().lower()], "kind": "gpu", "usd_per_gpu_hour": _USD, "gpus": 1}
    return {"capacity": [{**entry, "tokens_per_second": speed}]}


def _unknown(book: PriceBook, cost: Cost, asked: Asked) -> Fix:
    known = cost.provider or book.provider_by_name(asked.provider)
    if known is None:
        if asked.host is not None:
            return Fix(
                f"nobody lists that host; say who bills behind it: OTEL_TOKENOMICS_ENDPOINTS={asked.host}=PROVIDER"
            )
        name = (asked.provider or "PROVIDER").strip().lower()
        return Fix(
            f"{name} is no provider of the book; an overlay can add it",
            {"providers": {name: {"kind": "gateway"}}, "models": [_entry(name, asked.model, _rates(asked.units))]},
        )
    if book.providers[known].kind == "self_hosted":
        return Fix(
            "own servers have rows in an overlay alone, by the token or by the GPU-hour (`capacity`)",
            {"models": [_entry(known, asked.model, _rates(asked.units))]},
        )
    text = "name it in an overlay"
    if unwrapped(known, asked.model.strip().lower()) is None:
        text = "a profile, endpoint or tuned model of your own says nothing of its model; name that in an overlay"
    elif known == _AZURE:
        text = "a deployment is called as you like; record the response model, or name it in an overlay"
    sellers = [key for key in book.providers if key != known and book.has(key, asked.model.strip().lower())]
    if sellers:
        text = f"{known} does not sell it, but {', '.join(sellers[:_SELLERS])}; if {known} it is, name it in an overlay"
    return Fix(text, aliases_to_write(known, asked.model))


def _ambiguous(book: PriceBook, asked: Asked) -> Fix:
    if asked.host is not None:
        return Fix(f"say who bills behind it: OTEL_TOKENOMICS_ENDPOINTS={asked.host}=PROVIDER")
    sellers = [key for key in book.providers if book.has(key, asked.model.strip().lower())]
    known = ", ".join(sorted(sellers)) or "none in the book"
    return Fix(f"say who bills: gen_ai.provider.name is one of {known}")


def _own_row(book: PriceBook, cost: Cost, reason: str, asked: Asked) -> dict[str, Any]:
    """Return an overlay with one row of the model: what the book knows, and a place for what it does not."""
    provider, model_id = cost.provider or "PROVIDER", cost.model or "MODEL"
    model = book.model(provider, model_id)
    row: dict[str, Any] = {}
    if reason == "tier_unpriced":
        row["when"] = {
            key: [word] for key, word in cost.facts.items() if key in ("service_tier", "processing", "speed")
        }
        return {"models": [_entry(provider, model_id, row | _rates(asked.units))]}
    if reason == "no_row_for_date":
        written = [dict(one.source) for one in model.rows if not one.when] if model else []
        ends = [one["until"] for one in written if "until" in one and instant(one["until"]) <= asked.at_ms]
        begins = [one["from"] for one in written if "from" in one and instant(one["from"]) > asked.at_ms]
        row |= {"from": max(ends, key=instant)} if ends else {}
        row |= {"until": min(begins, key=instant)} if begins else {}
        return {"models": [_entry(provider, model_id, row | _rates(asked.units))]}
    if model is None:
        return {"models": [_entry(provider, model_id, _rates(asked.units))]}
    # Rows of one's own stand before all of the book's: what the book knows goes along, in pico-USD for one unit.
    rows: list[dict[str, Any]] = []
    own = [row for row in model.rows if row.contracted]
    for one in sorted(own or model.rows, key=lambda row: len(row.source.get("when", ()))):
        if asked.at_ms < one.until:
            copied = {key: one.source[key] for key in _COPIED if key in one.source}
            missing = [] if one.when or one.calendar else [unit for unit in asked.units if _lacks(one, unit)]
            rows.append({"basis": one.basis, **copied, **(_rates(missing) if missing else {})})
    return {"models": [{"p": provider, "id": model_id, "rows": rows}]}


def _lacks(row: Row, unit: str) -> bool:
    """Return whether a row has no rate of a unit of its own, but for what bills at another's as a rule."""
    known = row.table.units.get(unit)
    return unit != "request" and (known is None or known.assumed)


def _entry(provider: str, model: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {"p": provider, "id": model.strip().lower(), "rows": [dict(row)]}


def _rates(units: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for word, of_tokens in (("usd_per_million", True), ("usd_each", False)):
        if rates := {unit: _USD for unit in units if (unit in TOKEN_UNITS) is of_tokens and unit != "request"}:
            row[word] = rates
    return row or {"usd_per_million": {"input": _USD, "output": _USD}}
