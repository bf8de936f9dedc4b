"""The one writer: from a settled call to span attributes, metrics and running totals, out of one result object."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from otel_tokenomics.attributes import names
from otel_tokenomics.client_api import Operation, Request
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import Cost, EndpointTable, PriceBook, price_reading
from otel_tokenomics.telemetry import metrics, rollup
from otel_tokenomics.telemetry.dialects import dialect_attributes
from otel_tokenomics.usage import NO_FACTS, TOKEN_UNITS, Reading, Usage, pico_to_usd

STALE_AFTER_S: Final = 45 * 86_400
INPUT_UNITS: Final = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "cache_write_12h",
    "audio_in",
    "audio_cache_read",
    "image_in",
    "video_in",
)
OUTPUT_UNITS: Final = ("output", "reasoning", "audio_out", "image_out", "video_out")
CACHE_WRITES: Final = ("cache_write", "cache_write_1h", "cache_write_12h")
#: Units that the standard attributes carry: all others are written as ``tokenomics.usage.<unit>``.
_STANDARD_UNITS: Final = frozenset({"input", "cache_read", "cache_write", "output", "reasoning", "request"})
_PARAMETERS: Final = {
    "max_tokens": names.GEN_AI_REQUEST_MAX_TOKENS,
    "temperature": names.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": names.GEN_AI_REQUEST_TOP_P,
    "top_k": names.GEN_AI_REQUEST_TOP_K,
    "seed": names.GEN_AI_REQUEST_SEED,
    "frequency_penalty": names.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": names.GEN_AI_REQUEST_PRESENCE_PENALTY,
    "stop_sequences": names.GEN_AI_REQUEST_STOP_SEQUENCES,
    "choice_count": names.GEN_AI_REQUEST_CHOICE_COUNT,
    "encoding_formats": names.GEN_AI_REQUEST_ENCODING_FORMATS,
    "dimensions": names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT,
    "reasoning_level": names.GEN_AI_REQUEST_REASONING_LEVEL,
}
_FACTS: Final = {
    "speed": names.TOKENOMICS_REQUEST_SPEED,
    "inference_geo": names.TOKENOMICS_REQUEST_GEO,
    "deployment_type": names.TOKENOMICS_REQUEST_DEPLOYMENT,
    "region": names.TOKENOMICS_REQUEST_REGION,
    "search_context_size": names.TOKENOMICS_REQUEST_SEARCH_CONTEXT,
}
_PART_ATTRIBUTE: Final = {
    "input": names.TOKENOMICS_COST_INPUT,
    "cache_read": names.TOKENOMICS_COST_CACHE_READ,
    "cache_write": names.TOKENOMICS_COST_CACHE_WRITE,
    "output": names.TOKENOMICS_COST_OUTPUT,
    "reasoning": names.TOKENOMICS_COST_REASONING,
    "tools": names.TOKENOMICS_COST_TOOLS,
    "requests": names.TOKENOMICS_COST_REQUESTS,
}
_SAVINGS_ATTRIBUTE: Final = {
    "cache": names.TOKENOMICS_COST_SAVINGS_CACHE,
    "batch": names.TOKENOMICS_COST_SAVINGS_BATCH,
    "response_cache": names.TOKENOMICS_COST_SAVINGS_RESPONSE_CACHE,
}
_USAGE_PREFIX: Final = names.TOKENOMICS_USAGE_SOURCE.removesuffix("source")

_last: ContextVar[Cost | None] = ContextVar("tokenomics-last-cost", default=None)


class ProviderChoice(NamedTuple):
    """Who bills a call: ``price_host`` is None where that is certain; ``billed_elsewhere`` by a gateway."""

    name: str
    price_host: str | None
    billed_elsewhere: bool


class Outcome(NamedTuple):
    """How a call went. Times: epoch nanoseconds and seconds.

    ``end`` is completed, error, abandoned or cancelled. ``started``: a response had begun. ``ambiguous``: a
    timeout or a lost connection, which the provider may have billed.
    """

    reading: Reading | None
    end: str
    started_at_ns: int
    duration_s: float
    error_type: str | None = None
    ambiguous: bool = False
    started: bool = False
    first_chunk_s: float | None = None
    chunks: int = 0
    retries: int = 0
    estimated: Usage | None = None


class Recorder:
    """Starts the span of a call and settles it: once, with everything that is known."""

    def __init__(self, settings: Settings, book: Callable[[], PriceBook], instruments: metrics.Instruments) -> None:
        self.settings = settings
        self.book = book
        self.instruments = instruments
        self.default_tags: Mapping[str, str] = {}
        self._endpoints = EndpointTable.parse(settings.endpoints)
        self._elsewhere = EndpointTable.parse(settings.billed_elsewhere)
        self._choose = functools.lru_cache(1024)(self._provider)
        self._tag_dimensions = tuple((names.TOKENOMICS_TAG_PREFIX + tag, tag) for tag in settings.metric_tags)
        self._cache_write = (
            names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS
            if settings.semconv == "latest"
            else names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS
        )
        schema = None if settings.semconv == "latest" else "https://opentelemetry.io/schemas/1.41.1"
        self._tracer = trace.get_tracer(metrics.SCOPE, _version(), schema_url=schema)

    def provider(self, request: Request) -> ProviderChoice:
        """Return who bills a request: by the setting ``endpoints``, then by host, then by client."""
        return self._choose(request.provider, request.host, request.port, request.path)

    def _provider(self, named: str, host: str | None, port: int | None, path: str) -> ProviderChoice:
        elsewhere = self._elsewhere.lookup(host, port, path) is not None
        book = self.book()
        ruled = self._endpoints.lookup(host, port, path)
        if ruled:
            return ProviderChoice(book.provider_by_name(ruled) or ruled, None, elsewhere)
        listed = book.provider_by_host(host)
        if listed:
            return ProviderChoice(listed, None, elsewhere)
        return ProviderChoice(named, host, elsewhere)

    def start(
        self, operation: Operation, request: Request, choice: ProviderChoice, context: Context | None = None
    ) -> Span:
        """Start the CLIENT span of a call, with the attributes that samplers need; it is not made current."""
        attributes: dict[str, Any] = {
            names.GEN_AI_OPERATION_NAME: operation.name,
            names.GEN_AI_PROVIDER_NAME: choice.name,
        }
        if request.model:
            attributes[names.GEN_AI_REQUEST_MODEL] = request.model
        if request.host:
            attributes[names.SERVER_ADDRESS] = request.host
        if request.port:
            attributes[names.SERVER_PORT] = request.port
        name = f"{operation.name} {request.model}" if request.model else operation.name
        span = self._tracer.start_span(name, context, SpanKind.CLIENT, attributes)
        if span.is_recording():
            rollup.opened(rollup.ancestors_of(span))
        return span

    def settle(
        self,
        span: Span | None,
        operation: Operation,
        request: Request,
        choice: ProviderChoice,
        outcome: Outcome,
        *,
        own: bool,
        tags: Mapping[str, str],
    ) -> Cost:
        """Write one settled call everywhere, and end its span where it is ours.

        Args:
            span: our span; somebody else's recording span (``own`` false); None where spans are suppressed.
            operation: what was called.
            request: what was asked for.
            choice: who bills.
            outcome: how it went.
            own: whether the span is ours to end.
            tags: the tags in force, by attribute name.
        """
        usage, reading = self._usage(request, outcome)
        cost = self._cost(request, choice, outcome, usage, reading)
        if span is not None and span.is_recording():
            attributes = self._attributes(operation, request, outcome, usage, reading, cost)
            if not own:
                attributes = _absent_only(span, attributes)
            span.set_attributes(attributes)
            if own and outcome.end == "error":
                span.set_status(Status(StatusCode.ERROR))
        shown = cost if self.settings.price or cost.source == "provider" else cost._replace(total=None)
        counts = usage.counts if usage is not None else NO_COUNTS
        tokens = (sum(counts.get(unit, 0) for unit in INPUT_UNITS), sum(counts.get(unit, 0) for unit in OUTPUT_UNITS))
        if span is not None and self.settings.price:
            rollup.settled(rollup.ancestors_of(span), shown, tokens, was_open=own)
        self._measure(operation, request, choice, outcome, usage, reading, shown, {**self.default_tags, **tags})
        _last.set(shown)
        if own and span is not None:
            span.end()
        return shown

    def _usage(self, request: Request, outcome: Outcome) -> tuple[Usage | None, Reading]:
        """Return what was used: the provider's counts, with what only the request knows; else an estimate."""
        reading = outcome.reading or Reading()
        usage = reading.usage
        if outcome.end == "completed" and usage is None and request.units and reading.reason is None:
            usage = Usage(dict(request.units))
        if usage is None and outcome.estimated is not None:
            return outcome.estimated, reading._replace(
                usage=outcome.estimated, reason=reading.reason or "incomplete_usage"
            )
        if usage is not None and outcome.end != "completed":
            reading = reading._replace(reason=reading.reason or "incomplete_usage")
            if outcome.estimated is not None:
                usage = Usage({**usage.counts, **outcome.estimated.counts}, "mixed")
        return usage, reading._replace(usage=usage)

    def _cost(
        self, request: Request, choice: ProviderChoice, outcome: Outcome, usage: Usage | None, reading: Reading
    ) -> Cost:
        book = self.book()
        if usage is None and reading.reason is None:
            lost = outcome.ambiguous and not outcome.started
            reading = reading._replace(reason="billing_unknown" if lost else None)
        cost = price_reading(
            book, reading, choice.name, outcome.started_at_ns // 1_000_000,
            request_model=request.model, host=choice.price_host,
            unknown_host=self.settings.unknown_host, facts=request.facts,
        )  # fmt: skip
        if choice.billed_elsewhere:
            return _not_applicable(cost, "billed_elsewhere")
        refused = outcome.end == "error" and not outcome.started and not outcome.ambiguous
        if refused and usage is None and reading.stated_cost is None:
            return _not_applicable(cost, "call_failed")
        if cost.total is not None and time.time() - book.generated_at_ms / 1000 > STALE_AFTER_S:
            cost = cost._replace(flags=(*cost.flags, "stale_book"))
        return cost

    def _attributes(
        self,
        operation: Operation,
        request: Request,
        outcome: Outcome,
        usage: Usage | None,
        reading: Reading,
        cost: Cost,
    ) -> dict[str, Any]:
        attributes: dict[str, Any] = {names.TOKENOMICS_CALL_END: outcome.end}
        _request_attributes(attributes, operation, request)
        _response_attributes(attributes, request, reading, outcome)
        if usage is not None:
            self._usage_attributes(attributes, usage, operation)
        _fact_attributes(attributes, cost, {**request.facts, **reading.facts})
        if self.settings.price or cost.source == "provider":
            self._cost_attributes(attributes, cost)
        return attributes

    def _usage_attributes(self, attributes: dict[str, Any], usage: Usage, operation: Operation) -> None:
        counts = usage.counts
        attributes[names.TOKENOMICS_USAGE_SOURCE] = usage.source
        if usage.source == "estimated":
            attributes[names.TOKENOMICS_USAGE_ESTIMATED_INPUT_TOKENS] = counts.get("input", 0)
            if "output" in counts:
                attributes[names.TOKENOMICS_USAGE_ESTIMATED_OUTPUT_TOKENS] = counts["output"]
            return
        total_in, total_out, seen_in, seen_out = 0, 0, False, False
        for unit, count in counts.items():
            if unit in INPUT_UNITS:
                total_in, seen_in = total_in + count, True
            elif unit in OUTPUT_UNITS:
                total_out, seen_out = total_out + count, True
            if count and unit not in _STANDARD_UNITS:
                attributes[_USAGE_PREFIX + unit] = count
        if seen_in:
            attributes[names.GEN_AI_USAGE_INPUT_TOKENS] = total_in
        self._subset_attributes(attributes, counts)
        if usage.source == "mixed":
            attributes[names.TOKENOMICS_USAGE_ESTIMATED_OUTPUT_TOKENS] = total_out
        elif seen_out and operation.name != "embeddings":
            attributes[names.GEN_AI_USAGE_OUTPUT_TOKENS] = total_out

    def _subset_attributes(self, attributes: dict[str, Any], counts: Mapping[str, int]) -> None:
        read = counts.get("cache_read", 0) + counts.get("audio_cache_read", 0)
        if read:
            attributes[names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] = read
        written = sum([counts.get(unit, 0) for unit in CACHE_WRITES])
        if written:
            attributes[self._cache_write] = written
        if counts.get("reasoning"):
            attributes[names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS] = counts["reasoning"]

    def _cost_attributes(self, attributes: dict[str, Any], cost: Cost) -> None:
        attributes[names.TOKENOMICS_COST_STATUS] = cost.status
        if cost.reason:
            attributes[names.TOKENOMICS_COST_REASON] = cost.reason
        if cost.flags:
            attributes[names.TOKENOMICS_COST_FLAGS] = cost.flags
        if cost.total is not None:
            self._amount_attributes(attributes, cost, cost.total)
        if self.settings.price and cost.status != "not_applicable":
            attributes[names.TOKENOMICS_PRICE_BOOK] = cost.book
            if cost.sku:
                attributes[names.TOKENOMICS_PRICE_SKU] = cost.sku
            if cost.model:
                attributes[names.TOKENOMICS_PRICE_MODEL] = cost.model
            if cost.match:
                attributes[names.TOKENOMICS_PRICE_MATCH] = cost.match

    def _amount_attributes(self, attributes: dict[str, Any], cost: Cost, total: int) -> None:
        attributes[names.TOKENOMICS_COST_TOTAL] = pico_to_usd(total)
        attributes[names.TOKENOMICS_COST_CURRENCY] = "USD"
        attributes[names.TOKENOMICS_COST_SOURCE] = cost.source
        attributes[names.TOKENOMICS_COST_BASIS] = cost.basis
        if cost.list is not None:
            attributes[names.TOKENOMICS_COST_LIST] = pico_to_usd(cost.list)
        if cost.computed is not None and self.settings.price:
            attributes[names.TOKENOMICS_COST_COMPUTED] = pico_to_usd(cost.computed)
        if self.settings.cost_parts:
            for part, amount in cost.parts.items():
                attributes[_PART_ATTRIBUTE[part]] = pico_to_usd(amount)
        for kind, amount in cost.savings.items():
            attributes[_SAVINGS_ATTRIBUTE[kind]] = pico_to_usd(amount)
        attributes |= dialect_attributes(cost, self.settings.dialects)

    def tag_dimensions(self, tags: Mapping[str, str]) -> metrics.Series:
        """Return the tags that are metric dimensions, each value within its cap."""
        bounded = self.instruments.accumulator.bounded
        return tuple(
            (attribute, bounded(tag, tags[attribute], metrics.MAX_TAG_VALUES))
            for attribute, tag in self._tag_dimensions
            if attribute in tags
        )

    def _measure(
        self,
        operation: Operation,
        request: Request,
        choice: ProviderChoice,
        outcome: Outcome,
        usage: Usage | None,
        reading: Reading,
        cost: Cost,
        tags: Mapping[str, str],
    ) -> None:
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
            if "cost.part" in self.settings.metrics_optional:
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
        for unit, count in (usage.counts if usage is not None else NO_COUNTS).items():
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
        _histograms(histograms, operation, request, choice, outcome, usage, reading, cost)


