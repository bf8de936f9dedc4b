"""Amazon Bedrock's formats, as the local provider speaks them: Converse and InvokeModel, whole and streamed.

Converse is field by field after the service model of ``bedrock-runtime`` (shapes ``ConverseResponse``,
``ConverseStreamOutput``, ``TokenUsage``, ``ServiceTier``, ``PromptRouterTrace``), ApplyGuardrail (``GuardrailUsage``),
StartAsyncInvoke and Rerank (of ``bedrock-agent-runtime``) likewise. InvokeModel speaks each maker's own
format, after the user guide's pages "Inference request parameters and response fields": Anthropic Claude, Amazon Nova
and Titan, Meta Llama, Mistral AI, Cohere Command. Its counts stand in headers, in a stream in
``amazon-bedrock-invocationMetrics`` on the last chunk. A scenario that reports ``null`` leaves these out and keeps
what the maker's own format says. Numbers are made up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote

from otel_tokenomics.demo import anthropic_wire
from otel_tokenomics.demo.openai_wire import Answer, Json
from otel_tokenomics.demo.scenario import Billed, Ledger, Scenario

#: ``TokenUsage`` field -> header of InvokeModel, and name in a stream's metrics.
_COUNTS: Final = (
    ("inputTokens", "X-Amzn-Bedrock-Input-Token-Count", "inputTokenCount"),
    ("outputTokens", "X-Amzn-Bedrock-Output-Token-Count", "outputTokenCount"),
    ("cacheReadInputTokens", "X-Amzn-Bedrock-Cache-Read-Input-Token-Count", "cacheReadInputTokenCount"),
    ("cacheWriteInputTokens", "X-Amzn-Bedrock-Cache-Write-Input-Token-Count", "cacheWriteInputTokenCount"),
)
_ERRORS: Final = MappingProxyType(
    {400: "ValidationException", 429: "ThrottlingException", 500: "InternalServerException",
     503: "ServiceUnavailableException"}
)  # fmt: skip
#: Every field that ``GuardrailUsage`` requires.
_GUARDRAIL_USAGE: Final = MappingProxyType(
    {"topicPolicyUnits": 1, "contentPolicyUnits": 1, "wordPolicyUnits": 1, "sensitiveInformationPolicyUnits": 0,
     "sensitiveInformationPolicyFreeUnits": 1, "contextualGroundingPolicyUnits": 0}
)  # fmt: skip
_CONVERSE: Final = frozenset({"converse", "converse-stream"})


def answer(path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer | None:
    """Return the answer to a POST ``model/{modelId}/{method}``; None where the route is unknown."""
    head, _, method = path.rpartition("/")
    model = unquote(head.removeprefix("model/"))
    if method == "count-tokens":
        return Answer({"inputTokens": ledger.tokens_of(body)})
    if method == "apply":  # guardrail/{id}/version/{version}/apply
        usage = dict(scenario.usage) if scenario.usage is not None else dict(_GUARDRAIL_USAGE)
        identity = ledger.next_id("00000000-0000-4000-8000-")
        ledger.bill(Billed(identity, "guardrail", "", usage))
        return Answer({"usage": usage, "action": "NONE", "outputs": [], "assessments": []})
    if method == "rerank":  # of bedrock-agent-runtime
        documents = len(body["sources"])
        ledger.bill(Billed(ledger.next_id("rerank-"), "rerank", "", {"queries": -(-documents // 100)}))
        return Answer({"results": [{"index": number, "relevanceScore": 0.5} for number in range(documents)]})
    if method == "async-invoke":
        job = ledger.next_id("arn:aws:bedrock:eu-central-1:123456789012:async-invoke/")
        ledger.bill(Billed(job, "async_invoke", body["modelId"], {}))
        return Answer({"invocationArn": job})
    if method not in (*_CONVERSE, "invoke", "invoke-with-response-stream"):
        return None
    usage = dict(scenario.usage) if scenario.usage is not None else _plain(body, scenario, ledger)
    identity = ledger.next_id("00000000-0000-4000-8000-")
    ledger.bill(Billed(identity, "converse" if method in _CONVERSE else "invoke", model, usage))
    said = scenario.told(usage)
    if scenario.report == "none" or (scenario.report == "null" and method in _CONVERSE):
        said = {}
    own = {"x-amzn-requestid": identity}
    if method in _CONVERSE:
        whole = _converse(said, scenario)
        if method == "converse":
            return Answer(whole, headers=own)
        events = _converse_events(whole, scenario)
        return Answer(events=events, content_type=anthropic_wire.FRAMES, frame=event_frame, headers=own)
    own |= {name: str(value) for name, value in (scenario.response or {}).items()}
    maker = next((reply for word, reply in _MAKERS if word in model), _llama)
    content, chunks = maker(model, identity, said, scenario)
    stated = said if scenario.says else {}
    if method == "invoke":
        counts = {header: str(stated[field]) for field, header, _ in _COUNTS if field in stated}
        return Answer(content, headers={**own, **counts})
    events = _with_metrics(chunks, stated)
    return Answer(events=events, content_type=anthropic_wire.FRAMES, frame=_chunk_frame, headers=own)


def named(status: int) -> Mapping[str, str]:
    """Return the header that names an error, beside its HTTP status."""
    return {"x-amzn-errortype": f"{_ERRORS.get(status, 'InternalServerException')}:http://internal.amazon.com/"}


def event_frame(name: str | None, data: Json) -> bytes:
    """Return one event of a stream in its frame; ``error`` is an exception among them."""
    if name == "error":
        return anthropic_wire.aws_frame("modelStreamErrorException", {"message": "told to fail"}, "exception")
    return anthropic_wire.aws_frame(name or "chunk", data)


def _chunk_frame(name: str | None, data: Json) -> bytes:
    return event_frame(name, data) if name == "error" else anthropic_wire.chunk_frame(name, data)


def _plain(body: Json, scenario: Scenario, ledger: Ledger) -> Json:
    asked = body.get("messages") or body.get("prompt") or body.get("message") or body.get("inputText")
    given, made = ledger.tokens_of(asked), scenario.chunks * 2 * ledger.scale
    return {"inputTokens": given, "outputTokens": made, "totalTokens": given + made}


def _converse(usage: Mapping[str, Any], scenario: Scenario) -> Json:
    """A tool that is to be called is a content block ``toolUse`` (``ToolUseBlock``)."""
    block: Json = {"text": "Done."}
    if scenario.tool is not None:
        name, arguments = scenario.tool
        block = {"toolUse": {"toolUseId": "tooluse_1", "name": name, "input": dict(arguments)}}
    ends = "end_turn" if scenario.tool is None else "tool_use"
    found: Json = {
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": "content_filtered" if scenario.filtered else ends,
        "metrics": {"latencyMs": 551},
    }
    reported: Json = {"usage": dict(usage)} if usage else {}
    return {**found, **reported, **(scenario.response or {})}


def _converse_events(whole: Json, scenario: Scenario) -> Iterator[tuple[str | None, Json]]:
    """Everything but the message stands in ``metadata``, the last event; a tool's input comes as JSON text."""
    yield "messageStart", {"role": "assistant"}
    if scenario.tool is not None:
        called = {"toolUseId": "tooluse_1", "name": scenario.tool[0]}
        yield "contentBlockStart", {"start": {"toolUse": called}, "contentBlockIndex": 0}
        told = {"toolUse": {"input": json.dumps(scenario.tool[1])}}
        yield "contentBlockDelta", {"delta": told, "contentBlockIndex": 0}
    for _ in range(scenario.chunks if scenario.tool is None else 0):
        yield "contentBlockDelta", {"delta": {"text": "word "}, "contentBlockIndex": 0}
    yield "contentBlockStop", {"contentBlockIndex": 0}
    yield "messageStop", {"stopReason": whole["stopReason"]}
    yield "metadata", {key: value for key, value in whole.items() if key not in ("output", "stopReason")}


