"""What was decided between the sources is what the compiled book says, by price and instant.

Figures are USD per million tokens as published; each line of the list of decided conflicts has its cases here.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from otel_tokenomics.pricing import load_embedded, price, resolve
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import Usage

NOW = "2026-11-24T12:00:00Z"  # a Tuesday, outside DeepSeek's peak
MILLION = 10**6


def usd_per_million(provider: str, model: str, at: str, unit: str, facts: dict[str, str] | None = None) -> str | None:
    """Return what a thousand of a unit cost, as USD per million; None where the book has no price."""
    cost = price(load_embedded(), provider, model, Usage({unit: 1000}), facts or {}, instant(at))
    if cost.total is None or cost.status != "priced":
        return None
    return format((Decimal(cost.total) / 10**9).normalize(), "f")


@pytest.mark.parametrize(
    ("provider", "model", "at", "rate_in", "rate_out"),
    [
        # mistral-large-latest moved to Large 3 on 2025-12-02
        ("mistral_ai", "mistral-large-latest", "2025-12-01T23:59:59.999Z", "2", "6"),
        ("mistral_ai", "mistral-large-latest", "2025-12-02T00:00:00Z", "0.5", "1.5"),
        ("mistral_ai", "magistral-medium-latest", "2025-09-01T00:00:00Z", "2", "5"),
        ("mistral_ai", "magistral-medium-latest", NOW, "1.5", "7.5"),
        ("mistral_ai", "mistral-medium-latest", NOW, "1.5", "7.5"),
        ("mistral_ai", "mistral-small-latest", NOW, "0.15", "0.6"),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", NOW, "1.04", "1.04"),
        # grok-code-fast-1 is served as grok-build-0.1 since 2026-05-15
        ("x_ai", "grok-code-fast-1", "2026-05-14T23:59:59.999Z", "0.2", "1.5"),
        ("x_ai", "grok-code-fast-1", "2026-05-15T00:00:00Z", "1", "2"),
        ("x_ai", "grok-code-fast-1-0825", "2026-05-15T00:00:00Z", "1", "2"),
        ("x_ai", "grok-4.20", NOW, "1.25", "2.5"),
        # a snapshot has the history of its model
        ("x_ai", "grok-4.20-0309", "2026-04-29T23:59:59.999Z", "2", "6"),
        ("x_ai", "grok-4.20-0309", "2026-04-30T00:00:00Z", "1.25", "2.5"),
        # DeepSeek's tariff began at an hour; peak is 01:00-04:00 and 06:00-10:00 UTC, Monday to Friday, no holidays
        ("deepseek", "deepseek-v4-pro", "2026-08-16T15:59:59.999Z", "0.435", "0.87"),
        ("deepseek", "deepseek-v4-pro", "2026-08-16T16:00:00Z", "0.66", "1.98"),
        ("deepseek", "deepseek-v4-pro", "2026-11-24T01:00:00Z", "1.32", "3.96"),
        ("deepseek", "deepseek-v4-pro", "2026-11-24T04:00:00Z", "0.66", "1.98"),
        ("deepseek", "deepseek-v4-pro", "2026-11-21T02:00:00Z", "0.66", "1.98"),  # a Saturday
        ("deepseek", "deepseek-v4-pro", "2026-08-22T02:00:00Z", "1.32", "3.96"),  # the last Saturday with a peak
        ("deepseek", "deepseek-v4-pro", "2026-10-01T02:00:00Z", "0.66", "1.98"),  # a public holiday in China
        ("deepseek", "deepseek-v4-flash", "2026-09-10T04:00:00Z", "0.15", "0.6"),
        ("deepseek", "deepseek-v4-flash", "2026-11-24T09:59:59.999Z", "0.3", "1.2"),
        ("deepseek", "deepseek-v4-flash-vision-exp", NOW, "0.15", "0.6"),
        ("deepseek", "deepseek-v4-flash-vision-exp", "2026-11-24T06:00:00Z", "0.3", "1.2"),
        # withdrawn on 2026-07-24
        ("deepseek", "deepseek-chat", "2025-06-02T12:00:00Z", "0.27", "1.1"),
        ("deepseek", "deepseek-chat", "2025-06-02T17:00:00Z", "0.135", "0.55"),
        ("deepseek", "deepseek-reasoner", "2025-06-02T12:00:00Z", "0.55", "2.19"),
        ("deepseek", "deepseek-chat", "2026-01-15T12:00:00Z", "0.28", "0.42"),
        ("deepseek", "deepseek-reasoner", "2026-07-23T23:59:59.999Z", "0.28", "0.42"),
        ("deepseek", "deepseek-chat", "2025-09-15T12:00:00Z", None, None),  # no source of ours states that tariff
        ("deepseek", "deepseek-chat", "2026-07-24T00:00:00Z", None, None),
        # Bedrock: the bare id is answered in region
        ("aws.bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", NOW, "3.3", "16.5"),
        ("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", NOW, "3.3", "16.5"),
        ("aws.bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", NOW, "3", "15"),
        ("aws.bedrock", "anthropic.claude-opus-4-6-v1", NOW, "5.5", "27.5"),
        ("aws.bedrock", "anthropic.claude-opus-4-7", NOW, "5.5", "27.5"),
        ("aws.bedrock", "anthropic.claude-opus-4-8", NOW, "5.5", "27.5"),
        ("aws.bedrock", "anthropic.claude-sonnet-4-6", NOW, "3.3", "16.5"),
        ("aws.bedrock", "anthropic.claude-mythos-5-1", NOW, "11", "55"),
        ("aws.bedrock", "openai.gpt-6-sol", NOW, "2.2", "11"),
        ("aws.bedrock", "openai.gpt-6-luna", NOW, "0.11", "0.55"),
        # one model, whatever stands around its name
        ("aws.bedrock", "claude-sonnet-4-5-20250929-v1:0", NOW, "3.3", "16.5"),
        ("aws.bedrock", "anthropic.claude-haiku-4-5", NOW, "1.1", "5.5"),
        ("openai", "gpt-5.6-sol", "2026-08-20T23:59:59.999Z", "5", "30"),
        ("openai", "gpt-5.6-sol", "2026-08-21T00:00:00Z", "4", "20"),
        ("openai", "gpt-5.6-luna", "2026-07-29T23:59:59.999Z", "1", "6"),
        ("openai", "gpt-5.6-luna", "2026-07-30T00:00:00Z", "0.2", "1.2"),
        ("openai", "gpt-5.6-terra", "2026-07-29T23:59:59.999Z", "2.5", "15"),
        ("openai", "gpt-5.6-terra", "2026-07-30T00:00:00Z", "2", "12"),
        # Gemini's introductory prices end on a day that Google states: half of the list price until then
        ("gcp.gemini", "gemini-3.6-flash", "2026-12-31T23:59:59.999Z", "0.75", "3.75"),
        ("gcp.gemini", "gemini-3.6-flash", "2027-01-01T00:00:00Z", "1.5", "7.5"),
        ("gcp.gemini", "gemini-4-argon", "2026-11-30T23:59:59.999Z", "2", "10"),
        ("gcp.gemini", "gemini-4-argon", "2026-12-01T00:00:00Z", "4", "20"),
        ("gcp.vertex_ai", "gemini-2.0-flash", NOW, "0.15", "0.6"),
        ("gcp.gemini", "gemini-2.0-flash", NOW, "0.1", "0.4"),
        ("gcp.vertex_ai", "claude-3-5-haiku@20241022", NOW, "0.8", "4"),
        ("aws.bedrock", "anthropic.claude-opus-5-5", NOW, "4.4", "22"),
        ("aws.bedrock", "us.anthropic.claude-opus-5-5", NOW, "4.4", "22"),
        ("aws.bedrock", "global.anthropic.claude-opus-5-5", NOW, "4", "20"),
        # Mistral Large 4: promotion, nine days at the list price, then 0.7/2.1
        ("mistral_ai", "mistral-large-4", "2026-10-19T23:59:59.999Z", "0.68", "2.09"),
        ("mistral_ai", "mistral-large-4-0", "2026-10-20T00:00:00Z", "1.36", "4.18"),
        ("mistral_ai", "mistral-large-4", "2026-10-29T00:00:00Z", "0.7", "2.1"),
        ("mistral_ai", "open-mistral-nemo", NOW, "0.15", "0.15"),
        # two aliases of one model move on one day
        ("mistral_ai", "mistral-medium", "2026-06-15T23:59:59.999Z", "0.4", "2"),
        ("mistral_ai", "mistral-medium", "2026-06-16T00:00:00Z", "1.5", "7.5"),
        # Cloudflare bills neurons at 0.011 USD per thousand; its table per token is rounded
        ("cloudflare", "@cf/zai-org/glm-4.7-flash", NOW, "0.0605", "0.4"),  # 5500 neurons per million
        ("cloudflare", "@cf/mistral/mistral-7b-instruct-v0.1", NOW, "0.11", "0.19"),
        # OVHcloud's catalogue is in euros, its endpoint's list in dollars
        ("ovhcloud", "gpt-oss-120b", NOW, "0.09", "0.47"),
        ("ovhcloud", "Meta-Llama-3_3-70B-Instruct", NOW, "0.74", "0.74"),
        ("fireworks", "accounts/fireworks/models/llama-v3p1-8b-instruct", NOW, "0.2", "0.2"),
        ("fireworks", "accounts/fireworks/models/deepseek-v4-pro", NOW, "1.74", "3.48"),
        ("together", "mistralai/Mixtral-8x7B-Instruct-v0.1", NOW, "0.6", "0.6"),
        ("together", "Qwen/Qwen3.7-Max", NOW, "2.5", "7.5"),
        ("openai", "gpt-4o-mini-tts", NOW, "0.6", "12"),
        ("azure.ai.openai", "gpt-4o-mini-tts", NOW, "0.6", "12"),
        ("azure.ai.openai", "gpt-4-turbo", NOW, "10", "30"),
        ("azure.ai.openai", "gpt-35-turbo-instruct-0914", NOW, "1.5", "2"),
        ("fireworks", "accounts/fireworks/models/ultramarine-1-flash-us", "2026-11-02T23:59:59.999Z", "0.225", "0.75"),
        ("fireworks", "ultramarine-1-flash-us", "2026-11-03T00:00:00Z", "0.15", "0.5"),
        # one source took the price of a thousand tokens for that of one
        ("azure.ai.openai", "jais-30b-chat", NOW, "3.2", "9.71"),
        ("azure.ai.inference", "jais-30b-chat", NOW, "3.2", "9.71"),
    ],
)
def test_decided(provider: str, model: str, at: str, rate_in: str | None, rate_out: str | None) -> None:
    assert usd_per_million(provider, model, at, "input") == rate_in
    assert usd_per_million(provider, model, at, "output") == rate_out


@pytest.mark.parametrize(
    ("provider", "model", "unit", "facts", "rate"),
    [
        # a rate is never derived: half of 0.25 is not the flex cache read
        ("openai", "gpt-5.4", "cache_read", {"service_tier": "flex"}, "0.13"),
        ("openai", "gpt-5.4", "output", {"processing": "batch"}, "7.5"),
        ("openai", "gpt-6-astra", "output", {"service_tier": "ultrafast"}, "300"),
        ("openai", "gpt-6-astra", "cache_write_12h", {}, "25"),
        ("openai", "gpt-6-astra", "cache_write_12h", {"processing": "batch"}, "12.5"),
        ("openai", "gpt-5.4", "input", {"inference_geo": "eu"}, "2.75"),
        ("openai", "ft:gpt-4.1:acme::9xQ", "input", {}, "3"),
        ("anthropic", "claude-opus-5-5", "input", {"inference_geo": "us"}, "4.4"),
        ("anthropic", "claude-opus-5-5", "output", {"speed": "fast"}, "40"),
        ("anthropic", "claude-opus-5-5", "cache_write_1h", {}, "8"),
        ("gcp.vertex_ai", "claude-opus-4-6", "input", {"deployment_type": "regional"}, "5.5"),
        ("gcp.vertex_ai", "claude-opus-4-6", "input", {}, "5"),
        ("azure.ai.openai", "gpt-4o-2024-08-06", "input", {"deployment_type": "datazone-us"}, "2.75"),
        ("azure.ai.openai", "azure/us/gpt-4o-2024-08-06", "output", {}, "11"),
        ("azure.ai.openai", "gpt-5.5", "input", {"service_tier": "priority"}, "12.5"),
        ("azure.ai.openai", "azure/eu/gpt-4o-2024-08-06", "output", {"processing": "batch"}, "5.5"),
        ("aws.bedrock", "us-gov.anthropic.claude-haiku-5-5", "input", {}, "0.12"),
        ("aws.bedrock", "nova-pro-v1:0", "output", {}, "3.2"),
        ("cohere", "rerank-v3.5", "search_unit", {}, "2000"),
        ("deepinfra", "gryphe/mythomax-l2-13b", "input", {}, "0.4"),
        # what is known of a tier today ends with the introductory price; from then on no source states it
        ("gcp.gemini", "gemini-4-argon", "input", {"service_tier": "flex"}, "1"),
        ("gcp.gemini", "gemini-4-argon", "output", {"service_tier": "priority"}, "18"),
        # Azure: a data zone costs a tenth more than the global deployment
        ("azure.ai.openai", "text-embedding-3-large", "input", {}, "0.13"),
        ("azure.ai.openai", "text-embedding-3-large", "input", {"deployment_type": "datazone-eu"}, "0.143"),
        ("azure.ai.openai", "gpt-4-turbo", "output", {"deployment_type": "datazone-us"}, "33"),
        ("azure.ai.openai", "tts-1-hd", "character", {}, "30"),
        ("aws.bedrock", "anthropic.claude-opus-4-8", "output", {"region": "us-gov-west-1"}, "30"),
        ("aws.bedrock", "apac.anthropic.claude-haiku-4-5-20251001-v1:0", "cache_write_1h", {}, "2.2"),
        ("gcp.vertex_ai", "claude-3-5-sonnet-v2@20241022", "cache_read", {}, "0.3"),
        ("gcp.vertex_ai", "claude-3-opus@20240229", "cache_write", {}, "18.75"),
        ("gcp.gemini", "gemini-2.5-flash-native-audio-preview-09-2025", "video_in", {}, "3"),
        ("gcp.gemini", "gemini-2.5-flash-native-audio-preview-12-2025", "image_in", {}, "3"),
        ("openai", "ft:gpt-3.5-turbo-0125:acme::1", "output", {"processing": "batch"}, "3"),
        # what a model that makes images puts out is images, whoever serves it
        ("azure.ai.openai", "gpt-image-1", "output", {}, "40"),
        # a second spelling of an entry states a condition or a factor that the first one lacks
        ("gcp.vertex_ai", "gemini-3.1-flash-lite", "output", {"deployment_type": "regional"}, "1.65"),
        ("gcp.vertex_ai", "gemini-3.1-pro-preview-customtools", "input", {"service_tier": "priority"}, "3.6"),
        # the factor of one name is not that of its neighbours
        ("openai", "gpt-realtime-2.1", "input", {"inference_geo": "eu"}, "4.4"),
        ("openai", "gpt-realtime-2", "input", {"inference_geo": "eu"}, "4"),
        ("gcp.vertex_ai", "gemini-2.5-flash-lite", "audio_in", {"processing": "batch"}, "0.15"),
        ("groq", "openai/gpt-oss-safeguard-20b", "cache_read", {}, "0.0375"),
        # OpenAI: 10 USD per thousand calls of web_search, 25 of the search models' preview
        ("openai", "gpt-4.1", "web_search", {}, "10000"),
        ("cohere", "embed-multilingual-light-v3.0", "input", {}, "0.1"),
        ("openai", "gpt-4o-mini-search-preview", "web_search", {}, "25000"),
        ("openai", "gpt-4o-transcribe", "audio_in", {}, "6"),
        ("openai", "gpt-4o-mini-transcribe", "audio_in", {}, "3"),
        ("openai", "gpt-4o-mini-transcribe-2025-12-15", "audio_in", {}, "3"),
    ],
)
def test_what_only_one_source_carries(provider: str, model: str, unit: str, facts: dict[str, str], rate: str) -> None:
    assert usd_per_million(provider, model, NOW, unit, facts) == rate


def test_the_long_context_tier_has_its_own_rate_of_every_unit() -> None:
    cost = price(load_embedded(), "openai", "gpt-6-astra", Usage({"cache_write_12h": 300_000}), {}, instant(NOW))
    assert cost.total == 300_000 * 50 * MILLION  # 50 USD per million above 272,000 tokens, 25 below


def test_xai_reaches_its_long_context_at_the_threshold() -> None:
    book = load_embedded()
    below, at = (
        price(book, "x_ai", "grok-code-fast-1", Usage({"input": n}), {}, instant(NOW)) for n in (199_999, 200_000)
    )
    assert (below.total, at.total) == (199_999 * MILLION, 200_000 * 2 * MILLION)


@pytest.mark.parametrize(("size", "fee"), [(None, 5), ("low", 5), ("medium", 8), ("high", 12)])
def test_perplexity_charges_a_request_by_the_size_of_its_search_context(size: str | None, fee: int) -> None:
    facts = {"search_context_size": size} if size else {}
    cost = price(load_embedded(), "perplexity", "sonar", Usage({"input": 1000, "request": 1}), facts, instant(NOW))
    assert cost.total == 1000 * MILLION + fee * 10**9  # 1 USD per million tokens, 5 to 12 USD per thousand requests


def test_a_cache_read_that_was_halved_costs_the_old_price_before() -> None:
    assert usd_per_million("anthropic", "claude-sonnet-5-5", "2026-10-06T23:59:59.999Z", "cache_read") == "0.2"
    assert usd_per_million("anthropic", "claude-sonnet-5-5", "2026-10-07T00:00:00Z", "cache_read") == "0.1"


def test_a_cut_that_was_announced_on_a_day_costs_the_old_price_before() -> None:
    for model in ("@cf/cloudflare/clef-flash", "clef-flash"):
        assert usd_per_million("cloudflare", model, "2026-10-08T23:59:59.999Z", "input") == "0.09"
        assert usd_per_million("cloudflare", model, "2026-10-09T00:00:00Z", "input") == "0.038"


def test_a_tier_after_an_announced_change_is_not_priced_as_today() -> None:
    usage, facts = Usage({"input": 1000}), {"service_tier": "flex"}
    cost = price(load_embedded(), "gcp.gemini", "gemini-4-argon", usage, facts, instant("2026-12-01T00:00:00Z"))
    assert (cost.status, cost.reason) == ("partial", "tier_unpriced")


def test_what_the_newer_sources_dropped_is_still_priced() -> None:
    for provider, model, rate in (
        ("mistral_ai", "mistral-large-2402", "4"),
        ("x_ai", "grok-beta", "5"),
        ("aws.bedrock", "anthropic.claude-3-haiku-20240307-v1:0", "0.25"),
        ("gcp.vertex_ai", "claude-opus-4-1@20250805", "15"),
        ("azure.ai.openai", "gpt-35-turbo-0613", "1.5"),
    ):
        assert usd_per_million(provider, model, "2025-06-02T12:00:00Z", "input") == rate
    for provider, model in (("wandb", "zai-org/glm-4.5"), ("gcp.vertex_ai", "gemini-1.5-pro-preview-0514")):
        assert usd_per_million(provider, model, NOW, "input") is None  # its price there is not to be trusted


def test_what_the_newer_source_knows_by_resolution_alone_has_no_price_of_the_older_one() -> None:
    for provider in ("gcp.gemini", "gcp.vertex_ai"):
        cost = price(
            load_embedded(), provider, "veo-3.1-generate-preview", Usage({"video_out_second": 8}), {}, instant(NOW)
        )
        assert cost.reason == "unknown_model"


def test_no_model_costs_a_thousand_times_too_much() -> None:
    """The dearest published: o1-pro at 150 in, 600 out, per million; Bedrock's ultrafast tier at 330 out."""
    book = load_embedded()
    rates = [
        (name, unit, row["rates"][unit])
        for provider, name in book.ids()
        for entry in [book.entry(provider, name)]
        if entry
        for row in entry["rows"]
        for unit in ("input", "cache_read", "output")
        if unit in row["rates"]
    ]
    limits = {"input": 150, "cache_read": 75, "output": 600}
    assert [found for found in rates if found[2] > limits[found[1]] * MILLION] == []


