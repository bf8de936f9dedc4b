"""A batch's result file: each response once, at batch rates; what failed costs nothing; nothing of the text is kept."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from anthropic.types.messages import MessageBatchIndividualResponse
from google.genai import types
from opentelemetry import metrics as otel_metrics
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import load_embedded
from otel_tokenomics.tags import tags
from otel_tokenomics.telemetry import batches
from otel_tokenomics.telemetry.batches import BatchSummary, lines_of
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Recorder
from otel_tokenomics.usage import parse_usd

CANARY = "the secret of the house"
MADE = 1_795_000_000  # 18 November 2026, in seconds
Json = dict[str, Any]


def openai_line(
    identity: str = "chatcmpl-1", *, own_id: str = "request-1", model: str = "gpt-5.4", **body: Any
) -> Json:
    """One line of an output file, as OpenAI's batch guide shows it."""
    answer = {
        "id": identity, "object": "chat.completion", "created": MADE, "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": CANARY}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
                  "prompt_tokens_details": {"cached_tokens": 200}},
        "system_fingerprint": "fp_1", **body,
    }  # fmt: skip
    return {
        "id": f"batch_req_{own_id}",
        "custom_id": own_id,
        "response": {"status_code": 200, "request_id": f"req_{own_id}", "body": answer},
        "error": None,
    }


PLAIN = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
# gpt-5.4 in a batch, per million: $1.25 in, $0.13 cached, $7.50 out: 800 x 1.25 + 200 x 0.13 + 100 x 7.5 micro-dollars
OPENAI_COST = 1_776_000_000


def anthropic_line(identity: str = "msg_1", own_id: str = "request-1") -> Json:
    """One line of a results file, as Anthropic's API reference shows it."""
    usage = {"input_tokens": 1000, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 500,
             "output_tokens": 100, "service_tier": "batch"}  # fmt: skip
    message = {"id": identity, "type": "message", "role": "assistant", "model": "claude-sonnet-5-5",
               "content": [{"type": "text", "text": CANARY}], "stop_reason": "end_turn", "stop_sequence": None,
               "usage": usage}  # fmt: skip
    return {"custom_id": own_id, "result": {"type": "succeeded", "message": message}}


# claude-sonnet-5-5 in a batch, per million: $1 in, $0.05 cached, $5 out: 1000 + 25 + 500 micro-dollars
ANTHROPIC_COST = 1_525_000_000


def gemini_line(identity: str = "r1") -> Json:
    """One line of a results file, as Google's batch guide shows it."""
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 140, "totalTokenCount": 1140}
    content = {"role": "model", "parts": [{"text": CANARY}]}
    return {
        "key": "request-1",
        "response": {
            "candidates": [{"content": content, "finishReason": "STOP"}],
            "usageMetadata": usage,
            "modelVersion": "gemini-2.5-flash",
            "responseId": identity,
        },
    }


# gemini-2.5-flash in a batch, per million: $0.15 in, $1.25 out: 150 + 140 x 1.25 micro-dollars
GEMINI_COST = 325_000_000


