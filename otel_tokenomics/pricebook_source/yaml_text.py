"""YAML as JSON text, by few rules that leave nothing to guess (twin: collector/booksource/yaml.go).

A plain word is a number where JSON has that number, ``true``, ``false`` or null; any other is text as it stands: an
instant, ``no`` and ``010`` are no date, no bool and no octal number. Quoted is always text. A key that stands twice, an
alias and a tag are refused.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, cast

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing.check import Checker

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS: Final = {"true": "true", "false": "false", "null": "null", "~": "null", "": "null"}
_PLAIN: Final = "plain"
_TEXT: Final = "tag:yaml.org,2002:str"


def json_of_yaml(text: str, path: str) -> str:
    """Return YAML as JSON text, numbers as written, keys and values on the lines where they stand.

    Raises:
        PriceBookError: it is no YAML, holds what JSON has no form for, or the package PyYAML is not there.
    """
    try:
        import yaml  # an optional package: JSON needs none
    except ImportError:
        rule = "YAML needs the package PyYAML (pip install PyYAML); JSON is read without it"
        raise Checker(path).refuse("", rule) from None

    class Loader(yaml.BaseLoader):
        """Reads nodes and gives no word a meaning."""

        def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
            is_plain = kind is yaml.ScalarNode and implicit[0]
            return _PLAIN if is_plain else cast("Any", super()).resolve(kind, value, implicit)

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                event = cast("Any", self).peek_event()
                raise _refused(path, event.start_mark, f"must be written out, is the alias *{event.anchor}")
            return cast("Any", super()).compose_node(parent, index)

    try:
        loader: Any = Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        if node is None:
            return "null"
        writer = _Writer(path)
        writer.value(node)
        return "".join(writer.written)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        if mark is None:
            raise Checker(path).refuse("", f"is no YAML: {said}") from None
        raise _refused(path, mark, f"is no YAML: {said}") from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, PriceBookError):
            raise
        raise Checker(path).refuse("", "is no YAML that can be read: too deep") from None


class _Writer:
    """Writes JSON whose keys and values stand on the lines of the YAML, so that one way to find a line serves both."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._line = 0
        self.written: list[str] = []

    def value(self, node: Any) -> None:
        kind, value = node.id, node.value
        own = {"sequence": "!!seq", "mapping": "!!map"}.get(kind, "!!str")
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        if tag not in (own, _PLAIN):
            raise _refused(self._path, node.start_mark, f"must have no tag (quotes make a text), has {tag}")
        self._to_line(node)
        if kind == "sequence":
            self._list(value)
        elif kind == "mapping":
            self._object(value)
        else:
            self.written.append(_scalar(value) if tag == _PLAIN and node.style is None else json.dumps(value))

    def _list(self, items: Any) -> None:
        self.written.append("[")
        for index, item in enumerate(items):
            if index:
                self.written.append(",")
            self.value(item)
        self.written.append("]")

    def _object(self, entries: Any) -> None:
        seen: set[str] = set()
        self.written.append("{")
        for index, (key, inner) in enumerate(entries):
            if key.id != "scalar" or key.tag not in (_PLAIN, _TEXT):
                raise _refused(self._path, key.start_mark, "must be a key of one word or text")
            if key.value in seen:
                rule = f"must be the only key {json.dumps(key.value)} of its object, stands twice"
                raise _refused(self._path, key.start_mark, rule)
            seen.add(key.value)
            if index:
                self.written.append(",")
            self._to_line(key)
            self.written.append(f"{json.dumps(key.value)}:")
            self.value(inner)
        self.written.append("}")

    def _to_line(self, node: Any) -> None:
        self.written.append("\n" * (node.start_mark.line - self._line))
        self._line = max(self._line, node.start_mark.line)


def _scalar(word: str) -> str:
    if _NUMBER.fullmatch(word):
        return word
    return _WORDS.get(word.lower()) or json.dumps(word)


def _refused(path: str, mark: Any, rule: str) -> PriceBookError:
    return Checker(path).refuse(f"line {mark.line + 1} column {mark.column + 1}", rule)
