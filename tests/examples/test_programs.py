"""Programs that end by themselves: an agent, Bedrock, a coding agent's export; and the pages of all examples."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import pytest
from example_run import (
    EXAMPLES,
    MINI,
    ROOT,
    START_S,
    STOP_S,
    Place,
    cost,
    free_port,
    needs,
    outside,
    program,
    running,
    tags,
    tokens,
)

from otel_tokenomics.report.otlp_files import SpanRecord, read_spans
from otel_tokenomics.usage import parse_usd


def run(place: Place, example: str) -> str:
    done = subprocess.run(
        program(example), cwd=ROOT, env=place.environment, capture_output=True, text=True, check=False, timeout=STOP_S
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


COLLECTOR: Final = Path(
    os.environ.get("OTELCOL_TOKENOMICS", ROOT / "collector" / "distribution" / "build" / "otelcol-tokenomics")
)


@needs("langchain", "langchain_openai")
def test_rounds_of_an_agent_are_charged_once_and_its_span_bears_their_sum(place: Place) -> None:
    assert run(place, "langchain") == "Done.\n"
    # The model asked for the tool, got its result, and answered.
    assert [line.api for line in place.provider.ledger.billed] == ["chat", "chat"]
    (agent,) = [span for span in place.spans if not span.parent_id]
    calls = place.calls
    assert {span.parent_id for span in calls} == {agent.span_id}
    usage = [line.usage for line in place.provider.ledger.billed]
    assert tokens(calls) == Counter((line["prompt_tokens"], line["completion_tokens"]) for line in usage)
    assert "tokenomics.cost.total" not in agent.attributes
    total = sum(line["prompt_tokens"] * MINI[0] + line["completion_tokens"] * MINI[1] for line in usage)
    assert parse_usd(agent.attributes["tokenomics.subtree.cost.total"]) == cost(calls) == total
    for span in (agent, *calls):
        assert tags(span) == {"team": "support", "customer": "acme", "feature": "order-status"}


@needs("boto3")
def test_three_ways_to_a_model_of_bedrock_are_what_was_billed(place: Place) -> None:
    assert run(place, "bedrock") == "Done.\nword word word \nDone.\n"
    by_feature = {tags(span)["feature"]: span for span in place.calls}
    assert list(by_feature) == ["converse", "stream", "invoke"]
    # Nova Lite at $0.06 and $0.24, Claude Sonnet 4.5 by a profile of the region at $3.30 and $16.50 per million
    rates = {"converse": (60_000, 240_000), "stream": (60_000, 240_000), "invoke": (3_300_000, 16_500_000)}
    for line, (feature, (given, made)) in zip(place.provider.ledger.billed, rates.items(), strict=True):
        counts = [line.usage.get(name) or line.usage.get(other) for name, other in BEDROCK]
        span = by_feature[feature]
        assert tokens([span]) == Counter([tuple(counts)])
        assert cost([span]) == counts[0] * given + counts[1] * made
        assert (span.attributes["gen_ai.provider.name"], tags(span)["customer"]) == ("aws.bedrock", "acme")


BEDROCK: Final = (("inputTokens", "input_tokens"), ("outputTokens", "output_tokens"))


# --- a coding agent ----------------------------------------------------------------------------
#: By hand: claude-sonnet-5-5 at $2, cache read $0.1, cache write $2.5, out $10; claude-haiku-4-5 at $1 and $5.
SESSION: Final = {
    2: 12 * 2_000_000 + 18_500 * 2_500_000 + 340 * 10_000_000,
    4: 35 * 2_000_000 + 18_500 * 100_000 + 1_200 * 2_500_000 + 610 * 10_000_000,
    6: 4_200 * 1_000_000 + 900 * 5_000_000,
}
UNKNOWN: Final = 7
MAY_STAND: Final = frozenset(
    {
        "session.id", "span.type", "model", "gen_ai.system", "gen_ai.request.model", "gen_ai.response.id",
        "query_source", "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "tool_name",
    }
)  # fmt: skip


def check_session(spans: Sequence[SpanRecord]) -> None:
    by_number = {int(span.span_id, 16): span for span in spans}
    assert sorted(by_number) == list(range(1, 8))
    found = {
        number: parse_usd(span.attributes["tokenomics.cost.total"])
        for number, span in by_number.items()
        if "tokenomics.cost.total" in span.attributes
    }
    assert found == SESSION
    unknown = by_number[UNKNOWN].attributes
    assert (unknown["tokenomics.cost.status"], unknown["tokenomics.cost.reason"]) == ("unpriced", "unknown_model")
    for number in (*SESSION, UNKNOWN):
        assert tags(by_number[number]) == {"team": "search", "project": "ranking"}
        assert by_number[number].resource["service.name"] == "claude-code"


def test_the_recorded_session_holds_no_content() -> None:
    spans = list(read_spans(EXAMPLES / "coding_agent" / "session.json"))
    assert {key for span in spans for key in span.attributes} == MAY_STAND


def test_an_export_of_a_coding_agent_is_priced_on_its_way(place: Place) -> None:
    assert run(place, "coding_agent") == ""
    check_session(place.spans)
    assert place.provider.ledger.requests == []


@pytest.mark.collector
def test_the_collector_prices_a_coding_agent_to_the_same_pico_dollar(tmp_path: Path) -> None:
    assert COLLECTOR.is_file(), f"{COLLECTOR.name} is not built: run `make collector`"
    config = EXAMPLES / "coding_agent" / "collector.yaml"
    port, other, written = free_port(), free_port(), tmp_path / "coding-agents.jsonl"
    assert f"{{path: {written.name}}}" in config.read_text()
    protocols = {name: {"endpoint": f"127.0.0.1:{at}"} for name, at in (("http", port), ("grpc", other))}
    places = {"receivers": {"otlp": {"protocols": protocols}}, "exporters": {"file": {"path": str(written)}}}
    (tmp_path / "places.json").write_text(json.dumps(places))
    command = [str(COLLECTOR), "--config", str(config), "--config", str(tmp_path / "places.json")]
    with running(command, outside(tmp_path), port):
        connection = HTTPConnection("127.0.0.1", port, timeout=START_S)
        session = (EXAMPLES / "coding_agent" / "session.json").read_bytes()
        connection.request("POST", "/v1/traces", session, {"content-type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()
    check_session(list(read_spans(written)))


# --- the pages ---------------------------------------------------------------------------------
def test_every_example_has_a_page_and_stands_in_the_table() -> None:
    folders = sorted(entry.name for entry in EXAMPLES.iterdir() if entry.is_dir())
    table = re.findall(r"^\| \[([a-z_]+)\]\(examples/\1/?\)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(table) == folders
    assert [name for name in folders if not (EXAMPLES / name / "README.md").exists()] == []


@needs("langchain", "langchain_openai", "boto3")
@pytest.mark.parametrize(
    ("example", "calls", "unpriced", "responses"),
    [("langchain", 2, 0, 2), ("bedrock", 3, 0, 3), ("coding_agent", 4, 1, 0)],
)
def test_the_command_of_a_page_shows_what_came_out(
    example: str, calls: int, unpriced: int, responses: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["otel-tokenomics", "demo", "--json", *program(example)],
        cwd=ROOT, env=outside(tmp_path), capture_output=True, text=True, check=False, timeout=STOP_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [answer[name] for name in ("calls", "unpriced_calls", "billed_responses")] == [calls, unpriced, responses]
    assert (answer["tree_total"] == answer["metric_total"]) == bool(responses)
