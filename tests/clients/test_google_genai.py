"""The google-genai client: rounds of automatic function calling, thoughts, and the address that says who bills."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from google import genai

from otel_tokenomics.demo.provider import LocalProvider, Scenario

# The client, not the test, owns its connections; of the first major, interactions warn that they are new.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:(Async i|I)nteractions (usage|client):UserWarning"),
]

MODEL = "gemini-2.5-flash"


@pytest.fixture
def client(provider: LocalProvider) -> Any:
    return genai.Client(api_key="k", http_options=genai.types.HttpOptions(base_url=provider.base_url("google-api")))


def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


def test_each_round_of_automatic_function_calling_is_billed(watch: Any, client: Any, provider: LocalProvider) -> None:
    call = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}
    asks = {"candidates": [{"content": {"role": "model", "parts": [call]}, "finishReason": "STOP", "index": 0}]}
    first = {"promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110}
    second = {"promptTokenCount": 200, "candidatesTokenCount": 20, "totalTokenCount": 220}
    provider.expect(Scenario(usage=first, response=asks), Scenario(usage=second))
    config = genai.types.GenerateContentConfig(tools=[weather])
    answer = client.models.generate_content(model=MODEL, contents="Weather in Oslo?", config=config)
    # The answer tells of its last round alone; the bill has both.
    assert answer.usage_metadata.total_token_count == 220
    assert [made.tokens for made in watch.settled] == [110, 220]
    assert len(watch.spans) == 2


def test_thoughts_are_output_on_top(watch: Any, client: Any, provider: LocalProvider) -> None:
    usage = {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 300, "totalTokenCount": 420}
    provider.expect(Scenario(usage=usage))
    client.models.generate_content(model=MODEL, contents="Hello")
    assert watch.spans[0].attributes["gen_ai.usage.output_tokens"] == 320


def test_counting_tokens_is_free(watch: Any, client: Any) -> None:
    client.models.count_tokens(model=MODEL, contents="Hello")
    assert watch.settled == []


def test_vertex_is_told_by_the_client(watch: Any, provider: LocalProvider) -> None:
    options = genai.types.HttpOptions(base_url=f"http://{provider.host}")
    made = genai.Client(vertexai=True, api_key="k", http_options=options)
    made.models.generate_content(model=MODEL, contents="Hello")
    assert watch.one.request.provider == "gcp.vertex_ai"
    assert watch.one.request.model == MODEL


def grounding(*queries: str, **chunk: Any) -> dict[str, Any]:
    return {"webSearchQueries": list(queries), "groundingChunks": [chunk] if chunk else []}


WEB = {"web": {"uri": "https://example.com", "title": "example.com"}}
GROUNDED: list[Any] = [
    # Gemini 2.5: 0.035 USD for a grounded prompt. Gemini 3: 0.014 for each query that is not empty, and none twice.
    ("gemini-2.5-flash", grounding("a", "b", **WEB), 1, 35 * 10**9),
    ("gemini-3-flash-preview", grounding("a", "", "b", "a", **WEB), 2, 28 * 10**9),
    ("gemini-3-flash-preview", grounding(), None, 0),
    ("gemini-2.5-flash", grounding(), None, 0),
]


@pytest.mark.parametrize(("model", "told", "searches", "fee"), GROUNDED)
@pytest.mark.parametrize("stream", [False, True])
def test_grounding_is_billed_by_prompt_or_by_query(
    watch: Any,
    client: Any,
    provider: LocalProvider,
    model: str,
    told: Any,
    searches: int | None,
    fee: int,
    stream: bool,
) -> None:
    content = {"role": "model", "parts": [{"text": "Done."}]}
    found = {"candidates": [{"content": content, "finishReason": "STOP", "index": 0, "groundingMetadata": told}]}
    usage = {"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120}
    provider.expect(Scenario(usage=usage, response=found), Scenario(usage=usage))
    for _ in range(2):
        asked: Any = {"model": model, "contents": "Hello"}
        list(client.models.generate_content_stream(**asked)) if stream else client.models.generate_content(**asked)
    grounded, plain = watch.settled
    assert grounded.outcome.reading.usage.counts.get("web_search") == searches
    assert grounded.cost.total - plain.cost.total == fee
    assert (grounded.cost.status, grounded.cost.reason) == ("priced", None)


def test_maps_have_no_unit_and_are_not_lost(watch: Any, client: Any, provider: LocalProvider) -> None:
    content = {"role": "model", "parts": [{"text": "Done."}]}
    told = grounding(maps={"uri": "https://maps.example.com", "title": "A place"})
    found = {"candidates": [{"content": content, "finishReason": "STOP", "index": 0, "groundingMetadata": told}]}
    provider.expect(Scenario(response=found))
    client.models.generate_content(model=MODEL, contents="Hello")
    assert (watch.one.cost.status, watch.one.cost.reason) == ("partial", "missing_rate")
    assert watch.one.cost.total > 0


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("made", ["edited", "upscaled", "worn", "cut out", "filmed"])
def test_pictures_and_films_are_told_by_name(watch: Any, provider: LocalProvider, made: str) -> None:
    options = genai.types.HttpOptions(base_url=f"http://{provider.host}")
    client: Any = genai.Client(vertexai=True, api_key="k", http_options=options)
    picture = genai.types.Image(image_bytes=b"a", mime_type="image/png")
    raw = genai.types.RawReferenceImage(reference_id=1, reference_image=picture)
    answer = '{"name": "operations/1"}' if made == "filmed" else '{"predictions": []}'
    provider.expect(Scenario(raw=(200, "application/json", answer)))
    if made == "filmed":
        client.models.generate_videos(
            model="veo-3.0-generate-001", prompt="a", config={"duration_seconds": 8, "number_of_videos": 2}
        )
    elif made == "edited":
        client.models.edit_image(model="imagen-3.0-capability-001", prompt="a", reference_images=[raw])
    elif made == "worn":
        source = {"person_image": picture, "product_images": [{"product_image": picture}]}
        client.models.recontext_image(model="virtual-try-on-preview-08-04", source=source)
    elif made == "cut out":
        client.models.segment_image(model="image-segmentation-001", source={"image": picture})
    else:
        client.models.upscale_image(model="imagen-4.0-upscale-preview", image=picture, upscale_factor="x2")
    one = watch.one
    assert one.operation.output_type == ("video" if made == "filmed" else "image")
    assert one.request.units == ({"video_out_second": 16} if made == "filmed" else {"image": 1})
    # The book has no row for them, or none any more: a span, no amount.
    assert (one.cost.status, one.cost.reason) == ("unpriced", "unknown_model")
    assert len(watch.spans) == 1


# --- interactions -----------------------------------------------------------------------------

NEW = "gemini-3-flash-preview"
FIRST = genai.__version__.startswith("1.")
first_major = pytest.mark.skipif(not FIRST, reason="the later majors have another client for interactions")


@pytest.fixture
def interactions(client: Any) -> Any:
    return client.interactions


@pytest.mark.parametrize("stream", [False, True])
def test_an_interaction_is_charged(watch: Any, interactions: Any, provider: LocalProvider, stream: bool) -> None:
    usage = {"total_input_tokens": 100, "total_output_tokens": 20, "total_thought_tokens": 5, "total_tokens": 125,
             "grounding_tool_count": [{"type": "google_search", "count": 2}]}  # fmt: skip
    provider.expect(Scenario(usage=usage))
    answer = interactions.create(model=NEW, input="Hello", generation_config={"max_output_tokens": 9}, stream=stream)
    if stream:
        assert [event.event_type for event in answer][-1] == "interaction.completed"
    assert watch.one.outcome.reading.usage.counts == {"input": 100, "output": 20, "reasoning": 5, "web_search": 2}
    assert (watch.one.cost.status, watch.one.outcome.end) == ("priced", "completed")
    assert (watch.one.request.model, watch.one.request.max_output) == (NEW, 9)
    (span,) = watch.spans
    assert span.attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert span.attributes["gen_ai.response.id"] == provider.ledger.billed[0].response_id


@pytest.mark.usefixtures("interactions")
@pytest.mark.parametrize("stream", [False, True])
async def test_an_asynchronous_interaction_is_charged(
    watch: Any, client: Any, provider: LocalProvider, stream: bool
) -> None:
    answer = await client.aio.interactions.create(model=NEW, input="Hello", stream=stream)
    if stream:
        assert len([event async for event in answer]) == 5
    assert watch.one.tokens == provider.ledger.billed[0].usage["total_tokens"]
    assert (watch.one.cost.status, watch.one.outcome.end) == ("priced", "completed")
    await client.aio.aclose()


def test_an_interaction_that_is_left_is_abandoned(watch: Any, interactions: Any) -> None:
    stream = interactions.create(model=NEW, input="Hello", stream=True)
    next(iter(stream))
    stream.close()
    del stream
    assert (watch.one.outcome.end, watch.one.cost.reason) == ("abandoned", "no_usage")


@pytest.mark.skipif(FIRST, reason="the first major does not continue by itself")
def test_each_continuation_is_charged(watch: Any, interactions: Any, provider: LocalProvider) -> None:
    first = {"total_input_tokens": 100, "total_output_tokens": 10, "total_tokens": 110}
    second = {"total_input_tokens": 110, "total_output_tokens": 20, "total_tokens": 130}
    more = {"status": "requires_continuation", "continuation_token": "t"}
    provider.expect(Scenario(usage=first, response=more), Scenario(usage=second))
    answer = interactions.create(model=NEW, input="Hello")
    assert [made.tokens for made in watch.settled] == [110, 130]
    assert len(watch.spans) == len(provider.ledger.billed) == 2
    assert answer.status == "completed"


def test_an_interaction_in_the_background_is_charged_when_it_is_fetched(
    watch: Any, interactions: Any, provider: LocalProvider
) -> None:
    made = interactions.create(model=NEW, input="Hello", background=True)
    assert (watch.one.cost.status, watch.one.cost.reason) == ("unpriced", "pending")
    for _ in range(2):
        interactions.get(made.id)
    _, bill = watch.settled
    assert bill.tokens == provider.ledger.billed[0].usage["total_tokens"]
    assert bill.cost.status == "priced"


#: The events of the first major: https://ai.google.dev/api/interactions-api, before its steps.
EVENTS = """event: interaction.start
data: {"event_type": "interaction.start", "interaction": {"id": "v1_1", "model": "gemini-3-flash-preview", \
"status": "in_progress", "created": "2026-11-18T10:00:00Z", "updated": "2026-11-18T10:00:00Z"}}