class Bench(NamedTuple):
    recorder: Recorder
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    def record(self, results: object, provider: str | None = None, model: str | None = None) -> BatchSummary:
        return batches.record(self.recorder, lines_of(results), provider, model, lambda: True)

    @property
    def attributes(self) -> list[dict[str, Any]]:
        return [dict(span.attributes or {}) for span in self.exporter.get_finished_spans()]

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        data: Any = self.reader.get_metrics_data()
        return [
            (dict(point.attributes), point)
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    monkeypatch.setattr(otel_metrics, "get_meter", meters.get_meter)
    monkeypatch.setattr(batches, "REMEMBERED", type(batches.REMEMBERED)())
    book = load_embedded()
    recorder = Recorder(Settings(), lambda: book, Instruments("", lambda: (book.id, 0.0)))
    recorder.writes_tags = True
    return Bench(recorder, exporter, reader)


def test_openai_lines_are_charged_at_batch_rates_when_they_were_made(bench: Bench) -> None:
    with tags(team="search"):
        done = bench.record([openai_line(), openai_line("chatcmpl-2", own_id="request-2")])
    assert done == BatchSummary(calls=2, priced=2, total=2 * OPENAI_COST)
    span = bench.exporter.get_finished_spans()[0]
    assert span.start_time == span.end_time == MADE * 1_000_000_000
    (attributes, _) = bench.attributes
    assert parse_usd(attributes["tokenomics.cost.total"]) == OPENAI_COST
    # At standard rates it would be 800 x 2.5 + 200 x 0.25 + 100 x 15 = 3550 micro-dollars.
    assert parse_usd(attributes["tokenomics.cost.savings.batch"]) == 3_550_000_000 - OPENAI_COST
    assert attributes["tokenomics.request.tier"] == "batch"
    assert attributes["tokenomics.tag.team"] == "search"
    assert attributes["gen_ai.response.id"] == "chatcmpl-1"
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (1000, 100)
    ((dimensions, point),) = bench.points("tokenomics.client.cost")
    assert parse_usd(point.value) == 2 * OPENAI_COST
    assert dimensions["tokenomics.tag.team"] == "search"
    assert [point.value for _, point in bench.points("tokenomics.client.requests")] == [2]
    # Nobody knows how long they took: no latency is claimed for them.
    assert bench.points("gen_ai.client.operation.duration") == []


@pytest.mark.parametrize(
    ("line", "provider", "cost"),
    [
        (openai_line(), "openai", OPENAI_COST),
        (anthropic_line(), "anthropic", ANTHROPIC_COST),
        (gemini_line(), "gcp.gemini", GEMINI_COST),
        # The Vertex file repeats the request; its rates are looked up under Vertex AI.
        ({"request": {"contents": [{"text": CANARY}]}, "status": "", **gemini_line()}, "gcp.vertex_ai", None),
        # Azure's mark: the filters' verdict on the prompt.
        (openai_line(prompt_filter_results=[]), "azure.ai.openai", OPENAI_COST),
        (openai_line(model="llama-3.3-70b-versatile", x_groq={"id": "g1"}, usage=PLAIN), "groq", None),
    ],
)
def test_the_format_says_who_bills(bench: Bench, line: Json, provider: str, cost: int | None) -> None:
    done = bench.record([line])
    assert (done.calls, done.priced) == (1, 1)
    assert cost is None or done.total == cost
    assert bench.attributes[0]["gen_ai.provider.name"] == provider
    assert "tokenomics.cost.flags" not in bench.attributes[0]


def test_a_file_of_another_host_in_openais_format_is_never_priced_as_openai(bench: Bench) -> None:
    line = openai_line(model="meta-llama/Llama-3.3-70B-Instruct-Turbo")
    assert bench.record([line]) == BatchSummary(calls=1, unpriced=1)
    assert bench.attributes[0]["tokenomics.cost.reason"] == "unknown_model"
    assert "tokenomics.cost.total" not in bench.attributes[0]
    told = bench.record([openai_line("other", model="meta-llama/Llama-3.3-70B-Instruct-Turbo")], "together_ai")
    assert (told.priced, bench.attributes[1]["gen_ai.provider.name"]) == (1, "together")


def test_a_rate_without_a_batch_row_is_a_lower_bound_that_says_so(bench: Bench) -> None:
    done = bench.record([openai_line(model="llama-3.3-70b-versatile", x_groq={"id": "g1"}, usage=PLAIN)])
    # 1000 x 0.59 + 100 x 0.79 micro-dollars at Groq's plain rates
    assert (done.total, done.partial) == (669_000_000, 1)
    assert bench.attributes[0]["tokenomics.cost.reason"] == "tier_unpriced"


def test_embeddings_and_responses(bench: Bench) -> None:
    embedding = openai_line()
    embedding["response"]["body"] = {
        "object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.0]}],
        "model": "text-embedding-3-small", "usage": {"prompt_tokens": 1000, "total_tokens": 1000},
    }  # fmt: skip
    response = openai_line(own_id="request-2")
    response["response"]["body"] = {
        "id": "resp_1", "object": "response", "created_at": MADE, "status": "completed", "model": "gpt-5.4",
        "output": [], "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100,
                                "input_tokens_details": {"cached_tokens": 200}},
    }  # fmt: skip
    # 1000 x $0.01 per million = 10 micro-dollars; the response costs what the chat does
    assert bench.record([embedding, response]).total == 10_000_000 + OPENAI_COST
    assert [found["gen_ai.operation.name"] for found in bench.attributes] == ["embeddings", "chat"]
    # An embedding has no id: that of its request makes it one charge.
    assert bench.record([embedding]).repeated == 1


