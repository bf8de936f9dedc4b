"""Somebody else's span on which a call was written, and which its owner drops without ever ending it.

Nobody would get that span. Who drops it is known when it is collected, and whether it was ended before from the span
processor: a span of which the processor did not see the start is not watched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from opentelemetry.trace import Span

_SEEN: Final = "_tokenomics_seen"
#: By the id of the span. What is popped by one thread is not there for another: it is told once.
_open: Final[dict[int, Unended]] = {}


class Unended:
    """A call on a span that is not ended yet. ``tell`` makes a span of ours of it; it must not hold theirs."""

    def __init__(self, span_id: int, tell: Callable[[], None]) -> None:
        self._span_id, self._tell = span_id, tell
        _open[span_id] = self

    @property
    def ended(self) -> bool:
        """Whether the span was ended, or the call told."""
        return self._span_id not in _open

    def abandon(self) -> None:
        """Tell the call because its span was dropped."""
        if _open.pop(self._span_id, None) is self:
            self._tell()


def note_start(span: Span) -> None:
    """Remember that the end of a span will be seen."""
    vars(span)[_SEEN] = True


def note_end(span_id: int) -> None:
    """Let a span go that its owner ends."""
    _open.pop(span_id, None)


def is_watched(span: Span) -> bool:
    """Return whether the end of a span would be seen."""
    return getattr(span, "__dict__", {}).get(_SEEN, False)
