"""Connections that carry many responses (websockets): what is sent and received is observed, no more than that.

Each response on a connection is a call of its own, the connection is none. A question that is sent starts a call; a
response that nobody asked for (the server heard the end of a turn) belongs to the context that opened the connection.
The client's object keeps our ``Connection`` alive, never the other way round: when it is dropped, a finaliser ends the
calls that are open. A connection that was opened before us is observed from its next message on.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any, Final, NamedTuple

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace import Span

from otel_tokenomics.client_api import Adapter, Dialogue, Operation, Request, Step
from otel_tokenomics.instrumentation.call import Call, may_begin
from otel_tokenomics.instrumentation.reaper import REAPER
from otel_tokenomics.instrumentation.streams import detach
from otel_tokenomics.instrumentation.suppression import METERED, inside
from otel_tokenomics.tags import current_context, without_our_baggage
from otel_tokenomics.telemetry import failures

#: Responses that are over and remembered by their keys: an event that comes twice is one charge.
_REMEMBERED: Final = 64
#: Makes the call of a response in a context; the spans given are those of other open calls, which hold one charge each.
Begin = Callable[[Operation, Request, Context, Collection[Span | None]], Call]


class _Question(NamedTuple):
    """A call, what tells that its response has begun or never will, and where it was asked for."""

    lane: str | None
    name: str | None
    call: Call
    within: Context


class Connection:
    """The calls of one open connection: those that were asked for, and those under way. Thread-safe."""

    def __init__(self, dialogue: Dialogue, begin: Begin, within: Context) -> None:
        self.dialogue, self._begin, self._within = dialogue, begin, within
        self._lock = threading.RLock()
        self._asked: list[_Question] = []
        self._open: dict[str | None, _Question] = {}
        self._over: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def ended(self) -> bool:
        """Whether no call is open."""
        return not (self._asked or self._open)

    def ask(self, step: Step, within: Context) -> Call | None:
        """Begin the call of a question that is about to be sent; None where it joins one that still waits."""
        with self._lock:
            if (step.joins and self._asked) or step.operation is None or step.request is None:
                return None
            call = self._begin(step.operation, step.request, within, self._spans())
            self._asked.append(_Question(step.lane, step.question, call, within))
            return call

    def unsent(self, call: Call, error: BaseException) -> None:
        """End the call of a question that could not be sent."""
        with self._lock:
            self._asked = [question for question in self._asked if question.call is not call]
        call.failed(error)

    def received(self, message: object) -> None:
        """Take note of a message that came, before the caller gets it."""
        try:
            for step in self.dialogue.received(message):
                with self._lock:
                    self._take(step)
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("usage", error)

    def _take(self, step: Step) -> None:
        if step.what in ("refused", "failed"):
            self._fail(step)
        elif step.what == "apart":
            if step.operation is not None and step.request is not None:
                beside = self._open.get(step.key)
                within = beside.within if beside is not None else self._within
                self._begin(step.operation, step.request, within, self._spans()).returned(step.item)
        elif step.key is None or step.key not in self._over:
            call = self._call_of(step)
            if call is None:
                return
            if step.item is not None:
                call.note(step.item)
            if step.what == "done":
                call.done()
            elif step.what == "over":
                self._open.pop(step.key, None)
                if step.key is not None:
                    self._over.append(step.key)
                if call.request.stream:
                    call.end("completed")
                else:
                    call.returned(step.item)

    def _call_of(self, step: Step) -> Call | None:
        """Return the call of a response: at its first message the oldest question's, else a new one."""
        known = self._open.get(step.key)
        if known is not None:
            return known.call
        if step.what == "done" or (step.what == "over" and step.item is None):
            return None  # the end of a response that was none
        question = next((question for question in self._asked if question.lane == step.lane), None)
        if question is not None:
            self._asked.remove(question)
        elif step.operation is not None and step.request is not None:
            call = self._begin(step.operation, step.request, self._within, self._spans())
            question = _Question(step.lane, None, call, self._within)
        else:
            return None
        question.call.begins()
        self._open[step.key] = question
        return question.call

    def _fail(self, step: Step) -> None:
        """End a call whose question was refused, or whose response broke off."""
        for question in self._asked:
            if question.lane == step.lane and step.question in (None, question.name):
                self._asked.remove(question)
                question.call.end("error", error_type=step.error_type)
                return
        for key, question in self._open.items() if step.what == "failed" else ():
            if question.lane == step.lane:
                del self._open[key]
                question.call.end("error", error_type=step.error_type)
                return

    def _spans(self) -> list[Span | None]:
        return [call.span for call in self._calls() if not call.own]

    def _calls(self) -> list[Call]:
        return [question.call for question in (*self._asked, *self._open.values())]

    def broke(self, error: BaseException) -> None:
        """End every call where an error at receiving says that the connection is over; another one ends nothing.

        Who gives up waiting for a message, by cancelling, has lost none: the connection goes on.
        """
        try:
            over = isinstance(error, Exception) and self.dialogue.ends(error)
        except Exception as failure:  # noqa: BLE001  # our failure is never the caller's
            failures.report("usage", failure)
            return
        if over:
            self._end("error", type(error).__qualname__)

    def abandon(self) -> None:
        """End every call, because the connection is closed or was dropped."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, (Exception, GeneratorExit)):
            self._end("cancelled", type(error).__qualname__)
        else:
            self._end("abandoned", None)

    def _end(self, how: str, error_type: str | None) -> None:
        with self._lock:
            calls = self._calls()
            self._asked, self._open = [], {}
        for call in calls:
            # The provider may bill what it was asked for, read or not.
            if call.complete:
                call.end("completed")
            else:
                call.end(how, error_type=error_type, ambiguous=True)


class _Sending(NamedTuple):
    """A question that is being sent, and the context that it is sent in."""

    connection: Connection
    call: Call
    context: Context


class Connections:
    """The wrappers of one adapter's connections. Every body of ours is guarded: the client's call goes through."""

    def __init__(self, adapter: Adapter, begin: Callable[[object], Begin], strip_baggage: str) -> None:
        self.active = True
        self._adapter, self._begin, self._strip_baggage = adapter, begin, strip_baggage
        #: None for one on which nothing of ours is to be charged.
        self._of: weakref.WeakKeyDictionary[Any, Connection | None] = weakref.WeakKeyDictionary()
        self._queued: weakref.WeakKeyDictionary[Any, list[tuple[Context, Step]]] = weakref.WeakKeyDictionary()

    def stop(self) -> None:
        """Let everything through from now on; what is open ends here, for nobody will hear of it."""
        self.active = False
        for connection in list(self._of.values()):
            if connection is not None:
                connection.abandon()
        self._of.clear()
        self._queued.clear()

    # --- opened and closed ----------------------------------------------------------------------

    def enter(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the method that opens a connection."""
        opened = wrapped(*args, **kwargs)
        self._watch(opened, instance, args, kwargs)
        return opened

    async def aenter(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the asynchronous twin of ``enter``."""
        opened = await wrapped(*args, **kwargs)
        self._watch(instance if opened is None else opened, instance, args, kwargs)
        return opened

    def acontext(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the method that makes an asynchronous context manager: one of the same type goes around it."""
        return self._around(wrapped, instance, args, kwargs) if self.active else wrapped(*args, **kwargs)

    @contextlib.asynccontextmanager
    async def _around(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> AsyncGenerator[Any]:
        async with wrapped(*args, **kwargs) as opened:
            connection = self._watch(opened, instance, args, kwargs)
            try:
                yield opened
            finally:
                if connection is not None:
                    connection.abandon()

    def _watch(self, opened: Any, instance: Any, args: Any, kwargs: Any) -> Connection | None:
        """Observe a connection that was opened just now, and what was queued for it."""
        if not self.active:
            return None
        try:
            self._of[opened] = None
            current = current_context()
            if not may_begin(current.get(METERED), instance, None):
                return None
            dialogue = self._adapter.dialogue(instance, args, kwargs)
            if dialogue is None:
                return None
            connection = self._of[opened] = Connection(dialogue, self._begin(instance), current)
            REAPER.watch(opened, connection)
            for within, step in self._queued.pop(instance, ()):
                connection.ask(step, within)
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("request", error)
            return None
        return connection

    def _known(self, instance: Any) -> Connection | None:
        """Return what observes a connection; one that was opened before us is observed from its next message on."""
        if instance in self._of or not self.active:
            return self._of.get(instance)
        return self._watch(instance, instance, (), {})

    def leave(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap what closes a connection, synchronous or not: its calls end before."""
        connection = self._of.get(instance)
        if connection is not None:
            connection.abandon()
        return wrapped(*args, **kwargs)

    # --- what is sent ---------------------------------------------------------------------------

    def queue(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap what puts a message aside until the connection is open: it is asked where it was put."""
        result = wrapped(*args, **kwargs)
        try:
            dialogue = self._adapter.dialogue(instance, args, kwargs) if self.active else None
            step = dialogue.sent(args, kwargs) if dialogue is not None else None
            if step is not None:
                self._queued.setdefault(instance, []).append((current_context(), step))
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("request", error)
        return result

    def send(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap what sends a message."""
        sending = self._sending(instance, args, kwargs)
        if sending is None:
            return wrapped(*args, **kwargs)
        token = context.attach(sending.context)
        try:
            return wrapped(*args, **kwargs)
        except BaseException as error:
            sending.connection.unsent(sending.call, error)
            raise
        finally:
            detach(token, sending.context)
            sending.call.release()

    async def asend(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the asynchronous twin of ``send``."""
        sending = self._sending(instance, args, kwargs)
        if sending is None:
            return await wrapped(*args, **kwargs)
        token = context.attach(sending.context)
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as error:
            sending.connection.unsent(sending.call, error)
            raise
        finally:
            detach(token, sending.context)
            sending.call.release()

    def _sending(self, instance: Any, args: Any, kwargs: Any) -> _Sending | None:
        """Return the question of a message; None where it asks for nothing, or is met again further in."""
        connection = self._known(instance) if self.active else None
        if connection is None:
            return None
        try:
            step = connection.dialogue.sent(args, kwargs)
            if step is None:
                return None
            current = current_context()
            if not may_begin(current.get(METERED), instance, None):
                return None
            call = connection.ask(step, current)
            if call is None:
                return None
            call.client = instance
            within = inside(current, call, call.span if call.own else None)
            return _Sending(connection, call, without_our_baggage(within, self._strip_baggage))
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("request", error)
            return None

    # --- what comes -----------------------------------------------------------------------------

    def receive(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap what returns the next message."""
        connection = self._known(instance)
        if connection is None:
            return wrapped(*args, **kwargs)
        try:
            message = wrapped(*args, **kwargs)
        except BaseException as error:
            connection.broke(error)
            raise
        connection.received(message)
        return message

    async def areceive(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the asynchronous twin of ``receive``."""
        connection = self._known(instance)
        if connection is None:
            return await wrapped(*args, **kwargs)
        try:
            message = await wrapped(*args, **kwargs)
        except BaseException as error:
            connection.broke(error)
            raise
        connection.received(message)
        return message

    def told(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap what a client hands each message that came to, as an argument."""
        connection = self._known(instance)
        if connection is not None:
            connection.received(next(iter((*args, *kwargs.values())), None))
        return wrapped(*args, **kwargs)

    def amessages(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap what returns an asynchronous generator of all messages that come."""
        messages = wrapped(*args, **kwargs)
        return self._heard(messages, instance) if instance in self._of else messages

    async def _heard(self, messages: AsyncGenerator[Any], instance: Any) -> AsyncGenerator[Any]:
        try:
            async for message in messages:
                if (connection := self._of.get(instance)) is not None:
                    connection.received(message)
                yield message
        except BaseException as error:
            if (connection := self._of.get(instance)) is not None:
                connection.broke(error)
            raise
        finally:
            await messages.aclose()
