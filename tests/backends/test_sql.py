"""The SQL of the page on ClickHouse, as printed, on DuckDB and on ClickHouse in process: one text is good for both."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import duckdb
import pytest
from distribution import PAGES, collector
from recorded import Sent, attributes_of, fresh
from servers import LIFE_S, installed

#: The exporter's table: exporter/clickhouseexporter/internal/sqltemplates/traces_table.sql of the collector's contrib.
TABLE: Final = """CREATE TABLE otel_traces (Timestamp TIMESTAMP, TraceId VARCHAR, SpanId VARCHAR, ParentSpanId VARCHAR,
    ServiceName VARCHAR, SpanAttributes MAP(VARCHAR, VARCHAR))"""

_PAGE: Final = (PAGES / "clickhouse.md").read_text(encoding="utf-8")
VIEW, BY_TEAM, BY_CUSTOMER, BY_MINUTE, UNPRICED = re.findall(r"^```sql\n(.*?)^```", _PAGE, re.DOTALL | re.MULTILINE)
(MATERIALISED,) = re.findall(r"^```clickhouse\n(.*?)^```", _PAGE, re.DOTALL | re.MULTILINE)


#: The same where there is a ClickHouse, with the exporter's types and keys.
CLICKHOUSE_TABLE: Final = """CREATE TABLE otel_traces (Timestamp DateTime64(9), TraceId String, SpanId String,
    ParentSpanId String, ServiceName LowCardinality(String), SpanAttributes Map(LowCardinality(String), String))
    ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, toDateTime(Timestamp), Timestamp)"""
#: Statements in, one a line, rows out: ClickHouse within a process that has the environment for it.
_CHDB: Final = """
import json, sys
from chdb import session
opened = session.Session()
for line in sys.stdin:
    answer = str(opened.query(json.loads(line), "JSONCompact"))
    print(json.dumps(json.loads(answer)["data"] if answer.strip() else []), flush=True)
"""


class Store(NamedTuple):
    run: Callable[[str], list[tuple[Any, ...]]]
    sent: tuple[Sent, ...]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Sent, ...], list[dict[str, Any]]]:
    """What two traces are when they have left the collector: rows of the exporter's table."""
    rows: list[dict[str, Any]] = []
    with collector("prometheus", tmp_path_factory.mktemp("sql")) as through:
        sent = (fresh(), fresh())
        for one in sent:
            through.send(one)
        lines = through.file.read_text(encoding="utf-8").splitlines()
    for resource in (resource for line in lines for resource in json.loads(line)["resourceSpans"]):
        service = attributes_of(resource["resource"])["service.name"]
        for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
            seconds, nanos = divmod(int(span["startTimeUnixNano"]), 10**9)
            rows.append({
                "Timestamp": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{nanos:09d}",
                "TraceId": span["traceId"],
                "SpanId": span["spanId"],
                "ParentSpanId": span.get("parentSpanId", ""),
                "ServiceName": service,
                # The exporter writes every value as text.
                "SpanAttributes": {
                    key: v if isinstance(v, str) else json.dumps(v) for key, v in attributes_of(span).items()
                },
            })  # fmt: skip
    return sent, rows


@contextmanager
def duckdb_store(rows: list[dict[str, Any]]) -> Generator[Callable[[str], list[tuple[Any, ...]]]]:
    connection = duckdb.connect()
    try:
        connection.execute(TABLE)
        for row in rows:
            bears = row["SpanAttributes"]
            values = [*list(row.values())[:-1], list(bears), list(bears.values())]
            connection.execute("INSERT INTO otel_traces VALUES (?, ?, ?, ?, ?, MAP(?, ?))", values)
        yield lambda query: connection.execute(query).fetchall()
    finally:
        connection.close()


@contextmanager
def chdb_store(rows: list[dict[str, Any]]) -> Generator[Callable[[str], list[tuple[Any, ...]]]]:
    command = ["timeout", str(LIFE_S), str(installed("chdb", "bin/python")), "-c", _CHDB]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        asked, answers = process.stdin, process.stdout
        assert asked is not None
        assert answers is not None

        def run(statement: str) -> list[tuple[Any, ...]]:
            print(json.dumps(statement.strip().rstrip(";")), file=asked, flush=True)
            answer = answers.readline()
            assert answer, f"refused: {statement}"
            return [tuple(row) for row in json.loads(answer)]

        try:
            run(CLICKHOUSE_TABLE)
            run("INSERT INTO otel_traces FORMAT JSONEachRow " + "\n".join(map(json.dumps, rows)))
            yield run
        finally:
            asked.close()


@pytest.fixture(scope="module", params=[duckdb_store, chdb_store])
def store(request: pytest.FixtureRequest, left: tuple[tuple[Sent, ...], list[dict[str, Any]]]) -> Generator[Store]:
    sent, rows = left
    with request.param(rows) as run:
        run(VIEW)
        yield Store(run, sent)


def test_cost_by_team_is_what_the_list_prices_give(store: Store) -> None:
    rows = store.run(BY_TEAM)
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
        assert sum(row[column] for row in store.run(query)) == pytest.approx(float(2 * one.total), abs=1e-12)
    tokens = sum(call.input_tokens + call.output_tokens for call in one.calls)
    assert sum(row[4] for row in store.run(BY_CUSTOMER)) == 2 * tokens
    (unknown,) = one.unpriced
    expected = ("house-summary-1", "unknown_model", 2, 2 * (unknown.input_tokens + unknown.output_tokens))
    assert store.run(UNPRICED) == [expected]


def test_materialised_columns_hold_the_same(left: tuple[tuple[Sent, ...], list[dict[str, Any]]]) -> None:
    sent, rows = left
    with chdb_store(rows) as run:
        for statement in MATERIALISED.strip().split("\n"):
            run(statement)
        # What is there already and what comes after.
        run("INSERT INTO otel_traces FORMAT JSONEachRow " + "\n".join(map(json.dumps, rows)))
        found = dict(run("SELECT tk_team, sum(tk_cost) FROM otel_traces GROUP BY tk_team"))
    expected = {team: float(4 * usd) for team, usd in sent[0].by("team").items()}
    # Spans without a team: the root.
    assert {team: usd for team, usd in found.items() if team} == pytest.approx(expected, abs=1e-12)
    assert found[""] == 0
