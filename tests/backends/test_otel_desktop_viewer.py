"""otel-desktop-viewer: JSON-RPC, the page, and the DuckDB file that it leaves."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from distribution import check, collector
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


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Generator[Viewer]:
    folder = tmp_path_factory.mktemp("viewer")
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
