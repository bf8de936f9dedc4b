"""Our own failures: never into the caller, never in silence. One WARNING per place and process, and a count."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import Final

PLACES: Final = ("patch", "request", "usage", "price", "record", "export")

_logger = logging.getLogger("otel_tokenomics")
_lock = threading.Lock()
_counts: Counter[str] = Counter()


def report(where: str, error: BaseException) -> None:
    """Count a failure of ours at a place of ``PLACES``; the first of a place is a WARNING, later ones are debug.

    The error's text may hold content, so only its type and place in our code are logged.
    """
    with _lock:
        _counts[where] += 1
        first = _counts[where] == 1
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace is not None else "?"
    _logger.log(
        logging.WARNING if first else logging.DEBUG,
        "otel_tokenomics: failure in %s (%s at %s); the call is not affected. Please report it.",
        where,
        type(error).__name__,
        place,
    )


def counts() -> dict[str, int]:
    """Return how often each place failed in this process."""
    with _lock:
        return dict(_counts)


def reset() -> None:
    """Forget the counts, in a forked child: the lock may be held by a thread that is not there any more."""
    global _lock
    _lock = threading.Lock()
    _counts.clear()
