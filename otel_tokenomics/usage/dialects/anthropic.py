"""Anthropic's messages format: input excludes the cache, output includes thinking, streams are cumulative.

Source: Anthropic's API reference (objects ``Usage`` and ``BetaUsage``, events ``message_start``, ``message_delta``).
"""

from __future__ import annotations

from typing import Any, Final

from otel_tokenomics.usage import OtherCharge, Reading, Usage
from otel_tokenomics.usage.dialects.counts import HUGE, count, field, fields_of, items, reason_of, word, worst
from otel_tokenomics.usage.dialects.stated import stated_cost

#: usage field -> what it is overwritten by in a stream's delta
_CUMULATIVE: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens_details",
    "server_tool_use",
    "iterations",
    "fallback_credit",
)
_KEPT: Final = ("cache_creation", "service_tier", "speed", "inference_geo", "cost")
#: Entries of ``iterations`` that stand outside the top-level counts, or have a model of their own.
_EXTRA: Final = frozenset({"compaction", "advisor_message"})


def read_messages(raw: object, provider: str | None = None) -> Reading:
    """Return the reading of a usage object of the messages API (plain or beta).

    ``iterations`` of type ``compaction`` are not part of the top-level counts: they are charged on top, at
    their own model or the response's. Batch is the fact ``processing=batch``.
    """
    raw = fields_of(raw)
    counts, bad = _counts(raw)
    if bad == HUGE:
        return Reading(None, reason="invalid_usage")
    flags: tuple[str, ...] = ()
    thinking, output = counts.get("reasoning", 0), counts.get("output")
    if output is not None:
        if thinking > output:
            flags = ("inconsistent_usage",)
        else:
            counts["output"] = output - thinking
    facts = {name: value for name in ("service_tier", "speed", "inference_geo") if (value := word(raw, name))}
    if facts.get("service_tier") == "batch":
        del facts["service_tier"]
        facts["processing"] = "batch"
    written = count(raw, "cache_creation_input_tokens")
    if written is not None and 0 <= written < counts.get("cache_write_1h", 0):
        flags = ("inconsistent_usage",)
    credit = field(raw, "fallback_credit")
    if (
        credit is not None
        and {"cache_write", "cache_write_1h"} & counts.keys()
        and word(field(credit, "status"), "type") == "redeemed"
    ):
        # Writes of what was warm with the model that refused are billed as reads, and nobody says how many.
        flags = (*flags, "assumed_default")
    reason = reason_of(bad, counts)
    others, whole = _others(raw)
    if not whole and counts:
        reason = reason or "incomplete_usage"
    usage = Usage(counts) if counts else None
    # OpenRouter bills by what it states, in this format too.
    stated = stated_cost(raw, provider) if provider == "openrouter" else None
    return Reading(usage, facts, stated_cost=stated, reason=reason, flags=flags, others=others)


def _counts(raw: object) -> tuple[dict[str, int], int]:
    split = field(raw, "cache_creation")
    tools = field(raw, "server_tool_use")
    written = count(raw, "cache_creation_input_tokens")
    hour = count(split, "ephemeral_1h_input_tokens") if split is not None else None
    five = count(split, "ephemeral_5m_input_tokens") if split is not None else None
    if written is not None and written >= 0:
        # The sum is stated; what is not an hour's is five minutes', also where a stream restates the sum alone.
        five = max(written - max(hour or 0, 0), 0)
    found = {
        "input": count(raw, "input_tokens"),
        "cache_read": count(raw, "cache_read_input_tokens"),
        "cache_write": five,
        "cache_write_1h": hour,
        "output": count(raw, "output_tokens"),
        "reasoning": count(field(raw, "output_tokens_details"), "thinking_tokens"),
        "web_search": count(tools, "web_search_requests") if tools is not None else None,
        "web_fetch": count(tools, "web_fetch_requests") if tools is not None else None,
    }
    bad = worst(written)
    counts: dict[str, int] = {}
    for unit, number in found.items():
        if number is None:
            continue
        if number < 0:
            bad = worst(bad, number)
        elif number or unit in ("input", "output"):
            counts[unit] = number
    return counts, bad


