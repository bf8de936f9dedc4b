"""No content leaves: neither prompt nor completion, tool argument, key, header nor error text, in any form."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry import metrics as otel_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_tokenomics.demo.provider import LocalProvider, Scenario
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.metrics import Instruments

pytestmark = pytest.mark.filterwarnings("ignore")
SECRET = "xyzzy-canary"
ARGUMENTS = json.dumps({"city": SECRET})
CALLED = [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": ARGUMENTS}}]
MESSAGES: Any = [
    {"role": "system", "content": SECRET},
    {"role": "user", "content": SECRET},
    {"role": "assistant", "content": None, "tool_calls": CALLED},
    {"role": "tool", "tool_call_id": "c1", "content": SECRET},
]
TOOLS: Any = [{"type": "function", "function": {"name": "look", "description": SECRET, "parameters": {}}}]
CHAT: dict[str, Any] = {"model": "gpt-5.4", "messages": MESSAGES, "tools": TOOLS, "user": SECRET}
RESPOND: dict[str, Any] = {"model": "gpt-5.4", "input": SECRET, "instructions": SECRET, "metadata": {"a": SECRET}}
USER: Any = [{"role": "user", "content": SECRET}]
ASK: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": USER, "system": SECRET}
MADE = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": SECRET}}]}
CONTENT = {"content": [{"type": "text", "text": SECRET}], "stop_sequence": SECRET}


def attempt(work: Any) -> None:
    with contextlib.suppress(Exception):  # the client's: what matters is what we leave behind
        work()


def leave(stream: Any) -> None:
    next(iter(stream))
    stream.close()


def every_form(provider: LocalProvider) -> None:
    refused = (400, "application/json", json.dumps({"error": {"message": SECRET, "type": "x", "code": SECRET}}))
    broken = (200, "application/json", '{"a": "' + SECRET)
    headers = {"x-secret": SECRET}
    options: dict[str, Any] = {"api_key": f"sk-{SECRET}", "default_headers": headers, "max_retries": 0}
    with openai.OpenAI(base_url=provider.base_url_openai, **options) as client:
        chat = client.chat.completions
        provider.expect(*[Scenario(response=MADE)] * 2)
        chat.create(**CHAT)
        chat.with_raw_response.create(**CHAT).parse()
        with chat.with_streaming_response.create(**CHAT) as raw:
            raw.json()
        list(chat.create(**CHAT, stream=True))
        leave(chat.create(**CHAT, stream=True))
        chat.create(**CHAT, stream=True)
        gc.collect()
        client.responses.create(**RESPOND)
        list(client.responses.create(**RESPOND, stream=True))
        client.embeddings.create(model="text-embedding-3-small", input=SECRET)
        client.completions.create(model="gpt-3.5-turbo-instruct", prompt=SECRET)
        client.images.generate(model="gpt-image-1", prompt=SECRET)
        client.audio.speech.create(model="tts-1", input=SECRET, voice="alloy")
        client.audio.transcriptions.create(model="whisper-1", file=(SECRET, b"x"), prompt=SECRET)
        for scenario in (Scenario(raw=refused), Scenario(raw=broken), Scenario(cut_after=1), Scenario(report="none")):
            provider.expect(scenario, scenario)
            attempt(lambda: chat.create(**CHAT))
            attempt(lambda: list(chat.create(**CHAT, stream=True)))
    with anthropic.Anthropic(base_url=provider.base_url_anthropic, **options) as claude:
        provider.expect(Scenario(response=CONTENT))
        claude.messages.create(**ASK, extra_headers=headers)
        list(claude.messages.create(**ASK, stream=True))
        leave(claude.messages.create(**ASK, stream=True))
        with claude.messages.stream(**ASK) as stream:
            stream.get_final_message()
        for scenario in (Scenario(raw=refused), Scenario(raw=broken), Scenario(error_after=2), Scenario(report="null")):
            provider.expect(scenario, scenario)
            attempt(lambda: claude.messages.create(**ASK))
            attempt(lambda: list(claude.messages.create(**ASK, stream=True)))


@pytest.mark.parametrize("settings", [{}, {"estimate": True, "credential_salt": "s"}], ids=["plain", "all switched on"])
def test_a_canary_in_every_place_is_found_nowhere(
    watching: Any,
    provider: LocalProvider,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(otel_metrics, "get_meter", meters.get_meter)
    watch = watching(**settings, metrics_optional=("request.cost", "cost.part", "time_per_output_chunk"))
    watch.recorder.instruments = watch.recorder.metrics.instruments = Instruments("", lambda: ("", 0.0), ())
    with caplog.at_level(logging.DEBUG, "otel_tokenomics"):
        every_form(provider)
        settled = watch.settled
    assert len(settled) > 25
    spans = "".join(span.to_json() for span in watch.spans)
    assert "gen_ai.usage.input_tokens" in spans
    points: Any = reader.get_metrics_data()
    assert "tokenomics.client.tokens" in points.to_json()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("otel_tokenomics")]
    for place in (spans, points.to_json(), "".join(ours), str(failures.counts())):
        assert SECRET not in place
    assert SECRET not in "".join(str(call.outcome) for call in settled)


def test_the_text_of_our_own_failure_is_not_logged(
    watching: Any, provider: LocalProvider, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = watching()

    def fail(*_args: Any, **_named: Any) -> Any:
        raise ValueError(SECRET)

    with monkeypatch.context() as patched, caplog.at_level(logging.DEBUG, "otel_tokenomics"):
        patched.setattr(failures, "_counts", failures.Counter())
        patched.setattr(watch.recorder, "settle", fail)
        every_form(provider)
        assert watch.settled == []
        assert failures.counts()["record"] > 25
    assert [record.levelname for record in caplog.records if record.name == "otel_tokenomics"].count("WARNING") == 1
    assert SECRET not in caplog.text
