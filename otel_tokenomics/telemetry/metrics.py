"""Metrics that no sampling touches: observable counters over integers of ours, and OpenTelemetry's histograms.

A record on a synchronous counter costs more than the rest of a call together, so counts are added to one dict and
handed over at collection; pico-USD become a double there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from otel_tokenomics.attributes import names
from otel_tokenomics.telemetry import failures
from otel_tokenomics.usage import pico_to_usd

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes

MAX_SERIES: Final = 2000
MAX_TAG_VALUES: Final = 100
MAX_MODELS: Final = 100
OTHER: Final = "__other__"
SCOPE: Final = "otel_tokenomics"

#: One series: pairs of attribute and value, in a fixed order.
Series = tuple[tuple[str, Any], ...]
OVERFLOW: Final[Series] = ((names.OTEL_METRIC_OVERFLOW, True),)

COST: Final = names.METRIC_TOKENOMICS_CLIENT_COST
TOKENS: Final = names.METRIC_TOKENOMICS_CLIENT_TOKENS
REQUESTS: Final = names.METRIC_TOKENOMICS_CLIENT_REQUESTS
UNPRICED: Final = names.METRIC_TOKENOMICS_CLIENT_UNPRICED_TOKENS
SAVINGS: Final = names.METRIC_TOKENOMICS_CLIENT_SAVINGS
FAILURES: Final = names.METRIC_TOKENOMICS_CLIENT_FAILURES
AGE: Final = names.METRIC_TOKENOMICS_PRICEBOOK_AGE
_MONEY: Final = frozenset({COST, SAVINGS})


class Accumulator:
    """Integer sums by metric and series, with a cap of series per metric. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, dict[Series, int]] = {name: {} for name in (COST, TOKENS, REQUESTS, UNPRICED, SAVINGS)}
        self._values: dict[str, set[str]] = {}

    def add(self, entries: Iterable[tuple[str, Series, int]]) -> None:
        """Add amounts (tokens, requests or pico-USD); beyond the cap they go to the overflow series."""
        with self._lock:
            for metric, series, amount in entries:
                sums = self._sums[metric]
                if series not in sums and len(sums) >= MAX_SERIES:
                    series = OVERFLOW
                sums[series] = sums.get(series, 0) + amount

    def bounded(self, key: str, value: str, limit: int) -> str:
        """Return the value while the key has room for another one, then ``__other__``."""
        seen = self._values.setdefault(key, set())
        if value in seen:
            return value
        with self._lock:
            if len(seen) < limit:
                seen.add(value)
                return value
        return OTHER

    def observations(self, metric: str) -> list[Observation]:
        """Return the sums of a metric as OpenTelemetry wants them."""
        with self._lock:
            sums = list(self._sums[metric].items())
        convert: Callable[[int], float] = pico_to_usd if metric in _MONEY else int
        return [Observation(convert(amount), dict(series)) for series, amount in sums]

    def totals(self) -> dict[str, int]:
        """Return each metric's sum over all series, in its integer unit."""
        with self._lock:
            return {metric: sum(sums.values()) for metric, sums in self._sums.items()}


class Instruments:
    """The instruments of one process on the global MeterProvider; made again after a fork.

    A process has one of it, for an observable instrument cannot be registered twice: the second would stay silent.
    """

    def __init__(self, version: str, book_age: Callable[[], tuple[str, float]], optional: Iterable[str] = ()) -> None:
        self._version = version
        self._book_age = book_age
        self._optional = frozenset(optional)
        self._forked = False
        self.accumulator = Accumulator()
        self._histograms: Mapping[str, Any] | None = None
        #: Whether anybody listens to the histograms: building their dimensions costs more than an idle record.
        self.heard = True
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        """A child starts from nothing, on a meter of its own; the parent's callbacks fall silent here."""
        self._lock = threading.Lock()
        self._forked = True
        self.accumulator = Accumulator()
        self._histograms = None
        failures.reset()

    def want(self, optional: Iterable[str]) -> None:
        """Make the optional metrics of a later ``instrument()`` too; those that are made already stay."""
        with self._lock:
            self._optional |= frozenset(optional)
            if self._histograms is not None:
                self._histograms = self._make_histograms(self._meter(), self._histograms)

    def histograms(self) -> Mapping[str, Any]:
        """Return the histograms by name; all instruments are made at the first call of a process."""
        made = self._histograms
        if made is None:
            with self._lock:
                made = self._histograms
                if made is None:
                    meter = self._meter()
                    self._make_observables(meter)
                    made = self._make_histograms(meter, {})
                    self.heard = not all(isinstance(one, metrics.NoOpHistogram) for one in made.values())
                    self._histograms = made
        return made

    def _meter(self) -> metrics.Meter:
        attributes: Attributes = {names.TOKENOMICS_PROCESS_FORKED: True} if self._forked else None
        return metrics.get_meter(SCOPE, self._version, attributes=attributes)

    def _make_histograms(self, meter: metrics.Meter, made: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            name: made.get(name) or meter.create_histogram(name, unit, text, explicit_bucket_boundaries_advisory=bounds)
            for name, (kind, unit, text, bounds) in names.METRICS.items()
            if kind == "histogram" and _wanted(name, self._optional)
        }

    def _make_observables(self, meter: metrics.Meter) -> None:
        mine = self.accumulator
        for name, (kind, unit, text, _buckets) in names.METRICS.items():
            if name == AGE:
                meter.create_observable_gauge(name, [lambda _: self._age(mine)], unit, text)
            elif name == FAILURES:
                meter.create_observable_counter(name, [lambda _: self._failures(mine)], unit, text)
            elif kind == "updowncounter":
                meter.create_observable_up_down_counter(name, [self._callback(name, mine)], unit, text)
            elif kind != "histogram":
                meter.create_observable_counter(name, [self._callback(name, mine)], unit, text)

    def _callback(self, name: str, mine: Accumulator) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _options: mine.observations(name) if mine is self.accumulator else ()

    def _failures(self, mine: Accumulator) -> Iterable[Observation]:
        if mine is self.accumulator:
            for where, number in failures.counts().items():
                yield Observation(number, {names.TOKENOMICS_FAILURE_WHERE: where})

    def _age(self, mine: Accumulator) -> Iterable[Observation]:
        if mine is self.accumulator:
            book, generated = self._book_age()
            yield Observation(time.time() - generated, {names.TOKENOMICS_PRICE_BOOK: book})


_OPTION_OF: Final = {
    names.METRIC_TOKENOMICS_CLIENT_REQUEST_COST: "request.cost",
    names.METRIC_GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK: "time_per_output_chunk",
}


def _wanted(name: str, optional: frozenset[str]) -> bool:
    return name not in _OPTION_OF or _OPTION_OF[name] in optional
