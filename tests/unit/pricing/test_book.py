"""A price book is checked in full, and a refusal names the file, the place in it and the rule."""

from __future__ import annotations

import copy
import json
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


def two_equal_rows(book: dict[str, Any]) -> None:
    model = at(book, "lab/choice")
    model["rows"].append({"when": {"service_tier": ["fast", "priority"]}, "from": "2026-04-01T00:00:00Z", "rates": {}})


REFUSED: list[tuple[str, Change, str, str]] = [
    ("schema", lambda b: b.update(schema="otel-tokenomics/pricebook/2"), "schema", "must be"),
    ("currency", lambda b: b.update(currency="EUR"), "currency", "must be 'USD'"),
    ("scale", lambda b: b.update(scale=9), "scale", "must be 12"),
    ("unknown top key", lambda b: b.update(discounts=[]), "discounts", "unknown key"),
    ("no models", lambda b: b.update(models=[]), "models", "must not be empty"),
    ("models no list", lambda b: b.update(models={}), "models", "must be a list"),
    ("no id", lambda b: b.pop("id"), "id", "must be text"),
    ("generated_at", lambda b: b.update(generated_at="2026-11-22"), "generated_at", "RFC 3339"),
    ("no zone", lambda b: b.update(generated_at="2026-11-22T05:00:00"), "generated_at", "in UTC"),
    ("unknown model key", lambda b: b["models"][0].update(color="red"), "models[0].color", "unknown key"),
    ("upper-case id", lambda b: b["models"][0].update(id="GPT"), "models[0].id", "lower case"),
    ("unknown provider", lambda b: b["models"][0].update(p="acme"), "models[0].p", "unknown provider"),
    ("no rows", lambda b: b["models"][0].update(rows=[]), "models[0].rows", "must not be empty"),
    ("unknown row key", lambda b: row(b, "openai/gpt-4o").update(rate={}), "].rows[0].rate", "unknown key"),
    (
        "unknown unit",
        lambda b: b["models"][3]["rows"][0]["rates"].update(tokens=1),
        "models[3].rows[0].rates.tokens",
        "unknown unit",
    ),
    (
        "negative rate",
        lambda b: b["models"][3]["rows"][0]["rates"].update(input=-1),
        "models[3].rows[0].rates.input",
        "between 0 and",
    ),
    (
        "float rate",
        lambda b: b["models"][3]["rows"][0]["rates"].update(input=1.5),
        "models[3].rows[0].rates.input",
        "integer",
    ),
    (
        "text rate",
        lambda b: b["models"][3]["rows"][0]["rates"].update(input="1"),
        "models[3].rows[0].rates.input",
        "integer",
    ),
    (
        "true rate",
        lambda b: b["models"][3]["rows"][0]["rates"].update(input=True),
        "models[3].rows[0].rates.input",
        "integer",
    ),
    (
        "rate above the cap",
        lambda b: b["models"][3]["rows"][0]["rates"].update(input=10**15 + 1),
        "rates.input",
        "between",
    ),
    (
        "until before from",
        lambda b: row(b, "lab/dated").update(until="2026-04-01T00:00:00Z"),
        "rows[0].until",
        "after from",
    ),
    ("date without time", lambda b: row(b, "lab/dated").update(until="2026-07-01"), "rows[0].until", "RFC 3339"),
    ("overlap", lambda b: row(b, "mistral_ai/mistral-large").pop("until"), "rows[1]", "overlaps rows[0]"),
    ("ambiguous", two_equal_rows, "rows[8]", "as good a choice as rows[3]"),
    ("tiers inherited", lambda b: row(b, "openai/gpt-5.4", 1).pop("tiers"), "rows[1].tiers", "must be stated"),
    ("tiers descend", lambda b: row(b, "lab/steps")["tiers"].reverse(), "tiers[1].gt", "above the tier before"),
    ("tier unit", lambda b: row(b, "lab/steps")["tiers"][0]["rates"].update(x=1), "tiers[0].rates.x", "unknown unit"),
    (
        "unknown condition",
        lambda b: row(b, "openai/gpt-5.4", 1).update(when={"mood": ["good"]}),
        "when.mood",
        "unknown key",
    ),
    (
        "empty condition",
        lambda b: row(b, "openai/gpt-5.4", 1).update(when={"region": []}),
        "when.region",
        "not be empty",
    ),
    (
        "upper-case condition",
        lambda b: row(b, "openai/gpt-5.4", 1).update(when={"region": ["EU"]}),
        "when.region[0]",
        "lower case",
    ),
    (
        "dangling calendar",
        lambda b: row(b, "lab/calendars", 1).update(when={"calendar": ["moon"]}),
        "when.calendar",
        "calendar of the book",
    ),
    (
        "calendar zone",
        lambda b: b["calendars"]["deepseek-peak"].update(tz="Asia/Shanghai"),
        "calendars.deepseek-peak.tz",
        "UTC",
    ),
    (
        "window over midnight",
        lambda b: b["calendars"]["deepseek-peak"].update(windows=[["22:00", "02:00"]]),
        "windows[0]",
        "same day",
    ),
    (
        "window no time",
        lambda b: b["calendars"]["deepseek-peak"].update(windows=[["1", "2"]]),
        "windows[0]",
        "times of the day",
    ),
    ("weekday 8", lambda b: b["calendars"]["deepseek-peak"].update(weekdays=[8]), "weekdays", "between 1 and 7"),
    (
        "except date",
        lambda b: b["calendars"]["deepseek-peak"].update(except_dates=["2026-02-30"]),
        "except_dates",
        "RFC 3339",
    ),
    ("duplicate id", lambda b: b["models"].append(at(b, "openai/gpt-4o")), "].id", "stands twice"),
    (
        "duplicate further id",
        lambda b: at(b, "openai/gpt-4o").update(ids=["gpt-5-mini"]),
        "].id",
        "openai/gpt-5-mini stands twice",
    ),
    ("duplicate provider name", lambda b: b["providers"]["groq"].update(names=["mistral"]), "names", "already"),
    ("duplicate host", lambda b: b["providers"]["groq"].update(hosts=["api.openai.com"]), "hosts", "already"),
    (
        "star in a host",
        lambda b: b["providers"]["groq"].update(hosts=["api.*.com"]),
        "providers.groq.hosts",
        "leading",
    ),
    ("provider kind", lambda b: b["providers"]["groq"].update(kind="shop"), "providers.groq.kind", "one of"),
    ("multiplier ratio", lambda b: b["multipliers"][0].update(ratio=[11, 0]), "multipliers[0].ratio", "between 1 and"),
    (
        "multiplier part",
        lambda b: b["multipliers"][0].update(ratio=[11, 10**6 + 1]),
        "multipliers[0].ratio",
        "between 1 and",
    ),
    ("multiplier unit", lambda b: b["multipliers"][0].update(units=["token"]), "multipliers[0].units", "unknown unit"),
    (
        "own price in a book",
        lambda b: row(b, "lab/fallbacks").update(usd_per_million={"input": "1"}),
        "usd_per_million",
        "unknown key",
    ),
]


