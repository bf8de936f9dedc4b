"""Whole responses and streams: the last value wins, nothing is added twice, and nothing raises."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CompletionUsage
from usage_samples import CASES

from otel_tokenomics.usage import Usage
from otel_tokenomics.usage.dialects import APIS, anthropic, bedrock, default_api, mistral, openai_like, read

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "model": "claude-x",
        "usage": {
            "input_tokens": 10,
            "output_tokens": 1,
            "cache_creation_input_tokens": 100,
            "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
            "service_tier": "priority",
            "inference_geo": "us",
        },
    },
}
DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 50}}


def test_an_anthropic_stream_is_cumulative() -> None:
    reader = anthropic.stream_reader()
    for event in (START, {"type": "content_block_delta"}, {**DELTA, "usage": {"output_tokens": 20}}, DELTA):
        reader.observe(event)
    reading = reader.reading()
    assert reading is not None
    # 50, not 1 + 20 + 50; the split and the facts exist in message_start alone.
    assert reading.usage == Usage({"input": 10, "cache_write": 60, "cache_write_1h": 40, "output": 50})
    assert reading.facts == {"service_tier": "priority", "inference_geo": "us"}
    assert (reading.response_id, reading.response_model, reading.finish_reasons) == ("msg_1", "claude-x", ("end_turn",))


def test_compaction_is_charged_on_top_at_the_response_model() -> None:
    iteration = {"type": "compaction", "input_tokens": 7, "output_tokens": 3}
    usage = {"input_tokens": 1, "output_tokens": 2, "iterations": [{"type": "message", "input_tokens": 1}, iteration]}
    reading = anthropic.read_response({"id": "m", "model": "claude-x", "usage": usage})
    assert reading is not None
    assert reading.usage == Usage({"input": 1, "output": 2})
    assert [(charge.model, dict(charge.usage.counts)) for charge in reading.others] == [
        ("claude-x", {"input": 7, "output": 3})
    ]


def chunk(**fields: Any) -> dict[str, Any]:
    return {"id": "c1", "model": "gpt-x", "choices": [{"index": 0, "delta": {}, "finish_reason": None}], **fields}


def test_a_chat_stream_reports_on_its_last_chunk() -> None:
    reader = openai_like.stream_reader("chat")
    finish = chunk(choices=[{"index": 0, "finish_reason": "stop"}])
    last = chunk(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 7}, service_tier="default")
    for item in (chunk(), chunk(usage=None), finish, last):
        reader.observe(item)
    reading = reader.reading()
    assert reading is not None
    assert reading.usage == Usage({"input": 5, "output": 7})
    assert reading.facts == {"service_tier": "default"}
    assert reading.finish_reasons == ("stop",)


def test_a_host_that_repeats_running_totals_is_not_added_up() -> None:
    reader = openai_like.stream_reader("chat")
    for tokens in (1, 2, 3):
        reader.observe(chunk(usage={"prompt_tokens": 5, "completion_tokens": tokens}))
    reading = reader.reading()
    assert reading is not None
    assert reading.usage == Usage({"input": 5, "output": 3})


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_every_terminal_event_of_the_responses_api_carries_usage(status: str) -> None:
    reader = openai_like.stream_reader("responses")
    created = {"id": "resp_1", "model": "gpt-x", "status": "in_progress", "usage": None}
    done = {**created, "status": status, "usage": {"input_tokens": 4, "output_tokens": 6}}
    reader.observe({"type": "response.created", "response": created})
    reader.observe({"type": "response.output_text.delta", "delta": "x"})
    reader.observe({"type": f"response.{status}", "response": done})
    reading = reader.reading()
    assert reading is not None
    assert reading.usage == Usage({"input": 4, "output": 6})
    assert (reading.reason, reading.response_status) == (None, status)


def test_a_background_response_is_pending() -> None:
    reading = openai_like.read_response(
        "responses", {"id": "resp_1", "model": "gpt-x", "status": "queued", "usage": None}
    )
    assert reading is not None
    assert (reading.usage, reading.reason, reading.response_id) == (None, "pending", "resp_1")


def test_tools_of_a_response_are_billed_on_top() -> None:
    body = {"id": "r", "model": "gpt-x", "usage": {"input_tokens": 4, "output_tokens": 6},
            "tool_usage": {"web_search": {"num_requests": 2}}}  # fmt: skip
    reading = openai_like.read_response("responses", body)
    assert reading is not None
    assert reading.usage == Usage({"input": 4, "output": 6, "web_search": 2})
    assert reading.reason is None


def test_tool_calls_counted_from_output_are_a_lower_bound() -> None:
    body = {"id": "r", "model": "gpt-x", "usage": {"input_tokens": 4, "output_tokens": 6},
            "output": [{"type": "web_search_call"}, {"type": "message"}, {"type": "web_search_call"}]}  # fmt: skip
    reading = openai_like.read_response("responses", body)
    assert reading is not None
    assert reading.usage == Usage({"input": 4, "output": 6, "web_search": 2})
    assert reading.reason == "incomplete_usage"


def test_the_usage_of_groq_streams_stands_under_its_own_key() -> None:
    reading = openai_like.read_response(
        "chat", chunk(x_groq={"id": "g", "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    )
    assert reading is not None
    assert reading.usage == Usage({"input": 3, "output": 4})


def names_in(raw: Any) -> Iterator[str]:
    if isinstance(raw, dict):
        yield from raw
    for inner in raw.values() if isinstance(raw, dict) else raw if isinstance(raw, list) else ():
        yield from names_in(inner)


def words_in(raw: Any) -> Iterator[str]:
    if isinstance(raw, str):
        yield raw
    for inner in raw.values() if isinstance(raw, dict) else raw if isinstance(raw, list) else ():
        yield from words_in(inner)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({name for case in CASES for name in names_in(case.values[0]["usage"])})
FIELDS = st.sampled_from(NAMES)
PROVIDERS = sorted({case.values[0]["provider"] for case in CASES})
#: Words that make an object look like an answer, an event or a line.
WORDS = st.sampled_from(sorted({word for case in CASES for word in words_in(case.values[0]["usage"])}))
SHAPES = st.recursive(
    JUNK | WORDS,
    lambda inner: st.dictionaries(FIELDS, inner, max_size=6) | st.lists(inner, max_size=2),
    max_leaves=20,
)


@given(api=st.sampled_from((None, *APIS)), raw=SHAPES, provider=st.sampled_from((None, *PROVIDERS)))
def test_no_reader_raises_and_no_count_is_negative(api: str | None, raw: Any, provider: str | None) -> None:
    reading = read(api, raw, provider=provider)
    counts = reading.usage.counts if reading.usage is not None else {}
    assert all(isinstance(count, int) and 0 <= count <= 10**13 for count in counts.values())


@given(
    case=st.sampled_from([case.values[0] for case in CASES if case.values[0]["usage"]]),
    api=st.sampled_from((None, *APIS)),
    provider=st.sampled_from((None, *PROVIDERS)),
    data=st.data(),
)
def test_no_sample_with_a_part_replaced_raises(
    case: dict[str, Any], api: str | None, provider: str | None, data: st.DataObject
) -> None:
    raw = copy.deepcopy(case["usage"])
    place = raw
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not inner or not isinstance(inner, (dict, list)) or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(SHAPES)
    reading = read(api, raw, provider=provider)
    counts = reading.usage.counts if reading.usage is not None else {}
    assert all(isinstance(count, int) and 0 <= count <= 10**13 for count in counts.values())


@given(
    prompt=st.integers(0, 10**6), cached=st.integers(0, 10**6), written=st.integers(0, 10**6),
    audio=st.integers(0, 10**6), image=st.integers(0, 10**6),
)  # fmt: skip
def test_input_units_add_up_to_the_reported_input(
    prompt: int, cached: int, written: int, audio: int, image: int
) -> None:
    details = {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": audio, "image_tokens": image}
    reading = read("chat", {"prompt_tokens": prompt, "completion_tokens": 1, "prompt_tokens_details": details})
    assert reading.usage is not None
    counts = dict(reading.usage.counts)
    assert counts.pop("output") == 1
    if "inconsistent_usage" in reading.flags:
        assert sum(counts.values()) >= prompt
    else:
        assert sum(counts.values()) == prompt


def response(**fields: Any) -> dict[str, Any]:
    return {"id": "r", "model": "gpt-x", "usage": {"input_tokens": 4, "output_tokens": 6}, **fields}


def test_images_made_by_a_tool_are_charged_at_the_model_of_the_tool() -> None:
    image = {"input_tokens": 30, "output_tokens": 1000, "input_tokens_details": {"text_tokens": 30, "image_tokens": 0}}
    tools = [{"type": "web_search"}, {"type": "image_generation", "model": "gpt-image-x"}]
    for declared, model in ((tools, "gpt-image-x"), ([], "gpt-image-1")):
        reading = openai_like.read_response("responses", response(tool_usage={"image_gen": image}, tools=declared))
        assert reading is not None
        # Image tokens cost what the image model asks, not the rates of the model that called it.
        assert reading.usage == Usage({"input": 4, "output": 6})
        assert [(charge.model, dict(charge.usage.counts)) for charge in reading.others] == [
            (model, {"input": 30, "output": 0, "image_out": 1000})
        ]


def test_a_file_search_is_counted_where_tool_usage_leaves_it_out() -> None:
    output = [{"type": "file_search_call"}, {"type": "web_search_call"}]
    reading = openai_like.read_response("responses", response(tool_usage={"web_search": None}, output=output))
    assert reading is not None
    assert reading.usage == Usage({"input": 4, "output": 6, "file_search": 1})
    assert reading.reason is None


def test_opening_a_page_is_no_search() -> None:
    output = [{"type": "web_search_call", "action": {"type": kind}} for kind in ("search", "open_page", "find_in_page")]
    reading = openai_like.read_response("responses", response(output=output))
    assert reading is not None
    assert reading.usage == Usage({"input": 4, "output": 6, "web_search": 1})


def test_a_code_container_leaves_a_lower_bound() -> None:
    reading = openai_like.read_response("responses", response(output=[{"type": "code_interpreter_call"}]))
    assert reading is not None
    assert (reading.usage, reading.reason) == (Usage({"input": 4, "output": 6}), "incomplete_usage")


def test_a_contradiction_that_a_later_chunk_corrects_leaves_no_flag() -> None:
    reader = openai_like.stream_reader("chat")
    reader.observe(chunk(usage={"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 3}))
    first = reader.reading()
    reader.observe(chunk(usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}))
    last = reader.reading()
    assert first is not None
    assert last is not None
    assert (first.flags, last.flags) == (("inconsistent_usage",), ())


@pytest.mark.parametrize(
    ("provider", "usage", "api"),
    [
        ("openai", {"prompt_tokens": 1}, "chat"),
        ("openai", {"input_tokens": 1}, "responses"),
        ("anthropic", {"input_tokens": 1}, "messages"),
        ("anthropic", {"prompt_tokens": 1}, "chat"),
        ("gcp.vertex_ai", {"input_tokens": 1, "cache_read_input_tokens": 5}, "messages"),
        ("aws.bedrock", {"inputTokens": 1}, "converse"),
        (None, {}, "chat"),
    ],
)
def test_the_format_follows_the_object(provider: str | None, usage: dict[str, int], api: str) -> None:
    assert default_api(provider, usage) == api


def test_fields_that_a_client_has_no_name_for_yet_are_read() -> None:
    # cache_write_tokens and cost are extras of the client's model; the details stay None where they are absent.
    details = {"cached_tokens": 10, "cache_write_tokens": 20, "some_day": 1}
    usage = CompletionUsage.model_validate(
        {
            "prompt_tokens": 100,
            "completion_tokens": 5,
            "total_tokens": 105,
            "prompt_tokens_details": details,
            "cost": 0.5,
        }
    )
    reading = read("chat", usage, provider="openrouter")
    assert reading.usage == Usage({"input": 70, "cache_read": 10, "cache_write": 20, "output": 5})
    assert reading.stated_cost == 500_000_000_000


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        ({"type": "message", "usage": {"input_tokens": 4, "output_tokens": 2}}, {"input": 4, "output": 2}),
        ({"usage": {"inputTokens": 4, "outputTokens": 2}}, {"input": 4, "output": 2}),
        # Nova names the cache as the metrics do, and may say both.
        ({"usage": {"inputTokens": 4, "outputTokens": 2, "cacheReadInputTokenCount": 9, "cacheReadInputTokens": 8}},
         {"input": 4, "output": 2, "cache_read": 8}),
        ({"usage": {"inputTokens": 4, "outputTokens": 2, "cacheReadInputTokenCount": 9}},
         {"input": 4, "output": 2, "cache_read": 9}),
        # Models of other makers speak OpenAI's format: the cache is part of the prompt.
        ({"model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 2,
                                  "prompt_tokens_details": {"cached_tokens": 5}}},
         {"input": 4, "output": 2, "cache_read": 5}),
        ({"inputTextTokenCount": 4, "results": [{"tokenCount": 2}, {"tokenCount": 3}]}, {"input": 4, "output": 5}),
        ({"inputTextTokenCount": 4, "embedding": [0.5]}, {"input": 4}),
        ({"prompt_token_count": 4, "generation_token_count": 2, "generation": ""}, {"input": 4, "output": 2}),
    ],
)  # fmt: skip
def test_a_body_of_invoke_model_shows_its_maker(body: dict[str, Any], counts: dict[str, int]) -> None:
    reading = bedrock.read_body(body)
    assert reading is not None
    assert reading.usage is not None
    assert {unit: count for unit, count in reading.usage.counts.items() if count} == counts
    # The maker's own name for the model would lose the region that its price depends on.
    assert reading.response_model is None


@pytest.mark.parametrize("body", [None, [], "text", {}, {"outputs": [{"text": "", "stop_reason": "stop"}]}])
def test_a_body_without_counts_says_nothing(body: object) -> None:
    assert bedrock.read_body(body) is None


@pytest.mark.parametrize("chunk", [b'{"amazon-bedrock-invocationMetrics"', b'["message_start"]', b'"message_start"',
                                   b'{"type":"message_start","message":7}', "text", None])  # fmt: skip
def test_a_broken_chunk_of_invoke_model_is_passed_over(chunk: object) -> None:
    reader = bedrock.InvokeStreamReader()
    reader.observe({"chunk": {"bytes": chunk}})
    reading = reader.reading()
    assert reading is None or reading.usage is None
    reader.observe({"chunk": {"bytes": b'{"amazon-bedrock-invocationMetrics":{"inputTokenCount":4}}'}})
    reading = reader.reading()
    assert reading is not None
    assert reading.usage == Usage({"input": 4})


def test_a_conversation_is_known_by_what_its_connectors_brought() -> None:
    """The counts are those of https://docs.mistral.ai/agents/connectors/code_interpreter."""
    raw = {"prompt_tokens": 95, "completion_tokens": 209, "total_tokens": 399, "connector_tokens": 95,
           "connectors": {"code_interpreter": 1}}  # fmt: skip
    assert default_api("mistral_ai", raw) == "conversations"
    reading = read("conversations", raw)
    assert (reading.usage, reading.flags) == (Usage({"input": 190, "output": 209, "code_session": 1}), ())


def test_agents_of_several_models_that_answer_together_have_no_common_model() -> None:
    outputs = [{"type": "message.output", "id": f"msg_{model}", "model": model} for model in ("a", "b")]
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    reading = mistral.read_response({"outputs": outputs, "usage": usage})
    assert reading is not None
    assert (reading.response_model, reading.response_id) == (None, "msg_a")


def test_the_last_event_of_a_stream_with_xais_tools_is_a_sum() -> None:
    usage = {"prompt_tokens": 300_000, "completion_tokens": 9, "num_server_side_tools_used": 3}
    reader = openai_like.stream_reader("chat", "x_ai")
    reader.observe(chunk())
    reader.observe(chunk(choices=[], usage=usage))
    reading = reader.reading()
    assert reading is not None
    # Its size chooses no context tier, and what the tools cost is not known.
    assert (reading.summed, reading.reason) == (True, "incomplete_usage")
