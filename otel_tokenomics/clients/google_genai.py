"""The ``google-genai`` library: the Gemini API and Vertex AI, and the interactions API on a transport of its own.

The methods below the public ones are observed, one per request: automatic function calling and automatic
continuation send several, each billed, and the public methods report their last one or their sum. See
https://ai.google.dev/api/generate-content (``UsageMetadata``): thoughts are extra output, tool results extra input.
Interactions likewise: each continuation is an interaction with a usage of its own
(https://ai.google.dev/api/interactions-api, ``Usage``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import (
    NO_UNITS,
    Adapter,
    Args,
    Dialogue,
    Kind,
    Kwargs,
    Operation,
    Request,
    Step,
    StreamReader,
    Target,
)
from otel_tokenomics.clients import _google_interactions as first_major
from otel_tokenomics.clients import _stainless as base
from otel_tokenomics.clients._addresses import address_of
from otel_tokenomics.usage import NO_FACTS, Reading
from otel_tokenomics.usage.dialects import google
from otel_tokenomics.usage.dialects.last_event import LastEventReader

_CHAT: Final = Operation("generate_content", "generate_content")
_STREAM: Final = _CHAT._replace(stream=True)
_EMBEDDINGS: Final = Operation("embeddings", "embeddings")
_IMAGES: Final = Operation("generate_content", "images", "image")
_VIDEOS: Final = Operation("generate_content", "videos", "video")
_MODULE: Final = "google.genai.models"
_METHODS: Final[tuple[tuple[str, Operation], ...]] = (
    ("_generate_content", _CHAT),
    ("_embed_content", _EMBEDDINGS),
    ("_generate_images", _IMAGES),
    ("_edit_image", _IMAGES),
    ("_upscale_image", _IMAGES),
    ("recontext_image", _IMAGES),
    ("segment_image", _IMAGES),
    ("_generate_videos", _VIDEOS),
)
_WORDS: Final = MappingProxyType(
    {
        "max_output_tokens": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "seed": "seed",
        "frequency_penalty": "frequency_penalty",
        "presence_penalty": "presence_penalty",
        "candidate_count": "choice_count",
        "output_dimensionality": "dimensions",
    }
)


def route(_client: Any, args: Args, kwargs: Kwargs) -> Operation | None:
    """Return the operation of ``interactions.get``: it may bring the bill of a background interaction."""
    options = first_major.options_of(args, kwargs)
    if options is not None:
        return first_major.route(options)
    identity = kwargs.get("id")
    return Operation("fetch_response", "interactions", response_id=identity) if isinstance(identity, str) else None


def request(client: Any, operation: Operation, args: Args, kwargs: Kwargs) -> Request:
    """Return what a call asks for; ``client`` is the library's ``Models``, or its ``Interactions``."""
    options = first_major.options_of(args, kwargs)
    if options is not None:
        return _interaction(base.body_of(options), client.base_url)._replace(stream=base.is_stream(kwargs))
    if operation.api == "interactions":
        given = kwargs.get("request")
        body = kwargs if given is None else _setting(given, "body") or given
        return _interaction(body, client.sdk_configuration.server_url)
    api = client._api_client  # noqa: SLF001  # the library shows neither its address nor its platform elsewhere
    options = getattr(api, "_http_options", None)
    address = address_of(getattr(options, "base_url", None))
    config = kwargs.get("config")
    parameters = {word: value for name, word in _WORDS.items() if (value := _setting(config, name)) is not None}
    if parameters.get("choice_count") == 1:
        del parameters["choice_count"]
    limit = parameters.get("max_tokens")
    tier = _text(_setting(config, "service_tier"))
    facts = {"service_tier": tier} if tier else {}
    if location := _text(getattr(api, "location", None)):
        facts["region"] = location
    return Request(
        model=_model(kwargs.get("model")),
        provider="gcp.vertex_ai" if getattr(api, "vertexai", False) else "gcp.gemini",
        host=address.host,
        port=address.port,
        path=address.path,
        stream=operation.stream,
        max_output=limit if isinstance(limit, int) else None,
        facts=facts or NO_FACTS,
        units=_units(operation, config),
        parameters=parameters,
    )


def _interaction(body: Any, url: object) -> Request:
    config = _setting(body, "generation_config")
    parameters = {word: value for name, word in _WORDS.items() if (value := _setting(config, name)) is not None}
    limit, tier = parameters.get("max_tokens"), _text(_setting(body, "service_tier"))
    address = address_of(url)
    return Request(
        model=_model(_text(_setting(body, "model")) or _text(_setting(body, "agent"))),
        provider="gcp.gemini",
        host=address.host,
        port=address.port,
        path=address.path,
        stream=_setting(body, "stream") is True,
        max_output=limit if isinstance(limit, int) else None,
        facts={"service_tier": tier} if tier else NO_FACTS,
        parameters=parameters,
        background=_setting(body, "background") is True,
    )


def _model(value: object) -> str | None:
    """Return the model's id without the resource path that the library accepts before it."""
    return value.rpartition("models/")[2] or None if isinstance(value, str) else None


def _text(value: object) -> str:
    word = getattr(value, "value", value)
    return word if isinstance(word, str) else ""


def _setting(config: object, name: str) -> Any:
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _units(operation: Operation, config: object) -> Mapping[str, int]:
    """Return what only the request knows: images or seconds of video to make."""
    if operation.api == "images":
        return {"image": _setting(config, "number_of_images") or 1}
    if operation.api == "videos":
        seconds = _setting(config, "duration_seconds")
        return {"video_out_second": seconds * (_setting(config, "number_of_videos") or 1)} if seconds else NO_UNITS
    return NO_UNITS


