"""Cohere's formats: what is billed stands in ``billed_units`` (floats); ``tokens`` is more than that, never a bill.

Source: Cohere's API reference (objects ``Usage``, ``ApiMeta``) and its page on billing.
"""

from __future__ import annotations

from typing import Final

from otel_tokenomics.usage import Reading, Usage
from otel_tokenomics.usage.dialects.counts import HUGE, Counts, believed, count, field, reason_of, word, worst

_UNIT_OF: Final = (
    ("input_tokens", "input"),
    ("text_tokens", "input"),
    ("image_tokens", "image_in"),
    ("output_tokens", "output"),
    ("search_units", "search_unit"),
    ("pages", "page"),
)
#: Billed in units that no price row can carry: a count of them leaves the cost a lower bound.
_NO_UNIT: Final = ("classifications", "images")
#: Events that bear a piece of text and nothing else: most of a stream (v2, v1).
_TEXT: Final = ("content-delta", "text-generation")


def read_usage(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of a ``usage`` or ``meta`` object, or of ``billed_units`` itself."""
    billed = field(raw, "billed_units")
    if billed is None:
        if field(raw, "tokens") is not None:
            return Reading()  # counted, but nobody said what is billed
        billed = raw
    counts: Counts = {}
    found = [(unit, count(billed, name)) for name, unit in _UNIT_OF]
    for unit, number in found:
        # Of input and text tokens, which are the same, the first.
        if number is not None and unit not in counts and (number > 0 or (number == 0 and unit in ("input", "output"))):
            counts[unit] = number
    others = [count(billed, name) for name in _NO_UNIT]
    bad, unnamed = worst(*(number for _, number in found), *others), any(map(believed, others))
    if bad == HUGE or not counts:
        reason = "invalid_usage" if bad else "missing_rate" if unnamed else None
        return Reading(None, reason=reason)
    return Reading(Usage(counts), reason=reason_of(bad, counts) or ("missing_rate" if unnamed else None))


def read_response(response: object) -> Reading | None:
    """Return the reading of an answer (chat v1 and v2, embed, rerank) or a stream's last event; None without one."""
    kind = word(response, "type") or word(response, "event_type")
    if kind in _TEXT:
        return None
    inner = field(response, "delta") if kind == "message-end" else field(response, "response")
    source = inner if inner is not None else response
    usage = field(source, "usage")
    if usage is None:
        usage = field(source, "meta")
    identity = (
        word(response, "id") or word(source, "id") or word(source, "response_id") or word(source, "generation_id")
    )
    if usage is None and identity is None:
        return None
    reading = read_usage(usage) if usage is not None else Reading()
    stop = word(source, "finish_reason")
    return reading._replace(response_id=identity, finish_reasons=(stop.lower(),) if stop else ())
