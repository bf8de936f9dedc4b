"""The mistralai client: what is its own beside the forms of ``tests/conformance``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otel_tokenomics.demo.provider import LocalProvider, Scenario

try:
    from mistralai.client import Mistral
except ImportError:  # the first major
    from mistralai import Mistral

# The client, not the test, owns its connections.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def client(provider: LocalProvider) -> Any:
    return Mistral(api_key="k", server_url=provider.base_url("mistral-api"))


def test_the_stream_is_the_clients_own_object(watch: Any, provider: LocalProvider) -> None:
    stream = client(provider).chat.stream(model="mistral-large-latest", messages=MESSAGES)
    assert type(stream).__name__ == "EventStream"
    with stream:
        assert len(list(stream)) == 3
    assert watch.one.tokens == provider.ledger.billed[0].usage["total_tokens"]


def test_a_stream_that_is_left_by_its_block_ends_at_once(watch: Any, provider: LocalProvider) -> None:
    with client(provider).chat.stream(model="mistral-large-latest", messages=MESSAGES) as stream:
        next(iter(stream))
    assert watch.one.outcome.end == "abandoned"


def test_cached_tokens_are_read(watch: Any, provider: LocalProvider) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "total_tokens": 105,
        "prompt_tokens_details": {"cached_tokens": 64},
    }
    provider.expect(Scenario(usage=usage))
    client(provider).chat.complete(model="mistral-large-latest", messages=MESSAGES)
    assert dict(watch.one.outcome.reading.usage.counts) == {"input": 36, "cache_read": 64, "output": 5}


def test_ocr_is_billed_by_the_page(watch: Any, provider: LocalProvider) -> None:
    document = {"type": "document_url", "document_url": "https://example.com/a.pdf"}
    client(provider).ocr.process(model="mistral-ocr-latest", document=document)
    assert dict(watch.one.outcome.reading.usage.counts) == {"page": 2}


def on_each_side(call: Callable[[Any], Any]) -> Iterator[Any]:
    """Yield an answer of each twin, its stream read: ``call`` takes what names the method."""

    async def asynchronously() -> Any:
        answer = await call(lambda group, name: getattr(group, f"{name}_async"))
        return [event async for event in answer] if hasattr(answer, "__aiter__") else answer

    answer = call(getattr)
    yield list(answer) if hasattr(answer, "__next__") else answer
    yield asyncio.run(asynchronously())


def lacks(client: Any, *names: str) -> bool:
    for name in names:
        client = getattr(client, name, None)
    return client is None


ANSWERS: Any = {
    "start": {"model": "mistral-medium-latest", "inputs": "Hello"},
    "append": {"conversation_id": "conv_1", "inputs": "Hello"},
    "restart": {"conversation_id": "conv_1", "inputs": "Hello", "from_entry_id": "msg_0"},
}


@pytest.mark.parametrize("style", ["", "_stream"])
@pytest.mark.parametrize("name", list(ANSWERS))
def test_each_answer_of_a_conversation_is_charged(watch: Any, provider: LocalProvider, name: str, style: str) -> None:
    mistral = client(provider)
    for _ in on_each_side(lambda of: of(mistral.beta.conversations, f"{name}{style}")(**ANSWERS[name])):
        billed, settled = provider.ledger.billed[-1], watch.settled[-1]
        assert settled.tokens == billed.usage["total_tokens"]
        assert settled.outcome.end == "completed"
        # Only the first request names a model; every answer does. What the conversation is known by is no answer's.
        assert settled.outcome.reading.response_model == "mistral-medium-latest"
        assert settled.outcome.reading.response_id == billed.response_id
        assert settled.cost.status == "priced"
    assert len(watch.settled) == len(provider.ledger.billed) == 2


@pytest.mark.parametrize("style", ["start", "start_stream"])
def test_what_connectors_bring_is_input_and_their_use_is_counted(
    watch: Any, provider: LocalProvider, style: str
) -> None:
    used = {"web_search": 2, "code_interpreter": 1, "document_library": 1, "image_generation": 3}
    usage = {"prompt_tokens": 196, "completion_tokens": 485, "total_tokens": 3846, "connector_tokens": 3165}
    provider.expect(Scenario(usage={**usage, "connectors": used}))
    answer = getattr(client(provider).beta.conversations, style)(model="mistral-medium-latest", inputs="Hello")
    assert list(answer)
    assert dict(watch.one.outcome.reading.usage.counts) == {
        "input": 196 + 3165, "output": 485, "web_search": 2, "code_session": 1, "file_search": 1, "image": 3,
    }  # fmt: skip
    assert watch.one.cost.status == "partial"  # the book has the model's tokens, and no rate of connectors


@pytest.mark.parametrize("connectors", [{"my_own": 1}, {"web_search_premium": 1}, {"web_search": -1}])
def test_a_connector_of_unknown_price_leaves_a_lower_bound(
    watch: Any, provider: LocalProvider, connectors: dict[str, int]
) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10, "connectors": connectors}
    provider.expect(Scenario(usage=usage))
    client(provider).beta.conversations.start(model="mistral-medium-latest", inputs="Hello")
    assert (watch.one.cost.status, watch.one.cost.reason) == ("partial", "incomplete_usage")


@pytest.mark.parametrize("brought", [-1, 10**15])
def test_connector_tokens_that_cannot_be_believed_are_no_charge_of_zero(
    watch: Any, provider: LocalProvider, brought: int
) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10, "connector_tokens": brought}
    provider.expect(Scenario(usage=usage))
    client(provider).beta.conversations.start(model="mistral-medium-latest", inputs="Hello")
    assert watch.one.cost.status in ("partial", "unpriced")
    assert watch.one.cost.reason in ("incomplete_usage", "invalid_usage")


def test_what_the_request_of_a_conversation_sets_stands_in_its_arguments(watch: Any, provider: LocalProvider) -> None:
    client(provider).beta.conversations.start(agent_id="ag_1", inputs="Hello", completion_args={"max_tokens": 9})
    assert watch.one.request.max_output == 9
    assert watch.one.request.model == "ag_1"
    assert watch.one.outcome.reading.response_model == "mistral-medium-latest"


def test_a_conversation_that_is_left_ends_at_once(watch: Any, provider: LocalProvider) -> None:
    with client(provider).beta.conversations.start_stream(model="mistral-medium-latest", inputs="Hello") as stream:
        next(iter(stream))
        next(iter(stream))
    assert watch.one.outcome.end == "abandoned"
    assert watch.one.cost.status == "unpriced"


@pytest.mark.parametrize("name", ["run_async", "run_stream_async"])
def test_a_conversation_that_the_client_runs_is_charged_once(watch: Any, provider: LocalProvider, name: str) -> None:
    context = pytest.importorskip("mistralai.extra.run.context", reason="the extra `agents` is not installed")

    async def run() -> None:
        async with context.RunContext(model="mistral-medium-latest") as run_context:
            answer = await getattr(client(provider).beta.conversations, name)(run_ctx=run_context, inputs="Hello")
            if name == "run_stream_async":
                assert [event async for event in answer]

    asyncio.run(run())
    assert watch.one.tokens == provider.ledger.billed[0].usage["total_tokens"]


@pytest.mark.parametrize("name", ["complete", "stream"])
def test_a_transcript_is_billed_by_the_second(watch: Any, provider: LocalProvider, name: str) -> None:
    asked: Any = {"model": "voxtral-mini-latest", "file": {"file_name": "a.mp3", "content": b"\x00"}}
    mistral = client(provider)
    for _ in on_each_side(lambda of: of(mistral.audio.transcriptions, name)(**asked)):
        assert dict(watch.settled[-1].outcome.reading.usage.counts) == {"audio_in_second": 7}
        assert watch.settled[-1].cost.total == 7 * 50_000_000  # 0.003 USD per minute
        assert watch.settled[-1].outcome.reading.response_model == "voxtral-mini-latest"
    assert len(watch.settled) == len(provider.ledger.billed) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_speech_is_billed_by_the_character(watch: Any, provider: LocalProvider, stream: bool) -> None:
    mistral = client(provider)
    if lacks(mistral, "audio", "speech"):
        pytest.skip("this mistralai has no audio.speech")
    asked: Any = {"model": "voxtral-mini-tts-2603", "input": "Grüße!", "voice_id": "v", "stream": stream}
    for _ in on_each_side(lambda of: of(mistral.audio.speech, "complete")(**asked)):
        assert watch.settled[-1].cost.total == 6 * 16_000_000  # 16 USD per million characters
    assert [dict(line.usage) for line in provider.ledger.billed] == [{"character": 6}] * 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_is_charged(watch: Any, provider: LocalProvider, stream: bool) -> None:
    mistral = client(provider)
    if lacks(mistral, "responses"):
        pytest.skip("this mistralai has no responses")
    usage = {
        "input_tokens": 50, "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 0},
        "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 59,
    }  # fmt: skip
    provider.expect(Scenario(usage=usage), Scenario(usage=usage))
    asked: Any = {"model": "mistral-medium-latest", "input": "Hello", "stream": stream}
    for _ in on_each_side(lambda of: of(mistral.responses, "create")(**asked)):
        counts = dict(watch.settled[-1].outcome.reading.usage.counts)
        assert counts == {"input": 30, "cache_read": 20, "output": 5, "reasoning": 4}
    assert len(watch.settled) == len(provider.ledger.billed) == 2


@pytest.mark.parametrize("name", ["classify", "moderate"])
def test_a_classifier_is_unpriced_and_moderation_free(watch: Any, provider: LocalProvider, name: str) -> None:
    """Neither answer bears a usage (https://docs.mistral.ai/api/endpoint/classifiers)."""
    answer = '{"id": "c-1", "model": "ministral-3b-latest", "results": []}'
    provider.expect(*[Scenario(raw=(200, "application/json", answer))] * 2)
    mistral = client(provider)
    for _ in on_each_side(lambda of: of(mistral.classifiers, name)(model="ministral-3b-latest", inputs=["Hello"])):
        pass
    assert [settled.cost.status for settled in watch.settled] == ["unpriced"] * (2 if name == "classify" else 0)
