"""Bedrock: every maker by its headers, by the caller's own reading or by the stream, and what the price asks for."""

from __future__ import annotations

import asyncio
import gc
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import wrapt
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session as aio_session
from aiohttp import ClientPayloadError
from botocore.client import BaseClient
from botocore.config import Config
from botocore.eventstream import EventStream
from botocore.exceptions import ClientError, EventStreamError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.session import get_session
from botocore.stub import Stubber

from otel_tokenomics.demo.provider import LocalProvider, Scenario

# The client, not the test, owns its connections.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(?!otel_tokenomics)"),
]

CANARY = "canary-4711"
NOVA = "amazon.nova-pro-v1:0"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MESSAGES: Any = [{"role": "user", "content": [{"text": CANARY}]}]
CHAT: Any = [{"role": "user", "content": CANARY}]
BODIES: dict[str, dict[str, Any]] = {
    CLAUDE: {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 77, "messages": CHAT},
    NOVA: {"messages": MESSAGES, "inferenceConfig": {"maxTokens": 77}},
    "meta.llama3-70b-instruct-v1:0": {"prompt": CANARY, "max_gen_len": 77},
    "mistral.mistral-large-2402-v1:0": {"prompt": CANARY, "max_tokens": 77},
    "cohere.command-r-v1:0": {"message": CANARY, "max_tokens": 77},
    "amazon.titan-text-express-v1": {"inputText": CANARY, "textGenerationConfig": {"maxTokenCount": 77}},
}
#: Makers whose own format bears counts.
TELLING = [model for model in BODIES if not model.startswith(("mistral", "cohere"))]
ACCOUNT: Any = {"region_name": "eu-central-1", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
CACHED = {
    "inputTokens": 10,
    "outputTokens": 20,
    "totalTokens": 730,
    "cacheReadInputTokens": 100,
    "cacheWriteInputTokens": 600,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 400}, {"ttl": "5m", "inputTokens": 200}],
}
CACHED_COUNTS = {"input": 10, "output": 20, "cache_read": 100, "cache_write": 200, "cache_write_1h": 400}


def client_of(provider: LocalProvider, service: str = "bedrock-runtime", **config: Any) -> Any:
    config = {"read_timeout": 5, "retries": {"total_max_attempts": 1}, **config}
    address = provider.base_url("bedrock-api")
    return get_session().create_client(service, endpoint_url=address, config=Config(**config), **ACCOUNT)


def async_client(provider: LocalProvider) -> Any:
    config = AioConfig(read_timeout=5, retries={"total_max_attempts": 1})
    address = provider.base_url("bedrock-api")
    return aio_session().create_client("bedrock-runtime", endpoint_url=address, config=config, **ACCOUNT)


@pytest.fixture
def client(provider: LocalProvider) -> Iterator[Any]:
    made = client_of(provider)
    yield made
    made.close()


def counts_of(watch: Any) -> dict[str, int]:
    return dict(watch.one.outcome.reading.usage.counts)


def billed(provider: LocalProvider) -> dict[str, int]:
    (line,) = provider.ledger.billed
    return {"input": line.usage["inputTokens"], "output": line.usage["outputTokens"]}


