"""The life of one call: begun at the choke point, settled exactly once, however it ends and whoever ends it.

A call whose body is still to be read hangs on its HTTP response, never the other way round: when the response
is dropped, a finaliser ends the call.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Span, get_current_span

from otel_tokenomics.client_api import Adapter, Operation, Request
from otel_tokenomics.instrumentation.charged import CHARGED, Charge
from otel_tokenomics.instrumentation.pending import Background, Pending
from otel_tokenomics.instrumentation.reaper import REAPER
from otel_tokenomics.instrumentation.suppression import audible, has_cost, scope_of
from otel_tokenomics.tags import current_tags
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.recorder import Outcome, ProviderChoice, Recorder
from otel_tokenomics.usage import Reading, Usage

#: Where a call hangs on its HTTP response.
EXTENSION: Final = "otel_tokenomics.call"
#: Counts the tokens of a text for a model.
Estimator = Callable[[str | None, str], int]
#: The calls of streams that are no HTTP responses: those have a place for it.
_carried: Final[weakref.WeakKeyDictionary[Any, Call]] = weakref.WeakKeyDictionary()
#: The largest body that is kept to be read: no answer in words comes near.
_HEARD_AT_MOST: Final = 2**24
_TERMINAL: Final = frozenset({"completed", "incomplete", "failed", "cancelled"})


class Call:
    """One call of a model. ``end`` may be reached from anywhere, any number of times, in any thread."""

    __slots__: Final = (
        "__weakref__", "_adapter", "_before", "_body", "_done", "_ended", "_estimator", "_first", "_lock", "_output",
        "_pending", "_reader", "_recorder", "_start", "_start_ns", "_started", "_text", "attached", "choice", "chunks",
        "client", "fetched", "hide", "native", "operation", "opinions", "own", "parent", "payload", "request",
        "retries", "span", "tags",
    )  # fmt: skip

    def __init__(
        self,
        adapter: Adapter,
        recorder: Recorder,
        pending: Pending,
        operation: Operation,
        request: Request,
        choice: ProviderChoice,
        within: Context | None = None,
    ) -> None:
        self._adapter, self._recorder, self._pending = adapter, recorder, pending
        self.operation, self.request, self.choice = operation, request, choice
        self.tags: Mapping[str, str] = current_tags(within)
        self._lock = threading.Lock()
        self._ended = self._started = self.attached = self.hide = self.own = self.native = False
        self._reader = adapter.stream_reader(operation, choice.name) if request.stream else None
        self._first: float | None = None
        self.chunks = self.retries = 0
        self._estimator: Estimator | None = None
        self._text = ""
        self._output: list[str] = []
        #: Of a response whose body the caller reads: what he has read, and what was known before.
        self._body: bytearray | None = None
        self._before: Reading | None = None
        self.span: Span | None = None
        #: Where the call was made, for a further span; empty after the request where the span is ours.
        self.parent: Context | None = None
        #: How the figures of a library that states its own compare with ours.
        self.opinions: Counter[str] | None = None
        #: The background call whose bill a fetch may bring.
        self.fetched: Background | None = None
        #: Client of the request under way, and what it is known by; empty before and after.
        self.client: Any = None
        self.payload: object = None
        self._start_ns = time.time_ns()
        self._start = time.perf_counter()
        #: Seconds until the response was complete, where it is settled later.
        self._done: float | None = None

    @property
    def answered(self) -> bool:
        """Whether a response that is billed has begun."""
        return self._started

    def further(self) -> Call:
        """Return the call of one more response to the same request: each response is a charge of its own."""
        twin = Call(self._adapter, self._recorder, self._pending, self.operation, self.request, self.choice)
        twin.tags, twin.hide = self.tags, self.hide
        twin.own, twin.span = True, self._recorder.start(self.operation, self.request, self.choice, self.parent)
        return twin

    def release(self) -> None:
        """Let go of what only the request under way needs."""
        self.client = self.payload = None
        if self.own or self.span is None:
            self.parent = None

    @property
    def ended(self) -> bool:
        """Whether the call is settled."""
        return self._ended

    def covers(self, client: Any, payload: object) -> bool:
        """Return whether a request is this very call, met again in a wrapper further in."""
        return self.client is client and self.payload is payload

    def estimate_with(self, estimator: Estimator, text: str) -> None:
        """Count text where the provider reports nothing; the text is dropped when the call ends."""
        self._estimator, self._text = estimator, text

    # --- the response ---------------------------------------------------------------------------

    def arrived(self, http_response: Any, retries: int) -> None:
        """Note that a response has begun (what follows may be billed), and whose span is current, if native."""
        self._started = True
        self.retries = retries
        if self.native:
            span, scope = get_current_span(), self._adapter.native_scope
            if scope is not None and scope_of(span).startswith(scope) and not has_cost(span):
                self.span = span
                self._recorder.adopt(span)
        if self.request.stream or not http_response.is_closed:
            self.attach(http_response)

    def begins(self) -> None:
        """Note that a response has begun that is no HTTP response: its first message has come."""
        self._started = True
        self.first_chunk()

    def note(self, item: object) -> None:
        """Take note of a message of such a response."""
        try:
            self._observe(item)
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("usage", error)

    @property
    def complete(self) -> bool:
        """Whether the response is complete, settled or not."""
        return self._done is not None

    def done(self) -> None:
        """Note that the response is complete, though its usage may still come."""
        if self._done is None:
            self._done = time.perf_counter() - self._start

    def attach(self, http_response: Any) -> None:
        """Hang the call on its HTTP response: where that is dropped, the call ends as abandoned."""
        self.attached = self._started = True
        extensions: Any = getattr(http_response, "extensions", None)
        if isinstance(extensions, dict):
            extensions[EXTENSION] = self
        else:
            _carried[http_response] = self
        if CHARGED.watchers:
            CHARGED.opened(self, Charge.of(self.request, None, self._start_ns))
        REAPER.watch(http_response, self)

    def opened(self, result: object) -> None:
        """Take note of what a response says before its stream begins."""
        try:
            if self._reader is not None:
                self._reader.observe(result)
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("usage", error)

    def listen(self, body: Any, result: object) -> None:
        """Wait for the caller to read a body that says the usage; what is known before stands where he does not."""
        self._before = self._read(result, None)
        self._body = bytearray()
        self.attach(body)

    def hear(self, data: object, *, whole: bool) -> None:
        """Take note of a piece of the body; the last one (all that is left, or nothing) ends the call."""
        if self._body is None or not isinstance(data, bytes):
            return
        self._body += data
        if data and not whole and len(self._body) <= _HEARD_AT_MOST:
            return
        body, self._body = bytes(self._body), None
        reading: Reading | None = None
        try:
            reading = self._adapter.heard(self.operation, body)
            before = self._before
            if before is not None and reading is not None:
                facts = {**reading.facts, **before.facts}
                reading = reading._replace(facts=facts, response_id=before.response_id or reading.response_id)
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("usage", error)
        self.end("completed", reading or self._before)

    def returned(self, result: object, http_response: Any = None) -> None:
        """Settle a call whose response is complete: from the object, or else from the buffered body."""
        reading: Reading | None = None
        self._started = True
        try:
            reading = self._read(result, http_response)
            if self._estimator is not None:
                self._output.extend(self._adapter.output_texts(result))
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("usage", error)
        self.end("completed", reading)

    def _read(self, result: object, http_response: Any) -> Reading | None:
        adapter, provider = self._adapter, self.choice.name
        unread = result is http_response or adapter.is_raw(result)
        reading = None if unread else adapter.usage(self.operation, result, provider)
        if reading is not None and reading.usage is not None:
            return reading
        carrier = adapter.http_response(result) if http_response is None else http_response
        if carrier is not None:
            body = adapter.body(carrier)
            if body is not None:
                return adapter.usage(self.operation, body, provider) or reading
        return reading

    def watching(self) -> tuple[Callable[[object], None], Callable[[object], bool] | None]:
        """Return what takes note of each item of the stream, and what tells those that the caller must not see."""
        usual = self._reader is not None and not self._at_last and self._estimator is None
        note = self._reader.observe if usual and self._reader is not None else self._observe
        return note, self._adapter.only_usage if self.hide else None

    def first_chunk(self) -> None:
        """Note that the stream's first item has come."""
        self._first = time.perf_counter() - self._start

    def _observe(self, item: object) -> None:
        if self._reader is not None:
            self._reader.observe(item)
        if self._estimator is not None:
            self._output.extend(self._adapter.output_texts(item))
        if error := self._adapter.failure(item):
            self.end("error", error_type=error)
        elif self._at_last and self._reader is not None and self._reader.final:
            self.end("completed")

    @property
    def _at_last(self) -> bool:
        """Whether the call ends with the final item of its stream, for our generator may not get to its own end.

        The client may ask for no more; and who owns the span may end it as he sees that very item.
        """
        return self._adapter.stops_at_last or not self.own

    # --- the ends -------------------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """End the call with an exception that its caller will see."""
        if isinstance(error, GeneratorExit):
            if not (self._adapter.resumable and self.chunks == 1):  # else it ends with the stream, read on or dropped
                self.end("abandoned")
        elif not isinstance(error, Exception):
            self.end("cancelled", error_type=type(error).__qualname__, ambiguous=True)
        else:
            self.end("error", error_type=_error_type(error), ambiguous=self._adapter.ambiguous(error))

    def closed(self, http_response: Any, *, raw: bool) -> None:
        """End the call because its response is given up; a raw body that was read to its end is complete."""
        if raw and not self.request.stream and http_response.is_closed:
            self.returned(http_response, http_response)
        elif (error := sys.exc_info()[1]) is not None and not isinstance(error, (Exception, GeneratorExit)):
            # Of asyncio, of trio, or an interrupt: whoever closes does so because of it.
            self.end("cancelled", error_type=type(error).__qualname__, ambiguous=True)
        else:
            self.end("completed" if raw and http_response.is_closed else "abandoned")

    def abandon(self) -> None:
        """End the call because its response was dropped."""
        # A body that nobody read to its end was made to its end all the same.
        self.end("abandoned" if self._body is None else "completed", self._before)

    def end(
        self, how: str, reading: Reading | None = None, *, error_type: str | None = None, ambiguous: bool = False
    ) -> None:
        """Settle the call, the first time only. ``how`` is completed, error, abandoned or cancelled. Never raises."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        try:
            self._settle(how, reading, error_type, ambiguous=ambiguous)
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("record", error)
            if self.own and self.span is not None:
                self.span.end()

    def _settle(self, how: str, reading: Reading | None, error_type: str | None, *, ambiguous: bool) -> None:
        if reading is None and self._reader is not None:
            reading = self._reader.reading()
        if self.request.background:
            reading = self._await_bill(reading)
        elif self.fetched is None and reading is not None and reading.reason == "pending":
            reading = reading._replace(reason=None)  # a stream that was cut: no bill will come
        if self.fetched is not None and not self._is_bill(reading):
            return
        first, done = self._first if self.request.stream else None, self._done
        outcome = Outcome(
            reading, how, self._start_ns, time.perf_counter() - self._start if done is None else done,
            error_type, ambiguous, self._started or self.chunks > 0, first, self.chunks, self.retries,
            self._estimate(reading, how) if self._estimator is not None else None,
            None if done is None else self._start_ns + round(done * 1_000_000_000),
            reading.opinion if reading is not None else None,
        )  # fmt: skip
        # A response may come where logfire suppresses others, and its processors drop a span that ends there.
        token = attach(audible(get_current()))
        try:
            cost = self._recorder.settle(
                self.span, self.operation, self.request, self.choice, outcome,
                own=self.own, tags=self.tags, made=self.parent,
            )  # fmt: skip
        finally:
            detach(token)
            self.parent = None
        if self.opinions is not None:
            compare(self.opinions, outcome.opinion, cost.total)
        if CHARGED.watchers:
            CHARGED.note(Charge.of(self.request, reading, self._start_ns)._replace(total=cost.total))

    def _await_bill(self, reading: Reading | None) -> Reading | None:
        """Remember a background response that has no usage yet: whoever fetches its end settles it."""
        if reading is None or reading.usage is not None or not reading.response_id:
            return reading
        if reading.response_status in _TERMINAL:
            return reading
        self._pending.add(reading.response_id, Background(self.request, self.choice, self.tags))
        return reading._replace(reason="pending")

    def _is_bill(self, reading: Reading | None) -> bool:
        """Return whether a fetch brought the bill of a background response: the one time that it is charged."""
        if reading is None or (reading.usage is None and reading.response_status not in _TERMINAL):
            return False
        if not self._pending.take(self.operation.response_id):
            return False
        self.own, self.span = True, self._recorder.start(self.operation, self.request, self.choice)
        return True

    def _estimate(self, reading: Reading | None, how: str) -> Usage | None:
        """Count what the provider did not report: everything, or the output of a stream that was cut."""
        estimator, text, output = self._estimator, self._text, "".join(self._output)
        self._text, self._output = "", []
        if estimator is None or not self._started or (reading is not None and reading.reason == "pending"):
            return None
        cut = how != "completed" and not (self._reader is not None and self._reader.final)
        return estimate_of(estimator, self.operation, self.request, reading, text, output, cut=cut)


def estimate_of(
    estimator: Estimator, operation: Operation, request: Request, reading: Reading | None, text: str, output: str,
    *, cut: bool,
) -> Usage | None:  # fmt: skip
    """Count what a provider did not report: everything, or the output of a stream that was cut."""
    if reading is not None and reading.usage is not None:
        return Usage({"output": estimator(request.model, output)}, "mixed") if cut and output else None
    if request.units:
        return None
    counts = {"input": estimator(request.model, text)}
    if operation.name != "embeddings":
        counts["output"] = estimator(request.model, output)
    return Usage(counts, "estimated")


def compare(opinions: Counter[str], opinion: int | None, total: int | None) -> None:
    """Count how a second opinion compares (``agree``, ``differ``, ``zero``): it changes nothing."""
    if opinion is not None and total is not None:
        close = abs(opinion - total) * 100 <= total
        opinions["agree" if close else "differ" if opinion else "zero"] += 1


def may_begin(metered: object, client: object, payload: object) -> bool:
    """Return whether a call may begin: not below what is ``metered`` already, nor as that very call met again."""
    return metered is None or (isinstance(metered, Call) and not metered.covers(client, payload))


def _error_type(error: BaseException) -> str:
    status = getattr(error, "status_code", None)
    return str(status) if isinstance(status, int) else type(error).__qualname__


def call_of(http_response: Any) -> Call | None:
    """Return the call that hangs on an HTTP response; None where none does, or it is settled."""
    extensions = getattr(http_response, "extensions", None)
    carried = _carried.get(http_response) if http_response is not None and extensions is None else None
    call = extensions.get(EXTENSION) if isinstance(extensions, dict) else carried  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return call if isinstance(call, Call) and not call.ended else None
