"""One cell of the matrix: a call in a client, style, ending and surrounding, made without us and with us."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from client_watch import Watch
from endings import ENDINGS, Ending, aperform, no_warnings, perform
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import sampling
from styles import CANARY, Row, Style

from otel_tokenomics import tags
from otel_tokenomics.attributes import names
from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.instrumentation.engine import version_of
from otel_tokenomics.telemetry.metrics import COST, REQUESTS

#: Surroundings in which no other package is needed.
SURROUNDINGS = ("alone", "sampled out", "client made earlier")
TEAM = "conformance"
#: Places in memory, and ids.
_DRAWN = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Others write a trace header wherever a span is current, as ours is.
_TRACE = frozenset({"traceparent", "tracestate", "x-amzn-trace-id"})
#: What is made in every other surrounding than ``alone``: each rule once.
CORE = frozenset({"completed", "no usage", "refused", "cut", "dropped early"})


class Cell(NamedTuple):
    """One combination of the product."""

    client: str
    style: str
    ending: str
    surrounding: str = "alone"


#: What is not made, and why, by client, style and ending.
_BY_ITS_OWN = "the client's own generator sends the request where it is read: the call belongs there"
_TWICE = "the library sends it again by itself, and takes no heed of the time"
EXCLUDED: Mapping[tuple[str, str, str], str] = {
    ("cohere", "chat stream", "read elsewhere"): _BY_ITS_OWN,
    ("google_genai", "chat stream", "read elsewhere"): _BY_ITS_OWN,
    ("google_genai", "generate stream", "read elsewhere"): _BY_ITS_OWN,
    ("litellm", "embedding", "timeout"): _TWICE,
    ("litellm", "async embedding", "timeout"): _TWICE,
}
#: Where the client fails above the lines that are seen, and drops them: the end is `abandoned`.
_FAILS_ABOVE = frozenset(
    {
        ("litellm", "openai completion stream", "counts of a wrong type"),
        ("litellm", "async openai completion stream", "counts of a wrong type"),
        ("litellm", "claude completion stream", "truncated chunk"),
        ("huggingface", "chat stream", "truncated chunk"),
        ("huggingface", "async chat stream", "truncated chunk"),
        ("huggingface", "chat stream, usage asked", "truncated chunk"),
        ("huggingface", "async chat stream, usage asked", "truncated chunk"),
    }
)
_AT_FIRST = frozenset(
    {
        ("litellm", "claude completion", "counts of a wrong type"),
        ("litellm", "async claude completion", "counts of a wrong type"),
        ("litellm", "claude completion stream", "counts of a wrong type"),
        ("litellm", "claude completion stream", "negative counts"),
    }
)


def reason(cell: Cell) -> str | None:
    """Return why a cell is not made; None where it is."""
    if cell[:3] in _AT_FIRST and release_of(cell.client).startswith("1.80."):
        return "this release makes other counts of such ones, or fails over them, before it reports"
    return EXCLUDED.get(cell[:3])


class Seen(NamedTuple):
    """What the caller saw of a call, and the server of its requests: the same with us and without."""

    pieces: tuple[str, ...]
    error: tuple[str, str] | None
    #: Requests that had gone out before anything was read.
    early: int | None
    requests: tuple[tuple[str, str, tuple[str, ...], str | None], ...]


@functools.cache
def release_of(client: str) -> str:
    """Return the installed version of a client library."""
    return version_of(importlib.import_module(f"otel_tokenomics.clients.{client}").ADAPTER.library) or ""


def cells(client: str, row: Row, surrounding: str = "alone") -> Iterator[Cell]:
    """Yield every combination that exists."""
    for name, style in row.styles.items():
        for ending, how in ENDINGS.items():
            use = how.asynchronous if style.asynchronous else how.sync
            if use is not None and how.exists(row, style) and (surrounding == "alone" or ending in CORE):
                yield Cell(client, name, ending, surrounding)


def _plain(value: object) -> str:
    """Return a value as text, without what differs from call to call: places in memory, drawn ids, numbers of times."""
    if isinstance(value, dict):  # AWS's metadata hold the time of day in words
        value = {key: part for key, part in value.items() if key != "ResponseMetadata"}
    text = _DRAWN.sub("#", f"{type(value).__module__}.{type(value).__qualname__} {value!r}")
    return re.sub(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT|\d+\.\d+|\d{3,}", "#", text)[:4000]


def observe(provider: LocalProvider, row: Row, cell: Cell, between: Callable[[], None]) -> Seen:
    """Make the call; ``between`` runs when the client is made and nothing is asked yet."""
    style, ending = row.styles[cell.style], ENDINGS[cell.ending]
    provider.expect(*ending.scenarios)
    early: list[int] = []

    def sent() -> None:
        early.append(len(provider.ledger.requests))

    with no_warnings():
        if style.asynchronous:
            pieces, error = asyncio.run(_asynchronous(provider, row, style, ending, between, sent))
        else:
            with row.open(provider, ending.limits) as client:
                between()
                with tags(team=TEAM):
                    pieces, error = perform(ending, style, client, sent)
        gc.collect()
    requests = tuple(
        (seen.method, seen.path, tuple(sorted(set(seen.headers) - _TRACE)), seen.digest)
        for seen in provider.ledger.requests
    )
    raised = None if error is None else (type(error).__qualname__, _plain(str(error)))
    return Seen(tuple(_plain(piece) for piece in pieces), raised, early[0] if early else None, requests)


async def _asynchronous(
    provider: LocalProvider, row: Row, style: Style, ending: Ending, between: Callable[[], None], sent: Any
) -> Any:
    async with row.aopen(provider, ending.limits) as client:
        between()
        with tags(team=TEAM):
            return await aperform(ending, style, client, sent)


def run(row: Row, cell: Cell) -> None:
    """Make the call with us and without us, each on a server of its own; raise where something is wrong."""
    seen = _with_us(row, cell)
    for _ in range(2):  # a first use imports, and what waits for a clock then differs from itself
        with LocalProvider() as provider:
            bare = observe(provider, row, cell, lambda: None)
        if seen == bare:
            return
    raise AssertionError(difference(bare, seen))


def _with_us(row: Row, cell: Cell) -> Seen:
    sampler = sampling.ALWAYS_OFF if cell.surrounding == "sampled out" else sampling.ALWAYS_ON
    with LocalProvider() as provider:
        watch = Watch(provider, sampler)
        try:
            if cell.surrounding != "client made earlier":
                watch.engine.instrument()
            before = watch.totals()
            seen = observe(provider, row, cell, watch.engine.instrument)
            if row.reports:
                _await_reports(watch, expected_of(row, cell))
            assert_one_charge(watch, provider, row, cell, seen, before)
            return seen
        finally:
            watch.engine.uninstrument()
            watch.tracer_provider.shutdown()


def _await_reports(watch: Watch, count: int) -> None:
    """Wait until as many calls have settled as should, and a little longer: a second charge would come late."""
    until = time.monotonic() + 3
    while len(watch.settled) < count and time.monotonic() < until:
        gc.collect()
        time.sleep(0.02)
    time.sleep(0.1)
    gc.collect()


def expected_of(row: Row, cell: Cell) -> int:
    """Return how many calls a cell charges: none where nothing was sent."""
    return 0 if row.styles[cell.style].lazy and cell.ending == "never read" else 1


def difference(bare: Seen, seen: Seen) -> str:
    """Say which part of what was seen differs."""
    return "; ".join(
        f"{name}: {without!r} without us, {with_us!r} with us"
        for name, without, with_us in zip(Seen._fields, bare, seen, strict=True)
        if without != with_us
    )


def assert_one_charge(
    watch: Watch,
    provider: LocalProvider,
    row: Row,
    cell: Cell,
    seen: Seen,
    before: dict[str, int],
    *,
    beside: bool = False,
) -> None:
    """Compare what was recorded with what the server billed; others may export content ``beside`` us."""
    style, ending = row.styles[cell.style], ENDINGS[cell.ending]
    # One that breaks its client (OpenLIT, cohere's asynchronous stream) lets nothing be sent, with us as without us.
    expected = expected_of(row, cell) if seen.requests or not beside else 0
    settled = watch.settled
    assert len(settled) == expected, f"{len(settled)} charges for {expected} call"
    billed = [style.bill.pico_usd(line.usage) for line in provider.ledger.billed]
    total = None if None in billed else sum(billed)
    charged = [span for span in watch.spans if names.TOKENOMICS_CALL_END in (span.attributes or {})]
    sampled = cell.surrounding != "sampled out"
    assert len(charged) == (expected if sampled else 0), f"{len(charged)} spans for {expected} charge"
    for call in settled:
        _assert_call(call, style, ending, provider, seen, total, drops=beside or cell[:3] in _FAILS_ABOVE)
    for span in charged:
        assert span.attributes.get(f"{names.TOKENOMICS_TAG_PREFIX}team") == TEAM, "the tag is lost"
    # Span, metric and result are one number.
    spent = sum(call.cost.total or 0 for call in settled)
    after = watch.totals()
    assert after[COST] - before[COST] == spent
    assert after[REQUESTS] - before[REQUESTS] == expected
    on_spans = sum(round(span.attributes.get(names.TOKENOMICS_COST_TOTAL, 0) * 10**12) for span in charged)
    assert on_spans == (spent if sampled else 0), f"{on_spans} on the spans, {spent} charged"
    assert beside or CANARY.encode() not in encode_spans(watch.spans).SerializeToString()
    assert all("baggage" not in headers for _, _, headers, _ in seen.requests)


def _assert_call(
    call: Any, style: Style, ending: Ending, provider: LocalProvider, seen: Seen, total: int | None, *, drops: bool
) -> None:
    cost, end = call.cost, call.outcome.end
    if seen.error and ending.limits.retries and len(seen.requests) == 1:  # the library does not send this one again
        ending = ENDINGS["refused" if ending.scenarios[0].fail else "timeout"]
    # Some close a stream before its end is seen; some fail over an answer and drop it, to be ended with the loop.
    left = end == "abandoned" and style.stream
    if not (drops and (left or (seen.error and end in ("abandoned", "cancelled")))):
        assert end in ending.ends, f"ended {end}"
    if ending.ends == {"completed", "error"} and not seen.error and not drops:
        assert end == "completed"
    rule = ending.rule if not (seen.error and ending.rule == "exact") else "at most"
    where = f"{cost.status} {cost.reason} {cost.total}, billed {total}"
    if rule == "exact" or rule == "last":
        if rule == "last" and total is not None:
            total = style.bill.pico_usd(provider.ledger.billed[-1].usage)
        assert (cost.status, cost.total) == (("priced", total) if total is not None else ("unpriced", None)), where
        given, made = style.bill.tokens(provider.ledger.billed[-1].usage)
        assert call.tokens == given + made, f"{call.tokens} tokens of {given} + {made}"
    elif rule == "nothing":
        assert cost.total is None, where
        assert cost.status in ("not_applicable", "unpriced"), where
        if not provider.ledger.billed and seen.error and ending.scenarios[0].fail:
            assert (cost.status, cost.reason) == ("not_applicable", "call_failed"), where
    elif rule == "unknown":
        assert (cost.status, cost.total) == ("unpriced", None), where
    elif rule == "unbelievable":
        assert cost.status in ("unpriced", "partial"), where
        assert cost.total is None or total is None or cost.total <= total, where
    else:
        assert cost.status in ("unpriced", "partial", "priced"), where
        assert cost.total is None or (total is not None and cost.total <= total), where
        assert cost.status != "priced" or cost.total == total, where
