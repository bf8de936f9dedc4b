"""The groq client: what is its own beside the forms of ``tests/conformance``."""

from __future__ import annotations

from typing import Any

import groq
import pytest

from otel_tokenomics.demo.provider import LocalProvider

# The client, not the test, owns its connections.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def client(provider: LocalProvider) -> groq.Groq:
    return groq.Groq(api_key="k", base_url=provider.base_url("groq-api"))


def test_usage_of_a_stream_stands_in_x_groq(watch: Any, provider: LocalProvider) -> None:
    chunks = list(
        client(provider).chat.completions.create(model="llama-3.3-70b-versatile", messages=MESSAGES, stream=True)
    )
    assert len(chunks) == 3  # nothing was asked for, so nothing is hidden
    assert watch.one.tokens == provider.ledger.billed[0].usage["total_tokens"]
    assert (watch.one.choice.name, watch.one.cost.status) == ("groq", "priced")


def test_what_costs_nothing_is_not_charged(watch: Any, provider: LocalProvider) -> None:
    made = client(provider)
    made.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert watch.settled == []
