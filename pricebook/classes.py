"""Say of a model whether it is small, medium, large or frontier, by the rules of ``classes.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, cast

#: Parameters in an id: 8b, 1.5b, 8x7b, 1t. The number after an ``a`` is what is active of a mixture.
_PARAMETERS: Final = re.compile(r"(?<![a-z0-9.])(?:([0-9]+)x)?([0-9]+(?:\.[0-9]+)?)([bt])(?![a-z0-9])")
#: Fireworks writes 3p1 for 3.1.
_POINT: Final = re.compile(r"(?<=[0-9])p(?=[0-9])")
_SMALL: Final = 15
_MEDIUM: Final = 80
_THOUSAND: Final = 1000


class Classes:
    """The rules, ready to be asked."""

    def __init__(self, rules: Mapping[str, Any]) -> None:
        self._unclassed = _words(rules["unclassed"])
        self._rules: list[tuple[re.Pattern[str] | None, str]] = [
            (None, "") if rule == "parameters" else (_words(rule["words"]), rule["class"])
            for rule in cast("list[Any]", rules["rules"])
        ]

    def of(self, name: str) -> str | None:
        """Return the class of a model's id, None where no rule finds one."""
        model = _POINT.sub(".", name.rpartition("/")[2])
        if self._unclassed.search(model):
            return None
        for pattern, found in self._rules:
            if pattern is None:
                if by_size := _by_parameters(model):
                    return by_size
            elif pattern.search(model):
                return found
        return None


def _words(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(words)})(?![a-z])")


def _by_parameters(model: str) -> str | None:
    sizes = [
        int(experts or 1) * Decimal(number) * (_THOUSAND if unit == "t" else 1)
        for experts, number, unit in _PARAMETERS.findall(model)
    ]
    if not sizes:
        return None
    size = max(sizes)
    return "small" if size <= _SMALL else "medium" if size <= _MEDIUM else "large"
