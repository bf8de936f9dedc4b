"""Amazon Bedrock's formats: Converse, the counts of InvokeModel's headers, and its streams' metrics.

Input excludes the cache; output includes reasoning. Source: the service model of ``bedrock-runtime`` (shapes
``TokenUsage``, ``CacheDetail``, ``ServiceTier``) and the user guide's pages on InvokeModel.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from otel_tokenomics.usage import NO_FACTS, Facts, Reading, Usage
from otel_tokenomics.usage.dialects.counts import BAD, HUGE, Counts, believed, count, field, items, reason_of, word

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


def read_converse(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of a ``TokenUsage`` (camel or snake case); writes without a lifetime are five minutes'."""
    given, made = _count(raw, "inputTokens"), _count(raw, "outputTokens")
    read, written = _count(raw, "cacheReadInputTokens"), _count(raw, "cacheWriteInputTokens")
    total = _count(raw, "totalTokens")
    hour = sum(
        believed(_count(entry, "inputTokens"))
        for entry in items(raw, "cacheDetails") or items(raw, "cache_details")
        if word(entry, "ttl") == _HOUR
    )
    numbers = [number for number in (given, made, read, written) if number is not None and number < 0]
    bad = HUGE if HUGE in numbers else BAD if numbers else 0
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
    stop = word(response, "stopReason")
    if usage is None and stop is None:
        return None
    reading = read_converse(usage) if usage is not None else Reading()
    router = field(field(response, "trace"), "promptRouter")
    return reading._replace(
        facts=tier_of(field(response, "serviceTier")),
        response_model=word(router, "invokedModelId"),
        finish_reasons=(stop,) if stop else (),
    )


def tier_of(tier: object) -> Facts:
    """Return the fact of a ``ServiceTier`` structure, or of its bare word in a header."""
    kind = tier if isinstance(tier, str) else word(tier, "type")
    return {"service_tier": kind} if kind else NO_FACTS


def read_named(source: object, fields: Mapping[str, str]) -> Reading:
    """Return the reading of counts that stand under other names: ``HEADERS`` or ``METRICS``."""
    return read_converse({ours: field(source, theirs) for theirs, ours in fields.items()})


class ConverseStreamReader:
    """Reads a Converse stream: usage stands in its ``metadata`` event, the last one."""

    __slots__: Final = ("_reading", "_stop", "final")

    def __init__(self) -> None:
        self._reading: Reading | None = None
        self._stop: str | None = None
        self.final = False

    def observe(self, item: object) -> None:
        """Take note of one event."""
        stop = field(item, "messageStop")
        if stop is not None:
            self._stop = word(stop, "stopReason")
        metadata = field(item, "metadata")
        if metadata is not None:
            self._reading, self.final = read_response(metadata), True

    def reading(self) -> Reading | None:
        """Return what the stream said so far."""
        if self._reading is None or self._stop is None:
            return self._reading
        return self._reading._replace(finish_reasons=(self._stop,))


def _count(source: object, name: str) -> int | None:
    value = count(source, name)
    if value is not None:
        return value
    return count(source, "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name))
