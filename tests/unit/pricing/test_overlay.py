"""Own prices: what they mean, and that a wrong one is refused by file, place and rule."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.errors import PriceBookError
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
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"budget": 1}, "budget", "unknown key"),
    ({"currency": "EUR"}, "currency", "must be"),
    (own_model(rates={"input": -1}), "models[0].rows[0].rates.input", "between"),
    (own_model(rates={}), "models[0].rows[0].rates", "not be empty"),
    (own_model(usd_per_million={"input": 2.0}), "usd_per_million.input", 'must be USD as text: write "2.0" in quotes'),
    (own_model(usd_per_million={"input": "two"}), "usd_per_million.input", "USD as text"),
    (own_model(usd_per_million={"input": "-2"}), "usd_per_million.input", "USD as text"),
    (own_model(usd_per_million={"input": "NaN"}), "usd_per_million.input", "USD as text"),
    (own_model(usd_per_million={"input": "1e999999999"}), "usd_per_million.input", "at most"),
    (own_model(usd_per_million={"input": "1000000001"}), "usd_per_million.input", "between"),
    (own_model(usd_per_million={"web_search": "1"}), "usd_per_million.web_search", "other way"),
    (own_model(usd_each={"input": "1"}), "usd_each.input", "other way"),
    (own_model(usd_each={"minute": "1"}), "usd_each.minute", "unknown unit"),
    (own_model(rates={"input": 1}, usd_per_million={"input": "1"}), "usd_per_million.input", "already"),
    (own_model(rates={"input": 1}, basis="gift"), "rows[0].basis", "one of"),
    ({"models": [{"p": "acme", "id": "x", "rows": [{"rates": {"input": 1}}]}]}, "models[0].p", "unknown provider"),
    ({"discounts": [{"p": "openai", "ratio": [0, 100]}]}, "discounts[0].ratio", "between"),
    ({"discounts": [{"p": "openai", "ratio": [1]}]}, "discounts[0].ratio", "two integers"),
    ({"discounts": [{"p": "acme", "ratio": [1, 2]}]}, "discounts[0].p", "unknown provider"),
    ({"discounts": [{"p": "openai", "ratio": [1, 2], "match": "gpt-*-mini"}]}, "discounts[0].match", "final *"),
    ({"discounts": [{"p": "openai", "ratio": [1, 2], "units": ["tokens"]}]}, "discounts[0].units", "unknown unit"),
    ({"discounts": [{"p": "openai", "ratio": [1, 2], "percent": 5}]}, "discounts[0].percent", "unknown key"),
    ({"aliases": {"acme": {}}}, "aliases.acme", "unknown provider"),
    ({"aliases": {"openai": {"x": {}}}}, "aliases.openai.x.model", "must be text"),
    ({"aliases": {"openai": {"x": {"model": "gpt-4o", "calendar": "x"}}}}, "aliases.openai.x.calendar", "unknown key"),
    ({"capacity": [{**CAPACITY, "kind": "rented"}]}, "capacity[0].kind", "one of"),
    ({"capacity": [{**CAPACITY, "gpus": 0}]}, "capacity[0].gpus", "between"),
    ({"capacity": [{**CAPACITY, "utilization": [0, 1]}]}, "capacity[0].utilization", "between"),
    ({"capacity": [{**CAPACITY, "usd_per_hour": "1"}]}, "capacity[0].usd_per_hour", "unknown key"),
    ({"capacity": [{**HOURLY, "allocate": "all"}]}, "capacity[0].allocate", "one of"),
    ({"capacity": [{**CAPACITY, "p": "acme"}]}, "capacity[0].p", "unknown provider 'acme'"),
    ({"capacity": [CAPACITY, {**HOURLY, "ids": ["y", "x"]}]}, "capacity[1].ids", "'x' stands in capacity[0] already"),
    ({"capacity": [{**HOURLY, "allocate": "capacity"}]}, "capacity[0].units_per_hour", "must not be empty"),
    (
        {"capacity": [{**CAPACITY, "usd_per_gpu_hour": "9223372", "gpus": 2**31 - 1}]},
        "capacity[0].tokens_per_second.input",
        "comes to 5501955705610467777777778 pico-USD per unit, must be at most 1000000000000000",
    ),
    ({"static": [{"name": "lease", "usd": 1200}]}, "static[0].usd", 'write "1200" in quotes'),
    ({"static": [{**LEASE, "usd": "1", "tags": {"team": 1}}]}, "static[0].tags.team", "must be text"),
    ({"adjacent": [{**ADJACENT, "usd_each": "free"}]}, "adjacent[0].usd_each", "USD as text"),
    ({"adjacent": [{**ADJACENT, "match": []}]}, "adjacent[0].match", "must be an object"),
]


@pytest.mark.parametrize(("overlay", "path", "rule"), REFUSED, ids=[f"{case[1]} {case[2]}" for case in REFUSED])
def test_refusal_names_file_place_and_rule(overlay: dict[str, Any], path: str, rule: str) -> None:
    with pytest.raises(PriceBookError) as caught:
        laid(**overlay)
    place, _, said = str(caught.value).removeprefix("own.json: ").partition(": ")
    assert path in place
    assert rule in said


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
