"""Ollama's format, as the local provider speaks it.

Field by field after Ollama's API reference (``POST /api/chat``, ``/api/generate``, ``/api/embed``): a stream is one
JSON object per line, the counts stand on the last. Numbers are made up.
"""

from __future__ import annotations

from otel_tokenomics.demo.openai_wire import Answer, Json
from otel_tokenomics.demo.scenario import Billed, Ledger, Scenario


def answer(path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer | None:
    """Return the answer to a POST; None where the route is unknown."""
    model = body.get("model", "")
    head: Json = {"model": model, "created_at": "2026-01-01T00:00:00Z"}
    if path == "api/embed":
        usage: Json = {"prompt_eval_count": ledger.tokens_of(body.get("input"))}
        ledger.bill(Billed(ledger.next_id("ollama-"), "embeddings", model, usage))
        return Answer({"model": model, "embeddings": [[0.1, 0.2]], **usage})
    if path not in ("api/chat", "api/generate"):
        return None
    prompt = body.get("messages") if path == "api/chat" else body.get("prompt")
    usage = dict(scenario.usage or {"prompt_eval_count": ledger.tokens_of(prompt), "eval_count": scenario.chunks * 2})
    ledger.bill(Billed(ledger.next_id("ollama-"), "chat", model, usage))
    said = scenario.told(usage) if scenario.says else {}
    text = "message" if path == "api/chat" else "response"
    piece: Json = {text: {"role": "assistant", "content": "word "} if text == "message" else "word "}
    last: Json = {**head, **piece, "done": True, "done_reason": "stop", "eval_duration": 1000, **said}
    if not body.get("stream", True):
        return Answer(last)
    lines = [*({**head, **piece, "done": False} for _ in range(scenario.chunks)), last]
    return Answer(events=((None, line) for line in lines), content_type="application/x-ndjson")
