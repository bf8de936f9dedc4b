"""The ``openai`` library (OpenAI, Azure OpenAI, and every host that speaks OpenAI's formats).

Usage is inclusive: input contains cache reads and writes, output contains reasoning; see the API reference,
https://platform.openai.com/docs/api-reference. A chat stream reports usage only where ``stream_options`` asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import NO_UNITS, Adapter, Args, Kwargs, Operation, Request, Target
from otel_tokenomics.clients import _stainless as base
from otel_tokenomics.usage import NO_FACTS, Facts, Reading
from otel_tokenomics.usage.dialects import openai_like

_IMAGES: Final = Operation("generate_content", "images", "image")
_HEARD: Final = Operation("generate_content", "transcription", "text")
_VIDEOS: Final = Operation("generate_content", "videos", "video")
_RESPONSES: Final = Operation("chat", "responses")
#: Every route that is billed; what is not here passes untouched.
ROUTES: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        "/chat/completions": Operation("chat", "chat"),
        "/completions": Operation("text_completion", "completions"),
        "/responses": _RESPONSES,
        "/responses/compact": _RESPONSES,
        "/decisions": _RESPONSES,
        "/embeddings": Operation("embeddings", "embeddings"),
        "/images/generations": _IMAGES,
        "/images/edits": _IMAGES,
        "/images/variations": _IMAGES,
        "/audio/transcriptions": _HEARD,
        "/audio/translations": _HEARD,
        "/audio/speech": Operation("generate_content", "speech", "speech"),
        "/videos": _VIDEOS,
        "/videos/edits": _VIDEOS,
        "/videos/extensions": _VIDEOS,
    }
)
_STORED: Final = "/responses/"
_REMIX: Final = "/remix"
_WORDS: Final = MappingProxyType(
    {
        "max_tokens": "max_tokens",
        "max_completion_tokens": "max_tokens",
        "max_output_tokens": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "seed": "seed",
        "frequency_penalty": "frequency_penalty",
        "presence_penalty": "presence_penalty",
        "stop": "stop_sequences",
        "n": "choice_count",
        "encoding_format": "encoding_formats",
        "dimensions": "dimensions",
        "reasoning_effort": "reasoning_level",
        "service_tier": "service_tier",
    }
)
_ASKED_IN: Final = frozenset({"chat", "completions"})
_INPUT_KEYS: Final = frozenset(
    ("messages", "content", "text", "input", "prompt", "instructions", "tools", "function", "name", "description",
     "arguments", "output")
)  # fmt: skip
_OUTPUT_KEYS: Final = frozenset(
    ("choices", "delta", "message", "content", "reasoning_content", "refusal", "text", "tool_calls", "function",
     "arguments", "output")
)  # fmt: skip


def route(_client: Any, args: Args, kwargs: Kwargs) -> Operation | None:
    """Return the billable operation of a request; fetching a stored response may settle a background call."""
    options = base.options_of(args, kwargs)
    url, method = options.url, options.method.lower()
    if method == "post":
        found = ROUTES.get(url)
        if found is not None:
            return found
        path = base.path_of(url)
        if path.startswith("/videos/") and path.endswith(_REMIX):
            return _VIDEOS
        return ROUTES.get(path)
    if method == "get" and url.startswith(_STORED):
        identity = base.path_of(url)[len(_STORED) :]
        return Operation("fetch_response", "responses", response_id=identity) if "/" not in identity else None
    return None


def request(client: Any, operation: Operation, args: Args, kwargs: Kwargs) -> Request:
    """Return what a call asks for."""
    body = base.body_of(base.options_of(args, kwargs))
    endpoint = base.endpoint_of(client)
    parameters = base.parameters(body, _WORDS)
    if level := base.text_of(base.part_of(body, "reasoning"), "effort"):
        parameters["reasoning_level"] = level
    limit = parameters.get("max_tokens")
    asked = base.part_of(body, "stream_options").get("include_usage")
    return Request(
        model=base.text_of(body, "model"),
        provider=_provider(client),
        host=endpoint.host,
        port=endpoint.port,
        path=endpoint.path,
        stream=base.is_stream(kwargs),
        max_output=limit if isinstance(limit, int) else None,
        facts=_facts(body),
        usage_asked=asked if isinstance(asked, bool) else None,
        units=_units(operation, body),
        parameters=parameters,
        background=body.get("background") is True,
    )


def _provider(client: Any) -> str:
    name = type(client).__name__
    if name == "OpenAI" or name == "AsyncOpenAI":
        return "openai"
    return "azure.ai.openai" if "Azure" in name else "aws.bedrock" if "Bedrock" in name else "openai"


def _facts(body: Mapping[str, Any]) -> Facts:
    tier = base.text_of(body, "service_tier")
    size = base.text_of(base.part_of(body, "web_search_options"), "search_context_size")
    if tier is None and size is None:
        return NO_FACTS
    facts = {"service_tier": tier} if tier else {}
    return {**facts, "search_context_size": size} if size else facts


def _units(operation: Operation, body: Mapping[str, Any]) -> Mapping[str, int]:
    """Return what only the request knows: characters to speak, images or seconds of video to make."""
    if operation.api == "speech":
        return {"character": len(base.text_of(body, "input") or "")}
    if operation.api == "images":
        return {"image": base.count_of(body, "n") or 1}
    if operation.api == "videos":
        seconds = str(body.get("seconds") or "")
        return {"video_out_second": int(seconds)} if seconds.isdigit() else {}
    return NO_UNITS


def usage(operation: Operation, response: object, provider: str) -> Reading | None:
    """Return the reading of a whole response."""
    if operation.api == "videos":
        return _video(response)
    return openai_like.read_response(operation.api, response, provider)


def _video(response: object) -> Reading | None:
    """Return model and id of a video job, which reports no usage."""
    fields = base.mapping(response) or getattr(response, "__dict__", {})
    return Reading(response_model=base.text_of(fields, "model"), response_id=base.text_of(fields, "id"))


def ask_usage(operation: Operation, asked: Request, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs] | None:
    """Return the arguments with ``stream_options.include_usage``; None where the caller decided, or reads raw bytes."""
    if operation.api not in _ASKED_IN or asked.usage_asked is not None:
        return None
    options = base.options_of(args, kwargs)
    extra = getattr(options, "extra_json", None)
    if not base.mapping(options.json_data) or (extra and "stream_options" in extra):
        return None
    if base.raw_mode(options) == "stream":
        return None
    given = base.part_of(options.json_data, "stream_options")
    return base.with_body(args, kwargs, {"stream_options": {**given, "include_usage": True}})


def only_usage(item: Any) -> bool:
    """Return whether a chunk exists only because usage was asked for.

    Asking also puts an explicit null on every other chunk, which a dump of set fields would show: it is unset again.
    """
    if getattr(item, "usage", None) is not None:
        choices = getattr(item, "choices", None)
        return isinstance(choices, list) and not choices
    written = getattr(item, "model_fields_set", None)
    if written is not None:
        written.discard("usage")
    return False


def refused(error: BaseException) -> bool:
    """Return whether a host does not know ``stream_options``."""
    return base.refused_option(error, "stream_options")


def input_texts(args: Args, kwargs: Kwargs) -> Iterable[str]:
    """Yield the text that a request sends."""
    return base.texts(base.body_of(base.options_of(args, kwargs)), _INPUT_KEYS)


def output_texts(item: Any) -> Iterable[str]:
    """Yield the text of a response or a stream item; of the responses API's events, the deltas."""
    kind = getattr(item, "type", None)
    if isinstance(kind, str) and kind.startswith("response."):
        delta = getattr(item, "delta", None)
        return (delta,) if isinstance(delta, str) else ()
    return base.texts(item, _OUTPUT_KEYS)


