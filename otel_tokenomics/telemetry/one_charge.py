"""One provider response is one charge: of several spans in a batch that bear it, one keeps it.

The deepest keeps it, then the earliest, then the one with the smallest id; the others lose their figures and keep
their tokens. What another batch brings cannot be seen here: that is the collector's roll-up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from otel_tokenomics.attributes import names
from otel_tokenomics.telemetry.foreign_spans import without_ours

_TOKENS: Final = (names.GEN_AI_USAGE_INPUT_TOKENS, names.GEN_AI_USAGE_OUTPUT_TOKENS)
_INCLUSIVE: Final = (names.TOKENOMICS_SUBTREE_COST_TOTAL, names.TOKENOMICS_TRACE_COST_TOTAL)
_MAX_DEPTH: Final = 4096


class Charged(NamedTuple):
    """One span of a batch: its place, what stood on it, and what it bears now (None: unchanged)."""

    trace_id: int
    span_id: int
    parent_id: int | None
    start: int
    before: Mapping[str, Any]
    after: dict[str, Any] | None

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the span bears now."""
        return self.before if self.after is None else self.after


def settle_batch(batch: Sequence[Charged]) -> list[dict[str, Any] | None]:
    """Return each span's attributes, None where it stays as it is, with one charge per provider response."""
    changed = [span.after for span in batch]
    places = {(span.trace_id, span.span_id): place for place, span in enumerate(batch)}
    above = [_ancestors(span, batch, places) for span in batch]
    holders: dict[tuple[Any, ...], int] = {}
    for place in sorted(range(len(batch)), key=lambda at: (-len(above[at]), batch[at].start, batch[at].span_id)):
        span = batch[place]
        if names.TOKENOMICS_COST_TOTAL not in span.attributes or names.TOKENOMICS_CHARGE_KIND in span.attributes:
            continue
        response = span.attributes.get(names.GEN_AI_RESPONSE_ID)
        model = span.attributes.get(names.TOKENOMICS_PRICE_MODEL)
        if response and holders.setdefault((span.trace_id, model, response), place) != place:
            changed[place] = _shadowed(span)
            continue
        # A framework's span over its client's: an ancestor of the same model and the same tokens.
        for ancestor in above[place]:
            if changed[ancestor] is not None and _same_call(batch[ancestor].attributes, span.attributes):
                changed[ancestor] = _shadowed(batch[ancestor])
    _mark_partial(batch, above, changed)
    return changed


def _ancestors(span: Charged, batch: Sequence[Charged], places: Mapping[tuple[int, int], int]) -> list[int]:
    found: list[int] = []
    current = span
    while current.parent_id is not None and len(found) < _MAX_DEPTH:
        place = places.get((span.trace_id, current.parent_id))
        if place is None or place in found or batch[place] is span:
            break
        found.append(place)
        current = batch[place]
    return found


def _same_call(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> bool:
    if names.TOKENOMICS_COST_TOTAL not in outer:
        return False
    keys = (names.TOKENOMICS_PRICE_MODEL, *_TOKENS)
    return all(outer.get(key) == inner.get(key) for key in keys) and any(inner.get(key) for key in _TOKENS)


def _shadowed(span: Charged) -> dict[str, Any]:
    return without_ours(span.attributes, None) | {
        names.TOKENOMICS_COST_STATUS: "not_applicable",
        names.TOKENOMICS_COST_REASON: "shadowed",
    }


def _mark_partial(batch: Sequence[Charged], above: Sequence[list[int]], changed: list[dict[str, Any] | None]) -> None:
    """Totals that the SDK wrote on ancestors leave out what was priced here only: they say so."""
    for place, span in enumerate(batch):
        attributes = changed[place]
        if attributes is None or names.TOKENOMICS_COST_TOTAL not in attributes or span.after is None:
            continue
        for ancestor in above[place]:
            bears = changed[ancestor] or batch[ancestor].before
            if any(key in bears for key in _INCLUSIVE):
                changed[ancestor] = {**bears, names.TOKENOMICS_SUBTREE_PARTIAL: True}
