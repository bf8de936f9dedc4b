"""Price raw provider usage: JSON lines in, one JSON line out for each, at once and in order.

A line holds `usage` as the provider returned it, `provider`, `model`, and what else a price depends on.
A line that cannot be read is answered with an error object, the others are priced, and the exit code is 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otel_tokenomics.cli.usage_line import BadLineError, answer, parse, price_line
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricing import PriceBook, load_embedded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="JSON lines; standard input where none is named")
    parser.add_argument("--book", metavar="FILE", help="price book to use instead of the embedded one")
    parser.add_argument("--overrides", metavar="FILE", help="overlay: own prices, discounts, aliases")


def load_book(arguments: argparse.Namespace) -> PriceBook:
    """Return the book of ``--book`` and ``--overrides``; raise BadInputError where a file cannot be read."""
    try:
        book = PriceBook.parse(_text(arguments.book), arguments.book) if arguments.book else load_embedded()
        return book.with_overlay(_text(arguments.overrides), arguments.overrides) if arguments.overrides else book
    except OSError as error:
        raise BadInputError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _text(name: str) -> str:
    return Path(name).read_text(encoding="utf-8", errors="replace")


def run(arguments: argparse.Namespace) -> int:
    """Price every line; return 2 where one could not be read."""
    book = load_book(arguments)
    bad = total = 0
    for number, line in enumerate(_lines(arguments.files), 1):
        total += 1
        identity: Any = None
        try:
            entry = parse(line)
            _text_of(entry.get("id"))
            identity = entry.get("id")
            text = _text_of(answer(number, price_line(book, entry)))
        except BadLineError as error:
            bad += 1
            text = _text_of({"line": number, "id": identity, "error": {"code": error.code, "message": str(error)}})
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    if bad:
        print(f'otel-tokenomics price: {bad} of {total} lines could not be read; see their "error"', file=sys.stderr)
    return 2 if bad else 0


def _text_of(content: object) -> str:
    """Return content as JSON; raise BadLineError for an id that can be read but not be written."""
    try:
        return json.dumps(content, allow_nan=False)
    except (ValueError, RecursionError):
        raise BadLineError("bad_field", "id: no JSON value, or nested too deeply") from None


def _lines(files: list[str]) -> Iterator[str]:
    if not files:
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", "replace").rstrip("\n")
    for name in files:
        try:
            with Path(name).open(encoding="utf-8", errors="replace") as opened:
                for line in opened:
                    yield line.rstrip("\n")
        except OSError as error:
            raise BadInputError(f"{name}: cannot be read: {error.strerror}") from None
