"""Running totals on the ancestors of a call, as far as this process sees them while they are still recording.

The tag processor leaves a weak reference to its parent on each span; an ended ancestor is skipped. Sums are integers.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from typing import Any, Final

from opentelemetry.trace import Span, get_current_span

from otel_tokenomics.attributes import names
from otel_tokenomics.pricing import Cost
from otel_tokenomics.usage import pico_to_usd

_PARENT: Final = "_tokenomics_parent"
_SUBTREE: Final = "_tokenomics_subtree"
_MAX_DEPTH: Final = 64
_lock = threading.Lock()


class Subtree:
    """What the calls below one span came to: pico-USD, calls, tokens; ``open`` calls are not settled yet."""

    __slots__: Final = ("by_model", "calls", "input", "open", "output", "priced", "total", "unpriced")

    def __init__(self) -> None:
        self.total = self.open = self.calls = self.unpriced = self.priced = self.input = self.output = 0
        self.by_model: dict[str, int] = {}


def remember_parent(span: Span, parent: Span) -> None:
    """Leave a weak reference to the parent on a span; spans that take no attributes are left alone."""
    if parent.is_recording():
        vars(span)[_PARENT] = weakref.ref(parent)


def _ancestors(span: Span) -> Iterator[Span]:
    for _ in range(_MAX_DEPTH):
        reference = getattr(span, "__dict__", {}).get(_PARENT)
        parent = reference() if reference is not None else None
        if parent is None:
            return
        yield parent
        span = parent


def ancestors_of(span: Span | None) -> list[Span]:
    """Return the recording ancestors of a call, nearest first; of the current span where the call has none."""
    if span is None:
        current = get_current_span()
        return [node for node in (current, *_ancestors(current)) if node.is_recording() and hasattr(node, "__dict__")]
    return [node for node in _ancestors(span) if node.is_recording()]


def opened(nodes: list[Span]) -> None:
    """Mark the ancestors of a call that has begun: until it settles, their totals are partial."""
    for node in nodes:
        with _lock:
            subtree = _subtree(node)
            subtree.open += 1
            first = subtree.open == 1
        if first:
            node.set_attribute(names.TOKENOMICS_SUBTREE_PARTIAL, True)


def settled(
    nodes: list[Span], cost: Cost, tokens: tuple[int, int], *, was_open: bool = True, call: bool = True
) -> None:
    """Add a settled call, or a charge, to its ancestors that are still recording."""
    for node in nodes:
        with _lock:
            subtree = _subtree(node)
            subtree.open -= was_open
            _add(subtree, cost, tokens, call=call)
            attributes = _attributes(node, subtree)
        if node.is_recording():
            node.set_attributes(attributes)


def _subtree(node: Span) -> Subtree:
    found: Subtree | None = vars(node).get(_SUBTREE)
    if found is None:
        found = vars(node)[_SUBTREE] = Subtree()
    return found


def _add(subtree: Subtree, cost: Cost, tokens: tuple[int, int], *, call: bool) -> None:
    if call and cost.status != "not_applicable":
        subtree.calls += 1
        subtree.unpriced += cost.status == "unpriced"
    subtree.input += tokens[0]
    subtree.output += tokens[1]
    if cost.total is not None:
        subtree.priced += 1
        subtree.total += cost.total
        if cost.model:
            subtree.by_model[cost.model] = subtree.by_model.get(cost.model, 0) + cost.total


def _attributes(node: Span, subtree: Subtree) -> dict[str, Any]:
    attributes: dict[str, Any] = {names.TOKENOMICS_SUBTREE_PARTIAL: subtree.open > 0}
    if subtree.priced:
        attributes[names.TOKENOMICS_SUBTREE_COST_TOTAL] = pico_to_usd(subtree.total)
    if getattr(node, "parent", None) is None:
        if subtree.priced:
            attributes[names.TOKENOMICS_TRACE_COST_TOTAL] = pico_to_usd(subtree.total)
        attributes[names.TOKENOMICS_TRACE_LLM_CALLS] = subtree.calls
        attributes[names.TOKENOMICS_TRACE_UNPRICED_CALLS] = subtree.unpriced
        attributes[names.TOKENOMICS_TRACE_TOKENS_INPUT] = subtree.input
        attributes[names.TOKENOMICS_TRACE_TOKENS_OUTPUT] = subtree.output
        if subtree.by_model:
            attributes[names.TOKENOMICS_TRACE_TOP_MODEL] = min(subtree.by_model.items(), key=lambda p: (-p[1], p[0]))[0]
    return attributes
