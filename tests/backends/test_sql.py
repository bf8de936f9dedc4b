"""The SQL of the page on ClickHouse, as printed, on DuckDB: the same text is good for both."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import duckdb
import pytest
from distribution import PAGES, collector
from recorded import Sent, attributes_of, fresh

#: The exporter's table: exporter/clickhouseexporter/internal/sqltemplates/traces_table.sql of the collector's contrib.
TABLE: Final = """CREATE TABLE otel_traces (Timestamp TIMESTAMP, TraceId VARCHAR, SpanId VARCHAR, ParentSpanId VARCHAR,
    ServiceName VARCHAR, SpanAttributes MAP(VARCHAR, VARCHAR))"""

VIEW, BY_TEAM, BY_CUSTOMER, BY_MINUTE, UNPRICED = re.findall(
    r"^```sql\n(.*?)^```", (PAGES / "clickhouse.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


class Store(NamedTuple):
    connection: duckdb.DuckDBPyConnection
    sent: tuple[Sent, ...]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Generator[Store]:
    with collector("prometheus", tmp_path_factory.mktemp("sql")) as through:
        sent = (fresh(), fresh())
        for one in sent:
            through.send(one)
        lines = through.file.read_text(encoding="utf-8").splitlines()
    connection = duckdb.connect()
    try:
        connection.execute(TABLE)
        for resource in (resource for line in lines for resource in json.loads(line)["resourceSpans"]):
            service = attributes_of(resource["resource"])["service.name"]
            for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
                # The exporter writes every value as text.
                bears = {key: v if isinstance(v, str) else json.dumps(v) for key, v in attributes_of(span).items()}
                at = datetime.fromtimestamp(int(span["startTimeUnixNano"]) / 1e9, UTC).replace(tzinfo=None)
                row = [at, span["traceId"], span["spanId"], span.get("parentSpanId", ""), service]
                keys, values = list(bears), list(bears.values())
                connection.execute("INSERT INTO otel_traces VALUES (?, ?, ?, ?, ?, MAP(?, ?))", [*row, keys, values])
        connection.execute(VIEW)
        yield Store(connection, sent)
    finally:
        connection.close()


def test_cost_by_team_is_what_the_list_prices_give(store: Store) -> None:
    rows = store.rows(BY_TEAM)
    one = store.sent[0]
    assert [team for team, *_ in rows] == ["search", "growth", "support"]
    for team, usd, calls, unpriced in rows:
        of_team = [call for call in one.calls if call.tags["team"] == team]
        assert usd == pytest.approx(float(2 * one.by("team")[team]), abs=1e-12)
        assert (calls, unpriced) == (2 * len(of_team), 2 * sum(call.cost is None for call in of_team))


def test_so_are_the_sums_of_the_other_queries(store: Store) -> None:
    one = store.sent[0]
    for query, column in ((BY_CUSTOMER, 3), (BY_MINUTE, 2)):
        # A group without a price has no sum.
        assert sum(row[column] for row in store.rows(query)) == pytest.approx(float(2 * one.total), abs=1e-12)
    tokens = sum(call.input_tokens + call.output_tokens for call in one.calls)
    assert sum(row[4] for row in store.rows(BY_CUSTOMER)) == 2 * tokens
    (unknown,) = one.unpriced
    expected = ("house-summary-1", "unknown_model", 2, 2 * (unknown.input_tokens + unknown.output_tokens))
    assert store.rows(UNPRICED) == [expected]