NO_COUNTS: Final[Mapping[str, int]] = {}


def last_cost() -> Cost | None:
    """Return the cost of the last call that settled in this context, or None."""
    return _last.get()


def remember(cost: Cost) -> None:
    """Make a charge the last cost of this context."""
    _last.set(cost)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("otel-tokenomics")
    except PackageNotFoundError:
        return "0"


def _not_applicable(cost: Cost, reason: str) -> Cost:
    return cost._replace(
        status="not_applicable", reason=reason, total=None, parts={}, list=None, computed=None, source=None,
        basis=None, flags=(), sku=None, savings={},
    )  # fmt: skip


def _absent_only(span: Span, attributes: dict[str, Any]) -> dict[str, Any]:
    """Somebody else's span: ours is added, what stands there already is left as it is."""
    present: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    return {key: value for key, value in attributes.items() if key.startswith("tokenomics.") or key not in present}


def _request_attributes(attributes: dict[str, Any], operation: Operation, request: Request) -> None:
    if request.stream:
        attributes[names.GEN_AI_REQUEST_STREAM] = True
    if operation.output_type:
        attributes[names.GEN_AI_OUTPUT_TYPE] = operation.output_type
    for word, value in request.parameters.items():
        key = _PARAMETERS.get(word)
        if key is not None and value is not None:
            attributes[key] = value
    tier = request.parameters.get("service_tier")
    if tier is not None and request.provider in ("openai", "azure.ai.openai"):
        attributes[names.OPENAI_REQUEST_SERVICE_TIER] = tier


