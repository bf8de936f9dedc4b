"""One line of raw usage: read, checked and priced. What ``price`` and ``explain`` share."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing import BreakdownRow, Cost, PriceBook, breakdown, price_reading
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import MAX_COUNT, UNITS, Reading, Usage, parse_usd, pico_to_text
from otel_tokenomics.usage.dialects import APIS, read

_FACT_KEYS: Final = (
    "service_tier",
    "processing",
    "speed",
    "inference_geo",
    "deployment_type",
    "region",
    "search_context_size",
    "account",
)
_FIELDS: Final = (
    "usage",
    "provider",
    "host",
    "model",
    "request_model",
    "api",
    "units",
    "facts",
    "timestamp",
    "stated_cost",
    "id",
    "overrides",
)


_KINDS: Final[Mapping[type, str]] = {str: "text", list: "a list", dict: "an object"}
_MAX_DIGITS: Final = 4_000
_MAX_QUOTED: Final = 60


class BadLineError(ValueError):
    """A line that cannot be priced; ``code`` is ``bad_json`` or ``bad_field``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class PricedLine(NamedTuple):
    """A line with its price, and what it took to get there."""

    book: PriceBook
    cost: Cost
    usage: Usage | None
    facts: Mapping[str, str]
    at_ms: int
    entry: Mapping[str, Any]
    ignored: list[str]
    rows: list[BreakdownRow]


def parse(line: str) -> dict[str, Any]:
    """Return the object of a line; raise BadLineError where it is none."""
    try:
        content = _loaded(line)
    except json.JSONDecodeError as error:
        what = f"{error.msg} at character {error.pos + 1}" if line.strip() else "is empty"
        raise BadLineError("bad_json", f"is no JSON object: {what}") from None
    except RecursionError:
        raise BadLineError("bad_json", "is nested too deeply") from None
    if not isinstance(content, dict):
        raise BadLineError("bad_json", f"is no JSON object but {_kind(content)}")
    return cast("dict[str, Any]", content)