Chunks = Iterator[tuple[str | None, Json]]
Reply = tuple[Json, Chunks]


def _with_metrics(chunks: Chunks, usage: Mapping[str, Any]) -> Chunks:
    metrics: Json = {name: usage[field] for field, _, name in _COUNTS if field in usage}
    found = list(chunks)
    if metrics:
        found[-1][1]["amazon-bedrock-invocationMetrics"] = {**metrics, "invocationLatency": 551, "firstByteLatency": 87}
    yield from found


def _anthropic(model: str, identity: str, usage: Mapping[str, Any], scenario: Scenario) -> Reply:
    """Claude's messages; its usage says which cache writes are for an hour, which no header does."""
    fields = (("inputTokens", "input_tokens"), ("outputTokens", "output_tokens"),
              ("cacheReadInputTokens", "cache_read_input_tokens"),
              ("cacheWriteInputTokens", "cache_creation_input_tokens"))  # fmt: skip
    said: Json = {theirs: usage[ours] for ours, theirs in fields if ours in usage}
    if details := usage.get("cacheDetails"):
        said["cache_creation"] = {f"ephemeral_{entry['ttl']}_input_tokens": entry["inputTokens"] for entry in details}
    base: Json = {"id": f"msg_bdrk_{identity}", "type": "message", "role": "assistant",
                  "model": anthropic_wire.makers_name(model), "content": [], "stop_reason": None,
                  "stop_sequence": None}  # fmt: skip
    whole = {**base, "content": [{"type": "text", "text": "Done."}], "stop_reason": "end_turn"}
    return {**whole, "usage": said} if said else whole, anthropic_wire.events(base, said, scenario)


