"""What the vectors leave out: savings, readings with other charges, wrong types, the reader's reasons."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from otel_tokenomics.pricing import PriceBook, price, price_reading
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import NO_FACTS, OtherCharge, Reading, Usage

VECTORS = Path(__file__).parents[2] / "vectors"
BOOK = PriceBook.parse((VECTORS / "book.json").read_text(encoding="utf-8"), "book.json")
OVER = BOOK.with_overlay((VECTORS / "overlay.json").read_text(encoding="utf-8"), "overlay.json")
AT = instant("2026-11-22T10:00:00Z")


def total(counts: dict[str, Any], model: str = "gpt-4o", provider: str = "openai", **more: Any) -> Any:
    return price(BOOK, provider, model, Usage(counts), more.pop("facts", NO_FACTS), AT, **more)


def test_cache_saving_against_plain_input() -> None:
    # claude-opus-4-6 at 5.00: reads at 0.50 spare 4.50, writes at 6.25 cost 1.25 more, 1 h writes at 10 cost 5 more
    cost = total(
        {"input": 7, "cache_read": 1000, "cache_write": 100, "cache_write_1h": 10}, "claude-opus-4-6", "anthropic"
    )
    assert cost.savings == {"cache": 1000 * 4_500_000 - 100 * 1_250_000 - 10 * 5_000_000}


def test_cache_saving_is_negative_while_the_premium_is_not_earned_back() -> None:
    cost = total({"cache_read": 1, "cache_write": 100}, "claude-opus-4-6", "anthropic")
    assert cost.savings == {"cache": 4_500_000 - 125_000_000}


def test_cache_saving_under_a_multiplier() -> None:
    cost = total({"cache_read": 1000}, "claude-opus-4-6", "anthropic", facts={"inference_geo": "us"})
    assert cost.savings == {"cache": 1000 * 4_500_000 * 11 // 10}


def test_batch_saving_against_the_standard_price() -> None:
    cost = total({"input": 1000, "output": 10}, "claude-opus-4-6", "anthropic", facts={"processing": "batch"})
    assert cost.savings == {"batch": 1000 * 2_500_000 + 10 * 12_500_000}


def test_no_saving_without_cache_or_batch_and_none_where_batch_has_no_price() -> None:
    assert total({"input": 1000}).savings == {}
    assert total({"input": 1000}, facts={"processing": "batch"}).savings == {}
    assert total({"cache_read": 1000}, "fallbacks", "lab").savings == {}  # assumed at the plain rate: nothing is saved


def test_a_sum_of_requests_chooses_no_tier() -> None:
    """Nobody knows how large each was: above the first tier's size the price below it is a lower bound."""
    for given, status, reason in ((272_000, "priced", None), (272_001, "partial", "incomplete_usage")):
        reading = Reading(Usage({"input": given}), response_model="gpt-5.4", summed=True)
        cost = price_reading(BOOK, reading, "openai", AT)
        assert (cost.total, cost.status, cost.reason) == (given * 2_500_000, status, reason)
    lump = price_reading(BOOK, Reading(Usage({"input": 272_001}), response_model="gpt-5.4"), "openai", AT)
    assert (lump.total, lump.status) == (272_001 * 5_000_000, "priced")


def test_other_charges_have_a_tier_of_their_own() -> None:
    main, other = Usage({"input": 200_000, "output": 10}), Usage({"input": 200_000})
    reading = Reading(main, response_model="gpt-5.4", others=(OtherCharge("gpt-5.4", other),))
    # 400,000 together would pass the tier of 272,000; each alone does not.
    cost = price_reading(BOOK, reading, "openai", AT)
    assert cost.total == 2 * 200_000 * 2_500_000 + 10 * 15_000_000
    assert cost.parts == {"input": 2 * 200_000 * 2_500_000, "output": 10 * 15_000_000}
    assert cost.status == "priced"


def test_unknown_other_charge_makes_a_lower_bound() -> None:
    reading = Reading(
        Usage({"input": 10}), response_model="gpt-4o", others=(OtherCharge("gpt-77", Usage({"input": 5})),)
    )
    cost = price_reading(BOOK, reading, "openai", AT)
    assert (cost.status, cost.reason, cost.total) == ("partial", "missing_rate", 25_000_000)


def test_another_charge_that_names_no_model_is_one_of_the_model_that_was_called() -> None:
    reading = Reading(Usage({"input": 10}), others=(OtherCharge("", Usage({"input": 5})),))
    cost = price_reading(BOOK, reading, "openai", AT, request_model="gpt-4o")
    assert (cost.status, cost.total) == ("priced", 15 * 2_500_000)
    named = reading._replace(others=(OtherCharge("gpt-77", Usage({"input": 5})),))
    assert price_reading(BOOK, named, "openai", AT, request_model="gpt-4o").status == "partial"


def test_unpriced_main_charge_stays_unpriced() -> None:
    reading = Reading(
        Usage({"input": 10}), response_model="gpt-77", others=(OtherCharge("gpt-4o", Usage({"input": 5})),)
    )
    assert price_reading(BOOK, reading, "openai", AT).total is None


def test_other_charges_never_overflow() -> None:
    usage = Usage({"input": 9223})
    cost = price_reading(BOOK, Reading(usage, response_model="huge", others=(OtherCharge("huge", usage),)), "lab", AT)
    assert (cost.status, cost.reason, cost.total, cost.parts) == ("unpriced", "overflow", None, {})


def test_stated_cost_covers_the_other_charges() -> None:
    others = (OtherCharge("gpt-4o", Usage({"input": 10})),)
    reading = Reading(Usage({"input": 10}), response_model="gpt-4o", others=others, stated_cost=50_000_000)
    cost = price_reading(BOOK, reading, "openai", AT)
    assert (cost.total, cost.computed, cost.flags) == (50_000_000, 50_000_000, ())


