"""The cost tree: sums of own costs, whatever the order, duplication or damage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tokenomics.report.money_text import money_text
from otel_tokenomics.report.otlp_files import SpanRecord
from otel_tokenomics.report.tree import Node, owners, tokens, traces, walk


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


@pytest.mark.parametrize(
    "total",
    [float("nan"), float("inf"), 1e300, "0.5", True, ["x"], None],
    ids=["nan", "inf", "huge", "text", "bool", "list", "none"],
)
def test_an_amount_that_cannot_be_read_is_unpriced_and_not_zero(total: Any) -> None:
    hostile = {"tokenomics.cost.total": total, "tokenomics.cost.status": "priced", "tokenomics.call.end": "completed"}
    (root,) = traces([span("1", "", None, **hostile), span("2", "1", 0.25)])["t1"]
    assert (root.own, root.inclusive, root.unpriced) == (None, 250_000_000_000, 1)


@pytest.mark.parametrize(
    ("count", "read"),
    [
        (7, 7), ("7", 7), (7.9, 7), ("\u0667", 7), (True, None), (-1, None), ("-7", None), (10**13, None),
        ("9" * 5000, None), ([7], None), (float("nan"), None),
    ],
)  # fmt: skip
def test_counts_of_any_type(count: Any, read: int | None) -> None:
    key = "gen_ai.usage.input_tokens"
    found = span("1", "", 0.5, **{key: count, "gen_ai.request.model": ["m"]})
    assert tokens(found, "input") == read
    (row,) = owners([found])
    assert (row.model, row.input, row.calls) == ("['m']", read or 0, 1)


def test_spans_of_others_bear_tokens_and_model_in_their_own_words() -> None:
    openinference = {"llm.token_count.prompt": 12, "llm.token_count.completion": 3, "llm.model_name": "m"}
    openllmetry = {"gen_ai.usage.prompt_tokens": "7", "gen_ai.usage.completion_tokens": 2, "gen_ai.response.model": "n"}
    rows = owners([span("1", "", 0.5, **openinference), span("2", "1", 0.25, **openllmetry)])
    assert [(row.model, row.input, row.output) for row in rows] == [("m", 12, 3), ("n", 7, 2)]


def test_what_another_span_was_charged_for_is_no_call_of_an_owner() -> None:
    shadowed = {
        "tokenomics.cost.status": "not_applicable",
        "tokenomics.cost.reason": "shadowed",
        "tokenomics.call.end": "completed",
        "gen_ai.usage.input_tokens": 100,
    }
    spans = [span("1", "", None, **shadowed), span("2", "1", 0.5, **{"gen_ai.usage.input_tokens": 100})]
    (root,) = traces(spans)["t1"]
    assert (root.unpriced, root.inclusive) == (0, 500_000_000_000)
    assert [(row.calls, row.input, row.cost) for row in owners(spans)] == [(1, 100, 500_000_000_000)]


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
