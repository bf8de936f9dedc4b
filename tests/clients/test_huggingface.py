"""The Hugging Face client: what is its own beside the forms of ``tests/conformance``."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from otel_tokenomics.attributes import names
from otel_tokenomics.clients import huggingface
from otel_tokenomics.demo.provider import LocalProvider, Scenario
from otel_tokenomics.telemetry.recorder import Outcome
from otel_tokenomics.usage import Reading, Usage

# The client, not the test, owns its connections, and the way in which it sends them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning"),
]

ROUTER = "router.huggingface.co"
MODEL = "openai/gpt-oss-120b"
MESSAGES: Any = [{"role": "user", "content": "Hello"}]
CHAT = huggingface.ADAPTER.route(None, (SimpleNamespace(task="conversational"),), {})


def client(provider: LocalProvider, path: str = "/v1", **settings: Any) -> huggingface_hub.InferenceClient:
    return huggingface_hub.InferenceClient(model=provider.base_url("huggingface-api") + path, token="k", **settings)


def asked(url: str, model: str) -> Any:
    sent = SimpleNamespace(url=url, task="conversational", model=model, json={"model": model, "messages": []})
    assert CHAT is not None
    return huggingface.request(None, CHAT, (sent,), {"stream": False})


@pytest.mark.parametrize(
    ("url", "model", "expected"),
    [
        ("https://router.huggingface.co/groq/openai/v1/chat/completions", "openai/gpt-oss-120b", ("groq", None)),
        ("https://router.huggingface.co/fireworks-ai/v1/chat/completions", "glm-5", ("fireworks", None)),
        ("https://router.huggingface.co/v1/chat/completions", f"{MODEL}:groq", ("huggingface_groq", None)),
        # The router adds nothing to a seller's price: one that the book knows by himself is that one.
        (f"https://{ROUTER}/v1/chat/completions", f"{MODEL}:scaleway", ("scaleway", None)),
        # Whom the router chose, or whom the book does not know, has no price.
        (f"https://{ROUTER}/v1/chat/completions", MODEL, ("huggingface", None)),
        (f"https://{ROUTER}/v1/chat/completions", f"{MODEL}:cheapest", ("huggingface", None)),
        (f"https://{ROUTER}/v1/chat/completions", f"{MODEL}:nobody-ai", ("huggingface_nobody_ai", ROUTER)),
        (f"https://{ROUTER}/nobody-ai/v1/chat/completions", MODEL, ("nobody_ai", ROUTER)),
        ("https://api.together.xyz/v1/chat/completions", MODEL, ("together", None)),
        ("https://abc.endpoints.huggingface.cloud/v1/chat/completions", MODEL,
         ("huggingface", "abc.endpoints.huggingface.cloud")),
    ],
)  # fmt: skip
def test_who_serves_stands_in_the_address(watch: Any, url: str, model: str, expected: Any) -> None:
    request = asked(url, model)
    choice = watch.recorder.provider(request)
    assert (choice.name, choice.price_host) == expected
    assert request.model == model.partition(":")[0]


def priced(watch: Any, url: str, model: str) -> Any:
    """Settle a call of a million tokens each way."""
    request, answer = asked(url, model), Reading(Usage({"input": 10**6, "output": 10**6}))
    outcome = Outcome(answer, "completed", time.time_ns(), 1.0)
    choice = watch.recorder.provider(request)
    return watch.recorder.settle(None, CHAT, request, choice, outcome, own=False, tags={})


@pytest.mark.parametrize("place", ["/v1", "/nobody-ai/v1"])
@pytest.mark.parametrize("suffix", ["", ":cheapest", ":nobody-ai"])
def test_no_other_seller_gives_his_price(watch: Any, place: str, suffix: str) -> None:
    """A dozen hosts sell this model, each at a price of his own; so does its maker, who does not serve here."""
    cost = priced(watch, f"https://{ROUTER}{place}/chat/completions", MODEL + suffix)
    assert (cost.status, cost.reason, cost.total) == ("unpriced", "unknown_model", None)


@pytest.mark.parametrize(
    ("suffix", "dollars"),
    [
        # The rates of 2026-11, input and output.
        (":groq", "0.15 0.75"),
        (":novita", "0.05 0.25"),
    ],
)
def test_a_seller_that_is_named_gives_his_price(watch: Any, suffix: str, dollars: str) -> None:
    cost = priced(watch, f"https://{ROUTER}/v1/chat/completions", MODEL + suffix)
    assert (cost.status, cost.total) == ("priced", sum(round(float(rate) * 10**12) for rate in dollars.split()))


def test_a_routed_call_is_priced(watching: Any, provider: LocalProvider) -> None:
    watch = watching(endpoints=[f"{provider.host}/huggingface-api=huggingface_groq"])
    client(provider).chat_completion(MESSAGES, model=MODEL)
    usage = provider.ledger.billed[0].usage
    # 0.15 and 0.75 USD per million tokens (the book's row).
    assert watch.one.cost.total == usage["prompt_tokens"] * 150_000 + usage["completion_tokens"] * 750_000
    assert watch.one.cost.status == "priced"


def test_usage_is_asked_for_and_not_shown(watch: Any, provider: LocalProvider) -> None:
    made = client(provider)  # a client that is dropped closes its streams
    chunks = list(made.chat_completion(MESSAGES, model=MODEL, stream=True))
    assert [len(chunk.choices) for chunk in chunks] == [1, 1, 1]
    assert watch.one.tokens == provider.ledger.billed[0].usage["total_tokens"]
    assert watch.one.outcome.end == "completed"


def test_who_asks_for_usage_sees_it(watch: Any, provider: LocalProvider) -> None:
    options: Any = {"include_usage": True}
    made = client(provider)
    chunks = list(made.chat_completion(MESSAGES, model=MODEL, stream=True, stream_options=options))
    assert chunks[-1].usage is not None
    assert watch.one.tokens == chunks[-1].usage.total_tokens


def test_a_host_that_refuses_the_option_is_asked_without(watch: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(refuse="stream_options"), Scenario(), Scenario())
    made = client(provider)
    assert len(list(made.chat_completion(MESSAGES, model=MODEL, stream=True))) == 3
    assert len(list(made.chat_completion(MESSAGES, model=MODEL, stream=True))) == 3
    assert len(provider.ledger.requests) == 3  # the second call did not ask again
    assert [call.cost.reason for call in watch.settled] == ["no_usage", "no_usage"]


async def test_a_stream_that_ends_by_its_mark_is_complete(watch: Any, provider: LocalProvider) -> None:
    made = huggingface_hub.AsyncInferenceClient(model=f"{provider.base_url('huggingface-api')}/v1", token="k")
    stream = await made.chat_completion(MESSAGES, model=MODEL, stream=True)
    assert len([chunk async for chunk in stream]) == 3
    assert watch.one.outcome.end == "completed"  # though the client drops it before its end


def test_a_generation_with_details(watch: Any, provider: LocalProvider) -> None:
    answer = client(provider, "/models/tiny").text_generation("Hello", details=True, decoder_input_details=True)
    assert answer.generated_text == "Done."
    usage = provider.ledger.billed[0].usage
    counts = watch.one.outcome.reading.usage.counts
    assert counts == {"input": usage["input_length"], "output": usage["generated_tokens"]}
    assert watch.one.operation.name == "text_completion"


def test_half_of_the_counts_is_said_to_be_half(watch: Any, provider: LocalProvider) -> None:
    client(provider, "/models/tiny").text_generation("Hello", details=True)
    reading = watch.one.outcome.reading
    assert set(reading.usage.counts) == {"output"}
    assert reading.reason == "incomplete_usage"


def test_a_generation_without_details_reports_nothing(watch: Any, provider: LocalProvider) -> None:
    assert client(provider, "/models/tiny").text_generation("Hello") == "Done."
    assert (watch.one.cost.status, watch.one.cost.reason) == ("unpriced", "no_usage")


def test_a_streamed_generation_counts_on_its_last_event(watch: Any, provider: LocalProvider) -> None:
    made = client(provider, "/models/tiny")
    words = list(made.text_generation("Hello", stream=True, max_new_tokens=9))
    assert words == ["word "] * 3
    usage = provider.ledger.billed[0].usage
    (span,) = watch.spans
    assert span.attributes[names.GEN_AI_USAGE_INPUT_TOKENS] == usage["input_length"]
    assert span.attributes[names.GEN_AI_USAGE_OUTPUT_TOKENS] == usage["generated_tokens"]
    assert span.attributes[names.GEN_AI_REQUEST_MAX_TOKENS] == 9
    assert watch.one.outcome.end == "completed"


def test_vectors_come_without_usage(watch: Any, provider: LocalProvider) -> None:
    pytest.importorskip("numpy")
    path = "/models/tiny/pipeline/feature-extraction"
    assert client(provider, path).feature_extraction("Hello").shape == (1, 2)
    assert (watch.one.operation.name, watch.one.cost.reason) == ("embeddings", "no_usage")


def test_vectors_of_a_provider_bear_theirs(watch: Any) -> None:
    body = b'{"data": [{"embedding": [0.1]}], "model": "e", "usage": {"prompt_tokens": 7, "total_tokens": 7}}'
    operation = huggingface.ADAPTER.route(None, (SimpleNamespace(task="feature-extraction"),), {})
    assert operation is not None
    reading = huggingface.usage(operation, body, "together")
    assert reading is not None
    assert reading.usage is not None
    assert reading.usage.counts == {"input": 7}


TASKS: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "text-to-image": (lambda c: c.text_to_image("A cat"), ("generate_content", "image"), {"image": 1}),
    "text-to-speech": (lambda c: c.text_to_speech("Hello"), ("generate_content", "speech"), {"character": 5}),
    "automatic-speech-recognition": (
        lambda c: c.automatic_speech_recognition(b"RIFF"), ("generate_content", "text"), None),
    "sentence-similarity": (lambda c: c.sentence_similarity("a", other_sentences=["a", "b"]), ("rerank", None), None),
}  # fmt: skip


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turning bytes into an image needs a package that no test asks for."""
    for module in ("_client", "_generated._async_client"):
        monkeypatch.setattr(f"huggingface_hub.inference.{module}._bytes_to_image", bytes)


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_other_tasks_are_told_by_name(watch: Any, provider: LocalProvider, task: str, asynchronous: bool) -> None:
    ask, operation, units = TASKS[task]
    address = f"{provider.base_url('huggingface-api')}/models/tiny/pipeline/{task}"
    kind: Any = huggingface_hub.AsyncInferenceClient if asynchronous else huggingface_hub.InferenceClient
    answer = ask(kind(model=address, token="k"))
    if asynchronous:
        await answer
    (billed,) = provider.ledger.billed
    assert billed.api == task
    one = watch.one
    assert (one.operation.name, one.operation.output_type) == operation
    # The server's own price is by time: no row of the book, and no count but what the request says.
    assert (one.cost.status, one.cost.reason) == ("unpriced", "no_model" if units else "no_usage")
    assert one.request.units == (units or {})