event: content.delta
data: {"event_type": "content.delta", "index": 0, "delta": {"type": "text", "text": "word "}}

event: interaction.complete
data: {"event_type": "interaction.complete", "interaction": {"id": "v1_1", "model": "gemini-3-flash-preview", \
"status": "completed", "created": "2026-11-18T10:00:00Z", "updated": "2026-11-18T10:00:02Z", \
"usage": {"total_input_tokens": 100, "total_output_tokens": 20, "total_tokens": 120}}}

"""


@first_major
def test_the_first_major_s_events_are_read(watch: Any, interactions: Any, provider: LocalProvider) -> None:
    provider.expect(Scenario(raw=(200, "text/event-stream", EVENTS)))
    events = list(interactions.create(model=NEW, input="Hello", stream=True))
    assert [type(event).__name__ for event in events] == [
        "InteractionStartEvent", "ContentDelta", "InteractionCompleteEvent",
    ]  # fmt: skip
    assert watch.one.outcome.reading.usage.counts == {"input": 100, "output": 20}
    assert watch.one.outcome.reading.response_id == "v1_1"
    assert (watch.one.outcome.end, watch.one.cost.status) == ("completed", "priced")


@first_major
@pytest.mark.parametrize("read", ["raw", "parsed", "streamed"])
def test_a_raw_interaction_is_charged(watch: Any, interactions: Any, provider: LocalProvider, read: str) -> None:
    if read == "streamed":
        with interactions.with_streaming_response.create(model=NEW, input="Hello") as raw:
            raw.parse()
    else:
        raw = interactions.with_raw_response.create(model=NEW, input="Hello")
        if read == "parsed":
            assert raw.parse().status == "completed"
    assert watch.one.tokens == provider.ledger.billed[0].usage["total_tokens"]
    assert watch.one.cost.status == "priced"


@first_major
def test_what_is_no_interaction_passes_untouched(watch: Any, interactions: Any, provider: LocalProvider) -> None:
    made = interactions.create(model=NEW, input="Hello")
    for call in (interactions.cancel, interactions.delete, interactions.get):
        with contextlib.suppress(Exception):  # the local provider knows none of them
            call(made.id)
    assert len(watch.settled) == 1