NOVA_USAGE = {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100}
CLAUDE_OUTPUT = {"id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
                 "content": [{"type": "text", "text": CANARY}], "stop_reason": "end_turn",
                 "usage": {"input_tokens": 1000, "output_tokens": 100}}  # fmt: skip
NOVA_OUTPUT = {"output": {"message": {"role": "assistant", "content": [{"text": CANARY}]}}, "stopReason": "end_turn",
               "usage": NOVA_USAGE}  # fmt: skip


def bedrock_line(record: str, output: Json | None, **more: Any) -> str:
    """One line of a job's output file, as Bedrock's user guide shows it."""
    line: Json = {"recordId": record, "modelInput": {"inputText": CANARY}, **more}
    return json.dumps({**line, "modelOutput": output} if output is not None else line)


@pytest.mark.parametrize(
    ("model", "output", "cost"),
    [
        # Per million in a batch: $0.03 and $0.12; $1.65 and $8.25 (a region's own endpoint is a tenth dearer).
        ("amazon.nova-lite-v1:0", NOVA_OUTPUT, 1000 * 30_000 + 100 * 120_000),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", CLAUDE_OUTPUT, 1000 * 1_650_000 + 100 * 8_250_000),
    ],
)
def test_bedrock_s_records_are_charged_to_the_model_of_their_job(
    bench: Bench, model: str, output: Json, cost: int
) -> None:
    lines = [bedrock_line("R1", output), bedrock_line("R2", {**output, "id": "msg_bdrk_2"})]
    assert bench.record(lines, model=model) == BatchSummary(calls=2, priced=2, total=2 * cost)
    assert bench.record(lines, model=model) == BatchSummary(repeated=2)
    assert {found["gen_ai.provider.name"] for found in bench.attributes} == {"aws.bedrock"}
    assert CANARY not in repr(bench.attributes)


def test_a_converse_job_says_which_cache_writes_are_for_an_hour(bench: Bench) -> None:
    usage = {"inputTokens": 10, "outputTokens": 20, "totalTokens": 730, "cacheReadInputTokens": 100,
             "cacheWriteInputTokens": 600, "cacheDetails": [{"ttl": "1h", "inputTokens": 400}]}  # fmt: skip
    bench.record(
        [bedrock_line("R1", {**NOVA_OUTPUT, "usage": usage})], model="anthropic.claude-sonnet-4-5-20250929-v1:0"
    )
    assert bench.attributes[0]["tokenomics.usage.cache_write_1h"] == 400
    assert bench.attributes[0]["gen_ai.usage.input_tokens"] == 710


