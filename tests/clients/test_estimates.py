"""Estimates: only where switched on, only where the provider reported nothing, and never among the reported counts."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from otel_tokenomics.attributes import names
from otel_tokenomics.demo.provider import LocalProvider, Scenario

TEXT = "How do I reset my password?"
MESSAGES: Any = [{"role": "user", "content": TEXT}]


@pytest.fixture
def client(provider: LocalProvider) -> Any:
    with openai.OpenAI(api_key="k", base_url=provider.base_url_openai) as made:
        yield made


def test_a_response_without_usage_is_counted_and_flagged(watching: Any, client: Any, provider: LocalProvider) -> None:
    watch = watching(estimate=True)
    provider.expect(Scenario(report="none"), Scenario(report="none"))
    client.chat.completions.create(model="gpt-5.4", messages=MESSAGES)
    list(client.chat.completions.create(model="gpt-5.4", messages=MESSAGES, stream=True))
    plain, streamed = watch.spans
    for span, words in ((plain, "Done."), (streamed, "word word word ")):
        assert span.attributes[names.TOKENOMICS_USAGE_SOURCE] == "estimated"
        assert span.attributes[names.TOKENOMICS_USAGE_ESTIMATED_INPUT_TOKENS] == -(-len(TEXT) // 4)
        assert span.attributes[names.TOKENOMICS_USAGE_ESTIMATED_OUTPUT_TOKENS] == -(-len(words) // 4)
        assert names.GEN_AI_USAGE_INPUT_TOKENS not in span.attributes
        assert names.GEN_AI_USAGE_OUTPUT_TOKENS not in span.attributes
        assert span.attributes[names.TOKENOMICS_COST_STATUS] == "partial"
        assert span.attributes[names.TOKENOMICS_COST_REASON] == "incomplete_usage"


def test_reported_usage_is_never_replaced(watching: Any, client: Any) -> None:
    watch = watching(estimate=True)
    client.chat.completions.create(model="gpt-5.4", messages=MESSAGES)
    assert watch.one.outcome.estimated is None
    assert watch.spans[0].attributes[names.TOKENOMICS_USAGE_SOURCE] == "provider"


def test_nothing_is_counted_unless_switched_on(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(report="none"))
    client.chat.completions.create(model="gpt-5.4", messages=MESSAGES)
    assert watch.one.outcome.estimated is None


def test_a_refused_call_is_not_estimated(watching: Any, client: Any, provider: LocalProvider) -> None:
    watch = watching(estimate=True)
    provider.expect(Scenario(fail=(400,)))
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="gpt-5.4", messages=MESSAGES)
    assert watch.one.cost.status == "not_applicable"


def test_a_cut_message_keeps_its_exact_input(watching: Any, provider: LocalProvider) -> None:
    watch = watching(estimate=True)
    with anthropic.Anthropic(api_key="k", base_url=provider.base_url_anthropic) as client:
        stream = client.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=MESSAGES, stream=True)
        for event in stream:
            if event.type == "content_block_delta":
                break
        stream.close()
    attributes = watch.spans[0].attributes
    assert attributes[names.TOKENOMICS_USAGE_SOURCE] == "mixed"
    assert attributes[names.GEN_AI_USAGE_INPUT_TOKENS] == provider.ledger.billed[0].usage["input_tokens"]
    assert names.GEN_AI_USAGE_OUTPUT_TOKENS not in attributes
    assert watch.one.outcome.estimated.counts == {"output": 2}
