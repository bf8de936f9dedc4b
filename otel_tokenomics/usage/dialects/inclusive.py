"""Disjoint counts of an inclusive usage: one whose input holds cache reads, cache writes and every modality."""

from __future__ import annotations

from otel_tokenomics.usage import Reading, Usage
from otel_tokenomics.usage.dialects.counts import HUGE, believed, count, reason_of, split_input, worst


def modalities_of(details: object, out_details: object) -> dict[str, int]:
    """Return the counts by modality of both sides, as they were read."""
    found: dict[str, int] = {}
    if details is not None:
        if number := count(details, "audio_tokens"):
            found["audio_in"] = number
        if number := count(details, "image_tokens"):
            found["image_in"] = number
        if number := count(details, "video_tokens"):
            found["video_in"] = number
    if out_details is not None:
        if number := count(out_details, "audio_tokens"):
            found["audio_out"] = number
        if number := count(out_details, "image_tokens"):
            found["image_out"] = number
    return found


def disjoint(
    inputs: tuple[int | None, int | None, int | None, int | None],
    modalities: dict[str, int],
    outputs: tuple[int | None, int | None, int | None],
) -> Reading:
    """Return disjoint counts of an inclusive usage; inconsistent ones are clamped and flagged."""
    prompt, cached, written, written_12h = inputs
    completion, reasoning, total = outputs
    if not (modalities or written or written_12h) and prompt is not None and completion is not None:
        # The usual case, at a third of the time: every part within its whole, and the total their sum.
        hit, thought = cached or 0, reasoning or 0
        if 0 <= hit <= prompt and 0 <= thought <= completion and total in (None, prompt + completion):
            counts = {"input": prompt - hit}
            if hit:
                counts["cache_read"] = hit
            counts["output"] = completion - thought
            if thought:
                counts["reasoning"] = thought
            return Reading(Usage(counts))
    return _unusual(inputs, modalities, outputs)


def _unusual(
    inputs: tuple[int | None, int | None, int | None, int | None],
    modalities: dict[str, int],
    outputs: tuple[int | None, int | None, int | None],
) -> Reading:
    """Return the reading of an inclusive usage with several modalities, cache writes or contradictions."""
    prompt, cached, written, written_12h = inputs
    completion, reasoning, total = outputs
    counts: dict[str, int] = {}
    bad, flags = worst(prompt, cached, written, written_12h, completion, reasoning, *modalities.values()), False
    cached, written, long = believed(cached), believed(written), believed(written_12h)
    written = max(written, long)
    if prompt is not None and prompt >= 0:
        left, modal = split_input(prompt, cached, written, modalities)
        flags |= left < 0
        counts["input"] = max(left, 0)
        counts |= {unit: number for unit, number in modal.items() if number}
    else:
        # The smallest whole that can hold the parts: they may be the same tokens.
        heard = sum(number for unit, number in modalities.items() if unit.endswith("_in") and number > 0)
        _, modal = split_input(max(cached + written, heard), cached, written, modalities)
        counts |= {unit: number for unit, number in modal.items() if number}
    if cached and "cache_read" not in counts and "audio_cache_read" not in counts:
        counts["cache_read"] = cached
    if written - long:
        counts["cache_write"] = written - long
    if long:
        counts["cache_write_12h"] = long
    spoken = sum(number for unit, number in modalities.items() if unit.endswith("_out") and number > 0)
    thought = believed(reasoning)
    if completion is not None and completion >= 0:
        rest = completion - thought - spoken
        if thought > completion:
            rest, flags = completion - spoken, True
        flags |= rest < 0
        counts["output"] = max(rest, 0)
    if thought:
        counts["reasoning"] = thought
    counts |= {unit: number for unit, number in modalities.items() if unit.endswith("_out") and number > 0}
    reason = reason_of(bad, counts)
    if total is not None and total > 0 and counts:
        known = sum(counts.values())
        if total > known:
            reason = reason or "incomplete_usage"
        flags |= total < known and not bad
    return reading_of(counts, bad, reason, ("inconsistent_usage",) if flags else ())


def reading_of(counts: dict[str, int], bad: int, reason: str | None = None, flags: tuple[str, ...] = ()) -> Reading:
    """Return the reading of counts; ``bad`` is the worst mark among those that were read."""
    if bad == HUGE:
        return Reading(None, reason="invalid_usage", flags=flags)
    if not counts:
        return Reading(None, reason="invalid_usage" if bad else None, flags=flags)
    return Reading(Usage(counts), reason=reason or reason_of(bad, counts), flags=flags)


def with_worst(reading: Reading, bad: int) -> Reading:
    """Return a reading beside whose counts stood another one: what could not be believed leaves a lower bound."""
    if not bad or reading.usage is None:
        return reading
    if bad == HUGE:
        return reading._replace(usage=None, reason="invalid_usage", others=())
    return reading._replace(reason=reason_of(bad, reading.usage.counts))
