"""Google's formats: generate content (Gemini API, Vertex AI, live) and interactions.

The prompt includes the cache; tool results are extra input and thoughts extra output, so the total is
prompt + candidates + tool use + thoughts. Source: Google's API reference, object ``UsageMetadata``.
"""

from __future__ import annotations

import functools
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.usage import NO_FACTS, Facts, Reading, Usage
from otel_tokenomics.usage.dialects.counts import (
    BAD,
    HUGE,
    Counts,
    believed,
    count,
    field,
    fields_of,
    items,
    reason_of,
    split_input,
    word,
    worst,
)

#: Our words for the classes of traffic; on-demand traffic is the standard tier.
_TIER_OF: Final = MappingProxyType(
    {
        "on_demand": "standard",
        "on_demand_flex": "flex",
        "on_demand_priority": "priority",
        "on_demand_offpeak": "offpeak",
        "provisioned_throughput": "provisioned",
    }
)
#: Models whose grounding is billed by the prompt.
_BY_PROMPT: Final = ("gemini-1", "gemini-2", "gemini-live-2")
#: Beside the prompt's.
_COUNTS: Final = (
    "candidates_token_count", "total_token_count", "thoughts_token_count", "cached_content_token_count",
    "tool_use_prompt_token_count",
)  # fmt: skip
#: Among the modalities, the mark of counts that cannot be believed.
_BAD: Final = "bad"
_UNIT_OF: Final = MappingProxyType({"audio": "audio", "image": "image", "video": "video"})


