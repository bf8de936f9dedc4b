"""The google-genai client: rounds of automatic function calling, thoughts, and the address that says who bills."""

from __future__ import annotations

from typing import Any

import pytest
from google import genai

from otel_tokenomics.demo.provider import LocalProvider, Scenario

# The client, not the test, owns its connections.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

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
