"""Names as both engines read them: ASCII white space trimmed, ASCII letters lowered, nothing else."""

from __future__ import annotations

from typing import Final

_SPACE: Final = " \t\n\r\v\f"
_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def ascii_trim(text: str) -> str:
    """Return the text without the ASCII white space around it."""
    return text.strip(_SPACE)


def ascii_lower(text: str) -> str:
    """Return the text with A to Z lowered; other alphabets have other rules in other languages."""
    return text.lower() if text.isascii() else text.translate(_LOWER)
