"""The book in use: the embedded one, or a file, with an overlay. A refused file leaves the last good one in place.

May import ``pricing`` and ``config``. Nothing here reaches for the network.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from otel_tokenomics.config import Settings
from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing import PriceBook, load_embedded

__all__ = ["configure", "current", "load"]

_logger: Final = logging.getLogger("otel_tokenomics")
_lock = threading.Lock()
_book: PriceBook | None = None


def current() -> PriceBook:
    """Return the book in use; the embedded one until ``configure`` names another."""
    global _book
    book = _book
    if book is None:
        with _lock:
            book = _book = _book or load_embedded()
    return book


def configure(settings: Settings) -> PriceBook:
    """Take the book and overlay that the settings name; what is refused is one WARNING, the last good book stays."""
    global _book
    book = _book or load_embedded()
    try:
        book = load(settings.pricebook_url, None, settings.pricebook_sha256, settings.pricebook_version, base=book)
    except (OSError, PriceBookError) as error:
        _logger.warning("otel_tokenomics: price book refused: %s; %s stays in use", error, book.id)
    try:
        book = load(None, settings.pricebook_overrides, base=book)
    except (OSError, PriceBookError) as error:
        _logger.warning("otel_tokenomics: price overrides refused: %s; prices stay without them", error)
    with _lock:
        _book = book
    return book


def load(
    url: str | None = None,
    overrides: str | None = None,
    sha256: str | None = None,
    pinned: str | None = None,
    *,
    base: PriceBook | None = None,
) -> PriceBook:
    """Return the book at a path or ``file://`` address, with an overlay file laid over it.

    Raises:
        OSError: a file cannot be read.
        PriceBookError: a book, overlay, digest or pinned version is refused; origin, place and rule are named.
    """
    book = base or load_embedded()
    if url:
        path = _path(url)
        text = path.read_text(encoding="utf-8")
        if sha256 and hashlib.sha256(text.encode("utf-8")).hexdigest() != sha256.lower():
            raise PriceBookError(f"{path}: sha256: is not the one that pricebook_sha256 names")
        book = PriceBook.parse(text, str(path), replaces=base)
    if pinned and book.version != pinned:
        raise PriceBookError(f"{url or 'embedded book'}: version: is {book.version}, pricebook_version pins {pinned}")
    if overrides:
        path = _path(overrides)
        book = book.with_overlay(path.read_text(encoding="utf-8"), str(path))
    return book


def _path(address: str) -> Path:
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme and len(parts.scheme) > 1:
        raise PriceBookError(f"{address}: only file:// addresses and paths can be read")
    return Path(address)
