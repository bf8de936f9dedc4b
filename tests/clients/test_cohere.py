"""The cohere client: what is its own beside the forms of ``tests/conformance``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cohere
import pytest

from otel_tokenomics.demo.provider import LocalProvider

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