# --- InvokeModel ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", BODIES)
def test_every_makers_body_is_counted_by_its_headers(
    watch: Any, client: Any, provider: LocalProvider, model: str
) -> None:
    answer = client.invoke_model(modelId=model, body=json.dumps(BODIES[model]))
    # Settled before the body is read; the body is the caller's, whole.
    assert counts_of(watch) == billed(provider)
    assert type(answer["body"]) is StreamingBody
    assert answer["body"].tell() == 0
    assert "Done." in json.dumps(json.loads(answer["body"].read()))
    assert watch.one.request.max_output == 77
    assert watch.one.outcome.reading.response_id == answer["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize("model", BODIES)
def test_every_makers_stream_is_counted_by_its_last_chunk(
    watch: Any, client: Any, provider: LocalProvider, model: str
) -> None:
    answer = client.invoke_model_with_response_stream(modelId=model, body=json.dumps(BODIES[model]))
    assert type(answer["body"]) is EventStream
    assert len(list(answer["body"])) >= 3
    assert counts_of(watch) == billed(provider)
    assert watch.one.outcome.end == "completed"
    assert watch.one.outcome.reading.response_id == answer["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize("model", TELLING)
@pytest.mark.parametrize("piecemeal", [False, True])
def test_without_headers_the_body_is_heard_as_the_caller_reads_it(
    watch: Any, client: Any, provider: LocalProvider, model: str, piecemeal: bool
) -> None:
    provider.expect(Scenario(report="null"))
    body = client.invoke_model(modelId=model, body=json.dumps(BODIES[model]))["body"]
    assert watch.settled == []
    whole = b"".join(body.iter_chunks(7)) if piecemeal else body.read()
    assert json.loads(whole)
    assert counts_of(watch) == billed(provider)
    assert watch.one.outcome.end == "completed"


@pytest.mark.parametrize("model", sorted(set(BODIES) - set(TELLING)))
def test_where_nothing_states_a_count_there_is_no_price(
    watch: Any, client: Any, provider: LocalProvider, model: str
) -> None:
    provider.expect(Scenario(report="null"))
    client.invoke_model(modelId=model, body=json.dumps(BODIES[model]))["body"].read()
    assert (watch.one.cost.status, watch.one.cost.reason, watch.one.cost.total) == ("unpriced", "no_usage", None)
    assert watch.one.outcome.end == "completed"


def test_the_body_says_which_cache_writes_are_for_an_hour(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(usage=CACHED))
    client.invoke_model(modelId=CLAUDE, body=json.dumps(BODIES[CLAUDE]))["body"].read()
    assert counts_of(watch) == CACHED_COUNTS


def test_a_body_that_nobody_reads_is_counted_by_its_headers(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(usage=CACHED))
    answer = client.invoke_model(modelId=CLAUDE, body=json.dumps(BODIES[CLAUDE]))
    assert watch.settled == []
    del answer
    gc.collect()
    assert counts_of(watch) == {"input": 10, "output": 20, "cache_read": 100, "cache_write": 600}
    assert watch.one.outcome.end == "completed"


def test_a_stream_says_which_cache_writes_are_for_an_hour(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(usage=CACHED))
    list(client.invoke_model_with_response_stream(modelId=CLAUDE, body=json.dumps(BODIES[CLAUDE]))["body"])
    assert counts_of(watch) == CACHED_COUNTS


def test_claude_cut_off_keeps_its_input(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(usage=CACHED))
    answer = client.invoke_model_with_response_stream(modelId=CLAUDE, body=json.dumps(BODIES[CLAUDE]))
    events = iter(answer["body"])
    assert [next(events), next(events)]
    del events
    assert watch.one.outcome.end == "abandoned"
    assert (watch.one.cost.status, watch.one.cost.reason) == ("partial", "incomplete_usage")
    assert counts_of(watch)["cache_read"] == 100


async def test_asynchronous_bodies_and_streams(watch: Any, provider: LocalProvider) -> None:
    asked = json.dumps(BODIES[CLAUDE])
    provider.expect(Scenario(usage=CACHED), Scenario(usage=CACHED), Scenario(usage=CACHED))
    async with async_client(provider) as client:
        answer = await client.invoke_model(modelId=CLAUDE, body=asked)
        assert json.loads(await answer["body"].read())["usage"]["input_tokens"] == 10
        answer = await client.invoke_model(modelId=CLAUDE, body=asked)
        assert json.loads(b"".join([piece async for piece in answer["body"].iter_chunks(7)]))
        answer = await client.invoke_model_with_response_stream(modelId=CLAUDE, body=asked)
        assert len([event async for event in answer["body"]]) >= 3
    assert [dict(made.outcome.reading.usage.counts) for made in watch.settled] == [CACHED_COUNTS] * 3


def test_a_file_is_left_to_the_client(watch: Any, client: Any, provider: LocalProvider) -> None:
    client.invoke_model(modelId=NOVA, body=io.BytesIO(json.dumps(BODIES[NOVA]).encode()))
    assert counts_of(watch) == billed(provider)


def test_embeddings_have_no_output(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(usage={"inputTokens": 9}))
    client.invoke_model(modelId="amazon.titan-embed-text-v2:0", body=json.dumps({"inputText": CANARY}))
    assert (watch.one.operation.name, counts_of(watch)) == ("embeddings", {"input": 9})


def test_images_are_counted_by_the_request(watch: Any, client: Any) -> None:
    body = {"taskType": "TEXT_IMAGE", "imageGenerationConfig": {"numberOfImages": 3}}
    client.invoke_model(modelId="stability.stable-image-core-v1:1", body=json.dumps(body))
    assert dict(watch.one.request.units) == {"image": 3}
    assert watch.one.operation.output_type == "image"


# --- Converse ---------------------------------------------------------------------------------


def converse(client: Any, model: str = NOVA, **more: Any) -> Any:
    return client.converse(modelId=model, messages=MESSAGES, **more)


def test_cache_writes_are_told_apart(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(usage=CACHED), Scenario(usage=CACHED))
    converse(client)
    list(client.converse_stream(modelId=NOVA, messages=MESSAGES)["stream"])
    known = client.meta.service_model.shape_for("TokenUsage").members
    if "cacheReadInputTokens" not in known:
        # An older client drops what its service model lacks; the total tells that something is missing.
        assert [(made.cost.status, made.cost.reason) for made in watch.settled] == [("partial", "incomplete_usage")] * 2
        return
    if "cacheDetails" not in known:
        pytest.skip("this botocore drops cacheDetails: its service model does not know them")
    assert [dict(made.outcome.reading.usage.counts) for made in watch.settled] == [CACHED_COUNTS] * 2
    for span in watch.spans:
        assert span.attributes["gen_ai.usage.input_tokens"] == 710  # what OpenTelemetry means by input: the cache too


def test_the_response_decides_on_the_tier(watch: Any, client: Any, provider: LocalProvider) -> None:
    if "serviceTier" not in client.meta.service_model.operation_model("Converse").input_shape.members:
        pytest.skip("this botocore's Converse knows no serviceTier")
    provider.expect(*[Scenario(response={"serviceTier": {"type": "default"}})] * 2)
    provider.expect(*[Scenario(response={"X-Amzn-Bedrock-Service-Tier": "default"})] * 2)
    tier = {"type": "flex"}
    converse(client, serviceTier=tier)
    list(client.converse_stream(modelId=NOVA, messages=MESSAGES, serviceTier=tier)["stream"])
    asked: Any = {"modelId": NOVA, "body": json.dumps(BODIES[NOVA]), "serviceTier": "flex"}
    client.invoke_model(**asked)
    list(client.invoke_model_with_response_stream(**asked)["body"])
    converse(client, serviceTier=tier)
    assert [made.request.facts["service_tier"] for made in watch.settled] == ["flex"] * 5
    assert [made.outcome.reading.facts.get("service_tier") for made in watch.settled] == ["default"] * 4 + [None]
    *answered, unsaid = watch.settled
    # Flex is half the price, and the same tokens were used each time.
    assert [made.cost.total for made in answered] == [2 * unsaid.cost.total] * 4


def test_optimized_latency_has_a_price_of_its_own(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(response={"performanceConfig": {"latency": "optimized"}}))
    converse(client, performanceConfig={"latency": "optimized"})
    assert (watch.one.cost.status, watch.one.cost.reason) == ("partial", "tier_unpriced")


def test_a_prompt_router_names_the_model_that_answered(watch: Any, client: Any, provider: LocalProvider) -> None:
    router = "arn:aws:bedrock:eu-central-1:123456789012:default-prompt-router/amazon.nova:1"
    invoked = f"arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.{NOVA}"
    trace = {"trace": {"promptRouter": {"invokedModelId": invoked}}}
    provider.expect(Scenario(response=trace), Scenario(response=trace))
    converse(client, router)
    list(client.converse_stream(modelId=router, messages=MESSAGES)["stream"])
    for span in watch.spans:
        assert span.attributes["gen_ai.request.model"] == router
        assert span.attributes["gen_ai.response.model"] == invoked
        assert span.attributes["tokenomics.cost.status"] == "priced"


def test_what_a_span_says(watch: Any, client: Any, provider: LocalProvider) -> None:
    config = {"maxTokens": 50, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"]}
    converse(client, inferenceConfig=config)
    (span,) = watch.spans
    said = dict(span.attributes)
    assert said["gen_ai.provider.name"] == "aws.bedrock"
    assert said["gen_ai.operation.name"] == "chat"
    assert (said["server.address"], said["server.port"]) == ("127.0.0.1", int(provider.host.rpartition(":")[2]))
    assert (said["gen_ai.request.max_tokens"], said["gen_ai.request.temperature"]) == (50, 0.5)
    assert (said["gen_ai.request.top_p"], said["gen_ai.request.stop_sequences"]) == (0.25, ("END",))
    assert said["tokenomics.request.region"] == "eu-central-1"
    assert said["gen_ai.response.finish_reasons"] == ("end_turn",)


def test_no_content_leaves(watch: Any, client: Any) -> None:
    converse(client)
    list(client.converse_stream(modelId=NOVA, messages=MESSAGES)["stream"])
    for model, body in BODIES.items():
        client.invoke_model(modelId=model, body=json.dumps(body))["body"].read()
        list(client.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))["body"])
    exported = "".join(span.to_json() for span in watch.spans)
    assert len(watch.spans) == 2 + 2 * len(BODIES)
    assert CANARY not in exported
    assert "Done." not in exported
    assert "word " not in exported


# --- endings ----------------------------------------------------------------------------------


def test_an_error_in_the_stream(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(error_after=2))
    with pytest.raises(EventStreamError):
        list(client.converse_stream(modelId=NOVA, messages=MESSAGES)["stream"])
    assert watch.one.outcome.end == "error"
    assert watch.one.outcome.error_type == "EventStreamError"


def test_a_stream_that_is_closed(watch: Any, client: Any) -> None:
    stream = client.converse_stream(modelId=NOVA, messages=MESSAGES)["stream"]
    stream.close()
    assert watch.one.outcome.end == "abandoned"


def test_a_look_at_the_first_event_is_no_end(watch: Any, client: Any, provider: LocalProvider) -> None:
    stream = client.converse_stream(modelId=NOVA, messages=MESSAGES)["stream"]
    assert "messageStart" in next(iter(stream))
    assert watch.settled == []
    assert "metadata" in list(stream)[-1]
    assert watch.one.outcome.end == "completed"
    assert counts_of(watch) == billed(provider)


def test_a_stream_that_is_left_later_ends_there(watch: Any, client: Any) -> None:
    answer = client.converse_stream(modelId=NOVA, messages=MESSAGES)
    for event in answer["stream"]:
        if "contentBlockDelta" in event:
            break
    assert watch.one.outcome.end == "abandoned"


async def test_asynchronous_endings(watch: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(error_after=2), Scenario(cut_after=2), Scenario(), Scenario(delay_s=0.3))
    async with async_client(provider) as client:

        async def stream() -> Any:
            return (await client.converse_stream(modelId=NOVA, messages=MESSAGES))["stream"]

        with pytest.raises(EventStreamError):
            assert [event async for event in await stream()]
        with pytest.raises(ClientPayloadError):
            assert [event async for event in await stream()]
        (await stream()).close()
        slow = await stream()

        async def consume() -> list[Any]:
            return [event async for event in slow]

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0.45)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [made.outcome.end for made in watch.settled] == ["error", "error", "abandoned", "cancelled"]
    assert [made.cost.total for made in watch.settled] == [None] * 4


