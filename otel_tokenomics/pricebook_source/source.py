"""One source of price books: reads what the settings name, checks it, keeps the last good book, looks for a newer one.

Nothing is fetched at an import or by whoever makes a call: a thread of its own asks, once ``start`` was called, or a
person with ``refresh``.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
import weakref
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from otel_tokenomics.config import Settings
from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source.files import content_of, lay_over, located, text_of
from otel_tokenomics.pricebook_source.last_good import LastGood
from otel_tokenomics.pricing import PriceBook, load_embedded

EMBEDDED: Final = "embedded"
#: Seconds between two looks, and what is added by chance, so that a fleet does not ask in one second.
INTERVAL_S: Final = 3600.0
JITTER_S: Final = 600
#: A book changes about every twelve days; one that is older than this was forgotten.
_OLD_MS: Final = 14 * 86_400_000
_LARGEST_SIGNATURE: Final = 4096

_logger = logging.getLogger("otel_tokenomics")


class Address(NamedTuple):
    """Where a book is: a ``path`` of a file, or an https address; ``shown`` is what may be told of it."""

    url: str
    path: str | None
    shown: str

    def beside(self, suffix: str) -> str:
        """Return the https address whose path has a suffix more; the query stays."""
        parts = urlsplit(self.url)
        return parts._replace(path=parts.path + suffix, fragment="").geturl()


class PriceBookSource:
    """Holds the book in use. Swapping replaces one reference, so that readers need no lock."""

    def __init__(self) -> None:
        self._base: PriceBook | None = None
        self._base_url: str | None = None
        self._current: PriceBook | None = None
        #: File of the book below an overlay, and the address that it was fetched from, without what that may hide.
        self.origin: str = EMBEDDED
        self.address: str | None = None
        self._settings: Settings | None = None
        self._seen: tuple[int, ...] | None = None
        self._told_age = False
        self._owners: weakref.WeakSet[object] = weakref.WeakSet()
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def current(self) -> PriceBook:
        """Return the book in use; the embedded one, which is read here at first, until ``configure`` chose another."""
        if self._current is None:
            self._current = load_embedded()
            self._tell_age(self._current, logging.INFO)
        return self._current

    def configure(self, settings: Settings) -> None:
        """Use the book and the overlay that the settings name; where they name none, none is read until asked for.

        A file is read; of an https address the last good copy on disk is used, else the embedded book until the first
        fetch. Each part that is refused is one WARNING naming file, place and rule; what was in use before stays. A
        book that is read again from the same address must not go back in version or date, nor lose half of its
        models, nor move a rate more than tenfold.
        """
        with self._lock:
            if settings.pricebook_url or settings.pricebook_overrides or settings.pricebook_version:
                self._choose(settings)
            else:
                self._forget()
                self._current = None
            if settings != self._settings:
                self._settings = settings
                self._halt()
                self._launch()

    def _choose(self, settings: Settings) -> None:
        base = self._chosen_base(settings)
        awaited = self.address is not None and self.origin == EMBEDDED
        if settings.pricebook_version and base.version != settings.pricebook_version and not awaited:
            _logger.warning(
                "otel_tokenomics: pricebook_version %s is pinned, the price book in use is %s",
                settings.pricebook_version,
                base.version,
            )
        self._current = self._with_overrides(base, settings.pricebook_overrides)
        self._tell_age(self._current, logging.INFO)

    def _forget(self) -> None:
        self._base, self._base_url, self.origin, self.address = None, None, EMBEDDED, None

    def start(self, owner: object) -> None:
        """Look for a newer book every hour from now on, where ``pricebook_url`` names one, until each owner stopped."""
        with self._lock:
            self._owners.add(owner)
            self._launch()

    def stop(self, owner: object) -> None:
        """Look no more on behalf of this owner."""
        with self._lock:
            self._owners.discard(owner)
            if not self._owners:
                self._halt()

    def after_fork(self) -> None:
        """Begin anew in a forked child: there is no thread, and another one may have held the lock."""
        self._lock, self._stop, self._thread = threading.RLock(), threading.Event(), None
        self._launch()

    def refresh(self, settings: Settings) -> PriceBook:
        """Read or fetch the book that the settings name, check it, and put it into use; return what is in use now.

        Raises:
            PriceBookError: it cannot be had or is refused; what was in use stays.
        """
        address = _address(settings)
        unpinned = not settings.pricebook_sha256 and not settings.pricebook_version
        # A book that is named outright may be an older one.
        before = self._base if unpinned and self._base_url == address.url else None
        if address.path is not None:
            book, origin = _read_book(address, settings, before), address.path
        else:
            book, origin = _fetched_book(address, settings, before or (load_embedded() if unpinned else None))
        with self._lock:
            # Somebody may have configured another book while this one was under way.
            if settings is self._settings:
                self._use(book, address, origin)
                self._current = self._with_overrides(book, settings.pricebook_overrides)
        return self.current()

    def _chosen_base(self, settings: Settings) -> PriceBook:
        if not settings.pricebook_url:
            self._forget()
            return load_embedded()
        try:
            address = _address(settings)
            if address.path is None:
                return self._copy_of(address, settings)
            before = self._base if address.url == self._base_url else None
            book = _read_book(address, settings, before)
        except PriceBookError as error:
            kept = self._base or load_embedded()
            _logger.warning("otel_tokenomics: price book refused, %s stays in use: %s", kept.id, error)
            return kept
        self._use(book, address, address.path)
        return book

    def _copy_of(self, address: Address, settings: Settings) -> PriceBook:
        """Return the last good copy of an https address, else the embedded book."""
        copy = LastGood(settings).read()
        book, origin = load_embedded(), EMBEDDED
        if copy is not None:
            try:
                kept = _accepted(copy.content, copy.signature, settings, copy.path, None)
                # A package may bring a newer book than the one that was fetched before it was installed.
                pinned = settings.pricebook_sha256 or settings.pricebook_version
                if pinned or kept.name != book.name or kept.generated_at_ms >= book.generated_at_ms:
                    book, origin = kept, copy.path
            except PriceBookError as error:
                _logger.info("otel_tokenomics: the copy of the price book is not used: %s", error)
        elif self._base is not None and self._base_url == address.url:
            # Where no copy can be written, what is in memory is the last good one.
            book, origin = self._base, self.origin
        self._use(book, address, origin)
        return book

    def _use(self, book: PriceBook, address: Address, origin: str) -> None:
        self._base, self._base_url, self.origin = book, address.url, origin
        self.address = address.shown if address.path is None else None

    def _with_overrides(self, base: PriceBook, path: str | None) -> PriceBook:
        if not path:
            return base
        try:
            return lay_over(base, path)
        except PriceBookError as error:
            # Own prices that were good a moment ago are better than none, on the same book.
            kept = self._current if self._current is not None and self._current.version == base.version else base
            _logger.warning("otel_tokenomics: price overrides refused, %s stays in use: %s", kept.id, error)
            return kept

    def _tell_age(self, book: PriceBook, level: int) -> None:
        """Say once that the book in use is old."""
        age_ms = time.time_ns() // 1_000_000 - book.generated_at_ms
        if age_ms > _OLD_MS and not self._told_age:
            self._told_age = True
            _logger.log(level, "otel_tokenomics: the price book %s is %d days old", book.id, age_ms // 86_400_000)

    def _launch(self) -> None:
        settings = self._settings
        running = self._thread is not None and self._thread.is_alive()
        if running or not self._owners or settings is None or not settings.pricebook_url:
            return
        try:
            address = _address(settings)
        except PriceBookError:  # configure said so
            return
        self._seen = _stamp(address.path) if address.path is not None else None
        self._thread = threading.Thread(
            target=self._look, args=(settings, self._stop), name="otel-tokenomics-pricebook", daemon=True
        )
        self._thread.start()

    def _halt(self) -> None:
        self._stop.set()
        self._stop, self._thread = threading.Event(), None

    def _look(self, settings: Settings, stop: threading.Event) -> None:
        """Look for a newer book until stopped; a failure is one WARNING until the next success."""
        refused, wait = False, 0.0
        while not stop.wait(wait):
            if not self._owners:  # an exporter that was dropped without its end
                return
            try:
                left = self._round(settings)
                if left is None:
                    return
                wait, refused = left, False
                self._tell_age(self.current(), logging.WARNING)
            except Exception as error:  # noqa: BLE001  # this thread must outlive whatever comes from outside
                if stop.is_set():
                    return
                wait = INTERVAL_S + secrets.randbelow(JITTER_S)
                _logger.log(
                    logging.DEBUG if refused else logging.WARNING,
                    "otel_tokenomics: price book not refreshed, %s stays in use: %s",
                    self.current().id,
                    error if isinstance(error, PriceBookError) else type(error).__name__,
                )
                refused = True

    def _round(self, settings: Settings) -> float | None:
        """Look once; return how many seconds to wait until the next time, None where nothing newer can come."""
        address, wait = _address(settings), INTERVAL_S + secrets.randbelow(JITTER_S)
        if address.path is not None:
            seen = _stamp(address.path)
            if seen != self._seen or seen is None:
                self._seen = seen
                self.refresh(settings)
        else:
            since = time.time() - LastGood(settings).checked_at()
            if 0 <= since < INTERVAL_S:
                # Another process of this user asked, or this one before it was started anew: its copy is as new.
                self._take_copy(address, settings)
                wait -= since
            else:
                self.refresh(settings)
        pinned_and_there = settings.pricebook_sha256 and self.origin != EMBEDDED
        return None if pinned_and_there else wait

    def _take_copy(self, address: Address, settings: Settings) -> None:
        copy = LastGood(settings).read()
        if copy is None or copy.path == self.origin:
            return
        with self._lock:
            if settings is self._settings:
                base = self._copy_of(address, settings)
                self._current = self._with_overrides(base, settings.pricebook_overrides)


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _address(settings: Settings) -> Address:
    url = settings.pricebook_url or ""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise PriceBookError("pricebook_url: is no address") from None
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        path = unquote(parts.path)
        return Address(url, path, path)
    if parts.scheme != "https":
        # The address may carry a credential: only its kind is shown.
        kind = f"{parts.scheme}://" if parts.scheme else "an address without a scheme"
        if parts.scheme == "file":
            kind = "file:// with a host"
        raise PriceBookError(f"pricebook_url: {kind} is not supported, only https:// and file:///path are")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise PriceBookError("pricebook_url: https:// needs a host, and takes no user and no password")
    if not settings.pricebook_sha256 and not settings.pricebook_public_key:
        raise PriceBookError(
            "pricebook_url: https:// needs pricebook_sha256 or pricebook_public_key, to know whose book it is"
        )
    return Address(url, None, f"https://{parts.netloc}{parts.path}")


def _read_book(address: Address, settings: Settings, before: PriceBook | None) -> PriceBook:
    path = address.path or ""
    content = content_of(path)
    signature = None
    if settings.pricebook_public_key:
        from otel_tokenomics.pricebook_source.signature import SUFFIX

        signature = text_of(content_of(path + SUFFIX), path + SUFFIX)
    try:
        return _accepted(content, signature, settings, path, before)
    except PriceBookError as error:
        raise located(error, path, text_of(content, path)) from None


def _fetched_book(address: Address, settings: Settings, before: PriceBook | None) -> tuple[PriceBook, str]:
    """Return the book of an https address and the file of its copy (the address where none can be written)."""
    from otel_tokenomics.pricebook_source.remote import fetch  # TLS is loaded by those alone who fetch

    kept = LastGood(settings)
    copy, now = kept.read(), time.time()
    try:
        answer = fetch(address.url, address.shown, copy.etag if copy is not None else None)
        content = copy.content if answer is None and copy is not None else answer.content if answer is not None else b""
        signature = None
        if settings.pricebook_public_key:
            from otel_tokenomics.pricebook_source.signature import SUFFIX

            # Not kept with a copy that did not change: the publisher may have taken a new key.
            signed = fetch(address.beside(SUFFIX), address.shown + SUFFIX, largest=_LARGEST_SIGNATURE)
            signature = text_of(signed.content if signed is not None else b"", address.shown + SUFFIX)
        book = _accepted(content, signature, settings, address.shown, before)
    except PriceBookError:
        kept.note_check(now)
        raise
    etag = answer.etag if answer is not None else copy.etag if copy is not None else None
    return book, kept.keep(content, etag, signature, now) or address.shown


def _accepted(
    content: bytes, signature: str | None, settings: Settings, origin: str, before: PriceBook | None
) -> PriceBook:
    """Return the book of a file's content; raise PriceBookError where it is not the one that the settings accept."""
    wanted = (settings.pricebook_sha256 or "").strip().lower()
    digest = hashlib.sha256(content).hexdigest()
    if wanted and digest != wanted:
        raise PriceBookError(f"{origin}: sha256 is {digest}, pricebook_sha256 says {wanted}")
    if settings.pricebook_public_key:
        from otel_tokenomics.pricebook_source.signature import verify

        verify(content, signature or "", settings.pricebook_public_key, origin)
    text, embedded = text_of(content, origin), load_embedded()
    book = PriceBook.parse(text, origin, None if before is embedded else before)
    if before is embedded and book.name == embedded.name:
        book.must_follow(embedded, origin)
    if settings.pricebook_version and book.version != settings.pricebook_version:
        raise PriceBookError(
            f"{origin}: version: is {book.version}, pricebook_version pins {settings.pricebook_version}"
        )
    return book
