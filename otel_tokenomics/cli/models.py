"""List the models of the price book with the rates in force, in USD per million (tokens) or each (the rest)."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

from otel_tokenomics.cli.main import console
from otel_tokenomics.cli.price import load_book
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricing import PriceBook
from otel_tokenomics.pricing.book import Model
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.pricing.terms import choose
from otel_tokenomics.usage import NO_FACTS, TOKEN_UNITS, pico_to_text

_COLUMNS = ("input", "cache_read", "cache_write", "output")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("search", nargs="?", default="", help="part of the model's id")
    parser.add_argument("--provider", help="one provider, any of its names")
    parser.add_argument("--at", metavar="INSTANT", help="rates in force then; now where it is not said")
    parser.add_argument("--book", metavar="FILE", help="price book to use instead of the embedded one")
    parser.add_argument("--overrides", metavar="FILE", help="overlay: own prices, discounts, aliases")


def run(arguments: argparse.Namespace) -> int:
    """List the models."""
    book = load_book(arguments)
    provider = None
    if arguments.provider is not None:
        provider = book.provider_by_name(arguments.provider)
        if provider is None:
            raise BadInputError(f"--provider: {arguments.provider!r} is not in {book.id}")
    try:
        at_ms = instant(arguments.at) if arguments.at else time.time_ns() // 1_000_000
    except (ValueError, OverflowError) as error:
        raise BadInputError(f"--at: {error}") from None
    found = list(_found(book, provider, arguments.search.lower()))
    if arguments.json:
        for model in found:
            print(json.dumps(_as_json(model, at_ms)))
        return 0
    out = console()
    from rich.table import Table

    table = Table("model", *(f"{unit}" for unit in _COLUMNS), "other conditions", box=None, pad_edge=False)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for model in found:
        row = choose(model, NO_FACTS, at_ms)
        own: dict[str, int] = row.source["rates"] if row is not None else {}
        rates = [pico_to_text(own[unit] * 10**6) if unit in own else "" for unit in _COLUMNS]
        conditions = {f"{key}={'|'.join(sorted(words))}" for other in model.rows for key, words in other.when}
        note = ", ".join(sorted(conditions)) if row is not None else "no row for this date"
        table.add_row(f"{model.provider}/{model.id}", *rates, note)
    out.print(table)
    out.print(
        f"{len(found)} models in {book.id}; USD per million tokens. `otel-tokenomics explain` shows dates and tiers."
    )
    return 0


def _found(book: PriceBook, provider: str | None, search: str) -> Iterator[Model]:
    for key, name in sorted(book.ids()):
        if (provider is None or key == provider) and search in name:
            model = book.model(key, name)
            if model is not None and model.id == name:
                yield model


def _as_json(model: Model, at_ms: int) -> dict[str, Any]:
    row = choose(model, NO_FACTS, at_ms)
    rates: dict[str, int] = row.source["rates"] if row is not None else {}
    return {
        "provider": model.provider,
        "model": model.id,
        "usd_per_million": {u: pico_to_text(r * 10**6) for u, r in rates.items() if u in TOKEN_UNITS},
        "usd_each": {u: pico_to_text(r) for u, r in rates.items() if u not in TOKEN_UNITS},
        "rows": [dict(row.source) for row in model.rows],
    }
