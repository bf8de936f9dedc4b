"""Claude Code's count of a session: what each model used since the session began, as its ``result`` messages say.

Source: ``ModelUsage`` and ``SDKResultMessage`` of https://code.claude.com/docs/en/agent-sdk/typescript. The query's own
``usage`` holds the calls of the main conversation alone, and of those the ones that came to their end. A program that
resumes a session goes on counting from where that stood (2.1.332, which notes it at the end of the transcript), or from
zero (the one that 0.2.100 of the SDK brings): both found by running them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple, cast

from otel_tokenomics.usage import OtherCharge, Reading
from otel_tokenomics.usage.dialects import anthropic
from otel_tokenomics.usage.dialects.counts import believed, count, field, money, word, worst

#: The words of a session's count, and Anthropic's for the same.
_WORDS: Final = (
    ("inputTokens", "input_tokens"),
    ("outputTokens", "output_tokens"),
    ("cacheReadInputTokens", "cache_read_input_tokens"),
    ("cacheCreationInputTokens", "cache_creation_input_tokens"),
)
_WRITTEN: Final = "cache_creation_input_tokens"
_SEARCHES: Final = "webSearchRequests"
_COST: Final = "costUSD"
_COUNTED: Final = (*(name for name, _ in _WORDS), _SEARCHES)
#: Facts of a query.
_FACTS: Final = ("service_tier", "speed", "inference_geo")
#: How the line of a transcript begins that says what the session had used when its program ended.
_STATE: Final = b'{"type":"cost-state"'
#: By model, each count so far, and what the program believes that it cost (pico-USD).
Tally = Mapping[str, Mapping[str, int]]


def tally(raw: object) -> Tally | None:
    """Return the counts of a session, by model; None where it states none."""
    if not isinstance(raw, Mapping):
        return None
    used = cast("Mapping[str, object]", raw)
    return {
        model: {name: believed(count(one, name)) for name in _COUNTED} | {_COST: money(one, _COST) or 0}
        for model, one in used.items()
    }


class Used(NamedTuple):
    """What one model used: Anthropic's words for it, and whether it is no more than a lower bound."""

    model: str | None
    usage: Mapping[str, object]
    bound: bool = False
    opinion: int | None = None


class SessionCount:
    """What is new with each result of one program. ``resumed``: its first may hold what an earlier one had counted."""

    def __init__(self, *, resumed: bool) -> None:
        self._resumed = resumed
        #: What was counted before the query under way; None where nobody knows.
        self.before: Tally | None = None if resumed else {}
        self._session: str | None = None
        self.results = 0

    def new(self, result: object, main: str | None) -> list[Used]:
        """Return what each model used since the result before; ``main``, the conversation's own, comes first."""
        total, query, session = tally(field(result, "modelUsage")), field(result, "usage"), word(result, "session_id")
        new, before = None, self.before
        if total is not None:
            new = _growth(total, before) if before is not None else None
            first, plausible = not self.results, new is not None and _holds(new, query)
            if self._resumed and first and not plausible:
                new = total if _holds(total, query, no_more=True) else None
            elif new is None or (session != self._session and not first and not plausible):
                new = total  # it was cleared, and began anew; some programs go on counting under another id
            self.before = total
        self._session = session
        self.results += 1
        if new is None:
            return [Used(main, _usage({name: believed(count(query, theirs)) for name, theirs in _WORDS}, query), True)]
        # The answer that an interrupted query was at is counted as far as it came, and billed as far as it was made.
        cut = word(result, "subtype") == "error_during_execution"
        found = [
            Used(model, _usage(counts, query if model == main else None), cut, believed(counts[_COST]) or None)
            for model, counts in new.items()
        ]
        return sorted(found, key=lambda used: used.model != main) or (
            [Used(main, _usage({}, None), cut)] if cut else []
        )


def nothing(main: str | None) -> Used:
    """Return what a query used that came to its end without a call."""
    return Used(main, _usage({}, None))


def read(used: object) -> Reading | None:
    """Return the reading of what one model used: a sum of requests. The lifetime of cache writes may be unknown."""
    if not isinstance(used, Used):
        return None
    reading = anthropic.read_messages(used.usage)._replace(response_model=used.model, summed=True, opinion=used.opinion)
    if used.bound and not (reading.usage and any(reading.usage.counts.values())):
        return Reading(response_model=used.model)
    assumed = used.usage[_WRITTEN] and "cache_creation" not in used.usage
    return reading._replace(
        reason="incomplete_usage" if used.bound else reading.reason,
        flags=(*reading.flags, "assumed_default") if assumed else reading.flags,
    )


def read_result(result: object) -> Reading:
    """Return the reading of one ``result`` message alone: the session so far, each model's share at its own rates."""
    used = SessionCount(resumed=False).new(result, None)
    readings = [reading for one in used if (reading := read(one)) is not None and reading.usage is not None]
    if not readings:
        return Reading()
    shares = tuple(OtherCharge(one.response_model or "", one.usage) for one in readings if one.usage is not None)
    reason = next((one.reason for one in readings if one.reason is not None), None)
    flags = tuple(dict.fromkeys(flag for one in readings for flag in one.flags))
    usage = sum((share.usage for share in shares[1:]), shares[0].usage)
    models = cast("Mapping[str, object]", field(result, "modelUsage"))
    if reason is None and worst(*(count(one, name) for one in models.values() for name in _COUNTED)):
        reason = "incomplete_usage"
    return Reading(usage, readings[0].facts, reason=reason, flags=flags, shares=shares, summed=True)


def last_state(transcript: bytes) -> Tally | None:
    """Return what the last program of a session had counted when it ended, out of its transcript's last lines."""
    states = [line for line in transcript.splitlines() if line.startswith(_STATE)]
    return tally(json.loads(states[-1]).get("modelUsage")) if states else None


def _growth(total: Tally, before: Tally) -> Tally | None:
    """Return what is new of each model that has anything new; None where a count fell."""
    new = {
        model: {
            name: total.get(model, {}).get(name, 0) - before.get(model, {}).get(name, 0) for name in (*_COUNTED, _COST)
        }
        for model in {**total, **before}
    }
    if any(counts[name] < 0 for counts in new.values() for name in _COUNTED):
        return None
    return {model: counts for model, counts in new.items() if any(counts[name] for name in _COUNTED)}


def _holds(new: Tally, query: object, *, no_more: bool = False) -> bool:
    """Return whether new counts hold all of a query's own, and (``no_more``) nothing else."""
    pairs = [(sum(one[name] for one in new.values()), believed(count(query, theirs))) for name, theirs in _WORDS]
    return all(ours == theirs if no_more else ours >= theirs for ours, theirs in pairs)


def _usage(counts: Mapping[str, int], query: object) -> dict[str, object]:
    """Return counts as a usage of the messages API; what they do not say is the query's, where its counts agree."""
    usage: dict[str, object] = {theirs: counts.get(name, 0) for name, theirs in _WORDS}
    usage["server_tool_use"] = {"web_search_requests": counts.get(_SEARCHES, 0)}
    if count(query, _WRITTEN) == usage[_WRITTEN]:
        usage["cache_creation"] = field(query, "cache_creation")
    return {**usage, **{name: value for name in _FACTS if (value := word(query, name))}}
