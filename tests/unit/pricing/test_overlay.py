"""Own prices: what they mean; what a wrong one is told as stands in the vectors (`refusals.json`)."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from otel_tokenomics.pricing import PriceBook, price
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import NO_FACTS, Usage

VECTORS = Path(__file__).parents[2] / "vectors"
BOOK = PriceBook.parse((VECTORS / "book.json").read_text(encoding="utf-8"), "book.json")
AT = instant("2026-11-22T10:00:00Z")


def laid(**overlay: Any) -> PriceBook:
    return BOOK.with_overlay(json.dumps(overlay), "own.json")


def own_model(**row: Any) -> dict[str, Any]:
    return {"models": [{"p": "openai", "id": "gpt-4o", "rows": [row]}]}


CAPACITY = {
    "p": "vllm",
    "ids": ["x"],
    "kind": "gpu",
    "usd_per_gpu_hour": "2",
    "gpus": 1,
    "tokens_per_second": {"input": 1},
}
HOURLY = {"p": "vllm", "ids": ["x"], "kind": "hourly", "usd_per_hour": "98.00", "allocate": "none"}
LEASE = {"name": "lease", "usd": "1200.00", "from": "2026-11-01T00:00:00Z"}
ADJACENT = {"name": "n", "match": {"db.system.name": "x"}, "unit": "request", "usd_each": "0.1"}


def test_forms_that_price_no_call_are_accepted() -> None:
    laid(capacity=[CAPACITY, {**HOURLY, "ids": ["y"]}], static=[LEASE], adjacent=[ADJACENT])


def test_id_bears_the_digest_and_the_book_below_is_untouched() -> None:
    text = json.dumps(own_model(rates={"input": 1}))
    over = BOOK.with_overlay(text, "own.json")
    assert over.id == f"{BOOK.id}+{sha256(text.encode()).hexdigest()[:8]}"
    assert price(BOOK, "openai", "gpt-4o", Usage({"input": 1}), NO_FACTS, AT).total == 2_500_000
    assert price(over, "openai", "gpt-4o", Usage({"input": 1}), NO_FACTS, AT).total == 1


def test_a_second_overlay_lies_above_the_first() -> None:
    first = laid(**own_model(rates={"input": 7, "output": 70}))
    second = first.with_overlay(json.dumps(own_model(when={"account": ["a"]}, rates={"input": 5})), "line 1")
    assert second.id.startswith(first.id + "+")
    costs = [
        price(second, "openai", "gpt-4o", Usage({"input": 10, "output": 1}), facts, AT).total
        for facts in ({}, {"account": "a"})
    ]
    # The row above lacks output: it comes from the overlay below, 70.
    assert costs == [10 * 7 + 70, 10 * 5 + 70]


def test_own_provider_calendar_and_multiplier() -> None:
    book = laid(
        providers={"inhouse": {"kind": "self_hosted", "hosts": ["llm.acme.example"]}},
        calendars={
            "night": {"tz": "UTC", "windows": [["00:00", "06:00"]]},
            "day": {"tz": "UTC", "windows": [["06:00", "18:00"]]},
        },
        multipliers=[{"p": "inhouse", "ratio": [2, 1], "units": ["output"]}],
        models=[
            {
                "p": "inhouse",
                "id": "m",
                "rows": [
                    {"rates": {"input": 10, "output": 20}},
                    {"when": {"calendar": ["night"]}, "rates": {"input": 1}},
                ],
            }
        ],
    )
    usage = Usage({"input": 1, "output": 1})
    night, day = instant("2026-11-22T05:59:59.999Z"), instant("2026-11-22T06:00:00Z")
    assert price(book, None, "m", usage, NO_FACTS, night, host="llm.acme.example").total == 1 + 2 * 20
    assert price(book, None, "m", usage, NO_FACTS, day, host="llm.acme.example").total == 10 + 2 * 20


def test_of_two_overlays_the_upper_capacity_holds_within_its_dates() -> None:
    below = {**HOURLY, "allocate": "capacity", "units_per_hour": {"input": 98}}
    above = {**below, "usd_per_hour": "49.00", "from": "2026-11-22T10:00:00Z", "until": "2026-11-22T10:00:01Z"}
    both = laid(capacity=[below]).with_overlay(json.dumps({"capacity": [above]}), "above.json")
    totals = [price(both, "vllm", "x", Usage({"input": 1}), NO_FACTS, AT + ms).total for ms in (-1, 0, 999, 1000)]
    assert [total // 10**10 for total in totals if total is not None] == [100, 50, 50, 100]
    assert [one.pico_per_hour // 10**12 for one in both.capacity] == [49, 98]


def test_a_row_of_an_overlay_above_beats_a_capacity_below() -> None:
    row = {"models": [{"p": "vllm", "id": "x", "rows": [{"rates": {"input": 7}}]}]}
    both = laid(capacity=[CAPACITY]).with_overlay(json.dumps(row), "above.json")
    cost = price(both, "vllm", "x", Usage({"input": 1}), NO_FACTS, AT)
    assert (cost.total, cost.basis, cost.match) == (7, "contracted", "exact")
    # Within one overlay the capacity is what is said of the deployment.
    cost = price(laid(capacity=[CAPACITY], **row), "vllm", "x", Usage({"input": 1}), NO_FACTS, AT)
    assert (cost.basis, cost.match) == ("allocated", "alias")
