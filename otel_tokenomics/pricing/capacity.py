"""Capacity that is paid by the hour: what a unit of it costs, and the rows that it gives the deployments it names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from otel_tokenomics.pricing.factors import half_even
from otel_tokenomics.usage import TOKEN_UNITS

_SECONDS_PER_HOUR: Final = 3600
_ZERO: Final[Mapping[str, int]] = dict.fromkeys((*TOKEN_UNITS, "request"), 0)


class Capacity(NamedTuple):
    """One checked entry: deployments of one provider that share one hourly price.

    ``kind`` is hourly or gpu; ``allocate`` is none, capacity or use. ``pico_per_hour`` is the price of the whole in
    pico-USD, ``start`` and ``until`` are ms UTC, ``when`` its conditions (``account`` among them). ``rates`` are
    pico-USD per unit of an hour that is used in full (of the stated utilization, for GPUs); empty where no throughput
    is stated.
    """

    provider: str
    ids: tuple[str, ...]
    kind: str
    allocate: str
    pico_per_hour: int
    start: int
    until: int
    when: Mapping[str, Sequence[str]]
    rates: Mapping[str, int]

    def meets(self, other: Capacity) -> bool:
        """Return whether both hold for some call of one deployment."""
        apart = any(set(words).isdisjoint(other.when.get(key, words)) for key, words in self.when.items())
        return self.start < other.until and other.start < self.until and not apart


def hourly_rate(pico_per_hour: int, units_per_hour: int) -> int:
    """Return pico-USD per unit of an hour that is used in full, half-even."""
    return half_even(pico_per_hour, units_per_hour)


def gpu_rate(pico_per_hour: int, tokens_per_second: int, utilization: tuple[int, int]) -> int:
    """Return pico-USD per token of GPUs that are busy for a share of the time, half-even in one division."""
    num, den = utilization
    return half_even(pico_per_hour * den, _SECONDS_PER_HOUR * tokens_per_second * num)


def capacity_models(entries: Iterable[tuple[Mapping[str, Any], Capacity]]) -> Mapping[tuple[str, str], Any]:
    """Return the entries as models by (provider, id), one for each deployment.

    Where a report spreads the hour, a call costs an explicit 0: the hour is owed whatever was used of it.
    """
    models: dict[tuple[str, str], Any] = {}
    for entry, one in entries:
        row = {key: entry[key] for key in ("from", "until") if key in entry}
        row |= {
            "when": one.when,
            "rates": one.rates if one.allocate == "capacity" else _ZERO,
            "basis": "allocated",
            "capacity": one,
        }
        for name in one.ids:
            models.setdefault((one.provider, name), {"p": one.provider, "id": name, "rows": []})["rows"].append(row)
    return models
