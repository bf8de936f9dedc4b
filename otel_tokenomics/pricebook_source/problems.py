"""Every rule that a book or overlay breaks, each with its line: the loader itself stops at the first.

It is asked again and again, each time without what it refused before, so that there is one set of rules and of
words. What is refused only because something was taken out is not told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source.places import Key, Place, json_places, keys_of
from otel_tokenomics.pricing.check import SCHEMA
from otel_tokenomics.pricing.wording import path_key

#: More are not looked for: somebody gave another file than was meant.
MAX_PROBLEMS: Final = 50
_LINE: Final = re.compile(r"\bline ([0-9]+)")
#: In these a row is no row any more without them, or meets another one.
_OF_A_WHOLE_ROW: Final = ("from", "until", "when", "tiers")
#: What stands in for a refused value that the others need.
_NEEDED: Final[Mapping[str, Any]] = {
    "schema": SCHEMA, "currency": "USD", "scale": 12, "id": "book", "version": "0",
    "generated_at": "1970-01-01T00:00:00Z",
}  # fmt: skip
_NEEDED_ENTRY: Final[Mapping[str, Any]] = {
    "providers": {"kind": "host"},
    "calendars": {"tz": "UTC", "windows": [["00:00", "24:00"]]},
}
#: A row needs a rate: what stands in for a refused one.
_NEEDED_RATE: Final[Mapping[str, Any]] = {"rates": 1, "usd_per_million": "1", "usd_each": "1"}


class Problem(NamedTuple):
    """One broken rule: the line of the file (from 1), the place by its path, the rule."""

    line: int
    place: str
    rule: str


def problems_of(text: str, check: Callable[[str], object]) -> list[Problem]:
    """Return what is wrong with a book or overlay, in the order of lines; empty where nothing is.

    Args:
        text: the file, as JSON.
        check: loads such a text, or raises PriceBookError.
    """
    try:
        document = json.loads(text)
        places, twice = json_places(text)
    except (ValueError, RecursionError):
        return [_unreadable(text, check)]
    found = [Problem(one.line, one.key, one.rule) for one in twice]
    found += _Search(document, places, check).run()
    return sorted(found, key=lambda problem: problem.line)


def _unreadable(text: str, check: Callable[[str], object]) -> Problem:
    try:
        check(text)
    except PriceBookError as error:
        line = _LINE.search(str(error))
        return Problem(int(line[1]) if line else 1, error.place, error.rule or str(error))
    return Problem(1, "", "cannot be read")


class _Search:
    """One run over a document, which is taken apart."""

    def __init__(self, document: Any, places: Place, check: Callable[[str], object]) -> None:
        self._document, self._places, self._check = document, places, check
        #: Paths of what was taken out or replaced, in the keys of the file.
        self._gone: list[tuple[Key, ...]] = []
        #: The indexes in the file of a list's items, once one was taken out.
        self._indexes: dict[int, list[int]] = {}
        self._replaced: set[tuple[Key, ...]] = set()

    def run(self) -> list[Problem]:
        found: list[Problem] = []
        while len(found) < MAX_PROBLEMS:
            try:
                self._check(json.dumps(self._document))
            except PriceBookError as error:
                keys, rest = keys_of(self._document, error.place)
                written = self._written(keys)
                whole = (*written, rest) if rest else written
                # What an object lacks may be what stood there under a misspelt key.
                within = written or whole
                if not any(gone[: len(within)] == within for gone in self._gone):
                    found.append(Problem(self._places.line_of(written), _path(whole), error.rule or str(error)))
                    self._gone.append(whole)
                if not self._take_out(keys, rest):
                    break
            else:
                break
        return found

    def _written(self, keys: list[Key]) -> tuple[Key, ...]:
        """Return the keys as the file has them: items of a list before these may be gone."""
        written: list[Key] = []
        here = self._document
        for key in keys:
            indexes = self._indexes.get(id(here))
            written.append(indexes[key] if indexes is not None and isinstance(key, int) else key)
            here = here[key]
        return tuple(written)

    def _take_out(self, keys: list[Key], rest: str) -> bool:
        """Take out what was refused, so that the rest can be checked; return False where nothing can be."""
        if not keys and rest in _NEEDED:
            keys = [rest]
        if not keys:
            return False
        if "rows" in keys and any(word in keys for word in _OF_A_WHOLE_ROW):
            keys = keys[: keys.index("rows") + 2]
        *way, last = keys
        around = self._document
        for key in way:
            around = around[key]
        written = self._written(keys) if not rest or len(keys) > 1 else tuple(keys)
        substitute = _NEEDED.get(str(last)) if not way else None
        if len(keys) == 2:
            substitute = _NEEDED_ENTRY.get(str(way[0]))
        elif way and "rows" in way:
            substitute = _NEEDED_RATE.get(str(way[-1]))
        if substitute is not None and written not in self._replaced:
            self._replaced.add(written)
            around[last] = json.loads(json.dumps(substitute))
        elif isinstance(around, list):
            items = cast("list[Any]", around)
            del self._indexes.setdefault(id(items), list(range(len(items))))[int(last)]
            del items[int(last)]
        else:
            return around.pop(last, around) is not around
        return True


def _path(keys: tuple[Key, ...]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{path_key(key)}" for key in keys).lstrip(".")
