"""The Live API of google-genai: each turn of a session is one charge, and the caller sees no difference."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any

import pytest
from google import genai
from opentelemetry import trace
from opentelemetry.context import attach, detach, set_value
from socket_provider import LIVE_USAGE, SocketProvider, Turn, spoken
from socket_talk import teams

from otel_tokenomics.attributes import names
from otel_tokenomics.tags import tags

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(?!otel_tokenomics)"),
]
MODEL = "gemini-3.8-live"
#: 357 text and 165 sound given, 42 sound made; USD per million: 0.75, 3 and 12.
COST = (357 * 75 + 165 * 3_00 + 42 * 12_00) * 10**4
SAID: Any = {"role": "user", "parts": [{"text": "canary-prompt"}]}
END: Any = {"serverContent": {"turnComplete": True}}
COUNTED: Any = {"usageMetadata": LIVE_USAGE}
TOOL_CALL: Any = {"toolCall": {"functionCalls": [{"id": "call-1", "name": "weather", "args": {}}]}}
LESS: Any = {"usageMetadata": {"promptTokenCount": 522, "responseTokenCount": 1, "totalTokenCount": 523}}


def client_of(provider: SocketProvider, **more: Any) -> Any:
    options = genai.types.HttpOptions(base_url=provider.base_url("google-api"))
    client = genai.Client(api_key="k", http_options=options, **more)
    # The client opens sessions with TLS alone: here it is told to leave it out, and nothing else.
    client._api_client._websocket_base_url = lambda *_: f"ws://{provider.host}/google-api"
    client._api_client._websocket_ssl_ctx = {}
    return client


@pytest.fixture
def live(provider: SocketProvider) -> Any:
    return client_of(provider).aio.live


async def ask(session: Any) -> None:
    await session.send_client_content(turns=SAID)


async def answer(session: Any) -> list[Any]:
    return [message async for message in session.receive()]


async def test_a_turn_is_one_charge_of_what_was_billed(watch: Any, provider: Any, live: Any) -> None:
    async with live.connect(model=MODEL, config={"max_output_tokens": 99}) as session:
        await ask(session)
        messages = await answer(session)
        assert watch.one.outcome.end == "completed"
    assert messages[-1].usage_metadata.total_token_count == 564
    (span,) = watch.spans
    assert span.name == f"generate_content {MODEL}"
    assert span.attributes[names.GEN_AI_USAGE_INPUT_TOKENS] == provider.billed[0].usage["promptTokenCount"]
    assert span.attributes[names.GEN_AI_USAGE_OUTPUT_TOKENS] == provider.billed[0].usage["responseTokenCount"]
    assert span.attributes[names.GEN_AI_REQUEST_MAX_TOKENS] == 99
    assert (watch.one.choice.name, watch.one.choice.price_host) == ("gcp.gemini", None)
    assert (watch.one.cost.status, watch.one.cost.total) == ("priced", COST)


async def test_each_turn_of_a_session_is_billed_for_all_that_it_holds(watch: Any, provider: Any, live: Any) -> None:
    grown = {"promptTokenCount": 600, "responseTokenCount": 10, "totalTokenCount": 610}
    provider.expect(Turn(), Turn(usage=grown))
    async with live.connect(model=MODEL) as session:
        for team in ("first", "second"):
            with tags(team=team):
                await ask(session)
            await answer(session)
    assert [made.tokens for made in watch.settled] == [564, 610]
    assert teams(watch) == ["first", "second"]


@pytest.mark.parametrize(
    "messages",
    [
        # Usage beside the end; amid the answer, too; around the end; running totals.
        [spoken(), {**END, **COUNTED}],
        [{**spoken(), **LESS}, {**END, **COUNTED}],
        [spoken(), COUNTED, END],
        [spoken(), END, COUNTED],
        [{**spoken(), **LESS}, END, COUNTED],
        [spoken(), END, {"sessionResumptionUpdate": {"newHandle": "h"}, **COUNTED}],
        [{**spoken(), **LESS}, {**spoken(), **LESS}, {"serverContent": {"interrupted": True}}, {**END, **COUNTED}],
    ],
    ids=["end", "running", "before", "after", "running-after", "with-another", "interrupted"],
)
async def test_usage_is_the_last_that_a_turn_states(watch: Any, provider: Any, live: Any, messages: Any) -> None:
    provider.expect(Turn(messages=tuple(messages)), Turn())
    async with live.connect(model=MODEL) as session:
        await ask(session)
        for _ in messages:
            await session._receive()
        await ask(session)
        await answer(session)
    assert [made.outcome.end for made in watch.settled] == ["completed", "completed"]
    assert [made.cost.total for made in watch.settled] == [COST, COST]
    assert len(provider.billed) == 2


async def test_a_tool_call_that_is_counted_is_a_request_of_its_own(watch: Any, provider: Any, live: Any) -> None:
    provider.expect(Turn(messages=({**TOOL_CALL, **COUNTED},)), Turn())
    async with live.connect(model=MODEL) as session:
        await ask(session)
        await session._receive()
        result = {"id": "call-1", "name": "weather", "response": {"sky": "clear"}}
        await session.send_tool_response(function_responses=[result])
        await answer(session)
    assert [made.cost.total for made in watch.settled] == [COST, COST]
    assert len(provider.billed) == 2


async def test_a_tool_call_that_is_not_counted_is_part_of_its_turn(watch: Any, provider: Any, live: Any) -> None:
    provider.expect(Turn(messages=(TOOL_CALL,)), Turn())
    async with live.connect(model=MODEL) as session:
        await ask(session)
        await session._receive()
        result = {"id": "call-1", "name": "weather", "response": {"sky": "clear"}}
        await session.send_tool_response(function_responses=[result])
        await answer(session)
    assert watch.one.cost.total == COST
    assert len(provider.billed) == 1


async def test_what_is_heard_belongs_to_who_opened_the_session(watch: Any, live: Any) -> None:
    tracer = watch.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("session") as parent, tags(team="opened"):
        opening = live.connect(model=MODEL)
        session = await opening.__aenter__()
    with tags(team="elsewhere"):
        await session.send_realtime_input(audio={"data": b"00", "mime_type": "audio/pcm"})
        await session.send_realtime_input(audio_stream_end=True)
        await answer(session)
        await session.send_realtime_input(text="canary-prompt")
        await answer(session)
    await opening.__aexit__(None, None, None)
    assert teams(watch) == ["opened", "elsewhere"]
    turns = [span for span in watch.spans if span.name.startswith("generate_content")]
    assert [span.parent and span.parent.span_id for span in turns] == [parent.get_span_context().span_id, None]


async def test_a_session_that_is_cut(watch: Any, provider: Any, live: Any) -> None:
    provider.expect(Turn(stops="cut"))
    async with live.connect(model=MODEL) as session:
        await ask(session)
        with pytest.raises(genai.errors.APIError):
            await answer(session)
        made = watch.one
    assert (made.outcome.end, made.outcome.error_type) == ("error", "APIError")
    assert (made.cost.status, made.cost.reason) == ("unpriced", "no_usage")
    assert watch.spans[0].status.status_code == trace.StatusCode.ERROR
    assert len(watch.settled) == len(provider.billed) == 1


async def test_a_session_that_is_left(watch: Any, provider: Any, live: Any) -> None:
    async with live.connect(model=MODEL) as session:
        await ask(session)
    assert (watch.one.outcome.end, watch.one.cost.reason) == ("abandoned", "billing_unknown")
    async with live.connect(model=MODEL) as session:
        await ask(session)
        await session._receive()
        await session.close()
        assert watch.settled[1].outcome.end == "abandoned"
    assert len(watch.settled) == 2


async def test_a_session_that_nobody_reads_is_settled(watch: Any, live: Any) -> None:
    opening = live.connect(model=MODEL)
    session = await opening.__aenter__()
    await ask(session)
    socket = session._ws
    del opening, session
    gc.collect()
    await asyncio.sleep(0.05)
    gc.collect()
    assert watch.one.outcome.end == "abandoned"
    await socket.close()


async def test_a_task_that_is_cancelled_amid_an_answer(watch: Any, provider: Any, live: Any) -> None:
    provider.expect(Turn(stops="open"))
    begun = asyncio.Event()

    async def conversation() -> None:
        async with live.connect(model=MODEL) as session:
            await ask(session)
            while await session._receive():
                begun.set()

    task = asyncio.create_task(conversation())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (watch.one.outcome.end, watch.one.outcome.error_type) == ("cancelled", "CancelledError")


async def test_sessions_side_by_side(watch: Any, provider: Any, live: Any) -> None:
    async def one(number: int) -> None:
        with tags(team=f"team-{number}"):
            async with live.connect(model=MODEL) as session:
                for _ in range(3):
                    await ask(session)
                    await answer(session)

    await asyncio.gather(*(one(number) for number in range(6)))
    counts = teams(watch)
    assert {team: counts.count(team) for team in set(counts)} == {f"team-{number}": 3 for number in range(6)}
    assert sum(made.cost.total for made in watch.settled) == 18 * COST
    assert len(provider.billed) == 18


async def test_where_spans_are_suppressed_the_money_is_counted(watch: Any, live: Any) -> None:
    async with live.connect(model=MODEL) as session:
        token = attach(set_value("suppress_instrumentation", True))
        await ask(session)
        detach(token)
        await answer(session)
    assert watch.spans == []
    assert (watch.one.has_span, watch.one.cost.total) == (False, COST)


async def test_the_caller_sees_what_he_saw_without_us(watching: Any, provider: Any, live: Any) -> None:
    async def script() -> list[Any]:
        provider.expect(Turn(), Turn(messages=(TOOL_CALL, COUNTED)), Turn(stops="cut"))
        opening = live.connect(model=MODEL)
        seen: list[Any] = [type(opening)]
        async with opening as session:
            seen.append(type(session))
            await ask(session)
            seen += [message.model_dump() for message in await answer(session)]
            await ask(session)
            seen += [(await session._receive()).model_dump() for _ in range(2)]
            await ask(session)
            try:
                await answer(session)
            except genai.errors.APIError as error:
                seen.append((type(error), str(error)))
        try:
            async with live.connect(model=MODEL):
                raise KeyError("mine")
        except KeyError as error:
            seen.append((type(error), str(error), error.__cause__, error.__context__))
        return seen

    bare = await script()
    sent = list(provider.seen)
    provider.seen.clear()
    signature = inspect.signature(live.connect)
    watched = watching()
    assert inspect.signature(live.connect) == signature
    assert await script() == bare
    assert provider.seen == sent
    assert len(watched.settled) == 3


async def test_uninstrument_restores_and_settles(watch: Any, provider: Any, live: Any) -> None:
    provider.expect(Turn(stops="silent"), Turn())
    async with live.connect(model=MODEL) as session:
        await ask(session)
        watch.engine.uninstrument()
        assert watch.one.outcome.end == "abandoned"
        assert not [
            name for kind in (type(session), type(live)) for name, value in vars(kind).items()
            if "wrapt" in type(value).__module__
        ]  # fmt: skip
        await ask(session)
        await answer(session)
    assert len(watch.settled) == 1


async def test_no_content_is_kept(watch: Any, live: Any) -> None:
    async with live.connect(model=MODEL) as session:
        await ask(session)
        await answer(session)
    text = watch.spans[0].to_json()
    assert "canary" not in text
    assert "word" not in text


async def test_vertex_is_told_by_the_client(watch: Any, provider: Any) -> None:
    # Vertex AI has another word for what was made.
    provider.expect(Turn(usage={"promptTokenCount": 522, "candidatesTokenCount": 42, "totalTokenCount": 564}))
    live = client_of(provider, vertexai=True).aio.live
    async with live.connect(model=MODEL) as session:
        await ask(session)
        await answer(session)
    assert watch.one.request.provider == "gcp.vertex_ai"
    assert (watch.one.request.model, watch.one.tokens) == (MODEL, 564)


@pytest.mark.parametrize("usage", [{"promptTokenCount": -1}, {"promptTokenCount": 10**20}])
async def test_usage_that_is_no_usage(watch: Any, provider: Any, live: Any, usage: Any) -> None:
    provider.expect(Turn(usage=usage))
    async with live.connect(model=MODEL) as session:
        await ask(session)
        await answer(session)
    assert (watch.one.cost.status, watch.one.cost.reason) == ("unpriced", "invalid_usage")
