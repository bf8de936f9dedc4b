"""The shared vectors, every field of the result compared exactly; the Go engine runs the same files."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.pricing import PriceBook, load_embedded, price, resolve
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import UNITS, Usage

VECTORS = Path(__file__).parents[2] / "vectors"
MATCH_FIELDS = {"name", "why", "provider", "response_model", "request_model", "host", "overlay", "expect"}
MATCH_EXPECTED = {"provider", "id", "match", "facts", "reason"}
COST_FIELDS = {
    "name", "why", "provider", "model", "request_model", "at", "units", "facts", "stated_cost", "overlay", "expect",
}  # fmt: skip
COST_EXPECTED = {
    "status", "reason", "total", "parts", "list", "computed", "source", "basis", "flags", "sku", "id", "match",
}  # fmt: skip


@functools.cache
def book(overlay: bool) -> PriceBook:
    if overlay:
        text = (VECTORS / "overlay.json").read_text(encoding="utf-8")
        return book(False).with_overlay(text, "overlay.json")
    return PriceBook.parse((VECTORS / "book.json").read_text(encoding="utf-8"), "book.json")


def known_to_fail() -> set[str]:
    return set((VECTORS / "expected_failures.python.txt").read_text(encoding="utf-8").split())


def cases(name: str, fields: set[str], expected: set[str]) -> Iterator[Any]:
    content: list[dict[str, Any]] = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    names = [case["name"] for case in content]
    assert len(names) == len(set(names)), f"{name}: names are test ids"
    for case in content:
        assert case.keys() <= fields, f"{name}: {case['name']}: unknown field"
        assert case["expect"].keys() <= expected, f"{name}: {case['name']}: unknown field in expect"
        assert case["why"], f"{name}: {case['name']}: a case says why"
        marks = [pytest.mark.xfail(strict=True)] if case["name"] in known_to_fail() else []
        yield pytest.param(case, id=case["name"], marks=marks)


def run_cost(prices: PriceBook, case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result in the form of a case's ``expect``."""
    assert set(case["units"]) <= set(UNITS), "unknown unit"
    counts = {unit: int(count) for unit, count in case["units"].items()}
    stated = int(case["stated_cost"]) if "stated_cost" in case else None
    cost = price(
        prices, case["provider"], case["model"], Usage(counts), case["facts"], instant(case["at"]), stated_cost=stated,
        request_model=case.get("request_model"),
    )  # fmt: skip
    found = {
        "status": cost.status,
        "reason": cost.reason,
        "total": None if cost.total is None else str(cost.total),
        "parts": {part: str(amount) for part, amount in cost.parts.items()} or None,
        "list": None if cost.list is None else str(cost.list),
        "computed": None if cost.computed is None else str(cost.computed),
        "source": cost.source,
        "basis": cost.basis,
        "flags": list(cost.flags) or None,
        "sku": cost.sku,
        "id": cost.model,
        "match": cost.match,
    }
    return {key: value for key, value in found.items() if value is not None}


def run_match(prices: PriceBook, case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resolution in the form of a case's ``expect``."""
    match = resolve(
        prices,
        case.get("provider"),
        case.get("response_model"),
        case.get("request_model"),
        case.get("host"),
    )
    if match.model is None:
        return {"reason": match.reason}
    assert match.model.provider == match.provider
    found = {"provider": match.provider, "id": match.model.id, "match": match.match, "facts": dict(match.facts)}
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize("case", list(cases("match.json", MATCH_FIELDS, MATCH_EXPECTED)))
def test_match(case: dict[str, Any]) -> None:
    assert run_match(book(case.get("overlay", False)), case) == case["expect"]


@pytest.mark.parametrize("case", list(cases("names.json", MATCH_FIELDS - {"overlay"}, MATCH_EXPECTED)))
def test_names_that_people_type(case: dict[str, Any]) -> None:
    assert run_match(load_embedded(), case) == case["expect"]


def test_each_large_provider_has_names_that_hit_and_names_that_miss() -> None:
    content: list[dict[str, Any]] = json.loads((VECTORS / "names.json").read_text(encoding="utf-8"))
    for provider in (
        "openai", "azure.ai.openai", "anthropic", "aws.bedrock", "gcp.vertex_ai", "gcp.gemini", "mistral_ai", "cohere",
        "deepseek", "x_ai", "groq", "together", "fireworks", "openrouter", "perplexity", "databricks", "ibm.watsonx.ai",
    ):  # fmt: skip
        found = {"id" in case["expect"] for case in content if case.get("provider") == provider}
        assert found == {True, False}, provider


@pytest.mark.parametrize("case", list(cases("cost.json", COST_FIELDS, COST_EXPECTED)))
def test_cost(case: dict[str, Any]) -> None:
    prices = book(case.get("overlay", False))
    assert run_cost(prices, case) == case["expect"]
    parts = case["expect"].get("parts", {})
    if parts:
        assert sum(map(int, parts.values())) == int(case["expect"]["total"]), "parts add up to the total"


def test_generated_cases_are_what_the_embedded_book_gives() -> None:
    lines = (VECTORS / "generated.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) >= 5000
    prices, seen = load_embedded(), set[str]()
    for line in lines:
        case = json.loads(line)
        assert case.keys() <= COST_FIELDS
        assert case["name"] not in seen
        seen.add(case["name"])
        assert run_cost(prices, case) == case["expect"], case["name"]
