"""OpenAI's Live API and realtime translations: a session is one charge, what it delegates is charged by itself."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from socket_provider import SocketProvider, Turn
from socket_talk import RESPONSES_COST, settle, teams

from otel_tokenomics.tags import tags

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(?!otel_tokenomics)"),
    pytest.mark.skipif(not hasattr(openai.OpenAI, "live"), reason="this version has no Live API"),
]
#: 12 seconds; 0.05 USD per minute.
COST = 12 * 833_333_333
DECISION_COST = (100 * 2_50 + 10 * 15_00) * 10**4


@pytest.fixture(params=["sync", "async"])
async def client(request: Any, provider: SocketProvider) -> Any:
    kind: Any = openai.OpenAI if request.param == "sync" else openai.AsyncOpenAI
    made = kind(api_key="k", websocket_base_url=f"ws://{provider.host}/openai-api/v1", max_retries=0)
    yield made
    await settle(made.close())


async def until(connection: Any, kind: str) -> Any:
    while True:
        event = await settle(connection.recv())
        if event.type == kind:
            return event


async def test_a_session_is_one_charge_by_the_second(watch: Any, provider: SocketProvider, client: Any) -> None:
    with tags(team="search"):
        connection = await settle(client.live.connect().enter())
    await settle(connection.session.start(session={"model": "gpt-live-1"}))
    for _ in range(2):
        await settle(connection.session.input_audio.append(audio="AAAA"))
        await until(connection, "session.usage.updated")
    await settle(connection.session.close())
    await until(connection, "session.closed")
    await settle(connection.close())
    (line,) = provider.billed
    assert watch.one.outcome.reading.usage.counts == {"audio_in_second": line.usage["seconds"]}
    assert (watch.one.outcome.end, watch.one.cost.status, watch.one.cost.total) == ("completed", "priced", COST)
    (span,) = watch.spans
    assert (span.name, span.attributes["gen_ai.response.id"]) == ("chat gpt-live-1", line.response_id)
    assert teams(watch) == ["search"]


async def test_what_a_session_delegates_is_charged_by_itself(watch: Any, provider: SocketProvider, client: Any) -> None:
    connection = await settle(client.live.connect().enter())
    await settle(connection.session.start(session={"model": "gpt-live-1"}))
    await settle(connection.response.create())
    await until(connection, "decision.event")
    await settle(connection.session.close())
    await until(connection, "session.closed")
    await settle(connection.close())
    assert [made.cost.total for made in watch.settled] == [RESPONSES_COST, DECISION_COST, COST]
    assert [made.outcome.reading.response_id for made in watch.settled] == [
        line.response_id for line in provider.billed
    ]


async def test_a_session_that_is_left_is_charged_as_far_as_is_known(
    watch: Any, provider: SocketProvider, client: Any
) -> None:
    provider.expect(Turn(stops="silent"))
    connection = await settle(client.live.connect().enter())
    await settle(connection.session.start(session={"model": "gpt-live-1"}))
    await settle(connection.session.input_audio.append(audio="AAAA"))
    await until(connection, "session.usage.updated")
    await settle(connection.close())
    assert watch.one.outcome.end == "abandoned"
    assert (watch.one.cost.status, watch.one.cost.total) == ("partial", 5 * 833_333_333)


@pytest.mark.parametrize("place", ["sideband", "forks"])
async def test_other_doors_to_a_session(watch: Any, provider: SocketProvider, client: Any, place: str) -> None:
    manager = getattr(client.live, place).connect(session_id="sess_1")
    connection = await settle(manager.enter())
    await settle(connection.send_raw(json.dumps({"type": "session.start", "session": {}})))
    await settle(connection.session.close())
    await until(connection, "session.closed")
    await settle(connection.close())
    assert (watch.one.cost.status, watch.one.cost.total) == ("priced", COST)


async def test_one_that_was_opened_before_is_charged_when_it_is_closed(watching: Any, client: Any) -> None:
    connection = await settle(client.live.connect().enter())
    await settle(connection.session.start(session={"model": "gpt-live-1"}))
    await until(connection, "session.started")
    watch = watching()
    await settle(connection.session.close())
    await until(connection, "session.closed")
    await settle(connection.close())
    assert (watch.one.cost.status, watch.one.cost.total) == ("priced", COST)


@pytest.mark.parametrize("heard", [False, True])
async def test_a_translation_reports_no_usage(watch: Any, client: Any, heard: bool) -> None:
    connection = await settle(client.realtime.translations.connect(model="gpt-realtime-translate").enter())
    for _ in range(2 if heard else 0):
        await settle(connection.session.input_audio_buffer.append(audio="AAAA"))
        await until(connection, "session.output_audio.delta")
    await settle(connection.session.close())
    await until(connection, "session.closed")
    await settle(connection.close())
    if not heard:
        assert watch.settled == []
        return
    assert (watch.one.outcome.end, watch.one.request.model) == ("completed", "gpt-realtime-translate")
    assert (watch.one.cost.status, watch.one.cost.reason, watch.one.cost.total) == ("unpriced", "no_usage", None)


async def test_a_translation_that_is_left_is_told(watch: Any, client: Any) -> None:
    connection = await settle(client.realtime.translations.connect(model="gpt-realtime-translate").enter())
    await settle(connection.session.input_audio_buffer.append(audio="AAAA"))
    await settle(connection.close())
    assert (watch.one.outcome.end, watch.one.cost.status) == ("abandoned", "unpriced")
