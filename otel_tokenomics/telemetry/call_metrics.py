"""A settled call in the metrics: our counters, whatever the sampling, and OpenTelemetry's histograms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from otel_tokenomics.attributes import names
from otel_tokenomics.config import Settings
from otel_tokenomics.telemetry import metrics
from otel_tokenomics.telemetry.settled_call import INPUT_UNITS, OUTPUT_UNITS, SettledCall
from otel_tokenomics.usage import TOKEN_UNITS, pico_to_usd

_NO_COUNTS: Final[Mapping[str, int]] = {}


class CallMetrics:
    """Counts calls, by the settings ``metric_tags`` and ``metrics_optional``."""

    def __init__(self, settings: Settings, instruments: metrics.Instruments) -> None:
        self.instruments = instruments
        self._settings = settings
        self._tag_dimensions = tuple((names.TOKENOMICS_TAG_PREFIX + tag, tag) for tag in settings.metric_tags)

    def tag_dimensions(self, tags: Mapping[str, str]) -> metrics.Series:
        """Return the tags that are metric dimensions, each value within its cap."""
        bounded = self.instruments.accumulator.bounded
        return tuple(
            (attribute, bounded(tag, tags[attribute], metrics.MAX_TAG_VALUES))
            for attribute, tag in self._tag_dimensions
            if attribute in tags
        )

    def record(self, call: SettledCall, tags: Mapping[str, str]) -> None:
        """Count a call in every metric it belongs to; ``tags`` by attribute name."""
        operation, request, choice, outcome, usage, reading, cost = call
        histograms = self.instruments.histograms()
        accumulator = self.instruments.accumulator
        base: metrics.Series = (
            (names.GEN_AI_PROVIDER_NAME, choice.name),
            (names.GEN_AI_OPERATION_NAME, operation.name),
        )
        if cost.model:
            base = (*base, (names.TOKENOMICS_PRICE_MODEL, cost.model))
        base = (*base, *self.tag_dimensions(tags))
        entries: list[tuple[str, metrics.Series, int]] = []
        if cost.total is not None:
            money = (
                *base,
                (names.TOKENOMICS_COST_CURRENCY, "USD"),
                (names.TOKENOMICS_COST_SOURCE, cost.source),
                (names.TOKENOMICS_COST_BASIS, cost.basis),
            )
            if "cost.part" in self._settings.metrics_optional:
                shares = cost.parts or {"total": cost.total}
                entries += [
                    (metrics.COST, (*money, (names.TOKENOMICS_COST_PART, part)), n) for part, n in shares.items()
                ]
            else:
                entries.append((metrics.COST, money, cost.total))
            entries += [
                (metrics.SAVINGS, (*base, (names.TOKENOMICS_SAVINGS_KIND, k)), n) for k, n in cost.savings.items()
            ]
        status = (*base, (names.TOKENOMICS_COST_STATUS, cost.status))
        if cost.reason:
            status = (*status, (names.TOKENOMICS_COST_REASON, cost.reason))
        status = (*status, (names.TOKENOMICS_CALL_END, outcome.end))
        if outcome.error_type:
            status = (*status, (names.ERROR_TYPE, outcome.error_type))
        entries.append((metrics.REQUESTS, status, 1))
        tokens = 0
        for unit, count in (usage.counts if usage is not None else _NO_COUNTS).items():
            if count and unit in TOKEN_UNITS:
                tokens += count
                entries.append((metrics.TOKENS, (*base, (names.TOKENOMICS_TOKEN_CLASS, unit)), count))
        if tokens and cost.status == "unpriced" and cost.reason:
            raw = accumulator.bounded(
                "model", (reading.response_model or request.model or "")[:256], metrics.MAX_MODELS
            )
            entries.append(
                (
                    metrics.UNPRICED,
                    (*base, (names.TOKENOMICS_COST_REASON, cost.reason), (names.GEN_AI_REQUEST_MODEL, raw)),
                    tokens,
                )
            )
        accumulator.add(entries)
        _histograms(histograms, call)


def _histograms(histograms: Mapping[str, Any], call: SettledCall) -> None:
    operation, request, choice, outcome, usage, reading, cost = call
    base: dict[str, Any] = {names.GEN_AI_OPERATION_NAME: operation.name, names.GEN_AI_PROVIDER_NAME: choice.name}
    optional = (
        (names.GEN_AI_REQUEST_MODEL, request.model),
        (names.GEN_AI_RESPONSE_MODEL, reading.response_model),
        (names.SERVER_ADDRESS, request.host),
        (names.SERVER_PORT, request.port),
    )
    base |= {key: value for key, value in optional if value}
    timed = {**base, names.ERROR_TYPE: outcome.error_type} if outcome.error_type else base
    histograms[names.METRIC_GEN_AI_CLIENT_OPERATION_DURATION].record(outcome.duration_s, timed)
    if outcome.first_chunk_s is not None:
        histograms[names.METRIC_GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK].record(outcome.first_chunk_s, base)
    if usage is not None and usage.source == "provider":
        tokens = histograms[names.METRIC_GEN_AI_CLIENT_TOKEN_USAGE]
        for kind, units in (("input", INPUT_UNITS), ("output", OUTPUT_UNITS)):
            amounts = [usage.counts[unit] for unit in units if unit in usage.counts]
            if amounts and not (kind == "output" and operation.name == "embeddings"):
                tokens.record(sum(amounts), {**base, names.GEN_AI_TOKEN_TYPE: kind})
    per_chunk = histograms.get(names.METRIC_GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK)
    if per_chunk is not None and outcome.first_chunk_s is not None and outcome.chunks > 1:
        per_chunk.record((outcome.duration_s - outcome.first_chunk_s) / (outcome.chunks - 1), base)
    per_call = histograms.get(names.METRIC_TOKENOMICS_CLIENT_REQUEST_COST)
    if per_call is not None and cost.total is not None:
        per_call.record(pico_to_usd(cost.total), base)
