"""OpenAI's wire formats, which many hosts speak: chat, completions, responses, embeddings, images, audio.

Input counts include cache reads, cache writes and all modalities; every detail is a subset. Source: the API
reference of OpenAI (objects ``CompletionUsage`` and ``ResponseUsage``); for the hosts, their own references.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.usage import NO_FACTS, Reading, Usage
from otel_tokenomics.usage.dialects import groq_compound
from otel_tokenomics.usage.dialects.counts import (
    believed,
    count,
    field,
    fields_of,
    items,
    whole_seconds,
    word,
    worst,
)
from otel_tokenomics.usage.dialects.inclusive import disjoint, modalities_of, with_worst
from otel_tokenomics.usage.dialects.openai_media import (
    read_images,
    read_speech,
    read_svg,
    read_transcription,
    with_other,
)
from otel_tokenomics.usage.dialects.stated import stated_cost

_PENDING: Final = frozenset({"queued", "in_progress"})
_TERMINAL: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_LOWER_BOUND: Final = "incomplete_usage"
_XAIS_TOOLS: Final = (
    ("web_search_calls", "web_search"),
    ("file_search_calls", "file_search"),
    ("code_interpreter_calls", "code_session"),
)


def read_chat(raw: object, provider: str | None = None) -> Reading:
    """Return the reading of a chat or legacy completion usage object.

    xAI reports reasoning outside ``completion_tokens`` in some versions: it is added where the total proves it.
    """
    raw = fields_of(raw)
    if provider == "perplexity":
        return _read_perplexity(raw)
    details = fields_of(field(raw, "prompt_tokens_details"))
    out_details = fields_of(field(raw, "completion_tokens_details"))
    cached = count(details, "cached_tokens") if details is not None else None
    if cached is None:
        cached = count(raw, "prompt_cache_hit_tokens")
    if cached is None:
        cached = count(raw, "cached_tokens")  # Moonshot's place, and Together's
    written = count(details, "cache_write_tokens")
    if written is None and details is not None:
        written = count(details, "cache_creation_input_tokens")  # Qwen's word
    prompt, completion = count(raw, "prompt_tokens"), count(raw, "completion_tokens")
    reasoning = count(out_details, "reasoning_tokens") if out_details is not None else count(raw, "reasoning_tokens")
    total = count(raw, "total_tokens")
    if (
        provider == "x_ai"
        and prompt is not None
        and completion is not None
        and reasoning is not None
        and min(prompt, completion, reasoning) >= 0
        and total == prompt + completion + reasoning
    ):
        completion += reasoning
    reading = disjoint(
        (prompt, cached, written, None),
        modalities_of(details, out_details),
        (completion, reasoning, total),
    )
    if provider in _ADD_TO_IT:
        reading = _ADD_TO_IT[provider](reading, raw)
    stated = stated_cost(raw, provider)
    tier = word(raw, "service_tier")
    if stated is None and tier is None:
        return reading
    return reading._replace(stated_cost=stated, facts={"service_tier": tier} if tier else NO_FACTS)


def _with_seconds(reading: Reading, raw: object) -> Reading:
    """Add what Mistral's chat models heard: billed by the second, beside the tokens (API reference, ``UsageInfo``)."""
    seconds = whole_seconds(raw, "prompt_audio_seconds")
    if believed(seconds) and reading.usage is not None:
        reading = reading._replace(usage=Usage({**reading.usage.counts, "audio_in_second": believed(seconds)}))
    return with_worst(reading, worst(seconds))


def _with_searches(reading: Reading, raw: object) -> Reading:
    """Add the searches that OpenRouter made (API reference, ``ResponseUsage``)."""
    searches = count(field(raw, "server_tool_use"), "web_search_requests")
    if believed(searches) and reading.usage is not None:
        reading = reading._replace(usage=Usage({**reading.usage.counts, "web_search": believed(searches)}))
    return with_worst(reading, worst(searches))


