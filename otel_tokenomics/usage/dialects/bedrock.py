"""Amazon Bedrock's formats: Converse, and InvokeModel by its headers, its makers' bodies and its streams' metrics.

Input excludes the cache; output includes reasoning. Source: the service model of ``bedrock-runtime`` (shapes
``TokenUsage``, ``CacheDetail``, ``ServiceTier``, ``GuardrailUsage``) and the user guide's pages on InvokeModel,
"Monitor model invocation" and "How Amazon Bedrock Guardrails works": a guardrail is charged by policy and text unit,
for which there is no unit here.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, cast

from otel_tokenomics.usage import NO_FACTS, Facts, Reading, Usage
from otel_tokenomics.usage.dialects import anthropic, openai_like
from otel_tokenomics.usage.dialects.counts import (
    HUGE,
    Counts,
    believed,
    count,
    field,
    items,
    reason_of,
    told,
    word,
    worst,
)

#: Headers of an InvokeModel response -> the field of ``TokenUsage`` that they repeat.
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "x-amzn-bedrock-input-token-count": "inputTokens",
        "x-amzn-bedrock-output-token-count": "outputTokens",
        "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokens",
        "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokens",
    }
)
#: Field of ``amazon-bedrock-invocationMetrics`` on a stream's last chunk -> the same.
METRICS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "inputTokenCount": "inputTokens",
        "outputTokenCount": "outputTokens",
        "cacheReadInputTokenCount": "cacheReadInputTokens",
        "cacheWriteInputTokenCount": "cacheWriteInputTokens",
    }
)
_HOUR: Final = "1h"
#: What of a guardrail's usage is charged: word filters and patterns are free.
_GUARDED: Final = (
    "topicPolicyUnits",
    "contentPolicyUnits",
    "sensitiveInformationPolicyUnits",
    "contextualGroundingPolicyUnits",
    "contentPolicyImageUnits",
    "automatedReasoningPolicyUnits",
)
_METRICS: Final = "amazon-bedrock-invocationMetrics"
_LOG: Final = "ModelInvocationLog"
#: What stands in a chunk of InvokeModel's stream that is worth decoding: text alone is most of them.
_TELLING: Final = tuple(f'"{name}"'.encode() for name in (_METRICS, "message_start", "message_delta"))


def read_converse(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of a ``TokenUsage`` (camel or snake case); writes without a lifetime are five minutes'."""
    given, made = _count(raw, "inputTokens"), _count(raw, "outputTokens")
    read, written = _count(raw, "cacheReadInputTokens"), _count(raw, "cacheWriteInputTokens")
    total = _count(raw, "totalTokens")
    if read is None:
        read = _count(raw, "cacheReadInputTokenCount")  # Nova's words, in its own bodies
    if written is None:
        written = _count(raw, "cacheWriteInputTokenCount")
    hours = [
        _count(entry, "inputTokens")
        for entry in items(raw, "cacheDetails") or items(raw, "cache_details")
        if word(entry, "ttl") == _HOUR
    ]
    hour, bad = sum(map(believed, hours)), worst(given, made, read, written, *hours)
    counts: Counts = {}
    if given is not None and given >= 0:
        counts["input"] = given
    if believed(read):
        counts["cache_read"] = believed(read)
    five = believed(written) - hour
    if five > 0:
        counts["cache_write"] = five
    if hour:
        counts["cache_write_1h"] = hour
    if made is not None and made >= 0:
        counts["output"] = made
    if bad == HUGE or not counts:
        return Reading(None, reason="invalid_usage" if bad else None)
    reason = reason_of(bad, counts)
    if total is not None and total > sum(counts.values()) and not bad:
        reason = "incomplete_usage"
    return Reading(Usage(counts), reason=reason, flags=("inconsistent_usage",) if five < 0 else ())


def read_response(response: object) -> Reading | None:
    """Return the reading of a Converse response, or of the ``metadata`` event of its stream; None without usage.

    A prompt router names the model that answered; nothing else in the response does.
    """
    usage = field(response, "usage")
    stop = word(response, "stopReason") or word(response, "stop_reason")
    if usage is None and stop is None:
        return None
    reading = read_converse(usage) if usage is not None else Reading()
    tier, performance = field(response, "serviceTier"), field(response, "performanceConfig")
    if tier is None:
        tier = field(response, "service_tier")
    if performance is None:
        performance = field(response, "performance_config")
    trace = field(response, "trace")
    router = field(trace, "promptRouter")
    if reading.reason is None and (stop == "guardrail_intervened" or _guarded(field(trace, "guardrail"))):
        reading = reading._replace(reason="missing_rate")
    return reading._replace(
        facts=_facts(tier, field(performance, "latency")),
        response_model=word(router, "invokedModelId"),
        response_id=request_id(response),
        finish_reasons=(stop,) if stop else (),
    )


