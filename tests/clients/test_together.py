"""The together client: what is its own beside the forms of ``tests/conformance``."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import pytest
import together

from otel_tokenomics.demo.provider import LocalProvider, Scenario

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


@pytest.mark.parametrize("path", ["/tci/execute", "/evaluation", "/queue/submit"])
def test_what_reports_no_usage_is_unpriced(watch: Any, provider: LocalProvider, path: str) -> None:
    provider.expect(Scenario(raw=(200, "application/json", '{"status": "success"}')))
    client(provider).post(path if SECOND_MAJOR else f"/v1{path}", cast_to=object, body={"model": "m"})
    assert (watch.one.cost.status, watch.one.cost.total) == ("unpriced", None)


def test_embeddings(watch: Any, provider: LocalProvider) -> None:
    client(provider).embeddings.create(model="BAAI/bge-base-en-v1.5", input="Hello")
    assert (watch.one.operation.name, watch.one.tokens) == (
        "embeddings",
        provider.ledger.billed[0].usage["total_tokens"],
    )


@pytest.mark.parametrize("call", [
    lambda client: client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}]),
    lambda client: client.videos.create(model="m", prompt="A cat", seconds="4"),
], ids=["chat", "video"])  # fmt: skip
def test_a_client_that_was_given_no_address_is_seen(watch: Any, provider: LocalProvider, call: Any) -> None:
    """Such a client sends chats and videos to whole addresses, past its own base URL."""
    sent: list[str] = []

    def here(request: Any) -> None:
        sent.append(request.url.host)
        address = provider.host.partition(":")
        path = "/together-api" + request.url.path
        request.url = request.url.copy_with(scheme="http", host=address[0], port=int(address[2]), path=path)

    transport: Any = sys.modules["together._base_client"]
    with transport.httpx.Client(event_hooks={"request": [here]}) as http:
        own = together.Together(api_key="k", http_client=http)
        with contextlib.suppress(together.APIStatusError):  # the local provider makes no videos
            call(own)
    assert sent[0].endswith("together.ai") or sent[0].endswith("together.xyz")
    assert watch.one.choice.name == "together"