@pytest.mark.parametrize(("change", "path", "rule"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refusal_names_file_place_and_rule(change: Change, path: str, rule: str) -> None:
    with pytest.raises(PriceBookError) as caught:
        PriceBook.parse(changed(change), "prices.json")
    message = str(caught.value)
    assert message.startswith("prices.json: ")
    assert path in message.removeprefix("prices.json: ").split(": ")[0]
    assert rule in message


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"schema":', "[" * 100_000, '{"a":' * 100_000, '{"x":' + "9" * 5000 + "}"]
)
def test_text_that_is_no_book(text: str) -> None:
    with pytest.raises(PriceBookError, match=r"^prices\.json: "):
        PriceBook.parse(text, "prices.json")


def test_json_error_names_line_and_column() -> None:
    with pytest.raises(PriceBookError, match="line 2 column"):
        PriceBook.parse('{"schema": 1,\n oops}', "prices.json")


def test_free_keys_and_quoted_values_stay_short() -> None:
    PriceBook.parse(changed(lambda b: at(b, "openai/gpt-4o").update({"x-disputed": {"input": [1, 2]}})), "prices.json")
    with pytest.raises(PriceBookError) as caught:
        PriceBook.parse(changed(lambda b: b.update(currency="E" * 10**6)), "prices.json")
    assert len(str(caught.value)) < 300


def next_version(book: dict[str, Any]) -> None:
    book.update(version="2026.11.29", generated_at="2026-11-29T05:00:00Z")


STEPS_BACK: list[tuple[str, Change, str]] = [
    ("version", lambda b: b.update(version="2026.11.21"), "version"),
    ("date", lambda b: b.update(generated_at="2026-11-21T05:00:00Z"), "generated_at"),
    ("half the models", lambda b: b.update(models=b["models"][: len(b["models"]) // 2 - 1]), "models"),
    ("tenfold up", lambda b: row(b, "openai/gpt-4o")["rates"].update(input=25_000_001), "openai/gpt-4o"),
    ("tenfold down", lambda b: row(b, "openai/gpt-4o")["rates"].update(output=999_999), "openai/gpt-4o"),
    ("to zero", lambda b: row(b, "openai/gpt-4o")["rates"].update(input=0), "openai/gpt-4o"),
]


@pytest.mark.parametrize(("change", "place"), [case[1:] for case in STEPS_BACK], ids=[case[0] for case in STEPS_BACK])
def test_next_version_must_not_step_back(change: Change, place: str) -> None:
    used = PriceBook.parse(json.dumps(FROZEN), "prices.json")
    text = changed(lambda b: (next_version(b), change(b)))  # type: ignore[func-returns-value]
    with pytest.raises(PriceBookError, match=place):
        PriceBook.parse(text, "prices.json", used)
    PriceBook.parse(text, "prices.json")  # alone it is a good book


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
