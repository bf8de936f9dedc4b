"""What only the websocket mode of the Responses API does: lanes, and errors amid an answer."""

from __future__ import annotations

import inspect
from typing import Any

import openai
import pytest
from socket_provider import Turn
from socket_talk import (
    RESPONSES_COST,
    RESPONSES_MODEL,
    Talk,
    talking,
    teams,
)

from otel_tokenomics.tags import tags

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(?!otel_tokenomics)")


async def test_lanes_answer_side_by_side(watch: Any, provider: Any, responses: Talk) -> None:
    if (
        "stream_id"
        not in inspect.signature(openai.resources.responses.responses.ResponsesResponseResource.create).parameters
    ):
        pytest.skip(f"openai {openai.__version__} has no lanes")
    provider.expect(Turn(stops="open"), Turn(), Turn(error={"type": "server_error", "code": "busy"}, broken=True))
    async with responses.opened() as connection:
        for lane in ("left", "right", "broken"):
            with tags(team=lane):
                await responses.ask(connection, stream_id=lane)
        await responses.answer(connection)
        assert teams(watch) == ["right"]
        await responses.answer(connection)
        assert teams(watch) == ["right", "broken"]
    assert teams(watch) == ["right", "broken", "left"]
    assert [made.outcome.end for made in watch.settled] == ["completed", "error", "abandoned"]
    assert len(provider.billed) == 3


async def test_an_error_amid_an_answer_ends_it(watch: Any, provider: Any, responses: Talk) -> None:
    provider.expect(Turn(error={"type": "server_error", "code": "server_error", "message": "no"}, broken=True))
    async with responses.opened() as connection:
        await responses.ask(connection)
        await responses.answer(connection)
        assert (watch.one.outcome.end, watch.one.cost.reason) == ("error", "no_usage")


async def test_sessions_of_lanes_are_connections_like_others(watch: Any, provider: Any) -> None:
    try:
        from openai.lib.responses_websocket import ResponsesWebSocketLimits, ResponsesWebSocketSession
    except ImportError:
        pytest.skip(f"openai {openai.__version__} has no sessions of lanes")
    limits = ResponsesWebSocketLimits(
        max_lanes=4, max_events_per_lane=99, max_events=99, max_bytes_per_lane=10**6, max_bytes=10**6
    )
    async with talking(provider, "sync", "responses") as talk:
        with talk.manager() as connection, ResponsesWebSocketSession(connection, limits=limits) as session:
            lane = session.lane("one")
            lane.send({"type": "response.create", "model": RESPONSES_MODEL, "input": "Say it."})
            assert lane.get_final_response(timeout=5).id == provider.billed[0].response_id
    assert watch.one.cost.total == RESPONSES_COST


HOSTILE: list[Any] = [
    b'{"type": "response.created", "response": {"id": "resp_x"',
    b'["response.created"]',
    b'"response.created"',
    b'\xff\xfe "response.created"',
    b'{"type": "response.created"}',
    b'{"type": "response.created", "response": []}',
    b'{"type": "response.created", "response": {"id": 7}}',
    b'{"type": ["response.created"], "response": {"id": "resp_x"}}',
    b'{"type": "response.surprised", "of": "response.created", "response": {}}',
    b'{"type": "error", "error": "no", "status": "400"}',
    b'{"type": "response.created", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    None,
    7,
]


@pytest.mark.parametrize("api", ["responses", "realtime"])
async def test_what_is_no_event_changes_nothing(watch: Any, provider: Any, api: str) -> None:
    async with talking(provider, "async", api) as talk, talk.opened() as connection:
        await talk.ask(connection)
        for state in [*watch.engine._seams["openai"]._connections._of.values()]:
            for message in HOSTILE[:9] + HOSTILE[10:]:
                state.received(message)
        assert watch.settled == []
        await talk.answer(connection)
        assert watch.one.cost.total == talk.cost
