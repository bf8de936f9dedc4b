"""Batch results: each response of a provider's result file is a charge, once per process, at batch rates."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from otel_tokenomics.client_api import Operation, Request
from otel_tokenomics.pricing import Cost
from otel_tokenomics.pricing.match import resolve
from otel_tokenomics.tags import current_tags
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.recorder import Outcome, ProviderChoice, Recorder
from otel_tokenomics.usage.dialects.batch_results import BATCH, BatchLine, read_line

#: Responses that a process remembers to have charged: a whole batch of the largest kind (100,000), and more.
MAX_REMEMBERED: Final = 131_072
#: Spans handed over before the exporter is asked to keep up: half of what its queue holds, which drops what is above.
SPANS_PER_FLUSH: Final = 1000
_OPERATIONS: Final = {
    "completions": Operation("text_completion", "completions"),
    "embeddings": Operation("embeddings", "embeddings"),
    "images": Operation("generate_content", "images", "image"),
    "generate_content": Operation("generate_content", "generate_content"),
    "ocr": Operation("generate_content", "ocr", "text"),
}
_logger = logging.getLogger("otel_tokenomics")


class BatchSummary(NamedTuple):
    """What a batch result file came to. Money in pico-USD.

    ``total`` is the sum over the ``priced`` calls (a lower bound where ``unpriced`` or ``partial`` is not 0).
    """

    #: Responses that were counted now: ``priced`` have an amount (0 too), ``unpriced`` have none that is known.
    calls: int = 0
    priced: int = 0
    unpriced: int = 0
    total: int = 0
    #: Of the priced: those whose amount is a lower bound.
    partial: int = 0
    #: Requests that failed, expired or were cancelled: they cost nothing.
    failed: int = 0
    #: Lines passed over: counted before in this process, or of an endpoint that is free.
    repeated: int = 0
    free: int = 0
    #: Lines that could not be read.
    bad_lines: int = 0


class _Remembered:
    """The responses that this process has charged, bounded: the oldest are forgotten. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secret = os.urandom(16)  # nobody finds a response again by what is kept of it
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def claim(self, *parts: str) -> bool:
        """Return whether a charge is new; it is not from now on."""
        key = hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=16, key=self._secret).digest()
        with self._lock:
            if key in self._keys:
                self._keys.move_to_end(key)
                return False
            self._keys[key] = None
            if len(self._keys) > MAX_REMEMBERED:
                self._keys.popitem(last=False)
            return True

    def unlock(self) -> None:
        """Take a new lock in a forked child: the old one may be held by a thread that is not there any more."""
        self._lock = threading.Lock()


REMEMBERED: Final = _Remembered()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=REMEMBERED.unlock)


def lines_of(results: object) -> Iterator[object]:
    """Return the lines of a result file, one by one, however it is given.

    Raises:
        TypeError: ``results`` is nothing that holds lines.
        ValueError: the file cannot be read.
    """
    if isinstance(results, (bytes, bytearray)):
        results = bytes(results).decode("utf-8", "replace")
    if isinstance(results, str) and (results.lstrip()[:1] == "{" or "\n" in results):
        return iter(results.splitlines())
    if isinstance(results, (str, os.PathLike)):
        return _of_file(Path(cast("str | os.PathLike[str]", results)))
    if isinstance(results, Mapping):
        return iter((cast("object", results),))
    by_line: Any = getattr(results, "iter_lines", None)  # OpenAI's ``files.content``: iterating it gives bytes
    if callable(by_line):
        results = by_line()
    if hasattr(results, "__aiter__") and not hasattr(results, "__iter__"):
        raise TypeError("results of an asynchronous client are collected first: [item async for item in results]")
    if not isinstance(results, Iterable):
        raise TypeError(f"batch results are a path, a file or an iterable of lines, not {type(results).__name__}")
    return iter(cast("Iterable[object]", results))


def _of_file(path: Path) -> Iterator[object]:
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ValueError(f"the batch result file cannot be read: {path}: {error.strerror}") from error

    def lines() -> Iterator[str]:
        with closing(file):
            yield from file

    return lines()


