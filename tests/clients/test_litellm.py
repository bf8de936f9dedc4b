"""The real litellm over the real clients below it: one charge for every response, whoever of them is observed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it downloads a price map at import otherwise
os.environ["LITELLM_TELEMETRY"] = "False"
os.environ["DISABLE_AIOHTTP_TRANSPORT"] = "True"  # its sessions are never closed, and one client is made at import

from otel_tokenomics.attributes import names
from otel_tokenomics.demo.provider import LocalProvider, Scenario
from otel_tokenomics.tags import tags

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import litellm

# Its connections, tasks, models and warnings are its own.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    """Let go of the connections that it keeps open, before another test is blamed for them."""
    yield
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()


MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def openai(provider: LocalProvider) -> dict[str, Any]:
    return {"model": "openai/gpt-5.4", "api_base": provider.base_url_openai, "api_key": "k", "messages": MESSAGES}


def anthropic(provider: LocalProvider) -> dict[str, Any]:
    base = provider.base_url_anthropic
    return {"model": "anthropic/claude-sonnet-5-5", "api_base": base, "api_key": "k", "messages": MESSAGES}


def vectors(provider: LocalProvider) -> dict[str, Any]:
    base = provider.base_url_openai
    return {"model": "openai/text-embedding-3-small", "api_base": base, "api_key": "k", "input": ["Hello"]}


def settled(watch: Any, count: int = 1) -> list[Any]:
    """Wait until as many calls have settled as should, and a little longer: a second charge would come late.

    What it drops is in cycles, which its threads may hold for a while; old versions keep the last call for a debugger.
    """
    until = time.monotonic() + 5
    while len(watch.settled) < count and time.monotonic() < until:
        time.sleep(0.02)
        _collect()
    time.sleep(0.3)
    gc.collect()
    return watch.settled


def _collect() -> None:
    litellm.error_logs.clear()
    gc.collect()


async def asettled(watch: Any, count: int = 1) -> list[Any]:
    until = time.monotonic() + 5
    while len(watch.settled) < count and time.monotonic() < until:
        await asyncio.sleep(0.02)
        _collect()
    await asyncio.sleep(0.3)
    gc.collect()
    return watch.settled


def billed(provider: LocalProvider) -> int:
    (line,) = provider.ledger.billed
    usage = line.usage
    return usage.get("total_tokens") or usage["input_tokens"] + usage["output_tokens"]


SETTINGS = pytest.mark.parametrize("libraries", [("*",), ("litellm",)], ids=["all", "alone"])
FORMS: dict[str, Callable[[LocalProvider], Any]] = {
    "openai": lambda provider: litellm.completion(**openai(provider)),
    "openai_stream": lambda provider: list(
        litellm.completion(**openai(provider), stream=True, stream_options={"include_usage": True})
    ),
    "anthropic": lambda provider: litellm.completion(**anthropic(provider)),
    "anthropic_stream": lambda provider: list(litellm.completion(**anthropic(provider), stream=True)),
    "embedding": lambda provider: litellm.embedding(**vectors(provider)),
    "text": lambda provider: litellm.text_completion(
        model="text-completion-openai/gpt-3.5-turbo-instruct",
        prompt="Hello",
        api_base=provider.base_url_openai,
        api_key="k",
    ),
    "responses": lambda provider: litellm.responses(
        model="openai/gpt-5.4", input="Hello", api_base=provider.base_url_openai, api_key="k"
    ),
}


async def _items(stream: Any) -> list[Any]:
    return [item async for item in await stream]


ASYNC_FORMS: dict[str, Callable[[LocalProvider], Any]] = {
    "openai": lambda provider: litellm.acompletion(**openai(provider)),
    "openai_stream": lambda provider: _items(
        litellm.acompletion(**openai(provider), stream=True, stream_options={"include_usage": True})
    ),
    "anthropic": lambda provider: litellm.acompletion(**anthropic(provider)),
    "anthropic_stream": lambda provider: _items(litellm.acompletion(**anthropic(provider), stream=True)),
    "embedding": lambda provider: litellm.aembedding(**vectors(provider)),
}


@SETTINGS
@pytest.mark.parametrize("form", FORMS)
def test_one_charge(watching: Any, provider: LocalProvider, form: str, libraries: tuple[str, ...]) -> None:
    watch = watching(libraries=libraries)
    FORMS[form](provider)
    (only,) = settled(watch)
    assert only.tokens == billed(provider)
    assert only.cost.status == "priced"
    assert len(watch.spans) == 1


@SETTINGS
@pytest.mark.parametrize("form", ASYNC_FORMS)
async def test_one_charge_async(watching: Any, provider: LocalProvider, form: str, libraries: tuple[str, ...]) -> None:
    watch = watching(libraries=libraries)
    await ASYNC_FORMS[form](provider)
    (only,) = await asettled(watch)
    assert only.tokens == billed(provider)
    assert only.cost.status == "priced"
    assert len(watch.spans) == 1


def _broken(provider: LocalProvider, ask: Callable[[LocalProvider], dict[str, Any]]) -> None:
    for _ in litellm.completion(**ask(provider), stream=True):
        break


def _never_read(provider: LocalProvider, ask: Callable[[LocalProvider], dict[str, Any]]) -> None:
    litellm.completion(**ask(provider), stream=True)


async def _abroken(provider: LocalProvider, ask: Callable[[LocalProvider], dict[str, Any]]) -> None:
    async for _ in await litellm.acompletion(**ask(provider), stream=True):
        break


async def _acancelled(provider: LocalProvider, ask: Callable[[LocalProvider], dict[str, Any]]) -> None:
    provider.expect(Scenario(delay_s=0.2, chunks=20))
    came = asyncio.Event()

    async def read() -> None:
        async for _ in await litellm.acompletion(**ask(provider), stream=True):
            came.set()

    task = asyncio.create_task(read())
    await came.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


LEFT: Any = {"broken": _broken, "never_read": _never_read, "abroken": _abroken, "acancelled": _acancelled}


@SETTINGS
@pytest.mark.parametrize("ask", [openai, anthropic])
@pytest.mark.parametrize("form", LEFT)
async def test_a_stream_that_is_left_is_one_charge(
    watching: Any, provider: LocalProvider, form: str, ask: Any, libraries: tuple[str, ...]
) -> None:
    """The library reports a stream that came to its end alone."""
    watch = watching(libraries=libraries)
    made = LEFT[form](provider, ask)
    if made is not None:
        await made
        del made
    (only,) = await asettled(watch)
    assert only.outcome.end in ("abandoned", "cancelled" if form == "acancelled" else "abandoned")
    (span,) = watch.spans
    assert span.status.is_unset
    # Claude says its input at the start; the library itself drops that of a stream never read.
    seen = ask is anthropic and form != "never_read"
    assert (only.cost.status, only.cost.reason) == (
        ("partial", "incomplete_usage") if seen else ("unpriced", "no_usage")
    )
    if seen:
        assert only.outcome.reading.usage.counts["input"] == provider.ledger.billed[0].usage["input_tokens"]


def test_what_was_said_at_the_start_of_a_stream_is_kept(watching: Any, provider: LocalProvider) -> None:
    watch = watching(libraries=("litellm",))
    usage = {"input_tokens": 5, "output_tokens": 6, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 40,
             "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 30}}  # fmt: skip
    provider.expect(Scenario(usage=usage))
    _broken(provider, anthropic)
    (only,) = settled(watch)
    counts = only.outcome.reading.usage.counts
    assert {name: counts[name] for name in ("input", "cache_read", "cache_write", "cache_write_1h")} == {
        "input": 5, "cache_read": 100, "cache_write": 10, "cache_write_1h": 30}  # fmt: skip


def test_a_stream_that_is_left_is_estimated_where_that_is_wanted(watching: Any, provider: LocalProvider) -> None:
    watch = watching(libraries=("litellm",), estimate=True)
    _broken(provider, openai)
    (only,) = settled(watch)
    assert only.outcome.estimated.source == "estimated"
    assert only.outcome.estimated.counts["input"] > 0
    assert only.outcome.estimated.counts["output"] > 0
    assert only.cost.status == "partial"


@SETTINGS
async def test_a_call_that_is_cancelled_may_be_billed(
    watching: Any, provider: LocalProvider, libraries: tuple[str, ...]
) -> None:
    watch = watching(libraries=libraries)
    for number, ask in enumerate((openai, anthropic), 1):
        provider.expect(Scenario(hang_s=1))
        task = asyncio.create_task(litellm.acompletion(**ask(provider)))
        while len(provider.ledger.requests) < number:
            await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        del task
    both = await asettled(watch, 2)
    assert [(one.outcome.end, one.cost.reason) for one in both] == [("cancelled", "billing_unknown")] * 2
    assert len(watch.spans) == 2


def test_a_report_that_comes_too_late_is_no_second_charge(watching: Any, provider: LocalProvider) -> None:
    """It reports from its loop; of one that has ended, when the process does."""
    watch = watching(libraries=("litellm",))
    kept: list[Any] = []
    reports = watch.engine._reports["litellm"]
    settle = reports._settle
    reports._settle = lambda ended: (kept.append(ended), settle(ended))
    litellm.completion(**anthropic(provider))
    (only,) = settled(watch)
    (reported,) = kept
    other = reported._replace(call_id="another", error=asyncio.CancelledError(), response=None)
    reports.ended(lambda: other)
    reports.ended(lambda: reported._replace(call_id="another"))
    assert [one.outcome.end for one in watch.settled] == ["completed", "cancelled"]
    assert only.cost.status == "priced"


async def test_a_router_s_stream_is_one_charge(watching: Any, provider: LocalProvider) -> None:
    """A router puts a stream of its own around the library's."""
    watch = watching(libraries=("litellm",))
    asked = anthropic(provider)
    messages = asked.pop("messages")
    router = litellm.Router(model_list=[{"model_name": "m", "litellm_params": asked}], num_retries=0)
    async for _ in await router.acompletion(model="m", messages=messages, stream=True):
        pass
    async for _ in await router.acompletion(model="m", messages=messages, stream=True):
        break
    both = await asettled(watch, 2)
    assert sorted(one.outcome.end for one in both) == ["abandoned", "completed"]
    assert len(watch.spans) == 2
    router.discard()


