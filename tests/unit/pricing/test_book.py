"""A price book is checked in full; what one broken rule is told as stands in the vectors (`refusals.json`)."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing import PriceBook, load_embedded

VECTORS = Path(__file__).parents[2] / "vectors"
FROZEN: dict[str, Any] = json.loads((VECTORS / "book.json").read_text(encoding="utf-8"))
Change = Callable[[dict[str, Any]], None]


def changed(change: Change) -> str:
    book = copy.deepcopy(FROZEN)
    change(book)
    return json.dumps(book)


def at(book: dict[str, Any], model: str) -> dict[str, Any]:
    return next(entry for entry in book["models"] if f"{entry['p']}/{entry['id']}" == model)


def row(book: dict[str, Any], model: str, index: int = 0) -> dict[str, Any]:
    return at(book, model)["rows"][index]


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"schema":', "[" * 100_000, '{"a":' * 100_000, '{"x":' + "9" * 5000 + "}"]
)
def test_text_that_is_no_book(text: str) -> None:
    with pytest.raises(PriceBookError, match=r"^prices\.json: "):
        PriceBook.parse(text, "prices.json")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"schema": 1,\n oops}', "line 2 column 2"),
        ('{"schema": "NaN",\n  "scale": NaN}', "line 2 column 12: is no JSON: NaN is no number there"),
        ('{"scale": -Infinity}', "line 1 column 11: is no JSON: -Infinity"),
    ],
)
def test_json_error_names_line_and_column(text: str, place: str) -> None:
    with pytest.raises(PriceBookError, match=re.escape(f"prices.json: {place}")):
        PriceBook.parse(text, "prices.json")


def test_free_keys_and_quoted_values_stay_short() -> None:
    PriceBook.parse(changed(lambda b: at(b, "openai/gpt-4o").update({"x-disputed": {"input": [1, 2]}})), "prices.json")
    with pytest.raises(PriceBookError) as caught:
        PriceBook.parse(changed(lambda b: b.update(currency="E" * 10**6)), "prices.json")
    assert len(str(caught.value)) < 300


def next_version(book: dict[str, Any]) -> None:
    book.update(version="2026.11.29", generated_at="2026-11-29T05:00:00Z")


def test_a_next_version_that_is_refused_is_a_good_book_alone() -> None:
    used = PriceBook.parse(json.dumps(FROZEN), "prices.json")
    text = changed(lambda b: b.update(version="2026.11.21"))
    with pytest.raises(PriceBookError, match="version: must not go back"):
        PriceBook.parse(text, "prices.json", used)
    assert PriceBook.parse(text, "prices.json").version == "2026.11.21"


def test_next_version_within_the_limits() -> None:
    used = PriceBook.parse(json.dumps(FROZEN), "prices.json")

    def change(book: dict[str, Any]) -> None:
        next_version(book)
        row(book, "openai/gpt-4o")["rates"]["input"] = 25_000_000
        row(book, "openai/gpt-5-mini")["rates"]["input"] = 1
        book["x-accepted-jumps"] = ["openai/gpt-5-mini"]

    assert PriceBook.parse(changed(change), "prices.json", used).version == "2026.11.29"


def test_embedded_book_keeps_every_rule() -> None:
    """At run time its lines are only indexed, so the checks of a foreign book are made here."""
    text = (
        Path(__file__).parents[3].joinpath("otel_tokenomics", "pricing", "pricebook.json").read_text(encoding="utf-8")
    )
    parsed, indexed = PriceBook.parse(text, "pricebook.json"), load_embedded()
    assert parsed.id == indexed.id
    assert list(parsed.ids()) == list(indexed.ids())
    assert parsed.providers == indexed.providers
    for key in list(indexed.ids())[::97]:
        assert parsed.model(*key) == indexed.model(*key)


def test_embedded_model_is_read_at_first_use() -> None:
    book = load_embedded.__wrapped__()
    assert not book._models
    assert book.model("openai", "gpt-4o") is not None
    assert set(book._models) == {("openai", "gpt-4o")}
