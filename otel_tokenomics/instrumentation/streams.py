"""Streams observed from inside: the caller keeps the client's own object, its laziness and its exceptions.

The call is looked for when the first item is asked for: a client builds the iterator before it hands the stream out.
No context is held across a ``yield``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from opentelemetry import context
from opentelemetry.context import Context

from otel_tokenomics.instrumentation.call import Call
from otel_tokenomics.telemetry import failures


def observed(inner: Generator[Any], find: Callable[[], Call | None]) -> Generator[Any]:
    """Yield the items of a stream; its call, found at the first item, ends with it, however that is."""
    call = find()
    if call is None:
        yield from inner
        return
    note, unseen = call.watching()
    try:
        for item in inner:
            # Written out here and in the twin below, for a call more per chunk is what a chunk may cost.
            if not call.chunks:
                call.first_chunk()
            call.chunks += 1
            try:
                note(item)
                if unseen is not None and unseen(item):
                    continue
            except Exception as error:  # noqa: BLE001  # our failure is never the caller's
                failures.report("usage", error)
            yield item
    except BaseException as error:
        call.failed(error)
        raise
    else:
        call.end("completed")
    finally:
        inner.close()


async def observed_async(inner: AsyncGenerator[Any], find: Callable[[], Call | None]) -> AsyncGenerator[Any]:
    """Twin of ``observed`` for an asynchronous stream."""
    call = find()
    try:
        if call is None:
            async for item in inner:
                yield item
            return
        note, unseen = call.watching()
        async for item in inner:
            if not call.chunks:
                call.first_chunk()
            call.chunks += 1
            try:
                note(item)
                if unseen is not None and unseen(item):
                    continue
            except Exception as error:  # noqa: BLE001  # our failure is never the caller's
                failures.report("usage", error)
            yield item
    except BaseException as error:
        if call is not None:
            call.failed(error)
        raise
    else:
        call.end("completed")
    finally:
        # Closing an asynchronous generator from outside does not close the one it iterates.
        await inner.aclose()


def inside_steps(inner: Generator[Any], within: Context) -> Generator[Any]:
    """Run the first step of a generator, which sends the request, in our context."""
    try:
        token = context.attach(within)
        try:
            item = next(inner)
        except StopIteration:
            return
        finally:
            detach(token, within)
        yield item
        yield from inner
    finally:
        inner.close()


async def inside_asteps(inner: AsyncGenerator[Any], within: Context) -> AsyncGenerator[Any]:
    """Twin of ``inside_steps`` for an asynchronous generator."""
    try:
        token = context.attach(within)
        try:
            item = await anext(inner)
        except StopAsyncIteration:
            return
        finally:
            detach(token, within)
        yield item
        async for item in inner:
            yield item
    finally:
        await inner.aclose()


def detach(token: Any, attached: Context) -> None:
    """Take our context off, unless a coroutine that was dropped is being closed in somebody else's."""
    if context.get_current() is attached:
        context.detach(token)