def test_a_request_that_is_sent_again_is_one_charge(watch: Any, provider: LocalProvider) -> None:
    client = client_of(provider, retries={"total_max_attempts": 3, "mode": "standard"})
    provider.expect(Scenario(fail=(429,)))
    converse(client)
    assert len(provider.ledger.requests) == 2
    assert counts_of(watch) == billed(provider)
    assert watch.one.outcome.retries == 1
    client.close()


def test_an_answer_that_comes_too_late_may_have_been_billed(watch: Any, provider: LocalProvider) -> None:
    client = client_of(provider, read_timeout=0.2)
    provider.expect(Scenario(hang_s=0.6))
    with pytest.raises(ReadTimeoutError):
        converse(client)
    assert (watch.one.cost.status, watch.one.cost.reason) == ("unpriced", "billing_unknown")
    client.close()


def test_a_refusal_says_its_name(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(fail=(429,)))
    with pytest.raises(ClientError):
        converse(client)
    assert watch.one.outcome.error_type == "ThrottlingException"
    assert watch.one.cost.status == "not_applicable"


HOSTILE: list[dict[str, Any]] = [
    {"inputTokens": -5, "outputTokens": 3},
    {"inputTokens": 10**30, "outputTokens": 3},
    {"inputTokens": 5, "outputTokens": 3, "totalTokens": 100},
    {"inputTokens": 5, "outputTokens": -1, "futureTokens": 9},
]


