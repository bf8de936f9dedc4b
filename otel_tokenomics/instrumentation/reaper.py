"""Ends calls whose response was dropped, outside the garbage collector.

A finaliser runs wherever memory happens to be collected: also in a thread that holds a lock of the recorder or of the
OpenTelemetry SDK, which settling would want. It therefore only puts the call in a queue that is safe to use there
(``queue.SimpleQueue``); a thread of ours settles it.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
import weakref
from typing import Any, Final, Protocol


class Abandoned(Protocol):
    """What is ended when its response is dropped: any number of times, which is once."""

    @property
    def ended(self) -> bool:
        """Whether it is settled already."""
        ...

    def abandon(self) -> None:
        """End the call."""
        ...


class Reaper:
    """Watches HTTP responses; the thread starts with the first of them."""

    def __init__(self) -> None:
        self._dropped: queue.SimpleQueue[Abandoned] = queue.SimpleQueue()
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._busy = False
        self._thread: threading.Thread | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def watch(self, http_response: Any, call: Abandoned) -> None:
        """End a call soon after its response was dropped, and at the latest when the process exits."""
        if self._thread is None:
            self._start()
        self._open.add(call)
        weakref.finalize(http_response, self._drop, call).atexit = False

    def _drop(self, call: Abandoned) -> None:
        """Queue a call whose response was dropped; nobody is woken for one that has ended, as nearly all have."""
        if not call.ended:
            self._dropped.put(call)

    def drain(self, timeout: float = 1.0) -> bool:
        """Wait until everything that was dropped has been ended; return whether it has, in seconds of ``timeout``."""
        give_up = time.monotonic() + timeout
        while not self._dropped.empty() or self._busy:
            if time.monotonic() > give_up:
                return False
            time.sleep(0.001)
        return True

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                atexit.register(self._at_exit)
                self._thread = threading.Thread(target=self._run, name="otel-tokenomics-reaper", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            call = self._dropped.get()
            self._busy = True
            call.abandon()
            del call
            self._busy = False

    def _at_exit(self) -> None:
        """Registered after the provider was made, so it runs before that is shut down."""
        for call in list(self._open):
            call.abandon()
        self.drain()

    def _forked(self) -> None:
        """A child has no thread, and what its parent dropped is the parent's to settle."""
        atexit.unregister(self._at_exit)
        self._dropped = queue.SimpleQueue()
        self._open = weakref.WeakSet()
        self._lock = threading.Lock()
        self._busy = False
        self._thread = None


REAPER: Final = Reaper()