def _others(raw: object) -> tuple[tuple[OtherCharge, ...], bool]:
    """Return the charges beside the top-level counts, and whether every one of them could be believed."""
    found: list[OtherCharge] = []
    whole = True
    for entry in items(raw, "iterations"):
        if word(entry, "type") in _EXTRA:
            counts, bad = _counts(entry)
            if bad:
                whole = False
            elif counts:
                counts["output"] = max(counts.get("output", 0) - counts.get("reasoning", 0), 0)
                found.append(OtherCharge(word(entry, "model") or "", Usage(counts)))
    return tuple(found), whole


def read_response(response: object, provider: str | None = None) -> Reading | None:
    """Return the reading of a whole message; None where the object is none."""
    response = fields_of(response)
    usage, model, identity = field(response, "usage"), word(response, "model"), word(response, "id")
    if usage is None and model is None and identity is None:
        return None
    reading = read_messages(usage, provider) if usage is not None else Reading()
    stop = word(response, "stop_reason")
    return reading._replace(
        response_model=model,
        response_id=identity,
        finish_reasons=(stop,) if stop else (),
        others=tuple(charge if charge.model else charge._replace(model=model or "") for charge in reading.others),
    )


def merge(start: object, delta: object) -> dict[str, object]:
    """Return the usage of a stream: the delta overwrites, what it lacks keeps its value of ``message_start``.

    The split of cache writes, the tier, the speed and the geography exist in ``message_start`` alone.
    """
    merged: dict[str, object] = {}
    for name in (*_CUMULATIVE, *_KEPT):
        value = field(delta, name)
        if value is None:
            value = field(start, name)
        if value is not None:
            merged[name] = value
    return merged


class MessagesStreamReader:
    """Reads a stream of the messages API. A stream that ends before ``message_delta`` has no final output count."""

    __slots__: Final = ("_final", "_identity", "_model", "_provider", "_stop", "_usage")

    def __init__(self, provider: str | None = None) -> None:
        self._provider = provider
        self._usage: dict[str, object] | None = None
        self._model: str | None = None
        self._identity: str | None = None
        self._stop: str | None = None
        self._final = False

    def observe(self, item: Any) -> None:
        """Take note of one event."""
        kind = getattr(item, "type", None) or field(item, "type")
        if kind == "message_start":
            message = field(item, "message")
            self._model, self._identity = word(message, "model"), word(message, "id")
            self._usage = merge(field(message, "usage"), None)
        elif kind == "message_delta":
            self._usage = merge(self._usage, field(item, "usage"))
            self._stop = word(field(item, "delta"), "stop_reason") or self._stop
            self._final = True

    @property
    def final(self) -> bool:
        """Whether the stream has stated its final output count."""
        return self._final

    def reading(self) -> Reading | None:
        """Return what the stream said so far; before ``message_delta`` the output count is not exact."""
        if self._usage is None and self._identity is None:
            return None
        reading = read_messages(self._usage, self._provider) if self._usage else Reading()
        return reading._replace(
            response_model=self._model,
            response_id=self._identity,
            finish_reasons=(self._stop,) if self._stop else (),
            others=tuple(c if c.model else c._replace(model=self._model or "") for c in reading.others),
        )


def read_event(event: object, provider: str | None = None) -> Reading | None:
    """Return the reading of one event alone: the first has no final output count, the last may lack the input."""
    reader = MessagesStreamReader(provider)
    reader.observe(event)
    reading = reader.reading()
    if reading is None or reading.usage is None or (reader.final and "input" in reading.usage.counts):
        return reading
    return reading._replace(reason=reading.reason or "incomplete_usage")


def stream_reader() -> MessagesStreamReader:
    """Return a reader of one stream."""
    return MessagesStreamReader()
