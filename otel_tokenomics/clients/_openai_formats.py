"""What clients of OpenAI's formats share (openai, groq, together): how a request is written and an answer read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import NO_UNITS, Adapter, Args, Kwargs, Operation, Request
from otel_tokenomics.clients import _stainless as base
from otel_tokenomics.usage import NO_FACTS, Facts, Reading
from otel_tokenomics.usage.dialects import openai_like

CHAT: Final = Operation("chat", "chat")
COMPLETION: Final = Operation("text_completion", "completions")
EMBEDDINGS: Final = Operation("embeddings", "embeddings")
RERANK: Final = Operation("rerank", "rerank")
IMAGES: Final = Operation("generate_content", "images", "image")
HEARD: Final = Operation("generate_content", "transcription", "text")
SPOKEN: Final = Operation("generate_content", "speech", "speech")
VIDEOS: Final = Operation("generate_content", "videos", "video")
#: A run of an agent, an assistant or an evaluation: what it used is not in the answer that begins it.
RUNS: Final = Operation("generate_content", "run", "text")
#: Answers that bear no usage.
_JOBS: Final = frozenset({"videos", "run"})
#: Request parameters and the neutral words for them.
WORDS: Final = MappingProxyType(
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
_HOST: Final = re.compile(r"^https?://[^/]*")
_SPOKEN_AS: Final = ("input", "inputs", "text")
_IMAGES_AS: Final = ("n", "num_images", "num_images_per_prompt", "num_outputs")
_INPUT_KEYS: Final = frozenset(
    {
        "messages",
        "content",
        "text",
        "input",
        "prompt",
        "instructions",
        "tools",
        "function",
        "name",
        "description",
        "arguments",
        "output",
    }
)
_OUTPUT_KEYS: Final = frozenset(
    {
        "choices",
        "delta",
        "message",
        "content",
        "reasoning_content",
        "refusal",
        "text",
        "tool_calls",
        "function",
        "arguments",
        "output",
    }
)


def request(client: Any, operation: Operation, args: Args, kwargs: Kwargs, provider: str) -> Request:
    """Return what a call asks for; ``provider`` is the one that the client class stands for."""
    body = base.body_of(base.options_of(args, kwargs))
    return request_of(operation, body, provider, base.endpoint_of(client), stream=base.is_stream(kwargs))


def request_of(
    operation: Operation, body: Mapping[str, Any], provider: str, endpoint: base.Endpoint, *, stream: bool
) -> Request:
    """Return what a body asks for that is sent to an endpoint."""
    parameters = base.parameters(body, WORDS)
    if level := base.text_of(base.part_of(body, "reasoning"), "effort"):
        parameters["reasoning_level"] = level
    limit = parameters.get("max_tokens")
    asked = base.part_of(body, "stream_options").get("include_usage")
    return Request(
        model=base.text_of(body, "model"),
        provider=provider,
        host=endpoint.host,
        port=endpoint.port,
        path=endpoint.path,
        stream=stream,
        max_output=limit if isinstance(limit, int) else None,
        facts=_facts(body),
        usage_asked=asked if isinstance(asked, bool) else None,
        units=units_of(operation, body),
        parameters=parameters,
        background=body.get("background") is True,
    )


def _facts(body: Mapping[str, Any]) -> Facts:
    tier = base.text_of(body, "service_tier")
    size = base.text_of(base.part_of(body, "web_search_options"), "search_context_size")
    if tier is None and size is None:
        return NO_FACTS
    facts = {"service_tier": tier} if tier else {}
    return {**facts, "search_context_size": size} if size else facts


def units_of(operation: Operation, *parts: Mapping[str, Any]) -> Mapping[str, int]:
    """Return what only the request knows: characters to speak, images or seconds of video to make.

    ``parts`` are the body and what is nested in it; hosts have words of their own.
    """
    if operation.api == "speech":
        said = (base.text_of(part, name) for part in parts for name in _SPOKEN_AS)
        return {"character": len(next(filter(None, said), ""))}
    if operation.api == "images":
        asked = (base.count_of(part, *_IMAGES_AS) for part in parts)
        return {"image": next((count for count in asked if count and count > 0), 1)}
    if operation.api == "videos":
        seconds = str(parts[0].get("seconds") or "")
        return {"video_out_second": int(seconds)} if seconds.isdigit() else {}
    return NO_UNITS


def usage(operation: Operation, response: object, provider: str) -> Reading | None:
    """Return the reading of a whole response."""
    if operation.api in _JOBS:
        return _job(response)
    return openai_like.read_response(operation.api, response, provider)


def _job(response: object) -> Reading | None:
    """Return model and id of a job, which reports no usage."""
    fields = base.mapping(response) or getattr(response, "__dict__", {})
    return Reading(response_model=base.text_of(fields, "model"), response_id=base.text_of(fields, "id"))


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


def adapter(
    library: str, tested: tuple[str, str], routes: Mapping[str, Operation], provider: str, classes: tuple[str, ...]
) -> Adapter:
    """Return the adapter of a client that is nothing but routes: ``provider`` is the one that it stands for."""

    def route(_client: Any, args: Args, kwargs: Kwargs) -> Operation | None:
        options = base.options_of(args, kwargs)
        # Together's sends some requests to addresses of its own, whole ones, unless it was given one.
        path = base.path_of(_HOST.sub("", options.url))
        return routes.get(path) if options.method.lower() == "post" else None

    def asked(client: Any, operation: Operation, args: Args, kwargs: Kwargs) -> Request:
        return request(client, operation, args, kwargs, provider)

    return Adapter(
        library=library,
        tested=tested,
        targets=base.targets(library),
        client_classes=classes,
        route=route,
        payload=base.payload,
        request=asked,
        usage=usage,
        stream_reader=stream_reader,
        credential=base.credential,
        http_response=base.http_response,
        is_raw=base.is_raw,
        body=base.body,
        ambiguous=base.ambiguous,
        input_texts=input_texts,
        output_texts=output_texts,
    )
