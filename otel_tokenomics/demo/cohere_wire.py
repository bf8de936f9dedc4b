"""Cohere's format, as the local provider speaks it.

Field by field after Cohere's API reference (``POST /v2/chat``, ``/v2/embed``, ``/v2/rerank``; events ``message-start``,
``content-delta``, ``message-end``). Numbers are made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otel_tokenomics.demo.openai_wire import Answer, Json
from otel_tokenomics.demo.scenario import Billed, Ledger, Scenario


def answer(path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer | None:
    """Return the answer to a POST; None where the route is unknown."""
    identity, model = ledger.next_id("cohere-"), body.get("model", "")
    if path in ("v2/embed", "v1/embed"):
        billed = {"input_tokens": float(ledger.tokens_of(body.get("texts")))}
        ledger.bill(Billed(identity, "embeddings", model, billed))
        meta = {"api_version": {"version": "2"}, "billed_units": scenario.told(billed)}
        return Answer({"id": identity, "embeddings": {"float": [[0.1]]}, "texts": [], "meta": meta,
                       "response_type": "embeddings_by_type"})  # fmt: skip
    if path in ("v2/rerank", "v1/rerank"):
        billed = {"search_units": 1.0}
        ledger.bill(Billed(identity, "rerank", model, billed))
        meta = {"api_version": {"version": "2"}, "billed_units": billed}
        return Answer({"id": identity, "results": [{"index": 0, "relevance_score": 0.9}], "meta": meta})
    if path != "v2/chat":
        return None
    billed = dict(scenario.usage or {"input_tokens": float(ledger.tokens_of(body.get("messages"))),
                                     "output_tokens": float(scenario.chunks * 2)})  # fmt: skip
    ledger.bill(Billed(identity, "chat", model, billed))
    # More is processed than is billed: whoever counts ``tokens`` counts too much.
    usage: Json = {"billed_units": scenario.told(billed), "tokens": {"input_tokens": 500.0, "output_tokens": 6.0}}
    if not scenario.says:
        usage = {}
    if body.get("stream"):
        return Answer(events=_events(identity, usage, scenario))
    message = {"role": "assistant", "content": [{"type": "text", "text": "Done."}]}
    return Answer({"id": identity, "finish_reason": "COMPLETE", "message": message, "usage": usage})


def _events(identity: str, usage: Json, scenario: Scenario) -> Iterator[tuple[str | None, Json]]:
    def event(kind: str, **fields: Any) -> tuple[str | None, Json]:
        return kind, {"type": kind, **fields}

    yield event("message-start", id=identity, delta={"message": {"role": "assistant", "content": []}})
    yield event("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
    for _ in range(scenario.chunks):
        yield event("content-delta", index=0, delta={"message": {"content": {"text": "word "}}})
    yield event("content-end", index=0)
    yield event("message-end", id=identity, delta={"finish_reason": "COMPLETE", "usage": usage})
