"""From the counts on a span to disjoint units: what the input holds, where reasoning stands, what is missing.

Twin of ``collector/internal/attributes/usage.go``. In this order decide: the emitter, the total, proof, the setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from otel_tokenomics.attributes.emitters import Emitter
from otel_tokenomics.attributes.values import BAD, HUGE, count_of
from otel_tokenomics.usage import UNITS

INCLUSIVE: Final = "inclusive"
EXCLUSIVE: Final = "exclusive"
_MODAL_UNITS: Final[tuple[str, ...]] = (
    "audio_in",
    "audio_out",
    "audio_cache_read",
    "image_in",
    "image_out",
    "video_in",
    "video_out",
)
_OTHER_UNITS: Final = UNITS[UNITS.index("web_search") :]
_OUTPUT_UNITS: Final = frozenset(
    {"output", "reasoning", "audio_out", "image_out", "video_out", "video_out_second", "image", "character",
     "audio_in_second"}
)  # fmt: skip
_HAS_OUTPUT: Final = frozenset({"chat", "text_completion", "generate_content"})


class Source(NamedTuple):
    """What the accounting must know of a span beside its counts."""

    emitter: Emitter | None
    maker: str | None
    own: bool
    vercel: bool
    vercel_detail: bool
    vercel_operation: bool
    #: An earlier step of ours read the counts as exclusive and left them as they were.
    marked_exclusive: bool
    #: The setting ``usage_convention``.
    convention: str


class Tally:
    """The usage of one span on its way to disjoint units. ``values`` are attribute values by what they stand for."""

    def __init__(self, values: Mapping[str, Any], source: Source) -> None:
        self._values, self._source = values, source
        self.bad: bool = False
        self.huge: bool = False
        self.incomplete: bool = False
        self.inconsistent: bool = False
        self.exclusive: bool = False
        self.estimated: bool = False
        self.input: int | None = self.take("input")
        self.output: int | None = self.take("output")
        self.cache_read: int | None = self.take("cache_read")
        self.cache_write: int | None = self.take("cache_write")
        self.write_5m, self.write_1h = self.take("cache_write_5m"), self.take("cache_write_1h")
        self.write_12h = self.take("unit.cache_write_12h")
        self.reasoning, self.total = self.take("reasoning"), self.take("total")
        split = (self.write_5m or 0) + (self.write_1h or 0) + (self.write_12h or 0)
        if split > (self.cache_write or 0):
            # The split is finer than the sum; a sum that is smaller than it is missing or wrong.
            self.inconsistent |= self.cache_write is not None
            self.cache_write = split
        if self.input is None:
            self.input = self._estimate("estimated_input")
        if self.output is None:
            self.output = self._estimate("estimated_output")
        self._decide()

    def take(self, word: str) -> int | None:
        """Return one count; what is none is noted and left out."""
        number = count_of(self._values.get(word))
        self.bad |= number == BAD
        self.huge |= number == HUGE
        return None if number is None or number < 0 else number

    def _estimate(self, word: str) -> int | None:
        number = self.take(word)
        self.estimated |= number is not None
        return number

    def _decide(self) -> None:
        source, caches = self._source, (self.cache_read or 0) + (self.cache_write or 0)
        how: str | None = None
        if not source.own and source.marked_exclusive:
            how = EXCLUSIVE
        elif source.vercel:
            raw = source.vercel_operation and not source.vercel_detail and source.maker is not None
            how = EXCLUSIVE if raw else INCLUSIVE
        elif source.emitter is not None:
            how = source.emitter.counts(source.maker)
        if (how or self._by_numbers(caches)) == EXCLUSIVE:
            self.exclusive = caches > 0
            if self.input is not None or caches:
                self.input = (self.input or 0) + caches
        elif self.input is not None and caches > self.input:
            # A part larger than its whole: the caches are believed, plain input is then 0.
            self.inconsistent, self.input = True, caches
        elif self.input is None and caches:
            self.input = caches
        if source.emitter is not None and source.emitter.tools_outside:
            tools = self.take("agent_tool_input")
            if tools:
                self.input = (self.input or 0) + tools
        self._place_reasoning(outside=source.emitter is not None and source.emitter.reasoning_outside)
        if self.total is not None and (self.input is not None or self.output is not None):
            known = (self.input or 0) + (self.output or 0)
            self.incomplete |= self.total > known
            self.inconsistent |= self.total < known

    def _by_numbers(self, caches: int) -> str:
        if self.total is not None and self.input is not None and caches:
            if self.total == self.input + (self.output or 0):
                return INCLUSIVE
            if self.total == self.input + caches + (self.output or 0):
                return EXCLUSIVE
        if self.input is not None and self.input < caches:
            return EXCLUSIVE
        return EXCLUSIVE if self._source.convention == EXCLUSIVE else INCLUSIVE

    def _place_reasoning(self, *, outside: bool) -> None:
        """Add reasoning to output where it stands beside it; no part exceeds its whole."""
        if not self.reasoning:
            return
        given, made = self.input or 0, self.output or 0
        if not outside and self.total != given + made + self.reasoning:
            if self.reasoning <= made:
                return
            self.inconsistent = True
        self.output = made + self.reasoning

    def units(self) -> dict[str, int]:
        """Return the disjoint counts; what was reported as zero is there as zero."""
        modal, disjoint = self._modalities()
        read, write = self.cache_read or 0, self.cache_write or 0
        read = max(0, read - modal["audio_cache_read"]) if disjoint else self._overlap(modal, read, write)
        given = ("audio_in", "audio_cache_read", "image_in", "video_in")
        plain = (self.input or 0) - read - write - sum(modal[unit] for unit in given)
        made = ("audio_out", "image_out", "video_out")
        visible = (self.output or 0) - (self.reasoning or 0) - sum(modal[unit] for unit in made)
        self.inconsistent |= (self.input is not None and plain < 0) or (self.output is not None and visible < 0)
        found: dict[str, int | None] = {
            "input": _there(max(plain, 0), self.input),
            "cache_read": _there(read, self.cache_read),
            "cache_write": _there(max(0, write - (self.write_1h or 0) - (self.write_12h or 0)), self.cache_write),
            "cache_write_1h": self.write_1h,
            "cache_write_12h": self.write_12h,
            "output": _there(max(visible, 0), self.output),
            "reasoning": self.reasoning,
            **{unit: number or None for unit, number in modal.items()},
            **{unit: self.take(f"unit.{unit}") for unit in _OTHER_UNITS},
        }
        return {unit: number for unit in UNITS if (number := found.get(unit)) is not None}

    def _modalities(self) -> tuple[dict[str, int], bool]:
        """Return the modalities by unit, and whether they were taken apart already (by us, or by a joint count)."""
        own = {unit: self.take(f"unit.{unit}") for unit in _MODAL_UNITS}
        if self._source.own or any(number is not None for number in own.values()):
            return {unit: number or 0 for unit, number in own.items()}, True
        heard, seen = self.take("audio_cache_read"), self.take("image_cache_read")
        modal: dict[str, int] = dict.fromkeys(_MODAL_UNITS, 0)
        modal["audio_out"], modal["image_out"] = self.take("audio_output") or 0, self.take("image_output") or 0
        modal["audio_cache_read"] = heard or 0
        modal["audio_in"] = max(0, (self.take("audio_input") or 0) - (heard or 0))
        # Cached images are plain cache reads.
        modal["image_in"] = max(0, (self.take("image_input") or 0) - (seen or 0))
        return modal, heard is not None or seen is not None

    def _overlap(self, modal: dict[str, int], read: int, write: int) -> int:
        """Take cached audio and images apart where the emitter did not: the least overlap, audio first."""
        over = read + write + modal["audio_in"] + modal["image_in"] + modal["video_in"] - (self.input or 0)
        if over <= 0:
            return read
        heard = min(over, modal["audio_in"], read)
        modal["audio_cache_read"], modal["audio_in"] = heard, modal["audio_in"] - heard
        image = min(over - heard, modal["image_in"])
        modal["image_in"] -= image
        modal["video_in"] -= min(over - heard - image, modal["video_in"])
        return read - heard

    def cut_short(self, units: Mapping[str, int], operation: str) -> bool:
        """Return whether a stream ended before its output was counted: input alone on a call that has output."""
        return operation in _HAS_OUTPUT and bool(self.input) and not _OUTPUT_UNITS & units.keys()


def _there(number: int, reported: int | None) -> int | None:
    return number if number or reported is not None else None
