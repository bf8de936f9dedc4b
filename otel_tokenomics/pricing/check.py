"""What makes a price book or an overlay refused; the message names the origin, the place and the rule."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing.names import ascii_lower
from otel_tokenomics.pricing.rates import FOREVER, instant
from otel_tokenomics.pricing.wording import WrittenFloat, meant_provider, nearest, no_key, path_key, shown
from otel_tokenomics.usage import UNITS

SCHEMA: Final = "otel-tokenomics/pricebook/1"
WHEN_KEYS: Final = (
    "service_tier", "processing", "speed", "inference_geo", "deployment_type", "region", "search_context_size",
    "calendar", "account",
)  # fmt: skip
KINDS: Final = ("cloud", "first_party", "gateway", "host", "self_hosted")
HEADER_KEYS: Final = (
    "schema", "id", "version", "generated_at", "currency", "scale", "sources", "calendars", "providers", "models",
    "multipliers",
)  # fmt: skip
_FIXED: Final[Mapping[str, Any]] = {"schema": SCHEMA, "currency": "USD", "scale": 12}
_PROVIDER: Final = ("kind", "names", "hosts", "accounting", "neutral_tiers", "tier_aliases")
_CALENDAR: Final = ("tz", "windows", "weekdays", "except_dates")
_MULTIPLIER: Final = ("p", "ids", "when", "ratio", "units")
_SOURCE: Final = ("id", "name", "version", "sha256", "license")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: Stricter than what Python reads: both languages take the same texts.
_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z")
_SOURCE_NEEDS: Final = ("id", "name", "version", "license")
_MAX_RATIO: Final = 10**6
_CONSTANT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)')


class _NoNumberError(Exception):
    """NaN or Infinity stands where JSON has a number."""


def _no_number(word: str) -> float:
    raise _NoNumberError(word)


class Checker:
    """Checks the pieces of one book; every refusal names the book's origin, the place and the rule."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def refuse(self, path: str, rule: str) -> PriceBookError:
        """Return the error of one broken rule."""
        error = PriceBookError(f"{self.origin}: {path}: {rule}" if path else f"{self.origin}: {rule}")
        error.place, error.rule = path, rule
        return error

    def decode(self, text: str) -> Mapping[str, Any]:
        """Return the object of a JSON text, or refuse it with its line and column."""
        try:
            content = json.loads(text, parse_float=WrittenFloat, parse_constant=_no_number)
        except _NoNumberError as error:
            raise self._misplaced(text, str(error)) from None
        except json.JSONDecodeError as error:
            raise self.refuse(f"line {error.lineno} column {error.colno}", f"is no JSON: {error.msg}") from None
        except (RecursionError, ValueError):
            raise self.refuse("", "is no JSON that can be read: too deep, or a number too long") from None
        if "null" in text:  # the walk takes half of a sound book's time
            self._no_nulls(content, "")
        return self.mapping(content, "")

    def _misplaced(self, text: str, word: str) -> PriceBookError:
        found = next((one.start() for one in _CONSTANT.finditer(text) if one[1]), 0)
        line, column = text.count("\n", 0, found) + 1, found - text.rfind("\n", 0, found)
        return self.refuse(f"line {line} column {column}", f"is no JSON: {word} is no number there")

    def _no_nulls(self, value: Any, path: str) -> None:
        """Refuse null, which is neither a value nor its absence; what stands under ``x-*`` is free."""
        if value is None:
            raise self.refuse(path, "must not be null; leave it out")
        if isinstance(value, dict):
            for key, inner in cast("dict[str, Any]", value).items():
                if not key.startswith("x-"):
                    self._no_nulls(inner, f"{path}.{path_key(key)}".lstrip("."))
        elif isinstance(value, list):
            for index, inner in enumerate(cast("list[Any]", value)):
                self._no_nulls(inner, f"{path}[{index}]")

    def known(self, entry: Mapping[str, Any], keys: Iterable[str], path: str) -> None:
        """Refuse keys that the format does not know; ``x-*`` is free."""
        for key in entry:
            if key not in keys and not key.startswith("x-"):
                raise self.refuse(f"{path}.{path_key(key)}".lstrip("."), no_key(key, keys))

    def mapping(self, value: Any, path: str) -> Mapping[str, Any]:
        """Return the value as an object, or refuse it."""
        if not isinstance(value, dict):
            raise self.refuse(path, f"must be an object {{...}}, is {shown(value)}")
        return cast("Mapping[str, Any]", value)

    def sequence(self, value: Any, path: str) -> Sequence[Any]:
        """Return the value as a list, or refuse it."""
        if not isinstance(value, list):
            raise self.refuse(path, f"must be a list [...], is {shown(value)}")
        return cast("Sequence[Any]", value)

    def filled(self, value: Any, what: str, path: str) -> Sequence[Any]:
        """Return the value as a list that is not empty, or refuse it; ``what`` says what it holds."""
        if not isinstance(value, list) or not value:
            raise self.refuse(path, f"must be a list of at least one {what}, is {shown(value)}")
        return cast("Sequence[Any]", value)

    def text(self, value: Any, path: str) -> str:
        """Return the value as text that is not empty, or refuse it."""
        if not isinstance(value, str) or not value:
            raise self.refuse(path, f"must be text (not empty), is {shown(value)}")
        return value

    def lower(self, value: Any, path: str) -> str:
        """Return the value as lower-case text, or refuse it."""
        lower = ascii_lower(self.text(value, path))
        if value != lower:
            raise self.refuse(path, f"must be in lower case ({shown(lower)}), is {shown(value)}")
        return cast("str", value)

    def lowers(self, value: Any, path: str) -> Sequence[str]:
        """Return the value as a list of lower-case words, or refuse it."""
        return [self.lower(word, f"{path}[{index}]") for index, word in enumerate(self.sequence(value, path))]

    def word(self, value: Any, words: Iterable[str], path: str) -> None:
        """Refuse what is none of the words."""
        if value not in words:
            *others, last = map(shown, words)
            allowed = f"one of {', '.join(others)} or {last}" if others else last
            raise self.refuse(path, f"must be {allowed}, is {shown(value)}")

    def instant(self, value: Any, path: str) -> int:
        """Return an RFC 3339 instant in ms UTC, or refuse it."""
        try:
            if isinstance(value, str) and _INSTANT.fullmatch(value):
                return instant(value)
        except (ValueError, OverflowError):
            pass  # a day that no calendar has
        rule = f'must be an instant such as "2026-11-22T05:00:00Z" (date, time and Z for UTC), is {shown(value)}'
        raise self.refuse(path, rule)

    def span(self, entry: Mapping[str, Any], path: str) -> tuple[int, int]:
        """Return from when until when (ms UTC) an entry holds; refuse one that ends before it begins."""
        start = self.instant(entry["from"], f"{path}.from") if "from" in entry else -FOREVER
        until = self.instant(entry["until"], f"{path}.until") if "until" in entry else FOREVER
        if start >= until:
            rule = f"must be after from ({shown(entry['from'])}), is {shown(entry['until'])}"
            raise self.refuse(f"{path}.until", rule)
        return start, until

    def integer(self, value: Any, low: int, high: int, path: str, meaning: str = "") -> int:
        """Return an integer in [low, high], or refuse it (a bool and 1.0 are none); ``meaning`` says what it counts."""
        if type(value) is not int or not low <= value <= high:
            of = f" ({meaning})" if meaning else ""
            raise self.refuse(path, f"must be an integer from {low} to {high}{of}, is {shown(value)}")
        return value

    def header(self, book: Mapping[str, Any]) -> None:
        """Refuse a header of another format, currency or scale, and all that stands in it and breaks a rule."""
        self.known(book, HEADER_KEYS, "")
        self.head(book, ("schema", "currency", "scale", "id", "version", "generated_at"))
        for index, name in enumerate(self.sequence(book.get("x-accepted-jumps", []), "x-accepted-jumps")):
            self.text(name, f"x-accepted-jumps[{index}]")
        providers = self.providers(book.get("providers"))
        self.one_owner(providers)
        self.calendars(book.get("calendars", {}))
        self.multipliers(book.get("multipliers", []), providers)

    def head(self, book: Mapping[str, Any], keys: Iterable[str]) -> None:
        """Refuse what is wrong in these keys of a header, and in its sources."""
        for key in keys:
            value = book.get(key)
            if key in _FIXED:
                wanted = _FIXED[key]
                if type(value) is not type(wanted) or value != wanted:
                    raise self.refuse(key, f"must be {shown(wanted)}, is {shown(value)}")
            elif key == "generated_at":
                self.instant(value, key)
            else:
                self.text(value, key)
        for index, one in enumerate(self.sequence(book.get("sources", []), "sources")):
            path = f"sources[{index}]"
            source = self.mapping(one, path)
            self.known(source, _SOURCE, path)
            for key in (*_SOURCE_NEEDS, *(("sha256",) if "sha256" in source else ())):
                self.text(source.get(key), f"{path}.{key}")

    def one_owner(self, providers: Mapping[str, Any]) -> None:
        """Refuse a name (or key) and a host that two providers claim."""
        claimed: dict[tuple[str, str], str] = {("names", key): key for key in providers}
        for key in sorted(providers):
            for kind in ("names", "hosts"):
                for index, word in enumerate(providers[key].get(kind, ())):
                    owner = claimed.setdefault((kind, word), key)
                    if owner != key:
                        too = f"which leads to {path_key(owner)} too"
                        rule = f"must lead to one provider alone, is {shown(word)}, {too}"
                        raise self.refuse(f"providers.{path_key(key)}.{kind}[{index}]", rule)

    def providers(self, value: Any) -> Mapping[str, Any]:
        """Return the providers; refuse unknown kinds, and words that are not lower case."""
        entries = self.mapping(value, "providers")
        for key, one in entries.items():
            path = f"providers.{path_key(key)}"
            self.lower(key, path)
            entry = self.mapping(one, path)
            self.known(entry, _PROVIDER, path)
            self.word(entry.get("kind"), KINDS, f"{path}.kind")
            self.word(entry.get("accounting", "inclusive"), ("inclusive", "exclusive"), f"{path}.accounting")
            for alias, word in self.mapping(entry.get("tier_aliases", {}), f"{path}.tier_aliases").items():
                place = f"{path}.tier_aliases.{path_key(alias)}"
                self.lower(alias, place)
                self.lower(word, place)
            self.lowers(entry.get("neutral_tiers", []), f"{path}.neutral_tiers")
            self.lowers(entry.get("names", []), f"{path}.names")
            for index, host in enumerate(self.lowers(entry.get("hosts", []), f"{path}.hosts")):
                if host == "*" or "*" in host[1:]:
                    rule = f'must be a host, or * and the end of hosts ("*.openai.azure.com"), is {shown(host)}'
                    raise self.refuse(f"{path}.hosts[{index}]", rule)
        return entries

    def calendars(self, value: Any) -> Mapping[str, Any]:
        """Return the calendars; refuse another zone than UTC and windows that are none within one day."""
        entries = self.mapping(value, "calendars")
        for name, one in entries.items():
            path = f"calendars.{path_key(name)}"
            entry = self.mapping(one, path)
            self.known(entry, _CALENDAR, path)
            self.word(entry.get("tz"), ("UTC",), f"{path}.tz")
            for index, window in enumerate(self.filled(entry.get("windows"), "window", f"{path}.windows")):
                self._window(window, f"{path}.windows[{index}]")
            for index, day in enumerate(self.sequence(entry.get("weekdays", []), f"{path}.weekdays")):
                self.integer(day, 1, 7, f"{path}.weekdays[{index}]", "Monday to Sunday")
            for index, day in enumerate(self.sequence(entry.get("except_dates", []), f"{path}.except_dates")):
                self.day(day, f"{path}.except_dates[{index}]")
        return entries

    def _window(self, value: Any, path: str) -> None:
        clocks = cast("list[Any]", value) if isinstance(value, list) else []
        if len(clocks) != 2 or not all(isinstance(clock, str) and _CLOCK.fullmatch(clock) for clock in clocks):
            rule = f'must be two times of the day such as ["01:00", "04:00"], is {shown(value)}'
            raise self.refuse(path, rule)
        if clocks[0] >= clocks[1]:
            rule = f"must begin before it ends, within one day (00:00 to 24:00), is {shown(value)}"
            raise self.refuse(path, rule)

    def day(self, value: Any, path: str) -> None:
        """Refuse what is no date YYYY-MM-DD."""
        try:
            if isinstance(value, str) and _DAY.fullmatch(value):
                instant(f"{value}T00:00:00Z")
                return
        except (ValueError, OverflowError):
            pass  # a day that no calendar has
        raise self.refuse(path, f'must be a date that there is, such as "2026-10-01", is {shown(value)}')

    def multipliers(self, value: Any, providers: Mapping[str, Any]) -> None:
        """Refuse multipliers of unknown providers, units or conditions, and ratios that are none."""
        for index, one in enumerate(self.sequence(value, "multipliers")):
            path = f"multipliers[{index}]"
            entry = self.mapping(one, path)
            self.known(entry, _MULTIPLIER, path)
            self.provider(entry.get("p"), providers, f"{path}.p")
            self.lowers(entry.get("ids", []), f"{path}.ids")
            self.ratio(entry.get("ratio"), f"{path}.ratio")
            self.units(entry.get("units"), f"{path}.units")
            self.when(entry.get("when", {}), None, f"{path}.when")

    def provider(self, value: Any, providers: Mapping[str, Any], path: str) -> None:
        """Refuse a provider that the book does not list."""
        if not isinstance(value, str) or value not in providers:
            rule = f"must be the key of a provider, in the book or under providers, is {shown(value)}"
            raise self.refuse(path, rule + meant_provider(value, providers))

    def ratio(self, value: Any, path: str) -> None:
        """Refuse what is no pair of integers between 1 and a million."""
        pair = cast("list[Any]", value) if isinstance(value, list) else []
        if len(pair) != 2:
            rule = f"must be two integers from 1 to {_MAX_RATIO} such as [85, 100], is {shown(value)}"
            raise self.refuse(path, rule)
        for index, part in enumerate(pair):
            self.integer(part, 1, _MAX_RATIO, f"{path}[{index}]")

    def units(self, value: Any, path: str) -> None:
        """Refuse a list that is empty or names an unknown unit."""
        for index, unit in enumerate(self.filled(value, "unit", path)):
            if unit not in UNITS:
                meant = nearest(unit, UNITS) if isinstance(unit, str) else None
                question = f"; did you mean {shown(meant)}?" if meant else f"; allowed are {', '.join(UNITS)}"
                raise self.refuse(f"{path}[{index}]", f"must be a unit, is {shown(unit)}{question}")

    def unit_key(self, key: str, path: str) -> None:
        """Refuse a key that is no unit."""
        if key not in UNITS:
            raise self.refuse(path, no_key(key, UNITS, "is no unit"))

    def when(self, value: Any, calendars: Mapping[str, Any] | None, path: str) -> Mapping[str, Any]:
        """Return conditions; refuse those that are unknown, empty, not lower case, or name no calendar.

        Without ``calendars`` there is no condition of that kind.
        """
        entries = self.mapping(value, path)
        allowed = WHEN_KEYS if calendars is not None else [key for key in WHEN_KEYS if key != "calendar"]
        for key, values in entries.items():
            place = f"{path}.{path_key(key)}"
            if key not in allowed:
                raise self.refuse(place, no_key(key, allowed, "is no condition here"))
            for index, word in enumerate(self.filled(values, "word", place)):
                self.lower(word, f"{place}[{index}]")
            if calendars is not None and key == "calendar" and (len(values) != 1 or values[0] not in calendars):
                known = ", ".join(sorted(calendars)) or "none"
                raise self.refuse(place, f"must be a list of one calendar (there is {known}), is {shown(values)}")
        return entries
