"""Streams whose counts stand on one event, the last: Cohere's, Ollama's and Google's interactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from otel_tokenomics.usage import Reading


class LastEventReader:
    """Reads a stream by what reads one of its events; what an earlier event alone says (the id) is kept."""

    __slots__: Final = ("_read", "_reading", "final")

    def __init__(self, read: Callable[[object], Reading | None]) -> None:
        self._read = read
        self._reading: Reading | None = None
        self.final = False

    def observe(self, item: object) -> None:
        """Take note of one event."""
        seen = self._read(item)
        if seen is not None and (seen.usage is not None or self._reading is None):
            identity = seen.response_id or (self._reading.response_id if self._reading is not None else None)
            self._reading, self.final = seen._replace(response_id=identity), seen.usage is not None

    def reading(self) -> Reading | None:
        """Return what the stream said so far."""
        return self._reading
