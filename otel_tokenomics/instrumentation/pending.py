"""What is remembered between calls, and bounded: background responses without a bill, hosts that refuse an option."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

from otel_tokenomics.client_api import Request
from otel_tokenomics.telemetry.recorder import ProviderChoice

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Background(NamedTuple):
    """A call whose bill is to come: what it asked for, who bills, and whose money it is."""

    request: Request
    choice: ProviderChoice
    tags: Mapping[str, str]


class Bounded(Generic[K, V]):
    """A thread-safe memory of the latest entries; the oldest is forgotten."""

    def __init__(self, limit: int) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()
        self._limit = limit

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return an entry, or None."""
        return self._entries.get(key)

    def add(self, key: K, value: V) -> None:
        """Remember an entry."""
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            if len(self._entries) > self._limit:
                self._entries.popitem(last=False)

    def take(self, key: K | None) -> V | None:
        """Remove and return an entry; of several that ask, one gets it."""
        with self._lock:
            return self._entries.pop(key, None) if key is not None else None


Pending = Bounded[str, Background]
