"""Paid capacity under the real clients: only the request names the deployment, and its price is a share of the hour.

No host is reached: the client's own transport, or the local provider, answers in the documented format.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import openai._base_client
import pytest
from botocore.config import Config
from botocore.session import get_session

from otel_tokenomics import pricebook_source
from otel_tokenomics.config import Settings
from otel_tokenomics.demo.provider import LocalProvider

# The client, not the test, owns its connections.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::DeprecationWarning:botocore")

# The third major speaks through another library than those before it.
http: Any = getattr(openai._base_client, "httpx2", None) or openai._base_client.httpx  # type: ignore[attr-defined]
MESSAGES: Any = [{"role": "user", "content": "How do I reset my password?"}]
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
PTU = {
    "p": "azure.ai.openai", "ids": ["ptu-gpt5"], "kind": "hourly", "usd_per_hour": "98.00",
    "units_per_hour": {"input": 30000000, "output": 6000000}, "allocate": "capacity",
}  # fmt: skip
GPUS = {
    "p": "vllm", "ids": ["meta-llama/llama-3.3-70b-instruct"], "kind": "gpu", "usd_per_gpu_hour": "2.10", "gpus": 4,
    "tokens_per_second": {"input": 20000, "output": 1800}, "utilization": [6, 10],
}  # fmt: skip
ARN = "arn:aws:bedrock:eu-central-1:123456789012:provisioned-model/pt0abc"


@pytest.fixture
def own_prices(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Lay an overlay over the embedded book."""

    def lay(*capacity: dict[str, Any], **more: Any) -> None:
        path = tmp_path / "own.json"
        path.write_text(json.dumps({"capacity": capacity, **more}), encoding="utf-8")
        pricebook_source.configure(Settings.resolve(environment={}, pricebook_overrides=str(path)))

    yield lay
    pricebook_source.configure(Settings.resolve(environment={}))


