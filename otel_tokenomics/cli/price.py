"""Price raw provider usage: JSON lines in, one JSON line out for each, at once and in order.

A line holds `usage` as the provider returned it, `provider`, `model`, and what else a price depends on. `usage` may be
the whole answer, an event of a stream or a line of a batch result file: model, tier and tools are read there too.
A line that cannot be read is answered with an error object, the others are priced, and the exit code is 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from otel_tokenomics.cli.terminal import progress
from otel_tokenomics.cli.usage_line import BadLineError, answer, parse, price_line
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricebook_source.files import content_of, lay_over, text_of
from otel_tokenomics.pricing import PriceBook, load_embedded

_STDIN: Final = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="JSON lines; standard input where none is named, or for -"
    )
    parser.add_argument("--book", metavar="FILE", help="price book to use instead of the embedded one")
    parser.add_argument("--overrides", metavar="FILE", help="overlay: own prices, discounts, aliases")


def load_book(arguments: argparse.Namespace) -> PriceBook:
    """Return the book of ``--book`` and ``--overrides``; raise PriceBookError where a file cannot be read."""
    book = load_embedded()
    if arguments.book:
        book = PriceBook.parse(text_of(content_of(arguments.book), arguments.book), arguments.book)
    return lay_over(book, arguments.overrides) if arguments.overrides else book


def run(arguments: argparse.Namespace) -> int:
    """Price every line; return 2 where a line or a file could not be read."""
    book = load_book(arguments)
    number = bad = 0
    first = ""
    unreadable: list[BadInputError] = []
    if not arguments.files and sys.stdin.isatty():
        progress("reading JSON lines from the keyboard; Ctrl-D ends them")
    for name in arguments.files or [_STDIN]:
        try:
            for place, line in enumerate(_lines(name), 1):
                number += 1
                text, error = _answer(book, number, line)
                if error is not None:
                    bad += 1
                    first = first or f"{'standard input' if name == _STDIN else name}: line {place}: {error}"
                sys.stdout.write(text + "\n")
                sys.stdout.flush()
        except BadInputError as error:
            unreadable.append(error)
    for error in unreadable:
        print(f"otel-tokenomics price: {error}", file=sys.stderr)
    if bad:
        rest = "" if bad == 1 else ", the first is"
        print(f"otel-tokenomics price: {bad} of {number} lines could not be read{rest}: {first}", file=sys.stderr)
    return 2 if bad or unreadable else 0


def _answer(book: PriceBook, number: int, line: bytes) -> tuple[str, BadLineError | None]:
    """Return the line that answers, and what is wrong with the one that asks."""
    identity: Any = None
    try:
        entry = parse(_decoded(line))
        _text_of(entry.get("id"))
        identity = entry.get("id")
        return _text_of(answer(number, price_line(book, entry))), None
    except BadLineError as error:
        said = {"line": number, "id": identity, "error": {"code": error.code, "message": str(error)}}
        return _text_of(said), error


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadLineError("bad_json", f"is no UTF-8: byte {error.start + 1} is {line[error.start]:#04x}") from None


def _text_of(content: object) -> str:
    """Return content as JSON; raise BadLineError for an id that can be read but not be written."""
    try:
        return json.dumps(content, allow_nan=False)
    except (ValueError, RecursionError):
        raise BadLineError("bad_field", "id: no JSON value, or nested too deeply") from None


def _lines(name: str) -> Iterator[bytes]:
    """Yield the lines of a file: what a newline ends, and nothing else."""
    try:
        with nullcontext(sys.stdin.buffer) if name == _STDIN else Path(name).open("rb") as opened:
            for number, line in enumerate(opened):
                yield line.removeprefix(b"\xef\xbb\xbf" if number == 0 else b"").rstrip(b"\r\n")
    except OSError as error:
        raise BadInputError(f"{name}: cannot be read: {error.strerror}") from None