def test_list_prices_of_charges_add_up() -> None:
    usage = Usage({"input": 100})
    reading = Reading(usage, response_model="gpt-5.4", others=(OtherCharge("gpt-4o", usage),))
    cost = price_reading(OVER, reading, "openai", AT)
    # 85 % of 2.50, and 3/4 of 2.50
    assert (cost.total, cost.list) == (100 * 2_125_000 + 100 * 1_875_000, 100 * 5_000_000)


def test_fact_of_the_response_ends_the_search() -> None:
    reading = Reading(Usage({"input": 10}), {"service_tier": "default"}, "gpt-5.4")
    cost = price_reading(BOOK, reading, "openai", AT, facts={"service_tier": "flex"})
    assert (cost.total, cost.facts) == (25_000_000, {})
    unsaid = price_reading(BOOK, reading._replace(facts=NO_FACTS), "openai", AT, facts={"service_tier": "flex"})
    assert unsaid.total == 12_500_000


@pytest.mark.parametrize("reason", ["pending", "billing_unknown", "no_usage", "invalid_usage"])
def test_reasons_of_the_reader_that_leave_no_amount(reason: str) -> None:
    cost = total({"input": 10}, reason=reason)
    assert (cost.status, cost.reason, cost.total) == ("unpriced", reason, None)


@pytest.mark.parametrize("reason", ["incomplete_usage", "missing_rate"])
def test_reasons_of_the_reader_that_leave_a_lower_bound(reason: str) -> None:
    cost = total({"input": 10}, reason=reason)
    assert (cost.status, cost.reason, cost.total) == ("partial", reason, 25_000_000)


def test_usage_of_an_unknown_unit_alone_has_no_rate() -> None:
    cost = price(BOOK, "openai", "gpt-4o", None, NO_FACTS, AT, reason="missing_rate")
    assert (cost.status, cost.reason, cost.total) == ("unpriced", "missing_rate", None)


def test_an_estimate_is_a_lower_bound() -> None:
    cost = price(BOOK, "openai", "gpt-4o", Usage({"input": 10}, "estimated"), NO_FACTS, AT)
    assert (cost.status, cost.reason) == ("partial", "incomplete_usage")


def test_flags_of_the_reader_are_kept_once_and_in_order() -> None:
    cost = total({"cache_write": 1}, flags=("inconsistent_usage", "inconsistent_usage", "hearsay"))
    assert cost.flags == ("inconsistent_usage", "assumed_rate")


WRONG = [True, False, 1.0, 2.5, float("nan"), float("inf"), "12", None, b"3", [], Decimal(4), 1j, object()]


@pytest.mark.parametrize("count", WRONG, ids=repr)
def test_counts_that_are_no_integers_are_dropped(count: Any) -> None:
    alone = total({"input": count})
    assert (alone.status, alone.reason) == ("unpriced", "invalid_usage")
    beside = total({"input": count, "output": 10})
    assert (beside.status, beside.reason, beside.total) == ("partial", "incomplete_usage", 100_000_000)


@pytest.mark.parametrize("count", [10**12 + 1, 10**30, 10**5000], ids=["cap", "big", "huge"])
def test_counts_above_the_cap(count: int) -> None:
    assert total({"input": count, "output": 1}).reason == "invalid_usage"


def test_units_that_nobody_knows_are_missing() -> None:
    cost = total({"input": 10, "gold": 3})
    assert (cost.status, cost.reason, cost.total) == ("partial", "missing_rate", 25_000_000)


@pytest.mark.parametrize("facts", [{"service_tier": None}, {"service_tier": 5}, {"region": []}, {"x": object()}])
def test_facts_that_are_no_words_are_no_facts(facts: Any) -> None:
    cost = total({"input": 10}, facts=facts)
    assert (cost.status, cost.facts) == ("priced", {})


@pytest.mark.parametrize("stated", [-1, 2**63, True, 1.5, "5"])
def test_stated_amounts_that_are_none(stated: Any) -> None:
    assert total({"input": 10}, stated_cost=stated).source == "sdk"


@pytest.mark.parametrize("at_ms", [-(10**18), -1, 0, 10**18])
def test_any_instant(at_ms: int) -> None:
    for model in ("calendars", "choice", "dated"):
        cost = price(BOOK, "lab", model, Usage({"input": 1}), NO_FACTS, at_ms)
        assert cost.status in ("priced", "unpriced")


def test_every_field_stands_on_every_result() -> None:
    cost = total({"input": 10, "output": 1})
    assert cost._asdict() == {
        "status": "priced",
        "reason": None,
        "total": 35_000_000,
        "parts": {"input": 25_000_000, "output": 10_000_000},
        "list": None,
        "computed": None,
        "source": "sdk",
        "basis": "list",
        "flags": (),
        "provider": "openai",
        "model": "gpt-4o",
        "match": "exact",
        "sku": "openai/gpt-4o",
        "book": "vectors@2026.11.22",
        "facts": {},
        "savings": {},
    }
    assert cast("Any", type(cost)).__name__ == "Cost"


def test_search_context_of_another_provider_has_no_default() -> None:
    text = json.dumps(
        {
            "models": [
                {
                    "p": "groq",
                    "id": "seeker",
                    "rows": [
                        {"rates": {"input": 1}},
                        {"when": {"search_context_size": ["medium"]}, "rates": {"request": 9}},
                    ],
                }
            ]
        }
    )
    cost = price(BOOK.with_overlay(text, "o"), "groq", "seeker", Usage({"input": 1, "request": 1}), NO_FACTS, AT)
    assert (cost.total, cost.facts) == (1, {})
