"""Streams observed from inside: the caller keeps the client's own object, its laziness and its exceptions.

The call is looked for when the first item is asked for: a client builds the iterator before it hands the stream out.
No context is held across a ``yield``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from otel_tokenomics.instrumentation.call import call_of
from otel_tokenomics.telemetry import failures


def observed(inner: Generator[Any], http_response: Any) -> Generator[Any]:
    """Yield the items of a stream; its call ends with it, however that is."""
    call = call_of(http_response)
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


async def observed_async(inner: AsyncGenerator[Any], http_response: Any) -> AsyncGenerator[Any]:
    """Twin of ``observed`` for an asynchronous stream."""
    call = call_of(http_response)
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
