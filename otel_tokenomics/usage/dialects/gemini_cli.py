"""Gemini CLI's count of a session, by model, as its JSON output states it.

Source: its page on headless mode (``stats.models``). ``prompt`` holds what was cached, thoughts and results of tools
stand outside. Its web searches are billed and not among the tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from otel_tokenomics.usage import OtherCharge, Reading
from otel_tokenomics.usage.dialects import google
from otel_tokenomics.usage.dialects.counts import count, field

_WORDS: Final = (
    ("prompt", "promptTokenCount"),
    ("candidates", "candidatesTokenCount"),
    ("cached", "cachedContentTokenCount"),
    ("thoughts", "thoughtsTokenCount"),
    ("tool", "toolUsePromptTokenCount"),
    ("total", "totalTokenCount"),
)
_SEARCH: Final = "google_web_search"


def models_of(output: object) -> Mapping[str, object]:
    """Return what an output says of each model; nothing where it is no output of the program."""
    models = field(field(output, "stats"), "models")
    return cast("Mapping[str, object]", models) if isinstance(models, dict) else {}


def read_output(output: object) -> Reading:
    """Return the reading of a JSON output: sums over requests, each model's share at its own rates."""
    shares: list[OtherCharge] = []
    reason: str | None = None
    for model, one in models_of(output).items():
        tokens = field(one, "tokens")
        part = google.read_generate_content({theirs: field(tokens, ours) for ours, theirs in _WORDS})
        reason = reason or ("incomplete_usage" if part.reason else None)
        if part.usage is not None:
            shares.append(OtherCharge(model, part.usage))
    if not shares:
        return Reading(reason="invalid_usage" if reason else None)
    searched = count(field(field(field(field(output, "stats"), "tools"), "byName"), _SEARCH), "count")
    usage = sum((share.usage for share in shares[1:]), shares[0].usage)
    return Reading(
        usage, reason=reason or ("incomplete_usage" if searched else None), shares=tuple(shares), summed=True
    )