def read_guardrail(response: object) -> Reading:
    """Return the reading of an answer of ApplyGuardrail or InvokeGuardrailChecks: charged, and no unit of ours."""
    usage = field(response, "usage")
    checks = ("contentFilter", "promptAttack", "sensitiveInformation")
    units = _units(usage) + sum(believed(count(field(usage, name), "textUnits")) for name in checks)
    return Reading(reason="missing_rate" if units else None, response_id=request_id(response))


def _guarded(trace: object) -> bool:
    """Return whether a ``GuardrailTraceAssessment`` tells of work that is charged, by guardrail."""
    found = list(_values(field(trace, "inputAssessment")))
    for made in _values(field(trace, "outputAssessments")):
        found += cast("list[object]", made) if isinstance(made, list) else []
    return any(_units(field(field(one, "invocationMetrics"), "usage")) for one in found)


def _units(usage: object) -> int:
    return sum(believed(count(usage, name)) for name in _GUARDED)


def _values(source: object) -> Iterable[object]:
    return cast("Mapping[str, object]", source).values() if isinstance(source, Mapping) else ()


def tier_of(tier: object) -> Facts:
    """Return the fact of a ``ServiceTier`` structure, or of its bare word in a header."""
    kind = tier if isinstance(tier, str) else word(tier, "type")
    return {"service_tier": kind} if kind else NO_FACTS


def _facts(tier: object, latency: object) -> Facts:
    """Return what else the price depends on: ``optimized`` latency costs more, and is a speed of its own."""
    facts = tier_of(tier)
    return {**facts, "speed": latency} if isinstance(latency, str) and latency else facts


def request_id(response: object) -> str | None:
    """Return the id under which AWS's own logs know an answer: the answer itself has none."""
    return word(field(response, "ResponseMetadata"), "RequestId")


def read_invoked(response: object) -> Reading:
    """Return what an InvokeModel response says before its body is read: the counts of its headers."""
    headers = field(field(response, "ResponseMetadata"), "HTTPHeaders")
    return read_named(headers, HEADERS)._replace(
        facts=_facts(field(response, "serviceTier"), field(response, "performanceConfigLatency")),
        response_id=request_id(response),
    )


def read_body(body: object) -> Reading | None:
    """Return the reading of an InvokeModel body, whose maker shows in its fields; None where it bears no counts.

    Of the model's name nothing is believed: the maker's own lacks the region that the price depends on.
    """
    usage = field(body, "usage")
    if field(usage, "input_tokens_details") is not None:
        found = openai_like.read_response("responses", body)
    elif field(usage, "input_tokens") is not None:
        found = anthropic.read_response(body)
    elif field(usage, "prompt_tokens") is not None:
        found = openai_like.read_response("chat", body)
    elif usage is not None:
        found = read_converse(usage)
    elif field(body, "inputTextTokenCount") is not None:  # Titan
        made = [_count(result, "tokenCount") for result in items(body, "results")]
        output = None if None in made or not made else told(worst(*made)) or sum(map(believed, made))
        found = read_converse({"inputTokens": field(body, "inputTextTokenCount"), "outputTokens": output})
    elif field(body, "prompt_token_count") is not None:  # Llama
        counts = {"inputTokens": "prompt_token_count", "outputTokens": "generation_token_count"}
        found = read_converse({ours: field(body, theirs) for ours, theirs in counts.items()})
    else:
        return None
    return found._replace(response_model=None) if found is not None else None


