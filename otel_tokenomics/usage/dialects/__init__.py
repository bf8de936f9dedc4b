"""Readers of raw provider usage: one file per wire dialect, pure, never raising on what a provider sent.

Only readers may enter this room; it imports ``usage`` and the standard library.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, cast

from otel_tokenomics.usage import Reading
from otel_tokenomics.usage.dialects import anthropic, openai_like

__all__ = ["APIS", "default_api", "read"]

#: The words for a wire format that a reader exists for.
APIS: Final = ("chat", "completions", "responses", "embeddings", "images", "speech", "transcription", "messages")
#: Providers whose usage objects are in a format of their own, unless the object says otherwise.
_OWN_FORMATS: Final = MappingProxyType(
    {
        "aws.bedrock": "converse",
        "gcp.gemini": "generate_content",
        "gcp.vertex_ai": "generate_content",
        "cohere": "cohere",
        "ollama": "ollama",
    }
)


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
    """Return the wire format of a provider's usage object where none is named.

    It may be a word that ``APIS`` lacks: the provider's own format, which no reader exists for.
    """
    keys = cast("dict[str, object]", raw) if isinstance(raw, dict) else ()
    if "prompt_tokens" in keys:
        return "chat"
    # Only Anthropic's format has these two fields, whoever hosts it; read as another one, the cache is lost.
    if provider == "anthropic" or "cache_read_input_tokens" in keys or "cache_creation_input_tokens" in keys:
        return "messages"
    if "input_tokens" in keys:
        return "responses"
    return _OWN_FORMATS.get(provider or "", "chat")
