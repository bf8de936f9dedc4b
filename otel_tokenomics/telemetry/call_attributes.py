"""A settled call as span attributes: OpenTelemetry's GenAI names, ours, and the dialects of backends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.trace import Span

from otel_tokenomics.attributes import names
from otel_tokenomics.client_api import Operation, Request
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import Cost
from otel_tokenomics.telemetry.dialects import dialect_attributes
from otel_tokenomics.telemetry.settled_call import INPUT_UNITS, OUTPUT_UNITS, Outcome, SettledCall
from otel_tokenomics.usage import NO_FACTS, Reading, Usage, pico_to_usd

CACHE_WRITES: Final = ("cache_write", "cache_write_1h", "cache_write_12h")
#: Units that the standard attributes carry: all others are written as ``tokenomics.usage.<unit>``.
_STANDARD_UNITS: Final = frozenset({"input", "cache_read", "cache_write", "output", "reasoning", "request"})
#: Word -> attribute and type. The standard fixes the type, whatever the caller wrote (a temperature of 0 is 0.0).
_PARAMETERS: Final[dict[str, tuple[str, type]]] = {
    "max_tokens": (names.GEN_AI_REQUEST_MAX_TOKENS, int),
    "temperature": (names.GEN_AI_REQUEST_TEMPERATURE, float),
    "top_p": (names.GEN_AI_REQUEST_TOP_P, float),
    "top_k": (names.GEN_AI_REQUEST_TOP_K, float),
    "seed": (names.GEN_AI_REQUEST_SEED, int),
    "frequency_penalty": (names.GEN_AI_REQUEST_FREQUENCY_PENALTY, float),
    "presence_penalty": (names.GEN_AI_REQUEST_PRESENCE_PENALTY, float),
    "stop_sequences": (names.GEN_AI_REQUEST_STOP_SEQUENCES, tuple),
    "choice_count": (names.GEN_AI_REQUEST_CHOICE_COUNT, int),
    "encoding_formats": (names.GEN_AI_REQUEST_ENCODING_FORMATS, tuple),
    "dimensions": (names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT, int),
    "reasoning_level": (names.GEN_AI_REQUEST_REASONING_LEVEL, str),
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
#: Of the profile ``latest`` alone; each is a subset of a standard total, and includes its cached part.
_MODALITIES: Final = {
    names.GEN_AI_USAGE_AUDIO_INPUT_TOKENS: ("audio_in", "audio_cache_read"),
    names.GEN_AI_USAGE_AUDIO_CACHE_READ_INPUT_TOKENS: ("audio_cache_read",),
    names.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS: ("audio_out",),
    names.GEN_AI_USAGE_IMAGE_INPUT_TOKENS: ("image_in",),
    names.GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS: ("image_out",),
}
_OPENAI: Final = frozenset({"openai", "azure.ai.openai"})
_FETCH: Final = "fetch_response"
_STANDARD_USAGE: Final = names.GEN_AI_USAGE_INPUT_TOKENS.removesuffix("input_tokens")
_LOWER_BOUND: Final = "incomplete_usage"
_USAGE_PREFIX: Final = names.TOKENOMICS_USAGE_SOURCE.removesuffix("source")


class CallAttributes:
    """Makes the attributes of calls, by the settings ``semconv``, ``price``, ``cost_parts`` and ``dialects``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._latest = settings.semconv == "latest"
        self._parameters = {**_PARAMETERS, "top_k": (names.GEN_AI_REQUEST_TOP_K, int)} if self._latest else _PARAMETERS
        self._cache_write = (
            names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS
            if self._latest
            else names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS
        )

    def of(self, call: SettledCall) -> dict[str, Any]:
        """Return every attribute of a call but those that stood at its start."""
        operation, request, _, outcome, usage, reading, cost = call
        attributes: dict[str, Any] = {names.TOKENOMICS_CALL_END: outcome.end}
        _request_attributes(attributes, operation, request, self._parameters)
        _response_attributes(attributes, operation, request, reading, outcome)
        if usage is not None:
            attributes[names.TOKENOMICS_USAGE_SOURCE] = usage.source
            self._usage_attributes(attributes, usage, operation)
        _fact_attributes(attributes, cost, {**request.facts, **reading.facts})
        if self._settings.price or cost.source == "provider":
            self._cost_attributes(attributes, cost)
        elif usage is not None and (reading.others or reading.reason == _LOWER_BOUND):
            # What was billed beside the counts stands on no span: whoever prices them must know that it is missing.
            attributes[names.TOKENOMICS_COST_REASON] = _LOWER_BOUND
        if operation.name == _FETCH:
            # It carries the charge of a background response, but by the standard nothing of its usage.
            return {key: value for key, value in attributes.items() if not key.startswith(_STANDARD_USAGE)}
        return attributes

    def _usage_attributes(self, attributes: dict[str, Any], usage: Usage, operation: Operation) -> None:
        counts = usage.counts
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
        if self._latest:
            for attribute, units in _MODALITIES.items():
                if amount := sum([counts.get(unit, 0) for unit in units]):
                    attributes[attribute] = amount

    def _cost_attributes(self, attributes: dict[str, Any], cost: Cost) -> None:
        attributes[names.TOKENOMICS_COST_STATUS] = cost.status
        if cost.reason:
            attributes[names.TOKENOMICS_COST_REASON] = cost.reason
        if cost.flags:
            attributes[names.TOKENOMICS_COST_FLAGS] = cost.flags
        if cost.total is not None:
            parts, computed = self._settings.cost_parts, self._settings.price
            attributes |= amount_attributes(cost, cost.total, parts=parts, computed=computed)
            attributes |= dialect_attributes(cost, self._settings.dialects)
        if self._settings.price and cost.status != "not_applicable":
            attributes[names.TOKENOMICS_PRICE_BOOK] = cost.book
            if cost.sku:
                attributes[names.TOKENOMICS_PRICE_SKU] = cost.sku
            if cost.model:
                attributes[names.TOKENOMICS_PRICE_MODEL] = cost.model
            if cost.match:
                attributes[names.TOKENOMICS_PRICE_MATCH] = cost.match


