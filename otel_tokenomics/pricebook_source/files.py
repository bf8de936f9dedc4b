"""Price books and overlays as files: what they hold, as text of JSON, and where in them a rule is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing import PriceBook
from otel_tokenomics.pricing.check import Checker

#: A price book of every model there is has a few megabytes.
LARGEST_FILE: Final = 16 * 2**20
_YAML: Final = (".yaml", ".yml")


class OverlayFile(NamedTuple):
    """An overlay's file: its name, what it holds as written, and the same as JSON text, line by line."""

    path: str
    written: str
    text: str


def overlay_file(path: str) -> OverlayFile:
    """Return a file of JSON or (by its name) YAML; raise PriceBookError where it cannot be read."""
    written = text_of(content_of(path), path)
    if not is_yaml(path):
        return OverlayFile(path, written, written)
    from otel_tokenomics.pricebook_source.yaml_text import json_of_yaml

    try:
        return OverlayFile(path, written, json_of_yaml(written, path))
    except PriceBookError as error:
        raise located(error, path, "") from None


def lay_over(book: PriceBook, path: str) -> PriceBook:
    """Return a book with the overlay of a file laid over it; raise PriceBookError, with the line, where it is refused.

    The id bears the digest of the file as it stands, whatever its form: other readers of the same file have it too.
    """
    file = overlay_file(path)
    try:
        _refuse_a_key_twice(file)
        return book.with_overlay(file.text, path, file.written)
    except PriceBookError as error:
        raise located(error, path, file.text) from None


def _refuse_a_key_twice(file: OverlayFile) -> None:
    """Readers of JSON keep the last of two and lose the first in silence: half of somebody's prices would be gone."""
    try:
        json.loads(file.text, object_pairs_hook=_once)
    except _TwiceError:
        from otel_tokenomics.pricebook_source.places import json_places

        first = json_places(file.text)[1][0]
        raise Checker(file.path).refuse(f"line {first.line}", first.rule) from None
    except (ValueError, RecursionError):
        pass  # told by whoever reads it in earnest


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise _TwiceError
    return entries


class _TwiceError(Exception):
    """A key stands twice in one object."""


def located(error: PriceBookError, path: str, text: str) -> PriceBookError:
    """Return the refusal of a file (``text`` is its JSON) with the line behind the file's name, as editors take it."""
    if not error.place:
        return error
    from otel_tokenomics.pricebook_source.places import line_of

    told = PriceBookError(f"{path}:{line_of(text, error.place)}: {error.place}: {error.rule}")
    told.place, told.rule = error.place, error.rule
    return told


def content_of(path: str) -> bytes:
    """Return what a file holds; raise PriceBookError where it cannot be read or is too large."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PriceBookError(f"{path}: cannot be read: {reason}") from None
    if len(content) > LARGEST_FILE:
        raise PriceBookError(f"{path}: is larger than {LARGEST_FILE} bytes")
    return content


def text_of(content: bytes, path: str) -> str:
    """Return content as text; raise PriceBookError where it is no UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PriceBookError(f"{path}: byte {error.start}: is no UTF-8") from None


def is_yaml(path: str) -> bool:
    """Return whether a file is YAML, by its name."""
    return path.lower().endswith(_YAML)
