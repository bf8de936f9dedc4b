"""Groq's compound systems: one answer of several models, each billed at its own rates, and tools billed on top.

Source: Groq's API reference (objects ``UsageBreakdown`` and ``XGroq``): plain answers bear ``usage_breakdown``, the
last chunk of a stream bears it inside ``x_groq``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_tokenomics.usage import OtherCharge, Reading, Usage
from otel_tokenomics.usage.dialects.counts import field, fields_of, items, word

_LOWER_BOUND = "incomplete_usage"


def with_shares(reading: Reading, response: object, read: Callable[[object, str | None], Reading]) -> Reading:
    """Return a reading with what each model did; ``read`` reads a chat usage object.

    The usage becomes the sum of the shares, for they are what is billed. Where the whole states more than they come
    to, or tools ran that no count tells, the sum is a lower bound.
    """
    breakdown = field(response, "usage_breakdown")
    if breakdown is None:
        breakdown = field(field(response, "x_groq"), "usage_breakdown")
    if breakdown is not None:
        reading = _shared(reading, breakdown, read)
    if reading.usage is not None and ran_tools(response):
        reading = reading._replace(reason=reading.reason or _LOWER_BOUND)
    return reading


def _shared(reading: Reading, breakdown: object, read: Callable[[object, str | None], Reading]) -> Reading:
    shares: list[OtherCharge] = []
    whole = True
    for entry in items(breakdown, "models"):
        entry = fields_of(entry)
        part = read(field(entry, "usage"), "groq")
        if part.usage is None or part.reason is not None:
            whole = False
        if part.usage is not None:
            shares.append(OtherCharge(word(entry, "model") or "", part.usage))
    if not shares:
        return reading
    usage = sum((share.usage for share in shares[1:]), shares[0].usage)
    whole = whole and (reading.usage is None or _tokens(reading.usage) <= _tokens(usage))
    reason = reading.reason or (None if whole else _LOWER_BOUND)
    return reading._replace(usage=usage, shares=tuple(shares), reason=reason)


def _tokens(usage: Usage) -> int:
    return sum(usage.counts.values())


def ran_tools(item: Any) -> bool:
    """Return whether an answer or a chunk tells of tools that ran: they are billed, and never counted."""
    choices: Any = getattr(item, "choices", None)  # of every chunk of a stream, and nearly all are objects
    known: list[Any] = choices if choices.__class__ is list else [*items(item, "choices")]
    for choice in known:
        told = getattr(choice, "delta", None) or field(choice, "delta") or field(choice, "message")
        if field(told, "executed_tools"):
            return True
    return False
