"""One provider response is one charge: of several spans that bear it one keeps it, the others keep their tokens.

What our SDK charged is never taken back, and is never somebody else's call: of the spans that it saw each is one
charge. Twin of ``collector/rollup``: the same vectors hold both.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from otel_tokenomics.attributes import names
from otel_tokenomics.attributes.read import REPEATS, CallIdentity
from otel_tokenomics.telemetry.foreign_spans import without_ours

_INCLUSIVE: Final = (names.TOKENOMICS_SUBTREE_COST_TOTAL, names.TOKENOMICS_TRACE_COST_TOTAL)
#: What is further above a span stands for no call of the span's.
_MAX_DEPTH: Final = 256
_MAX_SPANS: Final = 8192
_MAX_SPANS_OF_A_TRACE: Final = 1024
_MAX_ROOTS: Final = 256
_MAX_STARTED: Final = 16_384


class Charged(NamedTuple):
    """One span: its place, what stood on it, what it bears now (None: unchanged), and the call that it stands for.

    ``left`` is set on a span of an earlier batch: it may hold a charge, but nothing can be taken off it any more.
    """

    trace_id: int
    span_id: int
    parent_id: int | None
    start: int
    end: int
    scope: str
    before: Mapping[str, Any]
    after: dict[str, Any] | None
    call: CallIdentity | None
    left: bool = False

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the span bears now."""
        return self.before if self.after is None else self.after

    @property
    def priced_here(self) -> bool:
        """Whether the exporter gave the span its cost, so that no total of the SDK knows of it."""
        return self.after is not None and names.TOKENOMICS_COST_TOTAL in self.after


class RecentCalls:
    """What left lately, for the spans that stand for the same calls and end later: an outer span ends after an inner.

    Bounded, the oldest trace goes first; safe in threads and after a fork.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._traces: OrderedDict[int, deque[Charged]] = OrderedDict()
        self._roots: deque[Charged] = deque(maxlen=_MAX_ROOTS)
        self._spans = 0
        _live.add(self)

    def settle(self, batch: Sequence[Charged]) -> list[dict[str, Any] | None]:
        """Return each span's attributes, None where it stays as it is, with one charge per provider response."""
        with self._lock:
            touched = {span.trace_id for span in batch if _may_change(span)}
            earlier = [span for trace_id in touched for span in self._traces.get(trace_id, ())]
            if any(_is_open(span) for span in batch):
                earlier += self._roots
            changed = settle_batch([*earlier, *batch])[len(earlier) :]
            for span, attributes in zip(batch, changed, strict=True):
                self._remember(span, attributes)
            return changed

    def _remember(self, span: Charged, attributes: dict[str, Any] | None) -> None:
        spans = self._traces.get(span.trace_id)
        if spans is None:
            if span.call is None:
                return  # the spans above a call end after it: those that end before are not among them
            spans = self._traces[span.trace_id] = deque(maxlen=_MAX_SPANS_OF_A_TRACE)
        self._spans += len(spans) < _MAX_SPANS_OF_A_TRACE
        bears = span.before if attributes is None else attributes
        total = {key: bears[key] for key in (names.TOKENOMICS_COST_TOTAL,) if key in bears}
        after = total if span.priced_here and total else None
        call = span.call
        if call is not None and bears.get(names.TOKENOMICS_COST_REASON) in REPEATS:
            call = call._replace(repeats=not call.own)
        kept = span._replace(before=total, after=after, call=call, left=True)
        spans.append(kept)
        if span.parent_id is None and span.call is not None and span.call.own:
            self._roots.append(kept)
        self._traces.move_to_end(span.trace_id)
        while self._spans > _MAX_SPANS:
            self._spans -= len(self._traces.popitem(last=False)[1])

    def after_fork(self) -> None:
        """Take a new lock in a forked child: the old one may be held by a thread that is not there any more."""
        self._lock = threading.Lock()


