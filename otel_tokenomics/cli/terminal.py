"""What a person sees: rich's console, set up so that foreign text can neither steer nor break it."""

from __future__ import annotations

import os
import sys
from typing import Any, Final, NamedTuple

from otel_tokenomics.errors import TokenomicsError

#: Width of what is not written to a terminal; COLUMNS says otherwise.
_FILE_WIDTH: Final = 126
_MAX_TEXT: Final = 80


class Signs(NamedTuple):
    """The signs of a tree and of a bar."""

    branch: str
    last: str
    pipe: str
    bar: str
    cut: str


_LINES: Final = Signs("├─ ", "└─ ", "│  ", "█", "…")
_ASCII: Final = Signs("|- ", "`- ", "|  ", "#", "~")


def console() -> Any:
    """Return rich's console; raise TokenomicsError saying how to install it where it is missing."""
    try:
        from rich.console import Console
    except ImportError:
        raise TokenomicsError("tables need rich: pip install 'otel-tokenomics[cli]', or use --json") from None

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    columns = os.environ.get("COLUMNS", "")
    width = None if sys.stdout.isatty() else int(columns) if columns.isdecimal() else _FILE_WIDTH
    # No markup, no emoji: a model called `claude[1m]` and a span called `[/bold]` are names.
    return PlainConsole(width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def signs() -> Signs:
    """Return the signs that standard output can carry."""
    try:
        "".join(_LINES).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return _ASCII
    return _LINES


def plain(text: object) -> str:
    """Return foreign text as one short line without control signs: a span's name must not steer a terminal."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in str(text)[: _MAX_TEXT + 1])
    return shown if len(shown) <= _MAX_TEXT else shown[: _MAX_TEXT - 1] + signs().cut


def plain_line(text: str) -> str:
    """Return foreign text of any length as one line without control signs: what is there to be copied is not cut."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def progress(text: str) -> None:
    """Say on standard error what is being done; standard output stays the answer's."""
    print(f"==> {text}", file=sys.stderr, flush=True)
