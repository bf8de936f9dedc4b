"""What only the Realtime API does: answers unasked, transcriptions beside, responses that are cancelled."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from socket_provider import HEARD_USAGE, Turn
from socket_talk import (
    PICO,
    REALTIME_COST,
    REALTIME_MODEL,
    Talk,
    settle,
    total,
)

from otel_tokenomics.attributes import names
from otel_tokenomics.tags import tags

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(?!otel_tokenomics)")


async def test_a_cancelled_response_is_billed(watch: Any, provider: Any, realtime: Talk) -> None:
    provider.expect(Turn(stops="open"))
    async with realtime.opened() as connection:
        await realtime.ask(connection)
        while (await settle(connection.recv())).type != "response.output_audio.delta":
            pass
        await settle(connection.response.cancel())
        await realtime.answer(connection)
    assert len(provider.billed) == 1
    assert (watch.one.outcome.end, watch.one.cost.total) == ("completed", REALTIME_COST)
    assert watch.spans[0].attributes[names.GEN_AI_RESPONSE_STATUS] == "cancelled"


async def test_what_the_server_answers_unasked_belongs_to_who_opened_the_connection(
    watch: Any, provider: Any, realtime: Talk
) -> None:
    tracer = watch.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("session") as session, tags(team="opened"):
        manager = realtime.manager()
        connection = await settle(manager.enter())
    with tags(team="elsewhere"):
        await settle(connection.session.update(session={"type": "realtime", "turn_detection": {"type": "server_vad"}}))
        await settle(connection.input_audio_buffer.append(audio="AAAA"))
        await settle(connection.input_audio_buffer.commit())
        await realtime.answer(connection)
        # The next one is asked for again, by somebody else.
        await realtime.ask(connection)
        await realtime.answer(connection)
    await settle(connection.close())
    unasked, asked = [span for span in watch.spans if span.name.startswith("chat")]
    assert unasked.parent.span_id == session.get_span_context().span_id
    assert unasked.attributes["tokenomics.tag.team"] == "opened"
    assert (asked.parent, asked.attributes["tokenomics.tag.team"]) == (None, "elsewhere")
    assert total(watch) == 2 * REALTIME_COST


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        # 3 text and 14 sound heard, 9 made; 2.4 seconds are billed as 3.
        ("gpt-4o-transcribe", (3 * 2_50 + 14 * 6_00 + 9 * 10_00) * PICO // 100),
        ("whisper-1", 3 * 100 * PICO),
    ],
)
async def test_a_transcription_beside_is_billed_at_its_own_models_rates(
    watch: Any, provider: Any, realtime: Talk, model: str, cost: int
) -> None:
    async with realtime.opened() as connection:
        heard: Any = {"type": "realtime", "audio": {"input": {"transcription": {"model": model}}}}
        await settle(connection.session.update(session=heard))
        await settle(connection.input_audio_buffer.commit())
        while (await settle(connection.recv())).type != "conversation.item.input_audio_transcription.completed":
            pass
        await realtime.ask(connection)
        await realtime.answer(connection)
    transcription, response = watch.settled
    assert (transcription.operation.api, transcription.request.model) == ("transcription", model)
    assert (transcription.cost.status, transcription.cost.total) == ("priced", cost)
    assert response.cost.total == REALTIME_COST
    assert [line.api for line in provider.billed] == ["transcription", "realtime"]
    if model == "gpt-4o-transcribe":
        assert watch.spans[0].attributes[names.GEN_AI_USAGE_INPUT_TOKENS] == HEARD_USAGE["input_tokens"]


async def test_errors_that_are_of_no_response_end_none(watch: Any, provider: Any, realtime: Talk) -> None:
    provider.expect(
        Turn(error={"code": "input_audio_buffer_commit_empty", "event_id": None}),
        Turn(error={"code": "conversation_already_has_active_response", "event_id": None}),
        Turn(error={"code": "invalid_value", "event_id": "mine"}),
    )
    async with realtime.opened() as connection:
        await realtime.ask(connection)
        await realtime.answer(connection)
        assert watch.settled == []
        await realtime.ask(connection)
        await realtime.answer(connection)
        assert watch.one.outcome.error_type == "conversation_already_has_active_response"
        await realtime.ask(connection, event_id="mine")
        await realtime.answer(connection)
        assert len(watch.settled) == 2


async def test_parameters_of_a_question_stand_on_its_span(watch: Any, realtime: Talk) -> None:
    async with realtime.opened() as connection:
        await realtime.ask(connection, response={"max_output_tokens": 77})
        await realtime.answer(connection)
    assert watch.spans[0].attributes[names.GEN_AI_REQUEST_MAX_TOKENS] == 77


async def test_an_event_that_comes_twice_is_one_charge(watch: Any, realtime: Talk) -> None:
    async with realtime.opened() as connection:
        await realtime.ask(connection)
        event = (await realtime.answer(connection))[-1]
        for state in [*watch.engine._seams["openai"]._connections._of.values()]:
            state.received(event.to_json())
    assert len(watch.settled) == 1


async def test_a_connection_that_reconnects_goes_on(watch: Any, provider: Any, realtime: Talk) -> None:
    try:
        manager = realtime.client.realtime.connect(
            model=REALTIME_MODEL, on_reconnecting=lambda _: None, initial_delay=0.0
        )
    except TypeError:
        pytest.skip(f"openai {openai.__version__} does not reconnect")
    provider.expect(Turn(stops="cut"), Turn())
    connection = await settle(manager.enter())
    await realtime.ask(connection)
    items = aiter(connection) if hasattr(connection, "__aiter__") else iter(connection)
    sessions, kind = 0, ""
    while kind != "response.done":
        kind = (await anext(items) if hasattr(items, "__anext__") else next(items)).type
        sessions += kind == "session.created"
        if kind == "session.created" and sessions == 2:
            await realtime.ask(connection)
    await settle(connection.close())
    assert [made.outcome.end for made in watch.settled] == ["error", "completed"]
    assert total(watch) == REALTIME_COST
