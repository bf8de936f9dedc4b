"""The groq client: what is its own beside the forms of ``tests/conformance``."""

from __future__ import annotations

from typing import Any

import groq
import pytest

from otel_tokenomics.demo.provider import LocalProvider, Scenario
from otel_tokenomics.usage import OtherCharge, Reading, Usage
from otel_tokenomics.usage.dialects import openai_like

# The client, not the test, owns its connections.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def client(provider: LocalProvider) -> groq.Groq:
    return groq.Groq(api_key="k", base_url=provider.base_url("groq-api"))


def test_usage_of_a_stream_stands_in_x_groq(watch: Any, provider: LocalProvider) -> None:
    chunks = list(
        client(provider).chat.completions.create(model="llama-3.3-70b-versatile", messages=MESSAGES, stream=True)
    )
    assert len(chunks) == 3  # nothing was asked for, so nothing is hidden
    assert watch.one.tokens == provider.ledger.billed[0].usage["total_tokens"]
    assert (watch.one.choice.name, watch.one.cost.status) == ("groq", "priced")


def test_what_costs_nothing_is_not_charged(watch: Any, provider: LocalProvider) -> None:
    made = client(provider)
    made.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert watch.settled == []


def counts(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **more}


# What a compound system did: two models, and the sum of both as the usage of the whole.
MODELS = [
    {"model": "llama-3.3-70b-versatile", "usage": counts(1000, 100)},
    {"model": "openai/gpt-oss-120b", "usage": counts(2000, 200, prompt_tokens_details={"cached_tokens": 500})},
]
COMPOUND = {"model": "groq/compound", "usage_breakdown": {"models": MODELS}}
# llama: $0.59 in, $0.79 out: 590 + 79; gpt-oss: $0.15 in, $0.075 cached, $0.60 out: 225 + 37.5 + 120 micro-dollars
COMPOUND_COST = 669_000_000 + 382_500_000


@pytest.mark.parametrize("stream", [False, True])
def test_each_model_of_a_compound_system_is_priced_at_its_own_rates(
    watch: Any, provider: LocalProvider, stream: bool
) -> None:
    provider.expect(Scenario(usage=counts(3000, 300), response=COMPOUND))
    answer: Any = client(provider).chat.completions.create(model="groq/compound", messages=MESSAGES, stream=stream)
    if stream:
        last = list(answer)[-1]
        assert last.x_groq.usage_breakdown.models[1].model == "openai/gpt-oss-120b"
    assert (watch.one.cost.status, watch.one.cost.total) == ("priced", COMPOUND_COST)
    (span,) = watch.spans
    # The span holds the tokens of both, as the server billed them, under the name of the system that answered.
    assert span.attributes["gen_ai.usage.input_tokens"] == 3000
    assert span.attributes["gen_ai.usage.output_tokens"] == 300
    assert span.attributes["gen_ai.usage.cache_read.input_tokens"] == 500
    assert span.attributes["gen_ai.response.model"] == "groq/compound"


def reading(**body: Any) -> Reading:
    found = openai_like.read_response("chat", {"id": "c", "model": "groq/compound", **body}, "groq")
    assert found is not None
    return found


def test_a_whole_that_is_more_than_its_parts_is_a_lower_bound() -> None:
    found = reading(usage=counts(4000, 300), usage_breakdown={"models": MODELS})
    assert (found.reason, found.usage) == (
        "incomplete_usage",
        Usage({"input": 2500, "output": 300, "cache_read": 500}),
    )
    # A whole that tells of the last model alone takes nothing from the others.
    assert reading(usage=counts(2000, 200), usage_breakdown={"models": MODELS}).reason is None


def test_a_part_that_cannot_be_read_is_missing_and_said_to_be() -> None:
    models = [MODELS[0], {"model": "x", "usage": None}, {"model": "y", "usage": {"prompt_tokens": -1}}]
    found = reading(usage=counts(1000, 100), usage_breakdown={"models": models})
    assert found.shares == (OtherCharge("llama-3.3-70b-versatile", Usage({"input": 1000, "output": 100})),)
    assert found.reason == "incomplete_usage"


@pytest.mark.parametrize("models", [[], None, "x", [None], [{}]])
def test_a_breakdown_that_says_nothing_leaves_the_usage_as_it_is(models: Any) -> None:
    found = reading(usage=counts(1000, 100), usage_breakdown={"models": models})
    assert (found.usage, found.shares) == (Usage({"input": 1000, "output": 100}), ())


def test_tools_that_ran_are_billed_on_top_and_not_counted() -> None:
    tool = {"index": 0, "type": "search", "arguments": "{}", "output": "x"}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "executed_tools": [tool]}}
    assert reading(usage=counts(1000, 100), choices=[choice]).reason == "incomplete_usage"
    reader = openai_like.stream_reader("chat", "groq")
    head = {"id": "c", "model": "groq/compound"}
    for delta in ({"content": "a"}, {"executed_tools": [tool]}, {"content": "b"}):
        reader.observe({**head, "choices": [{"index": 0, "finish_reason": None, "delta": delta}]})
    last = {"index": 0, "finish_reason": "stop", "delta": {}}
    reader.observe({**head, "choices": [last], "x_groq": {"id": "r", "usage": counts(1000, 100)}})
    found = reader.reading()
    assert found is not None
    assert (found.reason, found.usage) == ("incomplete_usage", Usage({"input": 1000, "output": 100}))