def _nova(_model: str, _identity: str, usage: Mapping[str, Any], scenario: Scenario) -> Reply:
    """Nova's own schema, which Converse resembles."""
    whole = _converse(usage, scenario._replace(response=None))
    del whole["metrics"]

    def chunks() -> Chunks:
        for name, data in _converse_events({**whole, "metrics": {}}, scenario):
            yield name, {name or "": data}

    return whole, chunks()


def _titan(_model: str, _identity: str, usage: Mapping[str, Any], scenario: Scenario) -> Reply:
    """Titan Text (``inputTextTokenCount``, ``results``) and Titan Embeddings (``embedding``)."""
    given: Json = {"inputTextTokenCount": usage["inputTokens"]} if "inputTokens" in usage else {}
    result: Json = {"outputText": "Done.", "completionReason": "FINISH"}
    if "outputTokens" in usage:
        result["tokenCount"] = usage["outputTokens"]
    if "embed" in _model:
        return {"embedding": [0.1, 0.2], **given}, iter(())

    def chunks() -> Chunks:
        for number in range(scenario.chunks):
            reason = "FINISH" if number == scenario.chunks - 1 else None
            yield None, {"index": 0, "outputText": "word ", "completionReason": reason, **given}

    return {**given, "results": [result]}, chunks()


def _llama(_model: str, _identity: str, usage: Mapping[str, Any], scenario: Scenario) -> Reply:
    """Llama: counts stand beside the text."""
    counts = {"prompt_token_count": usage.get("inputTokens"), "generation_token_count": usage.get("outputTokens")}

    def chunks() -> Chunks:
        for number in range(scenario.chunks):
            last = number == scenario.chunks - 1
            yield None, {"generation": "word ", "prompt_token_count": None if number else usage.get("inputTokens"),
                         "generation_token_count": number + 1, "stop_reason": "stop" if last else None}  # fmt: skip

    return {"generation": "Done.", **counts, "stop_reason": "stop"}, chunks()


def _mistral(_model: str, _identity: str, _usage: Mapping[str, Any], scenario: Scenario) -> Reply:
    """Mistral's text completion, which bears no counts."""

    def chunks() -> Chunks:
        for number in range(scenario.chunks):
            reason = "stop" if number == scenario.chunks - 1 else None
            yield None, {"outputs": [{"text": "word ", "stop_reason": reason}]}

    return {"outputs": [{"text": "Done.", "stop_reason": "stop"}]}, chunks()


def _cohere(_model: str, identity: str, _usage: Mapping[str, Any], scenario: Scenario) -> Reply:
    """Command R, which bears no counts either."""
    whole: Json = {"response_id": identity, "text": "Done.", "generation_id": identity, "finish_reason": "COMPLETE"}

    def chunks() -> Chunks:
        for _ in range(scenario.chunks):
            yield None, {"is_finished": False, "event_type": "text-generation", "text": "word "}
        yield None, {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": whole}

    return whole, chunks()


_MAKERS: Final[tuple[tuple[str, Callable[[str, str, Mapping[str, Any], Scenario], Reply]], ...]] = (
    ("anthropic.", _anthropic),
    ("amazon.nova", _nova),
    ("amazon.titan", _titan),
    ("meta.llama", _llama),
    ("mistral.", _mistral),
    ("cohere.", _cohere),
)
