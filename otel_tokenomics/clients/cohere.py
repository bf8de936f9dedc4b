"""The ``cohere`` library: chat, embeddings and rerank of both versions of the API.

What is billed stands in ``billed_units``; ``tokens`` counts more than that. See https://docs.cohere.com/reference/chat.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import Adapter, Args, Kind, Kwargs, Operation, Request, Target
from otel_tokenomics.clients._addresses import model_of, request_to
from otel_tokenomics.usage import Reading
from otel_tokenomics.usage.dialects import cohere as dialect
from otel_tokenomics.usage.dialects.last_event import LastEventReader

_Methods = tuple[tuple[str, Kind, Kind, Operation], ...]
_CHAT: Final = Operation("chat", "chat")
_METHODS: Final[_Methods] = (
    ("chat", "call", "acall", _CHAT),
    ("chat_stream", "opening", "aopening", _CHAT._replace(stream=True)),
    ("embed", "call", "acall", Operation("embeddings", "embeddings")),
    ("rerank", "call", "acall", Operation("rerank", "rerank")),
)
_TEXT: Final = Operation("text_completion", "completions")
#: What the first version of the API had besides.
_FIRST: Final[_Methods] = (
    ("generate", "call", "acall", _TEXT),
    ("generate_stream", "opening", "aopening", _TEXT._replace(stream=True)),
    ("summarize", "call", "acall", _TEXT),
    ("classify", "call", "acall", Operation("generate_content", "classification", "text")),
)
#: Documents are billed by the page; a transcript says nothing of what it is billed by.
_PARSE: Final = Operation("generate_content", "ocr", "text")
_HEARD: Final = Operation("generate_content", "transcription", "text")
#: A client keeps its methods as they are when it is made; these stand below, and are looked up by each call.
_OWNERS: Final[tuple[tuple[str, str, _Methods], ...]] = (
    ("cohere.v2.raw_client", "RawV2Client", (*_METHODS, ("parse", "call", "acall", _PARSE))),
    ("cohere.raw_base_client", "RawBaseCohere", (*_METHODS, *_FIRST)),
    ("cohere.audio.transcriptions.raw_client", "RawTranscriptionsClient", (("create", "call", "acall", _HEARD),)),
)
_WORDS: Final = MappingProxyType(
    {
        "max_tokens": "max_tokens",
        "temperature": "temperature",
        "p": "top_p",
        "k": "top_k",
        "seed": "seed",
        "frequency_penalty": "frequency_penalty",
        "presence_penalty": "presence_penalty",
        "stop_sequences": "stop_sequences",
        "output_dimension": "dimensions",
    }
)


def request(client: Any, operation: Operation, _args: Args, kwargs: Kwargs) -> Request:
    """Return what a call asks for."""
    url = client._client_wrapper.get_base_url()  # noqa: SLF001  # its address stands nowhere else
    return request_to(url, "cohere", model_of(kwargs), kwargs, _WORDS, stream=operation.stream)


def usage(_operation: Operation, response: object, _provider: str) -> Reading | None:
    """Return the reading of an answer, which the raw clients hand out in an HTTP response."""
    return dialect.read_response(getattr(response, "data", response))


def stream_reader(_operation: Operation, _provider: str) -> LastEventReader:
    """Return the reader of one stream."""
    return LastEventReader(dialect.read_response)


def _targets() -> tuple[Target, ...]:
    found: list[Target] = []
    for module, owner, methods in _OWNERS:
        for method, kind, akind, operation in methods:
            found += [
                Target(module, f"{owner}.{method}", kind, operation),
                Target(module, f"Async{owner}.{method}", akind, operation),
            ]
    return tuple(found)


ADAPTER: Final = Adapter(
    library="cohere",
    tested=("5.21", "8"),
    targets=_targets(),
    request=request,
    usage=usage,
    stream_reader=stream_reader,
    iterator="_data",
)
