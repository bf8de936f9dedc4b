"""The openai client: every billed and free route, every way to get an answer; one settlement each."""

from __future__ import annotations

import contextlib
import gc
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import use_span

from otel_tokenomics import tags
from otel_tokenomics.attributes import names
from otel_tokenomics.demo.provider import LocalProvider, Scenario

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
MESSAGES: Any = [{"role": "user", "content": "How do I reset my password?"}]
MODEL = "gpt-5.4"
BILLED: list[tuple[str, str, str, dict[str, Any]]] = [
    ("chat.completions", "chat", "chat", {"messages": MESSAGES}),
    ("completions", "text_completion", "completions", {"prompt": "Say it."}),
    ("responses", "chat", "responses", {"input": "Say it."}),
    ("embeddings", "embeddings", "embeddings", {"input": ["one", "two"]}),
    ("images.generate", "generate_content", "images", {"prompt": "a cat", "n": 2}),
    ("images.edit", "generate_content", "images", {"prompt": "a cat", "image": b"png"}),
    ("images.create_variation", "generate_content", "images", {"image": b"png"}),
    ("audio.transcriptions", "generate_content", "transcription", {"file": ("a.mp3", b"mp3")}),
    ("audio.translations", "generate_content", "transcription", {"file": ("a.mp3", b"mp3")}),
    ("audio.speech", "generate_content", "speech", {"input": "Hello there", "voice": "alloy"}),
]


def method(client: Any, path: str) -> Any:
    for part in path.split("."):
        client = getattr(client, part)
    return client if callable(client) else client.create


@pytest.fixture
def client(provider: LocalProvider) -> Any:
    with openai.OpenAI(api_key="k", base_url=provider.base_url_openai, max_retries=2) as made:
        yield made


@pytest.fixture
async def aclient(provider: LocalProvider) -> Any:
    async with openai.AsyncOpenAI(api_key="k", base_url=provider.base_url_openai, max_retries=2) as made:
        yield made


@pytest.mark.parametrize(("path", "operation", "api", "arguments"), BILLED, ids=[row[0] for row in BILLED])
def test_each_billed_route_is_settled_once(
    watch: Any, client: Any, path: str, operation: str, api: str, arguments: dict[str, Any]
) -> None:
    method(client, path)(model=MODEL, **arguments)
    call = watch.one
    assert (call.operation.name, call.operation.api, call.request.model) == (operation, api, MODEL)
    assert call.outcome.end == "completed"
    assert call.choice.name == "openai"
    assert [span.name for span in watch.spans] == [f"{operation} {MODEL}"]


@pytest.mark.parametrize(("path", "operation", "api", "arguments"), BILLED, ids=[row[0] for row in BILLED])
async def test_each_billed_route_is_settled_once_async(
    watch: Any, aclient: Any, path: str, operation: str, api: str, arguments: dict[str, Any]
) -> None:
    await method(aclient, path)(model=MODEL, **arguments)
    assert (watch.one.operation.name, watch.one.operation.api) == (operation, api)


@pytest.mark.parametrize("path", ["/responses/compact", "/decisions"])
def test_routes_that_newer_majors_alone_have_a_method_for(watch: Any, client: Any, path: str) -> None:
    client.post(path, cast_to=object, body={"model": MODEL, "input": "Say it."})
    assert watch.one.operation.api == "responses"
    assert watch.one.tokens > 0


def test_what_only_the_request_knows_is_counted(watch: Any, client: Any) -> None:
    client.audio.speech.create(model="tts-1", input="Hello there", voice="alloy")
    client.images.generate(model="dall-e-3", prompt="a cat", n=2)
    speech, images = watch.settled
    assert speech.request.units == {"character": 11}
    assert images.request.units == {"image": 2}


