"""The Gemini API's format, as the local provider speaks it.

Field by field after https://ai.google.dev/api/generate-content (``GenerateContentResponse``, ``UsageMetadata``) and
https://ai.google.dev/api/embeddings; numbers are made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from otel_tokenomics.demo.openai_wire import Answer, Json
from otel_tokenomics.demo.scenario import Billed, Ledger, Scenario


def answer(path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer | None:
    """Return the answer to a POST ``.../models/{model}:{method}``; None where the method is unknown."""
    model, _, method = path.rpartition("/")[2].partition(":")
    if model == "interactions":
        return _interaction(body, scenario, ledger)
    if method == "countTokens":
        return Answer({"totalTokens": ledger.tokens_of(body.get("contents"))})
    if method in ("embedContent", "batchEmbedContents"):
        ledger.bill(Billed(ledger.next_id("emb"), "embeddings", model, {"input": ledger.tokens_of(body)}))
        return Answer({"embeddings": [{"values": [0.1, 0.2]}]})
    if method not in ("generateContent", "streamGenerateContent"):
        return None
    usage = dict(scenario.usage) if scenario.usage is not None else _plain(body, scenario, ledger)
    identity = ledger.next_id("resp-")
    ledger.bill(Billed(identity, "generate_content", model, usage))
    said = scenario.told(usage)
    head: Json = {"modelVersion": model, "responseId": identity, **(scenario.response or {})}
    reported: Json = {"usageMetadata": said} if scenario.says else {}
    if method == "streamGenerateContent":
        return Answer(events=_events(head, said, scenario))
    return Answer({"candidates": [_candidate("Done.", _finish(scenario))], **reported, **head})


def _interaction(body: Json, scenario: Scenario, ledger: Ledger) -> Answer:
    """Answer a POST ``/interactions`` after https://ai.google.dev/api/interactions-api (``Interaction``, ``Usage``)."""
    given, made = ledger.tokens_of(body.get("input")), scenario.chunks * 2 * ledger.scale
    usage: Json = {"total_input_tokens": given, "total_output_tokens": made, "total_tokens": given + made}
    usage = dict(scenario.usage) if scenario.usage is not None else usage
    identity = ledger.next_id("v1_")
    ledger.bill(Billed(identity, "interactions", body["model"], usage))
    at = "2026-11-18T10:00:00Z"
    begun: Json = {"id": identity, "object": "interaction", "status": "in_progress", "model": body["model"],
                   "role": "model", "created": at, "updated": at}  # fmt: skip
    steps = [{"type": "model_output", "content": [{"type": "text", "text": "Done."}]}]
    whole: Json = {**begun, "status": "completed", "steps": steps, "usage": usage, **(scenario.response or {})}
    if body.get("background"):
        ledger.background[identity] = whole
        return Answer(begun)
    if not body.get("stream"):
        return Answer(whole)

    def events() -> Iterator[tuple[str | None, Json]]:
        yield "interaction.created", {"event_type": "interaction.created", "interaction": begun}
        for _ in range(scenario.chunks):
            delta: Json = {"type": "text", "text": "word "}
            yield "step.delta", {"event_type": "step.delta", "index": 0, "delta": delta}
        yield "interaction.completed", {"event_type": "interaction.completed", "interaction": whole}

    return Answer(events=events())


def _plain(body: Json, scenario: Scenario, ledger: Ledger) -> Json:
    prompt, made = ledger.tokens_of(body.get("contents")), scenario.chunks * 2 * ledger.scale
    return {"promptTokenCount": prompt, "candidatesTokenCount": made, "totalTokenCount": prompt + made}


def _finish(scenario: Scenario) -> str:
    """Return the reason (``FinishReason``)."""
    return "SAFETY" if scenario.filtered else "STOP"


def _candidate(text: str, finish: str | None) -> Json:
    found: Json = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    return {**found, "finishReason": finish} if finish else found


def _events(head: Json, usage: Mapping[str, Any], scenario: Scenario) -> Iterator[tuple[str | None, Json]]:
    """Each chunk states the usage so far: the prompt from the start, the candidates as they come."""
    for number in range(scenario.chunks):
        last = number == scenario.chunks - 1
        chunk: Json = {"candidates": [_candidate("word ", _finish(scenario) if last else None)], **head}
        if scenario.says:
            prompt = usage.get("promptTokenCount")
            chunk["usageMetadata"] = dict(usage) if last else {"promptTokenCount": prompt, "totalTokenCount": prompt}
        yield None, chunk
