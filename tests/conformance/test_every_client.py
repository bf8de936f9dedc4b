"""In every client, form and ending the spans say what the server billed, and the caller sees no difference."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest
from client_table import ROWS, Row

from otel_tokenomics import clients
from otel_tokenomics.attributes import names
from otel_tokenomics.demo.provider import LocalProvider, Scenario
from otel_tokenomics.instrumentation.engine import allowed_libraries

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(?!otel_tokenomics)"),
]


@pytest.fixture(params=sorted(ROWS))
def row(request: Any) -> Row:
    return ROWS[request.param]()


def test_every_adapter_has_a_row() -> None:
    reporting = {"litellm"}  # no client of a provider: its forms stand in its own tests
    assert sorted({*ROWS, *reporting}) == sorted(allowed_libraries(("*",)))


async def stream_of(row: Row, client: Any) -> AsyncIterator[Any]:
    made = row.astream(client)
    return await made if inspect.isawaitable(made) else made


def assert_one_charge(watch: Any, provider: LocalProvider, row: Row) -> None:
    (line,) = provider.ledger.billed
    given, made = row.totals(dict(line.usage))
    (span,) = watch.spans
    assert span.attributes[names.GEN_AI_USAGE_INPUT_TOKENS] == given
    assert span.attributes[names.GEN_AI_USAGE_OUTPUT_TOKENS] == made
    assert span.attributes[names.TOKENOMICS_CALL_END] == "completed"
    assert watch.one.cost.status in ("priced", "unpriced")
    assert watch.one.choice.price_host is None


def test_plain(watch: Any, provider: LocalProvider, row: Row) -> None:
    client = row.make(provider)
    row.plain(client)
    assert_one_charge(watch, provider, row)


def test_streamed(watch: Any, provider: LocalProvider, row: Row) -> None:
    client = row.make(provider)
    assert len(list(row.stream(client))) >= 3
    assert_one_charge(watch, provider, row)


async def test_plain_async(watch: Any, provider: LocalProvider, row: Row) -> None:
    client = row.amake(provider)
    await row.aplain(client)
    assert_one_charge(watch, provider, row)


async def test_streamed_async(watch: Any, provider: LocalProvider, row: Row) -> None:
    client = row.amake(provider)
    stream = await stream_of(row, client)
    assert len([item async for item in stream]) >= 3
    assert_one_charge(watch, provider, row)


def test_the_caller_sees_no_difference(watching: Any, provider: LocalProvider, row: Row) -> None:
    client = row.make(provider)

    def seen() -> list[Any]:
        answer, stream = row.plain(client), row.stream(client)
        kind = type(stream)
        return [type(answer), kind, [type(item) for item in stream]]

    bare = seen()
    watching()
    assert seen() == bare


def test_a_stream_that_is_left_early_is_abandoned(watch: Any, provider: LocalProvider, row: Row) -> None:
    client = row.make(provider)
    stream = iter(row.stream(client))
    next(stream)
    del stream
    gc.collect()
    assert watch.one.outcome.end == "abandoned"
    assert watch.spans[0].status.is_unset


def test_a_stream_that_is_never_iterated(watch: Any, provider: LocalProvider, row: Row) -> None:
    client = row.make(provider)
    stream = row.stream(client)
    del stream
    gc.collect()
    # Where nothing was sent, nothing was asked for; where something was, nobody knows what it cost.
    assert len(provider.ledger.requests) == len(watch.settled) == int(row.eager)
    assert all(call.outcome.end == "abandoned" for call in watch.settled)


def test_a_refused_request_costs_nothing(watch: Any, provider: LocalProvider, row: Row) -> None:
    provider.expect(Scenario(fail=(400,)))
    with pytest.raises(Exception) as raised:  # each library has its own
        row.plain(row.make(provider))
    assert not isinstance(raised.value, AssertionError)
    assert watch.one.outcome.end == "error"
    assert (watch.one.cost.status, watch.one.cost.reason) == ("not_applicable", "call_failed")


def test_a_stream_that_is_cut_is_an_error(watch: Any, provider: LocalProvider, row: Row) -> None:
    provider.expect(Scenario(cut_after=2))
    client = row.make(provider)
    with pytest.raises(Exception) as raised:  # each library has its own
        list(row.stream(client))
    assert not isinstance(raised.value, AssertionError)
    assert watch.one.outcome.end == "error"
    assert watch.one.cost.reason in ("incomplete_usage", "no_usage", "billing_unknown", "unknown_model")


async def test_a_cancelled_call(watch: Any, provider: LocalProvider, row: Row) -> None:
    provider.expect(Scenario(hang_s=0.5))
    client = row.amake(provider)
    task = asyncio.ensure_future(row.aplain(client))
    await asyncio.sleep(0.15)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert watch.one.outcome.end == "cancelled"
    assert (watch.one.cost.status, watch.one.cost.reason) == ("unpriced", "billing_unknown")


def test_no_usage_is_unpriced_never_free(watch: Any, provider: LocalProvider, row: Row) -> None:
    if not row.may_leave_usage_out:
        pytest.skip("this format has no answer without usage")
    provider.expect(Scenario(report="none"))
    client = row.make(provider)
    list(row.stream(client))
    assert (watch.one.cost.status, watch.one.cost.total) == ("unpriced", None)
    assert watch.one.outcome.end == "completed"


@pytest.mark.parametrize("name", sorted(ROWS))
def test_uninstrument_restores_every_attribute(name: str, provider: LocalProvider, watching: Any) -> None:
    ROWS[name]().make(provider)  # every module is imported
    adapter = importlib.import_module(f"{clients.__name__}.{name}").ADAPTER

    def attributes() -> dict[str, Any]:
        found: dict[str, Any] = {}
        for target in adapter.targets:
            owner, _, attribute = target.attribute.partition(".")
            try:
                found[f"{target.module}.{target.attribute}"] = vars(
                    getattr(importlib.import_module(target.module), owner)
                )[attribute]
            except (ImportError, AttributeError, KeyError):
                continue
        return found

    before = attributes()
    watch = watching()
    during = attributes()
    assert {key for key, value in during.items() if value is not before[key]} == set(before)
    watch.engine.uninstrument()
    assert all(value is before[key] for key, value in attributes().items())