_live: weakref.WeakSet[RecentCalls] = weakref.WeakSet()
#: (trace, span) -> parent and scope of the spans that began lately: those above a call are exported after it.
_started: OrderedDict[tuple[int, int], tuple[int | None, str]] = OrderedDict()


def note_start(trace_id: int, span_id: int, parent_id: int | None, scope: str) -> None:
    """Remember where a span stands, for the exporters of this process: without one nothing is kept."""
    if _live:
        _started[trace_id, span_id] = parent_id, scope
        if len(_started) > _MAX_STARTED:
            _started.popitem(last=False)


def settle_batch(batch: Sequence[Charged]) -> list[dict[str, Any] | None]:
    """Return each span's attributes, None where it stays as it is, with one charge per provider response."""
    changed = [span.after for span in batch]
    above = _chains(batch)
    traces: defaultdict[int, list[int]] = defaultdict(list)
    for place, span in enumerate(batch):
        if span.call is not None:
            traces[span.trace_id].append(place)
    lost: dict[int, str] = {}
    for calls in traces.values():
        if _may_repeat(batch, calls):
            lost |= _Repetitions(batch, above, calls).find()
    # A call outside any span begins a trace, and the span of it that nobody below could see begins another one.
    roots = [at for calls in traces.values() for at in calls if None in above[at].hangs and at not in lost]
    if _may_repeat(batch, roots):
        lost |= _Repetitions(batch, above, roots).find_beside()
    for place, reason in lost.items():
        changed[place] = without_ours(batch[place].attributes, None) | {
            names.TOKENOMICS_COST_STATUS: "not_applicable",
            names.TOKENOMICS_COST_REASON: reason,
        }
    _mark_partial(batch, above, changed)
    return changed


def _may_repeat(batch: Sequence[Charged], calls: Sequence[int]) -> bool:
    return len(calls) > 1 and any(_is_open(batch[place]) for place in calls)


def _is_open(span: Charged) -> bool:
    """Return whether a charge can be taken off a span: it is not ours, and has not left yet."""
    return span.call is not None and not span.call.own and not span.call.repeats and not span.left


def _may_change(span: Charged) -> bool:
    return _is_open(span) or any(key in span.before for key in _INCLUSIVE)


class _Chain(NamedTuple):
    """What is known of the spans above one: their places in the batch, and their ids, nearest first.

    ``hangs`` are the spans, None for none, that may be current where the span's own call is made: its parent, and what
    stands above parents that its own instrumentation made, for one that hides a span may hide them all.
    """

    places: tuple[int, ...]
    ids: tuple[int, ...]
    hangs: tuple[int | None, ...]


def _chains(batch: Sequence[Charged]) -> list[_Chain]:
    places: dict[tuple[int, int], int] = {}
    for place, span in enumerate(batch):
        places.setdefault((span.trace_id, span.span_id), place)
    return [_chain(span, batch, places) for span in batch]


def _chain(span: Charged, batch: Sequence[Charged], places: Mapping[tuple[int, int], int]) -> _Chain:
    found: list[int] = []
    ids: list[int] = []
    hangs = [span.parent_id]
    seen = {span.span_id}
    parent = span.parent_id
    hidden = True
    while parent is not None and parent not in seen and len(ids) < _MAX_DEPTH:
        ids.append(parent)
        seen.add(parent)
        place = places.get((span.trace_id, parent))
        if place is not None:
            found.append(place)
            above, scope = batch[place].parent_id, batch[place].scope
        elif (known := _started.get((span.trace_id, parent))) is not None:
            above, scope = known
        else:
            break
        parent = above
        hidden = hidden and scope == span.scope
        if hidden:
            hangs.append(parent)
    return _Chain(tuple(found), tuple(ids), tuple(hangs))


