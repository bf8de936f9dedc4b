"""Calls that a library reports when they are over: charged here where no seam of ours saw the request go out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from opentelemetry.context import Context

from otel_tokenomics.client_api import Adapter, Ended, Operation, Request
from otel_tokenomics.config import Settings
from otel_tokenomics.instrumentation.charged import CHARGED, Charge
from otel_tokenomics.instrumentation.pending import Bounded
from otel_tokenomics.instrumentation.suppression import METERED, OWN, place_of
from otel_tokenomics.tags import current_context, current_tags
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.recorder import Outcome, Recorder
from otel_tokenomics.telemetry.settled_call import token_totals
from otel_tokenomics.usage import Reading, Usage, parse_usd

_REMEMBERED: Final = 4096
_NS: Final = 1_000_000_000


class Reports:
    """What one adapter's ``register`` is given. Nothing here raises; a call is charged once, however often reported."""

    def __init__(self, adapter: Adapter, recorder: Recorder, settings: Settings, prepare: Callable[[], None]) -> None:
        self.adapter = adapter
        self.active = False
        self._recorder, self._settings, self._prepare = recorder, settings, prepare
        self._began: Bounded[str, Context] = Bounded(_REMEMBERED)
        self._known: Bounded[tuple[str, str | None], bool] = Bounded(_REMEMBERED)
        #: How the library's own figures compare with ours: ``agree``, ``differ``, ``zero``.
        self.opinions: Counter[str] = Counter()

    def start(self) -> None:
        """Take reports from now on, and have the charges of observed clients remembered meanwhile."""
        self.active = True
        CHARGED.watchers += 1

    def stop(self) -> None:
        """Take no more reports."""
        if self.active:
            self.active = False
            CHARGED.watchers -= 1
            if not CHARGED.watchers:
                CHARGED.clear()

    def began(self, call_id: Callable[[], str]) -> None:
        """Remember where a call was made: it is reported from elsewhere."""
        try:
            if self.active:
                self._began.add(call_id(), current_context())
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("request", error)

    def ended(self, report: Callable[[], Ended]) -> None:
        """Charge a call that is over, unless it is charged already."""
        try:
            if self.active:
                self._settle(report())
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("record", error)

    def _settle(self, ended: Ended) -> None:
        adapter, details = self.adapter, ended.details
        within = self._began.take(ended.call_id) or current_context()
        operation = adapter.route(None, (), details)
        if operation is None or within.get(METERED) is not None:
            return
        self._prepare()
        request = adapter.request(None, operation, (ended.response,), details)
        choice = self._recorder.provider(request)
        reading = adapter.usage(operation, ended.response, choice.name) if ended.response is not None else None
        key = (ended.call_id, reading.response_id if reading is not None else None)
        if key in self._known:
            return
        self._known.add(key, value=True)
        opinion = _money(ended.opinion) if reading is not None else None
        charge = CHARGED.take(_as_charge(ended, request, reading))
        if charge is not None:
            self._compare(opinion, charge.total)
            return
        self._charge(within, operation, request, ended, reading, opinion)

    def _charge(
        self, within: Context, operation: Operation, request: Request, ended: Ended, reading: Reading | None,
        opinion: int | None,
    ) -> None:  # fmt: skip
        estimated = None
        if request.usage_asked is False and reading is not None and reading.usage is not None:
            # The provider was not asked, so the counts are the library's own.
            estimated = Usage(reading.usage.counts, "estimated") if self._settings.estimate else None
            reading = reading._replace(usage=None)
        choice, error = self._recorder.provider(request), ended.error
        start_ns, end_ns = round(ended.started_s * _NS), round(ended.ended_s * _NS)
        own, span = place_of(within)
        if (own, span) == OWN:
            span = self._recorder.start(operation, request, choice, within, start_ns=start_ns)
        elif span is not None:
            self._recorder.adopt(span)
        outcome = Outcome(
            reading, "completed" if error is None else "error", start_ns, max(end_ns - start_ns, 0) / _NS,
            type(error).__qualname__ if error is not None else None,
            ambiguous=error is not None and self.adapter.ambiguous(error),
            started=ended.response is not None, estimated=estimated, ended_at_ns=end_ns, opinion=opinion,
        )  # fmt: skip
        tags = current_tags(within)
        cost = self._recorder.settle(span, operation, request, choice, outcome, own=own, tags=tags)
        self._compare(opinion, cost.total)

    def _compare(self, opinion: int | None, total: int | None) -> None:
        """Count how a second opinion compares: it changes nothing."""
        if opinion is not None and total is not None:
            close = abs(opinion - total) * 100 <= total
            self.opinions["agree" if close else "differ" if opinion else "zero"] += 1


def _money(value: object) -> int | None:
    try:
        return parse_usd(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except ValueError:
        return None


def _as_charge(ended: Ended, request: Request, reading: Reading | None) -> Charge:
    usage = reading.usage if reading is not None else None
    return Charge(
        reading.response_id if reading is not None else None,
        (request.host, request.port),
        request.model,
        token_totals(usage) if usage is not None else None,
        # The library's clock shows microseconds.
        round(ended.started_s * _NS) - _NS // 1000,
        time.time_ns(),
    )
