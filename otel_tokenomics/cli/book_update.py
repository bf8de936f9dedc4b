"""Fetch the book that the settings name, check it, and keep it as the last good copy, which services start with.

The settings are those of a service: OTEL_TOKENOMICS_PRICEBOOK_URL (https:// or file:///path), and for https what says
whose book it is: OTEL_TOKENOMICS_PRICEBOOK_SHA256, or OTEL_TOKENOMICS_PRICEBOOK_PUBLIC_KEY with a signature beside it.
What is refused (exit code 2) changes nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from otel_tokenomics.cli.book_check import summary
from otel_tokenomics.cli.terminal import plain_line
from otel_tokenomics.config import Settings
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricebook_source import PriceBookSource
from otel_tokenomics.pricebook_source.files import content_of
from otel_tokenomics.pricebook_source.source import EMBEDDED
from otel_tokenomics.report.book_changes import book_changes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--url", help="address, in the place of the setting pricebook_url")
    parser.add_argument("--sha256", help="digest that the book must have, as the setting pricebook_sha256")
    parser.add_argument("--public-key", metavar="KEY", help="key that signed it, as the setting pricebook_public_key")
    parser.add_argument("--output", metavar="FILE", help="write the book to a file too")


def run(arguments: argparse.Namespace) -> int:
    """Fetch, check and keep."""
    settings = Settings.resolve(
        None,
        pricebook_url=arguments.url, pricebook_sha256=arguments.sha256, pricebook_public_key=arguments.public_key,
    )  # fmt: skip
    if not settings.pricebook_url:
        raise BadInputError("no address: give --url, or set OTEL_TOKENOMICS_PRICEBOOK_URL")
    source = PriceBookSource()
    source.configure(settings)
    before = source.current()
    after = source.refresh(settings)
    origin = source.origin
    if arguments.output is not None:
        if origin == source.address:
            raise BadInputError("no copy could be kept on disk, so there is none to write")
        Path(arguments.output).write_bytes(content_of(origin))
    changes = book_changes(before, after)
    if arguments.json:
        counts = {what: sum(change.what == what for change in changes) for what in ("new", "changed", "gone")}
        told = {"before": before.id, "after": after.id, "from": origin, "address": source.address, "models": counts}
        print(json.dumps(told, indent=2))
        return 0
    print(plain_line(f"{before.id} -> {after.id}" if before.id != after.id else f"{after.id}: nothing newer"))
    print(summary(changes))
    if origin not in (EMBEDDED, source.address):
        print(f"kept in {origin}" if source.address is not None else f"read from {origin}")
    return 0
