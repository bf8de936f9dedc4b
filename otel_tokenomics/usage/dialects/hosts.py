"""Formats of one host each, where they are neither OpenAI's nor large: a few counts under names of their own.

Sources: IBM's API reference of watsonx.ai (text generation, embeddings, rerank); Replicate's page on predictions;
README of llama.cpp's server (``timings``, ``tokens_evaluated``); LM Studio's REST reference (``stats``); the API
references of AssemblyAI (``audio_duration``), Deepgram (``metadata.duration``) and Soniox (``audio_duration_ms``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from otel_tokenomics.usage import Reading, Usage
from otel_tokenomics.usage.dialects.counts import Counts, count, field, items, reason_of, whole_seconds, worst

Pairs = tuple[tuple[str, int | None], ...]


def _watsonx(raw: object) -> Pairs:
    """Text generation counts by result; embeddings and rerank as a whole."""
    results = [one for one in items(raw, "results") if field(one, "input_token_count") is not None]
    if not results:
        return (("input", count(raw, "input_token_count")), ("output", count(raw, "generated_token_count")))
    return tuple(
        (unit, count(one, name))
        for one in results
        for unit, name in (("input", "input_token_count"), ("output", "generated_token_count"))
    )


def _replicate(raw: object) -> Pairs:
    """Official language models count tokens among their metrics; others are billed by the second of a machine."""
    metrics = field(raw, "metrics")
    told = raw if metrics is None else metrics
    return (("input", count(told, "input_token_count")), ("output", count(told, "output_token_count")))


def _llama_cpp(raw: object) -> Pairs:
    """``timings`` say what of the prompt was computed and what came from the cache; the rest says the whole prompt."""
    timings = field(raw, "timings")
    told = raw if timings is None else timings
    if field(told, "predicted_n") is None:
        return (("input", count(raw, "tokens_evaluated")), ("output", count(raw, "tokens_predicted")))
    return (("input", count(told, "prompt_n")), ("cache_read", count(told, "cache_n")),
            ("output", count(told, "predicted_n")))  # fmt: skip


def _lm_studio(raw: object) -> Pairs:
    stats = field(raw, "stats")
    told = raw if stats is None else stats
    made, thought = count(told, "total_output_tokens"), count(told, "reasoning_output_tokens")
    if made is not None and thought is not None and 0 <= thought <= made:
        made -= thought
    return (("input", count(told, "input_tokens")), ("output", made), ("reasoning", thought))


def _assemblyai(raw: object) -> Pairs:
    return (("audio_in_second", whole_seconds(raw, "audio_duration")),)


def _deepgram(raw: object) -> Pairs:
    metadata = field(raw, "metadata")
    return (("audio_in_second", whole_seconds(raw if metadata is None else metadata, "duration")),)


def _soniox(raw: object) -> Pairs:
    heard = count(raw, "audio_duration_ms")
    return (("audio_in_second", -(-heard // 1000) if heard is not None and heard > 0 else heard),)


_PAIRS: Final[Mapping[str, Callable[[object], Pairs]]] = MappingProxyType(
    {
        "assemblyai": _assemblyai,
        "deepgram": _deepgram,
        "ibm.watsonx.ai": _watsonx,
        "llama_cpp": _llama_cpp,
        "lm_studio": _lm_studio,
        "replicate": _replicate,
        "soniox": _soniox,
    }
)


def read_usage(raw: object, provider: str | None) -> Reading:
    """Return the reading of an answer, or of the part of it that counts."""
    pairs = _PAIRS[provider or ""](raw)
    counts: Counts = {}
    for unit, number in pairs:
        if number is not None and number >= 0 and (number or unit in ("input", "output", "audio_in_second")):
            counts[unit] = counts.get(unit, 0) + number
    bad = worst(*(number for _, number in pairs))
    reason = reason_of(bad, counts)
    if reason == "invalid_usage" or not counts:
        return Reading(None, reason=reason)
    channels = count(field(raw, "metadata"), "channels") if provider == "deepgram" else None
    if channels is not None and channels > 1:
        reason = "incomplete_usage"  # heard apart, each of them is billed; whether they were, the answer does not say
    return Reading(Usage(counts), reason=reason)


READERS: Final[Mapping[str, Callable[[object, str | None], Reading]]] = MappingProxyType(
    dict.fromkeys(_PAIRS, read_usage)
)
