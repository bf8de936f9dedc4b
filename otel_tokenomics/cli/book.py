"""Look after price books: which one is in use, whether a file is one, what changes from one to the next.

The book in use is the one that the settings name (OTEL_TOKENOMICS_PRICEBOOK_URL, OTEL_TOKENOMICS_PRICEBOOK_OVERRIDES),
else the embedded one.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Final

#: command -> what it is for; its module is ``otel_tokenomics.cli.book_<command>``.
_COMMANDS: Final = {
    "show": "say which book is in use: id, date, age, sources, overlay, where from",
    "check": "check a book or an overlay: every error with its line; then what it changes against the book in use",
    "update": "fetch the newer book that the settings name, check it, keep it for every process of this user",
    "keys": "make a key pair to sign books of your own with",
    "sign": "sign a book, so that others can tell whose it is",
    "push": "push prices to a backend that prices by itself (phoenix), so that it shows what the spans say",
    "diff": "compare two books: what changed, and what that does to the cost of the spans of a file",
    "capacity": "say what paid hours (GPUs, provisioned throughput) and fixed costs came to, and how much was idle",
    "unpriced": "list the share of calls in OTLP files that have no price, by reason, with the fix to paste",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands below this one."""
    commands = parser.add_subparsers(dest="book_command", metavar="COMMAND", required=True)
    for name, text in _COMMANDS.items():
        module = importlib.import_module(f"otel_tokenomics.cli.book_{name}")
        made = commands.add_parser(name, help=text, description=module.__doc__)
        made.formatter_class = argparse.RawDescriptionHelpFormatter
        module.add_arguments(made)


def run(arguments: argparse.Namespace) -> int:
    """Run the command below."""
    return importlib.import_module(f"otel_tokenomics.cli.book_{arguments.book_command}").run(arguments)
