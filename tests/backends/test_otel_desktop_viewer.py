"""otel-desktop-viewer: JSON-RPC, the page, and the DuckDB file that it leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import pytest
from distribution import PAGES, check, collector
from pictures import page, picture
from recorded import Sent, fresh
from servers import free_port, installed, request, server, wait_for

#: What a JSON-RPC answer writes as text, by its type.
_READ: Final = {"float64": float, "int64": int, "string": str, "boolean": lambda text: text == "true"}


class Viewer(NamedTuple):
    address: str
    database: Path
    sent: tuple[Sent, ...]

    def call(self, method: str, *parameters: object) -> Any:
        answer = request(f"{self.address}/rpc", {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        assert "error" not in answer, answer
        return answer["result"]


@contextmanager
def viewing(folder: Path) -> Generator[Viewer]:
    http, grpc, browser, database = free_port(), free_port(), free_port(), folder / "traces.duckdb"
    command = [
        installed("otel-desktop-viewer", "otel-desktop-viewer"), "--host", "127.0.0.1", "--open-browser=false",
        "--http", str(http), "--grpc", str(grpc), "--browser-port", str(browser), "--db", database,
    ]  # fmt: skip
    backend = {"exporters": {"otlp_http/viewer": {"endpoint": f"http://127.0.0.1:{http}"}}}
    with server(command, browser, folder / "viewer.log"):
        sent = (fresh(), fresh())
        with collector("otel-desktop-viewer", folder, backend) as through:
            for one in sent:
                through.send(one)
        yield Viewer(f"http://127.0.0.1:{browser}", database, sent)


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Generator[Viewer]:
    with viewing(tmp_path_factory.mktemp("viewer")) as running:
        yield running


def _spans(viewer: Viewer, sent: Sent) -> dict[str, dict[str, Any]]:
    spans = [found["spanData"] for found in viewer.call("searchSpans", sent.trace)["spans"]]
    return {
        span["spanID"]: {
            pair["key"]: _READ.get(pair["type"], str)(pair["value"]) for pair in span["attributes"]
        }
        for span in spans
    }  # fmt: skip


def test_every_span_bears_its_cost_tags_and_totals(viewer: Viewer) -> None:
    for sent in viewer.sent:
        check(sent, wait_for(lambda sent=sent: _spans(viewer, sent), "the trace"))


def test_traces_are_found_by_tag(viewer: Viewer) -> None:
    def by_team(team: str) -> set[str]:
        field = {"name": "tokenomics.tag.team", "searchScope": "attribute", "attributeScope": "span", "type": "string"}
        condition = {"field": field, "fieldOperator": "=", "value": team}
        answer = viewer.call(
            "searchTraces", "0", "9223372036854775807", {"id": "q", "type": "condition", "query": condition}
        )
        return set(re.findall(r'"traceID": "(\w{32})"', json.dumps(answer)))

    assert by_team("growth") == {sent.trace for sent in viewer.sent}
    assert by_team("nobody") == set()


def test_its_page_shows_what_a_call_cost(viewer: Viewer) -> None:
    sent = viewer.sent[0]
    (sonnet,) = [call for call in sent.calls if call.model == "claude-haiku-4-5"]
    with page(1300, 780) as shown:
        shown.goto(f"{viewer.address}/traces/{sent.trace}")
        shown.get_by_text("anthropic.messages.create").first.click()
        shown.get_by_text("tokenomics.cost.total").first.scroll_into_view_if_needed()
        assert shown.get_by_text(str(float(sonnet.cost or 0))).first.is_visible()
        picture(shown, "otel-desktop-viewer")


def test_the_query_of_its_page_sums_the_file_that_it_leaves(tmp_path: Path) -> None:
    with viewing(tmp_path) as viewer:
        for sent in viewer.sent:
            wait_for(lambda sent=sent: len(_spans(viewer, sent)) == sent.spans, "the trace")
    query = re.search(r"^```sql\n(.*?)^```", (PAGES / "otel-desktop-viewer.md").read_text(), re.DOTALL | re.MULTILINE)
    assert query
    connection = duckdb.connect(str(viewer.database), read_only=True)
    try:
        rows = connection.execute(query[1]).fetchall()
    finally:
        connection.close()
    one, two = viewer.sent
    assert [team for team, *_ in rows] == ["search", "growth", "support"]
    for team, usd, calls, unpriced in rows:
        assert abs(usd - float(one.by("team")[team] + two.by("team")[team])) < 1e-9
        of_team = [call for call in one.calls + two.calls if call.tags["team"] == team]
        assert (calls, unpriced) == (len(of_team), sum(call.cost is None for call in of_team))
