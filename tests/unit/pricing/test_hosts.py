"""Who bills, by the address: the longest rule, whole path segments, ports."""

from __future__ import annotations

import pytest

from otel_tokenomics.pricing import EndpointTable, load_embedded

TABLE = EndpointTable.parse(
    [
        "gw.acme.example=openrouter",
        "gw.acme.example/anthropic=anthropic",
        "gw.acme.example/*/openai=openai",
        "gw.acme.example/*/openai/v1/*/deep=groq",
        "127.0.0.1:8080=openai",
        "127.0.0.1=vllm",
        "https://Upper.Example/Path = X_AI ",
        "[::1]:11434=ollama",
        "elsewhere.example",
    ]
)


@pytest.mark.parametrize(
    ("host", "port", "path", "provider"),
    [
        ("gw.acme.example", 443, "/v1", "openrouter"),
        ("GW.acme.example", None, "", "openrouter"),
        ("gw.acme.example", 443, "/anthropic/v1", "anthropic"),
        ("gw.acme.example", 443, "/anthropics/v1", "openrouter"),
        ("gw.acme.example", 443, "/team-a/openai/v1", "openai"),
        ("gw.acme.example", 443, "/team-a/x/openai/v1", "openrouter"),
        ("gw.acme.example", 443, "/t/openai/v1/m/deep/x", "groq"),
        ("127.0.0.1", 8080, "/v1", "openai"),
        ("127.0.0.1", 8081, "/v1", "vllm"),
        ("127.0.0.1", None, "/v1", "vllm"),
        ("upper.example", 443, "/Path", "x_ai"),
        ("upper.example", 443, "/path", None),
        ("::1", 11434, "/api", "ollama"),
        ("[::1]", 11434, "/api", "ollama"),
        ("elsewhere.example", 1, "/x", ""),
        ("sub.gw.acme.example", 443, "/", None),
        ("", 443, "/", None),
        (None, None, "", None),
    ],
)
def test_lookup(host: str | None, port: int | None, path: str, provider: str | None) -> None:
    assert TABLE.lookup(host, port, path) == provider


@pytest.mark.parametrize(
    "entry", ["", "=openai", "/path=openai", "host:port=openai", "host:99999=x", "host:²=x", ":80=x"]
)
def test_entry_that_is_no_rule(entry: str) -> None:
    with pytest.raises(ValueError, match=r"host\[:port\]"):
        EndpointTable.parse([entry])


def test_an_empty_table_is_false() -> None:
    assert not EndpointTable.parse([])
    assert EndpointTable.parse([]).lookup("api.openai.com") is None


def test_hosts_of_the_embedded_book() -> None:
    book = load_embedded()
    assert book.provider_by_host("api.openai.com") == "openai"
    assert book.provider_by_host("API.Anthropic.com.") == "anthropic"
    assert book.provider_by_host("res.openai.azure.com") == "azure.ai.openai"
    assert book.provider_by_host("openai.azure.com.evil.example") is None
    assert book.provider_by_host(None) is None
    assert book.provider_by_name(" Az.AI.OpenAI ") == "azure.ai.openai"
    assert book.provider_by_name("nobody") is None
