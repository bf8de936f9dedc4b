"""The ``huggingface_hub`` library: ``InferenceClient``, over the router, at a provider or at an endpoint of one's own.

Every task goes out through ``_inner_post``, which gives back the body, or the lines of a stream. Who serves stands in
the router's path. See https://huggingface.co/docs/inference-providers (chat is OpenAI's format).
"""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import Adapter, Args, Kwargs, Operation, Request, Target
from otel_tokenomics.clients import _openai_formats as formats
from otel_tokenomics.clients import _stainless as base
from otel_tokenomics.clients._addresses import address_of, mapping_of, model_of, request_to
from otel_tokenomics.usage import Reading
from otel_tokenomics.usage.dialects import openai_like, text_generation
from otel_tokenomics.usage.dialects.text_generation import LineReader, decoded

#: Everything else (classification and the like) is done by small models, by the second of a machine.
_TASKS: Final = MappingProxyType(
    {
        "conversational": formats.CHAT,
        "text-generation": formats.COMPLETION,
        "feature-extraction": formats.EMBEDDINGS,
        "sentence-similarity": formats.RERANK,
        "text-to-image": formats.IMAGES,
        "image-to-image": formats.IMAGES,
        "text-to-speech": formats.SPOKEN,
        "automatic-speech-recognition": formats.HEARD,
        "text-to-video": formats.VIDEOS,
        "image-to-video": formats.VIDEOS,
    }
)
#: What a task makes is no text, and may be large.
_MEDIA: Final = frozenset({"images", "speech", "videos"})
_ROUTER: Final = "router.huggingface.co"
_PROVIDER: Final = "huggingface"
_POLICIES: Final = ("", "fastest", "cheapest", "preferred")  # of the router, in place of a provider
_WORDS: Final = MappingProxyType({**formats.WORDS, "max_new_tokens": "max_tokens"})
#: Who is known to take ``stream_options``.
_ASKED: Final = frozenset({_PROVIDER, "openai", "fireworks", "novita", "nebius", "nscale", "cerebras", "sambanova"})
_TEXTS: Final = frozenset({"inputs", "prompt", "input", "messages", "content", "text"})
_MADE: Final = frozenset({"choices", "delta", "message", "content", "text", "token"})


def _asked(args: Args, kwargs: Kwargs) -> Any:
    """Return the library's own description of the request."""
    return args[0] if args else kwargs["request_parameters"]


def route(_client: Any, args: Args, kwargs: Kwargs) -> Operation | None:
    """Return the operation of a task."""
    return _TASKS.get(_asked(args, kwargs).task)


def request(_client: Any, operation: Operation, args: Args, kwargs: Kwargs) -> Request:
    """Return what a call asks for."""
    asked = _asked(args, kwargs)
    body, address = mapping_of(asked.json), address_of(asked.url)
    model = model_of(body) or str(asked.model or "")
    if model == "dummy" or "://" in model:
        model = ""  # an endpoint of one's own is named by its address, and serves what it serves
    place, provider = address.path.strip("/").partition("/")[0], _PROVIDER
    if address.host == _ROUTER and place == "v1":
        model, _, suffix = model.partition(":")
        provider = _PROVIDER if suffix in _POLICIES else f"{_PROVIDER}_{suffix}"
    elif address.host == _ROUTER and place != "hf-inference":
        provider = place
    parameters = mapping_of(body.get("parameters"))
    stream, wanted = kwargs.get("stream") is True, mapping_of(body.get("stream_options")).get("include_usage")
    provider = provider.replace("-", "_")
    made = request_to(asked.url, provider, model or None, {**parameters, **body}, _WORDS, stream=stream)
    return made._replace(
        named=address.host == _ROUTER,
        usage_asked=wanted if isinstance(wanted, bool) else None,
        units=formats.units_of(operation, body, parameters, mapping_of(body.get("input"))),
    )


def usage(operation: Operation, response: object, provider: str) -> Reading | None:
    """Return the reading of a whole answer: in OpenAI's format, or in that of text generation."""
    if operation.api in _MEDIA:
        return Reading()
    said = decoded(response)
    return text_generation.read_response(said) or openai_like.read_response(operation.api, said, provider)


def ask_usage(operation: Operation, asked: Request, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs] | None:
    """Return the arguments with ``stream_options.include_usage``, which chat knows."""
    given, body = _asked(args, kwargs), mapping_of(_asked(args, kwargs).json)
    if operation.api != "chat" or asked.usage_asked is not None or not body:
        return None
    options = {**mapping_of(body.get("stream_options")), "include_usage": True}
    changed = dataclasses.replace(given, json={**body, "stream_options": options})
    return ((changed, *args[1:]), kwargs) if args else ((), {**kwargs, "request_parameters": changed})


ADAPTER: Final = Adapter(
    library="huggingface_hub",
    tested=("1.33", "3"),
    targets=(
        Target("huggingface_hub.inference._client", "InferenceClient._inner_post", "call"),
        Target("huggingface_hub.inference._generated._async_client", "AsyncInferenceClient._inner_post", "acall"),
    ),
    route=route,
    request=request,
    usage=usage,
    stream_reader=lambda operation, provider: LineReader(operation.api, provider),
    credential=lambda client: client.token,
    stops_at_last=True,
    ask_usage=ask_usage,
    only_usage=text_generation.is_only_usage,
    failure=text_generation.error_of,
    refused=lambda error: base.refused_option(error, "stream_options"),
    input_texts=lambda args, kwargs: base.texts(_asked(args, kwargs).json, _TEXTS),
    output_texts=lambda item: base.texts(decoded(item), _MADE if isinstance(item, str) else _MADE | {"generated_text"}),
    asks_usage=_ASKED,
)
