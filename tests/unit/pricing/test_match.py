"""The resolution holds against hostile names, objects in place of names, and threads."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any, cast
from unittest.mock import MagicMock

import pytest

from otel_tokenomics.pricing import PriceBook, price, resolve
from otel_tokenomics.pricing.match import MATCHES_KEPT
from otel_tokenomics.usage import NO_FACTS, Usage

VECTORS = Path(__file__).parents[2] / "vectors"


@pytest.fixture
def book() -> PriceBook:
    return PriceBook.parse((VECTORS / "book.json").read_text(encoding="utf-8"), "book.json")


def kept(book: PriceBook) -> int:
    return 0 if book.matches is None else cast("Any", book.matches).cache_info().currsize


HOSTILE = [
    "x" * 2**20,
    "gpt-4o" + "\x00" * 2**20,
    "\ud800" * 200,
    "\u202egpt-4o",
    "arn:" + "/" * 250,
    "models/" * 36,
    "azure/" * 42,
    "ft:" * 80,
    ":" * 256,
    "openai/" * 36 + "x",
    "-2025-01-01" * 23,
    "gpt-4o[1m]" * 25,
    "us." * 80,
    "%s%n{}",
    "../../etc/passwd",
]


@pytest.mark.parametrize("provider", ["openai", "aws.bedrock", "azure.ai.openai", "openrouter", "acme", "\x00", None])
@pytest.mark.parametrize("host", [None, "api.openai.com", "h" * 2**20, "\ud800"])
def test_hostile_names_miss_and_never_raise(book: PriceBook, provider: str | None, host: str | None) -> None:
    for name in HOSTILE:
        cost = price(book, provider, name, Usage({"input": 1}), NO_FACTS, 0, host=host, request_model=name)
        assert cost.status == "unpriced"
        assert cost.reason in ("no_model", "unknown_model", "ambiguous_model")


@pytest.mark.parametrize(
    "thing",
    [5, 1.5, True, b"gpt-4o", [], {}, object(), MagicMock(), float("nan")],
    ids=lambda thing: type(thing).__name__,
)
def test_objects_in_place_of_names_count_as_absent(book: PriceBook, thing: Any) -> None:
    assert resolve(book, "openai", thing).reason == "no_model"
    assert resolve(book, "openai", "gpt-4o", thing).match == "exact"
    assert resolve(book, thing, "gpt-4o").reason == "ambiguous_model"
    assert resolve(book, "openai", "gpt-4o", None, thing).match == "exact"


def test_text_of_a_subclass_is_text(book: PriceBook) -> None:
    class Name(str):
        __slots__ = ()

    assert resolve(book, Name("openai"), Name("gpt-4o")).match == "exact"


def test_long_names_are_not_kept(book: PriceBook) -> None:
    for length in (257, 2**20):
        resolve(book, "openai", "y" * length)
        resolve(book, "openai", None, "y" * length)
        resolve(book, "openai", "gpt-4o", host="y" * length)
        resolve(book, "y" * length, "gpt-4o")
    assert kept(book) == 0


def test_distinct_names_are_bounded_hits_and_misses(book: PriceBook) -> None:
    for number in range(MATCHES_KEPT + 500):
        resolve(book, "openai", f"gpt-{number}-nobody-sells")
    assert kept(book) == MATCHES_KEPT
    # A miss makes nothing of its own in the book.
    assert sys.getsizeof(book._models) < 1000


def test_openrouter_free_variants_are_not_kept_in_the_book(book: PriceBook) -> None:
    for number in range(200):
        assert resolve(book, "openrouter", f"acme/{number}:free").match == "normalized"
    assert not book._models


def test_threads_agree(book: PriceBook) -> None:
    names = ["gpt-4o", "gpt-5-mini", "gpt-5.4", "nobody"] + [f"gpt-4o-2025-01-{day:02d}" for day in range(1, 29)]
    expected = {name: price(book, "openai", name, Usage({"input": 1000}), NO_FACTS, 0).total for name in names}
    book.matches = None
    book._models.clear()
    wrong: list[str] = []

    def work() -> None:
        usage = Usage({"input": 1000})
        costs = [(name, price(book, "openai", name, usage, NO_FACTS, 0).total) for name in names * 60]
        wrong.extend(name for name, total in costs if total != expected[name])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_unknown_host_unpriced_switches_the_assumption_off(book: PriceBook) -> None:
    found = resolve(book, "openai", "gpt-5-mini", host="gateway.acme.example")
    assert found.flags == ("assumed_provider",)
    refused = resolve(book, "openai", "gpt-5-mini", host="gateway.acme.example", unknown_host="unpriced")
    assert (refused.model, refused.reason) == (None, "unknown_model")
    # A listed host and an own server need no assumption.
    assert resolve(book, "openai", "gpt-5-mini", host="api.openai.com", unknown_host="unpriced").match == "exact"
    assert resolve(book, "vllm", "x", host="10.0.0.7", unknown_host="unpriced").provider == "vllm"