@pytest.mark.parametrize("path", ["/videos", "/videos/edits", "/videos/extensions", "/videos/video_1/remix"])
def test_videos_are_billed_by_the_second(watch: Any, client: Any, path: str) -> None:
    with pytest.raises(openai.NotFoundError):  # the local provider makes none
        client.post(path, cast_to=object, body={"model": "sora-2", "prompt": "a cat", "seconds": "8"})
    assert watch.one.operation.output_type == "video"
    assert watch.one.request.units == {"video_out_second": 8}
    assert (watch.one.outcome.end, watch.one.cost.reason) == ("error", "call_failed")


def test_free_routes_make_no_span_and_no_count(watch: Any, client: Any, provider: LocalProvider) -> None:
    client.moderations.create(input="hello")
    client.post("/responses/input_tokens", cast_to=object, body={"input": "x"})
    client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    client.batches.create(input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h")
    for request in (
        lambda: client.chat.completions.update("id", metadata={}),
        lambda: client.responses.cancel("id"),
        lambda: client.responses.retrieve("id"),
    ):
        with pytest.raises(openai.NotFoundError):
            request()
    assert watch.settled == []
    assert watch.spans == []


def test_a_plain_call_returns_the_clients_own_object(watch: Any, client: Any) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert type(answer) is ChatCompletion
    assert watch.one.outcome.reading.usage.counts["output"] == answer.usage.completion_tokens


def test_usage_that_is_changed_later_was_copied(watch: Any, client: Any) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    counted = watch.one.tokens
    answer.usage.completion_tokens = 10**6
    assert watch.one.tokens == counted


def test_a_stream_is_asked_for_usage_and_the_extra_chunk_is_hidden(
    watching: Any, client: Any, provider: LocalProvider
) -> None:
    bare = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    watch = watching()
    stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert type(stream) is openai.Stream
    seen = list(stream)
    assert all(type(chunk) is ChatCompletionChunk for chunk in seen)
    ids = {chunk.id for chunk in (*bare, *seen)}
    assert len(ids) == 2
    assert [chunk.to_dict() | {"id": ""} for chunk in seen] == [chunk.to_dict() | {"id": ""} for chunk in bare]
    assert watch.one.tokens == provider.ledger.billed[-1].usage["total_tokens"]
    assert watch.one.outcome.end == "completed"
    assert watch.one.outcome.first_chunk_s is not None


async def test_an_async_stream_is_asked_for_usage(watch: Any, aclient: Any, provider: LocalProvider) -> None:
    stream = await aclient.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert type(stream) is openai.AsyncStream
    assert len([chunk async for chunk in stream]) == 3
    assert watch.one.tokens == provider.ledger.billed[-1].usage["total_tokens"]


def test_a_caller_who_asked_sees_the_usage_chunk(watch: Any, client: Any) -> None:
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, stream_options=options))
    assert len(chunks) == 4
    assert chunks[-1].usage.total_tokens == watch.one.tokens
    assert options == {"include_usage": True}


def test_a_caller_who_refused_is_respected(watch: Any, client: Any) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": False}
        )
    )
    assert len(chunks) == 3
    assert watch.one.tokens == 0
    assert (watch.one.cost.status, watch.one.cost.reason) == ("unpriced", "no_usage")


def test_extra_body_decides_too(watch: Any, client: Any) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, extra_body={"stream_options": {"include_usage": True}}
        )
    )
    assert len(chunks) == 4


def test_stream_usage_can_be_switched_off(watching: Any, client: Any) -> None:
    watch = watching(stream_usage="never")
    assert len(list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))) == 3
    assert watch.one.tokens == 0


def test_an_unknown_host_is_not_asked(watching: Any, client: Any) -> None:
    watch = watching(endpoints=())
    assert len(list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))) == 3
    assert watch.one.tokens == 0


@pytest.mark.parametrize("settings", [{}, {"stream_usage": "always", "endpoints": ()}], ids=["known", "always"])
def test_a_host_that_refuses_the_option_is_asked_once(
    watching: Any, client: Any, provider: LocalProvider, settings: dict[str, Any]
) -> None:
    watch = watching(**settings)
    provider.expect(Scenario(refuse="stream_options"), Scenario(), Scenario(refuse="stream_options"))
    for _ in range(2):
        assert len(list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))) == 3
    assert len(provider.ledger.requests) == 3
    assert [call.outcome.end for call in watch.settled] == ["completed", "completed"]


