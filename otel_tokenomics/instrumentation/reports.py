"""Calls that a library reports when they are over: charged here where no seam of ours saw the request go out."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.context import Context

from otel_tokenomics.client_api import Adapter, Ended, Operation, Request, UnderWay
from otel_tokenomics.config import Settings
from otel_tokenomics.instrumentation.call import Estimator, compare, estimate_of
from otel_tokenomics.instrumentation.charged import CHARGED, Charge
from otel_tokenomics.instrumentation.pending import Bounded
from otel_tokenomics.instrumentation.reaper import REAPER
from otel_tokenomics.instrumentation.suppression import METERED, OWN, place_of
from otel_tokenomics.tags import current_context, current_tags
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.recorder import Outcome, Recorder
from otel_tokenomics.usage import Reading, Usage, parse_usd

_REMEMBERED: Final = 4096
_NS: Final = 1_000_000_000
#: Stands for a response id: a call that was left is charged as it stood, even if its library reports it after all.
_LEFT: Final = ""


class Reports:
    """What one adapter's ``callback`` tells. Nothing here raises; a call is charged once, however often reported."""

    def __init__(
        self, adapter: Adapter, recorder: Recorder, settings: Settings, prepare: Callable[[], None],
        estimator: Estimator | None,
    ) -> None:  # fmt: skip
        self.adapter = adapter
        self.active = False
        self._estimator = estimator
        self._under_way: weakref.WeakValueDictionary[str, Left] = weakref.WeakValueDictionary()
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

    def under_way(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        """Wrap where the library begins a call, or its stream: one that it never reports was left, or cancelled."""
        result = wrapped(*args, **kwargs)
        try:
            found = self.adapter.under_way(instance) if self.active else None
            if found is not None and (left := self._under_way.get(found.call_id)) is not None:
                left.stands(found)
            elif found is not None:
                self._under_way[found.call_id] = left = Left(self, found)
                REAPER.watch(found.carrier, left)
        except Exception as error:  # noqa: BLE001  # our failure is never the caller's
            failures.report("request", error)
        return result

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
        if (under_way := self._under_way.pop(ended.call_id, None)) is not None:
            under_way.ended = True
            if ended.error is not None and ended.response is None and (so_far := under_way.so_far()).items:
                ended = ended._replace(response=so_far.response, items=so_far.items)  # a stream that broke
        operation = adapter.route(None, (), details)
        if operation is None or within.get(METERED) is not None:
            return
        self._prepare()
        request = adapter.request(None, operation, (ended.response,), details)
        choice = self._recorder.provider(request)
        reading = adapter.usage(operation, ended.response, choice.name) if ended.response is not None else None
        left = (ended.call_id, _LEFT)
        key = left if unreported(ended.error) else (ended.call_id, reading.response_id if reading is not None else None)
        if key in self._known or left in self._known:
            return
        self._known.add(key, value=True)
        opinion = _money(ended.opinion) if reading is not None else None
        # The library's clock shows microseconds.
        reported = Charge.of(request, reading, round(ended.started_s * _NS) - _NS // 1000)
        charge = CHARGED.take(reported)
        if charge is not None:
            compare(self.opinions, opinion, charge.total)
        elif not (ended.error is not None and CHARGED.expects(reported)):
            self._charge(within, operation, request, ended, reading, opinion)

    def _charge(
        self, within: Context, operation: Operation, request: Request, ended: Ended, reading: Reading | None,
        opinion: int | None,
    ) -> None:  # fmt: skip
        estimated, left = None, unreported(ended.error)
        if left and self._estimator is not None and ended.response is not None:
            text = "\n".join(self.adapter.input_texts((), ended.details))
            output = "".join(word for item in ended.items for word in self.adapter.output_texts(item))
            estimated = estimate_of(self._estimator, operation, request, reading, text, output, cut=True)
        elif not left and request.usage_asked is False and reading is not None and reading.usage is not None:
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
            reading, _end_of(error), start_ns, max(end_ns - start_ns, 0) / _NS,
            type(error).__qualname__ if error is not None and not isinstance(error, GeneratorExit) else None,
            ambiguous=left or (error is not None and self.adapter.ambiguous(error)),
            started=ended.response is not None, estimated=estimated, ended_at_ns=end_ns, opinion=opinion,
        )  # fmt: skip
        tags = current_tags(within)
        cost = self._recorder.settle(span, operation, request, choice, outcome, own=own, tags=tags)
        compare(self.opinions, opinion, cost.total)


class Left:
    """A call that its library has not reported; where what carries it is dropped, it never will."""

    def __init__(self, reports: Reports, known: UnderWay) -> None:
        self._reports = reports
        self.stands(known)
        self.ended = False

    def stands(self, known: UnderWay) -> None:
        """Take what is known of the call: its carrier stays out, for whoever drops it ends the call."""
        self._known = known._replace(carrier=None)

    def abandon(self) -> None:
        """End the call as it stands."""
        if not self.ended:
            self.ended = True
            self._reports.ended(self.so_far)

    def so_far(self) -> Ended:
        """Return the call as it stands."""
        call_id, _, details, started_s, items, assembled = self._known
        if items is None:
            return Ended(call_id, details, None, started_s, time.time(), asyncio.CancelledError())
        return Ended(call_id, details, assembled(items), started_s, time.time(), GeneratorExit(), items=items)


def unreported(error: BaseException | None) -> bool:
    """Return whether a call was left or cancelled: of those a library says nothing."""
    return error is not None and not isinstance(error, Exception)


def _end_of(error: BaseException | None) -> str:
    if error is None:
        return "completed"
    return "abandoned" if isinstance(error, GeneratorExit) else "error" if isinstance(error, Exception) else "cancelled"


def _money(value: object) -> int | None:
    try:
        return parse_usd(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except ValueError:
        return None