class _Repetitions:
    """Finds the spans of one trace that repeat a charge. The steps go from what is sure to what is inferred."""

    def __init__(self, batch: Sequence[Charged], above: Sequence[_Chain], calls: Sequence[int]) -> None:
        self._batch, self._above = batch, above
        self._lost: dict[int, str] = {}
        #: Which call of ours has met its span of which instrumentation: each makes one span for one call.
        self._met: set[tuple[int, str]] = set()
        self._copies: dict[int, int] = {}
        self._first: dict[int, int] = {}
        for place in calls:
            if self._first.setdefault(batch[place].span_id, place) != place:
                self._copies[place] = self._first[batch[place].span_id]  # delivered twice
        # Who keeps a charge: ours, then the deepest, the earliest, the one with the smallest id.
        self._calls = sorted(self._first.values(), key=self._rank)
        #: Those of ours that stand somewhere below a span; below none the roots.
        self._under: defaultdict[int | None, list[int]] = defaultdict(list)
        for place in self._calls:
            if self._identity(place).own and self._holds(place):
                for parent in above[place].ids or (None,):
                    self._under[parent].append(place)

    def find(self) -> dict[int, str]:
        """Return the places of the spans that lose their charge, with the reason."""
        self._by_response_id()
        self._by_ancestry()
        self._containers()
        return self.find_beside()

    def find_beside(self) -> dict[int, str]:
        """Do the last step alone: of spans without a parent nothing else can tell."""
        self._beside()
        copied = {place: self._lost[first] for place, first in self._copies.items() if first in self._lost}
        return {place: reason for place, reason in (self._lost | copied).items() if _is_open(self._batch[place])}

    def _rank(self, place: int) -> tuple[bool, int, int, int]:
        span = self._batch[place]
        return not self._identity(place).own, -len(self._above[place].ids), span.start, span.span_id

    def _identity(self, place: int) -> CallIdentity:
        call = self._batch[place].call
        assert call is not None  # only calls are ranked  # noqa: S101
        return call

    def _open(self, place: int) -> bool:
        """Return whether a span may lose its charge; one that lost it before meets its call once more."""
        return place not in self._lost and (_is_open(self._batch[place]) or self._identity(place).repeats)

    def _holds(self, place: int) -> bool:
        """Return whether a span bears a charge; where ours could not be priced, nobody else's count of it is either."""
        span = self._batch[place]
        total = names.TOKENOMICS_COST_TOTAL in span.attributes
        identity = self._identity(place)
        return place not in self._lost and (total or (identity.own and any(identity.tokens)))

    def _shadow(self, place: int, holder: int) -> None:
        self._lost[place] = "shadowed"
        self._met.add((holder, self._batch[place].scope))

    def _same_model(self, one: int, other: int) -> bool:
        return not self._identity(one).models.isdisjoint(self._identity(other).models)

    def _same_counts(self, one: int, other: int) -> bool:
        tokens = self._identity(one).tokens
        return any(tokens) and tokens == self._identity(other).tokens

    def _other_response(self, one: int, other: int) -> bool:
        """Return whether both name their responses, and these differ."""
        first, second = self._identity(one).response_id, self._identity(other).response_id
        return bool(first and second and first != second)

    def _by_response_id(self) -> None:
        responses: defaultdict[str, list[int]] = defaultdict(list)
        for place in self._calls:
            if response_id := self._identity(place).response_id:
                responses[response_id].append(place)
        for places in responses.values():
            for rank, place in enumerate(places):
                for other_rank, other in enumerate(places):
                    if not self._open(place):
                        break
                    before = other_rank < rank or self._batch[other].left
                    if before and other != place and self._holds(other) and self._same_party(place, other):
                        self._shadow(place, other)

    def _same_party(self, one: int, other: int) -> bool:
        return self._identity(one).provider == self._identity(other).provider or self._same_model(one, other)

    def _by_ancestry(self) -> None:
        """A framework's span over its client's: one line of ancestors, the same model and the same tokens."""
        for place in self._calls:
            for above in self._above[place].ids:
                ancestor = self._first.get(above)
                if ancestor is None or not self._same_call(place, ancestor):
                    continue
                if self._open(ancestor) and self._holds(place):
                    self._shadow(ancestor, place)
                elif self._open(place) and self._identity(ancestor).own and self._holds(ancestor):
                    self._shadow(place, ancestor)

    def _same_call(self, one: int, other: int) -> bool:
        same = self._same_model(one, other) and self._same_counts(one, other)
        return same and not self._other_response(one, other)

    def _containers(self) -> None:
        """Somebody else's span above calls of ours, with at least their tokens: it repeats their sum."""
        for place in self._calls:
            inner = self._under.get(self._batch[place].span_id)
            if not inner or not self._open(place):
                continue
            same = all(self._same_model(place, other) and not self._other_response(place, other) for other in inner)
            sums, tokens = self._sum(inner), self._identity(place).tokens
            if same and any(sums) and sums[0] <= tokens[0] and sums[1] <= tokens[1]:
                self._lost[place] = "container"

    def _sum(self, places: Sequence[int]) -> tuple[int, int]:
        tokens = [self._identity(place).tokens for place in places]
        return sum([given for given, _ in tokens]), sum([made for _, made in tokens])

    def _beside(self) -> None:
        """Somebody else's span that nobody below could see: calls of ours under its parent, within its time."""
        batch = self._batch
        left = [place for place in self._calls if self._open(place)]
        # The earliest end first, each with the earliest start that it holds: no other order joins more pairs, and it is
        # the order in which they come where each is exported as it ends.
        left.sort(key=lambda at: (not self._identity(at).repeats, batch[at].end, -batch[at].start, batch[at].span_id))
        for step in (self._within, self._above_hidden):
            for place in left:
                partners = [at for at in step(place) if self._stands_for(place, at)] if self._open(place) else []
                if partners:
                    holder = min(partners, key=lambda at: (batch[at].start, -batch[at].end, batch[at].span_id))
                    self._shadow(place, holder)
        for place in left:
            if not self._open(place) or self._identity(place).response_id:
                continue
            parts = [part for part in self._within(place) if self._same_model(place, part)]
            if len(parts) > 1 and any(self._sum(parts)) and self._sum(parts) == self._identity(place).tokens:
                self._lost[place] = "container"
                self._met.update((part, batch[place].scope) for part in parts)

    def _within(self, place: int) -> Iterator[int]:
        """Yield the calls of ours below the same parent that the span may stand for."""
        parent = self._batch[place].parent_id
        return (other for other in self._under.get(parent, ()) if self._may_meet(place, other))

    def _above_hidden(self, place: int) -> Iterator[int]:
        """Yield those that hang higher, beside a tree of which no span was current."""
        for parent in self._above[place].hangs[1:]:
            for other in self._under.get(parent, ()):
                if self._batch[other].parent_id == parent and self._may_meet(place, other):
                    yield other

    def _may_meet(self, place: int, other: int) -> bool:
        """Return whether a call of ours lies in a span's time and met none of that instrumentation yet."""
        span, inner = self._batch[place], self._batch[other]
        apart = inner.parent_id is not None or inner.trace_id != span.trace_id
        within = span.start <= inner.start <= span.end and inner.end <= span.end
        return apart and within and (other, span.scope) not in self._met

    def _stands_for(self, place: int, other: int) -> bool:
        if self._identity(place).response_id and self._identity(other).response_id:
            return not self._other_response(place, other) and self._same_party(place, other)
        return self._same_model(place, other) and self._same_counts(place, other)


def _mark_partial(batch: Sequence[Charged], above: Sequence[_Chain], changed: list[dict[str, Any] | None]) -> None:
    """Totals that the SDK wrote on ancestors leave out what was priced here only: they say so."""
    for place, span in enumerate(batch):
        attributes = changed[place]
        if not span.priced_here or attributes is None or names.TOKENOMICS_COST_TOTAL not in attributes:
            continue
        for ancestor in above[place].places:
            bears = changed[ancestor] or batch[ancestor].before
            if any(key in bears for key in _INCLUSIVE):
                changed[ancestor] = {**bears, names.TOKENOMICS_SUBTREE_PARTIAL: True}


def _after_fork() -> None:
    for calls in _live:
        calls.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