def stream_reader(operation: Operation, provider: str) -> openai_like.OpenAIStreamReader:
    """Return the reader of one stream."""
    return openai_like.stream_reader(operation.api, provider)


_HELPERS: Final = (
    ("openai.lib.streaming.chat._completions", "ChatCompletionStream.close"),
    ("openai.lib.streaming.chat._completions", "AsyncChatCompletionStream.close"),
    ("openai.lib.streaming.responses._responses", "ResponseStream.close"),
    ("openai.lib.streaming.responses._responses", "AsyncResponseStream.close"),
)
ADAPTER: Final = Adapter(
    library="openai",
    tested=("1.109", "4"),
    targets=(*base.targets("openai"), *(Target(module, name, "close") for module, name in _HELPERS)),
    client_classes=("OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI"),
    route=route,
    request=request,
    usage=usage,
    stream_reader=stream_reader,
    credential=base.credential,
    http_response=base.http_response,
    is_raw=base.is_raw,
    body=base.body,
    ask_usage=ask_usage,
    only_usage=only_usage,
    refused=refused,
    ambiguous=base.ambiguous,
    input_texts=input_texts,
    output_texts=output_texts,
    # Documented to accept ``stream_options``; Groq and Together report usage unasked and have no such option.
    asks_usage=frozenset({"openai", "azure.ai.openai", "deepseek", "openrouter", "fireworks", "vllm", "ollama"}),
)
