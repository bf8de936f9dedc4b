"""What makes a price book or an overlay refused; the message names the origin, the place and the rule."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing.names import ascii_lower
from otel_tokenomics.pricing.rates import FOREVER, instant
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
_SHOWN: Final = 80


def shown(value: object) -> str:
    """Return a value as an error may quote it: never longer than a line."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


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
            content = json.loads(text, parse_constant=self._no_number)
        except PriceBookError:
            raise
        except json.JSONDecodeError as error:
            raise self.refuse(f"line {error.lineno} column {error.colno}", f"is no JSON: {error.msg}") from None
        except (RecursionError, ValueError):
            raise self.refuse("", "is no JSON that can be read: too deep, or a number too long") from None
        self._no_nulls(content, "")
        return self.mapping(content, "")

    def _no_number(self, word: str) -> float:
        raise self.refuse("", f"is no JSON: {word}")

    def _no_nulls(self, value: Any, path: str) -> None:
        """Refuse null, which is neither a value nor its absence; what stands under ``x-*`` is free."""
        if value is None:
            raise self.refuse(path, "must not be null")
        if isinstance(value, dict):
            for key, inner in cast("dict[str, Any]", value).items():
                if not key.startswith("x-"):
                    self._no_nulls(inner, f"{path}.{shown(key)[1:-1]}".lstrip("."))
        elif isinstance(value, list):
            for index, inner in enumerate(cast("list[Any]", value)):
                self._no_nulls(inner, f"{path}[{index}]")

    def known(self, entry: Mapping[str, Any], keys: Iterable[str], path: str) -> None:
        """Refuse keys that the format does not know; ``x-*`` is free."""
        for key in entry:
            if key not in keys and not key.startswith("x-"):
                raise self.refuse(f"{path}.{shown(key)[1:-1]}".lstrip("."), "unknown key")

    def mapping(self, value: Any, path: str) -> Mapping[str, Any]:
        """Return the value as an object, or refuse it."""
        if not isinstance(value, dict):
            raise self.refuse(path, "must be an object")
        return cast("Mapping[str, Any]", value)

    def sequence(self, value: Any, path: str) -> Sequence[Any]:
        """Return the value as a list, or refuse it."""
        if not isinstance(value, list):
            raise self.refuse(path, "must be a list")
        return cast("Sequence[Any]", value)

    def text(self, value: Any, path: str) -> str:
        """Return the value as text that is not empty, or refuse it."""
        if not isinstance(value, str) or not value:
            raise self.refuse(path, f"must be text, is {shown(value)}")
        return value

    def lower(self, value: Any, path: str) -> str:
        """Return the value as lower-case text, or refuse it."""
        if self.text(value, path) != ascii_lower(value):
            raise self.refuse(path, f"must be lower case, is {shown(value)}")
        return cast("str", value)

    def lowers(self, value: Any, path: str) -> Sequence[str]:
        """Return the value as a list of lower-case words, or refuse it."""
        return [self.lower(word, f"{path}[{index}]") for index, word in enumerate(self.sequence(value, path))]

    def word(self, value: Any, words: Iterable[str], path: str) -> None:
        """Refuse what is none of the words."""
        if value not in words:
            raise self.refuse(path, f"must be one of {', '.join(words)}, is {shown(value)}")

    def instant(self, value: Any, path: str) -> int:
        """Return an RFC 3339 instant in ms UTC, or refuse it."""
        try:
            if isinstance(value, str) and _INSTANT.fullmatch(value):
                return instant(value)
        except (ValueError, OverflowError):
            pass  # a day that no calendar has
        raise self.refuse(path, f"must be an RFC 3339 instant with time, in UTC (...Z), is {shown(value)}")

    def span(self, entry: Mapping[str, Any], path: str) -> tuple[int, int]:
        """Return from when until when (ms UTC) an entry holds; refuse one that ends before it begins."""
        start = self.instant(entry["from"], f"{path}.from") if "from" in entry else -FOREVER
        until = self.instant(entry["until"], f"{path}.until") if "until" in entry else FOREVER
        if start >= until:
            raise self.refuse(f"{path}.until", "must be after from")
        return start, until

    def integer(self, value: Any, low: int, high: int, path: str) -> int:
        """Return an integer in [low, high], or refuse it (a bool and 1.0 are none)."""
        if type(value) is not int:
            raise self.refuse(path, f"must be an integer, is {shown(value)}")
        if not low <= value <= high:
            raise self.refuse(path, f"must be between {low} and {high}, is {shown(value)}")
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
                    raise self.refuse(key, f"must be {wanted!r}, is {shown(value)}")
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
                for word in providers[key].get(kind, ()):
                    if claimed.setdefault((kind, word), key) != key:
                        rule = f"{word!r} belongs to {claimed[kind, word]} already"
                        raise self.refuse(f"providers.{key}.{kind}", rule)

    def providers(self, value: Any) -> Mapping[str, Any]:
        """Return the providers; refuse unknown kinds, and words that are not lower case."""
        entries = self.mapping(value, "providers")
        for key, one in entries.items():
            path = f"providers.{key}"
            entry = self.mapping(one, path)
            self.known(entry, _PROVIDER, path)
            self.lower(key, path)
            self.word(entry.get("kind"), KINDS, f"{path}.kind")
            self.word(entry.get("accounting", "inclusive"), ("inclusive", "exclusive"), f"{path}.accounting")
            for alias, word in self.mapping(entry.get("tier_aliases", {}), f"{path}.tier_aliases").items():
                self.lower(alias, f"{path}.tier_aliases")
                self.lower(word, f"{path}.tier_aliases.{alias}")
            self.lowers(entry.get("neutral_tiers", []), f"{path}.neutral_tiers")
            self.lowers(entry.get("names", []), f"{path}.names")
            for host in self.lowers(entry.get("hosts", []), f"{path}.hosts"):
                if host == "*" or "*" in host[1:]:
                    raise self.refuse(f"{path}.hosts", "must be a host, or a suffix after one leading *")
        return entries

    def calendars(self, value: Any) -> Mapping[str, Any]:
        """Return the calendars; refuse another zone than UTC and windows that are none within one day."""
        entries = self.mapping(value, "calendars")
        for name, one in entries.items():
            path = f"calendars.{name}"
            entry = self.mapping(one, path)
            self.known(entry, _CALENDAR, path)
            self.word(entry.get("tz"), ("UTC",), f"{path}.tz")
            if not self.sequence(entry.get("windows"), f"{path}.windows"):
                raise self.refuse(f"{path}.windows", "must not be empty")
            for index, window in enumerate(entry["windows"]):
                place = f"{path}.windows[{index}]"
                clocks = self.sequence(window, place)
                if len(clocks) != 2 or not all(isinstance(clock, str) and _CLOCK.fullmatch(clock) for clock in clocks):
                    raise self.refuse(place, 'must be two times of the day such as ["01:00", "04:00"]')
                if clocks[0] >= clocks[1]:
                    raise self.refuse(place, "must end after it begins, on the same day")
            for day in self.sequence(entry.get("weekdays", []), f"{path}.weekdays"):
                self.integer(day, 1, 7, f"{path}.weekdays")
            for day in self.sequence(entry.get("except_dates", []), f"{path}.except_dates"):
                self.day(day, f"{path}.except_dates")
        return entries

    def day(self, value: Any, path: str) -> None:
        """Refuse what is no date YYYY-MM-DD."""
        if not _DAY.fullmatch(self.text(value, path)):
            raise self.refuse(path, f"must be a date YYYY-MM-DD, is {shown(value)}")
        self.instant(f"{value}T00:00:00Z", path)

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
            if "calendar" in self.when(entry.get("when", {}), {}, f"{path}.when"):
                raise self.refuse(f"{path}.when.calendar", "a multiplier has no calendar")

    def provider(self, value: Any, providers: Mapping[str, Any], path: str) -> None:
        """Refuse a provider that the book does not list."""
        if self.text(value, path) not in providers:
            raise self.refuse(path, f"unknown provider {shown(value)}")

    def ratio(self, value: Any, path: str) -> None:
        """Refuse what is no pair of integers between 1 and a million."""
        pair = self.sequence(value, path)
        if len(pair) != 2:
            raise self.refuse(path, "must be two integers")
        for part in pair:
            self.integer(part, 1, 10**6, path)

    def units(self, value: Any, path: str) -> None:
        """Refuse a list that is empty or names an unknown unit."""
        if not self.sequence(value, path):
            raise self.refuse(path, "must not be empty")
        for unit in value:
            if unit not in UNITS:
                raise self.refuse(path, f"unknown unit {shown(unit)}")

    def when(self, value: Any, calendars: Mapping[str, Any], path: str) -> Mapping[str, Any]:
        """Return conditions; refuse those that are unknown, empty, not lower case, or name no calendar."""
        entries = self.mapping(value, path)
        for key, values in entries.items():
            if key not in WHEN_KEYS:
                raise self.refuse(f"{path}.{shown(key)[1:-1]}", "unknown key")
            words = self.lowers(values, f"{path}.{key}")
            if not words:
                raise self.refuse(f"{path}.{key}", "must not be empty")
            if key == "calendar" and (len(words) != 1 or words[0] not in calendars):
                raise self.refuse(f"{path}.{key}", f"must name one calendar of the book, is {shown(words)}")
        return entries
