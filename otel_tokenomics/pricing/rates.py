"""One model's dated, conditional and tiered rates, prepared so that a lookup is one short scan."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from otel_tokenomics.usage import Facts

FOREVER: Final = 2**63 - 1
MS_PER_DAY: Final = 86_400_000
#: unit -> the units whose rate it falls back to, the first that has one
FALLBACKS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "cache_read": ("input",),
        "cache_write": ("input",),
        "cache_write_1h": ("cache_write", "input"),
        "cache_write_12h": ("cache_write_1h", "cache_write", "input"),
        "reasoning": ("output",),
        "audio_in": ("input",),
        "audio_out": ("output",),
        "audio_cache_read": ("cache_read", "audio_in", "input"),
        "image_in": ("input",),
        "image_out": ("output",),
        "video_in": ("input",),
        "video_out": ("output",),
    }
)
#: cached unit -> the unit that it would have been without a cache
PLAIN_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cache_read": "input",
        "cache_write": "input",
        "cache_write_1h": "input",
        "cache_write_12h": "input",
        "audio_cache_read": "audio_in",
    }
)
#: Falling back here is ordinary billing practice, not an assumption.
ORDINARY: Final = frozenset({"reasoning", "image_in", "video_in"})
#: unit -> the part of the cost that it belongs to (``reasoning`` joins ``output`` where it has no rate of its own)
PART_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "input": "input",
        "cache_read": "cache_read",
        "cache_write": "cache_write",
        "cache_write_1h": "cache_write",
        "cache_write_12h": "cache_write",
        "output": "output",
        "reasoning": "reasoning",
        "audio_in": "input",
        "audio_out": "output",
        "audio_cache_read": "cache_read",
        "image_in": "input",
        "image_out": "output",
        "video_in": "input",
        "video_out": "output",
        "request": "requests",
        "web_search": "tools",
        "web_fetch": "tools",
        "file_search": "tools",
        "code_session": "tools",
        "search_unit": "tools",
        "audio_in_second": "input",
        "video_out_second": "output",
        "page": "input",
        "character": "input",
        "image": "output",
    }
)
#: The facts by which a provider sells another service level: a row that does not ask for one that is set is no
#: sure price for it.
SERVICE_FACTS: Final = ("service_tier", "processing", "speed")
_FRACTION: Final = re.compile(r"\.(\d{6})\d+")


class Calendar(NamedTuple):
    """Hours of a UTC week in which a row applies; windows are half-open minutes of the day."""

    windows: tuple[tuple[int, int], ...]
    weekdays: frozenset[int]
    except_days: frozenset[int]

    def holds(self, at_ms: int) -> bool:
        """Return whether the instant (ms since 1970, UTC) falls into a window."""
        day, in_day = divmod(at_ms, MS_PER_DAY)
        # 1970-01-01 was a Thursday: ISO weekday 4.
        if (day + 3) % 7 + 1 not in self.weekdays or day in self.except_days:
            return False
        return any(start * 60_000 <= in_day < end * 60_000 for start, end in self.windows)


class UnitRate(NamedTuple):
    """The rate of one unit in pico-USD, the part it belongs to, and whether a fallback was assumed.

    ``spared`` is what a cached unit costs less than plain input (negative for write premiums), 0 elsewhere.
    """

    rate: int
    part: str
    assumed: bool
    spared: int = 0


@dataclass(frozen=True, slots=True)
class RateTable:
    """The rates of one row or tier, fallbacks expanded; ``gt`` is -1 for the row itself.

    ``plain`` holds the same as ``units`` in bare tuples, which are taken apart in a third of the time.
    """

    gt: int
    units: Mapping[str, UnitRate]
    sku: str
    plain: Mapping[str, tuple[int, str, bool, int]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: when it applies, and its rates; ``tiers`` ascend.

    ``plain`` rows have no condition; ``unasked`` are the service facts that a row does not ask for; ``source`` is the
    entry as written.
    """

    start: int
    until: int
    when: tuple[tuple[str, frozenset[str]], ...]
    calendar: Calendar | None
    table: RateTable
    tiers: tuple[RateTable, ...]
    basis: str
    contracted: bool
    plain: bool
    unasked: tuple[str, ...]
    source: Mapping[str, Any]

    def applies(self, facts: Facts, at_ms: int) -> bool:
        """Return whether the row is in force at the instant and every condition holds."""
        if not self.start <= at_ms < self.until:
            return False
        for key, values in self.when:
            if facts.get(key) not in values:
                return False
        return self.calendar is None or self.calendar.holds(at_ms)


def instant(text: str) -> int:
    """Return an RFC 3339 instant as milliseconds since 1970, UTC; what is below a millisecond is cut.

    Raises:
        ValueError: the text is no instant, or has no time zone.
    """
    if "T" not in text.upper():
        raise ValueError(f"{text!r} has no time of day")
    # Python reads at most six digits of a fraction before 3.13.
    parsed = datetime.fromisoformat(_FRACTION.sub(r".\1", text))
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    delta = parsed.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return delta.days * MS_PER_DAY + delta.seconds * 1000 + delta.microseconds // 1000


