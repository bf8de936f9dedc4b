"""Ollama's format: counts stand on the answer itself, in a stream on its last chunk.

Source: Ollama's API reference (``prompt_eval_count``, ``eval_count``; ``load_duration`` and the like are no units).
"""

from __future__ import annotations

from otel_tokenomics.usage import Reading, Usage
from otel_tokenomics.usage.dialects.counts import BAD, HUGE, Counts, count, field, reason_of, word


def read_usage(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of an answer's counts; a prompt that was cached whole is not counted by the server."""
    counts: Counts = {}
    bad = 0
    for name, unit in (("prompt_eval_count", "input"), ("eval_count", "output")):
        number = count(raw, name)
        if number is not None and number < 0:
            bad = HUGE if HUGE in (number, bad) else BAD
        elif number is not None:
            counts[unit] = number
    if bad == HUGE or not counts:
        return Reading(None, reason="invalid_usage" if bad else None)
    return Reading(Usage(counts), reason=reason_of(bad, counts))


def read_response(response: object) -> Reading | None:
    """Return the reading of an answer or a chunk; None where it is neither."""
    model = word(response, "model")
    if field(response, "done") is False and model is not None:
        return Reading(response_model=model)  # most of a stream
    if model is None and field(response, "eval_count") is None:
        return None
    stop = word(response, "done_reason")
    return read_usage(response)._replace(response_model=model, finish_reasons=(stop,) if stop else ())
