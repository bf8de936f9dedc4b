"""The cohere client: what is its own beside the forms of ``tests/conformance``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import cohere
import pytest

from otel_tokenomics.demo.provider import LocalProvider, Scenario

MESSAGES: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def client(provider: LocalProvider) -> Iterator[Any]:
    with cohere.ClientV2(api_key="k", base_url=provider.base_url("cohere-api")) as made:
        yield made


def test_what_is_billed_counts_not_what_was_processed(watch: Any, client: Any, provider: LocalProvider) -> None:
    answer = client.chat(model="command-a-03-2025", messages=MESSAGES)
    assert answer.usage.tokens.input_tokens == 500
    assert watch.one.tokens == sum(provider.ledger.billed[0].usage.values()) < 500


def test_a_rerank_is_billed_by_the_search(watch: Any, client: Any) -> None:
    client.rerank(model="rerank-v3.5", query="q", documents=["one"])
    assert (watch.one.operation.name, dict(watch.one.outcome.reading.usage.counts)) == ("rerank", {"search_unit": 1})
    # $2 per thousand searches
    assert watch.one.cost.total == 2_000_000_000


def test_embeddings(watch: Any, client: Any, provider: LocalProvider) -> None:
    client.embed(model="embed-v4.0", texts=["one"], input_type="search_query", embedding_types=["float"])
    assert (watch.one.operation.name, watch.one.tokens) == (
        "embeddings",
        provider.ledger.billed[0].usage["input_tokens"],
    )


META = {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 4.0, "output_tokens": 9.0}}


def answers(provider: LocalProvider, **fields: Any) -> None:
    """Answer by the shape of Cohere's API reference (``POST /v1/generate``, ``/v1/classify``, ``/v2/parse``)."""
    provider.expect(Scenario(raw=(200, "application/json", json.dumps({"id": "c-1", **fields}))))


@pytest.mark.parametrize("name", ["generate", "summarize"])
def test_what_the_first_version_made_of_text_is_charged(watch: Any, provider: LocalProvider, name: str) -> None:
    answers(provider, meta=META, generations=[{"id": "g", "text": "Done."}], prompt="Hello", summary="Done.")
    with cohere.Client(api_key="k", base_url=provider.base_url("cohere-api")) as old:
        if not hasattr(old, name):
            pytest.skip(f"this cohere has no {name}")
        getattr(old, name)(**({"prompt": "Hello"} if name == "generate" else {"text": "Hello"}))
    assert watch.one.operation.name == "text_completion"
    assert dict(watch.one.outcome.reading.usage.counts) == {"input": 4, "output": 9}


def test_a_classification_has_no_unit_and_is_unpriced(watch: Any, provider: LocalProvider) -> None:
    answers(provider, classifications=[], meta={**META, "billed_units": {"classifications": 1.0}})
    with cohere.Client(api_key="k", base_url=provider.base_url("cohere-api")) as old:
        old.classify(inputs=["Hello"])
    assert (watch.one.cost.status, watch.one.cost.total) == ("unpriced", None)


def test_a_transcript_is_unpriced(watch: Any, client: Any, provider: LocalProvider) -> None:
    if not hasattr(client, "audio"):
        pytest.skip("this cohere has no audio")
    answers(provider, text="Done.")
    client.audio.transcriptions.create(model="cohere-transcribe", language="en", file=b"\x00")
    assert (watch.one.operation.api, watch.one.cost.status) == ("transcription", "unpriced")


def test_a_document_is_counted_by_the_page(watch: Any, client: Any, provider: LocalProvider) -> None:
    if not hasattr(client, "parse"):
        pytest.skip("this cohere has no parse")
    answers(provider, meta={**META, "billed_units": {"pages": 3.0}}, pages=[])
    client.parse(model="parse-v1", document={"type": "url", "url": "https://example.com/a.pdf"})
    assert dict(watch.one.outcome.reading.usage.counts) == {"page": 3}
