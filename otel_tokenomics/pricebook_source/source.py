"""One source of price books: reads the files that the settings name, checks them, keeps the last good book."""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from otel_tokenomics.config import Settings
from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing import PriceBook, load_embedded

#: A price book of every model there is has less than a megabyte.
LARGEST_FILE: Final = 64 * 2**20
_YAML: Final = (".yaml", ".yml")

_logger = logging.getLogger("otel_tokenomics")


class PriceBookSource:
    """Holds the book in use. Swapping replaces one reference, so that readers need no lock."""

    def __init__(self) -> None:
        self._base: PriceBook | None = None
        self._base_url: str | None = None
        self._current: PriceBook | None = None

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
            self._base, self._base_url = None, None
            return load_embedded()
        try:
            book = _read_book(url, settings, self._base if url == self._base_url else None)
        except PriceBookError as error:
            kept = self._base or load_embedded()
            _logger.warning("otel_tokenomics: price book refused, %s stays in use: %s", kept.id, error)
            return kept
        self._base, self._base_url = book, url
        return book

    def _with_overrides(self, base: PriceBook, path: str | None) -> PriceBook:
        if not path:
            return base
        try:
            return base.with_overlay(_overlay_text(path), path)
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
    content = _content(path)
    wanted = (settings.pricebook_sha256 or "").strip().lower()
    digest = hashlib.sha256(content).hexdigest()
    if wanted and digest != wanted:
        raise PriceBookError(f"{path}: sha256 is {digest}, pricebook_sha256 says {wanted}")
    book = PriceBook.parse(_text(content, path), path, replaces)
    if settings.pricebook_version and book.version != settings.pricebook_version:
        raise PriceBookError(f"{path}: version: is {book.version}, pricebook_version pins {settings.pricebook_version}")
    return book


def _overlay_text(path: str) -> str:
    text = _text(_content(path), path)
    return _json_of_yaml(text, path) if path.lower().endswith(_YAML) else text


def _content(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PriceBookError(f"{path}: cannot be read: {reason}") from None
    if len(content) > LARGEST_FILE:
        raise PriceBookError(f"{path}: is larger than {LARGEST_FILE} bytes")
    return content


def _text(content: bytes, path: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PriceBookError(f"{path}: byte {error.start}: is no UTF-8") from None


def _json_of_yaml(text: str, path: str) -> str:
    try:
        import yaml  # an optional package: JSON needs none
    except ImportError:
        raise PriceBookError(f"{path}: YAML needs the package PyYAML; JSON is read without it") from None
    try:
        return json.dumps(yaml.safe_load(text), default=_yaml_instant)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise PriceBookError(f"{path}: is no YAML of plain values: {' '.join(str(error).split())}") from None


def _yaml_instant(value: Any) -> str:
    """YAML reads an unquoted instant as a date object; the book's form is its text."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in an overlay")
