"""One normalisation: a raw sample and the object that the provider's own client makes of it are read the same."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError
from usage_samples import CASES, found_in

from otel_tokenomics.usage.dialects import read

#: Fields that a client has no name for, and drops: what they say is lost before anybody can read it.
DROPPED = {"serviceTier", "prompt_eval_cached_count"}
OPENAI = {
    "chat": "openai.types:CompletionUsage",
    "completions": "openai.types:CompletionUsage",
    "responses": "openai.types.responses:ResponseUsage",
    "embeddings": "openai.types.create_embedding_response:Usage",
    "rerank": "openai.types.create_embedding_response:Usage",
    "images": "openai.types.images_response:Usage",
    "realtime": "openai.types.realtime:RealtimeResponseUsage",
    "transcription": "openai.types.audio.transcription:Usage",
}
#: Whole answers and events, by the field that shows them.
OPENAI_BODIES = {
    "chat.completion": "openai.types.chat:ChatCompletion",
    "chat.completion.chunk": "openai.types.chat:ChatCompletionChunk",
    "response": "openai.types.responses:Response",
    "response.completed": "openai.types.responses:ResponseCompletedEvent",
    "response.done": "openai.types.realtime:ResponseDoneEvent",
    "list": "openai.types:CreateEmbeddingResponse",
    "transcript.text.done": "openai.types.audio:TranscriptionTextDoneEvent",
    "conversation.item.input_audio_transcription.completed":
        "openai.types.realtime:ConversationItemInputAudioTranscriptionCompletedEvent",
}  # fmt: skip
ANTHROPIC_BODIES = {
    "message": "anthropic.types.beta:BetaMessage",
    "message_start": "anthropic.types.beta:BetaRawMessageStartEvent",
    "message_delta": "anthropic.types.beta:BetaRawMessageDeltaEvent",
}
MISTRAL = {
    "chat": ("UsageInfo", "ChatCompletionResponse"),
    "embeddings": ("UsageInfo", "EmbeddingResponse"),
    "transcription": ("UsageInfo", "TranscriptionResponse"),
    "ocr": ("OCRUsageInfo", "OCRResponse"),
    "conversations": ("ConversationUsageInfo", "ConversationResponse"),
}
#: Providers that clients of their own exist for, or whose format is none of OpenAI's.
OTHERS = {
    "anthropic", "aws.bedrock", "cohere", "gcp.gemini", "gcp.vertex_ai", "huggingface", "ollama",
    "assemblyai", "deepgram", "replicate", "soniox",
}  # fmt: skip


def word(raw: dict[str, Any]) -> str:
    """Return the field by which an answer or an event shows what it is."""
    return str(raw.get("object") or raw.get("type") or "")


def openai_type(case: dict[str, Any]) -> str | None:
    raw, api = case["usage"], case["api"]
    if "custom_id" in raw or raw.get("type") in ("speech.audio.done", "turn.completed", "session.usage.updated"):
        return None
    if api == "images" and "data" in raw:
        return "openai.types:ImagesResponse"
    if api == "transcription" and "task" in raw:
        return "openai.types.audio:TranscriptionVerbose"
    if raw.get("type") == "duration":
        return "openai.types.audio.transcription:UsageDuration"
    if raw.get("type") == "tokens":
        return "openai.types.audio.transcription:UsageTokens"
    known = OPENAI_BODIES.get(word(raw))
    return known or (OPENAI.get(api) if "usage" not in raw and "metrics" not in raw else None)


def constructed(library: str) -> Callable[[Any, Any], Any]:
    """Return what the clients of the Stainless family do to an answer: they validate nothing."""
    module = importlib.import_module(f"{library}._models")
    return lambda kind, raw: module.construct_type(value=raw, type_=kind)


def validated(kind: Any, raw: Any) -> Any:
    return kind.model_validate(raw)


def from_google(kind: Any, raw: Any) -> Any:
    return kind._from_response(response=raw, kwargs={})


def unchecked(kind: Any, raw: Any) -> Any:
    from cohere.core.unchecked_base_model import construct_type

    return construct_type(type_=kind, object_=raw)


def google_makers(raw: dict[str, Any], api: str, provider: str) -> Iterator[tuple[str, Callable[[Any, Any], Any]]]:
    if api == "interactions":
        yield "google.genai._gaos.types.interactions:" + ("Interaction" if "id" in raw else "Usage"), validated
    if provider in ("gcp.gemini", "gcp.vertex_ai") and api == "generate_content" and "response" not in raw:
        whole = "GenerateContentResponse" if "candidates" in raw else "LiveServerMessage"
        part = "UsageMetadata" if "responseTokenCount" in raw else "GenerateContentResponseUsageMetadata"
        yield f"google.genai.types:{whole if 'usageMetadata' in raw else part}", from_google


def makers(case: dict[str, Any]) -> Iterator[tuple[str, Callable[[Any, Any], Any]]]:
    """Yield the types of installed clients that the sample is one of, and how each client makes it."""
    raw, api, provider = case["usage"], case["api"], case["provider"]
    if provider not in OTHERS and api in OPENAI and (name := openai_type(case)):
        yield name, constructed("openai")
    if api == "messages" and "custom_id" in raw:
        yield "anthropic.types.messages:MessageBatchIndividualResponse", constructed("anthropic")
    elif api == "messages" and word(raw) != "result":
        yield ANTHROPIC_BODIES.get(word(raw), "anthropic.types.beta:BetaUsage"), constructed("anthropic")
        if not word(raw):
            yield "anthropic.types:Usage", constructed("anthropic")
    if provider == "groq" and api == "chat" and "custom_id" not in raw:
        whole = {"chat.completion": "ChatCompletion", "chat.completion.chunk": "ChatCompletionChunk"}.get(word(raw))
        yield f"groq.types.chat:{whole}" if whole else "groq.types:CompletionUsage", constructed("groq")
    if provider == "together" and api in ("chat", "rerank"):
        yield "together.types.chat:ChatCompletionUsage", constructed("together")
    if provider == "mistral_ai" and api in MISTRAL and "custom_id" not in raw:
        usage, whole = MISTRAL[api]
        name = whole if "usage" in raw or "usage_info" in raw else usage
        yield f"mistralai.client.models:{name}", validated
        yield f"mistralai.models:{name}", validated
    if provider == "cohere":
        names = {"message": "V2ChatResponse", "text": "NonStreamedChatResponse", "results": "V2RerankResponse"}
        name = next((name for key, name in names.items() if key in raw), "ApiMeta" if api != "chat" else "Usage")
        if "type" not in raw and "event_type" not in raw and "embeddings" not in raw:
            yield f"cohere:{name}", unchecked
    if provider == "ollama" and "prompt_tokens" not in raw:
        yield {"chat": "ollama:ChatResponse", "embeddings": "ollama:EmbedResponse"}[api], validated
    yield from google_makers(raw, api, provider)


def type_of(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def without_dropped(raw: Any) -> Any:
    if isinstance(raw, dict):
        return {key: without_dropped(value) for key, value in raw.items() if key not in DROPPED}
    return [without_dropped(one) for one in raw] if isinstance(raw, list) else raw


def same_reading(case: dict[str, Any], name: str, make: Callable[[Any, Any], Any]) -> bool:
    """Check one sample as one client's object; return whether there was anything to check."""
    try:
        kind = type_of(name)
    except (ImportError, AttributeError):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a client that meets what its types do not know
            made = make(kind, deepcopy(case["usage"]))
    except (ValidationError, TypeError):
        return False  # the client would not take such an answer
    found = found_in(read(case["api"], made, provider=case["provider"]))
    if found != case["expect"]:
        kept = read(case["api"], without_dropped(case["usage"]), provider=case["provider"])
        assert found == found_in(kept), (name, found)
        assert kept != read(case["api"], case["usage"], provider=case["provider"]), (name, found)
    return True


@pytest.mark.parametrize("case", CASES)
def test_a_clients_object_is_read_as_the_raw_json(case: dict[str, Any]) -> None:
    tried = [same_reading(case, name, make) for name, make in makers(case)]
    if not any(tried):
        pytest.skip("no installed client has a type for this sample")


def test_most_samples_are_some_clients_objects() -> None:
    cases = [case.values[0] for case in CASES]
    tried = [case["name"] for case in cases if any(same_reading(case, *maker) for maker in makers(case))]
    assert len(tried) > 130
