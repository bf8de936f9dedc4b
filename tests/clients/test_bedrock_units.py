"""Bedrock: what is billed by another unit than tokens, or has none here, is said and never lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.session import get_session

from otel_tokenomics.demo.provider import LocalProvider, Scenario

# The client, not the test, owns its connections.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(?!otel_tokenomics)"),
]

CANARY = "canary-4711"
NOVA = "amazon.nova-pro-v1:0"
MESSAGES: Any = [{"role": "user", "content": [{"text": CANARY}]}]


def client_of(provider: LocalProvider, service: str) -> Any:
    account: Any = {"region_name": "eu-central-1", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
    return get_session().create_client(service, endpoint_url=provider.base_url("bedrock-api"), **account)


@pytest.fixture
def client(provider: LocalProvider) -> Iterator[Any]:
    made = client_of(provider, "bedrock-runtime")
    yield made
    made.close()


def test_a_guardrail_is_said_to_be_charged(watch: Any, client: Any, provider: LocalProvider) -> None:
    """By policy and text unit, which the book has no unit for."""
    content: Any = [{"text": {"text": CANARY}}]
    client.apply_guardrail(guardrailIdentifier="g", guardrailVersion="1", source="INPUT", content=content)
    (span,) = watch.spans
    assert span.name == "apply_guardrail"
    assert (watch.one.cost.status, watch.one.cost.reason) == ("unpriced", "missing_rate")
    assert CANARY not in span.to_json()


def test_a_guardrail_beside_a_model_is_not_lost(watch: Any, client: Any, provider: LocalProvider) -> None:
    free = {"topicPolicyUnits": 0, "contentPolicyUnits": 0, "wordPolicyUnits": 3, "sensitiveInformationPolicyUnits": 0,
            "sensitiveInformationPolicyFreeUnits": 2, "contextualGroundingPolicyUnits": 0}  # fmt: skip

    def trace(**units: int) -> Any:
        metrics = {"guardrailProcessingLatency": 9, "usage": {**free, **units}}
        return {"guardrail": {"inputAssessment": {"g": {"invocationMetrics": metrics}},
                              "outputAssessments": {"g": [{"invocationMetrics": metrics}]}}}  # fmt: skip

    traces = [trace(), trace(contentPolicyUnits=2), trace(topicPolicyUnits=1)]
    provider.expect(*(Scenario(response={"trace": made}) for made in traces))
    guard = {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"}
    ask: Any = {"modelId": NOVA, "messages": MESSAGES, "guardrailConfig": guard}
    client.converse(**ask)
    client.converse(**ask)
    list(client.converse_stream(**ask)["stream"])
    assert [(one.cost.status, one.cost.reason) for one in watch.settled] == [
        ("priced", None), ("partial", "missing_rate"), ("partial", "missing_rate")]  # fmt: skip
    assert all(one.cost.total > 0 for one in watch.settled)


@pytest.mark.parametrize(("documents", "queries"), [(1, 1), (100, 1), (101, 2)])
def test_a_rerank_is_billed_by_the_query(watch: Any, provider: LocalProvider, documents: int, queries: int) -> None:
    client = client_of(provider, "bedrock-agent-runtime")
    arn = "arn:aws:bedrock:eu-central-1::foundation-model/cohere.rerank-v3-5:0"
    source: Any = {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": CANARY}}}
    client.rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": CANARY}}],
        sources=[source] * documents,
        rerankingConfiguration={
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": arn}},
        },
    )
    assert provider.ledger.billed[0].usage == {"queries": queries}
    # 2 USD per thousand queries (the book's row).
    assert (watch.one.cost.status, watch.one.cost.total) == ("priced", queries * 2 * 10**9)
    assert watch.spans[0].name.startswith("rerank ")
    client.close()


def test_a_rerank_by_its_body_is_too(watch: Any, client: Any, provider: LocalProvider) -> None:
    body = {"query": CANARY, "documents": [CANARY * 100] * 101, "api_version": 2}
    answer = client.invoke_model(modelId="amazon.rerank-v1:0", body=json.dumps(body))
    assert answer["body"].tell() == 0
    assert (watch.one.cost.status, watch.one.cost.total) == ("priced", 2 * 10**9)


def test_an_asynchronous_job_has_a_span(watch: Any, client: Any, provider: LocalProvider) -> None:
    where: Any = {"s3OutputDataConfig": {"s3Uri": "s3://bucket"}}
    video = {"taskType": "TEXT_VIDEO", "videoGenerationConfig": {"durationSeconds": 6}}
    for model in ("amazon.nova-reel-v1:1", "twelvelabs.marengo-embed-3-0-v1:0"):
        client.start_async_invoke(modelId=model, modelInput=video, outputDataConfig=where)
        video = {"inputType": "video"}
    made, embedded = watch.settled
    assert (made.operation.name, made.operation.output_type) == ("generate_content", "video")
    assert made.request.units == {"video_out_second": 6}
    assert (made.cost.status, made.cost.reason) == ("unpriced", "unknown_model")  # no row of the book yet
    assert (embedded.operation.name, embedded.cost.reason) == ("embeddings", "no_usage")
    assert len(watch.spans) == 2


def test_what_a_knowledge_base_is_asked_is_unpriced(watch: Any, provider: LocalProvider) -> None:
    """Its answer bears no count (API reference, ``Retrieve``)."""
    client = client_of(provider, "bedrock-agent-runtime")
    provider.expect(Scenario(raw=(200, "application/json", "{}")))
    client.retrieve(knowledgeBaseId="K123456789", retrievalQuery={"text": CANARY})
    assert (watch.one.operation.api, watch.one.cost.status, watch.one.cost.total) == ("run", "unpriced", None)
    client.close()
