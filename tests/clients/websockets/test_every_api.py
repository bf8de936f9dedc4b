"""Websockets of the openai client: each response on a connection is one charge, and the caller sees no difference."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from typing import Any

import openai
import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach, set_value
from socket_provider import SocketProvider, Turn
from socket_talk import (
    TERMINAL,
    Talk,
    settle,
    talking,
    teams,
    total,
)

from otel_tokenomics.attributes import names
from otel_tokenomics.instrumentation.suppression import METERED
from otel_tokenomics.tags import tags

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(?!otel_tokenomics)")


# --- every way to ask -----------------------------------------------------------------------------


async def test_a_response_is_one_charge_of_what_was_billed(watch: Any, provider: SocketProvider, talk: Talk) -> None:
    async with talk.opened() as connection:
        await talk.ask(connection)
        events = await talk.answer(connection)
        (line,) = provider.billed
        # Settled with its last event, long before the connection ends.
        assert watch.one.outcome.end == "completed"
    assert events[-1].response.id == line.response_id
    (span,) = watch.spans
    assert span.name == f"chat {talk.model}"
    assert span.attributes[names.GEN_AI_RESPONSE_ID] == line.response_id
    assert span.attributes[names.GEN_AI_USAGE_INPUT_TOKENS] == line.usage["input_tokens"]
    assert span.attributes[names.GEN_AI_USAGE_OUTPUT_TOKENS] == line.usage["output_tokens"]
    assert span.attributes[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] >= 0
    assert watch.one.cost.status == "priced"
    assert watch.one.cost.total == talk.cost
    assert (watch.one.choice.name, watch.one.request.host) == ("openai", "127.0.0.1")


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("api", ["beta.responses", "beta.realtime"])
async def test_the_beta_apis_too(watch: Any, provider: SocketProvider, kind: str, api: str) -> None:
    async with talking(provider, kind, api) as talk:
        async with talk.opened() as connection:
            await talk.ask(connection)
            await talk.answer(connection)
            await talk.ask(connection)
        assert [made.outcome.end for made in watch.settled] == ["completed", "abandoned"]
        assert total(watch) == talk.cost


async def test_two_responses_on_one_connection_are_two_charges(watch: Any, provider: Any, talk: Talk) -> None:
    async with talk.opened() as connection:
        for _ in range(2):
            await talk.ask(connection)
            await talk.answer(connection)
    assert [span.attributes[names.GEN_AI_RESPONSE_ID] for span in watch.spans] == [
        line.response_id for line in provider.billed
    ]
    assert total(watch) == 2 * talk.cost


async def test_questions_that_are_asked_ahead_are_answered_in_order(watch: Any, talk: Talk) -> None:
    async with talk.opened() as connection:
        for team in ("first", "second"):
            with tags(team=team):
                await talk.ask(connection)
        for _ in range(2):
            await talk.answer(connection)
    assert teams(watch) == ["first", "second"]


@pytest.mark.parametrize("status", ["incomplete", "failed"])
async def test_a_response_that_ends_early_is_billed(watch: Any, provider: Any, talk: Talk, status: str) -> None:
    provider.expect(Turn(status=status))
    async with talk.opened() as connection:
        await talk.ask(connection)
        await talk.answer(connection)
    assert watch.one.cost.total == talk.cost
    assert watch.spans[0].attributes[names.GEN_AI_RESPONSE_STATUS] == status


async def test_a_question_that_is_refused_costs_nothing(watch: Any, provider: Any, talk: Talk) -> None:
    param = {"param": "response.tools"} if talk.realtime else {}
    provider.expect(Turn(error={"type": "invalid_request_error", "code": "invalid_value", "message": "no", **param}))
    async with talk.opened() as connection:
        await talk.ask(connection)
        assert (await talk.answer(connection))[-1].type == "error"
        await talk.ask(connection)
        await talk.answer(connection)
    refused, answered = watch.settled
    assert (refused.outcome.end, refused.cost.status, refused.cost.reason) == ("error", "not_applicable", "call_failed")
    assert refused.outcome.error_type == ("invalid_value" if talk.realtime else "400")
    assert answered.cost.total == talk.cost
    assert len(provider.billed) == 1


async def test_a_connection_that_is_cut_ends_its_response(watch: Any, provider: Any, talk: Talk) -> None:
    provider.expect(Turn(stops="cut"))
    async with talk.opened() as connection:
        await talk.ask(connection)
        with pytest.raises(Exception, match="no close frame") as caught:
            await talk.answer(connection)
        made = watch.one
    assert (made.outcome.end, made.outcome.error_type) == ("error", type(caught.value).__name__)
    assert (made.cost.status, made.cost.reason) == ("unpriced", "no_usage")
    assert watch.spans[0].status.status_code == trace.StatusCode.ERROR
    assert len(provider.billed) == len(watch.settled) == 1


async def test_a_response_that_is_never_read_is_abandoned(watch: Any, talk: Talk) -> None:
    async with talk.opened() as connection:
        await talk.ask(connection)
    assert (watch.one.outcome.end, watch.one.cost.reason) == ("abandoned", "billing_unknown")
    assert watch.spans[0].status.status_code == trace.StatusCode.UNSET


async def test_an_open_response_that_is_left_had_begun(watch: Any, provider: Any, talk: Talk) -> None:
    async with talk.opened() as connection:
        await talk.ask(connection)
        while (await settle(connection.recv())).type != "response.created":
            pass
    assert (watch.one.outcome.end, watch.one.cost.reason) == ("abandoned", "no_usage")


async def test_a_connection_that_nobody_reads_is_settled(watch: Any, provider: Any, talk: Talk) -> None:
    connection = await settle(talk.manager().enter())
    await talk.ask(connection)
    inner = connection._connection
    del connection
    gc.collect()
    assert watch.one.outcome.end == "abandoned"
    await settle(inner.close())


async def test_connections_side_by_side(watch: Any, provider: Any, talk: Talk) -> None:
    async def one(number: int) -> None:
        with tags(team=f"team-{number}"):
            async with talk.opened() as connection:
                for _ in range(3):
                    await talk.ask(connection)
                    await asyncio.sleep(0)
                    await talk.answer(connection)

    if isinstance(talk.client, openai.AsyncOpenAI):
        await asyncio.gather(*(one(number) for number in range(8)))
    else:
        threads = [threading.Thread(target=lambda number=number: asyncio.run(one(number))) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    assert sorted(span.attributes[names.GEN_AI_RESPONSE_ID] for span in watch.spans) == sorted(
        line.response_id for line in provider.billed
    )
    counts = teams(watch)
    assert {team: counts.count(team) for team in set(counts)} == {f"team-{number}": 3 for number in range(8)}
    assert total(watch) == 24 * talk.cost


async def test_the_span_is_a_child_of_the_one_that_asked(watch: Any, talk: Talk) -> None:
    tracer = watch.tracer_provider.get_tracer("app")
    async with talk.opened() as connection:
        with tracer.start_as_current_span("handler") as parent:
            await talk.ask(connection)
        await talk.answer(connection)
    (chat,) = [span for span in watch.spans if span.name.startswith("chat")]
    assert chat.parent.span_id == parent.get_span_context().span_id


async def test_where_spans_are_suppressed_the_money_is_counted(watch: Any, talk: Talk) -> None:
    async with talk.opened() as connection:
        token = attach(set_value("suppress_instrumentation", True))
        await talk.ask(connection)
        detach(token)
        await talk.answer(connection)
    assert watch.spans == []
    assert (watch.one.has_span, watch.one.cost.total) == (False, talk.cost)


async def test_what_is_metered_above_is_not_charged(watch: Any, talk: Talk) -> None:
    token = attach(set_value(METERED, True))
    async with talk.opened() as connection:
        await talk.ask(connection)
        await talk.answer(connection)
    detach(token)
    assert watch.settled == []


async def test_a_span_of_somebody_elses_holds_one_charge(watch: Any, talk: Talk) -> None:
    theirs = watch.tracer_provider.get_tracer("opentelemetry.instrumentation.openai_v2")
    async with talk.opened() as connection:
        with theirs.start_as_current_span("session", attributes={names.GEN_AI_OPERATION_NAME: "chat"}):
            for _ in range(2):
                await talk.ask(connection)
            for _ in range(2):
                await talk.answer(connection)
    assert sorted(made.own for made in watch.settled) == [False, True]
    assert total(watch) == 2 * talk.cost
    charged = [span.attributes[names.TOKENOMICS_COST_TOTAL] for span in watch.spans]
    assert [round(amount * 10**12) for amount in charged] == [talk.cost] * 2


async def test_the_caller_sees_what_he_saw_without_us(watching: Any, provider: Any, talk: Talk) -> None:
    async def script() -> list[Any]:
        seen: list[Any] = []
        provider.expect(Turn(), Turn(status="failed"), Turn(stops="cut"))
        async with talk.opened() as connection:
            seen.append(type(connection))
            for _ in range(2):
                await talk.ask(connection)
                seen += [(type(event), event.type) for event in await talk.answer(connection)]
            await talk.ask(connection)
            try:
                await talk.answer(connection)
            except Exception as error:
                seen.append((type(error), str(error)))
        return seen

    bare = await script()
    sent = [{**event, "event_id": None} for event in provider.seen]
    provider.seen.clear()
    watched = watching()
    assert await script() == bare
    assert [{**event, "event_id": None} for event in provider.seen] == sent
    assert len(watched.settled) == 3


async def test_raw_bytes_are_observed_too(watch: Any, provider: Any, talk: Talk) -> None:
    async with talk.opened() as connection:
        await talk.ask(connection)
        data = b""
        while not any(f'"type": "{kind}"'.encode() in data for kind in TERMINAL):
            data = await settle(connection.recv_bytes())
        assert connection.parse_event(data).response.id == provider.billed[0].response_id
    assert watch.one.cost.total == talk.cost


async def test_iterating_a_connection(watch: Any, talk: Talk) -> None:
    async with talk.opened() as connection:
        await talk.ask(connection)
        if hasattr(connection, "__aiter__"):
            async for event in connection:
                if event.type in TERMINAL:
                    break
        else:
            for event in connection:
                if event.type in TERMINAL:
                    break
    assert watch.one.cost.total == talk.cost


async def test_texts_that_are_sent_raw_are_questions(watch: Any, talk: Talk) -> None:
    async with talk.opened() as connection:
        if not hasattr(connection, "send_raw"):
            pytest.skip(f"openai {openai.__version__} has no send_raw")
        body = {"type": "response.create"} if talk.realtime else {"type": "response.create", "model": talk.model}
        with tags(team="raw"):
            await settle(connection.send_raw(json.dumps(body)))
        await talk.answer(connection)
    assert watch.one.cost.total == talk.cost
    assert teams(watch) == ["raw"]


async def test_what_is_sent_before_the_connection_is_open(watch: Any, talk: Talk) -> None:
    manager = talk.manager()
    if not hasattr(manager, "send"):
        pytest.skip(f"openai {openai.__version__} queues nothing")
    asked: Any = {"type": "response.create"}
    with tags(team="early"):
        manager.send(asked if talk.realtime else {**asked, "model": talk.model, "input": "Say it."})
    connection = await settle(manager.enter())
    await talk.answer(connection)
    await settle(connection.close())
    assert watch.one.cost.total == talk.cost
    assert teams(watch) == ["early"]


async def test_what_cannot_be_sent_is_not_waited_for(watch: Any, talk: Talk) -> None:
    connection = await settle(talk.manager().enter())
    await settle(connection.close())
    with pytest.raises(Exception, match="1000"):
        await talk.ask(connection)
    assert (watch.one.outcome.end, watch.one.cost.reason) == ("error", "call_failed")


async def test_uninstrument_restores_and_settles(watch: Any, provider: Any, talk: Talk) -> None:
    provider.expect(Turn(stops="silent"), Turn())
    async with talk.opened() as connection:
        await talk.ask(connection)
        watch.engine.uninstrument()
        assert watch.one.outcome.end == "abandoned"
        assert not [name for kind in type(connection).__mro__ for name, value in vars(kind).items()
                    if hasattr(value, "__wrapped__") and "wrapt" in type(value).__module__]  # fmt: skip
        await talk.ask(connection)
        await talk.answer(connection)
    assert len(watch.settled) == 1


async def test_no_content_and_no_key_is_kept(watching: Any, talk: Talk) -> None:
    watched = watching(credential_salt="pepper")
    with tags(team="x"):
        async with talk.opened() as connection:
            asked = {"instructions": "canary-instructions"}
            await talk.ask(connection, **({"response": asked} if talk.realtime else asked))
            await talk.answer(connection)
    (span,) = watched.spans
    assert "canary" not in span.to_json()
    assert "say " not in span.to_json()
    assert len(span.attributes[names.TOKENOMICS_CREDENTIAL_HASH]) == 16


async def test_usage_that_is_no_usage(watch: Any, provider: Any, talk: Talk) -> None:
    provider.expect(Turn(usage={"input_tokens": -3, "output_tokens": "many"}), Turn(usage={"input_tokens": None}))
    async with talk.opened() as connection:
        for _ in range(2):
            await talk.ask(connection)
            await talk.answer(connection)
    assert [made.cost.status for made in watch.settled] == ["unpriced", "unpriced"]
    assert [made.cost.reason for made in watch.settled] == ["invalid_usage", "no_usage"]


# --- who gives up, and what goes on ---------------------------------------------------------------


async def test_who_stops_waiting_loses_nothing(watch: Any, atalk: Talk) -> None:
    async with atalk.opened() as connection:
        if atalk.realtime:
            await connection.recv()
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.recv(), 0.01)
            await atalk.ask(connection)
            assert (await connection.recv()).type == "response.created"
            waiting = asyncio.create_task(connection.recv())
            waiting.cancel()
            await asyncio.wait([waiting])
            await atalk.answer(connection)
    assert [made.outcome.end for made in watch.settled] == ["completed", "completed"]


async def test_a_task_that_is_cancelled_amid_an_answer(watch: Any, provider: Any, atalk: Talk) -> None:
    begun = asyncio.Event()
    provider.expect(Turn(stops="open"))

    async def conversation() -> None:
        async with atalk.opened() as connection:
            await atalk.ask(connection)
            while True:
                if (await connection.recv()).type == "response.created":
                    begun.set()

    task = asyncio.create_task(conversation())
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (watch.one.outcome.end, watch.one.outcome.error_type) == ("cancelled", "CancelledError")
