"""Where the price book in use comes from: the embedded one, a file, an https address, own prices on top.

No prices and no telemetry may enter this room; it reads and fetches when it is told to, checks a book before it swaps
it, and imports ``pricing``, ``config``, ``errors`` and the standard library (``cryptography`` for signatures alone). A
book that is refused leaves the last good one in use, with one WARNING.
"""

from __future__ import annotations

import os
from typing import Final

from otel_tokenomics.config import Settings
from otel_tokenomics.pricebook_source.source import PriceBookSource
from otel_tokenomics.pricing import PriceBook

__all__ = ["PriceBookSource", "book_of", "configure", "current", "keep_fresh", "rest"]

_process: Final = PriceBookSource()


def configure(settings: Settings) -> None:
    """Make the book that the settings name the process's book; the last good one stays where it is refused."""
    _process.configure(settings)


def current() -> PriceBook:
    """Return the process's book: what ``configure`` chose, else the embedded one."""
    return _process.current()


def book_of(settings: Settings) -> PriceBook:
    """Return the book that settings name, for a command that is told which; the process's book stays what it is."""
    source = PriceBookSource()
    source.configure(settings)
    return source.current()


def keep_fresh(owner: object) -> None:
    """Look for a newer book in a thread of its own from now on, where the settings name an address; off without."""
    _process.start(owner)


def rest(owner: object) -> None:
    """Look for no newer book on behalf of this owner any more."""
    _process.stop(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.after_fork)