def test_a_stream_of_responses_is_one_charge(watching: Any, provider: LocalProvider) -> None:
    watch = watching(libraries=("litellm",))
    ask: Any = {"model": "openai/gpt-5.4", "input": "Hello", "api_base": provider.base_url_openai, "api_key": "k"}
    list(litellm.responses(**ask, stream=True))
    (first,) = settled(watch)
    if first.outcome.end != "completed":
        pytest.skip("this version reports no synchronous stream of responses")
    assert first.cost.status == "priced"
    for _ in litellm.responses(**ask, stream=True):
        break
    second = settled(watch, 2)[-1]
    assert (second.outcome.end, second.cost.reason) == ("abandoned", "no_usage")
    assert len(watch.spans) == len(watch.settled) == 2


def test_the_span_lies_where_the_call_lay(watching: Any, provider: LocalProvider) -> None:
    watch = watching(libraries=("litellm",))
    provider.expect(Scenario(hang_s=0.3))
    before = time.time_ns()
    with watch.tracer_provider.get_tracer("app").start_as_current_span("app") as app, tags(team="search"):
        list(litellm.completion(**anthropic(provider), stream=True))
    after = time.time_ns()
    (only,) = settled(watch)
    (span,) = [span for span in watch.spans if span.name.startswith("chat")]
    # The library ends a stream in a thread of its own, shortly after.
    assert before - 1_000_000 <= span.start_time < span.end_time <= after + 200_000_000
    assert span.end_time - span.start_time > 250_000_000
    assert span.parent.span_id == app.get_span_context().span_id
    assert span.attributes[names.SERVER_ADDRESS] == "127.0.0.1"
    assert only.choice.name == "anthropic"


