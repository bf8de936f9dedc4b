"""The real litellm over the real clients below it: one charge for every response, whoever of them is observed."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it downloads a price map at import otherwise
os.environ["LITELLM_TELEMETRY"] = "False"

from otel_tokenomics.attributes import names
from otel_tokenomics.clients import litellm as adapter
from otel_tokenomics.demo.provider import LocalProvider, Scenario
from otel_tokenomics.tags import tags

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    litellm: Any = pytest.importorskip("litellm")

# Its connections, tasks, models and warnings are its own.
pytestmark = pytest.mark.filterwarnings("ignore")
litellm.disable_aiohttp_transport = True  # its sessions are never closed


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
    """Wait until as many calls have settled as should, and a little longer: a second charge would come late."""
    until = time.monotonic() + 5
    while len(watch.settled) < count and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    return watch.settled


async def asettled(watch: Any, count: int = 1) -> list[Any]:
    until = time.monotonic() + 5
    while len(watch.settled) < count and time.monotonic() < until:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
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


def test_an_answer_from_its_cache_is_no_charge() -> None:
    # Not through the library: its cache asks for more packages than itself.
    details = {"call_type": "acompletion", "cache_hit": None}
    assert adapter.route(None, (), details) is not None
    assert adapter.route(None, (), {**details, "cache_hit": True}) is None


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
