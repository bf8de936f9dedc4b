"""What one model call used, in the shape that pricing, telemetry and reports share.

Only counts, facts and exact money may enter this room. It imports ``errors`` and the
standard library; raw provider objects are read in ``usage/dialects``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from otel_tokenomics.usage.money import (
    MAX_PICO,
    PICO_PER_USD,
    checked_sum,
    parse_usd,
    pico_to_text,
    pico_to_usd,
)

__all__ = [
    "MAX_COUNT",
    "MAX_PICO",
    "NO_FACTS",
    "PICO_PER_USD",
    "TOKEN_UNITS",
    "UNITS",
    "Facts",
    "OtherCharge",
    "Reading",
    "Usage",
    "UsageSource",
    "checked_sum",
    "parse_usd",
    "pico_to_text",
    "pico_to_usd",
]

#: The closed, ordered list of billable units; the index is the place in every rate array.
#: A new unit is a new price-book schema version.
UNITS: Final = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "cache_write_12h",
    "output",
    "reasoning",
    "audio_in",
    "audio_out",
    "audio_cache_read",
    "image_in",
    "image_out",
    "video_in",
    "video_out",
    "request",
    "web_search",
    "web_fetch",
    "file_search",
    "code_session",
    "search_unit",
    "audio_in_second",
    "video_out_second",
    "page",
    "character",
    "image",
)
#: The units that count tokens (index 0 to 13); they are disjoint, so they add up.
TOKEN_UNITS: Final = UNITS[:14]
#: The largest count that is believed, in any unit.
MAX_COUNT: Final = 10**12

UsageSource = Literal["provider", "estimated", "mixed"]

#: What else a price depends on: keys are the ``when`` keys of the price book
#: (``service_tier``, ``processing``, ``speed``, ``inference_geo``, ``deployment_type``,
#: ``region``, ``search_context_size``, ``account``), values lower-case words.
Facts = Mapping[str, str]
NO_FACTS: Final[Facts] = MappingProxyType({})


class Usage:
    """Disjoint counts per unit of one or more calls.

    ``counts`` maps a unit of ``UNITS`` to a non-negative integer. A unit that is absent was
    not reported; a unit that is 0 was reported as zero. ``source`` says who counted.
    """

    __slots__ = ("counts", "source")

    def __init__(self, counts: Mapping[str, int], source: UsageSource = "provider") -> None:
        self.counts: Mapping[str, int] = counts
        self.source: UsageSource = source

    def __add__(self, other: Usage) -> Usage:
        """Add unit by unit; the sum of a provider's count and an estimate is ``mixed``."""
        counts = dict(self.counts)
        for unit, count in other.counts.items():
            counts[unit] = counts.get(unit, 0) + count
        return Usage(counts, self.source if self.source == other.source else "mixed")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Usage) and self.source == other.source and self.counts == other.counts

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # mutable counts: never a key

    def __repr__(self) -> str:
        return f"Usage({dict(self.counts)!r}, {self.source!r})"


class OtherCharge(NamedTuple):
    """Usage inside a response that another model, or another request of the same model, billed.

    Its context tier is chosen on its own, so it is never added to the main usage before pricing.
    """

    model: str
    usage: Usage


class Reading(NamedTuple):
    """What a reader found in one provider response, or on one foreign span.

    ``usage`` is None where nothing was reported. ``stated_cost`` is what the billing party
    stated, in pico-USD. ``flags`` and ``reason`` are words of the price vocabulary
    (``inconsistent_usage``; ``invalid_usage``, ``incomplete_usage``, ``pending`` ...).
    ``shares`` says what each of several models did of ``usage``, which is their sum: each is priced at its own.
    ``summed`` says that ``usage`` is of several requests, so that its size chooses no context tier.
    ``opinion`` is what the client believes that it cost, in pico-USD: compared, never adopted.
    ``finish_reasons`` and ``response_status`` are the provider's own words.
    """

    usage: Usage | None = None
    facts: Facts = NO_FACTS
    response_model: str | None = None
    response_id: str | None = None
    stated_cost: int | None = None
    flags: tuple[str, ...] = ()
    reason: str | None = None
    others: tuple[OtherCharge, ...] = ()
    finish_reasons: tuple[str, ...] = ()
    response_status: str | None = None
    shares: tuple[OtherCharge, ...] = ()
    summed: bool = False
    opinion: int | None = None