def _response_attributes(attributes: dict[str, Any], request: Request, reading: Reading, outcome: Outcome) -> None:
    if reading.response_model:
        attributes[names.GEN_AI_RESPONSE_MODEL] = reading.response_model
    if reading.response_id:
        attributes[names.GEN_AI_RESPONSE_ID] = reading.response_id
    if reading.response_status:
        attributes[names.GEN_AI_RESPONSE_STATUS] = reading.response_status
    if reading.finish_reasons:
        attributes[names.GEN_AI_RESPONSE_FINISH_REASONS] = reading.finish_reasons
    tier = reading.facts.get("service_tier")
    if tier and request.provider in ("openai", "azure.ai.openai"):
        attributes[names.OPENAI_RESPONSE_SERVICE_TIER] = tier
    if outcome.first_chunk_s is not None:
        attributes[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = outcome.first_chunk_s
    if outcome.retries:
        attributes[names.TOKENOMICS_CALL_RETRIES] = outcome.retries
    if outcome.error_type:
        attributes[names.ERROR_TYPE] = outcome.error_type


def _fact_attributes(attributes: dict[str, Any], cost: Cost, raw: Mapping[str, str]) -> None:
    """Write the facts a price row may ask for, so that a collector can price what we saw."""
    facts = cost.facts or NO_FACTS
    tier = facts.get("processing") or facts.get("service_tier") or ("standard" if raw.get("service_tier") else None)
    if tier:
        attributes[names.TOKENOMICS_REQUEST_TIER] = tier
    for key, attribute in _FACTS.items():
        if key in facts:
            attributes[attribute] = facts[key]


def _histograms(
    histograms: Mapping[str, Any],
    operation: Operation,
    request: Request,
    choice: ProviderChoice,
    outcome: Outcome,
    usage: Usage | None,
    reading: Reading,
    cost: Cost,
) -> None:
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