async def test_a_host_that_refuses_the_option_is_asked_once_async(
    watch: Any, aclient: Any, provider: LocalProvider
) -> None:
    provider.expect(Scenario(refuse="stream_options"), Scenario(), Scenario(refuse="stream_options"))
    for _ in range(2):
        stream = await aclient.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        assert len([chunk async for chunk in stream]) == 3
    assert len(provider.ledger.requests) == 3
    assert len(watch.settled) == 2


def test_the_legacy_completions_stream(watch: Any, client: Any) -> None:
    assert len(list(client.completions.create(model=MODEL, prompt="x", stream=True))) == 3
    assert watch.one.tokens > 0


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_every_terminal_event_of_a_responses_stream_is_read(
    watch: Any, client: Any, provider: LocalProvider, status: str
) -> None:
    provider.expect(Scenario(status=status))
    events = list(client.responses.create(model=MODEL, input="x", stream=True))
    assert events[-1].type == f"response.{status}"
    assert watch.one.tokens == provider.ledger.billed[-1].usage["total_tokens"]


def test_the_stream_helper(watch: Any, client: Any, provider: LocalProvider) -> None:
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        assert stream.get_final_completion().choices[0].message.content
    assert [call.tokens for call in watch.settled] == [line.usage["total_tokens"] for line in provider.ledger.billed]


def test_a_stream_helper_that_is_left_early_is_abandoned_at_once(watch: Any, client: Any) -> None:
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        next(iter(stream))
    assert watch.one.outcome.end == "abandoned"
    assert stream is not None


async def test_the_async_stream_helper(watch: Any, aclient: Any) -> None:
    async with aclient.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        async for _ in stream:
            break
    assert watch.one.outcome.end == "abandoned"


def test_parse_is_one_call(watch: Any, client: Any, provider: LocalProvider) -> None:
    client.chat.completions.parse(model=MODEL, messages=MESSAGES)
    client.responses.parse(model=MODEL, input="x")
    assert [call.tokens for call in watch.settled] == [line.usage["total_tokens"] for line in provider.ledger.billed]


def test_a_raw_response_is_read_without_the_callers_parse(watch: Any, client: Any, provider: LocalProvider) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
    assert watch.one.tokens == provider.ledger.billed[0].usage["total_tokens"]
    assert type(raw.parse()) is ChatCompletion
    assert watch.one.outcome.end == "completed"


def test_a_raw_stream(watch: Any, client: Any, provider: LocalProvider) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES, stream=True)
    assert watch.settled == []
    assert len(list(raw.parse())) == 3
    assert watch.one.tokens == provider.ledger.billed[0].usage["total_tokens"]


def test_a_raw_method_kept_from_before(watching: Any, client: Any) -> None:
    kept = client.chat.completions.with_raw_response.create
    watch = watching()
    kept(model=MODEL, messages=MESSAGES)
    assert watch.one.tokens > 0


@pytest.mark.parametrize("how", ["parse", "read", "json", "iter_bytes", "iter_lines"])
def test_a_streaming_response_settles_however_its_body_is_read(
    watch: Any, client: Any, provider: LocalProvider, how: str
) -> None:
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES) as raw:
        assert watch.settled == []
        result = getattr(raw, how)()
        if how.startswith("iter"):
            list(result)
    assert watch.one.outcome.end == "completed"
    billed = provider.ledger.billed[0].usage["total_tokens"]
    assert watch.one.tokens == (0 if how.startswith("iter") else billed)


def test_a_streaming_response_that_nobody_reads_is_abandoned(watch: Any, client: Any) -> None:
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES):
        pass
    assert watch.one.outcome.end == "abandoned"


def test_raw_lines_of_a_stream_are_what_the_caller_asked_for(watch: Any, client: Any) -> None:
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES, stream=True) as raw:
        lines = [line for line in raw.iter_lines() if line]
    assert len(lines) == 4  # three chunks and the end mark: no usage chunk was asked for behind his back
    assert watch.one.outcome.end == "completed"


