"""List the models of the price book with the rates in force, in USD per million (tokens) or each (the rest).

Makers stand before clouds, hosts and gateways. Models that are retired, or have no rates then, are left out unless
--retired is given. --json prints one object per model and line, with all its rows.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from otel_tokenomics.cli.price import load_book
from otel_tokenomics.cli.terminal import console, plain
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricing import PriceBook
from otel_tokenomics.pricing.book import Model
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.pricing.terms import choose
from otel_tokenomics.report.fixes import KINDS, nearest
from otel_tokenomics.usage import NO_FACTS, TOKEN_UNITS, pico_to_text

_COLUMNS: Final = ("input", "cache_read", "cache_write", "output")
_WIDE: Final = 100
_MORE: Final = 24
_CLASSES: Final = ("small", "medium", "large", "frontier")


class _Found(NamedTuple):
    """A model with what the book says of it beside its rows; ``current`` is whether it is sold at the instant."""

    model: Model
    ids: tuple[str, ...]
    tier: str | None
    retired_at: str | None
    current: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "search",
        nargs="*",
        metavar="WORD",
        help="part of PROVIDER/ID or of another of the model's ids; several must all be there, in any order",
    )
    parser.add_argument("--provider", help="one provider, any of its names")
    parser.add_argument("--class", dest="tier", choices=_CLASSES, help="only models of this size")
    parser.add_argument("--retired", action="store_true", help="also models that are not sold at that instant")
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
    words = " ".join(arguments.search).lower().split()
    # A version with a dot in one place has a dash in another.
    dashed = [word.replace(".", "-") for word in words]
    named = [*_found(book, provider, words, at_ms)] or [*_found(book, provider, dashed, at_ms)]
    every = [one for one in named if arguments.tier in (None, one.tier)]
    found = every if arguments.retired else [one for one in every if one.current]
    if arguments.json:
        for one in found:
            print(json.dumps(_as_json(one, at_ms)))
        return 0
    if found:
        _show(found, at_ms)
    out = console()
    plural = "" if len(found) == 1 else "s"
    out.print(f"{len(found)} model{plural} in {book.id}; tokens in USD per million, the rest in USD each")
    if len(every) > len(found):
        out.print(f"{len(every) - len(found)} more not sold then: --retired shows them")
    if not named:
        out.print("every word must stand in PROVIDER/ID or in another of the model's ids")
        if names := nearest(book, "-".join(words), provider):
            out.print("\n".join(["nearest:", *(f"  {plain(name)}" for name in names)]))
    return 0


def _show(found: Sequence[_Found], at_ms: int) -> None:
    from rich.table import Table

    out = console()
    columns = _COLUMNS if out.width >= _WIDE else ("input", "output")
    rows = [(plain(_id(one.model)), *_rates(one, at_ms, columns)) for one in found]
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
    out.print(table)


def _id(model: Model) -> str:
    return f"{model.provider}/{model.id}"


def _rates(one: _Found, at_ms: int, columns: Sequence[str]) -> list[str]:
    verb = "retires" if one.retired_at and at_ms < instant(one.retired_at) else "retired"
    retired = [f"{verb} {one.retired_at.removesuffix('T00:00:00Z')}"] if one.retired_at else []
    row = choose(one.model, NO_FACTS, at_ms)
    if row is None:
        return [*("" for _ in columns), "; ".join([*retired, "no row for this date"])]
    rates: dict[str, int] = row.source["rates"]
    more = retired + [f"{unit} {_rate(unit, rate)}" for unit, rate in rates.items() if unit not in columns]
    conditions = {f"{key}={'|'.join(sorted(words))}" for other in one.model.rows for key, words in other.when}
    more += [f"rows for {', '.join(sorted(conditions))}"] if conditions else []
    more += [f"also {', '.join(map(plain, one.ids))}"] if one.ids else []
    return [*(_rate(unit, rates[unit]) if unit in rates else "" for unit in columns), "; ".join(more)]


def _rate(unit: str, rate: int) -> str:
    return pico_to_text(rate * 10**6 if unit in TOKEN_UNITS else rate)


def _found(book: PriceBook, provider: str | None, words: list[str], at_ms: int) -> Iterator[_Found]:
    """Yield the models in whose names every word stands, those first that go by the words themselves."""
    written = book.written()[1]
    names = {key: entry.get("ids", ()) for key, entry in written.items()}
    listed = {(key, name) for (key, model_id), ids in names.items() for name in (model_id, *ids)}
    for key, name in book.ids():
        # What stands in an overlay alone.
        if (key, name) not in listed and (model := book.model(key, name)) is not None:
            names[key, model.id] = (*names.get((key, model.id), ()), *([name] if name != model.id else []))
    asked, ranked = {"-".join(words), "/".join(words)}, list[tuple[tuple[bool, int, str, str], tuple[str, ...]]]()
    for (key, model_id), ids in names.items():
        text = f"{key}/{' '.join([model_id, *ids])}"
        if provider in (None, key) and all(word in text for word in words):
            exact = any(one in asked for name in (model_id, *ids) for one in (name, f"{key}/{name}"))
            ranked.append(((not exact, KINDS.index(book.providers[key].kind), key, model_id), tuple(ids)))
    for (_, _, key, model_id), ids in sorted(ranked):
        model = book.model(key, model_id)
        if model is not None:
            entry = written.get((key, model_id), {})
            retired_at: str | None = entry.get("retired_at")
            sold = choose(model, NO_FACTS, at_ms) is not None and (not retired_at or at_ms < instant(retired_at))
            yield _Found(model, ids, entry.get("class"), retired_at, sold)


def _as_json(one: _Found, at_ms: int) -> dict[str, Any]:
    row = choose(one.model, NO_FACTS, at_ms)
    rates: dict[str, int] = row.source["rates"] if row is not None else {}
    return {
        "provider": one.model.provider,
        "model": one.model.id,
        "ids": list(one.ids),
        "class": one.tier,
        "retired_at": one.retired_at,
        "usd_per_million": {u: pico_to_text(r * 10**6) for u, r in rates.items() if u in TOKEN_UNITS},
        "usd_each": {u: pico_to_text(r) for u, r in rates.items() if u not in TOKEN_UNITS},
        "rows": [dict(row.source) for row in one.model.rows],
    }