def _with_xais_tools(reading: Reading, raw: object) -> Reading:
    """Add the tools that ran at xAI: billed by the call, some of which have no unit here.

    An answer with tools is one of several requests, whose counts it adds up. Source: xAI's page on tool usage.
    """
    details = field(raw, "server_side_tool_usage_details")
    used = [count(raw, name) for name in ("num_server_side_tools_used", "num_sources_used")]
    called = {unit: count(details, name) for name, unit in _XAIS_TOOLS}
    if reading.usage is None or not any((*used, *called.values())):
        return reading
    units = {unit: number for unit, number in called.items() if believed(number)}
    known = believed(used[0]) <= sum(map(believed, units.values())) and not believed(used[1])
    reading = reading._replace(
        usage=Usage({**reading.usage.counts, **{unit: believed(number) for unit, number in units.items()}}),
        reason=reading.reason or (None if known else _LOWER_BOUND),
        summed=believed(used[0]) > 0,
    )
    return with_worst(reading, worst(*used, *called.values()))


def _read_perplexity(raw: object) -> Reading:
    """Return the reading of Perplexity's chat usage, whose total leaves out reasoning and citations.

    Citation tokens are billed as input, searches each, and every answer bears a request fee that depends on the
    search context size. Source: Perplexity's API reference (object ``UsageInfo``) and pricing page.
    """
    prompt, completion = count(raw, "prompt_tokens"), count(raw, "completion_tokens")
    reasoning, cited = count(raw, "reasoning_tokens"), count(raw, "citation_tokens")
    searches = count(raw, "num_search_queries")
    if prompt is not None and prompt >= 0:
        prompt += believed(cited)
    if completion is not None and completion >= 0:
        completion += believed(reasoning)
    reading = disjoint((prompt, None, None, None), {}, (completion, reasoning, None))
    if reading.usage is not None:
        counts = {**reading.usage.counts, "request": 1}
        if believed(searches):
            counts["web_search"] = believed(searches)
        reading = with_worst(reading._replace(usage=Usage(counts)), worst(cited, searches))
    size = word(raw, "search_context_size")
    facts = {"search_context_size": size} if size else NO_FACTS
    return reading._replace(facts=facts, stated_cost=stated_cost(raw, "perplexity"))


def read_responses(raw: object, provider: str | None = None) -> Reading:
    """Return the reading of a responses (decisions, compact) usage object."""
    raw = fields_of(raw)
    details = fields_of(field(raw, "input_tokens_details"))
    out_details = fields_of(field(raw, "output_tokens_details"))
    ttl = field(details, "cache_write_tokens_details") if details is not None else None
    # Without details, as OpenAI's coding agent writes them.
    cached = count(raw, "cached_input_tokens") if details is None else count(details, "cached_tokens")
    thought = count(raw, "reasoning_output_tokens") if out_details is None else count(out_details, "reasoning_tokens")
    reading = disjoint(
        (
            count(raw, "input_tokens"),
            cached,
            count(details, "cache_write_tokens"),
            count(ttl, "ttl_12h_tokens") if ttl is not None else None,
        ),
        modalities_of(details, out_details),
        (count(raw, "output_tokens"), thought, count(raw, "total_tokens")),
    )
    if provider == "x_ai":
        reading = _with_xais_tools(reading, raw)
    stated = stated_cost(raw, provider)
    return reading if stated is None else reading._replace(stated_cost=stated)


def read_embeddings(raw: object, provider: str | None = None) -> Reading:
    """Return the reading of an embeddings usage object: input only."""
    prompt = count(raw, "prompt_tokens")
    if prompt is None:
        prompt = count(raw, "input_tokens")
    total = count(raw, "total_tokens")
    # Some hosts (Voyage) state the total alone, which is all input.
    reading = disjoint((total if prompt is None else prompt, None, None, None), {}, (None, None, total))
    return reading._replace(stated_cost=stated_cost(raw, provider))


#: What a host's chat states beyond OpenAI's.
_ADD_TO_IT: Final[Mapping[str | None, Callable[[Reading, object], Reading]]] = MappingProxyType(
    {"mistral_ai": _with_seconds, "openrouter": _with_searches, "x_ai": _with_xais_tools}
)
READERS: Final[Mapping[str, Callable[[object, str | None], Reading]]] = MappingProxyType(
    {
        "chat": read_chat,
        "completions": read_chat,
        "responses": read_responses,
        "embeddings": read_embeddings,
        "rerank": read_embeddings,
        "images": read_images,
        "transcription": read_transcription,
        "speech": read_speech,
    }
)


