"""On which line of a file a place of a book or overlay stands, and which keys stand twice."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

from otel_tokenomics.pricing.wording import path_key

Key: TypeAlias = str | int
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_LINE: Final = re.compile(r"line ([0-9]+)")
_INDEX: Final = re.compile(r"\[([0-9]+)\]")


class Place(NamedTuple):
    """One value of a file: the line on which it, or its key, begins (from 1), and what stands inside it."""

    line: int
    children: dict[Key, Place]

    def line_of(self, keys: Sequence[Key]) -> int:
        """Return the line of what stands inside under these keys; of the last that is known where one is not."""
        here = self
        for key in keys:
            if key not in here.children:
                break
            here = here.children[key]
        return here.line


class Twice(NamedTuple):
    """A key that an object holds twice: readers take the last and lose the first in silence."""

    line: int
    key: str

    @property
    def rule(self) -> str:
        """Return what a refusal says of it."""
        return f"must be the only key {json.dumps(self.key)} of its object, stands twice"


class _Open:
    """An object or list whose end has not been read; ``key`` is that of the value that comes next."""

    def __init__(self, place: Place, *, is_list: bool) -> None:
        self.place = place
        self.key: Key | None = 0 if is_list else None
        self.line: int | None = None


def json_places(text: str) -> tuple[Place, list[Twice]]:
    """Return the places of a JSON text, which was read without an error, and the keys that stand twice."""
    twice: list[Twice] = []
    top = _Open(Place(1, {}), is_list=True)
    around, line, at = [top], 1, 0
    for found in _TOKEN.finditer(text):
        line += text.count("\n", at, found.start())
        at, sign, inside = found.start(), found[0], around[-1]
        if sign in "]}":
            around.pop()
        elif sign == ",":
            inside.key = inside.key + 1 if isinstance(inside.key, int) else None
            inside.line = None
        elif inside.key is None:
            inside.key, inside.line = str(json.loads(sign)), line
            if inside.key in inside.place.children:
                twice.append(Twice(line, inside.key))
        elif sign != ":":
            place = Place(inside.line or line, {})
            inside.place.children[inside.key] = place
            if sign in "{[":
                around.append(_Open(place, is_list=sign == "["))
    return top.place.children.get(0, top.place), twice


def line_of(text: str, place: str) -> int:
    """Return the line (from 1) of the place that a refusal of a JSON text names."""
    if found := _LINE.match(place):
        return int(found[1])
    return json_places(text)[0].line_of(keys_of(json.loads(text), place)[0])


def keys_of(document: Any, path: str) -> tuple[list[Key], str]:
    """Return the keys that an error's path names in a document, and the rest of the path that is not in it.

    A key may hold dots, so the longest one that fits is meant: ``aliases.azure.ai.openai.my-deployment``.
    """
    keys: list[Key] = []
    here, rest = document, path
    while rest:
        key: Key | None = None
        if isinstance(here, list):
            index = _INDEX.match(rest)
            if index is None or int(index[1]) >= len(cast("list[Any]", here)):
                break
            key, rest = int(index[1]), rest[index.end() :]
        elif isinstance(here, dict):
            text = rest.removeprefix(".")
            fitting = [one for one in cast("Mapping[str, Any]", here) if _begins(text, path_key(one))]
            if not fitting:
                break
            key = max(fitting, key=len)
            rest = text[len(path_key(key)) :]
        else:
            break
        keys.append(key)
        here = cast("Any", here)[key]
    return keys, rest.removeprefix(".")


def _begins(path: str, key: str) -> bool:
    return path.startswith(key) and path[len(key) : len(key) + 1] in ("", ".", "[", " ")
