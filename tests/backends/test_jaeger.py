"""Jaeger: both of its APIs, search by tag, and the sums that its page tells how to make."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import pytest
import yaml
from distribution import PAGES, check, collector, merged
from recorded import Sent, attributes_of, fresh, spans_of
from servers import free_port, installed, request, server, wait_for

SERVICE: Final = "support-assistant"


class Jaeger(NamedTuple):
    address: str
    sent: tuple[Sent, ...]

    def traces(self, query: str) -> list[dict[str, Any]]:
        return request(f"{self.address}/api/traces{query}")["data"]


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Generator[Jaeger]:
    folder = tmp_path_factory.mktemp("jaeger")
    http, grpc, query, query_grpc = (free_port() for _ in range(4))
    blocks = re.findall(r"^```yaml\n(.*?)^```", (PAGES / "jaeger.md").read_text(), re.DOTALL | re.MULTILINE)
    ports = {
        "receivers": {
            "otlp": {
                "protocols": {"http": {"endpoint": f"127.0.0.1:{http}"}, "grpc": {"endpoint": f"127.0.0.1:{grpc}"}}
            }
        },
        "extensions": {
            "jaeger_query": {
                "http": {"endpoint": f"127.0.0.1:{query}"}, "grpc": {"endpoint": f"127.0.0.1:{query_grpc}"}
            }
        },
    }  # fmt: skip
    config = folder / "jaeger.yaml"
    config.write_text(json.dumps(merged(yaml.safe_load(blocks[1]), ports)), encoding="utf-8")
    backend = {"exporters": {"otlp_http/jaeger": {"endpoint": f"http://127.0.0.1:{http}"}}}
    with server([installed("jaeger", "jaeger"), "--config", config], query, folder / "jaeger.log"):
        sent = (fresh(), fresh())
        with collector("jaeger", folder, backend) as through:
            for one in sent:
                through.send(one)
        yield Jaeger(f"http://127.0.0.1:{query}", sent)


def test_every_span_bears_its_cost_tags_and_totals(jaeger: Jaeger) -> None:
    """Over the API of version 3, which answers OTLP/JSON; parents too."""
    for sent in jaeger.sent:
        found = wait_for(lambda sent=sent: request(f"{jaeger.address}/api/v3/traces/{sent.trace}"), "the trace")
        spans = spans_of(json.loads(found)["result"])  # its content type says that it is text
        check(sent, {span["spanId"]: attributes_of(span) for span in spans})
        parents = {span["spanId"]: span.get("parentSpanId", "") for span in spans_of(sent.body)}
        assert {span["spanId"]: span.get("parentSpanId", "") for span in spans} == parents


def test_so_does_the_api_of_its_page(jaeger: Jaeger) -> None:
    for sent in jaeger.sent:
        (found,) = jaeger.traces(f"/{sent.trace}")
        tags = {span["spanID"]: span["tags"] for span in found["spans"]}
        check(sent, {span: {tag["key"]: tag["value"] for tag in of_span} for span, of_span in tags.items()})
        kinds = {tag["type"] for of_span in tags.values() for tag in of_span if tag["key"] == "tokenomics.cost.total"}
        assert kinds == {"float64"}


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({"tokenomics.tag.team": "growth"}, 2),
        ({"tokenomics.tag.customer": "acme", "tokenomics.cost.status": "unpriced"}, 2),
        ({"tokenomics.tag.customer": "globex", "tokenomics.cost.status": "unpriced"}, 0),
        ({"tokenomics.tag.team": "nobody"}, 0),
    ],
)
def test_traces_are_found_by_tag(jaeger: Jaeger, tags: dict[str, str], found: int) -> None:
    traces = jaeger.traces(f"?service={SERVICE}&tags={quote(json.dumps(tags))}")
    assert {trace["traceID"] for trace in traces} == {sent.trace for sent in jaeger.sent[:found]}


def test_the_program_of_its_page_sums_by_team(jaeger: Jaeger, tmp_path: Path) -> None:
    text = (PAGES / "jaeger.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    path = tmp_path / "cost_by_team.py"
    path.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path), jaeger.address], capture_output=True, text=True, timeout=60, check=True
    )
    one = jaeger.sent[0]
    lines = {f"{team} {2 * usd:.8f} {2 * (team == 'support')}" for team, usd in one.by("team").items()}
    assert set(done.stdout.splitlines()) == lines
