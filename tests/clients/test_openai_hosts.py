"""The openai client at other hosts: who bills is read from the host, and a cost that he states is the total.

No host is reached: the client's own transport answers in the host's documented format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import openai
import openai._base_client
import pytest

# The third major speaks through another library than those before it.
http: Any = getattr(openai._base_client, "httpx2", None) or openai._base_client.httpx  # type: ignore[attr-defined]
MESSAGES: Any = [{"role": "user", "content": "How do I reset my password?"}]
PLAIN = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
CACHED = {**PLAIN, "prompt_tokens_details": {"cached_tokens": 200}}
# gpt-5.4, per million: $2.50 in, $0.25 cached, $15 out: 800 x 2.5 + 200 x 0.25 + 100 x 15 micro-dollars
GPT = 3_550_000_000


class Host(NamedTuple):
    """One host: how it answers, and what it bills. ``computed`` is our figure where the total is the host's."""

    base_url: str
    model: str
    usage: dict[str, Any]
    provider: str
    total: int
    computed: int | None = None
    #: Where a stream's usage stands: after it where it was asked for, on the last chunk, on every chunk, in ``x_groq``.
    stream: str = "asked"
    flags: tuple[str, ...] = ()


def _openrouter(cost: float, upstream: float, *, byok: bool) -> dict[str, Any]:
    return {**CACHED, "cost": cost, "is_byok": byok, "cost_details": {"upstream_inference_cost": upstream}}


HOSTS = {
    # Usage accounting of OpenRouter's documentation: the cost is what it bills, whatever it pays itself.
    "openrouter": Host(
        "https://openrouter.ai/api/v1", "openai/gpt-5.4", _openrouter(0.0042, 0.00355, byok=False), "openrouter",
        4_200_000_000, GPT, flags=("price_conflict",),
    ),
    # With the caller's own key the provider bills the upstream cost beside OpenRouter's fee: 0.00003 + 0.00355.
    "openrouter_own_key": Host(
        "https://openrouter.ai/api/v1", "openai/gpt-5.4", _openrouter(0.00003, 0.00355, byok=True), "openrouter",
        3_580_000_000, GPT,
    ),
    # gpt-oss-120b at Groq: $0.15 in, $0.075 cached, $0.60 out: 120 + 15 + 60 micro-dollars
    "groq": Host(
        "https://api.groq.com/openai/v1", "openai/gpt-oss-120b", CACHED, "groq", 195_000_000, stream="x_groq"
    ),
    # xAI: 50 tokens of reasoning stand outside the 50 of the completion, as the total says; 1.6e7 ticks are 0.0016 USD.
    # grok-4.3: $1.25 in, $2.50 out: 1250 + 100 x 2.5 micro-dollars
    "xai": Host(
        "https://api.x.ai/v1", "grok-4.3",
        {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1100, "cost_in_usd_ticks": 16_000_000,
         "completion_tokens_details": {"reasoning_tokens": 50}},
        "x_ai", 1_600_000_000, 1_500_000_000, "last", ("price_conflict",),
    ),
    # sonar: $1 in, $1 out, and $5 per 1000 requests of small context: 1000 + 100 + 5000 micro-dollars
    "perplexity": Host(
        "https://api.perplexity.ai", "sonar",
        {**PLAIN, "search_context_size": "low",
         "cost": {"input_tokens_cost": 0.001, "output_tokens_cost": 0.0001, "request_cost": 0.005,
                  "total_cost": 0.0061}},
        "perplexity", 6_100_000_000, 6_100_000_000, "every",
    ),
    "perplexity_without_cost": Host(
        "https://api.perplexity.ai", "sonar", {**PLAIN, "search_context_size": "low"}, "perplexity", 6_100_000_000,
        stream="every",
    ),
    # $1.04 in and out: 1100 x 1.04 micro-dollars
    "together": Host(
        "https://api.together.xyz/v1", "meta-llama/Llama-3.3-70B-Instruct-Turbo", PLAIN, "together", 1_144_000_000,
        stream="last",
    ),
    # $0.22 in, $0.88 out: 220 + 88 micro-dollars
    "fireworks": Host(
        "https://api.fireworks.ai/inference/v1", "accounts/fireworks/models/llama4-maverick-instruct-basic", PLAIN,
        "fireworks", 308_000_000,
    ),
    # gpt-5.4-mini: $0.75 in, $0.075 cached, $4.50 out: 600 + 15 + 450 micro-dollars
    "azure_v1": Host(
        "https://acme.openai.azure.com/openai/v1", "gpt-5.4-mini-2026-03-17", CACHED, "azure.ai.openai", 1_065_000_000
    ),
    # A host that nobody lists: the model's only maker is assumed, and the cost says so.
    "unknown": Host(
        "https://llm.acme.example/v1", "gpt-5.4", CACHED, "openai", GPT, stream="last", flags=("assumed_provider",)
    ),
}  # fmt: skip


