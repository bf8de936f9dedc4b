"""The one writer: from a settled call to span attributes, metrics and running totals, out of one result object."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, Status, StatusCode, set_span_in_context

from otel_tokenomics.attributes import names
from otel_tokenomics.client_api import Operation, Request
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import Cost, EndpointTable, PriceBook, price_reading
from otel_tokenomics.telemetry import failures, metrics, rollup
from otel_tokenomics.telemetry.call_attributes import CallAttributes, absent_only
from otel_tokenomics.telemetry.call_metrics import CallMetrics
from otel_tokenomics.telemetry.settled_call import Outcome, ProviderChoice, SettledCall
from otel_tokenomics.telemetry.unended import Unended, is_watched
from otel_tokenomics.usage import Reading, Usage
from otel_tokenomics.version import __version__

__all__ = ["Outcome", "ProviderChoice", "Recorder", "last_cost", "remember"]

STALE_AFTER_S: Final = 45 * 86_400
_last: ContextVar[Cost | None] = ContextVar("tokenomics-last-cost", default=None)


class Recorder:
    """Starts the span of a call and settles it: once, with everything that is known."""

    def __init__(self, settings: Settings, book: Callable[[], PriceBook], instruments: metrics.Instruments) -> None:
        self.settings = settings
        self.book = book
        self.instruments = instruments
        self.default_tags: Mapping[str, str] = {}
        #: Whether spans of ours bear no tags yet, because the provider took no span processor of ours.
        self.writes_tags = False
        #: Has a call told when somebody else's span is dropped; who makes calls sets it.
        self.when_dropped: Callable[[Span, Unended], None] | None = None
        self._endpoints = EndpointTable.parse(settings.endpoints)
        self._elsewhere = EndpointTable.parse(settings.billed_elsewhere)
        self._chosen_by: PriceBook | None = None
        self._attributes = CallAttributes(settings)
        self.metrics = CallMetrics(settings, instruments)
        schema = None if settings.semconv == "latest" else "https://opentelemetry.io/schemas/1.41.1"
        self._tracer = trace.get_tracer(metrics.SCOPE, __version__, schema_url=schema)

    def provider(self, request: Request) -> ProviderChoice:
        """Return who bills a request: by the setting ``endpoints``, then by host, then by client."""
        book = self.book()
        if book is not self._chosen_by:
            # A newer book may list other hosts; an older one must not be kept alive by its answers.
            self._choose, self._chosen_by = functools.lru_cache(1024)(functools.partial(self._provider, book)), book
        return self._choose(request.provider, request.host, request.port, request.path, request.named)

    def _provider(
        self, book: PriceBook, name: str, host: str | None, port: int | None, path: str, named: bool
    ) -> ProviderChoice:  # a key of the cache
        elsewhere = self._elsewhere.lookup(host, port, path) is not None
        ruled = self._endpoints.lookup(host, port, path)
        if ruled:
            return ProviderChoice(book.provider_by_name(ruled) or ruled, None, elsewhere)
        # Who is named in a router's path sells there, whoever the router is.
        known = book.provider_by_name(name) if named else book.provider_by_host(host)
        if known:
            return ProviderChoice(known, None, elsewhere)
        return ProviderChoice(book.provider_by_name(name) or name, host, elsewhere)

    def start(
        self,
        operation: Operation,
        request: Request,
        choice: ProviderChoice,
        context: Context | None = None,
        start_ns: int | None = None,
    ) -> Span:
        """Start the CLIENT span of a call, with the attributes that samplers need; it is not made current.

        ``start_ns`` is when a call that is over began, in epoch nanoseconds.
        """
        attributes: dict[str, Any] = {
            names.GEN_AI_OPERATION_NAME: operation.name,
            names.GEN_AI_PROVIDER_NAME: choice.name,
        }
        if request.model:
            attributes[names.GEN_AI_REQUEST_MODEL] = request.model
        if request.host:
            attributes[names.SERVER_ADDRESS] = request.host
        if request.port:
            attributes[names.SERVER_PORT] = request.port
        name = f"{operation.name} {request.model}" if request.model else operation.name
        span = self._tracer.start_span(name, context, SpanKind.CLIENT, attributes, start_time=start_ns)
        if self.settings.price and span.is_recording():
            rollup.opened(rollup.ancestors_of(span))
        return span

    def adopt(self, span: Span) -> None:
        """Note that a call is written on somebody else's span: its ancestors' totals are partial until it settles."""
        if self.settings.price:
            rollup.adopted(span)

    def start_charge(self, kind: str, attributes: Mapping[str, Any]) -> Span:
        """Start the child span that holds a charge, where the current span cannot."""
        return self._tracer.start_span(f"charge {kind}", attributes=attributes)

    def settle(
        self,
        span: Span | None,
        operation: Operation,
        request: Request,
        choice: ProviderChoice,
        outcome: Outcome,
        *,
        own: bool,
        tags: Mapping[str, str],
        made: Context | None = None,
    ) -> Cost:
        """Write one settled call everywhere, and end its span where it is ours.

        Args:
            span: our span; somebody else's recording span (``own`` false); None where spans are suppressed.
            operation: what was called.
            request: what was asked for.
            choice: who bills.
            outcome: how it went.
            own: whether the span is ours to end.
            tags: the tags in force, by attribute name.
            made: the context in which the call was made; of use where somebody else's span has ended.
        """
        usage, reading = self._usage(request, outcome)
        cost = self._cost(request, choice, outcome, usage, reading)
        call = SettledCall(operation, request, choice, outcome, usage, reading, cost)
        if self.default_tags:
            tags = {**self.default_tags, **tags}
        if span is not None and not (own or self._written(span, call, tags, own=False)):
            span, own = self._start_below(span, call, made), True
        if span is not None and own and self._written(span, call, tags, own=True) and outcome.end == "error":
            span.set_status(Status(StatusCode.ERROR))
        priced = self.settings.price or cost.source == "provider"
        shown = cost if priced else cost._replace(total=None)
        if span is not None and self.settings.price:
            open_above = own or rollup.was_adopted(span)
            rollup.settled(rollup.ancestors_of(span), shown, call.tokens(), was_open=open_above, holder=span)
        counted = cost if priced else shown._replace(status="", reason=None, model=None)
        self.metrics.record(call._replace(cost=counted), tags)
        _last.set(shown)
        if own and span is not None:
            span.end(outcome.ended_at_ns)
        return shown

    def _written(self, span: Span, call: SettledCall, tags: Mapping[str, str], *, own: bool) -> bool:
        """Write a call on a span; return whether it stands there: another thread may end a span that is not ours."""
        if not span.is_recording():
            return False
        attributes = self._attributes.of(call)
        if not own:
            self._watch(span, call, attributes, tags)
        if self.writes_tags:
            attributes |= tags
        span.set_attributes(attributes if own else absent_only(span, attributes))
        return own or names.TOKENOMICS_CALL_END in getattr(span, "attributes", attributes)

    def _watch(self, span: Span, call: SettledCall, attributes: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Have the call told on a span of ours where the owner of this one never ends it."""
        while (inner := getattr(span, "__wrapped__", None)) is not None:
            span = inner  # a proxy of OpenInference's is dropped long before its span
        if self.when_dropped is None or not is_watched(span):
            return
        outcome, above = call.outcome, getattr(span, "parent", None)
        within = set_span_in_context(NonRecordingSpan(above), Context()) if above is not None else Context()
        ended_ns, written = outcome.ended_at_ns or time.time_ns(), {**attributes, **tags}

        def tell() -> None:
            try:
                ours = self.start(call.operation, call.request, call.choice, within, outcome.started_at_ns)
                ours.set_attributes(written)
                if outcome.end == "error":
                    ours.set_status(Status(StatusCode.ERROR))
                ours.end(ended_ns)
            except Exception as error:  # noqa: BLE001  # the thread that settles all others must go on
                failures.report("record", error)

        self.when_dropped(span, Unended(span.get_span_context().span_id, tell))

    def _start_below(self, span: Span, call: SettledCall, made: Context | None) -> Span:
        """Start our span below somebody else's that has ended: the call, ``made`` there, was to be written on it."""
        within, begun = set_span_in_context(span, made), call.outcome.started_at_ns
        ours = self.start(call.operation, call.request, call.choice, within, begun)
        rollup.given_up(span)
        return ours

    def _usage(self, request: Request, outcome: Outcome) -> tuple[Usage | None, Reading]:
        """Return what was used: the provider's counts, with what only the request knows; else an estimate."""
        reading = outcome.reading or Reading()
        usage = reading.usage
        if outcome.end == "completed" and usage is None and request.units and reading.reason is None:
            usage = Usage(dict(request.units))
        if usage is None and outcome.estimated is not None:
            return outcome.estimated, reading._replace(
                usage=outcome.estimated, reason=reading.reason or "incomplete_usage"
            )
        if usage is not None and outcome.end != "completed":
            reading = reading._replace(reason=reading.reason or "incomplete_usage")
            if outcome.estimated is not None:
                usage = Usage({**usage.counts, **outcome.estimated.counts}, "mixed")
        return usage, reading if reading.usage is usage else reading._replace(usage=usage)

    def _cost(
        self, request: Request, choice: ProviderChoice, outcome: Outcome, usage: Usage | None, reading: Reading
    ) -> Cost:
        book = self.book()
        if usage is None:
            if reading.reason is None and outcome.ambiguous and not outcome.started:
                reading = reading._replace(reason="billing_unknown")
        elif outcome.end == "completed" and any(usage.counts.values()):
            # A fee per request is due once per completed call; where no row asks for it, it changes nothing.
            reading = reading._replace(usage=Usage({**usage.counts, "request": 1}, usage.source))
        # Terms of one's own may be those of one key.
        facts = {**request.facts, "account": request.credential_hash} if request.credential_hash else request.facts
        cost = price_reading(
            book, reading, choice.name, outcome.started_at_ns // 1_000_000,
            request_model=request.model, host=choice.price_host,
            unknown_host=self.settings.unknown_host, facts=facts,
        )  # fmt: skip
        if choice.billed_elsewhere:
            return _not_applicable(cost, "billed_elsewhere")
        refused = outcome.end == "error" and not outcome.started and not outcome.ambiguous
        if refused and usage is None and reading.stated_cost is None:
            return _not_applicable(cost, "call_failed")
        if cost.total is not None and time.time() - book.generated_at_ms / 1000 > STALE_AFTER_S:
            cost = cost._replace(flags=(*cost.flags, "stale_book"))
        if outcome.opinion == 0 and usage is not None and any(usage.counts.values()) and cost.status != "free":
            cost = cost._replace(flags=(*cost.flags, "foreign_zero_ignored"))
        return cost


def last_cost() -> Cost | None:
    """Return the cost of the last call that settled in this context, or None."""
    return _last.get()


def remember(cost: Cost) -> None:
    """Make a charge the last cost of this context."""
    _last.set(cost)


def _not_applicable(cost: Cost, reason: str) -> Cost:
    return cost._replace(
        status="not_applicable", reason=reason, total=None, parts={}, list=None, computed=None, source=None,
        basis=None, flags=(), sku=None, savings={},
    )  # fmt: skip
