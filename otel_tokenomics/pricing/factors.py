"""Multipliers and discounts: exact fractions on groups of units, rounded half-even once per group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd
from typing import Any, Final, NamedTuple

from otel_tokenomics.usage import MAX_PICO, UNITS, Facts

#: More factors than this on one unit are refused: their product would leave 64 bits.
MAX_FACTORS: Final = 3
Ratio = tuple[int, int]
ONE: Final[Ratio] = (1, 1)
_ORDER: Final[Mapping[str, int]] = {unit: index for index, unit in enumerate(UNITS)}


class Multiplier(NamedTuple):
    """A ratio on named units of a model wherever every condition holds."""

    ratio: Ratio
    units: frozenset[str]
    when: tuple[tuple[str, frozenset[str]], ...]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Multiplier:
        """Return the multiplier of a checked entry."""
        when = tuple((key, frozenset(words)) for key, words in entry.get("when", {}).items())
        return cls((entry["ratio"][0], entry["ratio"][1]), frozenset(entry["units"]), when)

    def holds(self, facts: Facts) -> bool:
        """Return whether the facts meet every condition."""
        for key, words in self.when:  # noqa: SIM110  # a generator costs as much as a small price
            if facts.get(key) not in words:
                return False
        return True


class Discount(NamedTuple):
    """A ratio on the book's rates of one provider; the narrowest ``match`` wins per unit."""

    provider: str
    match: str
    ratio: Ratio
    start: int
    until: int
    units: frozenset[str]
    accounts: frozenset[str]

    def narrowness(self, model: str) -> int:
        """Return how narrow the rule is for a model id: -1 where it does not match, an id above every prefix."""
        if self.match == model:
            return 10_000
        return len(self.match) if self.match.endswith("*") and model.startswith(self.match[:-1]) else -1

    def holds(self, facts: Facts, at_ms: int) -> bool:
        """Return whether the discount is in force at the instant (ms UTC) for the account."""
        return self.start <= at_ms < self.until and (not self.accounts or facts.get("account") in self.accounts)


class Charge(NamedTuple):
    """What amounts come to under their factors: the rounded total, and each unit's share of it."""

    total: int
    shares: Mapping[str, int]


def ratio_of(factors: Sequence[Ratio]) -> Ratio | None:
    """Return the product in lowest terms; None where more than three factors act on one unit."""
    acting = [factor for factor in factors if factor[0] != factor[1]]
    if len(acting) > MAX_FACTORS:
        return None
    num = den = 1
    for above, below in acting:
        num, den = num * above, den * below
    common = gcd(num, den)
    return num // common, den // common


def charge(amounts: Mapping[str, int], ratios: Mapping[str, Ratio | None]) -> Charge | None:
    """Return the amounts (pico-USD by unit) under each unit's ratio; None where anything leaves int64.

    Units of equal ratio are rounded together, half-even, once. Each gets the floor of its share, the largest
    amount of the group the remainder (ties: unit order), so that the shares add up to the total.
    """
    groups: dict[Ratio, tuple[int, int, str]] = {}
    shares: dict[str, int] = {}
    for unit, amount in amounts.items():
        ratio = ratios[unit]
        if ratio is None:
            return None
        share = shares[unit] = amount * ratio[0] // ratio[1]
        if ratio in groups:
            before, floors, largest = groups[ratio]
            most = amounts[largest]
            if amount > most or (amount == most and _ORDER[unit] < _ORDER[largest]):
                largest = unit
            groups[ratio] = before + amount, floors + share, largest
        else:
            groups[ratio] = amount, share, unit
    total = 0
    for (num, den), (before, floors, largest) in groups.items():
        after = half_even(before * num, den)
        if before > MAX_PICO or after > MAX_PICO:
            return None
        shares[largest] += after - floors
        total += after
    return Charge(total, shares) if total <= MAX_PICO else None


def half_even(numerator: int, denominator: int) -> int:
    """Return the quotient rounded to the nearest integer, ties to even."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient & 1))


def ratio_text(ratio: Ratio) -> str | None:
    """Return ``11/10``, or None for a factor of one."""
    return None if ratio[0] == ratio[1] else f"{ratio[0]}/{ratio[1]}"
