"""What the local provider billed equals the sum over the spans: every scenario, client and mode, under any nesting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anthropic
import openai
import pytest

from otel_tokenomics.attributes import names
from otel_tokenomics.demo.provider import LocalProvider, Scenario

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
MESSAGES: Any = [{"role": "user", "content": "How do I reset my password?"}]
OPENAI_USAGE = {
    "plain": {"prompt_tokens": 40, "completion_tokens": 9, "total_tokens": 49},
    "cached": {
        "prompt_tokens": 2000,
        "completion_tokens": 100,
        "total_tokens": 2100,
        "prompt_tokens_details": {"cached_tokens": 1500},
        "completion_tokens_details": {"reasoning_tokens": 60},
    },
    "zero output": {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3},
}
ANTHROPIC_USAGE = {
    "plain": {"input_tokens": 40, "output_tokens": 9},
    "cached": {
        "input_tokens": 12,
        "output_tokens": 80,
        "cache_read_input_tokens": 3000,
        "cache_creation_input_tokens": 700,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 500},
    },
    "zero output": {"input_tokens": 3, "output_tokens": 0},
}


def plain(create: Callable[..., Any], arguments: dict[str, Any]) -> None:
    create(**arguments)


def streamed(create: Callable[..., Any], arguments: dict[str, Any]) -> None:
    for _ in create(**arguments, stream=True):
        pass


def with_block(create: Callable[..., Any], arguments: dict[str, Any]) -> None:
    with create(**arguments, stream=True) as stream:
        for _ in stream:
            pass


async def aplain(create: Callable[..., Any], arguments: dict[str, Any]) -> None:
    await create(**arguments)


async def astreamed(create: Callable[..., Any], arguments: dict[str, Any]) -> None:
    async for _ in await create(**arguments, stream=True):
        pass


def totals(usage: Mapping[str, Any]) -> tuple[int, int]:
    """Return input (cache included) and output of one line of the ledger."""
    if "prompt_tokens" in usage:
        return usage["prompt_tokens"], usage["completion_tokens"]
    cache = usage.get("cache_read_input_tokens", 0) + usage.get("cache_creation_input_tokens", 0)
    return usage["input_tokens"] + cache, usage["output_tokens"]


def assert_spans_say_what_was_billed(watch: Any, provider: LocalProvider, operation_names: tuple[str, ...]) -> None:
    billed = [totals(line.usage) for line in provider.ledger.billed]
    spans = [span for span in watch.spans if span.attributes.get(names.GEN_AI_OPERATION_NAME) in operation_names]
    assert sorted(line.response_id for line in provider.ledger.billed) == sorted(
        span.attributes[names.GEN_AI_RESPONSE_ID] for span in spans
    )
    assert sum(span.attributes[names.GEN_AI_USAGE_INPUT_TOKENS] for span in spans) == sum(line[0] for line in billed)
    assert sum(span.attributes[names.GEN_AI_USAGE_OUTPUT_TOKENS] for span in spans) == sum(line[1] for line in billed)
    assert all(span.attributes[names.TOKENOMICS_CALL_END] == "completed" for span in spans)


@pytest.mark.parametrize("scenario", list(OPENAI_USAGE))
@pytest.mark.parametrize("mode", [plain, streamed, with_block, aplain, astreamed])
async def test_openai(watch: Any, provider: LocalProvider, scenario: str, mode: Any) -> None:
    kind = openai.AsyncOpenAI if mode in (aplain, astreamed) else openai.OpenAI
    client: Any = kind(api_key="k", base_url=provider.base_url_openai)
    provider.expect(Scenario(usage=OPENAI_USAGE[scenario]))
    with watch.tracer_provider.get_tracer("app").start_as_current_span("agent"):
        done = mode(client.chat.completions.create, {"model": "gpt-5.4", "messages": MESSAGES})
        if done is not None:
            await done
    assert_spans_say_what_was_billed(watch, provider, ("chat",))
    await client.close() if kind is openai.AsyncOpenAI else client.close()


@pytest.mark.parametrize("native", [False, True], ids=["ours", "native"])
@pytest.mark.parametrize("scenario", list(ANTHROPIC_USAGE))
@pytest.mark.parametrize("mode", [plain, streamed, with_block, aplain, astreamed])
async def test_anthropic(watch: Any, provider: LocalProvider, scenario: str, mode: Any, native: bool) -> None:
    if native and not hasattr(anthropic._base_client.SyncAPIClient, "_tracer"):
        pytest.skip("this version makes no spans of its own")
    kind = anthropic.AsyncAnthropic if mode in (aplain, astreamed) else anthropic.Anthropic
    options = {"open_telemetry": {"tracer_provider": watch.tracer_provider}} if native else {}
    client: Any = kind(api_key="k", base_url=provider.base_url_anthropic, **options)
    provider.expect(Scenario(usage=ANTHROPIC_USAGE[scenario]))
    done = mode(client.messages.create, {"model": "claude-sonnet-5-5", "max_tokens": 99, "messages": MESSAGES})
    if done is not None:
        await done
    assert_spans_say_what_was_billed(watch, provider, ("chat",))
    await client.close() if kind is anthropic.AsyncAnthropic else client.close()


@pytest.mark.parametrize("broken", [Scenario(cut_after=2), Scenario(error_after=2)], ids=["cut", "error event"])
def test_a_broken_stream_reports_what_it_saw_and_no_more(watch: Any, provider: LocalProvider, broken: Scenario) -> None:
    provider.expect(broken)
    client = anthropic.Anthropic(api_key="k", base_url=provider.base_url_anthropic, max_retries=0)
    with client, pytest.raises(Exception):  # noqa: B017  # each library version has its own
        streamed(client.messages.create, {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": MESSAGES})
    assert watch.one.outcome.end == "error"
    assert (watch.one.cost.status, watch.one.cost.reason) == ("partial", "incomplete_usage")
    (span,) = watch.spans
    assert span.attributes[names.GEN_AI_USAGE_INPUT_TOKENS] == totals(provider.ledger.billed[0].usage)[0]
