"""Every way that a call can end: settled exactly once, as what it was, and the caller's world unchanged."""

from __future__ import annotations

import asyncio
import copy
import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from otel_tokenomics.demo.provider import LocalProvider, Scenario

# Streams are dropped here with their connections open: the client, not the test, owns those.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
ROOT = Path(__file__).parents[2]
MESSAGES: Any = [{"role": "user", "content": "How do I reset my password?"}]


class Library:
    """One client library behind one face."""

    def __init__(self, name: str, provider: LocalProvider) -> None:
        self.name = name
        self.module: Any = openai if name == "openai" else anthropic
        self.clients: list[Any] = []
        self.url = provider.base_url_openai if name == "openai" else provider.base_url_anthropic

    def client(self, **options: Any) -> Any:
        kind = self.module.OpenAI if self.name == "openai" else self.module.Anthropic
        self.clients.append(kind(api_key="k", base_url=self.url, max_retries=0, **options))
        return self.clients[-1]

    def aclient(self, **options: Any) -> Any:
        kind = self.module.AsyncOpenAI if self.name == "openai" else self.module.AsyncAnthropic
        return kind(api_key="k", base_url=self.url, max_retries=0, **options)

    def create(self, client: Any, **options: Any) -> Any:
        if self.name == "openai":
            return client.chat.completions.create(model="gpt-5.4", messages=MESSAGES, **options)
        return client.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=MESSAGES, **options)


@pytest.fixture(params=["openai", "anthropic"])
def library(request: Any, provider: LocalProvider) -> Any:
    made = Library(request.param, provider)
    yield made
    for client in made.clients:
        client.close()
    gc.collect()


def test_a_refused_request(watch: Any, library: Library, provider: LocalProvider) -> None:
    provider.expect(Scenario(fail=(400,)))
    with pytest.raises(library.module.BadRequestError):
        library.create(library.client())
    assert (watch.one.outcome.end, watch.one.outcome.error_type) == ("error", "400")
    assert (watch.one.cost.status, watch.one.cost.reason) == ("not_applicable", "call_failed")


def test_a_timeout_may_have_been_billed(watch: Any, library: Library, provider: LocalProvider) -> None:
    provider.expect(Scenario(hang_s=0.6))
    with pytest.raises(library.module.APITimeoutError):
        library.create(library.client(timeout=0.15))
    assert (watch.one.cost.status, watch.one.cost.reason) == ("unpriced", "billing_unknown")


def test_a_connection_that_was_never_made_was_not_billed(watch: Any, library: Library) -> None:
    library.url = "http://127.0.0.1:9/v1"
    with pytest.raises(library.module.APIConnectionError):
        library.create(library.client())
    assert (watch.one.cost.status, watch.one.cost.reason) == ("not_applicable", "call_failed")


def test_a_connection_cut_in_the_stream(watch: Any, library: Library, provider: LocalProvider) -> None:
    provider.expect(Scenario(cut_after=2))
    with pytest.raises(Exception) as raised:  # each library has its own
        list(library.create(library.client(), stream=True))
    assert not isinstance(raised.value, AssertionError)
    assert watch.one.outcome.end == "error"


@pytest.mark.parametrize("how", ["break", "close", "with", "exception in the with-body"])
def test_a_stream_that_is_left_early(watch: Any, library: Library, how: str) -> None:
    client = library.client()
    stream = library.create(client, stream=True)
    if how == "break":
        for _ in stream:
            break
        del stream
        gc.collect()
    elif how == "close":
        next(stream)
        stream.close()
        stream.close()
    elif how == "with":
        with stream:
            next(stream)
    else:
        with pytest.raises(KeyError, match="mine"), stream:  # noqa: PT012  # the block is the subject
            next(stream)
            raise KeyError("mine")
    assert (watch.one.outcome.end, watch.one.outcome.error_type) == ("abandoned", None)
    assert watch.spans[0].status.is_unset


@pytest.mark.parametrize("collector", [True, False], ids=["gc on", "gc off"])
def test_a_stream_that_is_never_iterated(watch: Any, library: Library, collector: bool) -> None:
    stream = library.create(library.client(), stream=True)
    if not collector:
        gc.disable()
    try:
        stream.close() if not collector else None
        del stream
        if collector:
            gc.collect()
        assert watch.one.outcome.end == "abandoned"
    finally:
        gc.enable()


def test_a_raw_response_that_is_never_parsed(watch: Any, library: Library) -> None:
    client = library.client()
    face = client.chat.completions if library.name == "openai" else client.messages
    options: dict[str, Any] = {"model": "gpt-5.4", "messages": MESSAGES, "stream": True}
    raw = face.with_raw_response.create(**options, **({} if library.name == "openai" else {"max_tokens": 9}))
    raw.http_response.close()
    del raw
    gc.collect()
    assert watch.one.outcome.end == "abandoned"


