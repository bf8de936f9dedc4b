"""Tags: nested, restored, inherited by tasks and copied contexts, never seen between the steps of a generator."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from opentelemetry import baggage, context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_tokenomics import tags
from otel_tokenomics.tags import attributes_of, current_context, current_tags, without_our_baggage
from otel_tokenomics.telemetry.tag_processor import TagProcessor

TEAM = "tokenomics.tag.team"


def seen() -> dict[str, str]:
    return {key.removeprefix("tokenomics.tag."): value for key, value in current_tags().items()}


def fail_inside() -> float:
    with tags(customer="globex", feature="ask"):
        assert seen() == {"team": "search", "customer": "globex", "feature": "ask"}
        return 1 / 0


def test_nested_tags_merge_and_are_restored_also_after_an_error() -> None:
    with tags(team="search", customer="acme"):
        with pytest.raises(ZeroDivisionError):
            fail_inside()
        assert seen() == {"team": "search", "customer": "acme"}
    assert seen() == {}


def test_standard_keys_have_their_own_names() -> None:
    assert attributes_of({"user": 7, "session": "s", "conversation": "c", "agent": "a", "workflow": "w",
                          "environment": "prod", "team": None}) == {
        "user.id": "7", "session.id": "s", "gen_ai.conversation.id": "c", "gen_ai.agent.name": "a",
        "gen_ai.workflow.name": "w", "deployment.environment.name": "prod",
    }  # fmt: skip


def test_limits_cut_and_drop_with_one_warning_each(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "otel_tokenomics"):
        for _ in range(3):
            assert attributes_of({"Bad-Key": 1}) == {}
            assert attributes_of({"long": "x" * 300}) == {"tokenomics.tag.long": "x" * 200}
            assert len(attributes_of({f"key{n}": n for n in range(20)})) == 16
    assert len(caplog.records) <= 3


@tags(team="search")
def plain() -> dict[str, str]:
    return seen()


@tags(team="search")
async def coroutine() -> dict[str, str]:
    await asyncio.sleep(0)
    return seen()


@tags(team="search")
def generator() -> Generator[dict[str, str], str, str]:
    sent = yield seen()
    try:
        yield {**seen(), "sent": sent}
    except KeyError:
        yield {**seen(), "caught": "yes"}
    return "done"


@tags(team="search")
async def agenerator() -> AsyncGenerator[dict[str, str], None]:
    for _ in range(2):
        await asyncio.sleep(0)
        yield seen()


def test_decorated_functions_and_coroutines() -> None:
    assert plain() == asyncio.run(coroutine()) == {"team": "search"}
    assert seen() == {}


def test_a_generator_is_tagged_in_its_steps_alone() -> None:
    steps = generator()
    assert next(steps) == {"team": "search"}
    assert seen() == {}
    assert steps.send("hi") == {"team": "search", "sent": "hi"}
    assert steps.throw(KeyError()) == {"team": "search", "caught": "yes"}
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == "done"
    generator().close()
    assert seen() == {}


def test_a_generator_may_be_finished_in_another_context() -> None:
    steps = generator()
    contextvars.copy_context().run(next, steps)
    assert contextvars.copy_context().run(steps.send, "x")["team"] == "search"
    contextvars.copy_context().run(steps.close)


async def test_an_async_generator_is_tagged_in_its_steps_alone() -> None:
    async for step in agenerator():
        assert step == {"team": "search"}
        assert seen() == {}


def test_a_decorated_function_stays_what_it_is() -> None:
    @tags(team="search")
    def steps() -> Generator[int, int, str]:
        sent = yield 1
        try:
            yield sent
        except KeyError:
            yield 3
        return "done"

    @tags(team="search")
    async def async_steps() -> AsyncGenerator[int, None]:
        yield 1

    @tags(team="search")
    async def work() -> None: ...

    # Web frameworks decide by these how to run a dependency or an endpoint.
    assert inspect.isgeneratorfunction(steps)
    assert inspect.isasyncgenfunction(async_steps)
    assert inspect.iscoroutinefunction(work)
    generator = steps()
    assert (next(generator), generator.send(2), generator.throw(KeyError())) == (1, 2, 3)
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "done"


async def test_overlapping_tasks_do_not_mix() -> None:
    async def work(team: str) -> dict[str, str]:
        with tags(team=team):
            await asyncio.sleep(0.001)
            inner = asyncio.create_task(coroutine_seen())
            return await inner

    async def coroutine_seen() -> dict[str, str]:
        return seen()

    results = await asyncio.gather(*(work(f"t{n}") for n in range(20)))
    assert results == [{"team": f"t{n}"} for n in range(20)]
    assert seen() == {}


async def test_one_object_may_be_entered_by_overlapping_tasks(caplog: pytest.LogCaptureFixture) -> None:
    shared = tags(team="search")

    async def work(entered_after: float, left_after: float) -> dict[str, str]:
        await asyncio.sleep(entered_after)
        with shared:
            await asyncio.sleep(left_after)
        return seen()

    assert await asyncio.gather(work(0, 0.02), work(0.005, 0.05)) == [{}, {}]
    assert not caplog.records


def test_a_block_outlives_a_context_that_others_attached_before_it_and_detach_inside() -> None:
    theirs = context.attach(context.set_value("theirs", 1))
    with tags(team="search"):
        context.detach(theirs)
        assert seen() == {"team": "search"}
        with tags(customer="acme"):
            assert seen() == {"team": "search", "customer": "acme"}
        assert seen() == {"team": "search"}
    assert seen() == {}
    # What they took off is not put on again.
    assert context.get_value("theirs") is None


def test_a_server_that_begins_a_context_of_its_own_leaves_the_tags_in_force() -> None:
    with tags(team="search"), tags(customer="acme"):
        token = context.attach(Context())
        assert seen() == {"team": "search", "customer": "acme"}
        with tags(team="support"):
            assert seen() == {"team": "support", "customer": "acme"}
        context.detach(token)
        assert seen() == {"team": "search", "customer": "acme"}


def test_tags_of_a_context_that_was_handed_over_are_nearer_than_those_of_the_block() -> None:
    with tags(customer="acme"):
        handed_over = context.get_current()
    with tags(team="search"):
        token = context.attach(handed_over)
        assert seen() == {"customer": "acme"}
        assert current_tags(Context()) == {}
        context.detach(token)
        assert seen() == {"team": "search"}


def test_the_current_context_bears_the_tags_in_force_and_is_else_itself() -> None:
    assert current_context() is context.get_current()
    with tags(team="search"):
        assert current_context() is context.get_current()
        token = context.attach(context.set_value("theirs", 1, Context()))
        current = current_context()
        assert (current_tags(current), current["theirs"]) == ({TEAM: "search"}, 1)
        context.detach(token)


def test_threads_inherit_where_the_context_is_copied() -> None:
    found: list[dict[str, str]] = []
    with tags(team="search"):
        copied = contextvars.copy_context()
        threads = [
            threading.Thread(target=lambda: found.append(copied.run(seen))),
            threading.Thread(target=lambda: found.append(seen())),
        ]
        for thread in threads:
            thread.start()
            thread.join()
    assert found == [{"team": "search"}, {}]


def test_every_span_started_inside_bears_the_tags() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(TagProcessor({"tokenomics.tag.product": "shop", TEAM: "default"}))
    tracer = provider.get_tracer("app")
    with tracer.start_as_current_span("outside"), tags(team="search"), tracer.start_as_current_span("inside"):
        tracer.start_span("child").end()
    spans = {span.name: dict(span.attributes or {}) for span in exporter.get_finished_spans()}
    assert spans["outside"] == {"tokenomics.tag.product": "shop", TEAM: "default"}
    assert spans["inside"] == spans["child"] == {"tokenomics.tag.product": "shop", TEAM: "search"}


@pytest.mark.parametrize(
    ("strip", "left"), [("ours", {"tenant": "1"}), ("all", {}), ("none", {"tenant": "1", "tokenomics.team": "a"})]
)
def test_baggage_is_stripped_by_policy(strip: str, left: dict[str, Any]) -> None:
    given = baggage.set_baggage("tokenomics.team", "a", baggage.set_baggage("tenant", "1", Context()))
    assert dict(baggage.get_all(without_our_baggage(given, strip))) == left


def test_half_of_a_surrogate_pair_is_replaced_not_sent() -> None:
    (value,) = attributes_of({"customer": "a\ud800c"}).values()
    assert value == "a?c"
