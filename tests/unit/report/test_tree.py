"""OTLP files and the cost tree: sums of own costs, whatever the order, duplication or damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_tokenomics.errors import BadInputError
from otel_tokenomics.report import otlp_files
from otel_tokenomics.report.money_text import money_text
from otel_tokenomics.report.otlp_files import SpanRecord
from otel_tokenomics.report.tree import Node, owners, traces, walk


def span(identity: str, parent: str = "", cost: float | None = None, **attributes: Any) -> SpanRecord:
    if cost is not None:
        attributes = {"tokenomics.cost.total": cost, "tokenomics.cost.status": "priced", **attributes}
    return SpanRecord("t1", identity, parent, identity, 1, int(identity, 36), 0, False, "s", attributes, {})


TREE = [
    span("1"),
    span("2", "1"),
    span("3", "2", 0.1),
    span("4", "2", 0.2, **{"tokenomics.tag.team": "a"}),
    span("5", "1", 1.5e-07),
]


@given(st.permutations([*TREE, TREE[2]]))
def test_the_total_is_the_sum_of_own_costs_in_any_order(spans: list[SpanRecord]) -> None:
    (root,) = traces(spans)["t1"]
    # 0.1 + 0.2 + 1.5e-07 in doubles is not 0.30000015; in pico-USD it is.
    assert root.inclusive == 300_000_150_000
    assert [(level, node.span.name) for level, node in walk(root)] == [(0, "1"), (1, "2"), (2, "3"), (2, "4"), (1, "5")]


def test_a_missing_parent_makes_a_root_and_a_circle_ends() -> None:
    circle = [span("7", "8", 1.0), span("8", "7", 1.0)]
    roots = traces([span("3", "gone", 0.5), *circle])["t1"]
    assert sum(root.inclusive for root in roots) == 2_500_000_000_000


def test_a_trace_may_be_deeper_than_the_stack() -> None:
    deep = [span("1")] + [
        SpanRecord("t1", str(n), str(n - 1), "x", 1, n, 0, False, "s", {}, {}) for n in range(2, 5000)
    ]
    deep.append(span("zz", "4999", 0.25))
    (root,) = traces(deep)["t1"]
    assert root.inclusive == 250_000_000_000


def test_unpriced_is_counted_and_never_zero() -> None:
    unpriced = {"tokenomics.call.end": "completed", "tokenomics.cost.status": "unpriced", "gen_ai.request.model": "m"}
    spans = [span("1"), span("2", "1", None, **unpriced), span("3", "1", 0.1, **{"tokenomics.price.model": "n"})]
    (root,) = traces(spans)["t1"]
    assert (root.own, root.unpriced) == (None, 1)
    assert [(row.model, row.cost, row.unpriced) for row in owners(spans)] == [("n", 100_000_000_000, 0), ("m", 0, 1)]


def request(*names: str) -> bytes:
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for number, name in enumerate(names):
        scope.spans.add(trace_id=b"\x01" * 16, span_id=bytes([number]) * 8, name=name)
    return message.SerializeToString()


def test_records_are_read_back_and_a_cut_one_is_reported(tmp_path: Path) -> None:
    file = tmp_path / otlp_files.TRACES
    otlp_files.append(file, request("a" * 300, "b"))
    otlp_files.append(file, request("c"))
    assert [found.name[0] for found in otlp_files.read_spans(tmp_path)] == ["a", "b", "c"]
    file.write_bytes(file.read_bytes()[:-3])
    read: list[str] = []
    with pytest.raises(BadInputError, match=r"traces\.otlp: byte \d+: .* cut off"):
        read.extend(found.name[0] for found in otlp_files.read_spans(file))


def test_what_stands_before_the_damage_is_read(tmp_path: Path) -> None:
    file = tmp_path / "t.otlp"
    otlp_files.append(file, request("a"))
    file.write_bytes(file.read_bytes() + b"\x05\xff")
    reader = otlp_files.read_spans(file)
    assert next(reader).name == "a"
    with pytest.raises(BadInputError):
        next(reader)


@pytest.mark.parametrize("text", ["{", '{"resourceSpans": [{"scopeSpans": 7}]}', "[1]"])
def test_json_that_is_no_otlp_names_the_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_text(text)
    with pytest.raises(BadInputError, match=r"t\.json: line 1"):
        list(otlp_files.read_spans(file))


def test_otlp_json_has_hex_ids(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    found = {
        "traceId": "ab" * 16,
        "spanId": "cd" * 8,
        "name": "x",
        "attributes": [
            {"key": "tokenomics.cost.total", "value": {"doubleValue": 0.5}},
            {"key": "n", "value": {"intValue": "7"}},
        ],
    }
    content = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "s"}, "spans": [found]}]}]}
    file.write_text(json.dumps(content) + "\n" + json.dumps(content) + "\n")
    (first, _) = otlp_files.read_spans(file)
    assert (first.trace_id, first.span_id) == ("ab" * 16, "cd" * 8)
    assert first.attributes == {"tokenomics.cost.total": 0.5, "n": 7}


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (0, "$0"),
        (1, "$0.000000000001"),
        (228_000_000, "$0.000228"),
        (12_345_678, "$0.00001235"),
        (311_250_000_000, "$0.3112"),
        (500_000_000_000, "$0.50"),
        (1_234_567_000_000, "$1.2346"),
        (1_204_500_000_000_000, "$1,204.50"),
        (-2_000_000, "-$0.000002"),
    ],
)
def test_money_for_people_keeps_four_digits(pico: int, text: str) -> None:
    assert money_text(pico) == text


def total(node: Node) -> int:
    return (node.own or 0) + sum(total(child) for child in node.children)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 10**9)), max_size=9))
def test_inclusive_is_own_plus_children(shape: list[tuple[int, int]]) -> None:
    spans = [span(str(n + 1), str(parent), cost / 10**12) for n, (parent, cost) in enumerate(shape) if parent != n + 1]
    for roots in traces(spans).values():
        for root in roots:
            assert root.inclusive == total(root)