def calendar(entry: Mapping[str, Any]) -> Calendar:
    """Return a calendar from its book entry, which was checked."""
    windows = tuple((_minute(start), _minute(end)) for start, end in entry["windows"])
    days = frozenset(instant(f"{day}T00:00:00Z") // MS_PER_DAY for day in entry.get("except_dates", ()))
    return Calendar(windows, frozenset(entry.get("weekdays", range(1, 8))), days)


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def rate_table(gt: int, rates: Mapping[str, int], sku: str) -> RateTable:
    """Return the table of stated rates with every fallback filled in."""
    units = {unit: UnitRate(rate, PART_OF[unit], assumed=False) for unit, rate in rates.items()}
    for unit, others in FALLBACKS.items():
        found = next((other for other in others if other in rates), None)
        if unit not in rates and found is not None:
            # Reasoning at the output rate is a part of the output.
            part = "output" if unit == "reasoning" else PART_OF[unit]
            units[unit] = UnitRate(rates[found], part, unit not in ORDINARY)
    for unit, plain in PLAIN_OF.items():
        if unit in units and plain in units:
            units[unit] = units[unit]._replace(spared=units[plain].rate - units[unit].rate)
    plain = {unit: (one.rate, one.part, one.assumed, one.spared) for unit, one in units.items()}
    return RateTable(gt, units, sku, plain)


def rows_of(
    model: Mapping[str, Any],
    calendars: Mapping[str, Calendar],
    *,
    contracted: bool = False,
    beneath: Sequence[Mapping[str, Any]] = (),
) -> tuple[Row, ...]:
    """Return a model's rows in the order in which they are tried: most conditions first.

    A conditional row takes the units that it lacks from the base row of the same instant, so it is cut at the
    base rows' dates here, once.

    Args:
        model: the entry of a book or overlay.
        calendars: every calendar that the rows may name.
        contracted: whether the rows are the user's own.
        beneath: base rows of the books below an overlay, used where it has none of its own.
    """
    entries: Sequence[Mapping[str, Any]] = model["rows"]
    bases = [entry for entry in (*entries, *beneath) if not entry.get("when")]
    rows = [
        _row(model, entry, piece, calendars, contracted)
        for entry in sorted(entries, key=_preference)
        for piece in (_pieces(entry, bases) if _lacks(entry) else ((*span(entry), _NO_RATES),))
    ]
    return tuple(rows)


_NO_RATES: Final[Mapping[str, int]] = MappingProxyType({})


def _lacks(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry takes what it lacks from a base row: an hour's rates never mix with a book's."""
    return bool(entry.get("when")) and "capacity" not in entry


def _preference(entry: Mapping[str, Any]) -> tuple[int, bool, int, list[str]]:
    """Most conditions first, then a calendar, then the latest date as written, then the names of the keys."""
    when: Mapping[str, Any] = entry.get("when", _NO_RATES)
    return -len(when), "calendar" not in when, -span(entry)[0], sorted(when)


def span(entry: Mapping[str, Any]) -> tuple[int, int]:
    """Return from when (inclusive) until when (exclusive) an entry holds, in ms UTC."""
    start = instant(entry["from"]) if "from" in entry else -FOREVER
    return start, instant(entry["until"]) if "until" in entry else FOREVER


def _pieces(
    entry: Mapping[str, Any], bases: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[int, int, Mapping[str, int]]]:
    start, until = span(entry)
    dated = [(*span(base), base["rates"]) for base in bases]
    edges = {edge for base in dated for edge in base[:2] if start < edge < until}
    cuts = sorted({start, until, *edges})
    for begin, end in pairwise(cuts):
        base = next((rates for first, last, rates in dated if first <= begin < last), _NO_RATES)
        yield begin, end, base


def _row(
    model: Mapping[str, Any],
    entry: Mapping[str, Any],
    piece: tuple[int, int, Mapping[str, int]],
    calendars: Mapping[str, Calendar],
    contracted: bool,
) -> Row:
    start, until, base = piece
    when: Mapping[str, Sequence[str]] = entry.get("when", {})
    sku = f"{model['p']}/{model['id']}" + "".join(f";{key}={'|'.join(when[key])}" for key in sorted(when))
    capacity = entry.get("capacity")
    if capacity is not None:
        sku += f";capacity={capacity.kind}"
    own = {**base, **entry["rates"]}
    tiers = [
        rate_table(tier["gt"], {**own, **tier["rates"]}, f"{sku};tier={tier['gt']}") for tier in entry.get("tiers", ())
    ]
    named = when.get("calendar")
    return Row(
        start,
        until,
        tuple((key, frozenset(values)) for key, values in sorted(when.items()) if key != "calendar"),
        calendars[named[0]] if named else None,
        rate_table(-1, own, sku),
        tuple(tiers),
        entry.get("basis", "contracted" if contracted else "list"),
        contracted,
        not when,
        # The hour is paid whatever service level an answer names.
        () if capacity is not None else tuple(fact for fact in SERVICE_FACTS if fact not in when),
        entry,
    )
