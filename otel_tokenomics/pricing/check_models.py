"""The rules of models and rows: known words, sane rates, one answer for every call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from otel_tokenomics.pricing.check import Checker
from otel_tokenomics.pricing.rates import span
from otel_tokenomics.usage import UNITS

MAX_RATE: Final = 10**15
#: A rate that moves further than this between two books is refused unless the new book says that it is meant.
_LARGEST_MOVE: Final = 10
BASIS_WORDS: Final = ("list", "contracted", "billed", "allocated", "list_equivalent")
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

    def model(self, value: Any, path: str) -> Mapping[str, Any]:
        """Return one model; refuse one whose rows overlap or leave two answers, or whose id is taken."""
        model = self.mapping(value, path)
        self.known(model, _MODEL, path)
        self.provider(model.get("p"), self._providers, f"{path}.p")
        for name in (self.lower(model.get("id"), f"{path}.id"), *self.lowers(model.get("ids", []), f"{path}.ids")):
            if (model["p"], name) in self._names:
                raise self.refuse(f"{path}.id", f"{model['p']}/{name} stands twice")
            self._names.add((model["p"], name))
        self.lowers(model.get("prefixes", []), f"{path}.prefixes")
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
            if same and all(set(one[key]) & set(other[key]) for key in one):
                raise self.refuse(f"{path}.rows[{j}]", f"is as good a choice as rows[{i}]")
        if any(row.get("tiers") for row in rows if not row.get("when")):
            for index, row in enumerate(rows):
                if row.get("when") and "tiers" not in row:
                    raise self.refuse(f"{path}.rows[{index}].tiers", "must be stated, the base row has tiers")


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
    for key in ("version", "generated_at"):
        if header[key] < old[0][key]:
            raise check.refuse(key, f"{header[key]} goes back behind {old[0][key]}")
    if len(models) * 2 < len(old[1]):
        raise check.refuse("models", f"has {len(models)} models, the book in use {len(old[1])}")
    accepted = frozenset(header.get("x-accepted-jumps", ()))
    for index, model in enumerate(models):
        before = old[1].get((model["p"], model["id"]))
        if before is None or f"{model['p']}/{model['id']}" in accepted:
            continue
        rates = _latest(before)
        for key, latest in _latest(model).items():
            for unit, rate in latest.items():
                was = rates.get(key, {}).get(unit, rate)
                if max(rate, was) > _LARGEST_MOVE * min(rate, was):
                    place = f"models[{index}] ({model['p']}/{model['id']}): rates.{unit}"
                    raise check.refuse(place, f"moved from {was} to {rate}, more than tenfold; see x-accepted-jumps")


def _latest(model: Mapping[str, Any]) -> Mapping[str, Mapping[str, int]]:
    """Return the newest rates by condition."""
    rows = sorted(model["rows"], key=lambda row: span(row)[0])
    return {repr(sorted(row.get("when", {}).items())): row["rates"] for row in rows}
