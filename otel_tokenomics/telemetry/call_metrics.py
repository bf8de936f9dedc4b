"""A settled call in the metrics: our counters, whatever the sampling, and OpenTelemetry's histograms."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from otel_tokenomics.attributes import names
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import Cost
from otel_tokenomics.telemetry import metrics
from otel_tokenomics.telemetry.settled_call import INPUT_UNITS, OUTPUT_UNITS, SettledCall
from otel_tokenomics.usage import TOKEN_UNITS, pico_to_usd

_NO_COUNTS: Final[Mapping[str, int]] = {}
_CACHED: Final = 1024
#: Of a raw model name, in characters.
MAX_MODEL_NAME: Final = 256


class _CallSeries:
    """The series that one kind of call adds to. Made once per kind: building them costs more than adding to them."""

    __slots__: Final = ("_tokens", "base", "money", "status")

    def __init__(
        self, provider: str, operation: str, model: str | None, tags: metrics.Series, source: str | None,
        basis: str | None, status: str, reason: str | None, end: str, error_type: str | None,
    ) -> None:  # fmt: skip
        own = ((names.TOKENOMICS_PRICE_MODEL, model),) if model else ()
        self.base: metrics.Series = (
            (names.GEN_AI_PROVIDER_NAME, provider),
            (names.GEN_AI_OPERATION_NAME, operation),
            *own,
            *tags,
        )
        self.money: metrics.Series = (
            *self.base,
            (names.TOKENOMICS_COST_CURRENCY, "USD"),
            (names.TOKENOMICS_COST_SOURCE, source),
            (names.TOKENOMICS_COST_BASIS, basis),
        )
        # Without pricing there is no status: the collector will have one.
        optional = (
            (names.TOKENOMICS_COST_STATUS, status),
            (names.TOKENOMICS_COST_REASON, reason),
            (names.ERROR_TYPE, error_type),
        )
        self.status: metrics.Series = (
            *self.base,
            (names.TOKENOMICS_CALL_END, end),
            *[(name, value) for name, value in optional if value],
        )
        self._tokens: dict[str, metrics.Series] = {}

    def tokens(self, unit: str) -> metrics.Series:
        """Return the series of a token unit."""
        series = self._tokens.get(unit)
        if series is None:
            series = self._tokens[unit] = (*self.base, (names.TOKENOMICS_TOKEN_CLASS, unit))
        return series


_series_of: Final = functools.lru_cache(_CACHED)(_CallSeries)


class CallMetrics:
    """Counts calls, by the settings ``metric_tags`` and ``metrics_optional``."""

    def __init__(self, settings: Settings, instruments: metrics.Instruments) -> None:
        self.instruments = instruments
        self._by_part = "cost.part" in settings.metrics_optional
        self._tag_dimensions = tuple((names.TOKENOMICS_TAG_PREFIX + tag, tag) for tag in settings.metric_tags)

    def tag_dimensions(self, tags: Mapping[str, str]) -> metrics.Series:
        """Return the tags that are metric dimensions, each value within its cap."""
        bounded = self.instruments.accumulator.bounded
        return tuple(
            [
                (attribute, bounded(tag, tags[attribute], metrics.MAX_TAG_VALUES))
                for attribute, tag in self._tag_dimensions
                if attribute in tags
            ]
        )

    def record(self, call: SettledCall, tags: Mapping[str, str]) -> None:
        """Count a call in every metric it belongs to; ``tags`` by attribute name."""
        operation, _, choice, outcome, usage, _, cost = call
        histograms = self.instruments.histograms()
        series = _series_of(
            choice.name, operation.name, cost.model, self.tag_dimensions(tags) if tags else (), cost.source,
            cost.basis, cost.status, cost.reason, outcome.end, outcome.error_type,
        )  # fmt: skip
        entries: list[tuple[str, metrics.Series, int]] = [(metrics.REQUESTS, series.status, 1)]
        if cost.total is not None:
            self._money(entries, series, cost, cost.total)
        tokens = 0
        for unit, count in (usage.counts if usage is not None else _NO_COUNTS).items():
            if count and unit in TOKEN_UNITS:
                tokens += count
                entries.append((metrics.TOKENS, series.tokens(unit), count))
        if tokens and cost.status == "unpriced" and cost.reason:
            entries.append((metrics.UNPRICED, self._unpriced(series, call, cost.reason), tokens))
        self.instruments.accumulator.add(entries)
        if self.instruments.heard:
            _histograms(histograms, call)

    def _money(
        self, entries: list[tuple[str, metrics.Series, int]], series: _CallSeries, cost: Cost, total: int
    ) -> None:
        if self._by_part:
            for part, amount in (cost.parts or {"total": total}).items():
                entries.append((metrics.COST, (*series.money, (names.TOKENOMICS_COST_PART, part)), amount))
        else:
            entries.append((metrics.COST, series.money, total))
        for kind, amount in cost.savings.items():
            entries.append((metrics.SAVINGS, (*series.base, (names.TOKENOMICS_SAVINGS_KIND, kind)), amount))

    def _unpriced(self, series: _CallSeries, call: SettledCall, reason: str) -> metrics.Series:
        model = (call.reading.response_model or call.request.model or "")[:MAX_MODEL_NAME]
        model = self.instruments.accumulator.bounded("model", model, metrics.MAX_MODELS)
        return (*series.base, (names.TOKENOMICS_COST_REASON, reason), (names.GEN_AI_REQUEST_MODEL, model))


@functools.lru_cache(_CACHED)
def _dimensions(
    operation: str, provider: str, request_model: str | None, response_model: str | None, host: str | None,
    port: int | None, extra: tuple[str, str] | None = None,
) -> Mapping[str, Any]:  # fmt: skip
    """Return the dimensions of OpenTelemetry's histograms; ``extra`` is one more, as name and value."""
    optional = (
        (names.GEN_AI_REQUEST_MODEL, request_model),
        (names.GEN_AI_RESPONSE_MODEL, response_model),
        (names.SERVER_ADDRESS, host),
        (names.SERVER_PORT, port),
    )
    base: dict[str, Any] = {names.GEN_AI_OPERATION_NAME: operation, names.GEN_AI_PROVIDER_NAME: provider}
    base |= {key: value for key, value in optional if value}
    if extra is not None:
        base[extra[0]] = extra[1]
    return base  # shared, read alone; a plain dict, because the SDK copies it where a console exporter writes it


