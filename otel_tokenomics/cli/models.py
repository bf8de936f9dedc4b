"""List the models of the price book with the rates in force, in USD per million (tokens) or each (the rest).

--json prints one object per model and line, with all its rows.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from otel_tokenomics.cli.price import load_book
from otel_tokenomics.cli.terminal import console, plain
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricing import PriceBook
from otel_tokenomics.pricing.book import Model
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.pricing.terms import choose
from otel_tokenomics.usage import NO_FACTS, TOKEN_UNITS, pico_to_text

_COLUMNS: Final = ("input", "cache_read", "cache_write", "output")
_WIDE: Final = 100
_MORE: Final = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("search", nargs="*", metavar="WORD", help="part of PROVIDER/ID; several must all be there")
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
            known = ", ".join(sorted({key for key, _ in book.ids()}))
            raise BadInputError(f"--provider: {arguments.provider!r} is not in {book.id}; providers are {known}")
    try:
        at_ms = instant(arguments.at) if arguments.at else time.time_ns() // 1_000_000
    except (ValueError, OverflowError):
        raise BadInputError(f"--at: {arguments.at!r} is no RFC 3339 instant with a time zone") from None
    found = list(_found(book, provider, arguments.search))
    if arguments.json:
        for model in found:
            print(json.dumps(_as_json(model, at_ms)))
        return 0
    out = console()
    from rich.table import Table

    columns = _COLUMNS if out.width >= _WIDE else ("input", "output")
    rows = [(plain(_id(model)), *_rates(model, at_ms, columns)) for model in found]
    widths = [max(map(len, cells)) for cells in zip(("model", *columns, "more"), *rows, strict=True)]
    # An id is there to be copied: in a narrow terminal it goes on in the next line, and is never cut.
    room = out.width - sum(widths[1:-1]) - 2 * (len(widths) - 1)
    widths[0] = max(min(widths[0], room - min(widths[-1], _MORE)), 20)
    widths[-1] = max(room - widths[0], 8)
    table = Table(box=None, pad_edge=False)
    for title, width in zip(("model", *columns, "more"), widths, strict=True):
        table.add_column(title, width=width, justify="right" if title in columns else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    if found:
        out.print(table)
    plural = "" if len(found) == 1 else "s"
    out.print(f"{len(found)} model{plural} in {book.id}; tokens in USD per million, the rest in USD each")
    if not found:
        out.print("try a shorter word: every word must stand in PROVIDER/ID")
    return 0


def _id(model: Model) -> str:
    return f"{model.provider}/{model.id}"


def _rates(model: Model, at_ms: int, columns: Sequence[str]) -> list[str]:
    row = choose(model, NO_FACTS, at_ms)
    if row is None:
        return [*("" for _ in columns), "no row for this date"]
    rates: dict[str, int] = row.source["rates"]
    more = [f"{unit} {_rate(unit, rate)}" for unit, rate in rates.items() if unit not in columns]
    conditions = {f"{key}={'|'.join(sorted(words))}" for other in model.rows for key, words in other.when}
    more += [f"rows for {', '.join(sorted(conditions))}"] if conditions else []
    return [*(_rate(unit, rates[unit]) if unit in rates else "" for unit in columns), "; ".join(more)]


def _rate(unit: str, rate: int) -> str:
    return pico_to_text(rate * 10**6 if unit in TOKEN_UNITS else rate)


def _found(book: PriceBook, provider: str | None, words: list[str]) -> Iterator[Model]:
    wanted = " ".join(words).lower().split()
    for key, name in sorted(book.ids()):
        if provider in (None, key) and all(word in f"{key}/{name}" for word in wanted):
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
