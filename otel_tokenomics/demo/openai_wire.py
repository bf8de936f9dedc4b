"""OpenAI's wire formats, as the local provider speaks them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from otel_tokenomics.demo.scenario import Billed, Ledger, Scenario

Json = dict[str, Any]
_UNASKED: Final = frozenset({"groq", "together", "mistral_ai"})


class Answer(NamedTuple):
    """What is sent back: a JSON body, bytes, or the events of a stream (``event`` name or None, data)."""

    body: Json | bytes | None = None
    events: Iterator[tuple[str | None, Json]] | None = None
    content_type: str = "application/json"
    end_mark: bool = False
    #: Writes one event where the stream is not made of lines (AWS's binary frames).
    frame: Callable[[str | None, Json], bytes] | None = None
    headers: Mapping[str, str] = MappingProxyType({})


def answer(path: str, body: Json, scenario: Scenario, ledger: Ledger, host: str = "openai") -> Answer | None:
    """Return the answer to a POST; None where the route is unknown. ``path`` is without prefix and query.

    ``host`` is who speaks the format: Groq, Together and Mistral report a stream's usage on its last chunk, unasked
    (their API references, streaming chat completions; Groq's stands in ``x_groq``).
    """
    if path in ("chat/completions", "completions"):
        return _chat(path, body, scenario, ledger, host)
    handler = _ROUTES.get(path)
    found = handler(path, body, scenario, ledger) if handler is not None else None
    if found is not None and host == "mistral_ai" and isinstance(found.body, dict):
        # Mistral's answers all bear an id (its API reference, ``EmbeddingResponse``).
        return found._replace(body={"id": ledger.next_id("mistral-"), **found.body})
    return found


def _chat(path: str, body: Json, scenario: Scenario, ledger: Ledger, host: str) -> Answer:
    legacy = path == "completions"
    usage = _usage(
        scenario, lambda: _chat_usage(body.get("prompt") if legacy else body.get("messages"), scenario, ledger)
    )
    identity = ledger.next_id("cmpl-" if legacy else "chatcmpl-")
    kind = "text_completion" if legacy else "chat.completion"
    head: Json = {"id": identity, "object": kind, "created": 1, "model": body.get("model", "")}
    head |= scenario.response or {}
    ledger.bill(Billed(identity, "completions" if legacy else "chat", head["model"], usage))
    if body.get("stream"):
        options: Json = body.get("stream_options") or {}
        asked = bool(options.get("include_usage"))
        events = _chat_events(head, usage, scenario, legacy=legacy, asked=asked)
        if host in _UNASKED:
            events = _with_usage_on_the_last(events, usage, scenario, host)
        return Answer(events=events, end_mark=True)
    part = {"text": "Done."} if legacy else {"message": {"role": "assistant", "content": "Done."}}
    if scenario.tool is not None:
        # A tool call, as the chat completions reference writes it: ``tool_calls`` of the message, its arguments text.
        part = {"message": {"role": "assistant", "content": None, "tool_calls": [_chat_tool(scenario.tool, identity)]}}
    reason = _finish(scenario)
    choices = [{"index": n, "finish_reason": reason, **part} for n in range(body.get("n") or 1)]
    return Answer({**head, "choices": choices, **reported(usage, scenario)})


def _chat_events(
    head: Json, usage: Mapping[str, Any], scenario: Scenario, *, legacy: bool, asked: bool
) -> Iterator[tuple[str | None, Json]]:
    chunk = {**head, "object": head["object"] if legacy else "chat.completion.chunk"}
    null = {"usage": None} if asked else {}
    for number in range(scenario.chunks):
        part = {"text": "word "} if legacy else {"delta": {"role": "assistant", "content": "word "}}
        reason = _finish(scenario) if number == scenario.chunks - 1 else None
        if scenario.tool is not None:
            # The first chunk names the call, its arguments follow; then the reason (chat completions, streaming).
            part = {"delta": _chat_tool_delta(scenario.tool, head["id"], number)}
        choice = {"index": 0, "finish_reason": reason, **part}
        yield None, {**chunk, "choices": [choice], **null}
    if asked and scenario.report != "none":
        yield None, {**chunk, "choices": [], **reported(usage, scenario)}


def _finish(scenario: Scenario) -> str:
    """Return the reason (chat completions reference, ``finish_reason``)."""
    return "content_filter" if scenario.filtered else "stop" if scenario.tool is None else "tool_calls"


def _chat_tool(tool: tuple[str, Mapping[str, Any]], identity: str) -> Json:
    name, arguments = tool
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"call_{identity}", "type": "function", "function": function}


def _chat_tool_delta(tool: tuple[str, Mapping[str, Any]], identity: str, number: int) -> Json:
    whole = _chat_tool(tool, identity)
    if number == 0:
        return {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **whole}]}
    return {"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}


def _with_usage_on_the_last(
    events: Iterator[tuple[str | None, Json]], usage: Mapping[str, Any], scenario: Scenario, host: str
) -> Iterator[tuple[str | None, Json]]:
    chunks = [chunk for _, chunk in events]
    for chunk in chunks[:-1]:
        yield None, {name: value for name, value in chunk.items() if name != "usage_breakdown"}
    for last in chunks[-1:]:
        said = {} if scenario.report == "none" else reported(usage, scenario)
        if host == "groq":
            # What each model of a compound system did stands beside the usage here (its API reference, ``XGroq``).
            said |= {name: last.pop(name) for name in ("usage_breakdown",) if name in last}
        yield None, {**last, **({"x_groq": {"id": last["id"], **said}} if host == "groq" else said)}


def _chat_usage(content: object, scenario: Scenario, ledger: Ledger) -> Json:
    prompt, completion = ledger.tokens_of(content), scenario.chunks * 2 * ledger.scale
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _responses(path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer:
    def plain() -> Json:
        given, made = ledger.tokens_of(body.get("input")), scenario.chunks * 2 * ledger.scale
        return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}

    usage = _usage(scenario, plain)
    identity = ledger.next_id("resp_")
    kind = {"responses/compact": "response.compaction", "decisions": "decision"}.get(path, "response")
    text: Json = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Done.", "annotations": []}]}  # fmt: skip
    # What a filter stops is incomplete (Responses API reference, ``incomplete_details``).
    status = scenario.status or ("incomplete" if scenario.filtered else "completed")
    whole: Json = {"id": identity, "object": kind, "created_at": 1, "status": status, "model": body.get("model", ""),
                   "output": [text], "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}  # fmt: skip
    if scenario.filtered:
        whole["incomplete_details"] = {"reason": "content_filter"}
    if scenario.tool is not None:
        whole["output"] = [_function_call(scenario.tool, identity)]
    whole |= scenario.response or {}
    ledger.bill(Billed(identity, "responses", whole["model"], usage))
    done = {**whole, **reported(usage, scenario)}
    if body.get("background"):
        ledger.background[identity] = done
        if body.get("stream"):
            return Answer(events=_responses_events(whole, done, status, scenario))
        return Answer({**whole, "status": "queued", "output": [], "usage": None})
    if body.get("stream"):
        return Answer(events=_responses_events(whole, done, status, scenario))
    return Answer(done)


def _responses_events(whole: Json, done: Json, status: str, scenario: Scenario) -> Iterator[tuple[str, Json]]:
    opened: Json = {**whole, "status": "in_progress", "output": [], "usage": None}
    yield "response.created", {"type": "response.created", "sequence_number": 0, "response": opened}
    if scenario.tool is not None:
        yield from _function_call_events(whole["output"][0])
        yield f"response.{status}", {"type": f"response.{status}", "sequence_number": 5, "response": done}
        return
    place: Json = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "sequence_number": 0}
    item: Json = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
    part: Json = {"type": "output_text", "text": "", "annotations": []}
    for name, data in (("output_item", {"item": item}), ("content_part", {"part": part})):
        yield f"response.{name}.added", {"type": f"response.{name}.added", **place, **data}
    for number in range(1, scenario.chunks + 1):
        delta: Json = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0,
                 "delta": "word ", "sequence_number": number, "logprobs": []}  # fmt: skip
        yield "response.output_text.delta", delta
    name = f"response.{status}"
    yield name, {"type": name, "sequence_number": scenario.chunks + 1, "response": done}


def _function_call(tool: tuple[str, Mapping[str, Any]], identity: str) -> Json:
    name, arguments = tool
    return {"type": "function_call", "id": f"fc_{identity}", "call_id": f"call_{identity}", "name": name,
            "arguments": json.dumps(arguments), "status": "completed"}  # fmt: skip


def _function_call_events(item: Json) -> Iterator[tuple[str, Json]]:
    """Yield the events of a function call (Responses API reference, streaming events of function calls)."""
    place: Json = {"item_id": item["id"], "output_index": 0}
    opened: Json = {**item, "arguments": "", "status": "in_progress"}
    for number, (name, data) in enumerate((
        ("output_item.added", {"output_index": 0, "item": opened}),
        ("function_call_arguments.delta", {**place, "delta": item["arguments"]}),
        ("function_call_arguments.done", {**place, "name": item["name"], "arguments": item["arguments"]}),
        ("output_item.done", {"output_index": 0, "item": item}),
    ), 1):  # fmt: skip
        yield f"response.{name}", {"type": f"response.{name}", "sequence_number": number, **data}


def resumed(done: Json, scenario: Scenario) -> Iterator[tuple[str, Json]]:
    """Return the events of a stored response that is streamed again."""
    return _responses_events({**done, "usage": None}, done, done["status"], scenario)


def _embeddings(_path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer:
    def plain() -> Json:
        given = ledger.tokens_of(body.get("input"))
        return {"prompt_tokens": given, "total_tokens": given}

    usage = _usage(scenario, plain)
    model = body.get("model", "")
    ledger.bill(Billed(ledger.next_id("emb-"), "embeddings", model, usage))
    inputs = body.get("input")
    count = len(inputs) if isinstance(inputs, list) else 1  # pyright: ignore[reportUnknownArgumentType]
    # Eight zero floats, base64: clients ask for that encoding unless told otherwise.
    vector: Any = "A" * 43 + "=" if body.get("encoding_format") == "base64" else [0.0] * 8
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)]
    return Answer({"object": "list", "data": data, "model": model, **reported(usage, scenario)})


def _images(_path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer:
    model = body.get("model", "")
    usage: Json = dict(scenario.usage or {})
    ledger.bill(Billed(ledger.next_id("img-"), "images", model, usage or {"image": body.get("n") or 1}))
    if body.get("stream") in (True, "true"):
        made: Json = {"created_at": 1, "b64_json": "", "size": "1024x1024", "quality": "low", "background": "opaque",
                "output_format": "png", "partial_image_index": 0}  # fmt: skip
        first, last = "image_generation.partial_image", "image_generation.completed"
        done: Json = {**made, "type": last, **reported(usage, scenario)}
        return Answer(events=iter([(first, {**made, "type": first}), (last, done)]))
    images = [{"b64_json": ""} for _ in range(int(body.get("n") or 1))]
    return Answer({"created": 1, "data": images, **(reported(usage, scenario) if usage else {})})


def _transcription(_path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer:
    usage = _usage(scenario, lambda: {"type": "duration", "seconds": 7})
    ledger.bill(Billed(ledger.next_id("tr-"), "transcription", body.get("model", ""), usage))
    if body.get("stream") in (True, "true"):
        delta, done = "transcript.text.delta", "transcript.text.done"
        last: Json = {"type": done, "text": "Done.", **reported(usage, scenario)}
        return Answer(events=iter([(delta, {"type": delta, "delta": "Done."}), (done, last)]), end_mark=True)
    return Answer({"text": "Done.", **reported(usage, scenario)})


def _speech(_path: str, body: Json, _scenario: Scenario, ledger: Ledger) -> Answer:
    characters = len(str(body.get("input", "")))
    ledger.bill(Billed(ledger.next_id("sp-"), "speech", body.get("model", ""), {"character": characters}))
    return Answer(b"\x00" * 16, content_type="audio/mpeg")


def _rerank(_path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer:
    """Together's rerank bills the tokens of query and documents (its API reference, ``POST /rerank``)."""
    total = ledger.tokens_of([body.get("query"), body.get("documents")])
    usage = _usage(scenario, lambda: {"prompt_tokens": total, "completion_tokens": 0, "total_tokens": total})
    identity, model = ledger.next_id("rr-"), body.get("model", "")
    ledger.bill(Billed(identity, "rerank", model, usage))
    results = [{"index": 0, "relevance_score": 0.9}]
    head: Json = {"object": "rerank", "id": identity, "model": model, "results": results}
    return Answer({**head, **reported(usage, scenario)})


def _ocr(_path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer:
    """Mistral's OCR bills pages (its API reference, ``OCRResponse``)."""
    usage = _usage(scenario, lambda: {"pages_processed": 2, "doc_size_bytes": 10})
    ledger.bill(Billed(ledger.next_id("ocr-"), "ocr", body.get("model", ""), usage))
    return Answer({"model": body.get("model", ""), "pages": [], "usage_info": usage})


def _free(path: str, _body: Json, _scenario: Scenario, ledger: Ledger) -> Answer:
    if path == "responses/input_tokens":
        return Answer({"object": "response.input_tokens", "input_tokens": 42})
    if path == "moderations":
        return Answer({"id": ledger.next_id("modr-"), "model": "omni-moderation-latest", "results": []})
    if path == "batches":
        return Answer(
            {
                "id": ledger.next_id("batch_"),
                "object": "batch",
                "endpoint": "/v1/chat/completions",
                "input_file_id": "file-1",
                "completion_window": "24h",
                "status": "validating",
                "created_at": 1,
            }
        )
    return Answer({"id": ledger.next_id("file-"), "object": "file", "bytes": 1, "created_at": 1, "filename": "f.jsonl",
                   "purpose": "batch", "status": "processed"})  # fmt: skip


def _usage(scenario: Scenario, plain: Any) -> Json:
    return dict(scenario.usage) if scenario.usage is not None else plain()


def reported(usage: Mapping[str, Any], scenario: Scenario) -> Json:
    """Return the field in which a usage is reported, if it is."""
    if scenario.report == "none":
        return {}
    if scenario.report == "null":
        return {"usage": None}
    return {"usage": scenario.told(usage)}


_ROUTES: Final = {
    "responses": _responses,
    "responses/compact": _responses,
    "decisions": _responses,
    "embeddings": _embeddings,
    "images/generations": _images,
    "images/edits": _images,
    "images/variations": _images,
    "audio/transcriptions": _transcription,
    "audio/translations": _transcription,
    "audio/speech": _speech,
    "responses/input_tokens": _free,
    "moderations": _free,
    "batches": _free,
    "files": _free,
    "rerank": _rerank,
    "ocr": _ocr,
}
