"""What 100,000 calls leave behind, every ending among them: resident memory, and objects of ours that still live.

The transport answers in process. The exit code is 1 where a call, a span or what hangs on them did not go.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
from bench_call import BODY, CHUNK, MESSAGES, STREAM
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

import otel_tokenomics as tk

CALLS, STEP = 100_000, 10_000
#: More than any of our bounded memories holds.
WARM = 5_000
SHORT = b"data: " + CHUNK + b"\n\n" + STREAM[STREAM.rindex(b"data: {") :]


class Spans(SpanProcessor):
    started = ended = 0

    def on_start(self, span: object, parent_context: object = None) -> None:  # noqa: ARG002
        self.started += 1

    def on_end(self, span: object) -> None:  # noqa: ARG002
        self.ended += 1


class Cut(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body whose connection is lost after the first chunk."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"data: " + CHUNK + b"\n\n"
        raise httpx2.ReadError("connection lost")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"data: " + CHUNK + b"\n\n"
        raise httpx2.ReadError("connection lost")


def answer(request: httpx2.Request) -> httpx2.Response:
    kind = {"content-type": "text/event-stream"}
    if b"bad" in request.content:
        return httpx2.Response(400, content=b"{}", headers={"content-type": "application/json"})
    if b"cut" in request.content:
        return httpx2.Response(200, stream=Cut(), headers=kind)
    if b'"stream":true' in request.content.replace(b" ", b""):
        return httpx2.Response(200, content=SHORT, headers=kind)
    return httpx2.Response(200, content=BODY, headers={"content-type": "application/json"})


async def aanswer(request: httpx2.Request) -> httpx2.Response:
    if b"slow" in request.content:
        await asyncio.sleep(60)
    return answer(request)


class Endings:
    """Every way in which a call can end."""

    def __init__(self) -> None:
        sync, asynchronous = httpx2.MockTransport(answer), httpx2.MockTransport(aanswer)
        options: Any = {"api_key": "x", "max_retries": 0}
        self.client = openai.OpenAI(**options, http_client=httpx2.Client(transport=sync))
        self.aclient = openai.AsyncOpenAI(**options, http_client=httpx2.AsyncClient(transport=asynchronous))
        self.other = anthropic.Anthropic(**options, http_client=httpx2.Client(transport=sync))

    def ask(self, model: str = "gpt-5.4", *, stream: bool = False) -> Any:
        return self.client.chat.completions.create(model=model, messages=MESSAGES, stream=stream)

    def completed(self) -> None:
        self.ask()

    def streamed(self) -> None:
        for _ in self.ask(stream=True):
            pass

    def abandoned(self) -> None:
        stream = self.ask(stream=True)
        next(stream)
        stream.close()

    def left(self) -> None:
        for _ in self.ask(stream=True):
            break

    def never_iterated(self) -> None:
        self.ask(stream=True)

    def cut(self) -> None:
        with contextlib.suppress(httpx2.ReadError, openai.APIError):
            for _ in self.ask("cut", stream=True):
                pass

    def refused(self) -> None:
        with contextlib.suppress(openai.BadRequestError):
            self.ask("bad")

    def raw_unread(self) -> None:
        with self.client.chat.completions.with_streaming_response.create(model="gpt-5.4", messages=MESSAGES):
            pass

    def not_understood(self) -> None:
        # A reply in another provider's format: the reader finds nothing in it.
        with contextlib.suppress(anthropic.AnthropicError):
            self.other.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=MESSAGES)

    async def acompleted(self) -> None:
        await self.aclient.chat.completions.create(model="gpt-5.4", messages=MESSAGES)

    async def astreamed(self) -> None:
        async for _ in await self.aclient.chat.completions.create(model="gpt-5.4", messages=MESSAGES, stream=True):
            pass

    async def aleft(self) -> None:
        async for _ in await self.aclient.chat.completions.create(model="gpt-5.4", messages=MESSAGES, stream=True):
            break

    async def acut(self) -> None:
        with contextlib.suppress(httpx2.ReadError, openai.APIError):
            async for _ in await self.aclient.chat.completions.create(model="cut", messages=MESSAGES, stream=True):
                pass

    async def cancelled(self) -> None:
        task = asyncio.create_task(self.aclient.chat.completions.create(model="slow", messages=MESSAGES))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    @property
    def all(self) -> list[Callable[[], None] | Callable[[], Awaitable[None]]]:
        return [
            self.completed, self.streamed, self.abandoned, self.left, self.never_iterated, self.cut, self.refused,
            self.raw_unread, self.not_understood, self.acompleted, self.astreamed, self.aleft, self.acut,
            self.cancelled,
        ]  # fmt: skip


def resident() -> float:
    """Return MiB of resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def alive() -> Counter[str]:
    """Return how many objects of our classes, and spans, still live: of those that belong to a call."""
    gc.collect()
    found = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    return Counter({name: count for name, count in found.items() if name.startswith("otel_tokenomics.")}) + Counter(
        {"opentelemetry.sdk.trace._Span": found["opentelemetry.sdk.trace._Span"]}
    )


async def main() -> int:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else CALLS
    step = min(STEP, calls)
    spans, tracers = Spans(), TracerProvider()
    tracers.add_span_processor(spans)
    trace.set_tracer_provider(tracers)
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"
    tk.instrument()
    endings = Endings()

    async def run(times: int) -> None:
        for turn in range(times):
            done = endings.all[turn % len(endings.all)]()
            if done is not None:
                await done
            if turn % 1000 == 0:
                await asyncio.sleep(0)

    async def settled() -> Counter[str]:
        for _ in range(5):  # an asynchronous generator that was left is closed by the loop, in its own time
            gc.collect()
            await asyncio.sleep(0)
        tk.flush()
        reader.get_metrics_data()
        return alive()

    await run(WARM)
    before, begun = await settled(), spans.started
    memory = [resident()]
    titles = {"calls": 8, "RSS MiB": 10, "spans begun": 13, "open": 6, "calls alive": 13, "objects of ours": 17, "s": 7}
    print("".join(f"{title:>{width}s}" for title, width in titles.items()))
    begin = time.perf_counter()
    for done in range(step, calls + 1, step):
        await run(step)
        now = await settled()
        memory.append(resident())
        open_spans = spans.started - spans.ended
        ours = sum(count for name, count in now.items() if name.startswith("otel_tokenomics."))
        living = now["otel_tokenomics.instrumentation.call.Call"]
        print(
            f"{done:8d}{memory[-1]:10.1f}{spans.started - begun:13d}{open_spans:6d}{living:13d}{ours:17d}"
            f"{time.perf_counter() - begin:7.0f}", flush=True,
        )  # fmt: skip
    slope = statistics.linear_regression(range(1, len(memory)), memory[1:]).slope if len(memory) > 2 else 0.0
    more = {name: count - before[name] for name, count in now.items() if count > before[name]}
    print(f"RSS grows by {slope / step * 1000 * 1024:.2f} KiB per 1,000 calls")
    print(f"objects of which there are more than before: {more or 'none'}")
    print("failures of ours:", tk.status()["failures"] or "none")
    return 1 if open_spans or living or more else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
