"""Where the price book in use comes from: the embedded one, a file, own prices on top.

No prices and no telemetry may enter this room; it reads files when it is told to, checks a book before it swaps it,
and imports ``pricing``, ``config``, ``errors`` and the standard library. It never raises: a book that is refused
leaves the last good one in use, with one WARNING.
"""

from __future__ import annotations

from typing import Final

from otel_tokenomics.config import Settings
from otel_tokenomics.pricebook_source.source import PriceBookSource
from otel_tokenomics.pricing import PriceBook

__all__ = ["PriceBookSource", "configure", "current"]

_process: Final = PriceBookSource()


def configure(settings: Settings) -> PriceBook:
    """Make the book that the settings name the process's book and return it; the last good one where it is refused."""
    return _process.configure(settings)


def current() -> PriceBook:
    """Return the process's book: what ``configure`` chose, else the embedded one."""
    return _process.current()