def test_nothing_is_free_because_a_source_writes_zero() -> None:
    """litellm writes 0 for what it does not know: only what a patch decides is free."""
    book = load_embedded()
    free = set[tuple[str, str]]()
    for provider, name in book.ids():
        entry = book.entry(provider, name)
        assert entry is not None
        if any(not any(row["rates"].values()) for row in entry["rows"]):
            assert all(row["src"] == ["p"] for row in entry["rows"]), name
            free.add((provider, name))
    assert free == {
        ("openai", "omni-moderation-latest"),
        ("openai", "omni-moderation-2024-09-26"),
        ("zai", "glm-4.5-flash"),
        ("zai", "glm-4.7-flash"),
    }
    zeros = [
        (model["id"], unit)
        for model in (book.entry(*key) for key in book.ids())
        if model
        for row in model["rows"]
        for unit, rate in row["rates"].items()
        if not rate and row["src"] == ["l"]
    ]
    assert zeros == []


def test_every_model_of_a_maker_is_certain_at_an_address_that_nobody_lists() -> None:
    """One model sold by two providers of kind first_party would be ambiguous behind every proxy."""
    book = load_embedded()
    makers = [(p, name) for p, name in book.ids() if book.providers[p].kind == "first_party"]
    assert [key for key in makers if resolve(book, None, key[1], None, "proxy.internal").reason] == []
    claude = resolve(book, "openai", "anthropic/claude-opus-5", None, "proxy.internal")
    assert (claude.provider, claude.flags) == ("anthropic", ("assumed_provider",))
