"""Running totals on the ancestors of a call, as far as this process sees them while they are still recording.

The tag processor leaves weak references to all its ancestors on each span, for one that has ended may be collected
while those above it still record. Sums are integers.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Final

from opentelemetry.trace import Span, get_current_span

from otel_tokenomics.attributes import names
from otel_tokenomics.pricing import Cost
from otel_tokenomics.usage import pico_to_usd

_ANCESTORS: Final = "_tokenomics_ancestors"
_SUBTREE: Final = "_tokenomics_subtree"
_ADOPTED: Final = "_tokenomics_adopted"
_MAX_DEPTH: Final = 64
_lock = threading.Lock()


class Subtree:
    """What a span and the calls below it came to: pico-USD, calls, tokens; ``open`` calls are not settled yet.

    ``own`` is the part of the total that the span itself holds: a charge that was recorded on it, or the call that it
    stands for, which ``calls`` do not count (``itself`` does): they are those below.
    """

    __slots__: Final = ("by_model", "calls", "input", "itself", "open", "output", "own", "priced", "total", "unpriced")

    def __init__(self) -> None:
        self.total = self.own = self.open = self.calls = self.unpriced = self.priced = self.input = self.output = 0
        self.itself = 0
        self.by_model: dict[str, int] = {}


def remember_parent(span: Span, parent: Span) -> None:
    """Leave weak references to the parent and to those above it; spans that take no attributes are left alone.

    A parent that has ended takes nothing any more, but those above it may still record.
    """
    while (inner := getattr(parent, "__wrapped__", None)) is not None:
        parent = inner  # a proxy of OpenInference's stands for whichever span is current, so for another one later
    above: tuple[weakref.ref[Span], ...] = getattr(parent, _ANCESTORS, ())
    if above or parent.is_recording():
        vars(span)[_ANCESTORS] = (weakref.ref(parent), *above[:_MAX_DEPTH])


def _ancestors(span: Span) -> Iterator[Span]:
    for reference in getattr(span, _ANCESTORS, ()):  # of a wrapper (logfire's), those of the span that it wraps
        node = reference()
        if node is not None and node.is_recording():
            yield node


def ancestors_of(span: Span | None) -> list[Span]:
    """Return the recording ancestors of a call, nearest first; of the current span where the call has none."""
    if span is None:
        current = get_current_span()
        own = [current] if current.is_recording() and hasattr(current, "__dict__") else []
        return [*own, *_ancestors(current)]
    return list(_ancestors(span))


def opened(nodes: list[Span]) -> None:
    """Mark the ancestors of a call that has begun: until it settles, their totals are partial."""
    for node in nodes:
        with _lock:
            subtree = _subtree(node)
            subtree.open += 1
            if subtree.open == 1:
                node.set_attribute(names.TOKENOMICS_SUBTREE_PARTIAL, True)


def adopted(span: Span) -> None:
    """Mark the ancestors of somebody else's span on which a call is written."""
    if span.is_recording() and hasattr(span, "__dict__"):
        vars(span)[_ADOPTED] = True
        opened(ancestors_of(span))


def was_adopted(span: Span) -> bool:
    """Return whether the span's ancestors were marked by ``adopted``; they are taken to be unmarked now."""
    return getattr(span, "__dict__", {}).pop(_ADOPTED, False)


def given_up(span: Span) -> None:
    """Unmark the ancestors of somebody else's span on which the call is not written after all."""
    if was_adopted(span):
        for node in ancestors_of(span):
            with _lock:
                _subtree(node).open -= 1


def settled(
    nodes: list[Span], cost: Cost, tokens: tuple[int, int], *, was_open: bool = True, holder: Span | None = None
) -> None:
    """Add a settled call to its ancestors that are still recording, and to what stands below the call's own span.

    Within a call a client may run its caller's own functions, and these make calls too.
    """
    counted = cost.status != "not_applicable"
    for node in nodes:
        with _lock:
            subtree = _subtree(node)
            subtree.open -= was_open
            subtree.calls += counted
            _count(subtree, cost, tokens)
            _write(node, subtree)
    below: Subtree | None = getattr(holder, _SUBTREE, None)
    if holder is not None and below is not None:
        with _lock:
            below.itself += counted
            below.own += cost.total or 0
            _count(below, cost, tokens)
            _write(holder, below)


def _count(subtree: Subtree, cost: Cost, tokens: tuple[int, int]) -> None:
    subtree.unpriced += cost.status == "unpriced"
    subtree.input += tokens[0]
    subtree.output += tokens[1]
    if cost.total is not None:
        _add(subtree, cost.total, cost.model)


def charged(holder: Span | None, nodes: list[Span], amount: int) -> None:
    """Add a charge of pico-USD, that is no call, to the span that holds it and to its recording ancestors."""
    for node in nodes if holder is None else (holder, *nodes):
        with _lock:
            subtree = _subtree(node)
            if node is holder:
                subtree.own += amount
            _add(subtree, amount, None)
            _write(node, subtree)


def _subtree(node: Span) -> Subtree:
    found: Subtree | None = vars(node).get(_SUBTREE)
    if found is None:
        found = vars(node)[_SUBTREE] = Subtree()
    return found


def _add(subtree: Subtree, amount: int, model: str | None) -> None:
    subtree.priced += 1
    subtree.total += amount
    if model:
        subtree.by_model[model] = subtree.by_model.get(model, 0) + amount


def _write(node: Span, subtree: Subtree) -> None:
    """Write under the lock: of two threads that write after it, the one with the older sums might come last."""
    if not node.is_recording():
        return
    attributes: dict[str, Any] = {}
    if subtree.calls or subtree.open or subtree.total > subtree.own:
        attributes[names.TOKENOMICS_SUBTREE_PARTIAL] = subtree.open > 0
        if subtree.priced:
            attributes[names.TOKENOMICS_SUBTREE_COST_TOTAL] = pico_to_usd(subtree.total)
    if getattr(node, "parent", None) is None:
        if subtree.priced:
            attributes[names.TOKENOMICS_TRACE_COST_TOTAL] = pico_to_usd(subtree.total)
        attributes[names.TOKENOMICS_TRACE_LLM_CALLS] = subtree.calls + subtree.itself
        attributes[names.TOKENOMICS_TRACE_UNPRICED_CALLS] = subtree.unpriced
        attributes[names.TOKENOMICS_TRACE_TOKENS_INPUT] = subtree.input
        attributes[names.TOKENOMICS_TRACE_TOKENS_OUTPUT] = subtree.output
        if subtree.by_model:
            attributes[names.TOKENOMICS_TRACE_TOP_MODEL] = min(subtree.by_model.items(), key=lambda p: (-p[1], p[0]))[0]
    node.set_attributes(attributes)


def _after_fork() -> None:
    """Take a new lock in a forked child: the old one may be held by a thread that is not there any more."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
