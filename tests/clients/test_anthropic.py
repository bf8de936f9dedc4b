"""The anthropic client: messages in every form, its own spans adopted or replaced, its platform subclasses."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import anthropic
import pytest
from opentelemetry import baggage, context

from otel_tokenomics.demo.provider import LocalProvider, Scenario

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
MODEL = "claude-sonnet-5-5"
ASK: dict[str, Any] = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "Hello there"}]}
NATIVE = tuple(int(part) for part in anthropic.__version__.split(".")[:2]) >= (1, 14)
needs_native = pytest.mark.skipif(not NATIVE, reason="this version makes no spans of its own")


def billed(provider: LocalProvider) -> int:
    usage = provider.ledger.billed[-1].usage
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(usage.get(name) or 0 for name in names)


@pytest.fixture
def client(provider: LocalProvider) -> Any:
    with anthropic.Anthropic(api_key="k", base_url=provider.base_url_anthropic) as made:
        yield made


@pytest.fixture
async def aclient(provider: LocalProvider) -> Any:
    async with anthropic.AsyncAnthropic(api_key="k", base_url=provider.base_url_anthropic) as made:
        yield made


def native_client(provider: LocalProvider, watch: Any) -> Any:
    return anthropic.Anthropic(
        api_key="k",
        base_url=provider.base_url_anthropic,
        open_telemetry={"tracer_provider": watch.tracer_provider},
    )


def test_a_plain_message(watch: Any, client: Any, provider: LocalProvider) -> None:
    message = client.messages.create(**ASK)
    assert type(message) is anthropic.types.Message
    assert watch.one.tokens == billed(provider)
    assert (watch.one.choice.name, watch.one.request.max_output) == ("anthropic", 64)


async def test_a_plain_message_async(watch: Any, aclient: Any, provider: LocalProvider) -> None:
    await aclient.messages.create(**ASK)
    assert watch.one.tokens == billed(provider)


def test_running_totals_of_a_stream_are_not_added(watch: Any, client: Any, provider: LocalProvider) -> None:
    stream = client.messages.create(**ASK, stream=True)
    assert type(stream) is anthropic.Stream
    kinds = [event.type for event in stream]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert watch.one.tokens == billed(provider)
    assert watch.one.outcome.end == "completed"


async def test_an_async_stream(watch: Any, aclient: Any, provider: LocalProvider) -> None:
    stream = await aclient.messages.create(**ASK, stream=True)
    assert len([event async for event in stream]) > 4
    assert watch.one.tokens == billed(provider)


def test_the_stream_helper(watch: Any, client: Any, provider: LocalProvider) -> None:
    with client.messages.stream(**ASK) as stream:
        assert stream.get_final_message().usage.output_tokens
    assert watch.one.tokens == billed(provider)


async def test_the_async_stream_helper(watch: Any, aclient: Any, provider: LocalProvider) -> None:
    async with aclient.messages.stream(**ASK) as stream:
        assert await stream.get_final_text()
    assert watch.one.tokens == billed(provider)


def test_a_stream_helper_that_is_left_early(watch: Any, client: Any) -> None:
    with client.messages.stream(**ASK) as stream:
        next(iter(stream))
    assert watch.one.outcome.end == "abandoned"
    assert watch.one.cost.status == "partial"
    assert stream is not None


def test_beta_messages(watch: Any, client: Any, provider: LocalProvider) -> None:
    client.beta.messages.create(**ASK)
    assert watch.one.tokens == billed(provider)


def test_raw_and_streaming_responses(watch: Any, client: Any, provider: LocalProvider) -> None:
    raw = client.messages.with_raw_response.create(**ASK)
    assert type(raw.parse()) is anthropic.types.Message
    with client.messages.with_streaming_response.create(**ASK) as streamed:
        assert type(streamed.parse()) is anthropic.types.Message
    assert [call.tokens for call in watch.settled] == [billed(provider)] * 2


def test_a_raw_stream(watch: Any, client: Any, provider: LocalProvider) -> None:
    raw = client.messages.with_raw_response.create(**ASK, stream=True)
    assert len(list(raw.parse())) > 4
    assert watch.one.tokens == billed(provider)


def test_what_costs_nothing_is_not_charged(watch: Any, client: Any) -> None:
    client.messages.count_tokens(model=MODEL, messages=ASK["messages"])
    client.messages.batches.create(requests=[])
    assert watch.settled == []
    assert watch.spans == []


def test_price_facts_of_the_request(watch: Any, client: Any) -> None:
    client.messages.create(**ASK, service_tier="standard_only", extra_body={"speed": "fast", "inference_geo": "us"})
    assert dict(watch.one.request.facts) == {"service_tier": "standard_only", "speed": "fast", "inference_geo": "us"}


def test_cache_and_tools_are_read(watch: Any, client: Any, provider: LocalProvider) -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 20,
        "cache_read_input_tokens": 300,
        "cache_creation_input_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
        "server_tool_use": {"web_search_requests": 2},
    }
    provider.expect(Scenario(usage=usage), Scenario(usage=usage))
    client.messages.create(**ASK)
    list(client.messages.create(**ASK, stream=True))
    for call in watch.settled:
        counts = dict(call.outcome.reading.usage.counts)
        assert counts["cache_write"] == 20
        assert counts["cache_write_1h"] == 30
        assert counts["web_search"] == 2
        assert counts["cache_read"] == 300


def test_an_error_event_in_the_stream(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(error_after=2))
    with pytest.raises(anthropic.APIStatusError):
        list(client.messages.create(**ASK, stream=True))
    assert watch.one.outcome.end == "error"


def test_vertex_is_told_by_its_class(watch: Any, provider: LocalProvider) -> None:
    with anthropic.AnthropicVertex(
        region="us-east5", project_id="p", access_token="t", base_url=f"http://{provider.host}/v1"
    ) as vertex:
        vertex.messages.create(**ASK)
    assert watch.one.request.provider == "gcp.vertex_ai"
    assert watch.one.request.facts["region"] == "us-east5"
    assert watch.one.tokens == billed(provider)


# --- spans that the library makes itself ---------------------------------------------------------


def only_native(watch: Any) -> Any:
    (span,) = watch.spans
    assert span.instrumentation_scope.name.startswith("com.anthropic.sdk.python")
    return span


@needs_native
@pytest.mark.parametrize("form", ["plain", "raw", "stream", "helper", "raw_stream"])
def test_a_native_span_is_adopted(watch: Any, provider: LocalProvider, form: str) -> None:
    client = native_client(provider, watch)
    if form == "plain":
        client.messages.create(**ASK)
    elif form == "raw":
        client.messages.with_raw_response.create(**ASK)
    elif form == "stream":
        list(client.messages.create(**ASK, stream=True))
    elif form == "raw_stream":
        list(client.messages.with_raw_response.create(**ASK, stream=True).parse())
    else:
        with client.messages.stream(**ASK) as stream:
            stream.get_final_message()
    assert watch.one.tokens == billed(provider)
    attributes = only_native(watch).attributes
    assert attributes["tokenomics.call.end"] == "completed"
    assert attributes["tokenomics.cost.total"] == pytest.approx(watch.one.cost.total / 1e12)
    assert attributes["gen_ai.usage.output_tokens"] == provider.ledger.billed[0].usage["output_tokens"]


@needs_native
async def test_a_native_span_is_adopted_async(watch: Any, provider: LocalProvider) -> None:
    async with anthropic.AsyncAnthropic(
        api_key="k", base_url=provider.base_url_anthropic, open_telemetry={"tracer_provider": watch.tracer_provider}
    ) as client:
        await client.messages.create(**ASK)
        stream = await client.messages.create(**ASK, stream=True)
        async for _ in stream:
            pass
    assert len(watch.settled) == 2
    assert [span.attributes["tokenomics.call.end"] for span in watch.spans] == ["completed", "completed"]


@needs_native
@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_native_span_of_an_abandoned_stream(watch: Any, provider: LocalProvider, how: str) -> None:
    stream = native_client(provider, watch).messages.create(**ASK, stream=True)
    next(stream)
    if how == "close":
        stream.close()
    del stream
    gc.collect()
    assert watch.one.outcome.end == "abandoned"
    assert only_native(watch).attributes["tokenomics.call.end"] == "abandoned"


@needs_native
def test_a_native_span_is_replaced(watching: Any, provider: LocalProvider) -> None:
    watch = watching(native_spans="replace")
    client = native_client(provider, watch)
    client.messages.create(**ASK)
    assert watch.one.own
    assert [span.instrumentation_scope.name for span in watch.spans] == ["otel_tokenomics"]
    watch.engine.uninstrument()
    client.messages.create(**ASK)
    assert [span.instrumentation_scope.name for span in watch.spans][1:] == ["com.anthropic.sdk.python"]


@needs_native
@pytest.mark.parametrize("form", ["plain", "raw", "read", "left", "never read"])
@pytest.mark.parametrize("native_spans", ["replace", "adopt"])
def test_no_client_is_kept_alive(watching: Any, provider: LocalProvider, form: str, native_spans: str) -> None:
    """What switches its spans on again at the end must not hold it until then."""
    watch = watching(native_spans=native_spans)
    client = native_client(provider, watch)
    if form == "plain":
        client.messages.create(**ASK)
    elif form == "raw":
        client.messages.with_raw_response.create(**ASK)
    else:
        stream = client.messages.create(**ASK, stream=True)
        if form != "never read":
            next(stream)
        if form == "read":
            list(stream)
        del stream
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None
    assert len(watch.settled) == 1


@needs_native
@pytest.mark.parametrize("native_spans", ["replace", "adopt"])
async def test_no_asynchronous_client_is_kept_alive(watching: Any, provider: LocalProvider, native_spans: str) -> None:
    watch = watching(native_spans=native_spans)
    client = anthropic.AsyncAnthropic(
        api_key="k", base_url=provider.base_url_anthropic, open_telemetry={"tracer_provider": watch.tracer_provider}
    )
    async with client:
        await client.messages.create(**ASK)
        [event async for event in await client.messages.create(**ASK, stream=True)]
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None
    assert len(watch.settled) == 2


def test_no_baggage_of_ours_reaches_the_provider(watch: Any, provider: LocalProvider) -> None:
    client = (
        native_client(provider, watch)
        if NATIVE
        else anthropic.Anthropic(api_key="k", base_url=provider.base_url_anthropic)
    )
    token = context.attach(baggage.set_baggage("tokenomics.customer", "acme"))
    try:
        client.messages.create(**ASK)
        client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])  # free, and no call of ours
    finally:
        context.detach(token)
    sent = [request.headers.get("baggage", "") for request in provider.ledger.requests]
    assert len(sent) == 2
    assert not any("tokenomics" in header for header in sent)


@pytest.mark.parametrize("path", ["/v1/sessions/s/events", "/v1/deployments/d/run", "/v1/dreams", "/v1/complete"])
def test_a_run_of_an_agent_is_unpriced(watch: Any, client: Any, provider: LocalProvider, path: str) -> None:
    provider.expect(Scenario(raw=(200, "application/json", '{"id": "run_1", "type": "run"}')))
    client.post(path, cast_to=object, body={"model": MODEL})
    assert watch.one.request.model == MODEL
    assert (watch.one.cost.status, watch.one.cost.total) == ("unpriced", None)


@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/messages/count_tokens", "/v1/dreams/d/cancel"])
def test_what_looks_after_agents_is_no_charge(watch: Any, client: Any, provider: LocalProvider, path: str) -> None:
    provider.expect(Scenario(raw=(200, "application/json", '{"id": "x"}')))
    client.post(path, cast_to=object, body={"model": MODEL})
    assert not watch.settled