class Answering:
    """What stands in for the host: one answer, plain or streamed, and the request that asked for it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: Any) -> Any:
        body = json.loads(request.content)
        self.requests.append((str(request.url), body))
        head = {"id": "chatcmpl-1", "created": 1, "model": self.host.model}
        if not body.get("stream"):
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Done."}}
            whole = {**head, "object": "chat.completion", "choices": [choice], "usage": self.host.usage}
            return http.Response(200, json=whole)
        text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in self._chunks(head, body)) + "data: [DONE]\n\n"
        return http.Response(200, content=text, headers={"content-type": "text/event-stream"})

    def _chunks(self, head: dict[str, Any], body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        chunk = {**head, "object": "chat.completion.chunk"}
        for number in range(3):
            choice = {"index": 0, "finish_reason": "stop" if number == 2 else None, "delta": {"content": "word "}}
            said: dict[str, Any] = {}
            if self.host.stream == "every":
                # Running totals: only the last one is the bill.
                said = {"usage": self.host.usage if number == 2 else {**PLAIN, "completion_tokens": number}}
            elif number == 2 and self.host.stream == "last":
                said = {"usage": self.host.usage}
            elif number == 2 and self.host.stream == "x_groq":
                said = {"x_groq": {"id": "req_1", "usage": self.host.usage}}
            yield {**chunk, "choices": [choice], **said}
        if self.host.stream == "asked" and body.get("stream_options", {}).get("include_usage"):
            yield {**chunk, "choices": [], "usage": self.host.usage}


@pytest.fixture
def ask() -> Iterator[Any]:
    """Call a host, plain or streamed; returns what the caller saw and what the host was asked."""
    made: list[Any] = []

    def call(host: Host, *, stream: bool, **more: Any) -> tuple[Any, Answering]:
        answering = Answering(host)
        carrier = http.Client(transport=http.MockTransport(answering))
        made.append(carrier)
        client = openai.OpenAI(api_key="k", base_url=host.base_url, http_client=carrier, max_retries=0)
        answer = client.chat.completions.create(model=host.model, messages=MESSAGES, stream=stream, **more)
        return (list(answer) if stream else answer), answering

    yield call
    for carrier in made:
        carrier.close()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", HOSTS)
def test_the_host_says_who_bills_and_his_figure_is_the_total(watch: Any, ask: Any, name: str, stream: bool) -> None:
    host = HOSTS[name]
    answer, answering = ask(host, stream=stream)
    cost = watch.one.cost
    assert (watch.one.choice.name, cost.status, cost.total) == (host.provider, "priced", host.total)
    assert (cost.computed, cost.source, cost.flags) == (
        host.computed,
        "sdk" if host.computed is None else "provider",
        host.flags,
    )
    (span,) = watch.spans
    assert span.attributes["gen_ai.provider.name"] == host.provider
    assert span.attributes["server.address"] in answering.requests[0][0]
    assert span.attributes["gen_ai.usage.input_tokens"] == 1000
    assert span.attributes["gen_ai.usage.output_tokens"] == 100
    if host.computed is not None:
        assert span.attributes["tokenomics.cost.computed"] == host.computed / 10**12
    if stream:
        # Usage is asked for where the host is known to take the option, and the caller sees what he would have seen.
        assert ("stream_options" in answering.requests[0][1]) == (host.stream == "asked")
        assert [bool(chunk.choices) for chunk in answer] == [True, True, True]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_deepseek_repeats_its_cache_counts_and_has_peak_hours(watch: Any, ask: Any, stream: bool) -> None:
    usage = {**CACHED, "prompt_cache_hit_tokens": 200, "prompt_cache_miss_tokens": 800}
    ask(Host("https://api.deepseek.com/v1", "deepseek-v4-flash", usage, "deepseek", 0), stream=stream)
    assert (watch.one.choice.name, watch.one.cost.status) == ("deepseek", "priced")
    # $0.15 in, $0.003 cached, $0.60 out: 120 + 0.6 + 60 micro-dollars, and twice that at peak hours
    assert watch.one.cost.total in (180_600_000, 361_200_000)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_azure_deployments_are_priced_by_the_model_that_answered(watch: Any, stream: bool) -> None:
    answering = Answering(HOSTS["azure_v1"])
    with http.Client(transport=http.MockTransport(answering)) as carrier:
        client = openai.AzureOpenAI(
            api_key="k", azure_endpoint="https://acme.openai.azure.com", api_version="2026-10-01", http_client=carrier
        )
        answer: Any = client.chat.completions.create(model="our-deployment", messages=MESSAGES, stream=stream)
        if stream:
            list(answer)
    assert "/deployments/our-deployment/" in answering.requests[0][0]
    assert (watch.one.choice.name, watch.one.cost.total) == ("azure.ai.openai", 1_065_000_000)
    assert watch.spans[0].attributes["gen_ai.request.model"] == "our-deployment"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_an_own_server_has_no_price_but_one_of_its_own(watching: Any, ask: Any, stream: bool) -> None:
    watch = watching(endpoints=["gpu.acme.example:8000=vllm"])
    ask(Host("http://gpu.acme.example:8000/v1", "meta-llama/Llama-3.3-70B-Instruct", PLAIN, "vllm", 0), stream=stream)
    cost = watch.one.cost
    assert (watch.one.choice.name, cost.status, cost.reason, cost.total) == ("vllm", "unpriced", "unknown_model", None)
    assert watch.spans[0].attributes["gen_ai.usage.input_tokens"] == 1000
    assert "tokenomics.cost.total" not in watch.spans[0].attributes


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_gateway_is_known_by_the_setting_endpoints(watching: Any, ask: Any, stream: bool) -> None:
    watch = watching(endpoints=["gw.acme.example/*/openai=openai", "gw.acme.example/*/groq=groq"])
    ask(Host("https://gw.acme.example/team-a/openai/v1", "gpt-5.4", CACHED, "openai", GPT), stream=stream)
    groq = Host("https://gw.acme.example/team-b/groq/v1", "openai/gpt-oss-120b", CACHED, "groq", 0, stream="x_groq")
    ask(groq, stream=stream)
    assert [(one.choice.name, one.cost.total, one.cost.flags) for one in watch.settled] == [
        ("openai", GPT, ()),
        ("groq", 195_000_000, ()),
    ]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_what_a_gateway_charges_itself_is_not_charged_here(watching: Any, ask: Any, stream: bool) -> None:
    watch = watching(billed_elsewhere=["gw.acme.example"])
    ask(Host("https://gw.acme.example/v1", "gpt-5.4", CACHED, "openai", 0, stream="last"), stream=stream)
    cost = watch.one.cost
    assert (cost.status, cost.reason, cost.total) == ("not_applicable", "billed_elsewhere", None)
    assert watch.spans[0].attributes["gen_ai.usage.input_tokens"] == 1000


def test_a_cost_that_an_unknown_host_states_is_not_believed(watch: Any, ask: Any) -> None:
    ask(HOSTS["unknown"]._replace(usage={**CACHED, "cost": 0.5}), stream=False)
    assert (watch.one.cost.total, watch.one.cost.source) == (GPT, "sdk")


def test_an_unknown_host_is_unpriced_where_nobody_is_to_be_assumed(watching: Any, ask: Any) -> None:
    watch = watching(unknown_host="unpriced")
    ask(HOSTS["unknown"], stream=False)
    assert (watch.one.cost.status, watch.one.cost.total) == ("unpriced", None)


def test_a_model_that_several_sell_has_no_price_at_an_unknown_host(watch: Any, ask: Any) -> None:
    ask(HOSTS["unknown"]._replace(model="meta-llama/Llama-3.3-70B-Instruct-Turbo"), stream=False)
    assert (watch.one.cost.status, watch.one.cost.total) == ("unpriced", None)


def test_a_stream_of_an_unknown_host_is_asked_for_nothing_and_says_that_it_is_unpriced(watch: Any, ask: Any) -> None:
    _, answering = ask(HOSTS["unknown"]._replace(stream="asked"), stream=True)
    assert "stream_options" not in answering.requests[0][1]
    assert (watch.one.cost.status, watch.one.cost.reason) == ("unpriced", "no_usage")


def test_usage_that_the_caller_asked_for_himself_is_his_to_see(watch: Any, ask: Any) -> None:
    chunks, _ = ask(HOSTS["unknown"]._replace(stream="asked"), stream=True, stream_options={"include_usage": True})
    assert [bool(chunk.choices) for chunk in chunks] == [True, True, True, False]
    assert watch.one.cost.total == GPT
