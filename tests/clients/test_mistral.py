"""The mistralai client: what is its own beside the forms of ``tests/conformance``."""

from __future__ import annotations

from typing import Any

import pytest

from otel_tokenomics.demo.provider import LocalProvider, Scenario

try:
    from mistralai.client import Mistral
except ImportError:  # the first major
    from mistralai import Mistral

# The client, not the test, owns its connections.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def client(provider: LocalProvider) -> Any:
    return Mistral(api_key="k", server_url=provider.base_url("mistral-api"))


def test_the_stream_is_the_clients_own_object(watch: Any, provider: LocalProvider) -> None:
    stream = client(provider).chat.stream(model="mistral-large-latest", messages=MESSAGES)
    assert type(stream).__name__ == "EventStream"
    with stream:
        assert len(list(stream)) == 3
    assert watch.one.tokens == provider.ledger.billed[0].usage["total_tokens"]


def test_a_stream_that_is_left_by_its_block_ends_at_once(watch: Any, provider: LocalProvider) -> None:
    with client(provider).chat.stream(model="mistral-large-latest", messages=MESSAGES) as stream:
        next(iter(stream))
    assert watch.one.outcome.end == "abandoned"


def test_cached_tokens_are_read(watch: Any, provider: LocalProvider) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "total_tokens": 105,
        "prompt_tokens_details": {"cached_tokens": 64},
    }
    provider.expect(Scenario(usage=usage))
    client(provider).chat.complete(model="mistral-large-latest", messages=MESSAGES)
    assert dict(watch.one.outcome.reading.usage.counts) == {"input": 36, "cache_read": 64, "output": 5}


def test_ocr_is_billed_by_the_page(watch: Any, provider: LocalProvider) -> None:
    document = {"type": "document_url", "document_url": "https://example.com/a.pdf"}
    client(provider).ocr.process(model="mistral-ocr-latest", document=document)
    assert dict(watch.one.outcome.reading.usage.counts) == {"page": 2}