@pytest.mark.parametrize(
    ("task", "url", "model", "body", "price"),
    [
        # 0.03 USD per image (the book's row), two of them.
        ("text-to-image", f"https://{ROUTER}/fal-ai/fal-ai/bytedance/seedream/v3/text-to-image",
         "fal-ai/bytedance/seedream/v3/text-to-image", {"prompt": "A cat", "num_images": 2}, 60 * 10**9),
    ],
)  # fmt: skip
def test_a_routed_image_is_priced_by_the_image(
    watch: Any, task: str, url: str, model: str, body: Any, price: int
) -> None:
    sent = SimpleNamespace(url=url, task=task, model=model, json=body)
    operation = huggingface.ADAPTER.route(None, (sent,), {})
    request = huggingface.request(None, operation, (sent,), {})  # pyright: ignore[reportArgumentType]
    choice = watch.recorder.provider(request)
    assert (choice.name, choice.price_host) == ("fal_ai", None)
    outcome = Outcome(huggingface.usage(operation, b'{"images": []}', "fal_ai"), "completed", time.time_ns(), 1.0)  # pyright: ignore[reportArgumentType]
    cost = watch.recorder.settle(None, operation, request, choice, outcome, own=False, tags={})
    assert (cost.status, cost.total) == ("priced", price)


