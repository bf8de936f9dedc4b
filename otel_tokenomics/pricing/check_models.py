"""The rules of models and rows: known words, sane rates, one answer for every call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, zip_longest
from typing import Any, Final

from otel_tokenomics.pricing.check import Checker
from otel_tokenomics.pricing.rates import calendar, instant, span
from otel_tokenomics.usage import UNITS

MAX_RATE: Final = 10**15
#: A rate that moves further than this between two books is refused unless the new book says that it is meant.
_LARGEST_MOVE: Final = 10
BASIS_WORDS: Final = ("list", "contracted", "billed", "allocated", "list_equivalent")
_DIGITS: Final = frozenset("0123456789")
_CLASSES: Final = ("small", "medium", "large", "frontier")
_MODEL: Final = ("p", "id", "ids", "prefixes", "class", "retired_at", "rows")
_ROW: Final = ("from", "until", "when", "rates", "tiers", "src", "verified", "basis")


class ModelChecker(Checker):
    """Checks models; ``calendars`` and ``providers`` are those that rows may name."""

    def __init__(self, origin: str, calendars: Mapping[str, Any], providers: Mapping[str, Any]) -> None:
        super().__init__(origin)
        self._calendars = calendars
        self._providers = providers
        self._names: set[tuple[str, str]] = set()
        self._prefixes: set[tuple[str, str]] = set()

    def model(self, value: Any, path: str) -> Mapping[str, Any]:
        """Return one model; refuse one whose rows overlap or leave two answers, or whose id is taken."""
        model = self.mapping(value, path)
        self.known(model, _MODEL, path)
        self.provider(model.get("p"), self._providers, f"{path}.p")
        for name in (self.lower(model.get("id"), f"{path}.id"), *self.lowers(model.get("ids", []), f"{path}.ids")):
            if (model["p"], name) in self._names:
                raise self.refuse(f"{path}.id", f"{model['p']}/{name} stands twice")
            self._names.add((model["p"], name))
        for prefix in self.lowers(model.get("prefixes", []), f"{path}.prefixes"):
            if (model["p"], prefix) in self._prefixes:
                raise self.refuse(f"{path}.prefixes", f"{prefix!r} of {model['p']} stands twice")
            self._prefixes.add((model["p"], prefix))
        if "class" in model:
            self.word(model["class"], _CLASSES, f"{path}.class")
        if "retired_at" in model:
            self.instant(model["retired_at"], f"{path}.retired_at")
        rows = self.sequence(model.get("rows"), f"{path}.rows")
        if not rows:
            raise self.refuse(f"{path}.rows", "must not be empty")
        spans = [self._row(row, f"{path}.rows[{index}]") for index, row in enumerate(rows)]
        self._one_answer(rows, spans, path)
        return model

    def rates(self, value: Any, path: str) -> Mapping[str, int]:
        """Return rates; refuse unknown units and what is no integer between 0 and 1e15 pico-USD."""
        rates = self.mapping(value, path)
        for unit, rate in rates.items():
            if unit not in UNITS:
                raise self.refuse(f"{path}.{unit}", "unknown unit")
            self.integer(rate, 0, MAX_RATE, f"{path}.{unit}")
        return rates

    def _row(self, value: Any, path: str) -> tuple[int, int]:
        row = self.mapping(value, path)
        self.known(row, _ROW, path)
        self.rates(row.get("rates"), f"{path}.rates")
        self.when(row.get("when", {}), self._calendars, f"{path}.when")
        if "basis" in row:
            self.word(row["basis"], BASIS_WORDS, f"{path}.basis")
        if "verified" in row:
            self.day(row["verified"], f"{path}.verified")
        for index, source in enumerate(self.sequence(row.get("src", []), f"{path}.src")):
            self.text(source, f"{path}.src[{index}]")
        last = -1
        for index, one in enumerate(self.sequence(row.get("tiers", []), f"{path}.tiers")):
            place = f"{path}.tiers[{index}]"
            tier = self.mapping(one, place)
            self.known(tier, ("gt", "rates"), place)
            if self.integer(tier.get("gt"), 0, 2**63 - 1, f"{place}.gt") <= last:
                raise self.refuse(f"{place}.gt", "must be above the tier before it")
            last = tier["gt"]
            self.rates(tier.get("rates"), f"{place}.rates")
        return self.span(row, path)

    def _one_answer(self, rows: Sequence[Any], spans: Sequence[tuple[int, int]], path: str) -> None:
        for (i, first), (j, second) in combinations(enumerate(rows), 2):
            if spans[i][0] >= spans[j][1] or spans[j][0] >= spans[i][1]:
                continue
            one, other = first.get("when", {}), second.get("when", {})
            if not one and not other:
                raise self.refuse(f"{path}.rows[{j}]", f"overlaps rows[{i}]")
            # Rows that ask for other keys, or begin at another time, have an order.
            same = spans[i][0] == spans[j][0] and one.keys() == other.keys()
            if same and all(self._can_meet(key, one[key], other[key]) for key in one):
                raise self.refuse(f"{path}.rows[{j}]", f"is as good a choice as rows[{i}]")
        if any(row.get("tiers") for row in rows if not row.get("when")):
            for index, row in enumerate(rows):
                if row.get("when") and "tiers" not in row:
                    raise self.refuse(f"{path}.rows[{index}].tiers", "must be stated, the base row has tiers")

    def _can_meet(self, key: str, one: Sequence[str], other: Sequence[str]) -> bool:
        """Return whether some call satisfies both: a word in common, or a moment of two calendars."""
        if key != "calendar":
            return bool(set(one) & set(other))
        first, second = (calendar(self._calendars[names[0]]) for names in (one, other))
        return bool(first.weekdays & second.weekdays) and any(
            ours[0] < theirs[1] and theirs[0] < ours[1] for ours in first.windows for theirs in second.windows
        )


def refuse_a_step_back(
    check: Checker,
    new: tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]],
    old: tuple[Mapping[str, Any], Mapping[tuple[str, str], Mapping[str, Any]]],
) -> None:
    """Refuse a book that cannot be the next version of the one in use.

    Args:
        check: names the origin.
        new: header and models of the new book.
        old: header and models by (provider, id) of the book in use.

    Raises:
        PriceBookError: the version or date goes back, half of the models are gone, or a rate moved more than
            tenfold without standing in ``x-accepted-jumps``.
    """
    header, models = new
    if _older(header["version"], old[0]["version"]):
        raise check.refuse("version", f"{header['version']} goes back behind {old[0]['version']}")
    if instant(header["generated_at"]) < instant(old[0]["generated_at"]):
        raise check.refuse("generated_at", f"{header['generated_at']} goes back behind {old[0]['generated_at']}")
    if len(models) * 2 < len(old[1]):
        raise check.refuse("models", f"has {len(models)} models, the book in use {len(old[1])}")
    accepted = frozenset(header.get("x-accepted-jumps", ()))
    for index, model in enumerate(models):
        before = old[1].get((model["p"], model["id"]))
        if before is None or f"{model['p']}/{model['id']}" in accepted:
            continue
        known = _rates(before)
        for key, rate in _rates(model).items():
            was = known.get(key, rate)
            if max(rate, was) > _LARGEST_MOVE * min(rate, was):
                place = f"models[{index}] ({model['p']}/{model['id']}): rates.{key[-1]}"
                raise check.refuse(place, f"moved from {was} to {rate}, more than tenfold; see x-accepted-jumps")


def _older(version: str, than: str) -> bool:
    """Return whether a dotted version comes before another one; numbers count by value."""
    for one, other in zip_longest(version.split("."), than.split("."), fillvalue=""):
        ours, theirs = one, other
        if _DIGITS.issuperset(one) and _DIGITS.issuperset(other):
            ours, theirs = one.lstrip("0"), other.lstrip("0")
            if len(ours) != len(theirs):
                return len(ours) < len(theirs)
        if ours != theirs:
            return ours < theirs
    return False


def _rates(model: Mapping[str, Any]) -> Mapping[tuple[str, int | None, int, str], int]:
    """Return every rate by conditions, start, tier and unit; start None is the latest row of its conditions."""
    found: dict[tuple[str, int | None, int, str], int] = {}
    rows = sorted(model["rows"], key=lambda row: span(row)[0])
    for row in rows:
        conditions = repr(sorted(row.get("when", {}).items()))
        for start in (span(row)[0], None):
            if start is None:
                found = {key: rate for key, rate in found.items() if key[:2] != (conditions, None)}
            for gt, rates in ((-1, row["rates"]), *((tier["gt"], tier["rates"]) for tier in row.get("tiers", ()))):
                found |= {(conditions, start, gt, unit): rate for unit, rate in rates.items()}
    return found
