"""One source of price books: reads the files that the settings name, checks them, keeps the last good book."""

from __future__ import annotations

import hashlib
import logging
from typing import Final
from urllib.parse import unquote, urlsplit

from otel_tokenomics.config import Settings
from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source.files import content_of, overlay_text, text_of
from otel_tokenomics.pricing import PriceBook, load_embedded

EMBEDDED: Final = "embedded"

_logger = logging.getLogger("otel_tokenomics")


class PriceBookSource:
    """Holds the book in use. Swapping replaces one reference, so that readers need no lock."""

    def __init__(self) -> None:
        self._base: PriceBook | None = None
        self._base_url: str | None = None
        self._current: PriceBook | None = None
        #: Where the book below an overlay comes from, without what an address may hide.
        self.origin: str = EMBEDDED

    def current(self) -> PriceBook:
        """Return the book in use; the embedded one until ``configure`` chose another."""
        return self._current or load_embedded()

    def configure(self, settings: Settings) -> PriceBook:
        """Use the book and the overlay that the settings name, and return what is in use now.

        Each part that is refused is one WARNING naming file, place and rule; what was in use before stays. A book
        file that is read again from the same address must not go back in version or date, nor lose half of its
        models, nor move a rate more than tenfold.
        """
        base = self._chosen_base(settings)
        if settings.pricebook_version and base.version != settings.pricebook_version:
            _logger.warning(
                "otel_tokenomics: pricebook_version %s is pinned, the price book in use is %s",
                settings.pricebook_version,
                base.version,
            )
        self._current = self._with_overrides(base, settings.pricebook_overrides)
        return self._current

    def _chosen_base(self, settings: Settings) -> PriceBook:
        url = settings.pricebook_url
        if not url:
            self._base, self._base_url, self.origin = None, None, EMBEDDED
            return load_embedded()
        try:
            book = _read_book(url, settings, self._base if url == self._base_url else None)
        except PriceBookError as error:
            kept = self._base or load_embedded()
            _logger.warning("otel_tokenomics: price book refused, %s stays in use: %s", kept.id, error)
            return kept
        self._base, self._base_url, self.origin = book, url, unquote(urlsplit(url).path)
        return book

    def _with_overrides(self, base: PriceBook, path: str | None) -> PriceBook:
        if not path:
            return base
        try:
            return base.with_overlay(overlay_text(path), path)
        except PriceBookError as error:
            # Own prices that were good a moment ago are better than none, on the same book.
            kept = self._current if self._current is not None and self._current.version == base.version else base
            _logger.warning("otel_tokenomics: price overrides refused, %s stays in use: %s", kept.id, error)
            return kept


def _read_book(url: str, settings: Settings, replaces: PriceBook | None) -> PriceBook:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise PriceBookError("pricebook_url: is no address") from None
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        # The address may carry a credential: only its kind is shown.
        kind = f"{parts.scheme}://" if parts.scheme else "an address without a scheme"
        if parts.scheme == "file":
            kind = "file:// with a host"
        raise PriceBookError(f"pricebook_url: {kind} is not supported yet, only file:///path is")
    path = unquote(parts.path)
    content = content_of(path)
    wanted = (settings.pricebook_sha256 or "").strip().lower()
    digest = hashlib.sha256(content).hexdigest()
    if wanted and digest != wanted:
        raise PriceBookError(f"{path}: sha256 is {digest}, pricebook_sha256 says {wanted}")
    book = PriceBook.parse(text_of(content, path), path, replaces)
    if settings.pricebook_version and book.version != settings.pricebook_version:
        raise PriceBookError(f"{path}: version: is {book.version}, pricebook_version pins {settings.pricebook_version}")
    return book
