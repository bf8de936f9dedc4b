"""The ``ollama`` library: models on a server of one's own, free or at the rates of an overlay (GPU hours).

Counts stand on the answer, in a stream on its last chunk. See https://github.com/ollama/ollama/blob/main/docs/api.md.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import Adapter, Args, Kwargs, Operation, Request, Target
from otel_tokenomics.clients._addresses import mapping_of, model_of, request_to
from otel_tokenomics.usage import Reading
from otel_tokenomics.usage.dialects import ollama as dialect
from otel_tokenomics.usage.dialects.last_event import LastEventReader

_ROUTES: Final = MappingProxyType(
    {
        "/api/chat": Operation("chat", "chat"),
        "/api/generate": Operation("text_completion", "completions"),
        "/api/embed": Operation("embeddings", "embeddings"),
        "/api/embeddings": Operation("embeddings", "embeddings"),
    }
)
_WORDS: Final = MappingProxyType(
    {
        "num_predict": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "seed": "seed",
        "stop": "stop_sequences",
    }
)


def route(_client: Any, args: Args, _kwargs: Kwargs) -> Operation | None:
    """Return the operation of a request: ``_request(cls, "POST", path, json=..., stream=...)``."""
    return _ROUTES.get(args[2]) if len(args) > 2 and args[1] == "POST" else None


def request(client: Any, _operation: Operation, _args: Args, kwargs: Kwargs) -> Request:
    """Return what a call asks for."""
    body = mapping_of(kwargs.get("json"))
    url, stream = getattr(getattr(client, "_client", None), "base_url", None), kwargs.get("stream") is True
    return request_to(url, "ollama", model_of(body), mapping_of(body.get("options")), _WORDS, stream=stream)


def usage(_operation: Operation, response: object, _provider: str) -> Reading | None:
    """Return the reading of an answer."""
    return dialect.read_response(response)


def stream_reader(_operation: Operation, _provider: str) -> LastEventReader:
    """Return the reader of one stream."""
    return LastEventReader(dialect.read_response)


ADAPTER: Final = Adapter(
    library="ollama",
    tested=("0.5", "1"),
    targets=(
        Target("ollama._client", "Client._request", "gen"),
        Target("ollama._client", "AsyncClient._request", "alater"),
    ),
    route=route,
    request=request,
    usage=usage,
    stream_reader=stream_reader,
)
