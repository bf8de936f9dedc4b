"""Anthropic's messages format, as the local provider speaks it (also under Vertex's and Bedrock's paths)."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_tokenomics.demo.openai_wire import Answer, Json
from otel_tokenomics.demo.scenario import Billed, Ledger, Scenario

#: Paths under which cloud platforms serve the format.
PLATFORM_PATH: Final = re.compile(r":(?:stream)?[rR]awPredict$|/v1/messages$|^model/[^/]+/invoke")
_FRAMED: Final = "/invoke-with-response-stream"
#: Content type of AWS's binary frames.
FRAMES: Final = "application/vnd.amazon.eventstream"
_START_ONLY = ("cache_creation", "service_tier", "speed", "inference_geo")


def answer(path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer | None:
    """Return the answer to a POST; None where the route is unknown. ``path`` is without query."""
    if path.endswith(("messages/count_tokens", "count-tokens:rawPredict")):
        return Answer({"input_tokens": ledger.tokens_of(body.get("messages"))})
    if path.endswith("messages/batches"):
        return Answer({"id": ledger.next_id("msgbatch_"), "type": "message_batch", "processing_status": "in_progress",
                       "request_counts": {"processing": 1, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
                       "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z", "ended_at": None,
                       "archived_at": None, "cancel_initiated_at": None, "results_url": None})  # fmt: skip
    framed = path.endswith(_FRAMED)
    if not (framed or path.endswith(("v1/messages", ":rawPredict", ":streamRawPredict", "/invoke"))):
        return None
    named = path.split("/")[-2] if path.startswith("model/") else path.rpartition("/")[2].partition(":")[0]
    model = body.get("model") or named
    usage = dict(scenario.usage) if scenario.usage is not None else _plain_usage(body, scenario, ledger)
    identity = ledger.next_id("msg_")
    ledger.bill(Billed(identity, "messages", model, usage))
    # Bedrock answers with the maker's own name of the model, whatever profile was called.
    said_model = makers_name(named) if path.startswith("model/") else model
    message: Json = {"id": identity, "type": "message", "role": "assistant", "model": said_model, "content": [],
                     "stop_reason": None, "stop_sequence": None}  # fmt: skip
    message |= scenario.response or {}
    said = scenario.told(usage)
    if framed:
        return Answer(events=events(message, said, scenario), content_type=FRAMES, frame=chunk_frame)
    if body.get("stream") or path.endswith(":streamRawPredict"):
        return Answer(events=events(message, said, scenario))
    reported: Json = {} if scenario.report == "none" else {"usage": None if scenario.report == "null" else said}
    content: list[Json] = (
        [{"type": "text", "text": "Done."}] if scenario.tool is None else [_tool_use(scenario.tool, identity)]
    )
    told: Json = {"content": content, "stop_reason": _stop_reason(scenario)}
    return Answer({**message, **told, **reported, **(scenario.response or {})})


def makers_name(model: str) -> str:
    """Return what Claude calls itself on Bedrock: the id without geography, vendor and Amazon's version.

    Source: sample bodies of InvokeModel in AWS's and Anthropic's documentation (``claude-3-5-sonnet-20241022``).
    """
    return re.sub(r"-v[0-9]+(:[0-9]+)?$", "", model.rpartition("anthropic.")[2])


def _stop_reason(scenario: Scenario) -> str:
    """Return the reason (Messages API reference, ``stop_reason``)."""
    return "refusal" if scenario.filtered else "end_turn" if scenario.tool is None else "tool_use"


def _tool_use(tool: tuple[str, Mapping[str, Any]], identity: str) -> Json:
    name, arguments = tool
    return {"type": "tool_use", "id": f"toolu_{identity}", "name": name, "input": dict(arguments)}


def _plain_usage(body: Json, scenario: Scenario, ledger: Ledger) -> Json:
    output = scenario.chunks * 2 * ledger.scale
    return {"input_tokens": ledger.tokens_of(body.get("messages")), "output_tokens": output}


def events(message: Json, usage: Mapping[str, Any], scenario: Scenario) -> Iterator[tuple[str, Json]]:
    """Yield the events of a stream of one message."""
    first = {**usage, **scenario.told({"output_tokens": 1})}
    start = {**message, "usage": first if scenario.says else {"input_tokens": 0, "output_tokens": 0}}
    yield "message_start", {"type": "message_start", "message": start}
    block: Json = {"type": "text", "text": ""}
    deltas: list[Json] = [{"type": "text_delta", "text": "word "}] * scenario.chunks
    if scenario.tool is not None:
        # A tool's input comes as pieces of its JSON text (Messages API, streaming, ``input_json_delta``).
        block = {**_tool_use(scenario.tool, message["id"]), "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(scenario.tool[1])}]
    yield "content_block_start", {"type": "content_block_start", "index": 0, "content_block": block}
    for delta in deltas:
        yield "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}
    yield "content_block_stop", {"type": "content_block_stop", "index": 0}
    said = {key: value for key, value in usage.items() if key not in _START_ONLY}
    stop = {"stop_reason": _stop_reason(scenario), "stop_sequence": None}
    yield "message_delta", {"type": "message_delta", "delta": stop, "usage": said if scenario.says else {}}
    yield "message_stop", {"type": "message_stop"}


def chunk_frame(_name: str | None, data: Json) -> bytes:
    """Return one event as Bedrock sends those of another maker: in a ``chunk``, its bytes in base64."""
    return aws_frame("chunk", {"bytes": base64.b64encode(json.dumps(data).encode()).decode()})


def aws_frame(name: str, data: Json, message_type: str = "event") -> bytes:
    """Return one event in AWS's binary frame: length, headers and payload, each with its checksum.

    An error (``message_type`` of ``exception``) bears its name in another header.
    """
    payload = json.dumps(data).encode()
    pairs = ((f":{message_type}-type", name), (":content-type", "application/json"), (":message-type", message_type))
    headers = b"".join(
        struct.pack(">B", len(key)) + key.encode() + struct.pack(">BH", 7, len(value)) + value.encode()
        for key, value in pairs
    )
    prelude = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return frame + struct.pack(">I", zlib.crc32(frame))