def read_response(api: str, response: object, provider: str | None = None) -> Reading | None:
    """Return the reading of a whole response body or one stream item; None where it says nothing.

    An event of the responses API carries its response inside; only terminal events (and ``response.created``,
    for the id) are read.
    """
    response = fields_of(response)
    if api == "responses":
        return _read_responses_body(response, provider)
    usage = field(response, "usage")
    model, identity = word(response, "model"), word(response, "id")
    tier = word(response, "service_tier")
    if usage is None and api == "transcription" and field(response, "duration") is not None:
        # The verbose form says how long it listened, also where there is no usage (Groq, Together).
        usage = {"type": "duration", "seconds": field(response, "duration")}
    groq = field(response, "x_groq") if usage is None else None
    if groq is not None:
        usage, identity = field(groq, "usage"), identity or word(groq, "id")
    finish = tuple(reason for choice in items(response, "choices") if (reason := word(choice, "finish_reason")))
    if usage is None and model is None and identity is None and not finish:
        return None
    reading = READERS[api](usage, provider) if usage is not None else Reading()
    facts = {**reading.facts, "service_tier": tier} if tier else reading.facts
    # By position: ``_replace`` takes several times as long, and this is read on every call.
    reading = Reading(
        reading.usage,
        facts,
        model,
        identity,
        reading.stated_cost,
        reading.flags,
        reading.reason,
        reading.others,
        finish,
        None,
        (),
        reading.summed,
    )
    # Search models (-preview, -api) search for every answer, at a price per call: OpenAI's guide on web search.
    if model is not None and "-search-" in model and reading.usage is not None and api == "chat":
        reading = reading._replace(usage=Usage({**reading.usage.counts, "web_search": 1}))
    if api == "images":
        reading = with_other(reading, read_svg(field(response, "svg_usage")))
    return groq_compound.with_shares(reading, response, read_chat) if provider == "groq" else reading


def _read_responses_body(response: object, provider: str | None) -> Reading | None:
    kind = word(response, "type")
    if kind is not None and kind.startswith("response."):
        response = fields_of(field(response, "response"))
        if response is None:
            return None
    status, usage = word(response, "status"), field(response, "usage")
    model, identity, tier = word(response, "model"), word(response, "id"), word(response, "service_tier")
    if usage is None and model is None and identity is None:
        return None
    reading = read_responses(usage, provider) if usage is not None else Reading()
    if usage is not None:
        reading = _with_tools(reading, response)
    elif status in _PENDING:
        reading = reading._replace(reason="pending")
    return reading._replace(
        facts={"service_tier": tier} if tier else NO_FACTS,
        response_model=model,
        response_id=identity,
        response_status=status,
        finish_reasons=(status,) if status in ("completed", "incomplete", "failed") else (),
    )


def _with_tools(reading: Reading, response: object) -> Reading:
    """Add what tools bill on top; where ``tool_usage`` is absent the output items are counted, as a lower bound."""
    if reading.usage is None:
        return reading
    tools = field(response, "tool_usage")
    called, unknown = _called_tools(response, listed=tools is not None)
    if tools is not None:
        searches = count(field(tools, "web_search"), "num_requests")
        if believed(searches):
            called["web_search"] = believed(searches)
        reading = with_worst(reading, worst(searches))
    if (called or unknown) and reading.usage is not None:
        usage = Usage({**reading.usage.counts, **called}, reading.usage.source)
        reading = reading._replace(usage=usage, reason=reading.reason or (_LOWER_BOUND if unknown else None))
    image = field(tools, "image_gen")
    if image is not None:
        reading = with_other(reading, read_images(image)._replace(response_model=_image_model(response)))
    for item in items(response, "output"):
        if (drawn := field(item, "svg_usage")) is not None:
            reading = with_other(reading, read_svg(drawn))
    return reading