def test_two_iterations_and_a_copy_of_one_stream(watch: Any, library: Library) -> None:
    stream = library.create(library.client(), stream=True)
    twin = copy.copy(stream)
    first = len(list(stream))
    assert first > 1
    assert list(stream) == []
    assert twin.response is stream.response
    assert watch.one.outcome.end == "completed"


async def test_a_cancelled_request(watch: Any, library: Library, provider: LocalProvider) -> None:
    provider.expect(Scenario(hang_s=0.5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.15):
            await library.create(library.aclient())
    assert watch.one.outcome.end == "cancelled"
    assert (watch.one.cost.status, watch.one.cost.reason) == ("unpriced", "billing_unknown")


async def test_a_task_cancelled_in_the_stream(watch: Any, library: Library, provider: LocalProvider) -> None:
    provider.expect(Scenario(delay_s=0.1, chunks=20))
    stream = await library.create(library.aclient(), stream=True)
    with pytest.raises(TimeoutError):  # noqa: PT012  # the block is the subject
        async with asyncio.timeout(0.25):
            async for _ in stream:
                pass
    assert watch.one.outcome.end == "cancelled"


async def test_a_task_cancelled_in_the_callers_own_code(watch: Any, library: Library) -> None:
    stream = await library.create(library.aclient(), stream=True)

    async def use() -> None:
        async with stream:
            await stream.__anext__()
            await asyncio.sleep(10)

    task = asyncio.create_task(use())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert watch.one.outcome.end == "cancelled"


async def test_a_generator_closed_from_another_task(watch: Any, library: Library) -> None:
    async def words() -> Any:
        async for item in await library.create(client, stream=True):
            yield item

    client = library.aclient()
    generator = words()
    await generator.__anext__()
    await asyncio.create_task(generator.aclose())
    for _ in range(3):  # the loop closes dropped generators one layer at a time
        await asyncio.sleep(0.02)
        gc.collect()
    assert watch.one.outcome.end == "abandoned"


async def test_an_async_stream_that_is_left_early(watch: Any, library: Library) -> None:
    stream = await library.create(library.aclient(), stream=True)
    async for _ in stream:
        break
    await stream.close()
    await stream.close()
    assert watch.one.outcome.end == "abandoned"


async def test_a_request_coroutine_that_is_never_awaited_starts_nothing(watch: Any, library: Library) -> None:
    coroutine = library.create(library.aclient())
    coroutine.close()
    assert watch.settled == []


def test_streams_in_a_thread_pool(watch: Any, library: Library) -> None:
    client = library.client()
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _n: len(list(library.create(client, stream=True))), range(12)))
    assert len(set(counts)) == 1
    assert len(watch.settled) == 12
    assert {call.outcome.end for call in watch.settled} == {"completed"}


def test_ends_that_race_settle_once(watch: Any, library: Library) -> None:
    stream = library.create(library.client(), stream=True)
    next(stream)
    call = stream.response.extensions["otel_tokenomics.call"]
    barrier = threading.Barrier(4)

    def end() -> None:
        barrier.wait()
        call.abandon()

    threads = [threading.Thread(target=end) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.close()
    assert watch.one.outcome.end == "abandoned"


def test_a_failure_of_ours_never_reaches_the_caller(
    watching: Any, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = watching()
    seen: list[str] = []
    monkeypatch.setattr("otel_tokenomics.telemetry.failures.report", lambda where, _error: seen.append(where))
    monkeypatch.setattr(watch.recorder, "settle", lambda *_args, **_named: 1 / 0)
    assert library.create(library.client()) is not None
    assert len(list(library.create(library.client(), stream=True))) > 1
    monkeypatch.setattr(watch.recorder, "provider", lambda _request: 1 / 0)
    assert library.create(library.client()) is not None
    assert seen == ["record", "record", "request"]
    assert len(watch.spans) == 2  # ended all the same


@pytest.mark.skipif(int(anthropic.__version__.split(".")[0]) < 1, reason="a stream of this version is a cycle")
def test_a_stream_is_freed_without_the_collector(watch: Any, provider: LocalProvider) -> None:
    library = Library("anthropic", provider)
    client = library.client()
    gc.disable()
    try:
        stream = library.create(client, stream=True)
        next(stream)
        del stream
        assert watch.one.outcome.end == "abandoned"
    finally:
        gc.enable()
        client.close()


def test_a_stream_that_is_open_when_the_process_exits() -> None:
    program = """
import atexit, gc, openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import otel_tokenomics as tk
from otel_tokenomics.demo.provider import LocalProvider
exporter = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
atexit.register(lambda: print([span.attributes["tokenomics.call.end"] for span in exporter.get_finished_spans()]))
provider = LocalProvider().__enter__()
tk.instrument(endpoints=provider.endpoints)
gc.disable()
client = openai.OpenAI(api_key="k", base_url=provider.base_url_openai)
stream = client.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": "x"}], stream=True)
next(stream)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )
    assert done.stdout.strip() == "['abandoned']", done.stderr
