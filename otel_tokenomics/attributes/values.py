"""Attribute values as counts, amounts and words: integers, doubles and numeric texts, for emitters write all three.

Twin of ``collector/internal/attributes/value.go``. Nothing here raises, whatever stands on a span.
"""

from __future__ import annotations

import math
import re
from typing import Final

from otel_tokenomics.usage import MAX_COUNT, parse_usd

#: The marks of a count that cannot be believed: it is absent, and says why.
BAD: Final = -1
HUGE: Final = -2
_MAX_MONEY: Final = 64
#: What people write as a number: no hexadecimal, underscores, "inf" or "nan".
_DECIMAL: Final = re.compile(r"[0-9+\-.eE]+")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_INT64: Final = 2**63


def count_of(value: object) -> int | None:
    """Return a count; None where there is none, ``BAD`` or ``HUGE`` where it cannot be believed. A fraction is cut."""
    if value is None:
        return None
    if isinstance(value, bool):
        return BAD
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, int):
        return _checked(value)
    return _from_double(value) if isinstance(value, float) else BAD


def _from_text(text: str) -> int:
    if not _DECIMAL.fullmatch(text):
        return BAD
    if _INTEGER.fullmatch(text) and len(text) < 20 and -_INT64 <= int(text) < _INT64:
        return _checked(int(text))
    try:
        return _from_double(float(text))
    except ValueError:
        return BAD


def _checked(number: int) -> int:
    if number < 0:
        return BAD
    return HUGE if number > MAX_COUNT else number


def _from_double(number: float) -> int:
    if not math.isfinite(number) or number < 0:
        return BAD
    return HUGE if number >= MAX_COUNT + 1 else int(number)


def money_of(value: object) -> int | None:
    """Return an amount of USD in pico-USD; None where it is none, or negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str):
        value = value.strip()
        # Underscores and words such as "1e" are none of the forms in which an amount is written.
        if len(value) > _MAX_MONEY or not _DECIMAL.fullmatch(value):
            return None
    try:
        pico = parse_usd(value)
    except ValueError:
        return None
    return pico if pico >= 0 else None


def yes(value: object) -> bool:
    """Return whether a value means yes."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")
