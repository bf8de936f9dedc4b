"""The wrappers of one client library. Every body of ours is guarded: the client's call goes through in any case."""

from __future__ import annotations

import contextlib
import functools
import hmac
import weakref
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final, cast

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace import Span

from otel_tokenomics.client_api import Adapter, Operation, Request, Target
from otel_tokenomics.config import Settings
from otel_tokenomics.instrumentation.call import Call, Estimator, call_of, may_begin
from otel_tokenomics.instrumentation.connections import Begin, Connections
from otel_tokenomics.instrumentation.pending import Background, Bounded
from otel_tokenomics.instrumentation.streams import detach, inside_asteps, inside_steps, observed, observed_async
from otel_tokenomics.instrumentation.suppression import METERED, OWN, Place, inside, place_of
from otel_tokenomics.tags import current_context, without_our_baggage
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.recorder import Recorder

_PENDING_REMEMBERED: Final = 4096
_HOSTS_REMEMBERED: Final = 256
#: Enough to tell the keys of one company apart, too few to be taken for a key.
_HASH_DIGITS: Final = 16


class Begun:
    """A call that is being sent: its context, and the arguments with and without what we asked for."""

    __slots__: Final = ("args", "call", "context", "given", "kwargs")

    def __init__(self, call: Call, within: Context, args: Any, kwargs: Any) -> None:
        self.call, self.context, self.args, self.kwargs = call, within, args, kwargs
        self.given: tuple[Any, Any] | None = None