def _histograms(histograms: Mapping[str, Any], call: SettledCall) -> None:
    operation, request, choice, outcome, usage, reading, cost = call
    key = (operation.name, choice.name, request.model, reading.response_model, request.host, request.port)
    base = _dimensions(*key)
    timed = _dimensions(*key, (names.ERROR_TYPE, outcome.error_type)) if outcome.error_type else base
    if outcome.duration_s is not None:
        histograms[names.METRIC_GEN_AI_CLIENT_OPERATION_DURATION].record(outcome.duration_s, timed)
    if outcome.first_chunk_s is not None:
        histograms[names.METRIC_GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK].record(outcome.first_chunk_s, base)
    if usage is not None and usage.source == "provider":
        tokens = histograms[names.METRIC_GEN_AI_CLIENT_TOKEN_USAGE]
        for kind, units in (("input", INPUT_UNITS), ("output", OUTPUT_UNITS)):
            amounts = [usage.counts[unit] for unit in units if unit in usage.counts]
            if amounts and not (kind == "output" and operation.name == "embeddings"):
                tokens.record(sum(amounts), _dimensions(*key, (names.GEN_AI_TOKEN_TYPE, kind)))
    per_chunk = histograms.get(names.METRIC_GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK)
    first, whole = outcome.first_chunk_s, outcome.duration_s
    if per_chunk is not None and first is not None and whole is not None and outcome.chunks > 1:
        per_chunk.record((whole - first) / (outcome.chunks - 1), base)
    per_call = histograms.get(names.METRIC_TOKENOMICS_CLIENT_REQUEST_COST)
    if per_call is not None and cost.total is not None:
        per_call.record(pico_to_usd(cost.total), base)