async def test_async_raw_and_streaming_responses(watch: Any, aclient: Any, provider: LocalProvider) -> None:
    raw = await aclient.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
    assert type(raw.parse()) is ChatCompletion
    async with aclient.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES) as streamed:
        await streamed.parse()
    async with aclient.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES) as streamed:
        await streamed.read()
    assert [call.tokens for call in watch.settled] == [line.usage["total_tokens"] for line in provider.ledger.billed]


def test_azure_is_told_by_its_class_and_its_host(watch: Any, provider: LocalProvider) -> None:
    with openai.AzureOpenAI(
        api_key="k", api_version="2024-10-21", base_url=f"http://{provider.host}/openai/deployments/mine"
    ) as azure:
        azure.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert watch.one.request.provider == "azure.ai.openai"
    assert watch.one.request.path == "/openai/deployments/mine"
    assert watch.one.tokens > 0


def test_retries_are_one_call(watch: Any, client: Any, provider: LocalProvider, monkeypatch: Any) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    provider.expect(Scenario(fail=(429, 500)))
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert len(provider.ledger.requests) == 3
    assert watch.one.outcome.retries == 2


def test_a_background_response_is_charged_once_when_its_end_is_fetched(
    watch: Any, client: Any, provider: LocalProvider
) -> None:
    queued = client.responses.create(model=MODEL, input="x", background=True)
    assert queued.status == "queued"
    assert (watch.one.cost.status, watch.one.cost.reason) == ("unpriced", "pending")
    for _ in range(2):
        client.responses.retrieve(queued.id)
    _, fetched = watch.settled
    assert fetched.operation.name == "fetch_response"
    assert fetched.tokens == provider.ledger.billed[0].usage["total_tokens"]
    assert len(watch.spans) == 2
    assert not [key for key in watch.spans[1].attributes if key.startswith("gen_ai.usage.")]
    assert watch.spans[1].attributes["tokenomics.cost.total"] > 0


def test_several_choices_and_tool_calls(watch: Any, client: Any, provider: LocalProvider) -> None:
    client.chat.completions.create(model=MODEL, messages=MESSAGES, n=3)
    assert watch.one.tokens == provider.ledger.billed[0].usage["total_tokens"]
    assert watch.one.request.parameters["choice_count"] == 3


@pytest.mark.parametrize("report", ["none", "null"])
def test_usage_that_never_comes_is_marked(watch: Any, client: Any, provider: LocalProvider, report: str) -> None:
    provider.expect(Scenario(report=report), Scenario(report=report))
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert [(call.cost.status, call.cost.reason) for call in watch.settled] == [("unpriced", "no_usage")] * 2


def test_an_empty_stream_is_completed(watch: Any, client: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(report="none", chunks=0))
    assert list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)) == []
    assert watch.one.outcome.end == "completed"


@pytest.mark.parametrize("suppressed", [True, False])
def test_a_stream_whose_neighbours_span_ended_before_it_began(watch: Any, client: Any, suppressed: bool) -> None:
    """logfire's does: what the stream says is then on a span of ours below it, and on that alone."""
    tracer = watch.tracer_provider.get_tracer("logfire.openai")
    asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    with tracer.start_as_current_span("theirs", attributes={names.GEN_AI_OPERATION_NAME: "chat"}):
        if suppressed:
            with suppress_instrumentation():
                stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, **asked)
        else:
            stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, **asked)
    assert len(list(stream)) > 1
    assert watch.one.cost.total
    theirs, ours = watch.spans
    assert ours.parent.span_id == theirs.context.span_id
    assert ours.attributes[names.TOKENOMICS_COST_TOTAL] > 0
    assert names.TOKENOMICS_COST_TOTAL not in theirs.attributes