@pytest.mark.parametrize("path", ["/v1", "/models/tiny"])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_error_within_a_stream_is_an_error(
    watch: Any, provider: LocalProvider, path: str, asynchronous: bool
) -> None:
    """The client raises it outside the lines that it reads: the lines know nothing of it."""
    provider.expect(Scenario(error_after=2))
    kind: Any = huggingface_hub.AsyncInferenceClient if asynchronous else huggingface_hub.InferenceClient
    made = kind(model=provider.base_url("huggingface-api") + path, token="k")
    seen: list[Any] = []

    async def read() -> None:
        asked = made.chat_completion(MESSAGES, stream=True) if path == "/v1" else made.text_generation("a", stream=True)
        if asynchronous:
            [seen.append(item) async for item in await asked]
        else:
            seen.extend(asked)

    with pytest.raises(huggingface_hub.errors.TextGenerationError):
        await read()
    assert len(seen) == 2
    (span,) = watch.spans
    assert (watch.one.outcome.end, span.status.is_ok) == ("error", False)
    assert span.attributes["error.type"] == "overloaded_error"
    assert watch.one.cost.reason == "no_usage"


def test_other_tasks_pass_untouched(watch: Any) -> None:
    assert huggingface.ADAPTER.route(None, (SimpleNamespace(task="fill-mask"),), {}) is None


def test_no_estimate_counts_a_generation_twice() -> None:
    last = 'data: {"token": {"text": "b"}, "generated_text": "ab", "details": null}'
    assert list(huggingface.ADAPTER.output_texts(last)) == ["b"]
    assert list(huggingface.ADAPTER.output_texts(b'[{"generated_text": "ab"}]')) == ["ab"]