def usage(operation: Operation, response: Any, _provider: str) -> Reading | None:
    """Return the reading of one response."""
    if operation.api == "embeddings":
        return google.read_embeddings(response)
    if operation.api == "interactions":
        return google.read_interaction(response)
    return google.read_response(response) if operation.api == "generate_content" else None


def stream_reader(operation: Operation, _provider: str) -> StreamReader:
    """Return the reader of one hop's stream."""
    if operation.api == "interactions":
        return LastEventReader(google.read_interaction)
    return google.GenerateContentStreamReader()


def input_texts(_args: Args, kwargs: Kwargs) -> tuple[str, ...]:
    """Return the text that a request sends, where it is plain text."""
    contents = kwargs.get("contents")
    return (contents,) if isinstance(contents, str) else ()


class LiveDialogue:
    """A session of the Live API. Each turn is a request of its own, billed for all that the session's context holds.

    A message may bear usage beside anything else it says; usage that is repeated within a turn replaces what was said
    before. It stands on the message that ends a turn, or on one of its own around it. A tool call that bears usage
    ends a request too: the answer to it begins the next. Sources: https://ai.google.dev/api/live (server messages),
    https://ai.google.dev/gemini-api/docs/live-api/best-practices (pricing and billing).
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._turn = 0
        #: Of the turn under way: whether it has begun, called a tool, stated its usage, and is complete.
        self._begun = self._called = self._counted = self._complete = False

    def sent(self, args: Args, kwargs: Kwargs) -> Step | None:
        """Return what a message asks for: sound asks for nothing by itself, the server hears the end of a turn."""
        if "turn_complete" in kwargs or "turns" in kwargs or not (args or kwargs):
            asks, joins = kwargs.get("turn_complete", True), False
        elif "input" in kwargs or "end_of_turn" in kwargs:
            asks, joins = kwargs.get("end_of_turn"), False
        else:
            # Several results of tools, and pieces of what is said in words, are answered together.
            asks, joins = any(kwargs.get(name) for name in ("function_responses", "text", "activity_end")), True
            if self._called and not self._counted:
                return None  # the turn goes on, and will state its usage at its end
        return Step("asked", joins=joins, operation=_STREAM, request=self._request) if asks else None

    def received(self, message: Any) -> Iterator[Step]:
        """Yield what a message says."""
        content, counted = getattr(message, "server_content", None), getattr(message, "usage_metadata", None)
        called = getattr(message, "tool_call", None) is not None
        made = called or getattr(content, "model_turn", None) is not None
        complete = bool(getattr(content, "turn_complete", None))
        if self._begun and made and (self._complete or (self._called and self._counted)):
            yield self._over(None)  # its usage was said before, or never
        if made or counted is not None:
            self._begun = True
            self._counted |= counted is not None
            yield self._step("says", message if counted is not None else None)
        self._called |= called
        if complete and self._begun:
            self._complete = True
            yield self._step("done", None)
        if counted is not None and (self._complete or self._called):
            yield self._over(None)

    def _over(self, item: object) -> Step:
        step = self._step("over", item)
        self._turn += 1
        self._begun = self._called = self._counted = self._complete = False
        return step

    def _step(self, what: Any, item: object) -> Step:
        return Step(what, f"turn-{self._turn}", operation=_STREAM, request=self._request, item=item)

    def ends(self, error: Exception) -> bool:
        """Return whether the session is closed: the client raises its own errors for that."""
        return any(kind.__name__ == "APIError" for kind in type(error).__mro__)


def dialogue(live: Any, args: Args, kwargs: Kwargs) -> Dialogue:
    """Return the dialogue of a session that is opened."""
    asked = request(live, _STREAM, args, kwargs)
    address = _setting(_setting(kwargs.get("config"), "http_options"), "base_url")
    if address:
        place = address_of(address)
        asked = asked._replace(host=place.host, port=place.port, path=place.path)
    return LiveDialogue(asked)


_LIVE: Final[tuple[tuple[str, Kind], ...]] = (
    ("AsyncLive.connect", "acontext"),
    ("AsyncSession.send", "asend"),
    ("AsyncSession.send_client_content", "asend"),
    ("AsyncSession.send_realtime_input", "asend"),
    ("AsyncSession.send_tool_response", "asend"),
    ("AsyncSession._receive", "areceive"),
    ("AsyncSession.close", "leave"),
)


def _targets() -> tuple[Target, ...]:
    sync: tuple[tuple[str, Kind, Kind], ...] = (("Models", "call", "gen"), ("AsyncModels", "acall", "acall"))
    models = tuple(
        target
        for owner, call, stream in sync
        for target in (
            *(Target(_MODULE, f"{owner}.{method}", call, operation) for method, operation in _METHODS),
            Target(_MODULE, f"{owner}._generate_content_stream", stream, _STREAM),
        )
    )
    owners: tuple[tuple[str, Kind], ...] = (("Interactions", "call"), ("AsyncInteractions", "acall"))
    return models + tuple(
        Target("google.genai._gaos.interactions", f"{owner}.{method}", kind, operation)
        for owner, kind in owners
        for method, operation in (("create", first_major.INTERACTION), ("get", None))
    )


ADAPTER: Final = Adapter(
    library="google.genai",
    tested=("1.75", "4"),
    targets=(*_targets(), *first_major.TARGETS, *(Target("google.genai.live", name, kind) for name, kind in _LIVE)),
    dialogue=dialogue,
    route=route,
    request=request,
    usage=usage,
    stream_reader=stream_reader,
    payload=first_major.payload,
    http_response=first_major.http_response,
    is_raw=base.is_raw,
    body=base.body,
    iterator="generator",
    input_texts=input_texts,
)
