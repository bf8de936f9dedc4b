"""Connections that were opened before us: what is asked and answered on them from then on is charged."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from google import genai
from opentelemetry.context import attach, detach, get_current, set_value
from socket_provider import SocketProvider
from socket_talk import Talk, settle, talking, teams, total

from otel_tokenomics.attributes import names
from otel_tokenomics.instrumentation.suppression import METERED
from otel_tokenomics.tags import tags

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(?!otel_tokenomics)"),
]


async def test_what_comes_later_is_charged(watching: Any, provider: SocketProvider, talk: Talk) -> None:
    async with talk.opened() as connection:
        await talk.ask(connection)
        await talk.answer(connection)
        watch = watching()
        watch.recorder.writes_tags = True
        for team in ("first", "second"):
            with tags(team=team):
                await talk.ask(connection)
            await talk.answer(connection)
    assert len(provider.billed) == 3
    assert [made.outcome.end for made in watch.settled] == ["completed", "completed"]
    assert total(watch) == 2 * talk.cost
    assert teams(watch) == ["first", "second"]
    one = watch.settled[0]
    assert (one.choice.name, one.request.host, one.request.path) == ("openai", "127.0.0.1", "/openai-api/v1")
    assert watch.spans[0].attributes[names.GEN_AI_REQUEST_MODEL] == talk.model
    assert [span.attributes[names.GEN_AI_RESPONSE_ID] for span in watch.spans] == [
        line.response_id for line in provider.billed[1:]
    ]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("api", ["beta.responses", "beta.realtime"])
async def test_on_the_beta_apis_too(watching: Any, provider: SocketProvider, kind: str, api: str) -> None:
    async with talking(provider, kind, api) as talk, talk.opened() as connection:
        watch = watching()
        await talk.ask(connection)
        await talk.answer(connection)
        assert total(watch) == talk.cost


async def test_a_response_that_was_asked_for_before_is_charged_as_it_comes(watching: Any, talk: Talk) -> None:
    async with talk.opened() as connection:
        await talk.ask(connection)
        watch = watching()
        await talk.answer(connection)
    assert watch.one.outcome.end == "completed"
    assert watch.one.cost.total == talk.cost


async def test_each_is_seen_by_one_of_two_that_follow(watching: Any, talk: Talk) -> None:
    async with talk.opened() as connection:
        first = watching()
        await talk.ask(connection)
        await talk.answer(connection)
        first.engine.uninstrument()
        await talk.ask(connection)
        await talk.answer(connection)
        second = watching()
        await talk.ask(connection)
        await talk.answer(connection)
    assert [total(first), total(second)] == [talk.cost, talk.cost]


async def test_what_is_metered_already_is_not_charged_again(watch: Any, talk: Talk) -> None:
    """A connection that was opened within a call of ours is that call's, at every later message."""
    token = attach(set_value(METERED, True, get_current()))
    try:
        manager = talk.manager()
        connection = await settle(manager.enter())
    finally:
        detach(token)
    await talk.ask(connection)
    await talk.answer(connection)
    await settle(connection.close())
    assert watch.settled == []


async def test_one_that_is_left_ends_its_call_and_is_not_kept(watching: Any, talk: Talk) -> None:
    manager = talk.manager()
    connection = await settle(manager.enter())
    watch = watching()
    await talk.ask(connection)
    await settle(connection.close())
    assert watch.one.outcome.end == "abandoned"
    gone = weakref.ref(connection)
    del connection, manager
    for _ in range(3):
        await asyncio.sleep(0)
        gc.collect()
    assert gone() is None


async def test_a_session_of_gemini_has_forgotten_its_model(watching: Any, provider: SocketProvider) -> None:
    """The setup alone names it, and neither the session nor a message says it again: unpriced, and told."""
    options = genai.types.HttpOptions(base_url=provider.base_url("google-api"))
    client: Any = genai.Client(api_key="k", http_options=options)
    client._api_client._websocket_base_url = lambda *_: f"ws://{provider.host}/google-api"
    client._api_client._websocket_ssl_ctx = {}
    async with client.aio.live.connect(model="gemini-3.8-live") as session:
        watch = watching()
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Hello"}]})
        assert [message async for message in session.receive()]
    assert watch.one.outcome.end == "completed"
    assert watch.one.tokens == provider.billed[0].usage["totalTokenCount"]
    assert (watch.one.choice.name, watch.one.cost.status, watch.one.cost.reason) == (
        "gcp.gemini",
        "unpriced",
        "no_model",
    )
