"""What the recorder knows of one call when it settles: the words that its writers share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from otel_tokenomics.client_api import Operation, Request
from otel_tokenomics.pricing import Cost
from otel_tokenomics.usage import Reading, Usage

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


class ProviderChoice(NamedTuple):
    """Who bills a call: ``price_host`` is None where that is certain; ``billed_elsewhere`` by a gateway."""

    name: str
    price_host: str | None
    billed_elsewhere: bool


class Outcome(NamedTuple):
    """How a call went. Times: epoch nanoseconds and seconds.

    ``end`` is completed, error, abandoned or cancelled. ``started``: a response had begun. ``ambiguous``: a
    timeout or a lost connection, which the provider may have billed. ``duration_s`` is None where nobody knows it;
    ``ended_at_ns`` is set where the call was over before it was told.
    """

    reading: Reading | None
    end: str
    started_at_ns: int
    duration_s: float | None
    error_type: str | None = None
    ambiguous: bool = False
    started: bool = False
    first_chunk_s: float | None = None
    chunks: int = 0
    retries: int = 0
    estimated: Usage | None = None
    #: When it ended, where it is settled later (epoch nanoseconds).
    ended_at_ns: int | None = None
    #: What another library believes that it cost (pico-USD): compared, never adopted.
    opinion: int | None = None


class SettledCall(NamedTuple):
    """One call with its price: the one result that feeds attributes, metrics and running totals."""

    operation: Operation
    request: Request
    choice: ProviderChoice
    outcome: Outcome
    #: What was used: the provider's counts or an estimate; None where nobody knows.
    usage: Usage | None
    reading: Reading
    cost: Cost

    def tokens(self) -> tuple[int, int]:
        """Return input and output tokens, every unit included."""
        return token_totals(self.usage) if self.usage is not None else (0, 0)


def token_totals(usage: Usage) -> tuple[int, int]:
    """Return input and output tokens of a usage, every unit included."""
    counts: Mapping[str, int] = usage.counts
    given = sum([counts.get(unit, 0) for unit in INPUT_UNITS])
    return given, sum([counts.get(unit, 0) for unit in OUTPUT_UNITS])
