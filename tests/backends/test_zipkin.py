"""Zipkin, which takes no OTLP: the SDK prices, and sends by its zipkin exporter."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Generator
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import pytest
from distribution import PAGES
from pictures import page, picture
from record import run
from recorded import Call, Sent, fresh, spans_of
from servers import free_port, installed, request, server, wait_for

PAGE: Final = PAGES / "zipkin.md"
RUNS: Final = 2

Span = dict[str, Any]


class Zipkin(NamedTuple):
    address: str
    traces: list[list[Span]]

    def search(self, query: str) -> list[list[Span]]:
        asked = urlencode({"annotationQuery": query, "lookback": 3_600_000, "limit": 100})
        return request(f"{self.address}/api/v2/traces?{asked}")


@pytest.fixture(scope="module")
def zipkin(tmp_path_factory: pytest.TempPathFactory) -> Generator[Zipkin]:
    java = shutil.which("java")
    if java is None:
        pytest.skip("no java: make backends")
    port, jar = free_port(), installed("zipkin", "zipkin-server-3.6.1-exec.jar")
    command = [
        java, "-Xmx256m", "-jar", jar, "--armeria.ports[0].ip=127.0.0.1",
        f"--armeria.ports[0].port={port}", "--armeria.ports[0].protocols[0]=http",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with server(command, port, tmp_path_factory.mktemp("zipkin") / "log", start_s=90):
        for _ in range(RUNS):
            run("http://127.0.0.1:9", OTEL_TRACES_EXPORTER="zipkin_json",
                OTEL_EXPORTER_ZIPKIN_ENDPOINT=f"{address}/api/v2/spans")  # fmt: skip
        spans = fresh().spans
        reached = Zipkin(address, [])

        def whole() -> list[list[Span]]:
            found = reached.search("tokenomics.cost.status")
            return found if [len(trace) for trace in found] == [spans] * RUNS else []

        found = wait_for(whole, "both traces")
        yield reached._replace(traces=[request(f"{address}/api/v2/trace/{trace[0]['traceId']}") for trace in found])


@pytest.fixture(scope="module")
def expected() -> Sent:
    """What one run of the agent costs."""
    return fresh()


def _usd(span: Span, key: str) -> Decimal | None:
    """Return an amount: text, as every tag."""
    text = span["tags"].get(f"tokenomics.{key}")
    assert text is None or isinstance(text, str)
    return None if text is None else Decimal(text)


def _made(sent: Sent) -> list[Call]:
    """Return the calls in the order in which they are made."""
    starts = {span["spanId"]: int(span["startTimeUnixNano"]) for span in spans_of(sent.body)}
    return sorted(sent.calls, key=lambda call: starts[call.span])


def test_every_call_bears_its_cost_and_tags(zipkin: Zipkin, expected: Sent) -> None:
    for trace in zipkin.traces:
        calls = sorted(
            (span for span in trace if "gen_ai.request.model" in span["tags"]), key=lambda span: span["timestamp"]
        )
        assert len(calls) == len(expected.calls)
        for span, call in zip(calls, _made(expected), strict=True):
            tags = span["tags"]
            assert tags["gen_ai.request.model"] == call.model
            assert _usd(span, "cost.total") == call.cost
            assert {tag: tags[f"tokenomics.tag.{tag}"] for tag in call.tags} == call.tags
            status = ("unpriced", "unknown_model") if call.cost is None else ("priced", None)
            assert (tags["tokenomics.cost.status"], tags.get("tokenomics.cost.reason")) == status
            assert span["localEndpoint"]["serviceName"] == "support-assistant"
        assert sum(_usd(span, "cost.total") or 0 for span in trace) == expected.total


def test_totals_stand_on_the_root_and_below_add_up(zipkin: Zipkin, expected: Sent) -> None:
    for trace in zipkin.traces:
        (root,) = [span for span in trace if "parentId" not in span]
        assert _usd(root, "trace.cost.total") == expected.total
        assert root["tags"]["tokenomics.trace.llm_calls"] == str(len(expected.calls))
        assert root["tags"]["tokenomics.trace.unpriced_calls"] == str(len(expected.unpriced))
        below: defaultdict[str, Decimal] = defaultdict(Decimal)
        parents = {span["id"]: span.get("parentId") for span in trace}
        for span in trace:
            at = span["id"]
            while at is not None:
                below[at] += _usd(span, "cost.total") or 0
                at = parents[at]
        stated = {span["id"]: total for span in trace if (total := _usd(span, "subtree.cost.total")) is not None}
        assert stated == {one: below[one] for one in stated}
        # The root, three agents and a tool.
        assert len(stated) == 5


def test_traces_are_found_by_tag(zipkin: Zipkin) -> None:
    assert len(zipkin.search("tokenomics.tag.team=growth and tokenomics.cost.status=priced")) == RUNS
    assert len(zipkin.search("tokenomics.tag.team=support and tokenomics.cost.status=unpriced")) == RUNS
    # Of the trace: the unpriced call is another team's.
    assert len(zipkin.search("tokenomics.tag.team=growth and tokenomics.cost.status=unpriced")) == RUNS
    assert zipkin.search("tokenomics.tag.team=growth and tokenomics.cost.status=free") == []
    assert zipkin.search("tokenomics.tag.team=nobody") == []


def test_the_lines_of_its_page_sum_by_team(zipkin: Zipkin, expected: Sent) -> None:
    lines = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert lines
    program = lines[1].replace("http://127.0.0.1:9411", zipkin.address)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    told = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    teams = expected.by("team")
    assert {team: Decimal(words[1]) for team, words in told.items() if team != "-"} == {
        team: RUNS * usd for team, usd in teams.items()
    }
    assert told["support"][3] == str(RUNS * len(expected.unpriced))


def test_its_page_shows_what_the_trace_cost(zipkin: Zipkin, expected: Sent) -> None:
    with page(1400, 960) as shown:
        shown.goto(f"{zipkin.address}/zipkin/traces/{zipkin.traces[0][0]['traceId']}")
        shown.get_by_text("chat gpt-4o-mini").first.wait_for()
        shown.get_by_text("tokenomics.trace.cost.total").first.wait_for()
        shown.get_by_text(str(expected.total)).first.wait_for()
        picture(shown, "zipkin")
