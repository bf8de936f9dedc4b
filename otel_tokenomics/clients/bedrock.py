"""Bedrock (``botocore``, ``boto3``, ``aiobotocore``): the models of ``bedrock-runtime``, and Rerank.

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

_CONVERSE: Final = Operation("chat", "converse")
_INVOKE: Final = Operation("chat", "invoke")
_GUARDRAIL: Final = Operation("apply_guardrail", "guardrail")
_ASYNC: Final = Operation("generate_content", "async_invoke", "video")
#: What models do for agents, flows, knowledge bases and documents: the answer bears no count of it.
_RUN: Final = Operation("generate_content", "run", "text")
_AGENTS: Final = (
    "InvokeAgent",
    "InvokeInlineAgent",
    "InvokeFlow",
    "StartFlowExecution",
    "Retrieve",
    "AgenticRetrieveStream",
    "RetrieveAndGenerate",
    "RetrieveAndGenerateStream",
    "GenerateQuery",
    "OptimizePrompt",
)
#: By service; everything else (CountTokens, looking after asynchronous jobs) is free, or no answer of a model.
_OPERATIONS: Final[Mapping[str, Mapping[str, Operation]]] = MappingProxyType(
    {
        "bedrock-runtime": {
            "Converse": _CONVERSE,
            "ConverseStream": _CONVERSE._replace(stream=True),
            "InvokeModel": _INVOKE,
            "InvokeModelWithResponseStream": _INVOKE._replace(stream=True),
            "StartAsyncInvoke": _ASYNC,
            "ApplyGuardrail": _GUARDRAIL,
            "InvokeGuardrailChecks": _GUARDRAIL,
        },
        "bedrock-agent-runtime": {"Rerank": Operation("rerank", "rerank"), **dict.fromkeys(_AGENTS, _RUN)},
        "bedrock-data-automation-runtime": dict.fromkeys(("InvokeDataAutomation", "InvokeDataAutomationAsync"), _RUN),
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
#: Where the documents are what is billed, they are counted.
_COUNTED_AT_MOST: Final = 2**22
#: Documents of one query; see https://aws.amazon.com/bedrock/pricing (a long document counts as several, which nobody
#: but the server can tell).
_DOCUMENTS: Final = 100


def route(client: Any, args: Args, kwargs: Kwargs) -> Operation | None:
    """Return the operation of ``_make_api_call(operation_name, api_params)``."""
    known = _OPERATIONS.get(client._service_model.service_name)  # noqa: SLF001  # the method itself asks it, and no less
    if known is None:
        return None
    operation = known.get(args[0] if args else kwargs["operation_name"])
    if operation is None or operation.api not in ("invoke", "async_invoke"):
        return operation
    model = str(_params(args, kwargs).get("modelId"))
    if operation is _ASYNC:
        return _ASYNC._replace(name="embeddings", output_type=None) if "embed" in model else _ASYNC
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
        body = _body(params.get("body"), _COUNTED_AT_MOST if operation.name == "rerank" else _DECODED_AT_MOST)
        parameters = parameters_of(body, _BODY_WORDS)
        for part in _BODY_PARTS:
            parameters |= parameters_of(mapping_of(body.get(part)), _BODY_WORDS)
        tier, latency = params.get("serviceTier"), params.get("performanceConfigLatency")
    model = params.get("modelId")
    if operation.api == "rerank":
        asked = mapping_of(mapping_of(params.get("rerankingConfiguration")).get("bedrockRerankingConfiguration"))
        model = mapping_of(asked.get("modelConfiguration")).get("modelArn")
    return Request(
        model=model if isinstance(model, str) and model else None,
        provider="aws.bedrock",
        host=address.host,
        port=address.port,
        path=address.path,
        stream=operation.stream,
        max_output=limit_of(parameters),
        facts=_facts(service_tier=tier, speed=latency, region=client.meta.region_name),
        units=_units(operation, params, body),
        parameters=parameters,
    )


def _params(args: Args, kwargs: Kwargs) -> Mapping[str, Any]:
    return mapping_of(args[1] if len(args) > 1 else kwargs.get("api_params"))


def _facts(**words: object) -> Facts:
    return {name: word for name, word in words.items() if isinstance(word, str) and word} or NO_FACTS


def _body(given: object, at_most: int) -> Mapping[str, Any]:
    """Return the decoded body of a request; nothing of a file, which is the client's to read."""
    if not isinstance(given, (str, bytes, bytearray)) or len(given) > at_most:
        return {}
    try:
        return mapping_of(json.loads(given))
    except (ValueError, RecursionError):
        return {}  # what a caller sends is not our failure


def _units(operation: Operation, params: Mapping[str, Any], body: Mapping[str, Any]) -> Mapping[str, int]:
    """Return what only the request knows: images or seconds of video to make, queries over documents."""
    if operation.output_type == "image":
        return {"image": _images(body)}
    if operation.api == "async_invoke":
        given = mapping_of(params.get("modelInput"))
        seconds = mapping_of(given.get("videoGenerationConfig")).get("durationSeconds")
        return {"video_out_second": seconds} if isinstance(seconds, int) and seconds > 0 else NO_UNITS
    documents: Any = params.get("sources") if operation.api == "rerank" else body.get("documents")
    if operation.name != "rerank" or not isinstance(documents, (list, tuple)) or not documents:
        return NO_UNITS
    queries: Any = params.get("queries") if operation.api == "rerank" else ()
    return {"search_unit": -(-len(documents) // _DOCUMENTS) * max(len(queries or ()), 1)}  # pyright: ignore[reportUnknownArgumentType]


def _images(body: Mapping[str, Any]) -> int:
    count = mapping_of(body.get("imageGenerationConfig")).get("numberOfImages")
    return count if isinstance(count, int) and count > 0 else 1


def usage(operation: Operation, response: object, _provider: str) -> Reading | None:
    """Return the reading of an answer; that of a job or a rerank bears no count of what is billed."""
    if operation.api == "converse":
        return dialect.read_response(response)
    if operation.api == "guardrail":
        return dialect.read_guardrail(response)
    if operation.api == "invoke" and operation.name != "rerank":
        return dialect.read_invoked(response)
    return Reading(response_id=dialect.request_id(response))


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
    if operation.api != "invoke" or operation.stream or operation.output_type == "image" or operation.name == "rerank":
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