def _loaded(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # A number of thousands of digits, which Python refuses to read: a count that cannot be true, but JSON.
        return json.loads(line, parse_int=lambda digits: int(digits) if len(digits) < _MAX_DIGITS else math.inf)


def _kind(value: object) -> str:
    """Return what a JSON value is, in the words of JSON."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "a number" if isinstance(value, (int, float)) else _KINDS.get(type(value), "another value")


def _shown(value: str) -> str:
    """Return a text as an error quotes it: a line may be megabytes long."""
    return repr(value if len(value) <= _MAX_QUOTED else value[:_MAX_QUOTED] + "...")


def price_line(book: PriceBook, entry: Mapping[str, Any]) -> PricedLine:
    """Return the price of one line's object; raise BadLineError naming the field that is wrong."""
    at_ms = _instant(entry.get("timestamp"))
    overlay = entry.get("overrides")
    if overlay is not None:
        if not isinstance(overlay, dict):
            raise BadLineError("bad_field", f"overrides: must be an object, is {_kind(overlay)}")
        try:
            book = book.with_overlay(json.dumps(overlay), "overrides")
        except PriceBookError as error:
            raise BadLineError("bad_field", str(error)) from None
    texts = {key: _text(entry, key) for key in ("provider", "host", "model", "request_model")}
    provider = book.provider_by_host(texts["host"]) or book.provider_by_name(texts["provider"]) or texts["provider"]
    reading = _reading(entry, provider)
    facts = _facts(entry.get("facts"))
    host = texts["host"]
    model = texts["model"] or reading.response_model
    own = model or texts["request_model"] or ""
    others = tuple(charge if charge.model else charge._replace(model=own) for charge in reading.others)
    cost = price_reading(
        book, reading._replace(response_model=model, others=others), texts["provider"], at_ms,
        request_model=texts["request_model"], host=host, facts=facts,
    )  # fmt: skip
    effective = {**facts, **reading.facts}
    rows: list[BreakdownRow] = []
    if reading.usage is not None and cost.source == "sdk":
        # Several models each have their own rates.
        rows = breakdown(book, cost, reading.usage, at_ms, summed=reading.summed) if not reading.shares else []
        for share in (*reading.shares, *others):
            alone = Reading(share.usage, effective, share.model, summed=reading.summed)
            own_cost = price_reading(book, alone, texts["provider"], at_ms, host=host)
            rows += breakdown(book, own_cost, share.usage, at_ms, summed=reading.summed)
    ignored = [key for key in entry if key not in _FIELDS]
    return PricedLine(book, cost, reading.usage, effective, at_ms, {**entry, "model": model}, ignored, rows)


def answer(number: int, priced: PricedLine) -> dict[str, Any]:
    """Return the output object of a priced line; every key is always there."""
    cost = priced.cost
    usage = priced.usage
    return {
        "line": number,
        "id": priced.entry.get("id"),
        "status": cost.status,
        "reason": cost.reason,
        "provider": cost.provider,
        "model": cost.model,
        "match": cost.match,
        "sku": cost.sku,
        "currency": "USD" if cost.total is not None else None,
        "total": _money(cost.total),
        "total_pico": None if cost.total is None else str(cost.total),
        "parts": {part: pico_to_text(amount) for part, amount in cost.parts.items() if amount},
        "breakdown": [
            {
                "unit": row.unit,
                "count": str(row.count),
                "rate_pico": str(row.rate_pico),
                "amount_pico": str(row.amount_pico),
                "factor": row.factor,
            }
            for row in priced.rows
        ],
        "list": _money(cost.list),
        "computed": _money(cost.computed),
        "source": cost.source,
        "basis": cost.basis,
        "price_book": cost.book,
        "at": _text_of(priced.at_ms),
        "units": {unit: str(count) for unit, count in usage.counts.items()} if usage else {},
        "facts": dict(cost.facts),
        "flags": list(cost.flags),
        "ignored": priced.ignored,
    }


def _money(pico: int | None) -> str | None:
    return None if pico is None else pico_to_text(pico)


def _text_of(at_ms: int) -> str:
    from datetime import UTC, datetime, timedelta

    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds").replace("+00:00", "Z")


def _instant(value: Any) -> int:
    if value is None:
        return time.time_ns() // 1_000_000
    if not isinstance(value, str):
        raise BadLineError("bad_field", f"timestamp: must be text, is {_kind(value)}")
    try:
        return instant(value)
    except (TypeError, ValueError, OverflowError):
        raise BadLineError("bad_field", f"timestamp: {_shown(value)} is no RFC 3339 instant with a time zone") from None


def _text(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise BadLineError("bad_field", f"{key}: must be text, is {_kind(value)}")
    return value


def _reading(entry: Mapping[str, Any], provider: str | None) -> Reading:
    raw, api = entry.get("usage"), _text(entry, "api")
    if raw is not None and not isinstance(raw, dict):
        raise BadLineError("bad_field", f"usage: must be an object, is {_kind(raw)}")
    if api is not None and api not in APIS:
        raise BadLineError("bad_field", f"api: {_shown(api)} is not available; available are {', '.join(APIS)}")
    reading = Reading()
    if raw is not None:
        usage = cast("dict[str, Any]", raw)
        reading = read(api, usage, provider=provider)
    units = _units(entry.get("units"))
    if units:
        counts = {**(reading.usage.counts if reading.usage else {}), **units}
        # What the caller counted stands beside counts that could not be believed: a lower bound.
        reason = "incomplete_usage" if reading.reason == "invalid_usage" else reading.reason
        reading = reading._replace(usage=Usage(counts), reason=reason)
    stated = _text(entry, "stated_cost")
    if stated is not None:
        try:
            amount = parse_usd(stated)
        except ValueError:
            amount = -1
        if amount < 0:
            raise BadLineError("bad_field", f'stated_cost: {_shown(stated)} is no amount of USD such as "0.0125"')
        reading = reading._replace(stated_cost=amount)
    return reading


def _units(units: Any) -> dict[str, int]:
    if units is None:
        return {}
    if not isinstance(units, dict):
        raise BadLineError("bad_field", f"units: must be an object, is {_kind(units)}")
    counts = cast("dict[str, int]", units)
    for unit, count in counts.items():
        if unit not in UNITS:
            raise BadLineError("bad_field", f"units: unknown unit {_shown(unit)}; units are {', '.join(UNITS)}")
        if type(count) is not int or not 0 <= count <= MAX_COUNT:
            raise BadLineError("bad_field", f"units: {unit}: must be an integer between 0 and {MAX_COUNT}")
    return counts


def _facts(facts: Any) -> dict[str, str]:
    if facts is None:
        return {}
    if not isinstance(facts, dict):
        raise BadLineError("bad_field", f"facts: must be an object, is {_kind(facts)}")
    result: dict[str, str] = {}
    for key, value in cast("dict[str, Any]", facts).items():
        name, word = key, value
        if key == "batch":
            if not isinstance(value, bool):
                raise BadLineError("bad_field", f"facts: batch: must be true or false, is {_kind(value)}")
            if not value:
                continue
            name, word = "processing", "batch"
        elif key == "geo":
            name = "inference_geo"
        if name not in _FACT_KEYS:
            raise BadLineError("bad_field", f"facts: unknown fact {_shown(key)}; facts are {', '.join(_FACT_KEYS)}")
        if not isinstance(word, str):
            raise BadLineError("bad_field", f"facts: {key}: must be text, is {_kind(word)}")
        result[name] = word
    return result
