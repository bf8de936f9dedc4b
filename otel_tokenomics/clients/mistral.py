"""The ``mistralai`` library: its own API, and its roots for Azure and Google Cloud.

The library shows HTTP responses alone below its methods, so the methods are observed; usage is inclusive, and stands on
a stream's last chunk unasked. See https://docs.mistral.ai/api (``UsageInfo``).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import Adapter, Args, Kwargs, Operation, Request, StreamReader, Target
from otel_tokenomics.clients import _mistral_sockets as sockets
from otel_tokenomics.clients._addresses import mapping_of, model_of, request_to
from otel_tokenomics.usage import Reading
from otel_tokenomics.usage.dialects import documents, mistral, openai_like
from otel_tokenomics.usage.dialects.counts import field, fields_of
from otel_tokenomics.usage.dialects.last_event import LastEventReader

_CHAT: Final = Operation("chat", "chat")
_FIM: Final = Operation("text_completion", "completions")
_EMBEDDINGS: Final = Operation("embeddings", "embeddings")
_CONVERSATION: Final = Operation("chat", "conversations")
_SPOKEN: Final = Operation("generate_content", "speech", "speech")
_JUDGED: Final = Operation("generate_content", "classification", "text")
_OCR: Final = Operation("generate_content", "ocr", "text")
#: Roots of the package: two majors have ``client`` below it, the first has not; clouds have roots of their own.
_ROOTS: Final = ("mistralai.client", "mistralai", "mistralai.azure.client", "mistralai.gcp.client", "mistralai_azure",
                 "mistralai_gcp")  # fmt: skip
_CLOUDS: Final = (("azure", "azure.ai.inference"), ("gcp", "gcp.vertex_ai"))
_ANSWERS: Final = ("start", "append", "restart")
#: Where the request says whether it streams.
_EITHER: Final = frozenset({"responses", "speech"})
_METHODS: Final = (
    ("chat", "Chat.complete", _CHAT),
    ("fim", "Fim.complete", _FIM),
    ("agents", "Agents.complete", _CHAT),
    ("embeddings", "Embeddings.create", _EMBEDDINGS),
    ("ocr", "Ocr.process", _OCR),
    # These report no usage.
    ("classifiers", "Classifiers.classify", _JUDGED),
    ("classifiers", "Classifiers.classify_chat", _JUDGED),
    ("judges", "Judges.judge_conversation", _JUDGED),
    ("datasets_records", "DatasetsRecords.judge", _JUDGED),
    ("records", "Records.judge", _JUDGED),
    ("responses", "Responses.create", Operation("chat", "responses")),
    ("speech", "Speech.complete", _SPOKEN),
    ("transcriptions", "Transcriptions.complete", sockets.HEARD),
    ("transcriptions", "Transcriptions.stream", sockets.HEARD._replace(stream=True)),
    # What runs a conversation to its end (``run_async``) calls these for each of its answers.
    *(("conversations", f"Conversations.{name}", _CONVERSATION) for name in _ANSWERS),
    *(("conversations", f"Conversations.{name}_stream", _CONVERSATION._replace(stream=True)) for name in _ANSWERS),
    ("chat", "Chat.stream", _CHAT._replace(stream=True)),
    ("fim", "Fim.stream", _FIM._replace(stream=True)),
    ("agents", "Agents.stream", _CHAT._replace(stream=True)),
)
_WORDS: Final = MappingProxyType(
    {
        "max_tokens": "max_tokens",
        "max_output_tokens": "max_tokens",
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
    stream = operation.stream or (operation.api in _EITHER and kwargs.get("stream") is True)
    asked = {**kwargs, **mapping_of(fields_of(kwargs.get("completion_args")))}
    made = request_to(url, provider, model, asked, _WORDS, stream=stream)
    if operation.api == "speech":
        # Billed by the character; the tokens that a stream's last event counts are not.
        made = made._replace(units={"character": len(kwargs["input"])})
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
    if operation.api == "conversations":
        return mistral.read_response(response, provider)
    return openai_like.read_response(operation.api, response, provider)


class _EventReader(openai_like.OpenAIStreamReader):
    """Reads a stream whose events carry their chunk in ``data``."""

    def observe(self, item: Any) -> None:
        """Take note of one event."""
        chunk = field(item, "data")
        super().observe(item if chunk is None else chunk)


def stream_reader(operation: Operation, provider: str) -> StreamReader | None:
    """Return the reader of one stream."""
    if operation.api == "conversations":
        return mistral.ConversationReader(provider)
    if operation.api == "speech":
        return LastEventReader(_nothing)
    return _EventReader(operation.api, provider)


def _nothing(_: object) -> None:
    return None


def http_response(result: Any) -> Any | None:
    """Return the HTTP response under a stream."""
    return getattr(result, "response", None)


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
    return (*found, *sockets.TARGETS)


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
    dialogue=sockets.dialogue,
    native_scope=None,
)
