"""The cost tree of a trace: own and inclusive cost per span, summed in integers from own costs alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from otel_tokenomics.attributes import names
from otel_tokenomics.report.otlp_files import SpanRecord
from otel_tokenomics.usage import MAX_COUNT, parse_usd


class Node(NamedTuple):
    """One span with its children in order of start. Costs are pico-USD; ``own`` is None where there is none."""

    span: SpanRecord
    own: int | None
    inclusive: int
    unpriced: int
    children: list[Node]


class Owner(NamedTuple):
    """One row of the table by owner: calls, tokens, cost in pico-USD, calls without a price."""

    team: str
    customer: str
    model: str
    calls: int
    input: int
    output: int
    cost: int
    unpriced: int


def own_cost(span: SpanRecord) -> int | None:
    """Return a span's own cost in pico-USD; None where it bears none."""
    total = span.attributes.get(names.TOKENOMICS_COST_TOTAL)
    if not isinstance(total, (int, float)) or isinstance(total, bool):
        return None
    try:
        return parse_usd(total)
    except ValueError:
        return None


def tokens(span: SpanRecord, side: Literal["input", "output"]) -> int | None:
    """Return a token count under the first spelling that a span bears; None where there is none to believe."""
    count = _first(span, names.READ_AS[side])
    if isinstance(count, str) and count.isdecimal() and len(count) <= len(str(MAX_COUNT)):
        count = int(count)
    if isinstance(count, float) and math.isfinite(count):
        count = int(count)
    return count if type(count) is int and 0 <= count <= MAX_COUNT else None


def model_of(span: SpanRecord) -> str:
    """Return the model that was priced, else the one that answered or was asked for; an empty text without any."""
    spellings = (names.TOKENOMICS_PRICE_MODEL, *names.READ_AS["response_model"], *names.READ_AS["request_model"])
    return str(_first(span, spellings) or "")


def _first(span: SpanRecord, spellings: Iterable[str]) -> Any:
    return next((value for key in spellings if (value := span.attributes.get(key)) not in (None, "")), None)


def tags(span: SpanRecord) -> dict[str, str]:
    """Return the business tags of a span."""
    prefix, given = names.TOKENOMICS_TAG_PREFIX, span.attributes.items()
    return {key.removeprefix(prefix): str(v) for key, v in given if key.startswith(prefix) and v is not None}


def is_call(span: SpanRecord) -> bool:
    """Return whether a span is a model call of ours, or one that was priced."""
    attributes = span.attributes
    return names.TOKENOMICS_CALL_END in attributes or (
        names.TOKENOMICS_COST_STATUS in attributes and names.GEN_AI_OPERATION_NAME in attributes
    )


def is_unpriced(span: SpanRecord) -> bool:
    """Return whether a span may cost something that nobody knows; an amount that cannot be read is none."""
    status = span.attributes.get(names.TOKENOMICS_COST_STATUS)
    may_cost = is_call(span) or names.TOKENOMICS_COST_TOTAL in span.attributes
    return status == "unpriced" or (status != "not_applicable" and may_cost and own_cost(span) is None)


def traces(spans: Iterable[SpanRecord]) -> dict[str, list[Node]]:
    """Return the trees of each trace, by trace id in order of start. A span that came twice counts once.

    A span whose parent is missing is a root of its own; a circle of parents is broken at its first span.
    """
    by_trace: dict[str, dict[str, SpanRecord]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, {})[span.span_id] = span
    ordered = sorted(by_trace.items(), key=lambda entry: min(span.start_ns for span in entry[1].values()))
    return {trace: _roots(members) for trace, members in ordered}


def _roots(members: dict[str, SpanRecord]) -> list[Node]:
    children: dict[str, list[SpanRecord]] = {}
    roots: list[SpanRecord] = []
    for span in sorted(members.values(), key=lambda span: (span.start_ns, span.span_id)):
        if span.parent_id in members and span.parent_id != span.span_id:
            children.setdefault(span.parent_id, []).append(span)
        else:
            roots.append(span)
    seen: set[str] = set()
    nodes = [_node(root, children, seen) for root in roots]
    nodes += [_node(span, children, seen) for span in members.values() if span.span_id not in seen]
    return nodes


def _node(root: SpanRecord, children: dict[str, list[SpanRecord]], seen: set[str]) -> Node:
    """Build one tree without recursion: a trace may be deeper than the interpreter's stack."""
    order: list[SpanRecord] = []
    stack = [root]
    while stack:
        span = stack.pop()
        if span.span_id not in seen:
            seen.add(span.span_id)
            order.append(span)
            stack.extend(children.get(span.span_id, ()))
    built: dict[str, Node] = {}
    for span in reversed(order):
        below = [built[child.span_id] for child in children.get(span.span_id, ()) if child.span_id in built]
        own = own_cost(span)
        built[span.span_id] = Node(
            span,
            own,
            (own or 0) + sum(child.inclusive for child in below),
            is_unpriced(span) + sum(child.unpriced for child in below),
            below,
        )
    return built[root.span_id]


def walk(node: Node, depth: int = 0) -> Iterator[tuple[int, Node]]:
    """Yield a tree's nodes with their depth, parents first."""
    stack = [(depth, node)]
    while stack:
        level, current = stack.pop()
        yield level, current
        stack.extend((level + 1, child) for child in reversed(current.children))


def owners(spans: Iterable[SpanRecord]) -> list[Owner]:
    """Return charged calls, their tokens and cost by team, customer and model, the dearest first."""
    rows: dict[tuple[str, str, str], list[Any]] = {}
    for span in spans:
        cost = own_cost(span)
        if cost is None and not is_unpriced(span):
            continue
        owned = tags(span)
        key = (owned.get("team", ""), owned.get("customer", ""), model_of(span) or span.name)
        row = rows.setdefault(key, [0, 0, 0, 0, 0])
        row[0] += 1
        row[1] += tokens(span, "input") or 0
        row[2] += tokens(span, "output") or 0
        row[3] += cost or 0
        row[4] += is_unpriced(span)
    found = [Owner(*key, *row) for key, row in rows.items()]
    return sorted(found, key=lambda row: (-row.cost, row))