def test_a_stream_dropped_after_its_neighbours_span_ended_has_a_span_below_it(watch: Any, client: Any) -> None:
    tracer = watch.tracer_provider.get_tracer("logfire.openai")
    with tracer.start_as_current_span("theirs", attributes={names.GEN_AI_OPERATION_NAME: "chat"}):
        stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    stream.close()
    assert watch.one.outcome.end == "abandoned"
    theirs, ours = watch.spans
    assert (theirs.name, ours.parent) == ("theirs", theirs.context)
    assert (ours.attributes[names.TOKENOMICS_CALL_END], watch.one.cost.total) == ("abandoned", None)


@pytest.mark.parametrize("above", [True, False], ids=["below a span", "alone"])
def test_a_neighbours_span_that_is_dropped_unended_leaves_the_charge_on_one_of_ours(
    watch: Any, client: Any, provider: LocalProvider, above: bool
) -> None:
    """OpenLLMetry's of a cancelled call is never ended, botocore's of an unread stream: nobody would get the charge."""
    tracer = watch.tracer_provider.get_tracer("opentelemetry.instrumentation.botocore")
    with (
        tracer.start_as_current_span("application") if above else contextlib.nullcontext() as root,
        tags(team="search"),
    ):
        theirs = tracer.start_span("theirs", attributes={names.GEN_AI_OPERATION_NAME: "chat"})
        with use_span(theirs, end_on_exit=False):
            client.chat.completions.create(model=MODEL, messages=MESSAGES)
        assert [span for span in watch.spans if span.name != "application"] == []
        del theirs
        gc.collect()
        (ours,) = watch.spans
    cost = watch.one.cost
    assert ours.attributes[names.TOKENOMICS_COST_TOTAL] == pytest.approx(cost.total / 10**12)
    assert ours.attributes[f"{names.TOKENOMICS_TAG_PREFIX}team"] == "search"
    assert (ours.parent and ours.parent.span_id) == (root and root.get_span_context().span_id)
    if root is not None:  # counted once above
        assert root.attributes[names.TOKENOMICS_SUBTREE_COST_TOTAL] == pytest.approx(cost.total / 10**12)


def test_a_neighbours_span_that_is_ended_late_keeps_the_charge_alone(watch: Any, client: Any) -> None:
    tracer = watch.tracer_provider.get_tracer("opentelemetry.instrumentation.botocore")
    theirs = tracer.start_span("theirs", attributes={names.GEN_AI_OPERATION_NAME: "chat"})
    with use_span(theirs, end_on_exit=False):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    theirs.end()
    del theirs
    gc.collect()
    (span,) = watch.spans
    assert span.name == "theirs"
    assert span.attributes[names.TOKENOMICS_COST_TOTAL] > 0


@pytest.mark.parametrize(
    "path",
    [
        "/threads/t/runs",
        "/threads/runs",
        "/evals/e/runs",
        "/agents/sessions/s/events",
        "/fine_tuning/alpha/graders/run",
    ],
)
def test_a_run_that_reports_no_usage_is_unpriced_by_its_model(
    watch: Any, client: Any, provider: LocalProvider, path: str
) -> None:
    """The answer that begins a run bears a null usage, or none (API reference, object ``thread.run``)."""
    run = '{"id": "run_1", "object": "thread.run", "status": "queued", "model": "gpt-4o", "usage": null}'
    provider.expect(Scenario(raw=(200, "application/json", run)))
    client.post(path, cast_to=object, body={"assistant_id": "asst_1"})
    assert (watch.one.outcome.reading.response_model, watch.one.outcome.reading.response_id) == ("gpt-4o", "run_1")
    assert (watch.one.cost.status, watch.one.cost.total) == ("unpriced", None)


@pytest.mark.parametrize("path", ["/threads/t/runs/r/cancel", "/threads", "/evals", "/evals/e/runs/r/cancel"])
def test_what_looks_after_runs_is_no_charge(watch: Any, client: Any, provider: LocalProvider, path: str) -> None:
    provider.expect(Scenario(raw=(200, "application/json", '{"id": "x", "model": "gpt-4o"}')))
    client.post(path, cast_to=object, body={})
    assert not watch.settled
