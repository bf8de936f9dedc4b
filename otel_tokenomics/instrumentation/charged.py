"""The latest charges, for a library that reports its calls: what it sent through an observed client is charged there.

A response id tells; a response without one (embeddings, failures) is known by address, model, counts and time.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from typing import Final, NamedTuple, Self

from otel_tokenomics.client_api import Request
from otel_tokenomics.telemetry.settled_call import token_totals
from otel_tokenomics.usage import Reading

_REMEMBERED: Final = 4096


class Charge(NamedTuple):
    """One settled call. ``tokens`` (input, output) is None where nobody knows; times are epoch nanoseconds."""

    response_id: str | None
    place: tuple[str | None, int | None]
    model: str | None
    tokens: tuple[int, int] | None
    started_at_ns: int
    ended_at_ns: int
    total: int | None = None

    @classmethod
    def of(cls, request: Request, reading: Reading | None, started_at_ns: int) -> Self:
        """Return what a call that ends now is known by."""
        usage = reading.usage if reading is not None else None
        return cls(
            reading.response_id if reading is not None else None,
            (request.host, request.port),
            request.model,
            token_totals(usage) if usage is not None else None,
            started_at_ns,
            time.time_ns(),
        )

    def is_of(self, report: Charge) -> bool:
        """Return whether a report is of this very call."""
        if self.response_id is not None and report.response_id is not None:
            return self.response_id == report.response_id
        return (
            self[1:3] == report[1:3]
            and self.tokens in (None, report.tokens)  # the library counts what it was not told
            and self.started_at_ns >= report.started_at_ns
            and self.ended_at_ns <= report.ended_at_ns
        )


class Charged:
    """A thread-safe memory of the latest charges; it is kept only while somebody may ask."""

    def __init__(self) -> None:
        self._charges: deque[Charge] = deque(maxlen=_REMEMBERED)
        #: The streams that are being read, by their calls: what is charged when they end.
        self._open: weakref.WeakKeyDictionary[object, Charge] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self.watchers = 0

    def note(self, charge: Charge) -> None:
        """Remember a charge."""
        with self._lock:
            self._charges.append(charge)

    def opened(self, call: object, charge: Charge) -> None:
        """Remember what will be charged when a stream ends, for as long as its call lives."""
        with self._lock:
            self._open[call] = charge

    def expects(self, report: Charge) -> bool:
        """Return whether a stream that is being read is the one of a reported call."""
        with self._lock:
            begun = report._replace(response_id=None, tokens=None)
            return any(charge.is_of(begun) for charge in list(self._open.values()))

    def take(self, report: Charge) -> Charge | None:
        """Remove and return the charge of a reported call: each answers once."""
        with self._lock:
            found = next((charge for charge in reversed(self._charges) if charge.is_of(report)), None)
            if found is not None:
                self._charges.remove(found)
            return found

    def clear(self) -> None:
        """Forget every charge."""
        with self._lock:
            self._charges.clear()
            self._open.clear()


CHARGED: Final = Charged()
