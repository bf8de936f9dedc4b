"""Spans that others made, priced in process: the vectors that hold the collector's processor hold this too."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.attributes import names
from otel_tokenomics.attributes.read import ReadOptions, SpanView, read_span
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import PriceBook
from otel_tokenomics.telemetry.foreign_spans import ForeignPricing
from otel_tokenomics.telemetry.one_charge import Charged, RecentCalls

FOLDER = Path(__file__).resolve().parents[2] / "vectors"
BOOK = PriceBook.parse((FOLDER / "book.json").read_text(encoding="utf-8"), "book.json")
OVERLAID = BOOK.with_overlay((FOLDER / "overlay.json").read_text(encoding="utf-8"), "overlay.json")
CASES = sorted((FOLDER / "spans").glob("*.json"))
SERVER, CONSUMER, ERROR = 2, 5, 2


def value_of(entry: dict[str, Any]) -> Any:
    ((kind, value),) = entry.items() or (("empty", None),)
    if kind == "intValue":
        return int(value)
    if kind == "doubleValue":
        return float(value)
    if kind == "arrayValue":
        return tuple(value_of(item) for item in value.get("values", ()))
    return None if kind == "empty" else value


def attributes_of(span: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in span.get("attributes", ()):
        found.setdefault(pair["key"], value_of(pair["value"]))
    return found


def spans_of(traces: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [
        ({**scope.get("scope", {}), "resource": attributes_of(resource.get("resource", {}))}, span)
        for resource in traces["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def view_of(scope: dict[str, Any], span: dict[str, Any], attributes: dict[str, Any]) -> SpanView:
    failed = span.get("status", {}).get("code") == ERROR
    exceptions = [attributes_of(event) for event in span.get("events", ()) if event["name"] == "exception"]
    types = [found["exception.type"] for found in exceptions if "exception.type" in found]
    return SpanView(
        scope.get("name", ""),
        scope.get("version", ""),
        attributes,
        int(span.get("startTimeUnixNano", 0)) // 1_000_000,
        span.get("kind") in (SERVER, CONSUMER),
        failed,
        types[0] if failed and types else "",
        scope["resource"],
    )


def by_bits(attributes: dict[str, Any]) -> dict[str, Any]:
    """Doubles by their bits; what says who priced is the one difference between the two programs."""
    shown: dict[str, Any] = {}
    for key, value in attributes.items():
        if key == names.TOKENOMICS_COST_TOTAL_MICROS:
            continue  # for the collector's sampler, which cannot read a double
        if key == names.TOKENOMICS_COST_SOURCE and value == "collector":
            value = "sdk"
        shown[key] = struct.pack("<d", value).hex() if isinstance(value, float) else value
    return shown


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_the_vectors_of_the_processor(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    options = {"cost_parts": False, **case["options"]}
    # In one process there are spans alone: the exporter has no choice to make.
    assert set(options.pop("agents", {}).values()) <= {"spans"}
    book = OVERLAID if case.get("overlay") else BOOK
    pricing = ForeignPricing(Settings.resolve({}, **options), book, max_age_ms=None)
    given, wanted = spans_of(case["in"]), spans_of(case["out"])
    before = [attributes_of(span) for _, span in given]
    found = priced(pricing, given, before)
    for (_, span), bears, (_, expected) in zip(given, found, wanted, strict=True):
        assert by_bits(bears) == by_bits(attributes_of(expected)), span["spanId"]
    again = priced(pricing, given, found)
    assert [by_bits(bears) for bears in again] == [by_bits(bears) for bears in found], "not idempotent"


def priced(
    pricing: ForeignPricing, spans: list[tuple[dict[str, Any], dict[str, Any]]], before: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return what the spans of one batch bear once each is priced and each charge stands once."""
    batch = [placed(pricing, *each, bears) for each, bears in zip(spans, before, strict=True)]
    return [bears if after is None else after for bears, after in zip(before, RecentCalls().settle(batch), strict=True)]


def placed(pricing: ForeignPricing, scope: dict[str, Any], span: dict[str, Any], before: dict[str, Any]) -> Charged:
    view = view_of(scope, span, before)
    after = pricing.attributes_of(view)
    bears = before if after is None else after
    parent = span.get("parentSpanId")
    return Charged(
        int(span["traceId"], 16),
        int(span["spanId"], 16),
        int(parent, 16) if parent else None,
        int(span.get("startTimeUnixNano", 0)),
        int(span.get("endTimeUnixNano", 0)),
        view.scope,
        before,
        after,
        pricing.identity_of(view._replace(attributes=bears)),
    )


def test_every_spelling_is_read_in_a_vector() -> None:
    """A key that is read and in no vector would be a rule that two languages can read in two ways."""
    seen: set[str] = set()
    for path in FOLDER.glob("*/*.json"):
        seen.update(re.findall(r'"key": ?"([^"]+)"', path.read_text(encoding="utf-8")))
    assert {key for keys in names.READ_AS.values() for key in keys} - seen == set()


ANOMALIES = json.loads((FOLDER / "anomalies.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", ANOMALIES, ids=[case["name"] for case in ANOMALIES])
def test_anomalies(case: dict[str, Any]) -> None:
    scope = case.get("scope", {})
    view = SpanView(scope.get("name", ""), scope.get("version", ""), attributes_of(case), 0)
    found = read_span(view, ReadOptions())
    expect = case["expect"]
    reading = found.reading
    shown: dict[str, Any] = {}
    if reading.usage is not None:
        shown["units"] = {unit: str(count) for unit, count in reading.usage.counts.items() if unit != "request"}
    assert shown.get("units") == expect.get("units")
    assert list(reading.flags) == expect.get("flags", [])
    assert reading.reason == expect.get("reason")
    if "accounting" in expect:
        assert ("exclusive" if found.exclusive else "inclusive") == expect["accounting"]
