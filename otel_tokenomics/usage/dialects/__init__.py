"""Readers of raw provider usage: one file per wire dialect, pure, never raising on what a provider sent.

Only readers may enter this room; it imports ``usage`` and the standard library.
"""

from __future__ import annotations

from typing import Final, cast

from otel_tokenomics.usage import Reading
from otel_tokenomics.usage.dialects import anthropic, openai_like

__all__ = ["APIS", "default_api", "read"]

#: The words for a wire format that a reader exists for.
APIS: Final = ("chat", "completions", "responses", "embeddings", "images", "speech", "transcription", "messages")


def read(api: str, raw: object, *, provider: str | None = None) -> Reading:
    """Return the reading of a raw usage object.

    Args:
        api: the wire format, a word of ``APIS``.
        raw: the usage object exactly as the API or its client returned it.
        provider: key of the provider, for hosts whose usage differs from the format's.

    Raises:
        ValueError: no reader knows the format; the message names those available.
    """
    if api == "messages":
        return anthropic.read_messages(raw)
    reader = openai_like.READERS.get(api)
    if reader is None:
        raise ValueError(f"api {api!r} is not available; available are {', '.join(APIS)}")
    return reader(raw, provider)


def default_api(provider: str | None, raw: object) -> str:
    """Return the wire format of a provider's usage object where none is named."""
    if provider == "anthropic":
        return "messages"
    keys = cast("dict[str, object]", raw) if isinstance(raw, dict) else ()
    return "responses" if "input_tokens" in keys and "prompt_tokens" not in keys else "chat"
