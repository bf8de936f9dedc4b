"""Reading fields and counts from whatever a provider or its client hands over: never raises."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, cast

from otel_tokenomics.usage import MAX_COUNT, parse_usd

#: The marks of a count that cannot be believed: it is absent, and says why.
BAD: Final = -1
HUGE: Final = -2
_NO_MODEL: Final = object()

#: Disjoint counts by unit, while they are read.
Counts = dict[str, int]


class StreamReader(Protocol):
    """Observes the items of one stream; what it last saw is what counts."""

    def observe(self, item: object) -> None:
        """Take note of one item (dict or client object); never raises."""
        ...

    def reading(self) -> object:
        """Return the reading so far, or None where no item said anything."""
        ...


def fields_of(source: object) -> object:
    """Return the fields of a client's object as a dict, at the price of one look-up; anything else as it is.

    Models of the clients keep what they know in their dict, what they do not know apart. Asking them for what they
    lack is slow, and most of the fields that a reader asks for are lacking.
    """
    extra: Any = getattr(source, "__pydantic_extra__", _NO_MODEL)
    if extra is _NO_MODEL:
        return source
    return {**source.__dict__, **extra} if extra else source.__dict__


def field(source: object, name: str) -> object:
    """Return a field of a dict or client object; None where it is absent."""
    if isinstance(source, dict):
        # No cast here: a dozen of these calls stand in every reading, and each cast is a call of its own.
        return source.get(name)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if source is None:
        return None
    extra: Any = getattr(source, "__pydantic_extra__", _NO_MODEL)
    if extra is _NO_MODEL:
        return getattr(source, name, None)
    value = source.__dict__.get(name)
    return extra.get(name) if value is None and extra else value


def count(source: object, name: str) -> int | None:
    """Return a count; None where absent, ``BAD`` or ``HUGE`` where it cannot be believed.

    Whole numbers may come as text or double; a fraction is cut.
    """
    value = field(source, name)
    if type(value) is int:
        if value < 0:
            return BAD
        return value if value <= MAX_COUNT else HUGE
    return None if value is None else _odd(value)


def _odd(value: object) -> int | None:
    if isinstance(value, bool):
        return BAD
    if isinstance(value, str):
        text = value.strip()
        if not text.isascii() or len(text) > 40 or "_" in text:
            return BAD
        try:
            value = float(text) if not text.isdigit() else int(text)
        except ValueError:
            return BAD
    if isinstance(value, float):
        if not math.isfinite(value) or value < 0:
            return BAD
        value = int(value)
    if isinstance(value, int):
        return value if 0 <= value <= MAX_COUNT else HUGE if value > 0 else BAD
    # A client's "not given" sentinel is as good as nothing; a list or an object was meant to say something.
    return BAD if isinstance(value, (dict, list)) else None


def word(source: object, name: str) -> str | None:
    """Return a non-empty text field of at most 256 characters, or None."""
    value = field(source, name)
    if not isinstance(value, str):
        # An enum of a client library carries its word in `value`.
        value = getattr(value, "value", None)
        if not isinstance(value, str):
            return None
    if not 0 < len(value) <= 256:
        return None
    return value if value.isascii() or _is_unicode(value) else None


def _is_unicode(text: str) -> bool:
    """Return whether a text has no half of a surrogate pair: JSON can write one, and no exporter can send it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def items(source: object, name: str) -> Iterable[object]:
    """Return the elements of a list field; nothing where it is no list."""
    value = field(source, name)
    return cast("list[object]", value) if isinstance(value, list) else ()


def money(source: object, name: str) -> int | None:
    """Return an amount in USD as pico-USD; None where it is absent or no amount."""
    value = field(source, name)
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        amount = parse_usd(value)
    except ValueError:
        return None
    return amount if amount >= 0 else None


def worst(*numbers: int | None) -> int:
    """Return the worse mark among numbers that were read; 0 where each can be believed or is absent."""
    for number in numbers:
        if number is not None and number < 0:
            return HUGE if HUGE in numbers else BAD
    return 0


def told(number: int) -> int:
    """Return a count, or the mark of one, as something that is read to the same again."""
    return MAX_COUNT + 1 if number == HUGE else number


def whole_seconds(source: object, name: str) -> int | None:
    """Return a duration in seconds, of which a fraction is billed as a whole one; else as ``count`` does."""
    seconds, value = count(source, name), field(source, name)
    if seconds is not None and seconds >= 0 and isinstance(value, (float, str)) and float(value) > seconds:
        return seconds + 1
    return seconds


def reason_of(bad: int, kept: Mapping[str, int]) -> str | None:
    """Return the reason of a usage with unbelievable counts: what is left is a lower bound, if anything is."""
    if bad == HUGE:
        return "invalid_usage"
    if bad:
        return "incomplete_usage" if kept else "invalid_usage"
    return None


def believed(number: int | None) -> int:
    """Return a count that can be believed, or 0."""
    return number if number is not None and number > 0 else 0


def split_input(given: int, cached: int, written: int, parts: Mapping[str, int]) -> tuple[int, Counts]:
    """Return plain input (negative where the parts exceed the whole) and the other input units, disjoint.

    ``parts`` are tokens by unit (``audio_in``, ``image_in``, ``video_in``) inside ``given``. They may overlap with
    the cache without a joint count: the least overlap is assumed, audio first, since cached audio alone has a unit.
    """
    audio, image, video = (max(parts.get(unit, 0), 0) for unit in ("audio_in", "image_in", "video_in"))
    if not (audio or image or video):
        return given - cached - written, {"cache_read": cached}
    over = max(0, cached + written + audio + image + video - given)
    both = min(over, audio, cached)
    image_over = min(over - both, image)
    video_over = min(over - both - image_over, video)
    units = {
        "cache_read": cached - both,
        "audio_cache_read": both,
        "audio_in": audio - both,
        "image_in": image - image_over,
        "video_in": video - video_over,
    }
    return given - written - sum(units.values()), units
