"""The ``anthropic`` library, its Bedrock, Vertex and Foundry clients included.

Usage is additive: input excludes cache reads and writes; output includes thinking; streams report running totals.
See the API reference, https://docs.anthropic.com/en/api/messages. From 1.14 on the library makes spans of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import Adapter, Args, Kwargs, Operation, Request
from otel_tokenomics.clients import _stainless as base
from otel_tokenomics.usage import NO_FACTS, Facts, Reading
from otel_tokenomics.usage.dialects import anthropic as dialect

_MESSAGES: Final = Operation("chat", "messages")
#: Older betas add a query; counting tokens, batches and files are free or billed elsewhere.
ROUTES: Final[Mapping[str, Operation]] = MappingProxyType(
    {"/v1/messages": _MESSAGES, "/v1/messages?beta=true": _MESSAGES}
)
#: Runs of managed agents and their like, whose answers bear no usage; so did text completions.
_RUN: Final = Operation("generate_content", "run", "text")
_RUNS: Final = re.compile(r"/v1/(?:deployments/[^/]+/run|dreams|sessions/[^/]+/events|complete)")
_WORDS: Final = MappingProxyType(
    {
        "max_tokens": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "stop_sequences": "stop_sequences",
        "service_tier": "service_tier",
    }
)
_FACTS: Final = ("service_tier", "speed", "inference_geo")
_BEDROCK: Final = "aws.bedrock"
_INPUT_KEYS: Final = frozenset({"system", "messages", "content", "text", "tools", "name", "description", "thinking"})
_OUTPUT_KEYS: Final = frozenset({"content", "text", "thinking", "partial_json", "delta", "content_block"})


def route(_client: Any, args: Args, kwargs: Kwargs) -> Operation | None:
    """Return the billable operation of a request."""
    options = base.options_of(args, kwargs)
    if options.method.lower() != "post":
        return None
    found = ROUTES.get(options.url)
    if found is not None:
        return found
    path = base.path_of(options.url)
    return ROUTES.get(path) or (_RUN if _RUNS.fullmatch(path) else None)


def request(client: Any, _operation: Operation, args: Args, kwargs: Kwargs) -> Request:
    """Return what a call asks for."""
    body = base.body_of(base.options_of(args, kwargs))
    endpoint = base.endpoint_of(client)
    parameters = base.parameters(body, _WORDS)
    if level := base.text_of(base.part_of(body, "output_config"), "effort"):
        parameters["reasoning_level"] = level
    return Request(
        model=base.text_of(body, "model"),
        provider=_provider(client),
        host=endpoint.host,
        port=endpoint.port,
        path=endpoint.path,
        stream=base.is_stream(kwargs),
        max_output=base.count_of(body, "max_tokens"),
        facts=_facts(client, body),
        parameters=parameters,
    )


def _provider(client: Any) -> str:
    name = type(client).__name__
    if "Bedrock" in name:
        return _BEDROCK
    if "Vertex" in name:
        return "gcp.vertex_ai"
    return "azure.ai.inference" if "Foundry" in name else "anthropic"


def _facts(client: Any, body: Mapping[str, Any]) -> Facts:
    found = {name: word for name in _FACTS if (word := base.text_of(body, name))}
    region = getattr(client, "aws_region", None) or getattr(client, "region", None)
    if isinstance(region, str):
        found["region"] = region
    return found or NO_FACTS


def usage(_operation: Operation, response: object, provider: str) -> Reading | None:
    """Return the reading of a whole message."""
    reading = dialect.read_response(response)
    return _by_profile(reading) if provider == _BEDROCK and reading is not None else reading


def stream_reader(_operation: Operation, provider: str) -> dialect.MessagesStreamReader:
    """Return the reader of one stream."""
    return _BedrockStreamReader() if provider == _BEDROCK else dialect.stream_reader()


class _BedrockStreamReader(dialect.MessagesStreamReader):
    """Reads a stream on Bedrock."""

    def reading(self) -> Reading | None:
        """Return what the stream said so far."""
        reading = super().reading()
        return None if reading is None else _by_profile(reading)


def _by_profile(reading: Reading) -> Reading:
    """Return the reading without the answering model.

    On Bedrock that is its maker's name, which hides the profile that was called, and that is what is billed.
    """
    model = reading.response_model
    others = tuple(one._replace(model="") if one.model == model else one for one in reading.others)
    return reading._replace(response_model=None, others=others)


def traces_itself(client: Any) -> bool:
    """Return whether this client will make a span for its call (from 1.14 on, with any tracer provider)."""
    return getattr(client, "_tracer", None) is not None


def silence(client: Any) -> Callable[[Any], None]:
    """Switch the client's own spans off; the answer switches them on again, and does not hold the client."""
    if not hasattr(client, "_lazy_tracer"):
        return lambda _client: None
    before = client._lazy_tracer  # noqa: SLF001  # the library has no public switch after construction
    client._lazy_tracer = None  # noqa: SLF001
    return lambda still: setattr(still, "_lazy_tracer", before)


def input_texts(args: Args, kwargs: Kwargs) -> Iterable[str]:
    """Yield the text that a request sends."""
    return base.texts(base.body_of(base.options_of(args, kwargs)), _INPUT_KEYS)


def output_texts(item: Any) -> Iterable[str]:
    """Yield the text of a message or a stream event."""
    return base.texts(item, _OUTPUT_KEYS)


ADAPTER: Final = Adapter(
    library="anthropic",
    tested=("0.125", "3"),
    targets=base.targets("anthropic"),
    client_classes=("Anthropic", "AsyncAnthropic"),
    route=route,
    payload=base.payload,
    request=request,
    usage=usage,
    stream_reader=stream_reader,
    credential=base.credential,
    http_response=base.http_response,
    is_raw=base.is_raw,
    body=base.body,
    ambiguous=base.ambiguous,
    input_texts=input_texts,
    output_texts=output_texts,
    native_scope="com.anthropic.sdk.python",
    traces_itself=traces_itself,
    silence=silence,
)
