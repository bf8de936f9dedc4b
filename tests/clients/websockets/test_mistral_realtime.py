"""Mistral's realtime transcription: each connection that hears something is one charge, by the second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from socket_provider import SocketProvider, Turn
from socket_talk import teams

from otel_tokenomics.tags import tags

try:
    from mistralai.client import Mistral
except ImportError:  # the first major
    from mistralai import Mistral

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
MODEL = "voxtral-mini-transcribe-realtime-2602"
#: 7 seconds; 0.006 USD per minute.
COST = 7 * 6 * 10**9 // 60


@pytest.fixture
def transcription(provider: SocketProvider) -> Any:
    return Mistral(api_key="k", server_url=provider.base_url("mistral-api")).audio.realtime


async def sound() -> AsyncIterator[bytes]:
    for _ in range(2):
        yield b"\0" * 64


async def test_a_transcript_is_one_charge_by_the_second(watch: Any, provider: Any, transcription: Any) -> None:
    with tags(team="search"):
        events = [event async for event in transcription.transcribe_stream(sound(), MODEL)]
    assert (type(events[-1]).__name__, events[-1].text) == ("TranscriptionStreamDone", "word word ")
    (billed,) = provider.billed
    counts = watch.one.outcome.reading.usage.counts
    assert counts == {"audio_in_second": billed.usage["prompt_audio_seconds"]}
    assert (watch.one.outcome.end, watch.one.cost.status, watch.one.cost.total) == ("completed", "priced", COST)
    assert teams(watch) == ["search"]
    (span,) = watch.spans
    assert span.name == f"generate_content {MODEL}"
    assert span.attributes["gen_ai.provider.name"] == "mistral_ai"
    assert (watch.one.request.host, watch.one.request.path) == ("127.0.0.1", "/mistral-api")


async def test_one_that_was_opened_before_is_seen(watching: Any, provider: Any, transcription: Any) -> None:
    async with await transcription.connect(MODEL) as connection:
        watch = watching()
        await connection.send_audio(b"\0" * 64)
        await connection.end_audio()
        async for event in connection:
            if event.type == "transcription.done":
                break
    assert (watch.one.request.model, watch.one.request.path) == (MODEL, "/mistral-api")
    assert watch.one.cost.total == COST


@pytest.mark.parametrize("heard", [False, True])
async def test_one_that_is_left_is_told_if_it_heard_anything(watch: Any, transcription: Any, heard: bool) -> None:
    async with await transcription.connect(MODEL) as connection:
        if heard:
            await connection.send_audio(b"\0" * 64)
    if not heard:
        assert watch.settled == []
        return
    assert (watch.one.outcome.end, watch.one.cost.status) == ("abandoned", "unpriced")


async def test_one_that_is_cancelled_is_told(watch: Any, provider: Any, transcription: Any) -> None:
    provider.expect(Turn(stops="silent"))

    async def listen() -> None:
        async for _ in transcription.transcribe_stream(sound(), MODEL):
            pass

    task = asyncio.create_task(listen())
    while not provider.billed:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert watch.one.cost.status == "unpriced"


async def test_an_error_of_the_server_is_an_error(watch: Any, provider: Any, transcription: Any) -> None:
    provider.expect(Turn(error={"message": "no", "code": 3001}))
    events = [event.type async for event in transcription.transcribe_stream(sound(), MODEL)]
    assert events[-1] == "error"
    assert (watch.one.outcome.end, watch.one.outcome.error_type) == ("error", "3001")
    assert provider.billed == []


async def test_a_transcript_without_usage_has_no_price(watch: Any, provider: Any, transcription: Any) -> None:
    provider.expect(Turn(usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}))
    assert [event async for event in transcription.transcribe_stream(sound(), MODEL)]
    assert (watch.one.outcome.end, watch.one.cost.status, watch.one.cost.total) == ("completed", "unpriced", None)
