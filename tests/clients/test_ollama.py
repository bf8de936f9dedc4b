"""The ollama client: what is its own beside the forms of ``tests/conformance``."""

from __future__ import annotations

from typing import Any

import ollama
import pytest

from otel_tokenomics.demo.provider import LocalProvider

# The client, not the test, owns its connections.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def test_a_local_model_has_no_price_until_one_is_given(watch: Any, provider: LocalProvider) -> None:
    ollama.Client(host=provider.base_url("ollama-api")).chat(model="llama3.2", messages=MESSAGES)
    assert (watch.one.choice.name, watch.one.cost.reason) == ("ollama", "unknown_model")


def test_generate_and_embed(watch: Any, provider: LocalProvider) -> None:
    client = ollama.Client(host=provider.base_url("ollama-api"))
    client.generate(model="llama3.2", prompt="Hello")
    client.embed(model="nomic-embed-text", input="Hello")
    assert [call.operation.name for call in watch.settled] == ["text_completion", "embeddings"]
    assert watch.settled[1].tokens == provider.ledger.billed[1].usage["prompt_eval_count"]
