"""Readers of raw provider usage: one file per wire dialect, pure, never raising on what a provider sent.

Only readers may enter this room; it imports ``usage`` and the standard library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

from otel_tokenomics.usage import Reading
from otel_tokenomics.usage.dialects import (
    anthropic,
    bedrock,
    cohere,
    documents,
    google,
    mistral,
    ollama,
    openai_like,
    openai_realtime,
    text_generation,
)
from otel_tokenomics.usage.dialects.counts import field

__all__ = ["APIS", "default_api", "read"]

Reader = Callable[[object, "str | None"], Reading]
_READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        **openai_like.READERS,
        "messages": anthropic.read_messages,
        "generate_content": google.read_generate_content,
        "interactions": google.read_interactions,
        "converse": bedrock.read_converse,
        "realtime": openai_realtime.read_realtime,
        "ocr": documents.read_ocr,
        "conversations": mistral.read_conversation,
    }
)
#: Providers whose usage is in a format of their own, whatever the operation; the words are none of an ``api``.
_OWN_READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {"cohere": cohere.read_usage, "huggingface": text_generation.read_usage, "ollama": ollama.read_usage}
)
#: What tells a provider's own format from OpenAI's, which many of them offer too.
_OPENAI_KEYS: Final = ("prompt_tokens", "total_tokens")
#: The words for a wire format that a reader exists for.
APIS: Final = (
    "chat", "completions", "responses", "messages", "generate_content", "interactions", "converse", "embeddings",
    "rerank", "images", "speech", "transcription", "realtime", "ocr", "conversations",
)  # fmt: skip
_DEFAULT_API: Final = MappingProxyType(
    {"aws.bedrock": "converse", "gcp.gemini": "generate_content", "gcp.vertex_ai": "generate_content"}
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
    reader = _READERS.get(api)
    if reader is None:
        raise ValueError(f"api {api!r} is not available; available are {', '.join(APIS)}")
    own = _OWN_READERS.get(provider or "")
    if own is not None and all(field(raw, key) is None for key in _OPENAI_KEYS):
        reader = own
    return reader(raw, provider)


def default_api(provider: str | None, raw: object) -> str:
    """Return the wire format of a provider's usage object where none is named."""
    keys: frozenset[str] = frozenset(cast("dict[str, object]", raw)) if isinstance(raw, dict) else frozenset()
    if "prompt_tokens" in keys:
        return "conversations" if keys & {"connector_tokens", "connectors"} else "chat"
    # Only Anthropic's format has these two fields, whoever hosts it; read as another one, the cache is lost.
    if provider == "anthropic" or keys & {"cache_read_input_tokens", "cache_creation_input_tokens"}:
        return "messages"
    if "pages_processed" in keys:
        return "ocr"
    if keys & {"input_token_details", "output_token_details"}:
        return "realtime"
    if keys & {"total_input_tokens", "total_output_tokens"}:
        return "interactions"
    # Bedrock's fields in snake case would be the responses API's too: the provider decides.
    own = _DEFAULT_API.get(provider or "")
    if own is not None and not (own == "generate_content" and "input_tokens" in keys):
        return own
    return "responses" if "input_tokens" in keys else "chat"