@pytest.mark.parametrize("said", HOSTILE)
def test_what_cannot_be_believed_is_said(
    watch: Any, client: Any, provider: LocalProvider, said: dict[str, Any]
) -> None:
    provider.expect(*[Scenario(hostile=said)] * 4)
    converse(client)
    list(client.converse_stream(modelId=NOVA, messages=MESSAGES)["stream"])
    if "totalTokens" not in said:  # neither headers nor metrics have it
        client.invoke_model(modelId=NOVA, body=json.dumps(BODIES[NOVA]))
        list(client.invoke_model_with_response_stream(modelId=NOVA, body=json.dumps(BODIES[NOVA]))["body"])
    gc.collect()
    assert len(watch.settled) in (2, 4)
    assert {made.outcome.end for made in watch.settled} == {"completed"}
    assert {made.cost.status for made in watch.settled} <= {"partial", "unpriced"}
    assert {made.cost.reason for made in watch.settled} <= {"incomplete_usage", "invalid_usage"}


# --- what is none of ours ---------------------------------------------------------------------


def test_what_is_free_passes_through(watch: Any, client: Any) -> None:
    if "CountTokens" in client.meta.service_model.operation_names:
        client.count_tokens(modelId=NOVA, input={"converse": {"messages": MESSAGES}})
    assert watch.settled == []
    assert watch.spans == []


