"""OpenAI's websockets: the Responses API's websocket mode, the Realtime and the Live API, one dialogue per connection.

Sources: https://developers.openai.com/api/docs/guides/websocket-mode, the API reference's client and server events of
each, and https://developers.openai.com/api/docs/guides/realtime-costs (what is billed, and that input transcription is
billed by itself, at the rates of its own model).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any, Final, cast
from urllib.parse import parse_qs

from otel_tokenomics.client_api import Args, Dialogue, Kind, Kwargs, Operation, Request, Step, Target, lost
from otel_tokenomics.clients import _openai_formats as formats
from otel_tokenomics.clients import _stainless as base
from otel_tokenomics.clients._addresses import address_of

RESPONSES: Final = Operation("chat", "responses")
REALTIME: Final = Operation("chat", "realtime")
#: A session that is billed by its seconds.
LIVE: Final = Operation("chat", "live")
TRANSLATION: Final = Operation("generate_content", "live", "speech")
_CREATE: Final = "response.create"
_APPEND: Final = "session.input_audio_buffer.append"
_CLOSED: Final = "session.closed"
_BEGUN: Final = "response.created"
_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
#: What the one charge of a session is known by, on its connection.
_SESSION_KEY: Final = "session"
_SESSION: Final = frozenset(
    {"session.created", "session.updated", "transcription_session.created", "transcription_session.updated"}
)
#: What is refused under this code is always a question, whether or not the error names it.
_BUSY: Final = "conversation_already_has_active_response"
_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


#: A piece of an answer, which may be large, says so at its head; within a text the quotes would be escaped.
_DELTA: Final = re.compile(rb'"type"\s*:\s*"[a-z_.]*\.delta"')
_HEAD: Final = 256


def _words(*types: str) -> tuple[bytes, ...]:
    """Return what the messages of these types contain: most of the others bear sound, and are not decoded."""
    return tuple(json.dumps(kind).encode() for kind in types)


_OF_RESPONSE: Final = (_BEGUN, "response.completed", "response.incomplete", "response.failed")
_RESPONSES_WORDS: Final = _words(*_OF_RESPONSE, "error")
_REALTIME_WORDS: Final = _words(_BEGUN, "response.done", "error", _TRANSCRIBED, *sorted(_SESSION))
_LIVE_WORDS: Final = (
    *_words("session.started", "session.usage.updated", _CLOSED, "decision.event"),
    *_RESPONSES_WORDS[:-1],
)
_TRANSLATION_WORDS: Final = _words(_CLOSED)


def _decoded(message: object, words: tuple[bytes, ...]) -> Mapping[str, Any]:
    """Return a message that may be of one of the types; an empty mapping where it is not, or is no JSON object."""
    data = message.encode() if isinstance(message, str) else message
    if not isinstance(data, bytes) or _DELTA.search(data, 0, _HEAD) or not any(word in data for word in words):
        return _EMPTY
    try:
        return base.mapping(json.loads(data))
    except (ValueError, RecursionError):
        return _EMPTY  # what a provider calls JSON is not our failure


def _question(args: Args, kwargs: Kwargs, kind: str = _CREATE) -> Mapping[str, Any] | None:
    """Return the event that is sent, as an object, a mapping or text, where it is of the kind that asks."""
    event: Any = next(iter((*args, *kwargs.values())), None)
    if isinstance(event, (str, bytes)):
        event = _decoded(event, _words(kind))
    elif not isinstance(event, Mapping):
        event = event.to_dict() if getattr(event, "type", None) == kind else _EMPTY
    found = base.mapping(cast("object", event))
    return found if found.get("type") == kind else None


class _Dialogue:
    """What both have in common: who is asked, where, and when it ends."""

    def __init__(self, endpoint: base.Endpoint, provider: str, model: str | None) -> None:
        self._endpoint, self._provider, self._model = endpoint, provider, model

    def _request(self, operation: Operation, body: Mapping[str, Any], *, stream: bool = True) -> Request:
        made = formats.request_of(operation, body, self._provider, self._endpoint, stream=stream)
        return made._replace(model=made.model or self._model)

    def _response(self, event: Mapping[str, Any], lane: str | None = None) -> Iterable[Step]:
        """Return what an event of the Responses API says; only those that begin or end a response are read."""
        response, kind = base.part_of(event, "response"), base.text_of(event, "type")
        key = base.text_of(response, "id")
        if key is None or kind not in _OF_RESPONSE:
            return ()
        request = self._request(RESPONSES, {"model": response.get("model")})
        what = "begun" if kind == _BEGUN else "over"
        return (Step(what, key, lane, operation=RESPONSES, request=request, item=event),)

    def ends(self, error: Exception) -> bool:
        """Return whether the connection is closed or lost."""
        return lost(error)


class ResponsesDialogue(_Dialogue):
    """The Responses API: events as in a stream; the lanes of a connection (``stream_id``) answer side by side."""

    def sent(self, args: Args, kwargs: Kwargs) -> Step | None:
        """Return what a message asks for."""
        body = _question(args, kwargs)
        if body is None:
            return None
        lane = base.text_of(body, "stream_id")
        return Step("asked", lane=lane, operation=RESPONSES, request=self._request(RESPONSES, body))

    def received(self, message: Any) -> Iterable[Step]:
        """Return what an event says; only those that begin or end a response are read."""
        event = _decoded(message, _RESPONSES_WORDS)
        lane = base.text_of(event, "stream_id")
        if base.text_of(event, "type") == "error":
            return (Step("failed", lane=lane, error_type=_error_type(base.part_of(event, "error") or event, event)),)
        return self._response(event, lane)


class RealtimeDialogue(_Dialogue):
    """The Realtime API: the server makes responses unasked too, and transcriptions beside them."""

    _transcriber: str | None = None

    def sent(self, args: Args, kwargs: Kwargs) -> Step | None:
        """Return what a message asks for."""
        body = _question(args, kwargs)
        if body is None:
            return None
        request = self._request(REALTIME, base.part_of(body, "response"))
        return Step("asked", question=base.text_of(body, "event_id"), operation=REALTIME, request=request)

    def received(self, message: Any) -> Iterable[Step]:
        """Return what an event says."""
        event = _decoded(message, _REALTIME_WORDS)
        kind = base.text_of(event, "type")
        if kind in _SESSION:
            self._learn(base.part_of(event, "session"))
        elif kind == _TRANSCRIBED:
            request = self._request(formats.HEARD, _EMPTY, stream=False)._replace(model=self._transcriber)
            return (Step("apart", operation=formats.HEARD, request=request, item=event),)
        elif kind == "error":
            return _refused(base.part_of(event, "error"))
        elif kind in (_BEGUN, "response.done"):
            key = base.text_of(base.part_of(event, "response"), "id")
            request = self._request(REALTIME, _EMPTY)
            what = "begun" if kind == _BEGUN else "over"
            return (Step(what, key, operation=REALTIME, request=request, item=event),) if key is not None else ()
        return ()

    def _learn(self, session: Mapping[str, Any]) -> None:
        """Remember the models that a session names: its own, and the one that transcribes what it hears."""
        self._model = self._model or base.text_of(session, "model")
        heard = base.part_of(base.part_of(base.part_of(session, "audio"), "input"), "transcription")
        heard = heard or base.part_of(session, "input_audio_transcription")  # before general availability
        self._transcriber = base.text_of(heard, "model") or self._transcriber


class LiveDialogue(_Dialogue):
    """The Live API: a session is billed by its seconds, and what it delegates to other models by their tokens.

    The seconds are a running total. Sources: the API reference's Live server events (``SessionUsage``,
    ``session.usage.updated``, ``session.closed``, ``response.event``, ``decision.event``).
    """

    def sent(self, args: Args, kwargs: Kwargs) -> Step | None:  # noqa: ARG002  # the protocol's
        """Return None: a session is billed once it has started, and nobody asks for a response."""
        return None

    def received(self, message: object) -> Iterable[Step]:
        """Return what an event says."""
        event = _decoded(message, _LIVE_WORDS)
        kind = base.text_of(event, "type")
        if kind == "response.event":
            return self._response(base.part_of(event, "event"))
        if kind == "decision.event":
            decision = base.part_of(base.part_of(event, "event"), "decision")
            request = self._request(RESPONSES, {"model": decision.get("model")}, stream=False)
            return (Step("apart", operation=RESPONSES, request=request, item=decision),)
        if kind not in ("session.started", "session.usage.updated", _CLOSED):
            return ()
        session = base.part_of(event, "session")
        self._model = base.text_of(session, "model") or self._model
        said = {"id": session.get("id"), "model": self._model, "usage": event.get("usage")}
        what = "over" if kind == _CLOSED else "says"
        return (Step(what, _SESSION_KEY, operation=LIVE, request=self._request(LIVE, _EMPTY), item=said),)


class TranslationDialogue(_Dialogue):
    """A translation: it goes on as long as the session, is billed by the sound that is sent, and reports no usage."""

    _asked = _begun = False

    def sent(self, args: Args, kwargs: Kwargs) -> Step | None:
        """Return what a piece of sound asks for: the first, a translation of all that follows."""
        if self._asked or _question(args, kwargs, _APPEND) is None:
            return None
        self._asked = True
        return Step("asked", joins=True, operation=TRANSLATION, request=self._request(TRANSLATION, _EMPTY))

    def received(self, message: object) -> Iterator[Step]:
        """Yield what an event says."""
        data = message.encode() if isinstance(message, str) else message
        closed = base.text_of(_decoded(data, _TRANSLATION_WORDS), "type") == _CLOSED
        made = not self._begun and isinstance(data, bytes) and _DELTA.search(data, 0, _HEAD) is not None
        request = self._request(TRANSLATION, _EMPTY)
        if made or (closed and self._asked and not self._begun):
            self._begun = True
            yield Step("begun", _SESSION_KEY, operation=TRANSLATION, request=request)
        if closed:
            yield Step("over", _SESSION_KEY, operation=TRANSLATION, request=request)


def _refused(error: Mapping[str, Any]) -> Iterable[Step]:
    """Return what an error says of a question: by its id, by its code, or by the parameter that was wrong."""
    question = base.text_of(error, "event_id")
    asked = (base.text_of(error, "param") or "").partition(".")[0] == "response"
    if question is None and not asked and error.get("code") != _BUSY:
        return ()
    return (Step("refused", question=question, error_type=_error_type(error, _EMPTY)),)


def _error_type(error: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    status = base.count_of(event, "status")
    return str(status) if status is not None else base.text_of(error, "code") or base.text_of(error, "type") or "error"


def client_of(manager: Any) -> Any:
    """Return the client that opens a connection, which a connection manager keeps to itself; a connection has none."""
    return _kept(manager, "client")


def _kept(manager: Any, name: str) -> Any:
    fields: Mapping[str, Any] = getattr(manager, "__dict__", _EMPTY)
    kept = (fields.get(f"_{kind.__name__}__{name}") for kind in type(manager).__mro__)
    return next((value for value in kept if value is not None), None)


def dialogue(opener: Any, provider: str) -> Dialogue:
    """Return the dialogue of a connection; ``provider`` is what its client stands for.

    ``opener`` is the manager that opens it, or a connection that was opened before: that knows its address alone.
    """
    name = type(opener).__name__
    kind = next((kind for word, kind in _KINDS if word in name), RealtimeDialogue)
    client = client_of(opener)
    if client is None:
        endpoint, model = _called(opener)
        return kind(endpoint, provider, model)
    address, model = getattr(client, "websocket_base_url", None), _kept(opener, "model")
    endpoint = base.endpoint_of(client) if address is None else base.Endpoint(*address_of(address))
    return kind(endpoint, provider, model if isinstance(model, str) else None)


def _called(connection: Any) -> tuple[base.Endpoint, str | None]:
    """Return where a connection was opened to (its last word is the API's), and the model that its query names."""
    uri = connection._connection.protocol.uri  # noqa: SLF001  # the websocket, which is shown nowhere else
    asked = parse_qs(uri.query)
    model = next(iter(asked.get("model") or asked.get("deployment") or ()), None)
    return base.Endpoint(uri.host, uri.port, uri.path.rpartition("/")[0]), model


#: By a word in the name of a connection's class.
_KINDS: Final[tuple[tuple[str, type[Any]], ...]] = (
    ("Responses", ResponsesDialogue),
    ("Translations", TranslationDialogue),
    ("Live", LiveDialogue),
    ("Sideband", LiveDialogue),
    ("Forks", LiveDialogue),
)
_MODULES: Final = (
    ("openai.resources.responses.responses", "Responses"),
    ("openai.resources.beta.responses.responses", "Responses"),
    ("openai.resources.realtime.realtime", "Realtime"),
    ("openai.resources.beta.realtime.realtime", "Realtime"),
    ("openai.resources.realtime.translations.translations", "Translations"),
    ("openai.resources.live.live", "Live"),
    ("openai.resources.live.sideband", "Sideband"),
    ("openai.resources.live.forks", "Forks"),
)
_OF_CONNECTION: Final[tuple[tuple[str, Kind, Kind], ...]] = (
    ("send", "send", "asend"),
    ("send_raw", "send", "asend"),
    ("recv_bytes", "receive", "areceive"),
    ("close", "leave", "leave"),
)
_OF_MANAGER: Final[tuple[tuple[str, Kind], ...]] = (("enter", "enter"), ("__enter__", "enter"), ("send", "queue"))
_OF_AMANAGER: Final[tuple[tuple[str, Kind], ...]] = (("enter", "aenter"), ("__aenter__", "aenter"), ("send", "queue"))


def targets() -> tuple[Target, ...]:
    """Return what is patched; each major has some of it (the third keeps part of a connection in a base class)."""
    places = chain(
        ((module, f"{name}Connection", f"Async{name}Connection") for module, name in _MODULES),
        (("openai._websocket_connection", "WebSocketConnectionBase", "AsyncWebSocketConnectionBase"),),
    )
    found: list[Target] = []
    for module, plain, twin in places:
        own = _OF_CONNECTION if module.startswith("openai.resources") else (_OF_CONNECTION[1], _OF_CONNECTION[3])
        for name, kind, akind in own:
            found += [Target(module, f"{plain}.{name}", kind), Target(module, f"{twin}.{name}", akind)]
    for module, name in _MODULES:
        found += [Target(module, f"{name}ConnectionManager.{method}", kind) for method, kind in _OF_MANAGER]
        found += [Target(module, f"Async{name}ConnectionManager.{method}", kind) for method, kind in _OF_AMANAGER]
    return tuple(found)