class Seam:
    """The wrappers of one adapter, and what they share: recorder, settings, and what was learnt between calls."""

    def __init__(
        self,
        adapter: Adapter,
        recorder: Recorder,
        settings: Settings,
        prepare: Callable[[], None],
        estimator: Estimator | None,
    ) -> None:
        self.adapter = adapter
        self.active = True
        self._recorder, self._settings, self._prepare, self._estimator = recorder, settings, prepare, estimator
        self._pending: Bounded[str, Background] = Bounded(_PENDING_REMEMBERED)
        self._refusing: Bounded[tuple[str | None, int | None], bool] = Bounded(_HOSTS_REMEMBERED)
        self._silenced: weakref.WeakKeyDictionary[Any, Callable[[Any], None]] = weakref.WeakKeyDictionary()
        self._salt = settings.credential_salt.encode() if settings.credential_salt else None
        #: How the figures that are stated on a connection compare with ours: ``agree``, ``differ``, ``zero``.
        self.opinions: Counter[str] = Counter()
        self._connections = Connections(adapter, self._begins_on, settings.strip_baggage)

    def stop(self) -> None:
        """Let every call through from now on (a client may have kept a wrapped method), and undo what was set."""
        self.active = False
        self._connections.stop()
        for client, restore in list(self._silenced.items()):
            restore(client)
        self._silenced.clear()

    # --- the choke point ------------------------------------------------------------------------

    def wrapper(self, target: Target) -> Callable[..., Any]:
        """Return what goes around a target."""
        around = getattr(self._connections if hasattr(Connections, target.kind) else self, target.kind)
        return around if target.operation is None else functools.partial(around, operation=target.operation)

    def call(self, wrapped: Any, instance: Any, args: Any, kwargs: Any, *, operation: Operation | None = None) -> Any:
        """Wrap the synchronous request."""
        begun = self._begin(instance, args, kwargs, operation) if self.active else None
        if begun is None:
            with self._bare():
                return wrapped(*args, **kwargs)
        while True:
            token = context.attach(begun.context)
            try:
                result = wrapped(*begun.args, **begun.kwargs)
            except BaseException as error:
                if not self._withdrawn(begun, error):
                    begun.call.failed(error)
                    begun.call.release()
                    raise
            else:
                return self._finish(begun, result)
            finally:
                detach(token, begun.context)

    async def acall(
        self, wrapped: Any, instance: Any, args: Any, kwargs: Any, *, operation: Operation | None = None
    ) -> Any:
        """Wrap the asynchronous request."""
        begun = self._begin(instance, args, kwargs, operation) if self.active else None
        if begun is None:
            with self._bare():
                return await wrapped(*args, **kwargs)
        while True:
            token = context.attach(begun.context)
            try:
                result = await wrapped(*begun.args, **begun.kwargs)
            except BaseException as error:
                if not self._withdrawn(begun, error):
                    begun.call.failed(error)
                    begun.call.release()
                    raise
            else:
                return self._finish(begun, result)
            finally:
                detach(token, begun.context)

    @contextlib.contextmanager
    def _bare(self) -> Generator[None]:
        """Send what is not billed, or is met again further in, as bare of our baggage as a call."""
        current = context.get_current()
        within = without_our_baggage(current, self._settings.strip_baggage) if self.active else current
        if within is current:
            yield
            return
        token = context.attach(within)
        try:
            yield
        finally:
            detach(token, within)

    def gen(self, wrapped: Any, instance: Any, args: Any, kwargs: Any, *, operation: Operation | None = None) -> Any:
        """Wrap a generator function; where it does not stream this time, it is a plain request."""
        if not self._streams(instance, args, kwargs, operation):
            return self.call(wrapped, instance, args, kwargs, operation=operation)
        return self._steps(current_context(), wrapped, instance, args, kwargs, operation)

    def agen(self, wrapped: Any, instance: Any, args: Any, kwargs: Any, *, operation: Operation | None = None) -> Any:
        """Wrap the asynchronous twin of ``gen``."""
        if not self._streams(instance, args, kwargs, operation):
            return self.acall(wrapped, instance, args, kwargs, operation=operation)
        return self._asteps(current_context(), wrapped, instance, args, kwargs, operation)

    async def alater(
        self, wrapped: Any, instance: Any, args: Any, kwargs: Any, *, operation: Operation | None = None
    ) -> Any:
        """Wrap a coroutine that makes an asynchronous generator; where it does not, it is a plain request."""
        if not self._streams(instance, args, kwargs, operation):
            return await self.acall(wrapped, instance, args, kwargs, operation=operation)
        items = await wrapped(*args, **kwargs)

        def made(*_args: Any, **_named: Any) -> Any:
            return items

        return self._asteps(current_context(), made, instance, args, kwargs, operation)

    @contextlib.contextmanager
    def opening(
        self, wrapped: Any, instance: Any, args: Any, kwargs: Any, *, operation: Operation | None = None
    ) -> Generator[Any]:
        """Wrap a function that makes a context manager of a response."""
        with contextlib.ExitStack() as opened:

            def enter(*args: Any, **kwargs: Any) -> Any:
                return opened.enter_context(wrapped(*args, **kwargs))

            yield self.call(enter, instance, args, kwargs, operation=operation)

    @contextlib.asynccontextmanager
    async def aopening(
        self, wrapped: Any, instance: Any, args: Any, kwargs: Any, *, operation: Operation | None = None
    ) -> AsyncGenerator[Any]:
        """Wrap the asynchronous twin of ``opening``."""
        async with contextlib.AsyncExitStack() as opened:

            async def enter(*args: Any, **kwargs: Any) -> Any:
                return await opened.enter_async_context(wrapped(*args, **kwargs))

            yield await self.acall(enter, instance, args, kwargs, operation=operation)

    def _streams(self, instance: Any, args: Any, kwargs: Any, operation: Operation | None) -> bool:
        try:
            operation = operation or self.adapter.route(instance, args, kwargs)
            return operation is not None and (
                operation.stream or self.adapter.request(instance, operation, args, kwargs).stream
            )
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("request", error)
            return False

    def _steps(
        self, made: Context, wrapped: Any, instance: Any, args: Any, kwargs: Any, operation: Operation | None
    ) -> Generator[Any]:
        """Begin with the first step, as the client does: a generator that nobody iterates sends nothing.

        The call belongs where it was made, wherever it is read.
        """
        begun = self._begin(instance, args, kwargs, operation, made) if self.active else None
        inner = wrapped(*args, **kwargs)
        if begun is None:
            yield from inner
            return
        begun.call.attached = True
        begun.call.release()
        yield from observed(inside_steps(inner, begun.context), lambda: begun.call)

    async def _asteps(
        self, made: Context, wrapped: Any, instance: Any, args: Any, kwargs: Any, operation: Operation | None
    ) -> AsyncGenerator[Any]:
        begun = self._begin(instance, args, kwargs, operation, made) if self.active else None
        inner = wrapped(*args, **kwargs)
        call: Call | None = None
        if begun is not None:
            call = begun.call
            call.attached = True
            call.release()
            inner = inside_asteps(inner, begun.context)
        items = observed_async(inner, lambda: call)
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()

    def _begin(
        self, instance: Any, args: Any, kwargs: Any, operation: Operation | None = None, made: Context | None = None
    ) -> Begun | None:
        """Return the call that begins; None where it is not billable, or is part of a call that is metered already."""
        try:
            operation = operation or self.adapter.route(instance, args, kwargs)
            if operation is None:
                return None
            current = current_context() if made is None else made
            metered = current.get(METERED)
            if metered is not None and not may_begin(metered, instance, self.adapter.payload(args, kwargs)):
                return None
            return self._begun(operation, current, instance, args, kwargs)
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("request", error)
            return None

    def _begun(self, operation: Operation, current: Context, instance: Any, args: Any, kwargs: Any) -> Begun | None:
        fetched = None
        if operation.response_id is not None:
            fetched = self._pending.get(operation.response_id)
            if fetched is None:
                return None
        self._prepare()
        request = self.adapter.request(instance, operation, args, kwargs)
        if fetched is not None:
            request = fetched.request._replace(stream=request.stream, background=False)
        elif self._salt is not None:
            request = request._replace(credential_hash=self._hash(self.adapter.credential(instance)))
        choice = fetched.choice if fetched is not None else self._recorder.provider(request)
        call = Call(self.adapter, self._recorder, self._pending, operation, request, choice, current)
        begun = Begun(call, current, args, kwargs)
        if fetched is not None:
            call.fetched, call.tags = fetched, fetched.tags
        else:
            self._place(call, instance, current)
            self._ask(begun)
            if self._estimator is not None:
                call.estimate_with(self._estimator, "\n".join(self.adapter.input_texts(args, kwargs)))
        within = inside(current, call, call.span if call.own else None)
        begun.context = without_our_baggage(within, self._settings.strip_baggage)
        call.client = instance
        call.payload, call.parent = self.adapter.payload(begun.args, begun.kwargs), current
        return begun

    def _begins_on(self, instance: object) -> Begin:
        """Return what begins the calls of a connection that ``instance`` opened."""
        secret = self._hash(self.adapter.credential(instance)) if self._salt is not None else None

        def begin(operation: Operation, request: Request, within: Context, taken: Collection[Span | None]) -> Call:
            self._prepare()
            request = request._replace(credential_hash=secret)
            choice = self._recorder.provider(request)
            call = Call(self.adapter, self._recorder, self._pending, operation, request, choice, within)
            call.opinions = self.opinions
            place = place_of(within)
            # A span of somebody else's may last as long as the connection: it holds one charge.
            self._put(call, OWN if place.span is not None and place.span in taken else place, within)
            return call

        return begin

    def _hash(self, secret: str | None) -> str | None:
        if secret is None or self._salt is None:
            return None
        return hmac.digest(self._salt, secret.encode(), "sha256").hex()[:_HASH_DIGITS]

    def _place(self, call: Call, instance: Any, current: Context) -> None:
        """Find the span on which the call is written, or start one."""
        adapter = self.adapter
        if adapter.traces_itself is not None and adapter.traces_itself(instance):
            if self._settings.native_spans == "adopt":
                call.native = True  # it becomes current in the client, and is taken there
                return
            if adapter.silence is not None:
                self._silenced[instance] = adapter.silence(instance)
        self._put(call, place_of(current), current)

    def _put(self, call: Call, place: Place, current: Context) -> None:
        call.own, call.span = place
        if place is OWN:
            call.span = self._recorder.start(call.operation, call.request, call.choice, current)
        elif call.span is not None:
            self._recorder.adopt(call.span)

    def _ask(self, begun: Begun) -> None:
        """Ask for usage in the stream where the caller did not say and the host is known to take the option."""
        call, adapter, wanted = begun.call, self.adapter, self._settings.stream_usage
        request = call.request
        if not request.stream or wanted == "never" or (request.host, request.port) in self._refusing:
            return
        sure = request.named or call.choice.price_host is None
        if wanted == "auto" and not (sure and call.choice.name in adapter.asks_usage):
            return
        asked = adapter.ask_usage(call.operation, request, begun.args, begun.kwargs)
        if asked is not None:
            begun.given = (begun.args, begun.kwargs)
            begun.args, begun.kwargs = asked
            call.hide = True

    def _withdrawn(self, begun: Begun, error: BaseException) -> bool:
        """Return whether the host refused what we asked for: it is remembered, and the call goes out as given."""
        try:
            if begun.given is None or not self.adapter.refused(error):
                return False
            request = begun.call.request
            self._refusing.add((request.host, request.port), value=True)
            (begun.args, begun.kwargs), begun.given = begun.given, None
            begun.call.hide = False
            begun.call.payload = self.adapter.payload(begun.args, begun.kwargs)
        except Exception as failure:  # noqa: BLE001  # our failure is never the caller's
            failures.report("request", failure)
            return False
        return True

    def _finish(self, begun: Begun, result: Any) -> Any:
        """Settle a call whose response is complete; one whose body is still to be read hangs on its response.

        The caller gets what the client returned; of a generator, one of the same type around it.
        """
        call = begun.call
        try:
            call.retries = call.retries or self.adapter.retries(result)
            if call.request.stream and not call.attached:
                result = self._stream_of(call, result, begun.context)
            if not call.attached and not call.ended:
                body = self.adapter.unread(call.operation, result)
                if body is None:
                    call.returned(result)
                else:
                    call.listen(body, result)
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("request", error)
        call.release()
        return result

    def _stream_of(self, call: Call, result: Any, within: Context) -> Any:
        """Hang a call on the stream that a client returned."""
        name = self.adapter.iterator if hasattr(result, self.adapter.iterator or "") else None
        inner: Any = result if name is None else getattr(result, name)
        watched: Any = None
        if isinstance(inner, GeneratorType):
            watched = observed(inside_steps(cast("Generator[Any]", inner), within), lambda: call)
        elif isinstance(inner, AsyncGeneratorType):
            watched = observed_async(inside_asteps(cast("AsyncGenerator[Any]", inner), within), lambda: call)
        if watched is not None:
            # The generator holds the call, so what is watched is what the caller holds.
            carrier = watched if name is None else self.adapter.http_response(result) or watched
            call.attach(carrier)
            if name is None:
                return watched
            setattr(result, name, watched)
            return result
        carrier = self.adapter.http_response(result)
        if carrier is not None:
            if carrier is not result:
                call.opened(result)
            call.attach(carrier)
        return result

    # --- the response ---------------------------------------------------------------------------

    def process(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the place that first holds the HTTP response of an attempt."""
        call = self._arrived(instance, kwargs)
        result = wrapped(*args, **kwargs)
        if call is not None and not call.attached:
            call.returned(result, kwargs["response"])
        return result

    async def aprocess(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the asynchronous twin of ``process``."""
        call = self._arrived(instance, kwargs)
        result = await wrapped(*args, **kwargs)
        if call is not None and not call.attached:
            call.returned(result, kwargs["response"])
        return result

    def _arrived(self, instance: Any, kwargs: Any) -> Call | None:
        """Return the call of a billed response; a middleware of the client may ask for several, or see errors."""
        call = context.get_current().get(METERED)
        if not isinstance(call, Call) or call.client is not instance:
            return None
        try:
            http_response = kwargs["response"]
            if not http_response.is_success:
                return None
            call = call.further() if call.answered else call
            call.arrived(http_response, kwargs.get("retries_taken") or 0)
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("request", error)
            return None
        return call

    def stream(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the method that makes a stream's iterator."""
        return observed(wrapped(*args, **kwargs), self._finder(instance))

    def astream(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the asynchronous twin of ``stream``."""
        return observed_async(wrapped(*args, **kwargs), self._finder(instance))

    def _finder(self, stream: Any) -> Callable[[], Call | None]:
        """Return what finds the call of a stream when its first item is asked for."""
        carrier = self.adapter.http_response(stream)
        return lambda: call_of(carrier)

    def close(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap what gives a response up, synchronous or not: the call ends before, while its span still records."""
        try:
            http_response = self.adapter.http_response(instance)
            call = call_of(http_response)
            if call is not None:
                call.closed(http_response, raw=self.adapter.is_raw(instance))
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("usage", error)
        return wrapped(*args, **kwargs)

    def read(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the method by which a caller reads a body: what he gets is heard on the way."""
        call = call_of(instance)
        if call is None:
            return wrapped(*args, **kwargs)
        try:
            data = wrapped(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        call.hear(data, whole=_asks_for_all(args, kwargs))
        return data

    async def aread(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the asynchronous twin of ``read``."""
        call = call_of(instance)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            data = await wrapped(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        call.hear(data, whole=_asks_for_all(args, kwargs))
        return data

    def parse(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap the place where a body that was left unread becomes an object."""
        result = wrapped(*args, **kwargs)
        call = call_of(getattr(instance, "http_response", None))
        if call is not None and not call.request.stream:
            call.returned(result, instance.http_response)
        return result


def _asks_for_all(args: Any, kwargs: Any) -> bool:
    """Return whether a read names no size: what comes then is the rest."""
    size = next(iter((*args, *kwargs.values())), None)
    return not isinstance(size, int) or size < 0
