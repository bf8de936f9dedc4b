"""Price books and overlays as files: what they hold, as text of JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from otel_tokenomics.errors import PriceBookError

#: A price book of every model there is has a few megabytes.
LARGEST_FILE: Final = 64 * 2**20
_YAML: Final = (".yaml", ".yml")


def overlay_text(path: str) -> str:
    """Return a file of JSON or (by its name) YAML as JSON text; raise PriceBookError where it cannot be read."""
    text = text_of(content_of(path), path)
    return json_of_yaml(text, path) if is_yaml(path) else text


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


def json_of_yaml(text: str, path: str) -> str:
    """Return YAML as JSON text; raise PriceBookError where it is none, or holds what JSON has no form for."""
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
