"""Bedrock (``botocore``, ``boto3``, ``aiobotocore``): Converse and InvokeModel of ``bedrock-runtime``.

Every operation of every AWS service passes one method, so the first look is at the service alone. Tokens of InvokeModel
stand in headers; where they do not say enough, the body is heard as the caller reads it, never before. See
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import NO_UNITS, Adapter, Args, Kwargs, Operation, Request, StreamReader, Target, lost
from otel_tokenomics.clients._addresses import address_of, limit_of, mapping_of, parameters_of
from otel_tokenomics.usage import NO_FACTS, Facts, Reading
from otel_tokenomics.usage.dialects import bedrock as dialect

_SERVICE: Final = "bedrock-runtime"
_CONVERSE: Final = Operation("chat", "converse")
_INVOKE: Final = Operation("chat", "invoke")
#: Everything else (CountTokens, ApplyGuardrail, asynchronous jobs) is free, or no answer of a model.
_OPERATIONS: Final = MappingProxyType(
    {
        "Converse": _CONVERSE,
        "ConverseStream": _CONVERSE._replace(stream=True),
        "InvokeModel": _INVOKE,
        "InvokeModelWithResponseStream": _INVOKE._replace(stream=True),
    }
)
#: Word of a model's name -> what InvokeModel does with it, where it does not chat.
_OTHER_MODELS: Final = (
    ("embed", Operation("embeddings", "invoke")),
    ("rerank", Operation("rerank", "invoke")),
    ("titan-image", Operation("generate_content", "invoke", "image")),
    ("nova-canvas", Operation("generate_content", "invoke", "image")),
    ("stability.", Operation("generate_content", "invoke", "image")),
)
_CONVERSE_WORDS: Final = MappingProxyType(
    {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop_sequences"}
)
#: The same in the bodies of the makers: Claude, Mistral and Command, Llama, Titan, Nova.
_BODY_WORDS: Final = MappingProxyType(
    {
        **_CONVERSE_WORDS,
        "max_tokens": "max_tokens",
        "max_gen_len": "max_tokens",
        "maxTokenCount": "max_tokens",
        "max_new_tokens": "max_tokens",
        "top_p": "top_p",
        "top_k": "top_k",
        "stop_sequences": "stop_sequences",
        "stop": "stop_sequences",
        "dimensions": "dimensions",
    }
)
#: Where makers keep them: on the body itself, or one level below.
_BODY_PARTS: Final = ("inferenceConfig", "textGenerationConfig")
#: A larger body holds documents or images: decoding it to learn a limit would take longer than is right.
_DECODED_AT_MOST: Final = 2**16


def route(client: Any, args: Args, kwargs: Kwargs) -> Operation | None:
    """Return the operation of ``_make_api_call(operation_name, api_params)``."""
    if client._service_model.service_name != _SERVICE:  # noqa: SLF001  # what the method itself asks, and nothing less
        return None
    operation = _OPERATIONS.get(args[0] if args else kwargs["operation_name"])
    if operation is None or operation.api != "invoke":
        return operation
    model = str(_params(args, kwargs).get("modelId"))
    return next((other._replace(stream=operation.stream) for word, other in _OTHER_MODELS if word in model), operation)


def request(client: Any, operation: Operation, args: Args, kwargs: Kwargs) -> Request:
    """Return what a call asks for."""
    params = _params(args, kwargs)
    address = address_of(client.meta.endpoint_url)
    body: Mapping[str, Any] = {}
    if operation.api == "converse":
        parameters = parameters_of(mapping_of(params.get("inferenceConfig")), _CONVERSE_WORDS)
        tier: object = mapping_of(params.get("serviceTier")).get("type")
        latency: object = mapping_of(params.get("performanceConfig")).get("latency")
    else:
        body = _body(params.get("body"))
        parameters = parameters_of(body, _BODY_WORDS)
        for part in _BODY_PARTS:
            parameters |= parameters_of(mapping_of(body.get(part)), _BODY_WORDS)
        tier, latency = params.get("serviceTier"), params.get("performanceConfigLatency")
    model = params.get("modelId")
    return Request(
        model=model if isinstance(model, str) and model else None,
        provider="aws.bedrock",
        host=address.host,
        port=address.port,
        path=address.path,
        stream=operation.stream,
        max_output=limit_of(parameters),
        facts=_facts(service_tier=tier, speed=latency, region=client.meta.region_name),
        units={"image": _images(body)} if operation.output_type == "image" else NO_UNITS,
        parameters=parameters,
    )


def _params(args: Args, kwargs: Kwargs) -> Mapping[str, Any]:
    return mapping_of(args[1] if len(args) > 1 else kwargs.get("api_params"))


def _facts(**words: object) -> Facts:
    return {name: word for name, word in words.items() if isinstance(word, str) and word} or NO_FACTS


def _body(given: object) -> Mapping[str, Any]:
    """Return the decoded body of a request; nothing of a file, which is the client's to read."""
    if not isinstance(given, (str, bytes, bytearray)) or len(given) > _DECODED_AT_MOST:
        return {}
    try:
        return mapping_of(json.loads(given))
    except (ValueError, RecursionError):
        return {}  # what a caller sends is not our failure


