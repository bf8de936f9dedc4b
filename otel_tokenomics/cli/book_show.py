"""Say which price book is in use: id, version, date, age, sources, overlay and where it comes from.

`price_book` is what the attribute `tokenomics.price.book` says on spans: where it is the same from SDK and collector,
they price with the same book and the same overlay. FILE shows another book than the one in use.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from importlib.resources import files
from typing import Any, Final

from otel_tokenomics.cli.terminal import plain_line
from otel_tokenomics.config import Settings
from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source import PriceBookSource
from otel_tokenomics.pricebook_source.files import content_of, lay_over, text_of
from otel_tokenomics.pricebook_source.source import EMBEDDED
from otel_tokenomics.pricing import PriceBook, load_embedded
from otel_tokenomics.version import __version__

_MS_PER_DAY: Final = 86_400_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="a book; `embedded`; the one in use without it")
    parser.add_argument("--overrides", metavar="FILE", help="overlay laid over FILE")


def run(arguments: argparse.Namespace) -> int:
    """Show one book."""
    overrides: str | None = arguments.overrides
    address: str | None = None
    if arguments.file is None and overrides is None:
        settings, source = Settings.resolve(), PriceBookSource()
        source.configure(settings)
        book, origin, overrides = source.current(), source.origin, settings.pricebook_overrides
        address = source.address
    else:
        book, origin = named_book(arguments.file or EMBEDDED), arguments.file or EMBEDDED
        if overrides is not None:
            book = lay_over(book, overrides)
    shown: dict[str, Any] = {**_facts(book, origin, overrides), "address": address}
    if arguments.json:
        print(json.dumps(shown, indent=2))
        return 0
    sources = ", ".join(f"{one['name']} {one['version']}" for one in shown["sources"]) or "none named"
    fetched = "fetched from" if origin != EMBEDDED else "not fetched yet (`book update` does it now):"
    for line in (
        f"book      {shown['price_book']}",
        f"from      {shown['from']}",
        *([f"address   {fetched} {address}"] if address is not None else []),
        f"sha256    {shown['sha256'] or 'unknown'}",
        f"made      {shown['generated_at']}, {shown['age_days']} days ago",
        f"holds     {shown['models']} models of {shown['providers']} providers",
        f"sources   {sources}",
        f"overlay   {shown['overlay'] or 'none'}",
    ):
        print(plain_line(line))
    return 0


def named_book(name: str) -> PriceBook:
    """Return the book of a file, or the embedded one by its name.

    Raises:
        PriceBookError: the file cannot be read or breaks a rule.
    """
    return load_embedded() if name == EMBEDDED else PriceBook.parse(text_of(content_of(name), name), name)


def _facts(book: PriceBook, origin: str, overrides: str | None) -> dict[str, Any]:
    header, models = book.written()
    return {
        "price_book": book.id,
        "id": header["id"],
        "version": book.version,
        "generated_at": header["generated_at"],
        "age_days": round((time.time_ns() // 1_000_000 - book.generated_at_ms) / _MS_PER_DAY, 1),
        "models": len(models),
        "providers": len({provider for provider, _ in models}),
        "sources": [{key: one.get(key) for key in ("name", "version", "license")} for one in header.get("sources", ())],
        "overlay": overrides if "+" in book.id else None,
        "from": f"{EMBEDDED} in otel-tokenomics {__version__}" if origin == EMBEDDED else origin,
        "sha256": _digest(origin),
    }


def _digest(origin: str) -> str | None:
    try:
        content = (
            files("otel_tokenomics.pricing").joinpath("pricebook.json").read_bytes()
            if origin == EMBEDDED
            else content_of(origin)
        )
    except (OSError, PriceBookError):
        return None
    return hashlib.sha256(content).hexdigest()
