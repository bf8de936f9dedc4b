"""OpenAI's realtime format: counts by modality, the cached ones by modality too.

Source: OpenAI's API reference, event ``response.done``, object ``RealtimeResponseUsage``.
"""

from __future__ import annotations

from typing import Final

from otel_tokenomics.usage import Reading, Usage
from otel_tokenomics.usage.dialects.counts import (
    HUGE,
    Counts,
    believed,
    count,
    field,
    reason_of,
    split_input,
    word,
    worst,
)

#: A response that was cancelled has usage too, and is billed.
_ENDS: Final = frozenset({"completed", "cancelled", "incomplete", "failed"})


def read_realtime(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of one response's usage."""
    given, made, total = count(raw, "input_tokens"), count(raw, "output_tokens"), count(raw, "total_tokens")
    details, out = field(raw, "input_token_details"), field(raw, "output_token_details")
    hit = field(details, "cached_tokens_details")
    parts = (
        count(details, "cached_tokens"),
        *(count(place, name) for place in (hit, details) for name in ("audio_tokens", "image_tokens")),
        count(out, "audio_tokens"),
    )
    bad = worst(given, made, *parts)
    cached, heard, seen, audio, image, spoken = map(believed, parts)
    counts: Counts = {}
    left = 0
    if given is not None and given >= 0:
        if hit is not None and worst(*parts) == 0:
            kinds = {
                "cache_read": max(cached - heard, 0),
                "audio_cache_read": heard,
                "audio_in": max(audio - heard, 0),
                "image_in": max(image - seen, 0),
            }
            left = given - sum(kinds.values())
        else:
            left, kinds = split_input(given, cached, 0, {"audio_in": audio, "image_in": image})
        counts = {"input": max(left, 0), **{unit: number for unit, number in kinds.items() if number}}
    if made is not None and made >= 0:
        counts["output"] = max(made - spoken, 0)
        if spoken:
            counts["audio_out"] = spoken
    if bad == HUGE or not counts:
        return Reading(None, reason="invalid_usage" if bad else None)
    reason = reason_of(bad, counts)
    if total is not None and total > sum(counts.values()) and not bad:
        reason = "incomplete_usage"
    odd = left < 0 or (made is not None and spoken > made)
    return Reading(Usage(counts), reason=reason, flags=("inconsistent_usage",) if odd else ())


def read_event(event: object) -> Reading | None:
    """Return the reading of one event that carries the response."""
    reader = RealtimeStreamReader()
    reader.observe(event)
    return reader.reading()


class RealtimeStreamReader:
    """Reads the events of one response: ``response.created`` names it, ``response.done`` states its usage."""

    __slots__: Final = ("_reading",)

    def __init__(self) -> None:
        self._reading: Reading | None = None

    def observe(self, item: object) -> None:
        """Take note of one event that carries the response."""
        response = field(item, "response")
        status, usage = word(response, "status"), field(response, "usage")
        reading = read_realtime(usage) if usage is not None else Reading()
        self._reading = reading._replace(
            response_id=word(response, "id"),
            response_status=status,
            finish_reasons=(status,) if status in _ENDS else (),
        )

    @property
    def final(self) -> bool:
        """Whether the response has ended."""
        return self._reading is not None and bool(self._reading.finish_reasons)

    def reading(self) -> Reading | None:
        """Return what the events said so far."""
        return self._reading