def test_a_damaged_bedrock_file_costs_its_damaged_lines_alone(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    whole = bedrock_line("R1", NOVA_OUTPUT)
    lines = [
        whole,
        bedrock_line("R2", None, error={"errorCode": 400, "errorMessage": CANARY}),
        whole[: len(whole) // 2],  # cut off
        bedrock_line("R3", None),
        bedrock_line("R4", {"outputs": [{"text": CANARY}]}),  # a maker whose answer bears no counts
        bedrock_line("R5", NOVA_OUTPUT),
    ]
    with caplog.at_level(logging.WARNING):
        done = bench.record("\n".join(lines), model="amazon.nova-lite-v1:0")
    assert done == BatchSummary(calls=3, priced=2, unpriced=1, total=2 * 42_000_000, failed=1, bad_lines=2)
    assert [found.get("error.type") for found in bench.attributes] == [None, "400", None, None]
    assert all(word in caplog.text for word in ("2 lines", "line 3"))
    assert CANARY not in caplog.text + repr(bench.attributes)


def test_mistral_s_lines_are_priced_at_its_own_rates(bench: Bench) -> None:
    chat = openai_line("cmpl-1", model="mistral-large-latest", usage=PLAIN)
    read = openai_line(own_id="request-2")
    read["response"]["body"] = {"pages": [], "model": "mistral-ocr-4-1", "usage_info": {"pages_processed": 3}}
    failed = {"id": "batch-1", "custom_id": "request-3", "response": {"status_code": 422, "body": {"object": "error",
              "message": CANARY, "type": "invalid_request_error"}}, "error": None}  # fmt: skip
    done = bench.record([chat, read, failed], provider="mistral")
    assert (done.calls, done.failed) == (2, 1)
    chat_span, ocr_span, failed_span = bench.attributes
    # $0.002 per page in a batch.
    assert ocr_span["tokenomics.cost.total"] == 3 * 0.002
    # No row of the book says what a batch costs: the plain rates, of which a batch may take half.
    assert chat_span["gen_ai.provider.name"] == "mistral_ai"
    assert chat_span["tokenomics.cost.status"] == "partial"
    assert failed_span["tokenomics.cost.status"] == "not_applicable"
    assert bench.record([chat, read, failed], provider="mistral").repeated == 3


def test_gemini_s_embeddings_are_counted(bench: Bench) -> None:
    line: Json = {"key": "a", "response": {"embedding": {"values": [0.1]}, "tokenCount": 1000}}
    inline = types.InlinedEmbedContentResponse.model_validate({"response": line["response"]})
    done = bench.record([json.dumps(line), inline], model="gemini-embedding-001")
    assert (done.calls, done.bad_lines) == (2, 0)
    # $0.075 per million in a batch.
    assert done.total == 2 * 75_000_000
    assert {found["gen_ai.operation.name"] for found in bench.attributes} == {"embeddings"}


FAILED: list[tuple[Json, str]] = [
    ({"custom_id": "a", "result": {"type": "errored", "error": {"type": "error", "request_id": "req_1", "error": {
        "type": "invalid_request_error", "message": CANARY}}}}, "invalid_request_error"),
    ({"custom_id": "a", "result": {"type": "expired"}}, "expired"),
    ({"custom_id": "a", "result": {"type": "canceled"}}, "canceled"),
    ({"id": "batch_req_1", "custom_id": "a", "response": None, "error": {"code": "batch_expired", "message": CANARY}},
     "batch_expired"),
    ({"id": "batch_req_2", "custom_id": "a", "error": None, "response": {"status_code": 400, "request_id": "req_2",
      "body": {"error": {"type": "invalid_request_error", "message": CANARY}}}}, "invalid_request_error"),
    ({"key": "a", "error": {"code": 400, "message": CANARY, "status": "INVALID_ARGUMENT"}}, "INVALID_ARGUMENT"),
    # Vertex AI writes a sentence where it writes anything: no word of it is recorded.
    ({"status": CANARY, "processed_time": "2026-11-18T10:00:00Z", "request": {}, "response": {}}, "error"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "error"), FAILED)
def test_what_failed_is_not_charged(bench: Bench, line: Json, error: str) -> None:
    assert bench.record([line, line]) == BatchSummary(failed=1, repeated=1)
    (attributes,) = bench.attributes
    assert (attributes["tokenomics.cost.status"], attributes["tokenomics.cost.reason"]) == (
        "not_applicable",
        "call_failed",
    )
    assert attributes["error.type"] == error
    assert "tokenomics.cost.total" not in attributes
    assert bench.points("tokenomics.client.cost") == []


def test_a_file_counts_once_however_often_it_is_handed_over(bench: Bench, tmp_path: Path) -> None:
    lines = [openai_line(), {"id": "b", "custom_id": "x", "response": None, "error": {"code": "batch_expired"}}]
    text = "\n".join(json.dumps(line) for line in lines)
    path = tmp_path / "out.jsonl"
    path.write_text(text)
    assert bench.record(path) == BatchSummary(calls=1, priced=1, total=OPENAI_COST, failed=1)
    again: list[object] = [str(path), text, text.encode(), io.StringIO(text), io.BytesIO(text.encode()), lines]
    for results in again:
        assert bench.record(results) == BatchSummary(repeated=2)
    # Whoever names the provider does not make it another response.
    assert bench.record(path, "openai") == BatchSummary(repeated=2)
    assert [point.value for _, point in bench.points("tokenomics.client.requests")] == [1, 1]


def test_equal_own_ids_of_two_batches_are_two_requests(bench: Bench) -> None:
    first = [anthropic_line("msg_1", "a"), {"custom_id": "b", "result": {"type": "expired"}}]
    second = [anthropic_line("msg_2", "a"), {"custom_id": "b", "result": {"type": "expired"}}]
    assert bench.record(first) == bench.record(second)
    assert bench.record(first).repeated == 2


def test_what_is_remembered_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_REMEMBERED", 3)
    assert bench.record([openai_line(str(number)) for number in range(5)]).calls == 5
    assert len(batches.REMEMBERED._keys) == 3
    assert bench.record([openai_line(str(number)) for number in (4, 3, 2)]).repeated == 3


def test_a_client_s_own_objects(bench: Bench) -> None:
    made = [MessageBatchIndividualResponse.model_validate(anthropic_line())]
    assert bench.record(made) == BatchSummary(calls=1, priced=1, total=ANTHROPIC_COST)
    assert bench.record([anthropic_line()]).repeated == 1

    class Content:  # what OpenAI's ``files.content`` gives back
        def iter_lines(self) -> Iterator[str]:
            yield json.dumps(openai_line())
            yield ""

    assert bench.record(Content()) == BatchSummary(calls=1, priced=1, total=OPENAI_COST)


def test_google_s_own_objects(bench: Bench) -> None:
    made = [
        types.InlinedResponse.model_validate({"response": gemini_line()["response"]}),
        types.InlinedResponse(error=types.JobError(code=400, message=CANARY)),
    ]
    assert bench.record(made) == BatchSummary(calls=1, priced=1, total=GEMINI_COST, failed=1)
    assert bench.attributes[1]["error.type"] == "400"
    assert CANARY not in repr(bench.attributes)


def test_vertex_says_when_it_answered(bench: Bench) -> None:
    line = {"request": {}, "status": "", "processed_time": "2026-11-18T10:00:00.500+00:00", **gemini_line()}
    bench.record([line])
    (span,) = bench.exporter.get_finished_spans()
    # date -u -d 2026-11-18T10:00:00 +%s
    assert span.start_time == 1_794_996_000_500_000_000


def test_bad_lines_are_one_warning_and_a_count(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bad: list[Any] = [
        CANARY, "[1]", "null", "{}", '{"custom_id": 1}', "[" * 100_000, b"\xff", 7, None,
        {"custom_id": "x", "response": {"status_code": 200, "body": CANARY}}, {"custom_id": "x", "result": {}},
        {"custom_id": "x", "result": {"type": "succeeded", "message": CANARY}},
    ]  # fmt: skip
    good = openai_line()
    with caplog.at_level(logging.DEBUG):
        done = bench.record([json.dumps(good), *bad, json.dumps(anthropic_line())])
    assert done == BatchSummary(calls=2, priced=2, total=OPENAI_COST + ANTHROPIC_COST, bad_lines=len(bad))
    (warning,) = caplog.records
    assert (warning.levelname, "12 lines" in warning.getMessage(), "line 2" in warning.getMessage()) == (
        "WARNING",
        True,
        True,
    )
    assert CANARY not in caplog.text


def test_counts_that_cannot_be_believed_are_unpriced_and_never_nothing(bench: Bench) -> None:
    lines = [
        openai_line("a", usage=None),
        openai_line("b", usage={"prompt_tokens": -5}),
        openai_line("c", usage={"prompt_tokens": 10**30, "completion_tokens": 1}),
        openai_line("d", model="gpt-7-turbo"),
    ]
    assert bench.record(lines) == BatchSummary(calls=4, unpriced=4)
    assert {found["tokenomics.cost.status"] for found in bench.attributes} == {"unpriced"}


def test_nothing_of_the_text_is_written_or_kept(bench: Bench) -> None:
    for line in (openai_line(), anthropic_line(), gemini_line(), *(line for line, _ in FAILED)):
        bench.record([line])
    written = [span.to_json() for span in bench.exporter.get_finished_spans()]
    assert len(written) == 3 + len(FAILED)
    assert CANARY not in repr((written, bench.points("tokenomics.client.requests"), list(batches.REMEMBERED._keys)))


@pytest.mark.parametrize(
    ("made", "total"),
    # On 2 December 2025 the alias moved from Large 2 ($2 and $6 per million) to Large 3 ($0.50 and $1.50).
    [("2025-12-01T23:59:59+00:00", 1000 * 2_000_000 + 100 * 6_000_000),
     ("2025-12-02T00:00:00+00:00", 1000 * 500_000 + 100 * 1_500_000)],
)  # fmt: skip
def test_last_years_batch_that_arrives_today_costs_what_it_cost_then(bench: Bench, made: str, total: int) -> None:
    created = int(datetime.fromisoformat(made).timestamp())
    line = openai_line(model="mistral-large-latest", created=created, usage=PLAIN)
    assert bench.record([line], provider="mistral").total == total
    (span,) = bench.exporter.get_finished_spans()
    assert span.start_time == created * 1_000_000_000


@pytest.mark.parametrize("created", [None, 1, -5, "soon", 10**20, True, float("nan"), time.time() + 10**6])
def test_a_time_that_cannot_be_is_now(bench: Bench, created: object) -> None:
    before = time.time_ns()
    bench.record([openai_line(created=created)])
    (span,) = bench.exporter.get_finished_spans()
    assert span.start_time is not None
    assert before <= span.start_time <= time.time_ns()


def test_moderations_are_free_and_no_call(bench: Bench) -> None:
    body = {"id": "modr-1", "model": "omni-moderation-latest", "results": []}
    assert bench.record([{"custom_id": "a", "response": {"status_code": 200, "body": body}}]) == BatchSummary(free=1)
    assert bench.attributes == []


def test_images_are_priced_by_the_model_that_was_asked_for(bench: Bench) -> None:
    line = openai_line()
    line["response"]["body"] = {"created": MADE, "data": [{"b64_json": ""}, {"b64_json": ""}]}
    bench.record([line], model="gpt-image-1")
    assert bench.attributes[0]["tokenomics.usage.image"] == 2
    assert bench.attributes[0]["gen_ai.request.model"] == "gpt-image-1"


def test_a_queue_of_spans_is_emptied_on_the_way_but_a_dead_backend_is_asked_once(bench: Bench) -> None:
    for answer, asked in ((True, 3), (False, 1)):
        calls: list[None] = []
        lines = iter([openai_line(f"{answer}-{number}") for number in range(3500)])
        batches.record(bench.recorder, lines, None, None, lambda: bool(calls.append(None)) or answer)  # noqa: B023
        assert len(calls) == asked


def test_a_batch_longer_than_the_queue_of_spans_loses_none(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(InMemorySpanExporter):
        def export(self, spans: Any) -> Any:
            time.sleep(0.1)
            return super().export(spans)

    exporter, provider = Slow(), TracerProvider(shutdown_on_exit=False)
    # The default queue holds 2048: here everything is a twentieth of that, and the backend is slow.
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100, max_export_batch_size=50))
    monkeypatch.setattr(batches, "SPANS_PER_FLUSH", 50)
    monkeypatch.setattr(bench.recorder, "_tracer", provider.get_tracer("otel_tokenomics"))
    lines = iter([openai_line(str(number)) for number in range(500)])
    done = batches.record(bench.recorder, lines, None, None, lambda: provider.force_flush(5000))
    provider.shutdown()
    assert done.calls == len(exporter.get_finished_spans()) == 500


def test_an_error_of_the_callers_own_iterator_is_his_and_what_came_before_it_counts(bench: Bench) -> None:
    def lines() -> Iterator[Json]:
        yield openai_line()
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError):
        bench.record(lines())
    assert bench.record([openai_line()]).repeated == 1