def test_other_services_pass_through(watch: Any, provider: LocalProvider) -> None:
    other = client_of(provider, "bedrock")
    with pytest.raises(ClientError):
        other.list_foundation_models()
    assert len(provider.ledger.requests) == 1
    assert watch.settled == []
    other.close()


def test_a_stubbed_client_is_as_good_as_a_real_one(watch: Any, client: Any) -> None:
    body = StreamingBody(io.BytesIO(b"{}"), 2)
    with Stubber(client) as stub:
        stub.add_response("invoke_model", {"body": body, "contentType": "application/json"})
        answer = client.invoke_model(modelId=NOVA, body="{}")
        assert answer["body"] is body
        assert body.read() == b"{}"
    assert watch.one.cost.status == "unpriced"


def test_a_wrapper_that_was_there_first_stays_outside(watching: Any, client: Any, provider: LocalProvider) -> None:
    plain = vars(BaseClient)["_make_api_call"]
    watch: Any = None

    def theirs(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        tracer = watch.tracer_provider.get_tracer("opentelemetry.instrumentation.botocore.bedrock-runtime")
        with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
            return wrapped(*args, **kwargs)

    first = wrapt.FunctionWrapper(plain, theirs)
    BaseClient._make_api_call = first
    try:
        watch = watching()
        converse(client)
        assert vars(BaseClient)["_make_api_call"] is first
        # One span, theirs, with the charge on it.
        (span,) = watch.spans
        assert span.attributes["tokenomics.cost.status"] == "priced"
        assert not watch.one.own
        assert counts_of(watch) == billed(provider)
        watch.engine.uninstrument()
        assert first.__wrapped__ is plain
    finally:
        BaseClient._make_api_call = plain
