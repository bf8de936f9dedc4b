"""Whole answers, stream events and coding agents' results: usage is read inside them, and what stands beside it too.

Beside the usage stand the model, the tier, tools that were used, searches that were made. An object that is none of
these is the usage itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from otel_tokenomics.usage import Reading, Usage
from otel_tokenomics.usage.dialects import (
    anthropic,
    bedrock,
    claude_code,
    cohere,
    documents,
    gemini_cli,
    google,
    litellm,
    mistral,
    ollama,
    openai_like,
    openai_media,
    openai_realtime,
    text_generation,
)
from otel_tokenomics.usage.dialects.counts import field, fields_of, items, word
from otel_tokenomics.usage.dialects.formats import GOOGLE, OWN_READERS, default_api, is_litellms

#: Where an answer keeps its usage.
_USAGE: Final = ("usage", "usage_metadata", "usageMetadata", "usage_info", "meta", "details")
#: What an event wraps an answer in.
_WRAPPED: Final = ("response", "interaction", "message", "delta", "x_groq", "data")
#: What an answer has that bears no usage.
_ANSWER: Final = ("choices", "candidates")
_API_OF: Final = MappingProxyType(
    {"chat.completion": "chat", "chat.completion.chunk": "chat", "text_completion": "completions",
     "response": "responses", "message": "messages", "speech.audio.done": "speech"}
)  # fmt: skip
#: What states the sum of several requests: Codex' turn, a batch, an assistant's run.
_SUMS: Final = ("turn.completed", "batch", "thread.run")
_MESSAGE_EVENTS: Final = ("message_start", "message_delta")
_OWN: Final[Mapping[str, Callable[[object], Reading | None]]] = MappingProxyType(
    {"cohere": cohere.read_response, "huggingface": text_generation.read_response}
)
_READERS: Final[Mapping[str, Callable[[object, str | None], Reading | None]]] = MappingProxyType(
    {
        "messages": anthropic.read_response,
        "generate_content": google.read_response,
        "interactions": lambda body, _: google.read_interaction(body),
        "converse": lambda body, _: bedrock.read_answer(body),
        "realtime": lambda body, _: openai_realtime.read_event(body),
        "ocr": lambda body, _: documents.read_response(body),
        "conversations": mistral.read_response,
    }
)


def read_body(api: str | None, body: object, provider: str | None) -> Reading | None:
    """Return the reading of an answer or an event; None where the object is neither.

    Args:
        api: the wire format, a word of ``APIS``; None: what the object and the provider show.
        body: as the API returned it, or its client.
        provider: key of the provider.
    """
    body = fields_of(body)
    if provider == "aws.bedrock" and api in (None, "converse"):
        return bedrock.read_answer(body)
    if field(body, "modelUsage") is not None and word(body, "type") == "result":
        return claude_code.read_result(body)
    if gemini_cli.models_of(body):
        return gemini_cli.read_output(body)
    if field(body, "object") == "video":
        return openai_media.read_video(body)
    if items(body, "predictions"):
        return google.read_predictions(body)
    usage = _usage_in(body)
    if usage is None and not _is_answer(api, body):
        return ollama.read_response(body) if provider == "ollama" else None
    kind = word(body, "type")
    if kind in _MESSAGE_EVENTS:
        return anthropic.read_event(body, provider)
    reading = _read(api or api_of(provider, body), body, usage, provider)
    if reading is not None and provider == "aws.bedrock":
        # The maker's own name for the model lacks the region that the price depends on.
        reading = reading._replace(response_model=None)
    if reading is not None and (kind in _SUMS or word(body, "object") in _SUMS):
        reading = reading._replace(summed=True)
        if field(body, "object") == "batch":
            reading = reading._replace(facts={**reading.facts, "processing": "batch"})
    return reading


def _usage_in(body: object, depth: int = 0) -> object:
    """Return what an answer, or an event that wraps one, tells of its usage; None where it tells nothing."""
    for name in _USAGE:
        value = field(body, name)
        if value is not None and not isinstance(value, (str, int, float, list)):
            return value
    if depth:
        return None
    return next((found for name in _WRAPPED if (found := _usage_in(field(body, name), 1)) is not None), None)


def _is_answer(api: str | None, body: object) -> bool:
    """Return whether an object without usage is an answer all the same."""
    told = word(body, "object") in _API_OF or any(items(body, name) for name in _ANSWER)
    return told or (field(body, "created") is not None and bool(items(body, "data"))) or _heard(api, body)


def _heard(api: str | None, body: object) -> bool:
    return api in (None, "transcription") and field(body, "duration") is not None and word(body, "task") is not None


def api_of(provider: str | None, body: object) -> str:
    """Return the wire format of an answer or an event."""
    usage = _usage_in(body)
    kind = word(body, "type") or ""
    known = _API_OF.get(word(body, "object") or kind)
    if known is not None:
        return known
    if kind == "response.done":
        return "realtime"
    if kind.startswith("response."):
        return "responses"
    if field(body, "interaction") is not None:
        return "interactions"
    if items(body, "outputs") and word(body, "object") == "conversation.response":
        return "conversations"
    if any(field(one, "embedding") is not None for one in items(body, "data")):
        return "embeddings"
    if any(field(one, name) is not None for one in items(body, "data") for name in ("url", "b64_json")):
        return "images"
    if usage is None and _heard(None, body):
        return "transcription"
    api = default_api(provider, usage)
    # What only the rest of the answer shows: a transcript has the usage of a chat.
    return "transcription" if api == "chat" and field(body, "text") is not None and not items(body, "choices") else api


def _read(api: str, body: object, usage: object, provider: str | None) -> Reading | None:
    own = cohere.read_response if field(usage, "billed_units") is not None else _OWN.get(provider or "")
    if own is not None and field(usage, "prompt_tokens") is None:
        return own(body)
    if provider in OWN_READERS and field(usage, "total_tokens") is None:
        return None  # of these hosts the whole answer is the usage
    if api == "speech" and field(body, "usage") is None:
        return None
    if is_litellms(usage):
        return litellm.read_response(body)
    if api == "embeddings" and field(usage, "prompt_tokens") is None and provider in GOOGLE:
        return google.read_embeddings(body)
    reader = _READERS.get(api)
    if reader is not None:
        return reader(body, provider)
    reading = openai_like.read_response(api, body, provider) or Reading()
    if api == "images" and reading.usage is None and reading.reason is None:
        made = sum(1 for _ in items(body, "data"))
        return reading._replace(usage=Usage({"image": made})) if made else reading
    return reading
