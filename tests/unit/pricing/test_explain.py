"""What a person reads about a price: the rule, the names tried, every row with its verdict, the bill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.pricing import BreakdownRow, Explanation, NameTried, PriceBook, breakdown, explain, price
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import Usage

VECTORS = Path(__file__).parents[2] / "vectors"
BOOK = PriceBook.parse((VECTORS / "book.json").read_text(encoding="utf-8"), "book.json").with_overlay(
    (VECTORS / "overlay.json").read_text(encoding="utf-8"), "overlay.json"
)


def explained(provider: str | None, model: str, counts: dict[str, int], at: str, **more: Any) -> Explanation:
    facts, usage, at_ms = more.pop("facts", {}), Usage(counts), instant(at)
    cost = price(BOOK, provider, model, usage, facts, at_ms, **more)
    return explain(BOOK, cost, usage, facts, at_ms, provider=provider, model=model, **more)


def test_every_row_has_its_verdict() -> None:
    said = explained("deepseek", "deepseek-flash", {"input": 10}, "2026-11-23T04:00:00Z")
    assert [(row.taken, row.why) for row in said.rows] == [
        (False, "the instant is outside its calendar"),
        (True, "in force"),
    ]
    assert said.rows[0].when == {"calendar": ["deepseek-peak"]}
    assert said.rows[1].start == "2026-09-10T04:00:00Z"
    assert said.rows[1].until is None


def test_dates_and_conditions_that_rejected_a_row() -> None:
    said = explained("lab", "choice", {"input": 1}, "2026-05-01T00:00:00Z", facts={"service_tier": "flex"})
    whys = [row.why for row in said.rows]
    assert "begins after the call" in whys
    assert any(why.startswith("asks for service_tier=priority, the call has flex") for why in whys)
    assert any(why.startswith("asks for region=east|west, the call has none") for why in whys)
    assert [row.taken for row in said.rows].count(True) == 1
    late = explained("deepseek", "deepseek-chat", {"input": 1}, "2026-08-01T00:00:00Z")
    assert {row.why for row in late.rows} == {"ended before the call"}
    assert late.breakdown == []


def test_rows_that_lose_to_one_of_ones_own() -> None:
    said = explained("openai", "gpt-5-mini", {"input": 1}, "2026-11-01T00:00:00Z")
    assert [row.taken for row in said.rows] == [True, False]
    assert "comes first" in said.rows[1].why


def test_names_tried() -> None:
    said = explained("openai", "azure/openai/gpt-5-mini-2025-08-07", {"input": 1}, "2026-11-01T00:00:00Z")
    assert said.names == [
        NameTried("alias", "azure/openai/gpt-5-mini-2025-08-07", found=False),
        NameTried("exact", "azure/openai/gpt-5-mini-2025-08-07", found=False),
        NameTried("prefix", "openai/gpt-5-mini-2025-08-07", found=False),
        NameTried("prefix", "gpt-5-mini-2025-08-07", found=False),
        NameTried("tail", "gpt-5-mini", found=True),
    ]
    assert "date" in said.model_rule
    named = explained("azure", "my-prod-deployment", {"input": 1}, "2026-11-01T00:00:00Z")
    assert named.names == [NameTried("alias", "my-prod-deployment", found=True)]
    prefixed = explained("lab", "lab-pre-x", {"input": 1}, "2026-11-01T00:00:00Z")
    assert prefixed.names[-1] == NameTried("declared prefix", "lab-pre-x", found=True)


def test_names_tried_at_every_maker() -> None:
    at, host = "2026-11-01T00:00:00Z", "gw.acme.example"
    assert explained("openai", "twin-1", {"input": 1}, at, host=host).names == [
        NameTried("lab: exact", "twin-1", found=True), NameTried("mistral_ai: exact", "twin-1", found=True),
    ]  # fmt: skip
    assert explained("acme", "gpt-77", {"input": 1}, at).names == []
    assert "no maker of models" in explained("acme", "gpt-77", {"input": 1}, at).model_rule


def test_what_is_the_customers_own() -> None:
    arn = "arn:aws:sagemaker:us-east-1:1:endpoint/nova-pro-v1:0"
    assert "of your own" in explained("aws.bedrock", arn, {"input": 1}, "2026-11-01T00:00:00Z").model_rule


@pytest.mark.parametrize(
    ("provider", "model", "host", "words"),
    [
        ("openai", "gpt-77", None, "nothing looser"),
        ("openai", "", None, "no model"),
        (None, "gpt-4o", None, "one single provider"),
        ("openai", "twin-1", "gw.acme.example", "one single provider"),
        ("openai", "gpt-5-mini", "gw.acme.example", "one maker alone"),
        ("azure", "my-prod-deployment", None, "alias"),
        ("lab", "lab-pre-x", None, "prefix that the book declares"),
    ],
)
def test_rule_of_the_model(provider: str | None, model: str, host: str | None, words: str) -> None:
    assert words in explained(provider, model, {"input": 1}, "2026-11-01T00:00:00Z", host=host).model_rule


def test_tier_in_words() -> None:
    at = "2026-11-01T00:00:00Z"
    assert explained("openai", "gpt-5.4", {"input": 272_001}, at).tier == "above 272000 input tokens"
    assert explained("openai", "gpt-5.4", {"input": 272_000}, at).tier == "at most 272000 input tokens"
    assert explained("openai", "gpt-4o", {"input": 1}, at).tier == ""


def test_bill_in_unit_order_with_factors() -> None:
    # The worked example: gpt-5.4 flex above 272,000 tokens, the EU factor 11/10 and the overlay's discount 85/100.
    counts = {"output": 1000, "cache_read": 200_000, "input": 100_000}
    facts, at_ms = {"service_tier": "flex", "inference_geo": "eu"}, instant("2026-11-22T10:00:00Z")
    cost = price(BOOK, "openai", "gpt-5.4", Usage(counts), facts, at_ms)
    assert breakdown(BOOK, cost, Usage(counts), at_ms) == [
        BreakdownRow("input", 100_000, 2_500_000, 250_000_000_000, "187/200"),
        BreakdownRow("cache_read", 200_000, 250_000, 50_000_000_000, "11/10"),
        BreakdownRow("output", 1000, 11_250_000, 11_250_000_000, "187/200"),
    ]


def test_bill_of_a_free_variant() -> None:
    usage = Usage({"input": 5})
    cost = price(BOOK, "openrouter", "acme/x:free", usage, {}, 0)
    assert breakdown(BOOK, cost, usage, 0) == [BreakdownRow("input", 5, 0, 0, None)]