def read_answer(raw: object) -> Reading | None:
    """Return the reading of what Bedrock answered, in whatever form it was kept; None where it is none of these.

    An answer of Converse or the last event of its stream, headers or a body of InvokeModel or the last chunk of its
    stream, a record of the invocation log.
    """
    metrics, event = field(raw, _METRICS), field(raw, "metadata")
    if field(raw, "schemaType") == _LOG:
        return _read_record(raw)
    if metrics is not None:
        return read_named(metrics, METRICS)
    if any(field(raw, name) is not None for name in HEADERS):
        return read_named(raw, HEADERS)
    if event is not None and field(event, "usage") is not None:
        return read_response(event)
    usage = field(raw, "usage")
    # In snake case the sum tells Converse's usage from Claude's own, and the details from OpenAI's.
    snake = field(usage, "input_tokens") is not None and field(usage, "input_tokens_details") is None
    if field(usage, "inputTokens") is not None or (snake and field(usage, "total_tokens") is not None):
        return read_response(raw)
    body = read_body(raw)
    if body is None and field(raw, "ResponseMetadata") is not None:
        return read_invoked(raw)
    return body


def _read_record(record: object) -> Reading:
    """Return the reading of a record of the invocation log: what the body says, where it was kept and says anything."""
    given, made = field(record, "input"), field(record, "output")
    body = field(made, "outputBodyJson")
    said = read_answer(body) if body is not None else None
    if said is None or (said.usage is None and said.reason is None):
        said = read_converse(
            {
                "inputTokens": field(given, "inputTokenCount"),
                "outputTokens": field(made, "outputTokenCount"),
                "cacheReadInputTokens": field(given, "cacheReadInputTokenCount"),
                "cacheWriteInputTokens": field(given, "cacheWriteInputTokenCount"),
            }
        )
    return said._replace(response_model=word(record, "modelId"), response_id=word(record, "requestId"))


def read_named(source: object, fields: Mapping[str, str]) -> Reading:
    """Return the reading of counts that stand under other names: ``HEADERS`` or ``METRICS``."""
    return read_converse({ours: field(source, theirs) for theirs, ours in fields.items()})


class ConverseStreamReader:
    """Reads a Converse stream: usage stands in its ``metadata`` event, the last one."""

    __slots__: Final = ("_identity", "_reading", "_stop", "final")

    def __init__(self) -> None:
        self._identity: str | None = None
        self._reading: Reading | None = None
        self._stop: str | None = None
        self.final = False

    def observe(self, item: object) -> None:
        """Take note of one event, or of the response that carries the stream."""
        self._identity = self._identity or request_id(item)
        stop = field(item, "messageStop")
        if stop is not None:
            self._stop = word(stop, "stopReason")
        metadata = field(item, "metadata")
        if metadata is not None:
            self._reading, self.final = read_response(metadata), True

    def reading(self) -> Reading | None:
        """Return what the stream said so far."""
        if self._reading is None:
            return Reading(response_id=self._identity) if self._identity else None
        guarded = "missing_rate" if self._stop == "guardrail_intervened" else None
        return self._reading._replace(
            response_id=self._identity,
            reason=self._reading.reason or guarded,
            finish_reasons=(self._stop,) if self._stop else self._reading.finish_reasons,
        )


class InvokeStreamReader:
    """Reads a stream of InvokeModel: chunks in the maker's format, the last one with Bedrock's own counts.

    Claude's events say more: which cache writes are for an hour, and the input from the start on.
    """

    __slots__: Final = ("_head", "_messages", "_metrics", "final")

    def __init__(self) -> None:
        self._head = Reading()
        self._messages = anthropic.MessagesStreamReader()
        self._metrics: Reading | None = None
        self.final = False

    def observe(self, item: object) -> None:
        """Take note of one event, or of the response that carries the stream."""
        data = field(field(item, "chunk"), "bytes")
        if not isinstance(data, bytes):
            if field(item, "ResponseMetadata") is not None:
                self._head = read_invoked(item)
            return
        if not any(mark in data for mark in _TELLING):
            return
        try:
            event: object = json.loads(data)
        except (ValueError, RecursionError):
            return  # what a provider calls JSON is not our failure
        self._messages.observe(event)
        metrics = field(event, _METRICS)
        if metrics is not None:
            self._metrics, self.final = read_named(metrics, METRICS), True

    def reading(self) -> Reading | None:
        """Return what the stream said so far."""
        told = self._messages.reading()
        if self._metrics is not None and not (self._messages.final and told is not None and told.usage is not None):
            told = self._metrics
        head = self._head
        if told is None:
            return head if head.response_id else None
        facts = {**told.facts, **head.facts}
        return told._replace(facts=facts, response_model=None, response_id=head.response_id or told.response_id)


def _count(source: object, name: str) -> int | None:
    value = count(source, name)
    if value is not None:
        return value
    return count(source, _snake(name))


@functools.cache  # of the names in this file
def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