def record(
    recorder: Recorder,
    lines: Iterator[object],
    provider: str | None,
    model: str | None,
    relieve: Callable[[], bool],
) -> BatchSummary:
    """Record every line that is new.

    ``relieve`` hands the spans so far over and says whether that worked in time: a queue of spans is short.
    """
    return _Run(recorder, provider, model, relieve).over(lines)


class _Run:
    """One result file on its way through."""

    def __init__(
        self, recorder: Recorder, provider: str | None, model: str | None, relieve: Callable[[], bool]
    ) -> None:
        self._recorder, self._provider, self._model, self._relieve = recorder, provider, model, relieve
        self._tags = current_tags()
        self._sum = dict.fromkeys(BatchSummary._fields, 0)
        self._spans = 0
        #: The last id seen: it tells equal own ids of two batches apart.
        self._after = ""

    def over(self, lines: Iterator[object]) -> BatchSummary:
        first_bad: int | None = None
        for number, line in enumerate(lines, 1):
            if isinstance(line, (str, bytes)) and not line.strip():
                continue
            try:
                read = read_line(line)
                if read is not None:
                    self._one(read, line)
            except Exception as error:  # noqa: BLE001  # one line's failure is not that of the others
                failures.report("usage", error)
                read = None
            if read is None:
                self._sum["bad_lines"] += 1
                first_bad = first_bad or number
        if first_bad is not None:
            _logger.warning(
                "otel_tokenomics: %d lines of a batch result file could not be read, the first is line %d; "
                "they are not charged, the others are",
                self._sum["bad_lines"],
                first_bad,
            )
        return BatchSummary(**self._sum)

    def _one(self, line: BatchLine, source: object) -> None:
        if not self._is_new(line, source):
            self._sum["repeated"] += 1
        elif line.api == "moderations":
            self._sum["free"] += 1
        elif line.error is not None:
            self._settle(line)
            self._sum["failed"] += 1
        else:
            cost = self._settle(line)
            self._sum["calls"] += 1
            self._sum["unpriced" if cost.total is None else "priced"] += 1
            self._sum["total"] += cost.total or 0
            self._sum["partial"] += cost.status == "partial"

    def _is_new(self, line: BatchLine, source: object) -> bool:
        if line.identity is not None:
            self._after = line.identity
            return REMEMBERED.claim("id", line.identity)
        if line.error is not None:
            return REMEMBERED.claim("failed", self._after, line.own_id or "", line.error)
        # A response without any id is known by all that it says.
        return REMEMBERED.claim("line", source.strip() if isinstance(source, str) else repr(source))

    def _settle(self, line: BatchLine) -> Cost:
        reading, now = line.reading, time.time_ns()
        model = (reading.response_model if reading is not None else None) or self._model
        choice = self._choice(line, model)
        at = line.created_ns if line.created_ns is not None and line.created_ns <= now else now
        operation = _OPERATIONS.get(line.api) or Operation("chat", line.api)
        request = Request(self._model, choice.name, facts=BATCH)
        span = self._recorder.start(operation, request, choice, start_ns=at)
        self._spans += span.is_recording()
        end = "completed" if line.error is None else "error"
        outcome = Outcome(
            reading, end, at, None, line.error, started=line.error is None, ended_at_ns=at
        )  # fmt: skip
        cost = self._recorder.settle(span, operation, request, choice, outcome, own=True, tags=self._tags)
        if self._spans >= SPANS_PER_FLUSH:
            # A backend that does not answer is not waited for again.
            self._spans = 0 if self._relieve() else -(10**12)
        return cost

    def _choice(self, line: BatchLine, model: str | None) -> ProviderChoice:
        named = self._provider or line.provider
        if named is not None:
            return ProviderChoice(self._recorder.book().provider_by_name(named) or named, None, False)
        # OpenAI's format, which others write too: theirs are not priced at OpenAI's rates for models of theirs.
        known = model is None or resolve(self._recorder.book(), "openai", model).model is not None
        return ProviderChoice("openai", None if known else "unknown.invalid", False)
