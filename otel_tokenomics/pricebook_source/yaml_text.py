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
_NO_TAG: Final = "must have no tag (quotes make a text), has "


def json_of_yaml(text: str, path: str) -> str:
    """Return YAML as JSON text, numbers as written.

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
        return "null" if node is None else _json(node, path)
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


def _json(node: Any, path: str) -> str:
    kind, value = node.id, node.value
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")
    if kind == "sequence":
        if tag != "!!seq":
            raise _refused(path, node.start_mark, _NO_TAG + tag)
        return f"[{','.join(_json(item, path) for item in value)}]"
    if kind == "mapping":
        if tag != "!!map":
            raise _refused(path, node.start_mark, _NO_TAG + tag)
        entries: dict[str, str] = {}
        for key, inner in value:
            if key.id != "scalar" or key.tag not in (_PLAIN, _TEXT):
                raise _refused(path, key.start_mark, "must be a key of one word or text")
            name = json.dumps(key.value)
            if name in entries:
                raise _refused(path, key.start_mark, f"must be the only key {name} of its object, stands twice")
            entries[name] = _json(inner, path)
        return f"{{{','.join(f'{name}:{inner}' for name, inner in entries.items())}}}"
    if node.tag not in (_PLAIN, _TEXT):
        raise _refused(path, node.start_mark, _NO_TAG + tag)
    if node.tag == _PLAIN and node.style is None:
        if _NUMBER.fullmatch(value):
            return value
        if (word := _WORDS.get(value.lower())) is not None:
            return word
    return json.dumps(value)


def _refused(path: str, mark: Any, rule: str) -> PriceBookError:
    return Checker(path).refuse(f"line {mark.line + 1} column {mark.column + 1}", rule)