def test_many_at_once_are_many_charges(watching: Any, provider: LocalProvider) -> None:
    watch = watching()

    async def all_of_them() -> None:
        calls = [litellm.aembedding(**vectors(provider)) for _ in range(5)]
        calls += [litellm.acompletion(**openai(provider)) for _ in range(5)]
        calls += [litellm.acompletion(**anthropic(provider)) for _ in range(5)]
        await asyncio.gather(*calls)
        await asettled(watch, 15)

    asyncio.run(all_of_them())
    assert len(watch.settled) == len(provider.ledger.billed) == 15
    assert len(watch.spans) == 15


def test_a_stream_that_reports_nothing_is_not_charged_by_a_guess(watching: Any, provider: LocalProvider) -> None:
    """The library counts such a stream itself, and says nothing of it."""
    watch = watching(libraries=("litellm",))
    list(litellm.completion(**openai(provider), stream=True))
    (only,) = settled(watch)
    assert (only.cost.status, only.cost.reason) == ("unpriced", "no_usage")


def test_a_guess_that_is_wanted_is_called_one(watching: Any, provider: LocalProvider) -> None:
    watch = watching(libraries=("litellm",), estimate=True)
    list(litellm.completion(**openai(provider), stream=True))
    (only,) = settled(watch)
    assert only.outcome.estimated.source == "estimated"
    assert only.cost.status == "partial"


