"""Which wire format a usage object is in, and which reader reads that format."""

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
    hosts,
    litellm,
    mistral,
    ollama,
    openai_like,
    openai_realtime,
    text_generation,
)
from otel_tokenomics.usage.dialects.counts import count, field, fields_of

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
OWN_READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        **hosts.READERS,
        "cohere": cohere.read_usage,
        "huggingface": text_generation.read_usage,
        "ollama": ollama.read_usage,
    }
)
#: What tells a provider's own format from OpenAI's, which many of them offer too.
_OPENAI_KEYS: Final = ("prompt_tokens", "total_tokens")
#: The words for a wire format that a reader exists for.
APIS: Final = (
    "chat", "completions", "responses", "messages", "generate_content", "interactions", "converse", "embeddings",
    "rerank", "images", "speech", "transcription", "realtime", "ocr", "conversations",
)  # fmt: skip
GOOGLE: Final = frozenset({"gcp.gemini", "gcp.vertex_ai"})
_DEFAULT_API: Final = MappingProxyType({"aws.bedrock": "converse", **dict.fromkeys(GOOGLE, "generate_content")})
#: Fields that one format alone has, whoever hosts it: format -> any of them.
_TELLING: Final = (
    ("converse", frozenset({"inputTokens", "outputTokens", "cache_write_input_tokens", "cache_details"})),
    # Read as another one, the cache is lost.
    ("messages", frozenset({"cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"})),
    ("ocr", frozenset({"pages_processed"})),
    ("transcription", frozenset({"seconds"})),
    ("realtime", frozenset({"input_token_details", "output_token_details"})),
    ("interactions", frozenset({"total_input_tokens", "total_output_tokens"})),
    ("generate_content", frozenset({"promptTokenCount", "candidatesTokenCount", "prompt_token_count"})),
)


def read_usage(api: str, raw: object, provider: str | None) -> Reading:
    """Return the reading of a usage object alone, in one of the formats of ``APIS``."""
    if field(raw, "billed_units") is not None:
        return cohere.read_usage(raw, provider)  # clouds that host Cohere's models hand it on
    reader = litellm.read_usage if is_litellms(raw) else _READERS[api]
    own = OWN_READERS.get(provider or "")
    if own is None and api == "embeddings" and provider in GOOGLE:
        own = google.read_generate_content
    if own is not None and all(field(raw, key) is None for key in _OPENAI_KEYS):
        reader = own
    reading = reader(raw, provider)
    requests = count(raw, "requests")  # libraries for agents add up what their requests used
    return reading._replace(summed=True) if requests is not None and requests > 1 else reading


def is_litellms(raw: object) -> bool:
    """Return whether a usage object is that of LiteLLM's proxy: Anthropic's cache beside OpenAI's counts."""
    return field(raw, "prompt_tokens") is not None and field(raw, "cache_creation_input_tokens") is not None


def default_api(provider: str | None, raw: object) -> str:
    """Return the wire format of a provider's usage object (JSON, or its client's) where none is named."""
    keys = _names(raw)
    if keys & {"prompt_tokens", "completion_tokens"}:
        return "conversations" if keys & {"connector_tokens", "connectors"} else "chat"
    if field(raw, "type") == "tokens":
        return "transcription"
    if "input_tokens_details" in keys:
        details = field(raw, "input_tokens_details")
        pictures = field(details, "image_tokens") is not None and field(details, "cached_tokens") is None
        return "images" if pictures else "responses"
    told = next((api for api, names in _TELLING if keys & names), None)
    if told is not None or provider == "anthropic":
        return told or "messages"
    own = _DEFAULT_API.get(provider or "")
    if own == "generate_content" and "input_tokens" in keys:
        return "messages"  # Claude, on Google's cloud
    # Bedrock's fields in snake case would be the responses API's too: the provider decides.
    if own is not None:
        return own
    if "input_tokens" in keys:
        return "responses"
    return "embeddings" if "total_tokens" in keys else "chat"


def _names(raw: object) -> frozenset[str]:
    """Return the names of the fields that say something."""
    fields = fields_of(raw)
    known = cast("Mapping[str, object]", fields if isinstance(fields, Mapping) else getattr(fields, "__dict__", {}))
    return frozenset(name for name, value in known.items() if value is not None)
