"""The rules of models and rows: known words, sane rates, one answer for every call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, zip_longest
from typing import Any, Final

from otel_tokenomics.pricing.check import Checker
from otel_tokenomics.pricing.rates import calendar, instant, span
from otel_tokenomics.pricing.wording import path_key, shown
from otel_tokenomics.usage import UNITS

MAX_RATE: Final = 10**15
#: A rate that moves further than this between two books is refused unless the new book says that it is meant.
_LARGEST_MOVE: Final = 10
BASIS_WORDS: Final = ("list", "contracted", "billed", "allocated", "list_equivalent")
_DIGITS: Final = frozenset("0123456789")
_CLASSES: Final = ("small", "medium", "large", "frontier")
_MODEL: Final = ("p", "id", "ids", "prefixes", "class", "retired_at", "rows")
ROW_KEYS: Final = ("from", "until", "when", "rates", "tiers", "src", "verified", "basis")
_FOLLOW: Final = "of rows without when, one must end (until) where the next begins"
_DIFFER: Final = "and nothing decides: they must differ in when, or in from"
_OWN_TIERS: Final = "must be a list [...] of its own ([] for none), since the row without when has tiers, is missing"


class ModelChecker(Checker):
    """Checks models; ``calendars`` and ``providers`` are those that rows may name."""

    def __init__(self, origin: str, calendars: Mapping[str, Any], providers: Mapping[str, Any]) -> None:
        super().__init__(origin)
        self._calendars = calendars
        self._providers = providers
        #: The path of the model that bears a name, or a prefix.
        self._names: dict[tuple[str, str], str] = {}
        self._prefixes: dict[tuple[str, str], str] = {}

    def model(self, value: Any, path: str) -> Mapping[str, Any]:
        """Return one model; refuse one whose rows overlap or leave two answers, or whose id is taken."""
        model = self.mapping(value, path)
        self.known(model, _MODEL, path)
        self.provider(model.get("p"), self._providers, f"{path}.p")
        self._claim(model["p"], self.lower(model.get("id"), f"{path}.id"), self._names, path, ".id")
        for index, name in enumerate(self.lowers(model.get("ids", []), f"{path}.ids")):
            self._claim(model["p"], name, self._names, path, f".ids[{index}]")
        for index, prefix in enumerate(self.lowers(model.get("prefixes", []), f"{path}.prefixes")):
            self._claim(model["p"], prefix, self._prefixes, path, f".prefixes[{index}]")
        if "class" in model:
            self.word(model["class"], _CLASSES, f"{path}.class")
        if "retired_at" in model:
            self.instant(model["retired_at"], f"{path}.retired_at")
        rows = self.filled(model.get("rows"), "row", f"{path}.rows")
        spans = [self._row(row, f"{path}.rows[{index}]") for index, row in enumerate(rows)]
        self._one_answer(rows, spans, path)
        return model

    def _claim(self, provider: str, name: str, taken: dict[tuple[str, str], str], path: str, key: str) -> None:
        other = taken.setdefault((provider, name), path)
        if other is not path:
            rule = f"must be that of one model of {path_key(provider)} alone, is {shown(name)}, which {other} has too"
            raise self.refuse(f"{path}{key}", rule)

    def rates(self, value: Any, path: str) -> Mapping[str, int]:
        """Return rates; refuse unknown units and what is no integer between 0 and 1e15 pico-USD."""
        rates = self.mapping(value, path)
        for unit, rate in rates.items():
            if unit not in UNITS:
                self.unit_key(unit, f"{path}.{path_key(unit)}")
            self.integer(rate, 0, MAX_RATE, f"{path}.{unit}", "pico-USD for one unit")
        return rates

    def _row(self, value: Any, path: str) -> tuple[int, int]:
        row = self.mapping(value, path)
        self.known(row, ROW_KEYS, path)
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
            if self.integer(tier.get("gt"), 0, 2**63 - 1, f"{place}.gt", "input tokens") <= last:
                raise self.refuse(f"{place}.gt", f"must be above the tier before it ({last}), is {tier['gt']}")
            last = tier["gt"]
            self.rates(tier.get("rates"), f"{place}.rates")
        return self.span(row, path)

    def _one_answer(self, rows: Sequence[Any], spans: Sequence[tuple[int, int]], path: str) -> None:
        for (i, first), (j, second) in combinations(enumerate(rows), 2):
            if spans[i][0] >= spans[j][1] or spans[j][0] >= spans[i][1]:
                continue
            one, other = first.get("when", {}), second.get("when", {})
            if not one and not other:
                rule = f"holds at the same time as rows[{i}]: {_FOLLOW}"
                raise self.refuse(f"{path}.rows[{j}]", rule)
            # Rows that ask for other keys, or begin at another time, have an order.
            same = spans[i][0] == spans[j][0] and one.keys() == other.keys()
            if same and all(self._can_meet(key, one[key], other[key]) for key in one):
                rule = f"holds for the same calls as rows[{i}], {_DIFFER}"
                raise self.refuse(f"{path}.rows[{j}]", rule)
        if any(row.get("tiers") for row in rows if not row.get("when")):
            for index, row in enumerate(rows):
                if row.get("when") and "tiers" not in row:
                    raise self.refuse(f"{path}.rows[{index}].tiers", _OWN_TIERS)

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
        rule = f"must not go back behind the book in use ({shown(old[0]['version'])}), is {shown(header['version'])}"
        raise check.refuse("version", rule)
    if instant(header["generated_at"]) < instant(old[0]["generated_at"]):
        before, now = old[0]["generated_at"], header["generated_at"]
        rule = f"must not go back behind the book in use ({shown(before)}), is {shown(now)}"
        raise check.refuse("generated_at", rule)
    if len(models) * 2 < len(old[1]):
        rule = f"must be at least half as many as in the book in use ({len(old[1])}), are {len(models)}"
        raise check.refuse("models", rule)
    accepted = frozenset(header.get("x-accepted-jumps", ()))
    for index, model in enumerate(models):
        name = f"{model['p']}/{model['id']}"
        before = old[1].get((model["p"], model["id"]))
        if before is None or name in accepted:
            continue
        known = {key: rate for key, rate, _ in _rates(before)}
        for key, rate, place in _rates(model):
            was = known.get(key, rate)
            if max(rate, was) > _LARGEST_MOVE * min(rate, was):
                meant = f"if that is right, name {shown(name)} in x-accepted-jumps"
                rule = f"must not move more than {_LARGEST_MOVE} times, moved from {was} to {rate}; {meant}"
                raise check.refuse(f"models[{index}].{place}", rule)


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


def _rates(model: Mapping[str, Any]) -> Iterator[tuple[tuple[str, int | None, int, str], int, str]]:
    """Yield every rate by conditions, start, tier and unit, and its path; start None is the latest of that kind."""
    rows = [(repr(sorted(row.get("when", {}).items())), span(row)[0], row) for row in model["rows"]]
    latest = {conditions: start for conditions, start, _ in sorted(rows, key=lambda row: row[1])}
    for index, (conditions, start, row) in enumerate(rows):
        tables = [(-1, row["rates"], f"rows[{index}]")]
        for number, tier in enumerate(row.get("tiers", ())):
            tables.append((tier["gt"], tier["rates"], f"rows[{index}].tiers[{number}]"))
        for day in (start, None) if latest[conditions] == start else (start,):
            for gt, rates, place in tables:
                for unit, rate in rates.items():
                    yield (conditions, day, gt, unit), rate, f"{place}.rates.{unit}"