def test_its_price_is_never_adopted(watching: Any, provider: LocalProvider) -> None:
    watch = watching(libraries=("litellm",))
    litellm.completion(**anthropic(provider), input_cost_per_token=1.0, output_cost_per_token=1.0)
    (only,) = settled(watch)
    usage = provider.ledger.billed[0].usage
    assert only.outcome.opinion == (usage["input_tokens"] + usage["output_tokens"]) * 10**12
    assert only.cost.total < 10**9
    assert only.cost.source == "sdk"
    assert watch.engine.status()["libraries"]["litellm"]["its_own_figures"] == {"differ": 1}


def test_its_zero_is_ignored(watching: Any, provider: LocalProvider) -> None:
    watch = watching(libraries=("litellm",))
    litellm.completion(**anthropic(provider), input_cost_per_token=0.0, output_cost_per_token=0.0)
    (only,) = settled(watch)
    assert only.cost.total > 0
    assert "foreign_zero_ignored" in only.cost.flags


def test_cache_tokens_are_counted_once(watching: Any, provider: LocalProvider) -> None:
    usage = {"input_tokens": 5, "output_tokens": 6, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 40,
             "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 30}}  # fmt: skip
    watch = watching(libraries=("litellm",))
    provider.expect(Scenario(usage=usage))
    litellm.completion(**anthropic(provider))
    (only,) = settled(watch)
    counts = only.outcome.reading.usage.counts
    assert counts == {"input": 5, "output": 6, "cache_read": 100, "cache_write": 10, "cache_write_1h": 30}


@SETTINGS
def test_a_refused_call_costs_nothing_once(watching: Any, provider: LocalProvider, libraries: tuple[str, ...]) -> None:
    watch = watching(libraries=libraries)
    provider.expect(Scenario(fail=(400,)))
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(**openai(provider))
    (only,) = settled(watch)
    assert (only.cost.status, only.cost.reason) == ("not_applicable", "call_failed")
    assert only.outcome.end == "error"


@SETTINGS
async def test_an_answer_from_its_cache_is_no_charge(
    watching: Any, provider: LocalProvider, libraries: tuple[str, ...]
) -> None:
    caching: Any = importlib.import_module("litellm.caching")
    # 1.110 asks its proxy when it looks into its cache.
    asks = Path(litellm.__file__).parent / "llms/anthropic/messages/native"
    if asks.is_dir() and not importlib.util.find_spec("soundfile"):
        pytest.skip("this version's cache needs soundfile and the rest of litellm[proxy]")
    watch = watching(libraries=libraries)
    litellm.cache = caching.Cache()
    try:
        for ask in (openai, anthropic):
            for _ in range(3):
                litellm.completion(**ask(provider))
                list(litellm.completion(**ask(provider), stream=True))
                await asyncio.sleep(0.2)  # it fills its cache from a thread
        for _ in range(2):
            await litellm.acompletion(**anthropic(provider), temperature=0.1)
            await asyncio.sleep(0.2)
        charges = await asettled(watch, len(provider.ledger.billed))
        assert len(charges) == len(provider.ledger.billed) == len(watch.spans) < 14
    finally:
        litellm.cache = None


def test_callbacks_that_a_program_sets_do_not_lose_ours(watching: Any, provider: LocalProvider) -> None:
    watch = watching(libraries=("litellm",))
    before = litellm.callbacks
    litellm.callbacks = []
    try:
        litellm.completion(**anthropic(provider))
        assert len(settled(watch)) == 1
    finally:
        litellm.callbacks = before


def test_uninstrument_takes_the_callback_back(watching: Any, provider: LocalProvider) -> None:
    lists = ("callbacks", "input_callback", "success_callback", "failure_callback", "_async_success_callback",
             "_async_failure_callback")  # fmt: skip
    before = {name: list(getattr(litellm, name)) for name in lists}
    watch = watching(libraries=("litellm",))
    litellm.completion(**anthropic(provider))
    settled(watch)
    watch.engine.uninstrument()
    assert {name: list(getattr(litellm, name)) for name in lists} == before
    litellm.completion(**anthropic(provider))
    time.sleep(0.3)
    assert len(watch.recorder.settled) == 1
