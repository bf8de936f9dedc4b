"""Whatever stands in a book, an overlay or a call: a refusal or an answer, never another exception."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing import PriceBook, breakdown, explain, load_embedded, price
from otel_tokenomics.usage import UNITS, Usage

VECTORS = Path(__file__).parents[2] / "vectors"
BOOK: Any = json.loads((VECTORS / "book.json").read_text(encoding="utf-8"))
OVERLAY: Any = json.loads((VECTORS / "overlay.json").read_text(encoding="utf-8"))
AT_MS = 1_795_341_600_000
VALUES: list[Any] = [
    None, True, -1, 1.5, 10**400, "", "x", "é", "2026-01-01T00:00:00Z", [], {}, [[]], [None], ["x"], [1, 2], {"a": 1},
]  # fmt: skip
JUNK: list[Any] = [None, True, -1, 0, 1, 1000, 10**12, 10**30, 1.5, float("nan"), "1", b"x", [], {}, object()]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("what", ["book", "overlay"])
def test_any_value_in_any_place_of_a_book(what: str, seed: int) -> None:
    draw, good = random.Random(seed), PriceBook.parse(json.dumps(BOOK), "good")
    refused: list[str] = []
    for _ in range(120):
        changed = copy.deepcopy(BOOK if what == "book" else OVERLAY)
        container, key = draw.choice(list(places(changed)))
        container[key] = draw.choice(VALUES)
        text = json.dumps(changed)
        try:
            book = PriceBook.parse(text, "b", good) if what == "book" else good.with_overlay(text, "b")
        except PriceBookError as error:
            refused.append(str(error))
            continue
        for provider, model in draw.sample(list(book.ids()), 20):
            price(book, provider, model, Usage({"input": 5, "cache_write": 1, "request": 1}), {"speed": "fast"}, AT_MS)
    assert len(refused) > 60
    assert all(message.startswith("b: ") for message in refused)


@pytest.mark.parametrize("seed", range(4))
def test_any_object_in_any_place_of_a_call(seed: int) -> None:
    draw, book = random.Random(seed), load_embedded()
    ids = sorted(book.ids())
    keys: list[Any] = [*UNITS, "gold", 5, None, ("a",)]
    for _ in range(800):
        provider, model = draw.choice(ids)
        counts = {draw.choice(keys): draw.choice(JUNK) for _ in range(draw.randint(0, 5))}
        facts: Any = {
            draw.choice(["service_tier", "processing", "region", "account", 5]): draw.choice(
                ["flex", " BATCH", "", *JUNK]
            )
            for _ in range(draw.randint(0, 3))
        }
        names = [draw.choice([provider, *JUNK]), draw.choice([model, model.upper(), *JUNK])]
        at_ms, stated = draw.choice((0, -(10**15), AT_MS, 10**17)), draw.choice([None, 5, *JUNK])
        cost = price(
            book, *names, Usage(counts), facts, at_ms, host=draw.choice(["api.openai.com", *JUNK]), stated_cost=stated
        )
        assert (cost.total is None) == (cost.status == "unpriced")
        if cost.source == "sdk":
            assert sum(cost.parts.values()) == cost.total
        breakdown(book, cost, Usage(counts), at_ms)
        explain(book, cost, Usage(counts), facts, at_ms, provider=provider, model=model)
