"""How a call can end, as rows: what the provider does, how the caller uses the answer, and what must be recorded.

A new ending is a row and, where the provider must do something new, a field of its ``Scenario``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from styles import Limits, Row, Style

from otel_tokenomics.demo.provider import Scenario

#: What the caller gets, piece by piece.
Pieces = list[Any]
Use = Callable[[Style, Any, Pieces, Callable[[], None]], Any]
Rule = Literal["exact", "last", "unknown", "unbelievable", "nothing", "at most"]


class Ending(NamedTuple):
    """One ending. ``sync`` and ``asynchronous`` use the answer; one that is None does not exist."""

    scenarios: tuple[Scenario, ...]
    sync: Use | None
    asynchronous: Use | None
    #: ``exact``: the bill to the pico-dollar; ``last``: that of the last answer; ``unknown``: unpriced;
    #: ``unbelievable``: unpriced or partial; ``nothing``: not billed; ``at most``: no more than was billed.
    rule: Rule
    ends: frozenset[str]
    exists: Callable[[Row, Style], bool] = lambda _row, _style: True
    limits: Limits = Limits()


def _pieces(style: Style, answer: Any, pieces: Pieces) -> None:
    if not style.stream:
        pieces.append(answer)
        return
    pieces.append(type(answer))
    for item in answer:
        pieces.append(item)  # what was there before an error counts


def finish(style: Style, client: Any, pieces: Pieces, _sent: Callable[[], None]) -> None:
    """Read the answer to its end."""
    _pieces(style, style.call(client), pieces)


async def _made(style: Style, client: Any) -> Any:
    answer = style.call(client)
    return await answer if inspect.isawaitable(answer) else answer


async def _apieces(style: Style, answer: Any, pieces: Pieces) -> None:
    if not style.stream:
        pieces.append(answer)
        return
    pieces.append(type(answer))
    async for item in answer:
        pieces.append(item)


async def afinish(style: Style, client: Any, pieces: Pieces, _sent: Callable[[], None]) -> None:
    """Read the answer to its end."""
    await _apieces(style, await _made(style, client), pieces)


def elsewhere(style: Style, client: Any, pieces: Pieces, _sent: Callable[[], None]) -> None:
    """Make the call here, and read its stream in another thread."""
    answer = style.call(client)
    thread = threading.Thread(target=_pieces, args=(style, answer, pieces))
    thread.start()
    thread.join()


async def aelsewhere(style: Style, client: Any, pieces: Pieces, _sent: Callable[[], None]) -> None:
    """Make the call in one task, and read its stream in another."""
    answer = await asyncio.create_task(_made(style, client))
    await asyncio.create_task(_apieces(style, answer, pieces))


def never(style: Style, client: Any, pieces: Pieces, sent: Callable[[], None]) -> None:
    """Drop the stream unread."""
    stream = style.call(client)
    pieces.append(type(stream))
    sent()
    del stream
    gc.collect()


async def anever(style: Style, client: Any, pieces: Pieces, sent: Callable[[], None]) -> None:
    """Drop the stream unread."""
    stream = await _made(style, client)
    pieces.append(type(stream))
    sent()
    del stream
    await _settled_loop()


async def _settled_loop() -> None:
    for _ in range(3):  # the loop closes dropped generators one layer at a time
        gc.collect()
        await asyncio.sleep(0.005)


def close(style: Style, client: Any, pieces: Pieces, _sent: Callable[[], None]) -> None:
    """Close the stream after its first item."""
    stream = style.call(client)
    pieces.append(next(iter(stream)))
    stream.close()
    del stream
    gc.collect()


async def aclose(style: Style, client: Any, pieces: Pieces, _sent: Callable[[], None]) -> None:
    """Close the stream after its first item."""
    stream = await _made(style, client)
    pieces.append(await anext(aiter(stream)))
    closed = (getattr(stream, "aclose", None) or stream.close)()
    if inspect.isawaitable(closed):
        await closed
    del stream
    await _settled_loop()


def drop(style: Style, client: Any, pieces: Pieces, _sent: Callable[[], None]) -> None:
    """Let go of the stream after its first item."""
    stream = style.call(client)
    items = iter(stream)
    pieces.append(next(items))
    del stream, items
    gc.collect()


async def adrop(style: Style, client: Any, pieces: Pieces, _sent: Callable[[], None]) -> None:
    """Let go of the stream after its first item."""
    stream = await _made(style, client)
    items = aiter(stream)
    pieces.append(await anext(items))
    del stream, items
    await _settled_loop()


async def cancel(style: Style, client: Any, pieces: Pieces, _sent: Callable[[], None]) -> None:
    """Cancel the task that waits for the answer."""
    await _cancel_when(lambda: False, style, client, pieces, 0.3)


async def cancel_within(style: Style, client: Any, pieces: Pieces, _sent: Callable[[], None]) -> None:
    """Cancel the task that waits for the second item of a stream."""
    await _cancel_when(lambda: len(pieces) > 1, style, client, pieces, 5)  # the first is its type


async def _cancel_when(
    ready: Callable[[], bool], style: Style, client: Any, pieces: Pieces, at_the_latest: float
) -> None:
    task = asyncio.create_task(afinish(style, client, pieces, lambda: None))
    until = time.monotonic() + at_the_latest
    while not (ready() or task.done()) and time.monotonic() < until:
        await asyncio.sleep(0.01)
    task.cancel()
    try:
        await task
    finally:
        del task
        await _settled_loop()


def _streams(_row: Row, style: Style) -> bool:
    return style.stream


def _travels(_row: Row, style: Style) -> bool:
    return style.stream and style.travels


def _streams_and_closes(_row: Row, style: Style) -> bool:
    return style.stream and style.closes


def _may_leave_usage_out(_row: Row, style: Style) -> bool:
    return style.may_leave_usage_out


def _nulls(_row: Row, style: Style) -> bool:
    return style.may_leave_usage_out and style.nulls


def _retries(row: Row, _style: Style) -> bool:
    return row.retries


def _filters(_row: Row, style: Style) -> bool:
    return style.filters


def _plain(_row: Row, style: Style) -> bool:
    return not style.stream


def _ends(*ends: str) -> frozenset[str]:
    return frozenset(ends)


_JSON, _LINES = "application/json", "text/event-stream"
_DONE, _FAILED = _ends("completed"), _ends("error")
#: A client may take a broken answer for a whole one, or raise: what the caller sees decides.
_EITHER = _ends("completed", "error")

ENDINGS: dict[str, Ending] = {
    "completed": Ending((), finish, afinish, "exact", _DONE),
    "stopped by a filter": Ending((Scenario(filtered=True),), finish, afinish, "exact", _EITHER, _filters),
    "read elsewhere": Ending((), elsewhere, aelsewhere, "exact", _DONE, _travels),
    "unknown fields": Ending((Scenario(report="more"),), finish, afinish, "exact", _EITHER),
    "unknown event": Ending((Scenario(unknown_after=1),), finish, afinish, "at most", _EITHER, _streams),
    "429, then success": Ending(
        (Scenario(fail=(429,)),), finish, afinish, "exact", _DONE, _retries, Limits(retries=1)
    ),
    "timeout, then success": Ending(
        (Scenario(hang_s=0.5), Scenario()), finish, afinish, "last", _DONE, _retries, Limits(timeout=0.25, retries=1)
    ),
    "no usage": Ending((Scenario(report="none"),), finish, afinish, "unknown", _EITHER, _may_leave_usage_out),
    "null usage": Ending((Scenario(report="null"),), finish, afinish, "unknown", _EITHER, _nulls),
    "negative counts": Ending((Scenario(report="negative"),), finish, afinish, "unbelievable", _EITHER),
    "counts of a wrong type": Ending((Scenario(report="text"),), finish, afinish, "unbelievable", _EITHER),
    "truncated JSON": Ending(
        (Scenario(raw=(200, _JSON, '{"id": "x", "usage": {"pro')),), finish, afinish, "nothing", _EITHER, _plain
    ),
    "truncated chunk": Ending(
        (Scenario(raw=(200, _LINES, 'data: {"id": "x", "cho')),), finish, afinish, "nothing", _EITHER, _streams
    ),
    "refused": Ending((Scenario(fail=(400,)),), finish, afinish, "nothing", _FAILED),
    "timeout": Ending(
        (Scenario(hang_s=0.4),), finish, afinish, "unknown", _FAILED, limits=Limits(timeout=0.15)
    ),
    "cut": Ending((Scenario(cut_after=2),), finish, afinish, "at most", _FAILED, _streams),
    "error event": Ending((Scenario(error_after=2),), finish, afinish, "at most", _EITHER, _streams),
    "never read": Ending((), never, anever, "at most", _ends("abandoned"), _streams),
    "closed early": Ending((), close, aclose, "at most", _ends("abandoned"), _streams_and_closes),
    "dropped early": Ending((), drop, adrop, "at most", _ends("abandoned"), _streams),
    "cancelled": Ending((Scenario(hang_s=0.6),), None, cancel, "unknown", _ends("cancelled")),
    "cancelled within the stream": Ending(
        (Scenario(delay_s=0.2, chunks=4),), None, cancel_within, "at most", _ends("cancelled"), _streams
    ),
}  # fmt: skip


def perform(ending: Ending, style: Style, client: Any, sent: Callable[[], None]) -> tuple[Pieces, BaseException | None]:
    """Make a call that ends so; return what the caller got, and what was raised."""
    pieces: Pieces = []
    assert ending.sync is not None
    try:
        ending.sync(style, client, pieces, sent)
    except Exception as error:
        return pieces, error.with_traceback(None)
    return pieces, None


async def aperform(
    ending: Ending, style: Style, client: Any, sent: Callable[[], None]
) -> tuple[Pieces, BaseException | None]:
    """Make an asynchronous call that ends so; return what the caller got, and what was raised."""
    pieces: Pieces = []
    assert ending.asynchronous is not None
    try:
        await ending.asynchronous(style, client, pieces, sent)
    except (Exception, asyncio.CancelledError) as error:
        return pieces, error.with_traceback(None)
    return pieces, None


@contextlib.contextmanager
def no_warnings() -> Any:
    """Let libraries warn as they like: their streams are dropped here with their connections open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
