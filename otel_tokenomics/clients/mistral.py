"""The ``mistralai`` library: its own API, and its roots for Azure and Google Cloud.

The library shows HTTP responses alone below its methods, so the methods are observed; usage is inclusive, and stands on
a stream's last chunk unasked. See https://docs.mistral.ai/api (``UsageInfo``).
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import Adapter, Args, Dialogue, Kind, Kwargs, Operation, Request, Step, Target
from otel_tokenomics.clients._addresses import model_of, request_to
from otel_tokenomics.usage import Reading
from otel_tokenomics.usage.dialects import documents, openai_like
from otel_tokenomics.usage.dialects.counts import field, word

_CHAT: Final = Operation("chat", "chat")
_FIM: Final = Operation("text_completion", "completions")
_EMBEDDINGS: Final = Operation("embeddings", "embeddings")
_HEARD: Final = Operation("generate_content", "transcription", "text")
_OCR: Final = Operation("generate_content", "ocr", "text")
#: Roots of the package: two majors have ``client`` below it, the first has not; clouds have roots of their own.
_ROOTS: Final = ("mistralai.client", "mistralai", "mistralai.azure.client", "mistralai.gcp.client", "mistralai_azure",
                 "mistralai_gcp")  # fmt: skip
_CLOUDS: Final = (("azure", "azure.ai.inference"), ("gcp", "gcp.vertex_ai"))
_METHODS: Final = (
    ("chat", "Chat.complete", _CHAT),
    ("fim", "Fim.complete", _FIM),
    ("agents", "Agents.complete", _CHAT),
    ("embeddings", "Embeddings.create", _EMBEDDINGS),
    ("ocr", "Ocr.process", _OCR),
    ("chat", "Chat.stream", _CHAT._replace(stream=True)),
    ("fim", "Fim.stream", _FIM._replace(stream=True)),
    ("agents", "Agents.stream", _CHAT._replace(stream=True)),
)
_WORDS: Final = MappingProxyType(
    {
        "max_tokens": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "random_seed": "seed",
        "frequency_penalty": "frequency_penalty",
        "presence_penalty": "presence_penalty",
        "stop": "stop_sequences",
        "n": "choice_count",
        "output_dimension": "dimensions",
    }
)


def request(client: Any, operation: Operation, _args: Args, kwargs: Kwargs) -> Request:
    """Return what a call asks for; ``client`` is one of the library's groups of methods."""
    details: Any = client.sdk_configuration.get_server_details()
    module, url = type(client).__module__, kwargs.get("server_url") or details[0]
    provider = next((provider for word, provider in _CLOUDS if word in module), "mistral_ai")
    model, tier = model_of(kwargs) or _agent(kwargs), kwargs.get("service_tier")
    made = request_to(url, provider, model, kwargs, _WORDS, stream=operation.stream)
    return made._replace(facts={"service_tier": tier}) if isinstance(tier, str) else made


def _agent(kwargs: Kwargs) -> str | None:
    """Return the agent's id where an agent answers: the response names its model."""
    agent = kwargs.get("agent_id")
    return agent if isinstance(agent, str) else None


def usage(operation: Operation, response: object, provider: str) -> Reading | None:
    """Return the reading of a whole response."""
    if operation.api == "ocr":
        reading = documents.read_ocr(field(response, "usage_info"))
        model = field(response, "model")
        return reading._replace(response_model=model if isinstance(model, str) else None)
    return openai_like.read_response(operation.api, response, provider)


class _EventReader(openai_like.OpenAIStreamReader):
    """Reads a stream whose events carry their chunk in ``data``."""

    def observe(self, item: Any) -> None:
        """Take note of one event."""
        chunk = field(item, "data")
        super().observe(item if chunk is None else chunk)


def stream_reader(operation: Operation, provider: str) -> _EventReader:
    """Return the reader of one stream."""
    return _EventReader(operation.api, provider)


def http_response(result: Any) -> Any | None:
    """Return the HTTP response under a stream."""
    return getattr(result, "response", None)


class TranscriptionDialogue:
    """A connection that transcribes what it hears: one request, from the first sound to its end.

    See https://docs.mistral.ai/studio-api/audio/speech_to_text/realtime_transcription: the last event bears the usage.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._asked = False

    def sent(self, args: Args, kwargs: Kwargs) -> Step | None:  # noqa: ARG002  # the protocol's
        """Return what a piece of sound asks for: the first, a transcript of all that follows."""
        if self._asked:
            return None
        self._asked = True
        return Step("asked", operation=_HEARD, request=self._request)

    def received(self, message: object) -> Iterator[Step]:
        """Yield what an event says."""
        kind = word(message, "type")
        if kind == "error":
            code = field(field(message, "error"), "code")
            yield Step("failed", error_type="error" if code is None else str(code))
        elif kind == "transcription.done":
            yield Step("over", _LAST, operation=_HEARD, request=self._request, item=message)
        elif kind is not None and kind.startswith("transcription."):
            yield Step("says", _LAST, operation=_HEARD, request=self._request)

    def ends(self, error: Exception) -> bool:  # noqa: ARG002
        """Return whether nothing more comes after an error: so it is, for the client closes the connection."""
        return True


def dialogue(opener: Any, args: Args, kwargs: Kwargs) -> Dialogue:
    """Return the dialogue of a connection that is opened, or was before: that knows its model and its address."""
    websocket = getattr(opener, "_websocket", None)
    if websocket is None:
        model, server = next(iter(args), None) or kwargs.get("model"), kwargs.get("server_url")
        url: object = server or opener._sdk_config.get_server_details()[0]  # noqa: SLF001  # it is shown nowhere else
    else:
        uri = websocket.protocol.uri
        model, path = opener.session.model, uri.path.removesuffix(_REALTIME)
        url = f"{'wss' if uri.secure else 'ws'}://{uri.host}:{uri.port}{path}"
    return TranscriptionDialogue(request_to(url, "mistral_ai", model, {}, {}, stream=True))


_LAST: Final = "transcript"
_REALTIME: Final = "/v1/audio/transcriptions/realtime"
_CONNECTION: Final[tuple[tuple[str, str, Kind], ...]] = (
    ("transcription", "RealtimeTranscription.connect", "aenter"),
    ("connection", "RealtimeConnection.send_audio", "asend"),
    ("connection", "RealtimeConnection._apply_session_updates", "told"),
    ("connection", "RealtimeConnection.close", "leave"),
)


def _targets() -> tuple[Target, ...]:
    found: list[Target] = []
    for root in _ROOTS:
        for module, method, operation in _METHODS:
            found += [
                Target(f"{root}.{module}", method, "call", operation),
                Target(f"{root}.{module}", f"{method}_async", "acall", operation),
            ]
        streams = f"{root}.utils.eventstreaming"
        found += [Target(streams, f"{owner}.{name}", "close") for owner, name in _CLOSES]
    found += [Target(f"mistralai.extra.realtime.{module}", method, kind) for module, method, kind in _CONNECTION]
    return tuple(found)


_CLOSES: Final = (
    ("EventStream", "close"),
    ("EventStream", "__exit__"),
    ("EventStreamAsync", "close"),
    ("EventStreamAsync", "__aexit__"),
)
ADAPTER: Final = Adapter(
    library="mistralai",
    tested=("1.12", "4"),
    targets=_targets(),
    request=request,
    usage=usage,
    stream_reader=stream_reader,
    http_response=http_response,
    iterator="generator",
    dialogue=dialogue,
    native_scope=None,
)
