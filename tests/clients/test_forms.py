"""Every further way to get an answer out of the clients: one settlement for each response, with the bill's tokens."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import json
import pickle
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from otel_tokenomics.attributes import names
from otel_tokenomics.demo.provider import LocalProvider, Scenario
from otel_tokenomics.pricing import load_embedded

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),
]
MESSAGES: Any = [{"role": "user", "content": "How do I reset my password?"}]
CHAT: dict[str, Any] = {"model": "gpt-5.4", "messages": MESSAGES}
ASK: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": MESSAGES}
RESPOND: dict[str, Any] = {"model": "gpt-5.4", "input": "Say it."}
TOKENS = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}


@pytest.fixture
def client(provider: LocalProvider) -> Any:
    with openai.OpenAI(api_key="k", base_url=provider.base_url_openai, max_retries=0) as made:
        yield made


@pytest.fixture
async def aclient(provider: LocalProvider) -> Any:
    async with openai.AsyncOpenAI(api_key="k", base_url=provider.base_url_openai, max_retries=0) as made:
        yield made


@pytest.fixture
def claude(provider: LocalProvider) -> Any:
    with anthropic.Anthropic(api_key="k", base_url=provider.base_url_anthropic, max_retries=0) as made:
        yield made


def billed(provider: LocalProvider) -> list[int]:
    names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
    return [sum(line.usage.get(name, 0) for name in names) for line in provider.ledger.billed]


def ends(watch: Any) -> list[tuple[str, str, str | None]]:
    return [(call.outcome.end, call.cost.status, call.cost.reason) for call in watch.settled]


def test_streams_of_images_and_transcripts(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(usage=TOKENS), Scenario(usage={**TOKENS, "type": "tokens"}))
    assert len(list(client.images.generate(model="gpt-image-1", prompt="a cat", stream=True))) == 2
    file = ("a.mp3", b"mp3")
    assert len(list(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=file, stream=True))) == 2
    assert [call.tokens for call in watch.settled] == [30, 30]
    assert ends(watch) == [("completed", "priced", None)] * 2


def chat_stream(client: Any) -> Callable[..., Any]:
    return getattr(client.chat.completions, "stream", None) or client.beta.chat.completions.stream


def test_the_chat_stream_helper(watch: Any, client: Any, provider: LocalProvider) -> None:
    with chat_stream(client)(**CHAT) as stream:
        assert stream.until_done().get_final_completion().usage is None
    assert [call.tokens for call in watch.settled] == billed(provider)


async def test_the_async_chat_stream_helper(watch: Any, aclient: Any, provider: LocalProvider) -> None:
    async with chat_stream(aclient)(**CHAT) as stream:
        assert (await stream.get_final_completion()).choices
    assert [call.tokens for call in watch.settled] == billed(provider)


def test_the_responses_stream_helper(watch: Any, client: Any, provider: LocalProvider) -> None:
    with client.responses.stream(**RESPOND) as stream:
        stream.until_done()
        assert stream.get_final_response().usage.total_tokens == watch.one.tokens
    assert [call.tokens for call in watch.settled] == billed(provider)


@pytest.mark.parametrize("how", ["close", "cut"])
def test_a_responses_stream_that_ends_early_awaits_no_bill(
    watch: Any, client: Any, provider: LocalProvider, how: str
) -> None:
    provider.expect(Scenario(cut_after=2 if how == "cut" else None))
    stream = client.responses.create(**RESPOND, stream=True)
    next(stream)
    if how == "close":
        stream.close()
    else:
        with pytest.raises(Exception):  # noqa: B017  # each major has its own
            list(stream)
    end = "abandoned" if how == "close" else "error"
    assert ends(watch) == [(end, "unpriced", "no_usage")]


def test_a_background_stream_is_resumed_and_charged_once(watch: Any, client: Any, provider: LocalProvider) -> None:
    stream = client.responses.create(**RESPOND, stream=True, background=True)
    identity = next(stream).response.id
    stream.close()
    for _ in range(2):
        list(client.responses.retrieve(identity, stream=True))
    assert ends(watch) == [("abandoned", "unpriced", "pending"), ("completed", "priced", None)]
    assert watch.settled[1].tokens == billed(provider)[0]
    fetch = watch.spans[1].attributes
    assert not [key for key in fetch if key.startswith("gen_ai.usage.") and key != "gen_ai.usage.cost"]


async def test_a_background_response_is_awaited_by_the_helper(
    watch: Any, aclient: Any, provider: LocalProvider
) -> None:
    queued = await aclient.responses.create(**RESPOND, background=True)
    async with aclient.responses.stream(response_id=queued.id) as stream:
        async for _ in stream:
            pass
    assert [call.tokens for call in watch.settled] == [0, *billed(provider)]


@pytest.mark.parametrize("form", ["raw", "streaming"])
def test_a_background_response_in_raw_form(watch: Any, client: Any, provider: LocalProvider, form: str) -> None:
    queued = client.responses.with_raw_response.create(**RESPOND, background=True).parse()
    if form == "raw":
        client.responses.with_raw_response.retrieve(queued.id)
    else:
        with client.responses.with_streaming_response.retrieve(queued.id) as raw:
            raw.parse()
    client.responses.retrieve(queued.id)
    assert [call.tokens for call in watch.settled] == [0, *billed(provider)]


@pytest.mark.parametrize("how", ["read", "text", "json", "parse"])
async def test_every_way_to_read_a_streaming_response(
    watch: Any, aclient: Any, claude: Any, provider: LocalProvider, how: str
) -> None:
    async with aclient.chat.completions.with_streaming_response.create(**CHAT) as raw:
        await getattr(raw, how)()
    with claude.messages.with_streaming_response.create(**ASK) as raw:
        getattr(raw, how)()
    with claude.messages.with_streaming_response.create(**ASK, stream=True) as raw:
        if how == "parse":
            assert len(list(raw.parse())) == 8
        else:
            list(raw.iter_lines())
    assert [call.tokens for call in watch.settled][:2] == billed(provider)[:2]
    assert watch.settled[2].tokens == (billed(provider)[2] if how == "parse" else 0)
    assert {end for end, *_ in ends(watch)} == {"completed"}


def test_speech_is_counted_by_the_character_in_every_form(watch: Any, client: Any, tmp_path: Any) -> None:
    words: dict[str, Any] = {"model": "tts-1", "input": "hello", "voice": "alloy"}
    with client.audio.speech.with_streaming_response.create(**words) as raw:
        raw.stream_to_file(tmp_path / "a.mp3")
    client.audio.speech.create(**words).read()
    client.audio.speech.with_raw_response.create(**words).parse()
    assert [span.attributes["tokenomics.usage.character"] for span in watch.spans] == [5, 5, 5]
    assert ends(watch) == [("completed", "priced", None)] * 3


def test_copies_of_a_client_and_options_of_a_call(
    watch: Any, client: Any, claude: Any, provider: LocalProvider
) -> None:
    client.with_options(timeout=3).chat.completions.create(**CHAT)
    client.copy(max_retries=1).chat.completions.create(**CHAT, extra_query={"a": "b"}, extra_headers={"x": "y"})
    claude.with_options(timeout=3).messages.create(**ASK, extra_query={"a": "b"})
    assert [call.tokens for call in watch.settled] == billed(provider)


def test_the_module_as_a_client(watch: Any, provider: LocalProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "api_key", "k")
    monkeypatch.setattr(openai, "base_url", provider.base_url_openai + "/")
    openai.chat.completions.create(**CHAT)
    assert [call.tokens for call in watch.settled] == billed(provider)
    openai._reset_client()


def test_strict_validation(watch: Any, provider: LocalProvider) -> None:
    strict: dict[str, Any] = {"api_key": "k", "_strict_response_validation": True}
    with openai.OpenAI(base_url=provider.base_url_openai, **strict) as client:
        client.chat.completions.create(**CHAT)
        assert len(list(client.chat.completions.create(**CHAT, stream=True))) == 3
    assert [call.tokens for call in watch.settled] == billed(provider)


def test_each_round_of_the_tool_runner_is_a_call(watch: Any, claude: Any, provider: LocalProvider) -> None:
    def look(place: str) -> str:
        """Look.

        Args:
            place: where
        """
        return place

    use = {"type": "tool_use", "id": "t1", "name": "look", "input": {"place": "here"}}
    provider.expect(Scenario(response={"content": [use], "stop_reason": "tool_use"}))
    claude.beta.messages.tool_runner(**ASK, tools=[anthropic.beta_tool(look)]).until_done()
    assert len(watch.settled) == 2
    assert [call.tokens for call in watch.settled] == billed(provider)


async def test_fifty_calls_at_once(watch: Any, aclient: Any, provider: LocalProvider) -> None:
    await asyncio.gather(*[aclient.chat.completions.create(**CHAT) for _ in range(50)])
    assert sorted(call.tokens for call in watch.settled) == sorted(billed(provider))
    assert len(watch.spans) == 50


def test_azure_with_and_without_a_deployment(watching: Any, provider: LocalProvider) -> None:
    watch = watching(endpoints=(f"{provider.host}=azure.ai.openai",))
    common: dict[str, Any] = {
        "api_key": "k", "api_version": "2024-10-21", "azure_endpoint": f"http://{provider.host}"
    }  # fmt: skip
    for options in ({}, {"azure_deployment": "mine"}):
        with openai.AzureOpenAI(**common, **options) as azure:
            azure.chat.completions.create(**CHAT)
            assert len(list(azure.chat.completions.create(**CHAT, stream=True))) == 3
    assert [call.tokens for call in watch.settled] == billed(provider)
    assert {call.choice.name for call in watch.settled} == {"azure.ai.openai"}


BEDROCK: dict[str, Any] = {"aws_region": "eu-west-1", "aws_access_key": "a", "aws_secret_key": "b"}


def test_bedrock_streams_in_frames_of_its_own(watching: Any, provider: LocalProvider) -> None:
    pytest.importorskip("botocore")
    watch = watching(endpoints=(f"{provider.host}=aws.bedrock",))
    ask = {**ASK, "model": "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"}
    with anthropic.AnthropicBedrock(**BEDROCK, base_url=f"http://{provider.host}") as client:
        client.messages.create(**ask)
        assert len(list(client.messages.create(**ask, stream=True))) == 8
        with client.messages.stream(**ask) as stream:
            assert stream.get_final_message().usage.output_tokens
    assert [call.tokens for call in watch.settled] == billed(provider)
    assert {call.request.facts["region"] for call in watch.settled} == {"eu-west-1"}
    # The answer bears the maker's name of the model; what is billed is the profile that was called.
    assert {(call.cost.status, call.cost.model) for call in watch.settled} == {("priced", ask["model"])}


async def test_bedrock_streams_asynchronously(watching: Any, provider: LocalProvider) -> None:
    pytest.importorskip("botocore")
    watch = watching(endpoints=(f"{provider.host}=aws.bedrock",))
    ask = {**ASK, "model": "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"}
    async with anthropic.AsyncAnthropicBedrock(**BEDROCK, base_url=f"http://{provider.host}") as client:
        await client.messages.create(**ask)
        assert len([event async for event in await client.messages.create(**ask, stream=True)]) == 8
        stream = await client.messages.create(**ask, stream=True)
        await stream.__anext__()
        await stream.close()
    assert [call.outcome.end for call in watch.settled] == ["completed", "completed", "abandoned"]
    assert [call.tokens for call in watch.settled][:2] == billed(provider)[:2]


PLATFORMS = [
    ("anthropic", "AnthropicFoundry", "azure.ai.inference", {"api_key": "k"}),
    ("anthropic", "AnthropicVertex", "gcp.vertex_ai", {"region": "r", "project_id": "p", "access_token": "t"}),
    (
        "anthropic.lib.bedrock._mantle",
        "AnthropicBedrockMantle",
        "aws.bedrock",
        {"api_key": "k", "aws_region": "us-east-1"},
    ),
    (
        "anthropic.lib.aws._client",
        "AnthropicAWS",
        "anthropic",
        {"api_key": "k", "aws_region": "us-east-1", "workspace_id": "w"},
    ),
    ("openai", "BedrockOpenAI", "aws.bedrock", {"api_key": "k", "aws_region": "us-east-1"}),
]


@pytest.mark.parametrize(("module", "name", "expected", "options"), PLATFORMS, ids=[row[1] for row in PLATFORMS])
def test_a_platform_is_told_by_its_class_where_the_host_says_nothing(
    watch: Any, provider: LocalProvider, module: str, name: str, expected: str, options: dict[str, Any]
) -> None:
    kind: Any = getattr(importlib.import_module(module), name, None)
    if kind is None:
        pytest.skip(f"this version of {module} has no {name}")
    path = "openai-api/v1" if module == "openai" else "v1" if "Vertex" in name else "anthropic-api"
    with kind(base_url=f"http://{provider.host}/{path}", **options) as made:
        if module == "openai":
            made.responses.create(**RESPOND)
        else:
            made.messages.create(**ASK)
            list(made.messages.create(**ASK, stream=True))
    assert {call.request.provider for call in watch.settled} == {expected}
    assert [call.tokens for call in watch.settled] == billed(provider)


# --- middleware of the client ---------------------------------------------------------------------

needs_middleware = pytest.mark.skipif(
    "middleware" not in inspect.signature(anthropic.Anthropic.__init__).parameters,
    reason="this anthropic has no middleware",
)


def with_middleware(provider: LocalProvider, *middleware: Any) -> Any:
    options: dict[str, Any] = {"middleware": middleware}
    return anthropic.Anthropic(api_key="k", base_url=provider.base_url_anthropic, max_retries=1, **options)


@needs_middleware
@pytest.mark.parametrize("stream", [False, True])
def test_a_middleware_that_sees_a_refused_attempt(watch: Any, provider: LocalProvider, stream: bool) -> None:
    provider.expect(Scenario(fail=(429,)))
    with with_middleware(provider, lambda request, call_next: call_next(request)) as client:
        answer = client.messages.create(**ASK, stream=stream)
        if stream:
            assert len(list(answer)) == 8
    assert [call.tokens for call in watch.settled] == billed(provider)
    assert ends(watch) == [("completed", "priced", None)]


@needs_middleware
def test_a_refused_call_with_a_middleware_costs_nothing(watch: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(fail=(400,)))
    with (
        with_middleware(provider, lambda request, call_next: call_next(request)) as client,
        pytest.raises(anthropic.BadRequestError),
    ):
        client.messages.create(**ASK)
    assert ends(watch) == [("error", "not_applicable", "call_failed")]


@needs_middleware
@pytest.mark.parametrize("stream", [False, True])
def test_each_response_that_a_middleware_asks_for_is_a_charge(
    watch: Any, provider: LocalProvider, stream: bool
) -> None:
    def twice(request: Any, call_next: Any) -> Any:
        first = call_next(request)
        if stream:
            first.close()
        return call_next(request)

    with with_middleware(provider, twice) as client:
        answer = client.messages.create(**ASK, stream=stream)
        if stream:
            assert len(list(answer)) == 8
    assert len(provider.ledger.billed) == 2
    assert [call.outcome.end for call in watch.settled] == ["abandoned" if stream else "completed", "completed"]
    if not stream:
        assert [call.tokens for call in watch.settled] == billed(provider)
        identities = {span.attributes[names.GEN_AI_RESPONSE_ID] for span in watch.spans}
        assert identities == {line.response_id for line in provider.ledger.billed}


# --- the caller's world -----------------------------------------------------------------------------


def test_results_and_signatures_are_what_they_were(watching: Any, client: Any) -> None:
    method = openai._base_client.SyncAPIClient.request
    amethod = openai._base_client.AsyncAPIClient.request
    before = client.chat.completions.create(**CHAT)
    signature = inspect.signature(method)
    watching()
    after = client.chat.completions.create(**CHAT)
    assert inspect.signature(openai._base_client.SyncAPIClient.request) == signature
    assert inspect.iscoroutinefunction(openai._base_client.AsyncAPIClient.request)
    assert inspect.iscoroutinefunction(amethod)
    assert pickle.loads(pickle.dumps(after)).to_dict() == after.to_dict()  # our own bytes
    assert after.to_dict() | {"id": ""} == before.to_dict() | {"id": ""}


def test_an_interrupt_in_the_middle_of_a_stream(watch: Any, client: Any) -> None:
    stream = client.chat.completions.create(**CHAT, stream=True)
    with pytest.raises(KeyboardInterrupt), stream:  # noqa: PT012  # the block is the subject
        next(stream)
        raise KeyboardInterrupt
    assert watch.one.outcome.end == "cancelled"


def test_a_client_that_is_closed_with_an_open_stream(watch: Any, provider: LocalProvider) -> None:
    client = openai.OpenAI(api_key="k", base_url=provider.base_url_openai)
    stream = client.chat.completions.create(**CHAT, stream=True)
    next(stream)
    client.close()
    del stream, client
    gc.collect()
    assert watch.one.outcome.end == "abandoned"


def test_a_credential_is_hashed_only_with_a_salt(watching: Any, client: Any, provider: LocalProvider) -> None:
    client.chat.completions.create(**CHAT)
    watch = watching(credential_salt="pepper")
    client.chat.completions.create(**CHAT)
    client.copy(api_key="other").chat.completions.create(**CHAT)
    watching().engine.uninstrument()
    first, second = [span.attributes[names.TOKENOMICS_CREDENTIAL_HASH] for span in watch.spans]
    assert len(first) == 16
    assert first != second
    assert json.dumps(str(watch.settings)).find("pepper") == -1


def test_the_terms_of_one_key_are_not_those_of_another(watching: Any, client: Any, provider: LocalProvider) -> None:
    watch = watching(credential_salt="pepper")
    client.chat.completions.create(**CHAT)
    account = watch.spans[0].attributes[names.TOKENOMICS_CREDENTIAL_HASH]
    halved = {"discounts": [{"p": "openai", "ratio": [1, 2], "account": [account]}]}
    book = load_embedded().with_overlay(json.dumps(halved), "test")
    watch.recorder.book = lambda: book
    client.chat.completions.create(**CHAT)
    client.copy(api_key="other").chat.completions.create(**CHAT)
    listed, contracted, other = [call.cost for call in watch.settled]
    assert contracted.total * 2 == listed.total == contracted.list
    assert contracted.basis == "contracted"
    assert (other.total, other.basis) == (listed.total, "list")