def _called_tools(response: object, *, listed: bool) -> tuple[dict[str, int], bool]:
    """Return the billed tool calls among the output items, and whether what they cost is known in part only.

    ``tool_usage`` lists web searches and images, never file searches or code containers.
    """
    counts: dict[str, int] = {}
    unknown = False
    for item in items(response, "output"):
        kind = word(item, "type")
        if kind == "file_search_call":
            counts["file_search"] = counts.get("file_search", 0) + 1
            unknown |= not listed
        elif kind == "web_search_call" and not listed:
            unknown = True
            # Opening a page and finding in it are free; a search is billed.
            if word(field(item, "action"), "type") in (None, "search"):
                counts["web_search"] = counts.get("web_search", 0) + 1
        elif kind == "code_interpreter_call" or (kind == "image_generation_call" and not listed):
            unknown = True
    return counts, unknown


def _image_model(response: object) -> str:
    """Return the model of the image tool, which bills at its own rates; OpenAI's default where none is said."""
    for tool in items(response, "tools"):
        if word(tool, "type") == "image_generation" and (model := word(tool, "model")):
            return model
    return "gpt-image-1"


class OpenAIStreamReader:
    """Reads a stream of one of OpenAI's formats: the last usage seen is the usage."""

    __slots__: Final = ("_api", "_chat", "_final", "_groq", "_provider", "_reading", "_tools")

    def __init__(self, api: str, provider: str | None = None) -> None:
        self._api, self._provider = api, provider
        self._chat = api in ("chat", "completions")
        self._groq = provider == "groq"
        self._final = self._tools = False
        self._reading: Reading | None = None

    def observe(self, item: Any) -> None:
        """Take note of one chunk or event."""
        if self._groq:
            self._tools |= groq_compound.ran_tools(item)
        if self._reading is not None:
            # Nearly every item of a stream says nothing new: each step here is paid per chunk.
            if self._chat:
                choices: Any = getattr(item, "choices", None)
                if (
                    choices.__class__ is list
                    and len(choices) == 1
                    and getattr(item, "usage", None) is None
                    and getattr(choices[0], "finish_reason", choices) is None
                ):
                    return
                item = fields_of(item)
                if field(item, "usage") is None and field(item, "x_groq") is None:
                    self._finished(item)
                    return
            elif self._api == "responses" and field(item, "type") not in _TERMINAL:
                return
        seen = read_response(self._api, item, self._provider)
        if seen is not None:
            self._reading = seen if self._reading is None else _newer(self._reading, seen)
            if seen.usage is not None:
                self._final = not (self._chat and any(True for _ in items(item, "choices")))

    def _finished(self, item: object) -> None:
        for choice in items(item, "choices"):
            reason = field(choice, "finish_reason")
            if reason is not None and (reason := word(choice, "finish_reason")) and self._reading is not None:
                self._reading = self._reading._replace(finish_reasons=(*self._reading.finish_reasons, reason))

    @property
    def final(self) -> bool:
        """Whether the stream has stated its usage: in a chunk without choices, or a terminal event."""
        return self._final

    def reading(self) -> Reading | None:
        """Return what the stream said so far."""
        if self._tools and self._reading is not None and self._reading.usage is not None:
            return self._reading._replace(reason=self._reading.reason or _LOWER_BOUND)
        return self._reading


def stream_reader(api: str, provider: str | None = None) -> OpenAIStreamReader:
    """Return a reader of one stream."""
    return OpenAIStreamReader(api, provider)


def _newer(old: Reading, new: Reading) -> Reading:
    return Reading(
        new.usage or old.usage,
        {**old.facts, **new.facts},
        new.response_model or old.response_model,
        new.response_id or old.response_id,
        new.stated_cost if new.stated_cost is not None else old.stated_cost,
        new.flags if new.usage is not None else old.flags,
        new.reason if new.usage is not None or new.reason else None,
        new.others or old.others,
        (*old.finish_reasons, *new.finish_reasons),
        new.response_status or old.response_status,
        new.shares or old.shares,
        new.summed or old.summed,
    )
