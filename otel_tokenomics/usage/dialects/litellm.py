"""LiteLLM's usage object: OpenAI's counts for every provider, cache writes and reads inside the input.

Source: LiteLLM's ``types/utils.py`` (``Usage``, which adds the cache back for providers that count it apart). Its
``cost`` is an estimate from a price map of its own, whoever bills, and is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from otel_tokenomics.usage import NO_FACTS, Reading, Usage
from otel_tokenomics.usage.dialects import openai_like
from otel_tokenomics.usage.dialects.counts import believed, count, field, fields_of, items, word, worst
from otel_tokenomics.usage.dialects.inclusive import with_worst

_FACTS = ("service_tier", "speed", "inference_geo")


def read_usage(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of a usage object."""
    details = field(raw, "prompt_tokens_details")
    written = [
        count(source, name)
        for source, name in (
            (details, "cache_write_tokens"),
            (details, "cache_creation_tokens"),
            (raw, "cache_creation_input_tokens"),
        )
    ]
    given = {name: field(details, name) for name in ("cached_tokens", "audio_tokens", "image_tokens")}
    counted = {name: field(raw, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    reading = openai_like.read_chat(
        {
            **counted,
            "prompt_tokens_details": {**given, "cache_write_tokens": max(map(believed, written))},
            "completion_tokens_details": field(raw, "completion_tokens_details"),
        }
    )
    facts = {name: value for name in _FACTS if (value := word(raw, name))}
    if reading.usage is None:
        return reading
    counts = dict(reading.usage.counts)
    hours = count(field(details, "cache_creation_token_details"), "ephemeral_1h_input_tokens")
    searches = count(field(raw, "server_tool_use"), "web_search_requests")
    if long := min(believed(hours), counts.get("cache_write", 0)):
        counts["cache_write"] -= long
        counts["cache_write_1h"] = long
    if believed(searches):
        counts["web_search"] = believed(searches)
    reading = reading._replace(usage=Usage(counts), facts=facts or NO_FACTS)
    return with_worst(reading, worst(*written, hours, searches))


def read_response(response: object) -> Reading | None:
    """Return the reading of a whole response; None where there is none."""
    if response is None:
        return None
    usage = field(response, "usage")
    finish = tuple(reason for choice in items(response, "choices") if (reason := word(choice, "finish_reason")))
    reading = read_usage(usage) if usage is not None else Reading()
    if reading.usage is not None and not any(reading.usage.counts.values()):
        reading = reading._replace(usage=None)  # the library writes zeros where it could not read what came
    return reading._replace(
        response_model=word(response, "model"), response_id=word(response, "id"), finish_reasons=finish
    )


def left(chunks: Sequence[object]) -> dict[str, object]:
    """Return as one response what came of a stream that was left: counts grow, and the start alone may bear some."""
    told = [usage for chunk in chunks if (usage := field(chunk, "usage")) is not None]
    response: dict[str, object] = {name: field(chunk, name) for chunk in chunks[:1] for name in ("id", "model")}
    if told:
        given = max(told, key=lambda usage: believed(count(usage, "prompt_tokens")))
        made = max(believed(count(usage, "completion_tokens")) for usage in told)
        fields = cast("dict[str, object]", fields_of(given))
        response["usage"] = {**fields, "completion_tokens": made, "total_tokens": None}
    return response


def is_reported(response: object, call: object) -> bool:
    """Return whether a stream's counts are the provider's: unasked, some report none, and the library counts.

    ``call`` is the library's description of the call.
    """
    if "responses" in (word(call, "call_type") or ""):
        return True  # the last event of such a stream always bears them
    sent = field(field(call, "additional_args"), "complete_input_dict")
    asked = field(sent, "stream_options") or field(field(call, "optional_params"), "stream_options")
    details = field(field(response, "usage"), "prompt_tokens_details")
    return details is not None or field(asked, "include_usage") is True
