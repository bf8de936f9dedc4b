"""Answers that are no answers: the caller gets what he would have got, the call is marked, nothing of ours fails."""

from __future__ import annotations

import functools
import json
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from otel_tokenomics.demo.provider import LocalProvider, Scenario

pytestmark = pytest.mark.filterwarnings("ignore")
MESSAGES: Any = [{"role": "user", "content": "How do I reset my password?"}]
JSON, SSE = "application/json", "text/event-stream"


def event(data: object, name: str | None = None) -> str:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


ANSWERS: dict[str, tuple[int, str, str]] = {
    "a page": (200, "text/html", "<html>Service temporarily unavailable"),
    "cut JSON": (200, JSON, '{"id":"x","usage":{"prompt_to'),
    "nothing": (200, JSON, ""),
    "no content": (204, JSON, ""),
    "a list": (200, JSON, "[1, 2]"),
    "a text": (200, JSON, '"x"'),
    "null": (200, JSON, "null"),
    "deep": (200, JSON, "[" * 5000 + "]" * 5000),
    "usage is a text": (200, JSON, '{"id":"x","model":"gpt-5.4","choices":[],"usage":"lots"}'),
    "usage is a list": (200, JSON, '{"id":"x","model":"gpt-5.4","choices":[],"usage":[1]}'),
    "usage in the wrong place": (200, JSON, '{"id":"x","model":"gpt-5.4","choices":[{"usage":{"prompt_tokens":3}}]}'),
    "choices is a text": (200, JSON, '{"id":"x","model":"gpt-5.4","choices":"no","content":"no"}'),
    "model is an object": (200, JSON, '{"id":{},"model":{"a":1},"choices":[5],"content":[5],"stop_reason":[]}'),
    "garbage events": (200, SSE, "data: {bad\n\n"),
    "other events": (
        200, SSE, event('"x"') + event([1]) + event(5) + event("null")
        + event({"type": "message_start", "message": "x"}, "message_start")
        + event({"type": "message_delta", "usage": [1]}, "message_delta") + event("[DONE]"),
    ),
    "odd chunks": (
        200, SSE, event({"id": "x", "choices": "no"}) + event({"id": "x", "choices": {"a": 1}})
        + event({"id": "x", "choices": [{"finish_reason": [1]}]}) + event({"id": "x", "choices": [None]})
        + event({"type": "message_delta"}, "message_delta") + event("[DONE]"),
    ),
}  # fmt: skip


@functools.cache
def client_of(library: str) -> Any:
    """Return one client for all tests: making one loads the certificates of the world."""
    kind = openai.OpenAI if library == "openai" else anthropic.Anthropic
    return kind(api_key="k", base_url="http://127.0.0.1:9", max_retries=0)


def create(library: str, provider: LocalProvider, form: str) -> Any:
    if library == "openai":
        client = client_of(library).with_options(base_url=provider.base_url_openai)
        return ask(client.chat.completions, form, {"model": "gpt-5.4", "messages": MESSAGES})
    claude = client_of(library).with_options(base_url=provider.base_url_anthropic)
    return ask(claude.messages, form, {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": MESSAGES})


def ask(face: Any, form: str, arguments: dict[str, Any]) -> Any:
    if form == "stream":
        return [repr(item) for item in face.create(**arguments, stream=True)]
    if form == "raw":
        return type(face.with_raw_response.create(**arguments))
    return repr(face.create(**arguments))


def seen(library: str, provider: LocalProvider, form: str, answer: tuple[int, str, str]) -> Any:
    """Return the result, or the type and text of the exception."""
    provider.expect(Scenario(raw=answer))
    try:
        return create(library, provider, form)
    except Exception as error:  # whatever the client raises
        return type(error), str(error)


@pytest.mark.parametrize("form", ["plain", "stream", "raw"])
@pytest.mark.parametrize("answer", list(ANSWERS))
@pytest.mark.parametrize("library", ["openai", "anthropic"])
def test_the_caller_sees_the_same_and_nothing_is_charged(
    watching: Any, provider: LocalProvider, library: str, answer: str, form: str
) -> None:
    bare = seen(library, provider, form, ANSWERS[answer])
    watch = watching()
    assert seen(library, provider, form, ANSWERS[answer]) == bare
    assert watch.one.cost.status == "unpriced"
    assert watch.one.cost.reason in ("no_usage", "invalid_usage", "unknown_model", "ambiguous_model")
    assert watch.one.cost.total is None
    assert watch.one.tokens == 0
    raised = isinstance(bare, tuple)
    assert watch.one.outcome.end == ("error" if raised else "completed")


#: usage reported, status and reason, flags
COUNTS: list[tuple[dict[str, Any], str, str | None, tuple[str, ...]]] = [
    ({"prompt_tokens": -5, "completion_tokens": 3}, "partial", "incomplete_usage", ()),
    ({"prompt_tokens": 10**13, "completion_tokens": 3}, "unpriced", "invalid_usage", ()),
    ({"prompt_tokens": "1200", "completion_tokens": 3.0}, "priced", None, ()),
    ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, "unpriced", "invalid_usage", ()),
    ({"prompt_tokens": True, "completion_tokens": [1]}, "unpriced", "invalid_usage", ()),
    (
        {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}},
        "priced", None, ("inconsistent_usage",),
    ),
    ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 99}, "partial", "incomplete_usage", ()),
    ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, "priced", None, ()),
]  # fmt: skip


@pytest.mark.parametrize("form", ["plain", "stream", "raw"])
@pytest.mark.parametrize(("usage", "status", "reason", "flags"), COUNTS, ids=[str(row[0])[:40] for row in COUNTS])
def test_counts_that_cannot_be_believed(
    watch: Any, provider: LocalProvider, form: str, usage: Any, status: str, reason: str | None, flags: Any
) -> None:
    provider.expect(Scenario(hostile=usage))
    create("openai", provider, form)
    cost = watch.one.cost
    assert (cost.status, cost.reason, cost.flags) == (status, reason, flags)


@pytest.mark.parametrize("form", ["plain", "stream", "raw"])
def test_text_that_no_exporter_can_encode_costs_one_attribute_not_the_batch(
    watch: Any, provider: LocalProvider, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    odd = (
        '{"id":"\\ud800","model":"gpt-5.4","service_tier":"\\ud800","choices":[{"index":0,"finish_reason":"\\ud800"}],'
    )
    usage = '"usage":{"prompt_tokens":1,"completion_tokens":2}}'
    body = (200, SSE, event(odd + usage) + event("[DONE]")) if form == "stream" else (200, JSON, odd + usage)
    provider.expect(Scenario(raw=body))
    create("openai", provider, form)
    assert watch.one.tokens == 3
    assert encode_spans(watch.spans).SerializeToString()
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