def read_generate_content(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of one ``usageMetadata`` (camel or snake case), of one request alone."""
    raw = fields_of(raw)
    prompt, cached = _count(raw, "prompt_token_count"), _count(raw, "cached_content_token_count")
    tool_use, thoughts = _count(raw, "tool_use_prompt_token_count"), _count(raw, "thoughts_token_count")
    made = _count(raw, "candidates_token_count")
    if made is None:
        made = _count(raw, "response_token_count")  # the live API's word
    total = _count(raw, "total_token_count")
    if prompt is None and total is not None and total >= 0 and made is not None:
        # Protobuf's JSON leaves a zero out.
        prompt = 0
    given = _modalities(raw, "prompt_tokens_details")
    tools = _modalities(raw, "tool_use_prompt_tokens_details") if tool_use else {}
    joint = _modalities(raw, "cache_tokens_details") if cached else {}
    spoken = _modalities(raw, "candidates_tokens_details") or _modalities(raw, "response_tokens_details")
    bad = worst(
        prompt, cached, tool_use, thoughts, made, *(part.pop(_BAD, 0) for part in (given, tools, spoken, joint))
    )
    if tools:
        given = _added(given, tools)
    counts: Counts = {}
    flags = False
    if prompt is not None and prompt >= 0:
        flags = _input(counts, prompt + believed(tool_use), believed(cached), given, joint)
    elif cached is not None and cached > 0:
        counts["cache_read"] = cached
    if made is None and prompt is not None and total is not None:
        made = 0
    if made is not None and made >= 0:
        flags |= _output(counts, made, spoken)
    if believed(thoughts):
        counts["reasoning"] = believed(thoughts)
    reason = reason_of(bad, counts)
    if total is not None and total > 0 and counts and not bad:
        known = sum(counts.values())
        reason = "incomplete_usage" if total > known else reason
        flags |= total < known
    return _reading(counts, bad, reason, flags=flags, facts=_facts(raw))


def read_interactions(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of an interaction's usage; thoughts stand outside the output where the total says so."""
    prompt, cached = _count(raw, "total_input_tokens"), _count(raw, "total_cached_tokens")
    made, thoughts = _count(raw, "total_output_tokens"), _count(raw, "total_thought_tokens")
    tool_use, total = _count(raw, "total_tool_use_tokens"), _count(raw, "total_tokens")
    kinds = ("input_tokens", "tool_use_tokens", "cached_tokens", "output_tokens")
    given, tools, joint, spoken = (_modalities(raw, f"{kind}_by_modality", key="tokens") for kind in kinds)
    searches = [
        (word(entry, "type"), _count(entry, "count"))
        for entry in items(raw, "grounding_tool_count") or items(raw, "groundingToolCount")
    ]
    bad = worst(prompt, cached, made, thoughts, tool_use, *(number for _, number in searches),
                *(part.pop(_BAD, 0) for part in (given, tools, joint, spoken)))  # fmt: skip
    counts: Counts = {}
    flags = False
    if prompt is not None and prompt >= 0:
        flags = _input(counts, prompt + believed(tool_use), believed(cached), _added(given, tools), joint)
    if made is not None and made >= 0:
        thought = believed(thoughts)
        outside = total is None or thought > made or total == believed(prompt) + believed(tool_use) + made + thought
        flags |= _output(counts, made if outside else made - thought, spoken)
        if thought:
            counts["reasoning"] = thought
    reason = reason_of(bad, counts)
    if total is not None and counts and not bad and total > sum(counts.values()):
        reason = "incomplete_usage"
    for kind, number in searches:
        if counts and kind == "google_search":
            counts["web_search"] = counts.get("web_search", 0) + believed(number)
        elif believed(number):
            reason = reason or "missing_rate"  # maps and retrieval have no unit here
    return _reading(counts, bad, reason, flags=flags, facts=_facts(raw))


def read_interaction(response: object) -> Reading | None:
    """Return the reading of an interaction, or of an event of its stream that bears it; None where it says nothing."""
    told = field(response, "interaction")
    response = response if told is None else told
    usage, status = field(response, "usage"), word(response, "status")
    model, identity = word(response, "model"), word(response, "id")
    if usage is None and status is None:
        return None
    reading = read_interactions(usage) if usage is not None else Reading()
    if reading.usage is not None and "web_search" in reading.usage.counts and (model or "").startswith(_BY_PROMPT):
        reading = reading._replace(usage=Usage({**reading.usage.counts, "web_search": 1}))
    return reading._replace(response_model=model, response_id=identity, response_status=status)


def _input(counts: Counts, given: int, cached: int, parts: Counts, joint: Counts) -> bool:
    """Fill in the input units, disjoint; return whether the parts contradict the whole."""
    if joint:
        # The cache says itself what it held: cached audio has a unit of its own, cached pictures are plain reads.
        heard = min(joint.get("audio", 0), cached)
        units = {
            "cache_read": cached - heard,
            "audio_cache_read": heard,
            **{f"{unit}_in": max(number - joint.get(unit, 0), 0) for unit, number in parts.items()},
        }
        left = given - sum(units.values())
    else:
        left, units = split_input(given, cached, 0, {f"{unit}_in": number for unit, number in parts.items()})
    counts["input"] = max(left, 0)
    counts |= {unit: number for unit, number in units.items() if number}
    return left < 0


def _output(counts: Counts, made: int, spoken: Counts) -> bool:
    """Fill in the output units, disjoint; return whether the parts contradict the whole."""
    parts = {f"{unit}_out": number for unit, number in spoken.items() if number}
    counts["output"] = max(made - sum(parts.values()), 0)
    counts |= parts
    return sum(parts.values()) > made


def _added(one: Counts, other: Counts) -> Counts:
    return {unit: one.get(unit, 0) + other.get(unit, 0) for unit in {**one, **other}}


def read_response(response: object, _provider: str | None = None) -> Reading | None:
    """Return the reading of a whole response or one chunk of a stream; None where it says nothing."""
    usage = _field(response, "usage_metadata")
    model, identity = _word(response, "model_version"), _word(response, "response_id")
    if usage is None and model is None and identity is None:
        return None
    reading = read_generate_content(usage) if usage is not None else Reading()
    reading = reading._replace(response_model=model, response_id=identity, finish_reasons=_finish_reasons(response))
    searches = _Searches()
    searches.observe(response)
    return searches.counted(reading)


def read_embeddings(response: object) -> Reading:
    """Return the reading of embeddings, of Vertex AI's ``predict`` too.

    Vertex AI counts tokens by text, newer APIs by response, the Gemini API at times not. The characters that Vertex AI
    counts beside the tokens are the same text again.
    """
    usage = _field(response, "usage_metadata")
    if usage is not None:
        return read_generate_content(usage)
    made = [*items(response, "embeddings"), *(field(one, "embeddings") for one in items(response, "predictions"))]
    counted = [_count(field(one, "statistics"), "token_count") for one in made if one is not None]
    if not counted or None in counted:
        return Reading()
    counts = {"input": sum(map(believed, counted))} if any(number != BAD for number in counted) else {}
    return _reading(counts, worst(*counted), reason_of(worst(*counted), counts), flags=False, facts=NO_FACTS)


def read_predictions(response: object) -> Reading:
    """Return the reading of an answer of Vertex AI's ``predict``: embeddings, or images that were made."""
    kept = [
        one for one in items(response, "predictions") if _field(one, "bytes_base64_encoded") or _field(one, "gcs_uri")
    ]
    return Reading(Usage({"image": len(kept)})) if kept else read_embeddings(response)


class _Searches:
    """Counts what grounding costs: searches of the web, by the query or by the prompt; maps have no unit here.

    Gemini 3 is billed for each query that it sends, empty ones and repetitions aside; Gemini 2.5 and older ones for
    each prompt that was grounded, whatever the number of its queries. Source: the Gemini API's pages "Grounding with
    Google Search" (section on pricing) and "Pricing".
    """

    __slots__: Final = ("_found", "_maps", "_queries")

    def __init__(self) -> None:
        #: Of each query, what tells it from the others: its text is not kept.
        self._queries: set[int] = set()
        self._found = self._maps = False

    def observe(self, response: object) -> None:
        """Take note of the grounding of a response, or of one chunk of a stream."""
        for one in items(response, "candidates"):
            told = _field(one, "grounding_metadata")
            if told is None:
                continue
            for name in ("web_search_queries", "image_search_queries"):
                asked = items(told, name) or items(told, _camel(name))
                self._queries |= {hash(query) for query in asked if isinstance(query, str) and query.strip()}
            for chunk in items(told, "grounding_chunks") or items(told, "groundingChunks"):
                self._found = self._found or any(field(chunk, name) is not None for name in ("web", "image"))
                self._maps = self._maps or field(chunk, "maps") is not None

    def counted(self, reading: Reading) -> Reading:
        """Return a reading with what was searched; without other usage it says nothing."""
        if reading.usage is None or not (self._queries or self._found or self._maps):
            return reading
        by_prompt = (reading.response_model or "").startswith(_BY_PROMPT)
        searches = 1 if by_prompt else len(self._queries)
        if searches and (self._queries or self._found):
            reading = reading._replace(usage=Usage({**reading.usage.counts, "web_search": searches}))
        elif self._found:
            return reading._replace(reason=reading.reason or "incomplete_usage")  # searched, and nobody says how often
        return reading._replace(reason=reading.reason or "missing_rate") if self._maps else reading


class GenerateContentStreamReader:
    """Reads one hop of a stream: each chunk's usage is the total so far, so the last one counts.

    Nearly all chunks bear text and the counts so far: these are put aside, and read when somebody asks.
    """

    __slots__: Final = ("_finish", "_identity", "_model", "_searches", "_usage")

    def __init__(self) -> None:
        self._usage: object = None
        self._model: str | None = None
        self._identity: str | None = None
        self._finish: tuple[str, ...] = ()
        self._searches = _Searches()

    def observe(self, item: Any) -> None:
        """Take note of one chunk."""
        look = _field if item.__class__ is dict else _declared
        usage = look(item, "usage_metadata")
        if usage is not None and _says_something(usage):
            self._usage = usage
        if self._model is None:
            self._model = _word(item, "model_version")
        if self._identity is None:
            self._identity = _word(item, "response_id")
        for one in items(item, "candidates"):
            if look(one, "finish_reason") is not None:
                self._finish = _finish_reasons(item) or self._finish
            if look(one, "grounding_metadata") is not None:
                self._searches.observe(item)
                break

    @property
    def final(self) -> bool:
        """Whether the last count has been seen: a chunk that ends a candidate bears it."""
        return bool(self._finish)

    def reading(self) -> Reading | None:
        """Return what the stream said so far."""
        if self._usage is None and self._model is None and self._identity is None:
            return None
        reading = read_generate_content(self._usage) if self._usage is not None else Reading()
        return self._searches.counted(
            reading._replace(response_model=self._model, response_id=self._identity, finish_reasons=self._finish)
        )


def _says_something(usage: object) -> bool:
    # The first is nearly always there, and this is asked of every chunk.
    return _field(usage, "prompt_token_count") is not None or any(_field(usage, name) is not None for name in _COUNTS)


def _declared(source: object, name: str) -> object:
    """Return what a client's object holds under one of its own names: a third of the price of ``_field``."""
    return getattr(source, name, None)


def _finish_reasons(response: object) -> tuple[str, ...]:
    return tuple(reason.lower() for one in items(response, "candidates") if (reason := _word(one, "finish_reason")))


def _facts(raw: object) -> Facts:
    """Return the tier that answered: Vertex AI says the class of traffic, the Gemini API the tier itself."""
    tier = _TIER_OF.get((_word(raw, "traffic_type") or "").lower()) or (_word(raw, "service_tier") or "").lower()
    if tier.endswith("unspecified"):
        return NO_FACTS
    return {"service_tier": tier} if tier else NO_FACTS


def _modalities(raw: object, name: str, key: str = "token_count") -> Counts:
    """Return tokens by modality, and the mark of those that cannot be believed; text and documents are plain tokens."""
    found: Counts = {}
    for entry in items(raw, name) or items(raw, _camel(name)):
        unit, number = _UNIT_OF.get((word(entry, "modality") or "").lower()), _count(entry, key)
        if unit and number:
            if number < 0:
                found[_BAD] = worst(number, found.get(_BAD))
            else:
                found[unit] = found.get(unit, 0) + number
    return found


def _reading(counts: Counts, bad: int, reason: str | None, *, flags: bool, facts: Facts) -> Reading:
    if bad == HUGE or not counts:
        return Reading(None, facts, reason="invalid_usage" if bad else None)
    return Reading(Usage(counts), facts, reason=reason, flags=("inconsistent_usage",) if flags else ())


@functools.cache  # of the names in this file, for every chunk of a stream bears them all
def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _field(source: object, name: str) -> object:
    value = field(source, name)
    return field(source, _camel(name)) if value is None else value


def _count(source: object, name: str) -> int | None:
    value = count(source, name)
    return count(source, _camel(name)) if value is None else value


def _word(source: object, name: str) -> str | None:
    return word(source, name) or word(source, _camel(name))
