"""Batch results as the clients themselves hand them over; fetching them is no call of a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import anthropic._base_client
import openai
import openai._base_client
import pytest

from otel_tokenomics.telemetry import batches

# The majors speak through two libraries.
openai_http: Any = getattr(openai._base_client, "httpx2", None) or openai._base_client.httpx  # type: ignore[attr-defined]
anthropic_http: Any = getattr(anthropic._base_client, "httpx2", None) or anthropic._base_client.httpx  # type: ignore[attr-defined]

BODY = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1_795_000_000, "model": "gpt-5.4", "choices": [],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
}  # fmt: skip
OUTPUT = {
    "id": "batch_req_1", "custom_id": "a", "response": {"status_code": 200, "request_id": "r", "body": BODY},
    "error": None,
}  # fmt: skip
# gpt-5.4 in a batch: 1000 x 1.25 + 100 x 7.5 micro-dollars
OPENAI_COST = 2_000_000_000
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5", "content": [],
    "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 1000, "output_tokens": 100, "cache_read_input_tokens": 0,
              "cache_creation_input_tokens": 0, "service_tier": "batch"},
}  # fmt: skip
RESULTS = [
    {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}},
    {"custom_id": "b", "result": {"type": "expired"}},
]
# claude-sonnet-5-5 in a batch: 1000 x 1 + 100 x 5 micro-dollars
ANTHROPIC_COST = 1_500_000_000
BATCH = {
    "id": "batch_1", "type": "message_batch", "processing_status": "ended", "created_at": "2026-11-18T10:00:00Z",
    "expires_at": "2026-11-19T10:00:00Z", "ended_at": "2026-11-18T11:00:00Z", "archived_at": None,
    "cancel_initiated_at": None, "results_url": "https://api.anthropic.com/v1/messages/batches/batch_1/results",
    "request_counts": {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 1},
}  # fmt: skip


@pytest.fixture
def record(watch: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], batches.BatchSummary]:
    monkeypatch.setattr(batches, "REMEMBERED", type(batches.REMEMBERED)())
    return lambda results: batches.record(watch.recorder, batches.lines_of(results), None, None, lambda: True)


def test_openais_file(watch: Any, record: Any) -> None:
    def answer(request: Any) -> Any:
        assert request.url.path == "/v1/files/file-1/content"
        return openai_http.Response(200, content=json.dumps(OUTPUT) + "\n")

    with openai_http.Client(transport=openai_http.MockTransport(answer)) as carrier:
        client = openai.OpenAI(api_key="k", http_client=carrier)
        done = record(client.files.content("file-1"))
        assert (done.calls, done.total) == (1, OPENAI_COST)
        # The same file, as the text that many programs make of it.
        assert record(client.files.content("file-1").text).repeated == 1
    assert watch.one.cost.total == OPENAI_COST  # fetching it twice was no call


def _anthropic(request: Any) -> Any:
    if request.url.path.endswith("/results"):
        lines = "\n".join(json.dumps(line) for line in RESULTS)
        return anthropic_http.Response(200, content=lines, headers={"content-type": "application/binary"})
    return anthropic_http.Response(200, json=BATCH)


def test_anthropics_results(watch: Any, record: Any) -> None:
    with anthropic_http.Client(transport=anthropic_http.MockTransport(_anthropic)) as carrier:
        client = anthropic.Anthropic(api_key="k", http_client=carrier)
        done = record(client.messages.batches.results("batch_1"))
        assert (done.calls, done.total, done.failed, done.bad_lines) == (1, ANTHROPIC_COST, 1, 0)
        assert record(client.messages.batches.results("batch_1")).repeated == 2
    assert [one.cost.total for one in watch.settled] == [ANTHROPIC_COST, None]


async def test_anthropics_results_of_an_asynchronous_client_are_collected_first(record: Any) -> None:
    async with anthropic_http.AsyncClient(transport=anthropic_http.MockTransport(_anthropic)) as carrier:
        client = anthropic.AsyncAnthropic(api_key="k", http_client=carrier)
        with pytest.raises(TypeError, match="async for item in results"):
            record(await client.messages.batches.results("batch_1"))
        done = record([item async for item in await client.messages.batches.results("batch_1")])
    assert (done.calls, done.total, done.failed) == (1, ANTHROPIC_COST, 1)
