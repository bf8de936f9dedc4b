"""Compare two price books: models, rates by unit, dates of rows; rates in USD per million tokens, the rest each.

With --spans, both books price the calls of an OTLP file (as `trace` reads it), each at its own time: totals by model,
and the difference; with --month, those alone that began in it. Where a row carries a date from which it holds, older
calls cost what they cost.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from otel_tokenomics.cli.book_check import show_changes, summary
from otel_tokenomics.cli.book_show import named_book
from otel_tokenomics.cli.terminal import plain_line
from otel_tokenomics.config import Settings
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricebook_source.files import lay_over
from otel_tokenomics.pricing import PriceBook
from otel_tokenomics.pricing.rates import FOREVER
from otel_tokenomics.report.book_changes import as_json, book_changes, header_changes, lines_of
from otel_tokenomics.report.money_text import money_text
from otel_tokenomics.report.otlp_files import read_spans
from otel_tokenomics.report.span_prices import ModelTotals, calls_of, compare
from otel_tokenomics.usage import pico_to_text

_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("old", metavar="A", help="a book's file, or `embedded`")
    parser.add_argument("new", metavar="B", help="another one")
    parser.add_argument("--overrides", metavar="FILE", help="overlay laid over both, for --spans")
    parser.add_argument("--spans", metavar="FILE", help="OTLP file, or directory of the local receiver")
    parser.add_argument("--month", metavar="YYYY-MM", help="of the spans those that began in this month, UTC")
    parser.add_argument("--all", action="store_true", help="show every change; without it, the first ones")


def run(arguments: argparse.Namespace) -> int:
    """Compare; return 2 where the file of spans is damaged, after what could be read."""
    old, new = named_book(arguments.old), named_book(arguments.new)
    changes, header = book_changes(old, new), header_changes(old, new)
    damage: list[BadInputError] = []
    totals = _totals(arguments, old, new, damage)
    if arguments.json:
        told: dict[str, object] = {"old": old.id, "new": new.id, "header": header}
        told["changes"] = [as_json(change) for change in changes]
        if totals is not None:
            told["spans"] = [_as_json(one) for one in totals]
            told["total"] = _as_json(_sum(totals))
        print(json.dumps(told, indent=2))
    else:
        print(plain_line(f"{old.id} -> {new.id}, USD per million tokens, the rest each"))
        show_changes([*header, *(line for change in changes for line in lines_of(change))], every=arguments.all)
        print(summary(changes))
        if totals is not None:
            _show(totals)
    if damage:
        print(f"otel-tokenomics book: {damage[0]}", file=sys.stderr)
    return 2 if damage else 0


def _totals(
    arguments: argparse.Namespace, old: PriceBook, new: PriceBook, damage: list[BadInputError]
) -> list[ModelTotals] | None:
    if arguments.spans is None:
        if arguments.month is not None:
            raise BadInputError("--month says which of the spans count: give --spans too")
        return None
    first, end = _month(arguments.month)
    if arguments.overrides is not None:
        old, new = lay_over(old, arguments.overrides), lay_over(new, arguments.overrides)
    settings = Settings.resolve()
    spans = read_spans(Path(arguments.spans), damage.append)
    calls = [call for call in calls_of(spans, settings) if first <= call.start_ms < end]
    if not calls and not damage:
        when = "" if arguments.month is None else f" of {arguments.month} (UTC)"
        raise BadInputError(f"{arguments.spans}: holds no model call{when}")
    return compare(calls, old, new, settings.unknown_host)


def _month(text: str | None) -> tuple[int, int]:
    """Return the first ms of a month and that after its last, UTC; all time where none is named."""
    if text is None:
        return -FOREVER, FOREVER
    try:
        if not _MONTH.fullmatch(text):
            raise ValueError
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
        end = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    except ValueError:
        raise BadInputError(f"--month: must be a month such as 2026-11, is {text}") from None
    return round(first.timestamp() * 1000), round(end.timestamp() * 1000)


def _sum(totals: list[ModelTotals]) -> ModelTotals:
    numbers = [sum(column) for column in zip(*(one[1:] for one in totals), strict=True)] or [0] * 5
    return ModelTotals("total", *numbers)


def _as_json(one: ModelTotals) -> dict[str, object]:
    return {
        "model": one.model,
        "calls": one.calls,
        "old": pico_to_text(one.old),
        "new": pico_to_text(one.new),
        "delta": pico_to_text(one.new - one.old),
        "unpriced_calls": {"old": one.old_unpriced, "new": one.new_unpriced},
    }


def _show(totals: list[ModelTotals]) -> None:
    rows = [("model", "calls", "old", "new", "difference", "unpriced")]
    for one in (*totals, _sum(totals)):
        unpriced = f"{one.old_unpriced:,}" + (
            f" -> {one.new_unpriced:,}" if one.new_unpriced != one.old_unpriced else ""
        )
        delta = one.new - one.old
        sign = "+" if delta > 0 else ""
        rows.append(
            (
                one.model,
                f"{one.calls:,}",
                money_text(one.old),
                money_text(one.new),
                f"{sign}{money_text(delta)}",
                unpriced,
            )
        )
    _print_table(rows)


def _print_table(rows: list[tuple[str, ...]]) -> None:
    """Print rows under their head: names to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print()
    for row in rows:
        first, *others = (plain_line(cell) for cell in row)
        print(
            "  ".join(
                [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
            ).rstrip()
        )
