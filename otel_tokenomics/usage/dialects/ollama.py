"""Ollama's format: counts stand on the answer itself, in a stream on its last chunk.

Source: Ollama's API reference, page "Usage" (``prompt_eval_count`` is the whole prompt, ``prompt_eval_cached_count``
what of it came from the cache; ``load_duration`` and the like are no units).
"""

from __future__ import annotations

from otel_tokenomics.usage import Reading, Usage
from otel_tokenomics.usage.dialects.counts import HUGE, Counts, believed, count, field, reason_of, word, worst


def read_usage(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of an answer's counts; a prompt that was cached whole is not counted by the server."""
    given, cached = count(raw, "prompt_eval_count"), count(raw, "prompt_eval_cached_count")
    made, hit = count(raw, "eval_count"), believed(cached)
    counts: Counts = {}
    if given is not None and given >= 0:
        counts["input"] = max(given - hit, 0)
    if hit:
        counts["cache_read"] = hit
    if made is not None and made >= 0:
        counts["output"] = made
    bad = worst(given, cached, made)
    if bad == HUGE or not counts:
        return Reading(None, reason="invalid_usage" if bad else None)
    odd = given is not None and 0 <= given < hit
    return Reading(Usage(counts), reason=reason_of(bad, counts), flags=("inconsistent_usage",) if odd else ())


def read_response(response: object) -> Reading | None:
    """Return the reading of an answer or a chunk; None where it is neither."""
    model = word(response, "model")
    if field(response, "done") is False and model is not None:
        return Reading(response_model=model)  # most of a stream
    if model is None and field(response, "eval_count") is None:
        return None
    stop = word(response, "done_reason")
    return read_usage(response)._replace(response_model=model, finish_reasons=(stop,) if stop else ())
