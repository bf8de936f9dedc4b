"""The ``openai`` library (OpenAI, Azure OpenAI, and every host that speaks OpenAI's formats).

Usage is inclusive: input contains cache reads and writes, output contains reasoning; see the API reference,
https://platform.openai.com/docs/api-reference. A chat stream reports usage only where ``stream_options`` asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import Adapter, Args, Dialogue, Kwargs, Operation, Request, StreamReader, Target
from otel_tokenomics.clients import _openai_formats as formats
from otel_tokenomics.clients import _openai_sockets as sockets
from otel_tokenomics.clients import _stainless as base
from otel_tokenomics.usage.dialects import openai_like, openai_realtime

#: Every route that is billed; what is not here passes untouched.
ROUTES: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        "/chat/completions": formats.CHAT,
        "/completions": formats.COMPLETION,
        "/responses": sockets.RESPONSES,
        "/responses/compact": sockets.RESPONSES,
        "/decisions": sockets.RESPONSES,
        "/embeddings": formats.EMBEDDINGS,
        "/images/generations": formats.IMAGES,
        "/images/edits": formats.IMAGES,
        "/images/variations": formats.IMAGES,
        "/audio/transcriptions": formats.HEARD,
        "/audio/translations": formats.HEARD,
        "/audio/speech": formats.SPOKEN,
        "/videos": formats.VIDEOS,
        "/videos/edits": formats.VIDEOS,
        "/videos/extensions": formats.VIDEOS,
    }
)
_RUNS: Final = re.compile(
    r"/threads(?:/[^/]+)?/runs|/evals/[^/]+/runs|/agents/automations/[^/]+/invocations|/agents/sessions/[^/]+/events"
    r"|/fine_tuning/alpha/graders/run"
)
_STORED: Final = "/responses/"
_REMIX: Final = "/remix"
_ASKED_IN: Final = frozenset({"chat", "completions"})


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
            return formats.VIDEOS
        return formats.RUNS if _RUNS.fullmatch(path) else ROUTES.get(path)
    if method == "get" and url.startswith(_STORED):
        identity = base.path_of(url)[len(_STORED) :]
        return Operation("fetch_response", "responses", response_id=identity) if "/" not in identity else None
    return None


def request(client: Any, operation: Operation, args: Args, kwargs: Kwargs) -> Request:
    """Return what a call asks for."""
    return formats.request(client, operation, args, kwargs, _provider(client))


def _provider(client: Any) -> str:
    name = type(client).__name__
    if name == "OpenAI" or name == "AsyncOpenAI":
        return "openai"
    return "azure.ai.openai" if "Azure" in name else "aws.bedrock" if "Bedrock" in name else "openai"


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

    A host may leave it null. Azure's first chunk is empty too, but says what its filter found. Asking also puts an
    explicit null on every other chunk, which a dump of set fields would show: it is unset again.
    """
    told = getattr(item, "usage", None) is not None
    if getattr(item, "choices", None) == [] and (told or not getattr(item, "model_extra", None)):
        return True
    if told:
        return False
    written = getattr(item, "model_fields_set", None)
    if written is not None:
        written.discard("usage")
    return False


def refused(error: BaseException) -> bool:
    """Return whether a host does not know ``stream_options``."""
    return base.refused_option(error, "stream_options")


def stream_reader(operation: Operation, provider: str) -> StreamReader:
    """Return the reader of one stream, or of one response on a connection."""
    if operation.api == "realtime":
        return openai_realtime.RealtimeStreamReader()
    if operation.api == "live":
        return openai_like.stream_reader("transcription", provider)
    return formats.stream_reader(operation, provider)


def dialogue(manager: Any, _args: Args, _kwargs: Kwargs) -> Dialogue | None:
    """Return the dialogue of a connection."""
    return sockets.dialogue(manager, _provider(sockets.client_of(manager)))


def credential(client: Any) -> str | None:
    """Return the secret that a client sends, or the client of a connection."""
    return base.credential(sockets.client_of(client) or client)


_HELPERS: Final = (
    ("openai.lib.streaming.chat._completions", "ChatCompletionStream.close"),
    ("openai.lib.streaming.chat._completions", "AsyncChatCompletionStream.close"),
    ("openai.lib.streaming.responses._responses", "ResponseStream.close"),
    ("openai.lib.streaming.responses._responses", "AsyncResponseStream.close"),
)
ADAPTER: Final = Adapter(
    library="openai",
    tested=("1.109", "4"),
    targets=(
        *base.targets("openai"),
        *(Target(module, name, "close") for module, name in _HELPERS),
        *sockets.targets(),
    ),
    client_classes=("OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI"),
    route=route,
    payload=base.payload,
    request=request,
    usage=formats.usage,
    stream_reader=stream_reader,
    credential=credential,
    dialogue=dialogue,
    http_response=base.http_response,
    is_raw=base.is_raw,
    body=base.body,
    ask_usage=ask_usage,
    only_usage=only_usage,
    refused=refused,
    ambiguous=base.ambiguous,
    input_texts=formats.input_texts,
    output_texts=formats.output_texts,
    # Documented to accept ``stream_options``; Groq and Together report usage unasked and have no such option.
    asks_usage=frozenset({"openai", "azure.ai.openai", "deepseek", "openrouter", "fireworks", "vllm", "ollama"}),
)
