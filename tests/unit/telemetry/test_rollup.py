"""Running totals on ancestors: complete under threads, past a dead ancestor, and with charges of their own."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator

import pytest
import wrapt
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Span

from otel_tokenomics.pricing import Cost
from otel_tokenomics.telemetry import rollup
from otel_tokenomics.telemetry.tag_processor import TagProcessor

TRACER = TracerProvider(shutdown_on_exit=False)
TRACER.add_span_processor(TagProcessor({}))
# One micro-dollar.
MICRO = 1_000_000


def cost(total: int | None, status: str = "priced", model: str | None = "m") -> Cost:
    return Cost(
        status, None, total, {}, None, None, "sdk", "list", (), None, model, None, None, "b", {}, {}
    )  # fmt: skip


def child(parent: Span | None, name: str = "s") -> Span:
    within = trace.set_span_in_context(parent) if parent is not None else None
    return TRACER.get_tracer("t").start_span(name, within)


def call(parent: Span, total: int | None = MICRO, **fields: str) -> None:
    span = child(parent)
    nodes = rollup.ancestors_of(span)
    rollup.opened(nodes)
    rollup.settled(nodes, cost(total, **fields), (10, 1))
    span.end()


def found(span: Span) -> dict[str, object]:
    assert isinstance(span, ReadableSpan)
    return {key.removeprefix("tokenomics."): value for key, value in (span.attributes or {}).items()}


def test_an_ancestor_that_ended_and_was_collected_hides_nothing_from_those_above() -> None:
    root = child(None)
    middle = child(root)
    span = child(middle)
    rollup.opened(rollup.ancestors_of(span))
    middle.end()
    del middle
    gc.collect()
    assert found(root)["subtree.partial"] is True
    rollup.settled(rollup.ancestors_of(span), cost(MICRO), (10, 1))
    assert found(root)["subtree.partial"] is False
    assert found(root)["subtree.cost.total"] == found(root)["trace.cost.total"] == 1e-06


def test_a_proxy_counts_as_the_span_that_it_stood_for() -> None:
    """OpenInference's stands for whichever span is current: the root's total was counted twice."""
    root, other = child(None), child(None)
    middle = child(root)
    proxy = wrapt.ObjectProxy(middle)
    span = child(proxy)
    proxy.__wrapped__ = other
    rollup.opened(rollup.ancestors_of(span))
    rollup.settled(rollup.ancestors_of(span), cost(MICRO), (10, 1))
    assert found(root)["subtree.cost.total"] == found(middle)["subtree.cost.total"] == 1e-06
    assert found(other) == {}


def test_a_span_on_which_the_call_is_not_written_after_all_leaves_nothing_open() -> None:
    root = child(None)
    theirs = child(root)
    rollup.adopted(theirs)
    theirs.end()
    call(theirs)
    rollup.given_up(theirs)
    call(theirs)
    assert found(root)["subtree.partial"] is False
    assert found(root)["trace.llm_calls"] == 2


@pytest.fixture
def quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switches")
def test_a_call_begun_below_a_parent_that_has_ended_counts_above_it() -> None:
    """OpenLLMetry's workflow span of a llama-index agent ends before the agent's second round."""
    root = child(None)
    workflow = child(root)
    workflow.end()
    call(child(workflow))
    assert found(root)["subtree.cost.total"] == 1e-06
    assert "subtree.cost.total" not in found(workflow)


def test_threads_lose_nothing_and_the_last_writer_has_the_last_sum() -> None:
    root = child(None)
    threads = [threading.Thread(target=lambda: [call(root) for _ in range(100)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found(root)["trace.llm_calls"] == 800
    assert found(root)["trace.cost.total"] == 0.0008
    assert found(root)["subtree.partial"] is False


def test_a_charge_counts_on_the_span_that_holds_it_and_above() -> None:
    root = child(None)
    ocr = child(root)
    rollup.charged(ocr, rollup.ancestors_of(ocr), 3 * MICRO)
    assert found(ocr) == {}  # it holds no more than its own cost
    assert found(root)["subtree.cost.total"] == 3e-06
    assert found(root)["trace.llm_calls"] == 0
    call(ocr)
    assert found(ocr)["subtree.cost.total"] == 4e-06
    assert found(root)["trace.cost.total"] == 4e-06
    assert found(root)["trace.llm_calls"] == 1


def test_a_charge_on_the_root_is_in_the_total_of_the_trace() -> None:
    root = child(None)
    rollup.charged(root, [], MICRO)
    assert found(root)["trace.cost.total"] == 1e-06
    assert "subtree.cost.total" not in found(root)


def test_unpriced_calls_are_counted_and_are_no_zero() -> None:
    root = child(None)
    call(root, None, status="unpriced")
    call(root, None, status="not_applicable")
    assert "trace.cost.total" not in found(root)
    assert "subtree.cost.total" not in found(root)
    assert (found(root)["trace.llm_calls"], found(root)["trace.unpriced_calls"]) == (1, 1)
    assert found(root)["trace.tokens.input"] == 20


def test_the_model_that_cost_most_leads_and_ties_go_by_name() -> None:
    root = child(None)
    call(root, 2 * MICRO, model="b")
    call(root, MICRO, model="a")
    assert found(root)["trace.top_model"] == "b"
    call(root, MICRO, model="a")
    assert found(root)["trace.top_model"] == "a"


def test_trace_totals_stand_on_a_local_root_alone() -> None:
    remote = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1)))
    server = child(remote)
    call(server)
    assert found(server)["subtree.cost.total"] == 1e-06
    assert not [key for key in found(server) if key.startswith("trace.")]