def answered(model: str) -> Callable[[Any], Any]:
    """Answer as a chat completion of a model, plain or streamed with its usage at the end."""

    def answer(request: Any) -> Any:
        head = {"id": "chatcmpl-1", "created": 1, "model": model}
        if not json.loads(request.content).get("stream"):
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Done."}}
            return http.Response(200, json={**head, "object": "chat.completion", "choices": [choice], "usage": USAGE})
        delta = {"index": 0, "finish_reason": "stop", "delta": {"content": "Done."}}
        chunks = [{"choices": [delta]}, {"choices": [], "usage": USAGE}]
        lines = [f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', **chunk})}\n\n" for chunk in chunks]
        text = "".join(lines) + "data: [DONE]\n\n"
        return http.Response(200, content=text, headers={"content-type": "text/event-stream"})

    return answer


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_provisioned_deployment_of_azure(watch: Any, own_prices: Any, stream: bool) -> None:
    own_prices(PTU)
    with http.Client(transport=http.MockTransport(answered("gpt-5-2025-08-07"))) as carrier:
        client = openai.AzureOpenAI(
            api_key="k", azure_endpoint="https://acme.openai.azure.com", api_version="2026-10-01", http_client=carrier
        )
        for deployment in ("PTU-gpt5", "standard-gpt5"):
            answer: Any = client.chat.completions.create(model=deployment, messages=MESSAGES, stream=stream)
            if stream:
                list(answer)
    provisioned, standard = (dict(span.attributes) for span in watch.spans)
    # 98 USD / 30,000,000 and / 6,000,000: 1000 x 3266667 + 100 x 16333333 pico-USD
    assert provisioned["tokenomics.cost.total"] == 4_900_000_300 / 10**12
    assert provisioned["tokenomics.cost.basis"] == "allocated"
    assert provisioned["tokenomics.price.sku"] == "azure.ai.openai/ptu-gpt5;capacity=hourly"
    assert provisioned["tokenomics.price.match"] == "alias"
    assert provisioned["gen_ai.response.model"] == "gpt-5-2025-08-07"
    # The same model beside it, $1.25 and $10 per million
    assert (standard["tokenomics.cost.total"], standard["tokenomics.cost.basis"]) == (0.00225, "list")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_gpus_of_ones_own(watching: Any, own_prices: Any, stream: bool) -> None:
    watch = watching(endpoints=["gpu.acme.example:8000=vllm"])
    own_prices(GPUS)
    with http.Client(transport=http.MockTransport(answered("meta-llama/Llama-3.3-70B-Instruct"))) as carrier:
        client = openai.OpenAI(api_key="k", base_url="http://gpu.acme.example:8000/v1", http_client=carrier)
        answer: Any = client.chat.completions.create(
            model="meta-llama/Llama-3.3-70B-Instruct", messages=MESSAGES, stream=stream
        )
        if stream:
            list(answer)
    cost = watch.one.cost
    # 1000 x 194444 + 100 x 2160494
    assert (cost.status, cost.total, cost.basis) == ("priced", 410_493_400, "allocated")
    assert watch.spans[0].attributes["tokenomics.cost.basis"] == "allocated"


def test_an_hour_that_a_report_spreads_is_free_on_the_call(watch: Any, own_prices: Any) -> None:
    own_prices({**PTU, "allocate": "use"})
    with http.Client(transport=http.MockTransport(answered("gpt-5-2025-08-07"))) as carrier:
        client = openai.AzureOpenAI(
            api_key="k", azure_endpoint="https://acme.openai.azure.com", api_version="2026-10-01", http_client=carrier
        )
        client.chat.completions.create(model="ptu-gpt5", messages=MESSAGES)
    said = dict(watch.spans[0].attributes)
    assert (said["tokenomics.cost.status"], said["tokenomics.cost.total"]) == ("free", 0.0)
    assert said["tokenomics.cost.basis"] == "allocated"


def test_provisioned_throughput_of_bedrock(watch: Any, own_prices: Any, provider: LocalProvider) -> None:
    hour = {"p": "aws.bedrock", "ids": [ARN], "kind": "hourly", "usd_per_hour": "36.00"}
    own_prices({**hour, "units_per_hour": {"input": 36000000, "output": 9000000}, "allocate": "capacity"})
    client = get_session().create_client(
        "bedrock-runtime", endpoint_url=provider.base_url("bedrock-api"), config=Config(read_timeout=5),
        region_name="eu-central-1", aws_access_key_id="k", aws_secret_access_key="s",
    )  # fmt: skip
    asked: Any = {"modelId": ARN, "messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
    client.converse(**asked)
    list(client.converse_stream(**asked)["stream"])
    client.close()
    for made in watch.settled:
        counts = made.outcome.reading.usage.counts
        assert made.cost.sku == f"aws.bedrock/{ARN};capacity=hourly"
        # $1 and $4 per million
        assert made.cost.total == counts["input"] * 10**6 + counts["output"] * 4 * 10**6 > 0
    assert len(watch.settled) == 2


def test_an_account_is_the_hash_of_its_key(watching: Any, own_prices: Any) -> None:
    watch = watching(credential_salt="pepper")
    account = hmac.digest(b"pepper", b"key-of-eu", "sha256").hex()[:16]
    own_prices({**PTU, "account": [account]}, discounts=[{"p": "openai", "ratio": [1, 2], "account": [account]}])
    for key in ("key-of-eu", "key-of-us"):
        with http.Client(transport=http.MockTransport(answered("gpt-5-2025-08-07"))) as carrier:
            azure = openai.AzureOpenAI(
                api_key=key, azure_endpoint="https://acme.openai.azure.com", api_version="2026-10-01",
                http_client=carrier,
            )  # fmt: skip
            azure.chat.completions.create(model="ptu-gpt5", messages=MESSAGES)
            openai.OpenAI(api_key=key, http_client=carrier).chat.completions.create(model="gpt-5", messages=MESSAGES)
    spans = [dict(span.attributes) for span in watch.spans]
    assert [span["tokenomics.credential.hash"] == account for span in spans] == [True, True, False, False]
    # 1000 x $1.25 and 100 x $10 per million, half of it for the account; its deployment is paid by the hour
    assert [(span["tokenomics.cost.total"], span["tokenomics.cost.basis"]) for span in spans] == [
        (4_900_000_300 / 10**12, "allocated"), (0.001125, "contracted"), (0.00225, "list"), (0.00225, "list"),
    ]  # fmt: skip