def _images(body: Mapping[str, Any]) -> int:
    count = mapping_of(body.get("imageGenerationConfig")).get("numberOfImages")
    return count if isinstance(count, int) and count > 0 else 1


def usage(operation: Operation, response: object, _provider: str) -> Reading | None:
    """Return the reading of an answer."""
    return dialect.read_response(response) if operation.api == "converse" else dialect.read_invoked(response)


def stream_reader(operation: Operation, _provider: str) -> StreamReader:
    """Return the reader of one stream."""
    return dialect.ConverseStreamReader() if operation.api == "converse" else dialect.InvokeStreamReader()


def http_response(result: object) -> Any | None:
    """Return the stream of an answer, on which its call hangs: the HTTP response below it is not ours to look for."""
    answer = mapping_of(result)
    stream = answer.get("stream", answer.get("body")) if answer else result
    return stream if hasattr(stream, "get_initial_response") else None


def unread(operation: Operation, result: object) -> Any | None:
    """Return the body of InvokeModel where its headers bear no counts, or cache writes without their lifetime."""
    if operation.api != "invoke" or operation.stream or operation.output_type == "image":
        return None
    told, body = dialect.read_invoked(result).usage, mapping_of(result).get("body")
    enough = told is not None and "cache_write" not in told.counts
    return body if hasattr(body, "read") and not enough else None


def heard(_operation: Operation, body: bytes) -> Reading | None:
    """Return the reading of a body of InvokeModel that the caller has read."""
    try:
        return dialect.read_body(json.loads(body))
    except (ValueError, RecursionError):
        return None


def retries(result: object) -> int:
    """Return how often botocore sent the request again."""
    count = mapping_of(mapping_of(result).get("ResponseMetadata")).get("RetryAttempts")
    return count if isinstance(count, int) else 0


def ambiguous(error: BaseException) -> bool:
    """Return whether a failed call may have been billed; the parser of answers raises what Python raises."""
    return type(error) is ValueError or lost(error)


ADAPTER: Final = Adapter(
    library="botocore",
    tested=("1.37", "1.45"),
    targets=(
        Target("botocore.client", "BaseClient._make_api_call", "call"),
        Target("aiobotocore.client", "AioBaseClient._make_api_call", "acall"),
        Target("botocore.eventstream", "EventStream.__iter__", "stream"),
        Target("aiobotocore.eventstream", "AioEventStream.__aiter__", "astream"),
        Target("botocore.eventstream", "EventStream.close", "close"),
        Target("botocore.response", "StreamingBody.read", "read"),
        # The second major of aiobotocore has one class of body, the third one for each of its transports.
        Target("aiobotocore.response", "AioStreamingBody.read", "aread"),
        Target("aiobotocore.response", "AioHttpxStreamingBody.read", "aread"),
        Target("aiobotocore.response", "StreamingBody.read", "aread"),
    ),
    route=route,
    request=request,
    usage=usage,
    stream_reader=stream_reader,
    http_response=http_response,
    resumable=True,
    unread=unread,
    heard=heard,
    retries=retries,
    ambiguous=ambiguous,
)
