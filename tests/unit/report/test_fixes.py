"""Every reason without a full price has a fix, and what is there to be pasted prices the call once it is filled in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.pricing import Cost, PriceBook, load_embedded, price
from otel_tokenomics.pricing.calc import FLAGS
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.report.fixes import Asked, capacity_to_write, doubt_of, fix_of, nearest
from otel_tokenomics.usage import Usage

VECTORS = Path(__file__).parents[2] / "vectors"
BOOK = PriceBook.parse((VECTORS / "book.json").read_text(encoding="utf-8"), "book.json")
AT = "2026-11-22T10:00:00Z"
UNPRICED = (
    "pending", "billing_unknown", "no_usage", "invalid_usage", "no_model", "ambiguous_model", "unknown_model",
    "no_row_for_date", "missing_rate", "overflow",
)  # fmt: skip
PARTIAL = ("missing_rate", "tier_unpriced", "incomplete_usage")


def costed(
    book: PriceBook, provider: str | None, model: str, counts: dict[str, int], *,
    at: str = AT, host: str | None = None, facts: dict[str, str] | None = None,
) -> tuple[Cost, Asked]:  # fmt: skip
    cost = price(book, provider, model, Usage(counts), facts or {}, instant(at), host=host)
    return cost, Asked(provider, model, host, [unit for unit, count in counts.items() if count], instant(at))


def pasted(overlay: Any, model: str = "gpt-5", usd: str = "1") -> PriceBook:
    text = json.dumps(dict(overlay)).replace("ID-IN-THE-BOOK", model).replace('"USD"', f'"{usd}"')
    return BOOK.with_overlay(text, "pasted")


@pytest.mark.parametrize("reason", sorted({*UNPRICED, *PARTIAL}))
def test_every_reason_has_a_fix(reason: str) -> None:
    cost, asked = costed(BOOK, "openai", "gpt-4o", {"input": 1})
    fix = fix_of(BOOK, cost, reason, asked)
    assert fix.text
    assert "\n" not in fix.line


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_has_an_explanation(flag: str) -> None:
    cost, asked = costed(BOOK, "openai", "gpt-4o", {"input": 1})
    assert doubt_of(BOOK, flag, cost, asked).text


@pytest.mark.parametrize(
    ("provider", "model", "words"),
    [
        ("azure.ai.openai", "prod-gpt-5", "record the response model"),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/a1", "of your own"),
        ("openai", "gpt-5", "openai does not sell it, but azure.ai.openai"),
        ("openai", "Gpt-9", "name it in an overlay"),
    ],
)
def test_an_alias_to_paste_for_what_is_unknown(provider: str, model: str, words: str) -> None:
    cost, asked = costed(BOOK, provider, model, {"input": 1000})
    fix = fix_of(BOOK, cost, "unknown_model", asked)
    assert words in fix.text
    assert fix.overlay == {"aliases": {provider: {model: {"model": "ID-IN-THE-BOOK"}}}}
    own = pasted(
        fix.overlay, "gpt-4o" if provider == "openai" else "gpt-5" if provider != "aws.bedrock" else "nova-pro-v1:0"
    )
    assert costed(own, provider, model, {"input": 1000})[0].match == "alias"


def test_a_row_to_paste_for_a_server_of_ones_own() -> None:
    cost, asked = costed(BOOK, "vllm", "meta-llama/Llama-3.1-8B", {"input": 1000, "output": 10}, host="10.0.0.7")
    fix = fix_of(BOOK, cost, cost.reason or "", asked)
    assert "aliases" not in fix.overlay
    again, _ = costed(
        pasted(fix.overlay), "vllm", "meta-llama/Llama-3.1-8B", {"input": 1000, "output": 10}, host="10.0.0.7"
    )
    assert (again.status, again.total) == ("priced", 1010 * 10**6)
    pasted(capacity_to_write("vllm", "meta-llama/Llama-3.1-8B"))


def test_a_provider_that_nobody_knows() -> None:
    cost, asked = costed(BOOK, "acme gateway", "house-1", {"input": 1000})
    fix = fix_of(BOOK, cost, "unknown_model", asked)
    assert costed(pasted(fix.overlay), "acme gateway", "house-1", {"input": 1000})[0].status == "priced"
    cost, asked = costed(BOOK, "acme", "house-1", {"input": 1}, host="gw.acme.example")
    assert fix_of(BOOK, cost, "unknown_model", asked).text.endswith(
        "OTEL_TOKENOMICS_ENDPOINTS=gw.acme.example=PROVIDER"
    )
    cost, asked = costed(BOOK, None, "gpt-4o", {"input": 1})
    assert fix_of(BOOK, cost, "ambiguous_model", asked).text.endswith("one of azure.ai.openai, openai")
    cost, asked = costed(BOOK, "openai", "twin-1", {"input": 1}, host="gw.acme.example")
    assert "OTEL_TOKENOMICS_ENDPOINTS=gw.acme.example=PROVIDER" in fix_of(BOOK, cost, "ambiguous_model", asked).text


def test_a_missing_rate_leaves_what_the_book_knows() -> None:
    # gpt-5.4 has tiers and rows of other service levels: the pasted model must bill them as the book does.
    counts = {"input": 300_000, "page": 3}
    cost, asked = costed(BOOK, "openai", "gpt-5.4", counts)
    assert (cost.status, cost.reason) == ("partial", "missing_rate")
    own = pasted(fix_of(BOOK, cost, "missing_rate", asked).overlay, usd="0.5")
    again, _ = costed(own, "openai", "gpt-5.4", counts)
    assert (again.status, again.basis, again.total) == ("priced", "list", (cost.total or 0) + 3 * 5 * 10**11)
    for facts in ({"service_tier": "flex"}, {"processing": "batch"}):
        for size in (1000, 300_000):
            before, _ = costed(BOOK, "openai", "gpt-5.4", {"input": size, "output": 10}, facts=facts)
            after, _ = costed(own, "openai", "gpt-5.4", {"input": size, "output": 10}, facts=facts)
            assert (after.total, after.status) == (before.total, before.status)


def test_an_assumed_rate() -> None:
    cost, asked = costed(BOOK, "lab", "fallbacks", {"cache_read": 1000})
    assert cost.flags == ("assumed_rate",)
    own = pasted(doubt_of(BOOK, "assumed_rate", cost, asked).overlay)
    again, _ = costed(own, "lab", "fallbacks", {"cache_read": 1000})
    assert (again.flags, again.total) == ((), 1000 * 10**6)


def test_the_rates_of_a_time_that_the_book_does_not_know() -> None:
    for at, bounds in (
        ("2026-04-30T00:00:00Z", {"until": "2026-05-01T00:00:00.250Z"}),
        ("2026-06-01T00:00:00Z", {"from": "2026-05-01T00:00:01.500Z"}),
    ):
        cost, asked = costed(BOOK, "lab", "dated", {"input": 1000}, at=at)
        assert cost.reason == "no_row_for_date"
        overlay = fix_of(BOOK, cost, "no_row_for_date", asked).overlay
        (row,) = overlay["models"][0]["rows"]
        assert {key: row[key] for key in ("from", "until") if key in row} == bounds
        own = pasted(overlay)
        assert costed(own, "lab", "dated", {"input": 1000}, at=at)[0].total == 10**9
        during = "2026-05-01T00:00:01Z"
        assert costed(own, "lab", "dated", {"input": 1000}, at=during)[0].basis == "list"


def test_the_rates_of_a_service_level() -> None:
    facts = {"service_tier": "scale"}
    cost, asked = costed(BOOK, "openai", "gpt-5.4", {"input": 1000}, facts=facts)
    assert cost.reason == "tier_unpriced"
    own = pasted(fix_of(BOOK, cost, "tier_unpriced", asked).overlay)
    again, _ = costed(own, "openai", "gpt-5.4", {"input": 1000}, facts=facts)
    assert (again.status, again.total) == ("priced", 10**9)
    assert costed(own, "openai", "gpt-5.4", {"input": 1000})[0] == costed(BOOK, "openai", "gpt-5.4", {"input": 1000})[
        0
    ]._replace(book=own.id)


def test_an_assumed_provider_is_told_how_to_be_sure() -> None:
    cost, asked = costed(BOOK, "openai", "gpt-5-mini", {"input": 1}, host="gw.acme.example")
    assert doubt_of(BOOK, "assumed_provider", cost, asked).text.endswith(
        "OTEL_TOKENOMICS_ENDPOINTS=gw.acme.example=openai"
    )


def test_nearest_names_are_bounded() -> None:
    book = load_embedded()
    assert nearest(book, "gpt-4o-minni")[0] == "openai/gpt-4o-mini"
    assert nearest(book, "x" * 1_000_000) == []
    assert nearest(book, "claude-sonet-4-5", "aws.bedrock")
