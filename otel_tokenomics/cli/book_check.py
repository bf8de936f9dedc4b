"""Check a price book or an overlay (own prices), JSON or YAML: every broken rule with file, line and place.

A good file is followed by what it changes against the book in use: models and rates (old -> new, in USD per million
tokens or each), what discounts and aliases hit, what capacity comes to, and what hits nothing. Exit code 2 where a rule
is broken, 1 for a book that is good but would be refused as the next version of the one in use.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from typing import Any, Final

from otel_tokenomics.cli.terminal import plain_line
from otel_tokenomics.config import Settings
from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source import book_of
from otel_tokenomics.pricebook_source.files import OverlayFile, located, overlay_file
from otel_tokenomics.pricebook_source.problems import problems_of
from otel_tokenomics.pricing import PriceBook
from otel_tokenomics.report.book_changes import as_json, book_changes, header_changes, lines_of, overlay_effect

#: What no book has.
_OF_OVERLAYS: Final = ("discounts", "aliases", "capacity", "static", "adjacent")
_SHOWN: Final = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="a book or an overlay: .json, .yaml, .yml")
    parser.add_argument("--all", action="store_true", help="show every change; without it, the first ones")


def run(arguments: argparse.Namespace) -> int:
    """Check one file."""
    name: str = arguments.file
    file = overlay_file(name)
    text = file.text
    # The overlay in use is no part of what a new one changes.
    below = book_of(replace(Settings.resolve(), pricebook_overrides=None))
    is_book = _is_book(text)

    def load(content: str) -> object:
        return PriceBook.parse(content, name) if is_book else below.overlay_of(content, name)

    problems = problems_of(text, load)
    kind = "book" if is_book else "overlay"
    if problems:
        if arguments.json:
            found = [problem._asdict() for problem in problems]
            print(json.dumps({"file": name, "kind": kind, "ok": False, "problems": found}, indent=2))
        for problem in problems:
            place = f"{problem.place}: " if problem.place else ""
            print(f"{name}:{problem.line}: {plain_line(place + problem.rule)}", file=sys.stderr)
        print(f"otel-tokenomics book: {name}: refused as {kind}, {_counted(len(problems), 'problem')}", file=sys.stderr)
        return 2
    return (_preview_book if is_book else _preview_overlay)(arguments, file, below)


def _is_book(text: str) -> bool:
    """Return whether a file means to be a whole book: an overlay needs none of a book's own words."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(content, dict) or any(key in content for key in _OF_OVERLAYS):
        return False
    return "generated_at" in content or ("schema" in content and "providers" in content)


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _preview_book(arguments: argparse.Namespace, file: OverlayFile, below: PriceBook) -> int:
    name: str = arguments.file
    book = PriceBook.parse(file.text, name)
    refused = None
    if book.name == below.name:
        try:
            book.must_follow(below, name)
        except PriceBookError as error:
            refused = str(located(error, name, file.text))
    changes, header = book_changes(below, book), header_changes(below, book)
    if arguments.json:
        print(json.dumps({
            "file": name, "kind": "book", "ok": True, "price_book": book.id, "against": below.id,
            "refused_as_next_version": refused, "header": header, "changes": [as_json(change) for change in changes],
        }, indent=2))  # fmt: skip
        return 1 if refused else 0
    print(plain_line(f"{name}: good, {book.id} against {below.id}, USD per million tokens, the rest each"))
    show_changes([*header, *(line for change in changes for line in lines_of(change))], every=arguments.all)
    print(summary(changes))
    if refused:
        print(f"otel-tokenomics book: would be refused as the next version: {plain_line(refused)}", file=sys.stderr)
    return 1 if refused else 0


def summary(changes: Any) -> str:
    """Return how many models are new, changed and gone."""
    counts = [sum(change.what == what for change in changes) for what in ("new", "changed", "gone")]
    return f"models: {counts[0]} new, {counts[1]} changed, {counts[2]} gone"


def show_changes(lines: list[str], *, every: bool) -> None:
    """Print lines of changes; the first ones unless all are asked for."""
    for line in lines if every else lines[:_SHOWN]:
        print(plain_line(line))
    if not every and len(lines) > _SHOWN:
        print(f"... and {len(lines) - _SHOWN} more lines: --all shows them, --json too")


def _preview_overlay(arguments: argparse.Namespace, file: OverlayFile, below: PriceBook) -> int:
    name: str = arguments.file
    overlay, above = below.overlay_of(file.text, name), below.with_overlay(file.text, name, file.written)
    effect = overlay_effect(below, overlay, above, time.time_ns() // 1_000_000)
    if arguments.json:
        print(json.dumps({
            "file": name, "kind": "overlay", "ok": True, "price_book": above.id, "against": below.id,
            "changes": [as_json(change) for change in effect.models], "discounts": effect.discounts,
            "multipliers": effect.multipliers, "aliases": effect.aliases, "capacity": effect.capacity,
            "static": effect.static, "adjacent": effect.adjacent, "nothing": effect.nothing,
        }, indent=2))  # fmt: skip
        return 0
    print(f"{name}: good, {above.id} on top of {below.id}, USD per million tokens, the rest each")
    lines = [line for change in effect.models for line in lines_of(change)]
    lines += [f"factor   {one}" for one in effect.multipliers]
    lines += [f"discount {one}" for one in effect.discounts] + [f"alias    {one}" for one in effect.aliases]
    lines += [f"capacity {one}" for one in effect.capacity] + [f"static   {one}" for one in effect.static]
    lines += [f"adjacent {one}" for one in effect.adjacent]
    show_changes(lines, every=arguments.all)
    for one in effect.nothing:
        print(f"nothing  {plain_line(one)}")
    return 0
