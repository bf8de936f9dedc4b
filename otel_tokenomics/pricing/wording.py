"""How a refusal tells what was found and what may stand there (twin: collector/pricing/wording.go)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self, cast

_LONGEST: Final = 80
_MOST_ITEMS: Final = 4
#: Longer words are no misspelt key.
_LONGEST_WORD: Final = 64


class WrittenFloat(float):
    """A number of a JSON text that is no integer, with the text that it was written in: 2.50 stays 2.50."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """Read a number as written."""
        number = super().__new__(cls, text)
        number.text = text
        return number


def shown(value: Any) -> str:
    """Return a value as an error quotes it: as JSON, on one line that is not long; None is what is missing."""
    if value is None:
        return "missing"
    if isinstance(value, dict):
        return "{...}" if value else "{}"
    if isinstance(value, list):
        items = cast("list[Any]", value)
        told = ["[...]" if isinstance(item, list) else shown(item) for item in items[:_MOST_ITEMS]]
        return f"[{', '.join([*told, *(('...',) if len(items) > _MOST_ITEMS else ())])}]"
    if isinstance(value, str):
        return f'"{path_key(value)}"'
    return _cut(value.text if isinstance(value, WrittenFloat) else json.dumps(value))


def path_key(key: str) -> str:
    """Return a key as a path names it: what cannot be printed, and quotes, are escaped."""
    return "".join(
        letter if letter.isprintable() and letter not in '"\\' else json.dumps(letter)[1:-1] for letter in _cut(key)
    )


def no_key(key: str, allowed: Iterable[str], what: str = "is no key here") -> str:
    """Return what is wrong with a key: the one that was meant, as far as can be told, else those that may stand."""
    words = list(allowed)
    meant = nearest(key, words)
    return f"{what}; did you mean {meant}?" if meant is not None else f"{what}; allowed are {', '.join(words)}"


def meant_provider(key: Any, providers: Mapping[str, Any]) -> str:
    """Return the question after the provider that was meant: by another name of its own, or by a slip; or nothing."""
    if not isinstance(key, str):
        return ""
    known = sorted(providers)
    named = next((one for one in known if key.lower() in providers[one].get("names", ())), None)
    meant = named or nearest(key, known)
    return f"; did you mean {shown(meant)}?" if meant is not None else ""


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the first of the words that a third of the letters away or less, None where none is."""
    # Of two letters any other two are as near.
    best, least = None, 1 + (max(1, len(word) // 3) if len(word) > 2 else 0)
    if len(word) > _LONGEST_WORD:
        return None
    for one in words:
        away = _distance(word.lower(), one)
        if away < least:
            best, least = one, away
    return best


def _distance(word: str, other: str) -> int:
    """Return how many letters must be put in, left out, changed or swapped with the next to make the other word."""
    before, last = list[int](), list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        row = [i]
        for j, theirs in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != theirs))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == theirs:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
