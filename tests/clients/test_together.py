"""The together client: what is its own beside the forms of ``tests/conformance``."""

from __future__ import annotations

from typing import Any

import pytest
import together

from otel_tokenomics.demo.provider import LocalProvider

# The client, not the test, owns its connections.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

SECOND_MAJOR = together.__version__.startswith("2.")


def client(provider: LocalProvider) -> together.Together:
    return together.Together(
        api_key="k", base_url=provider.base_url("together-api/v1" if SECOND_MAJOR else "together-api")
    )


def test_a_rerank_is_billed_by_its_tokens(watch: Any, provider: LocalProvider) -> None:
    client(provider).rerank.create(model="Salesforce/Llama-Rank-v1", query="q", documents=["one", "two"])
    assert (watch.one.operation.name, watch.one.tokens) == ("rerank", provider.ledger.billed[0].usage["total_tokens"])


def test_embeddings(watch: Any, provider: LocalProvider) -> None:
    client(provider).embeddings.create(model="BAAI/bge-base-en-v1.5", input="Hello")
    assert (watch.one.operation.name, watch.one.tokens) == (
        "embeddings",
        provider.ledger.billed[0].usage["total_tokens"],
    )