def amount_attributes(cost: Cost, total: int, *, parts: bool, computed: bool) -> dict[str, Any]:
    """Return the money of a cost with a total (pico-USD) as attributes, without dialects.

    ``parts`` adds the parts and what was saved, ``computed`` our own figure beside somebody else's total.
    """
    attributes: dict[str, Any] = {
        names.TOKENOMICS_COST_TOTAL: pico_to_usd(total),
        names.TOKENOMICS_COST_CURRENCY: "USD",
        names.TOKENOMICS_COST_SOURCE: cost.source,
        names.TOKENOMICS_COST_BASIS: cost.basis,
    }
    if cost.list is not None:
        attributes[names.TOKENOMICS_COST_LIST] = pico_to_usd(cost.list)
    if cost.computed is not None and computed:
        attributes[names.TOKENOMICS_COST_COMPUTED] = pico_to_usd(cost.computed)
    if parts:
        for part, amount in cost.parts.items():
            attributes[_PART_ATTRIBUTE[part]] = pico_to_usd(amount)
        for kind, amount in cost.savings.items():
            attributes[_SAVINGS_ATTRIBUTE[kind]] = pico_to_usd(amount)
    return attributes


def absent_only(span: Span, attributes: dict[str, Any]) -> dict[str, Any]:
    """Somebody else's span: ours is added, what stands there already is left as it is."""
    present: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    return {key: value for key, value in attributes.items() if key.startswith("tokenomics.") or key not in present}


def _request_attributes(
    attributes: dict[str, Any], operation: Operation, request: Request, parameters: Mapping[str, tuple[str, type]]
) -> None:
    if request.stream:
        attributes[names.GEN_AI_REQUEST_STREAM] = True
    if operation.output_type:
        attributes[names.GEN_AI_OUTPUT_TYPE] = operation.output_type
    for word, value in request.parameters.items():
        if word in parameters:
            key, kind = parameters[word]
            if kind is float and type(value) is int:
                value = float(value)
            if type(value) is kind:
                attributes[key] = value
    if request.credential_hash:
        attributes[names.TOKENOMICS_CREDENTIAL_HASH] = request.credential_hash
    tier = request.parameters.get("service_tier")
    if isinstance(tier, str) and request.provider in _OPENAI:
        attributes[names.OPENAI_REQUEST_SERVICE_TIER] = tier


def _response_attributes(
    attributes: dict[str, Any], operation: Operation, request: Request, reading: Reading, outcome: Outcome
) -> None:
    if reading.response_model:
        attributes[names.GEN_AI_RESPONSE_MODEL] = reading.response_model
    if reading.response_id:
        attributes[names.GEN_AI_RESPONSE_ID] = reading.response_id
    if reading.response_status:
        attributes[names.GEN_AI_RESPONSE_STATUS] = reading.response_status
    if reading.finish_reasons:
        attributes[names.GEN_AI_RESPONSE_FINISH_REASONS] = reading.finish_reasons
    elif outcome.end == "error" and outcome.started and operation.name in ("chat", "text_completion"):
        attributes[names.GEN_AI_RESPONSE_FINISH_REASONS] = ("error",)
    if tier := reading.facts.get("service_tier"):
        if operation.api == "messages":
            attributes[names.ANTHROPIC_RESPONSE_SERVICE_TIER] = tier
        elif request.provider in _OPENAI:
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
