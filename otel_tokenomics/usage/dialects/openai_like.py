"""OpenAI's wire formats, which many hosts speak: chat, completions, responses, embeddings, images, audio.

Input counts include cache reads, cache writes and all modalities; every detail is a subset. Source: the API
reference of OpenAI (objects ``CompletionUsage`` and ``ResponseUsage``); for the hosts, their own references.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.usage import NO_FACTS, OtherCharge, Reading, Usage
from otel_tokenomics.usage.dialects import groq_compound
from otel_tokenomics.usage.dialects.counts import (
    BAD,
    HUGE,
    believed,
    count,
    field,
    fields_of,
    items,
    money,
    reason_of,
    split_input,
    word,
)

_TICKS_TO_PICO: Final = 100
_PENDING: Final = frozenset({"queued", "in_progress"})
_TERMINAL: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_LOWER_BOUND: Final = "incomplete_usage"


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
    reading = _inclusive(
        (prompt, cached, count(details, "cache_write_tokens"), None),
        _modalities(details, out_details),
        (completion, reasoning, total),
    )
    stated = _stated(raw, provider)
    tier = word(raw, "service_tier")
    if stated is None and tier is None:
        return reading
    return reading._replace(stated_cost=stated, facts={"service_tier": tier} if tier else NO_FACTS)


def _read_perplexity(raw: object) -> Reading:
    """Return the reading of Perplexity's chat usage, whose total leaves out reasoning and citations.

    Citation tokens are billed as input, searches each, and every answer bears a request fee that depends on the
    search context size. Source: Perplexity's API reference (object ``UsageInfo``) and pricing page.
    """
    prompt, completion = count(raw, "prompt_tokens"), count(raw, "completion_tokens")
    reasoning, cited = count(raw, "reasoning_tokens"), count(raw, "citation_tokens")
    if prompt is not None and prompt >= 0:
        prompt += believed(cited)
    if completion is not None and completion >= 0:
        completion += believed(reasoning)
    reading = _inclusive((prompt, None, None, None), {}, (completion, reasoning, None))
    if reading.usage is not None:
        counts = {**reading.usage.counts, "request": 1}
        if searches := believed(count(raw, "num_search_queries")):
            counts["web_search"] = searches
        reading = reading._replace(usage=Usage(counts))
    size = word(raw, "search_context_size")
    facts = {"search_context_size": size} if size else NO_FACTS
    return reading._replace(facts=facts, stated_cost=_stated(raw, "perplexity"))


def read_responses(raw: object, provider: str | None = None) -> Reading:
    """Return the reading of a responses (decisions, compact) usage object."""
    raw = fields_of(raw)
    details = fields_of(field(raw, "input_tokens_details"))
    out_details = fields_of(field(raw, "output_tokens_details"))
    ttl = field(details, "cache_write_tokens_details") if details is not None else None
    reading = _inclusive(
        (
            count(raw, "input_tokens"),
            count(details, "cached_tokens"),
            count(details, "cache_write_tokens"),
            count(ttl, "ttl_12h_tokens") if ttl is not None else None,
        ),
        _modalities(details, out_details),
        (count(raw, "output_tokens"), count(out_details, "reasoning_tokens"), count(raw, "total_tokens")),
    )
    stated = _stated(raw, provider)
    return reading if stated is None else reading._replace(stated_cost=stated)


def read_embeddings(raw: object, provider: str | None = None) -> Reading:
    """Return the reading of an embeddings usage object: input only."""
    prompt = count(raw, "prompt_tokens")
    if prompt is None:
        prompt = count(raw, "input_tokens")
    total = count(raw, "total_tokens")
    # Some hosts (Voyage) state the total alone, which is all input.
    reading = _inclusive((total if prompt is None else prompt, None, None, None), {}, (None, None, total))
    return reading._replace(stated_cost=_stated(raw, provider))


def read_images(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of a GPT image model's usage: text and image input, image output.

    Output tokens are image tokens unless ``output_tokens_details`` says otherwise.
    """
    details, out_details = field(raw, "input_tokens_details"), field(raw, "output_tokens_details")
    output = count(raw, "output_tokens")
    modalities = _modalities(details, out_details)
    if out_details is None and output is not None and output > 0:
        modalities["image_out"] = output
    return _inclusive(
        (count(raw, "input_tokens"), count(details, "cached_tokens"), None, None),
        modalities,
        (output, None, count(raw, "total_tokens")),
    )


def read_transcription(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of a transcription usage: of type ``tokens``, or of type ``duration`` in seconds.

    A fraction of a second is billed as a whole one. Mistral bills the seconds alone, and counts tokens beside them
    (API reference, ``UsageInfo``).
    """
    name = "seconds" if count(raw, "prompt_audio_seconds") is None else "prompt_audio_seconds"
    if word(raw, "type") == "duration" or field(raw, name) is not None:
        value = field(raw, name)
        seconds = count(raw, name)
        if seconds is not None and seconds >= 0 and isinstance(value, (float, str)) and float(value) > seconds:
            seconds += 1
        counts = {"audio_in_second": seconds} if seconds is not None and seconds >= 0 else {}
        return _reading(counts, seconds if seconds is not None and seconds < 0 else 0)
    details = field(raw, "input_token_details")
    if details is None:
        details = field(raw, "input_tokens_details")
    return _inclusive(
        (count(raw, "input_tokens"), None, None, None),
        _modalities(details, None),
        (count(raw, "output_tokens"), None, count(raw, "total_tokens")),
    )


def read_speech(raw: object, provider: str | None = None) -> Reading:
    """Return the reading of a speech usage: the stream's terminal event reports tokens, plain answers nothing."""
    return read_transcription(raw, provider) if raw is not None else Reading()


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
    if usage is None and field(response, "type") in ("speech.audio.done", "transcript.text.done"):
        usage = field(response, "usage")
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
    )
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
    others = reading.others
    if tools is not None:
        if searches := believed(count(field(tools, "web_search"), "num_requests")):
            called["web_search"] = searches
        image = field(tools, "image_gen")
        if image is not None and (made := read_images(image).usage) is not None and any(made.counts.values()):
            others = (*others, OtherCharge(_image_model(response), made))
    if not (called or unknown or others):
        return reading
    usage = Usage({**reading.usage.counts, **called}, reading.usage.source)
    return reading._replace(usage=usage, reason=reading.reason or (_LOWER_BOUND if unknown else None), others=others)


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
    )


def _modalities(details: object, out_details: object) -> dict[str, int]:
    found: dict[str, int] = {}
    if details is not None:
        if number := count(details, "audio_tokens"):
            found["audio_in"] = number
        if number := count(details, "image_tokens"):
            found["image_in"] = number
    if out_details is not None:
        if number := count(out_details, "audio_tokens"):
            found["audio_out"] = number
        if number := count(out_details, "image_tokens"):
            found["image_out"] = number
    return found


def _inclusive(
    inputs: tuple[int | None, int | None, int | None, int | None],
    modalities: dict[str, int],
    outputs: tuple[int | None, int | None, int | None],
) -> Reading:
    """Return disjoint counts of an inclusive usage; inconsistent ones are clamped and flagged."""
    prompt, cached, written, written_12h = inputs
    completion, reasoning, total = outputs
    if not (modalities or written or written_12h) and prompt is not None and completion is not None:
        # The usual case, at a third of the time: every part within its whole, and the total their sum.
        hit, thought = cached or 0, reasoning or 0
        if 0 <= hit <= prompt and 0 <= thought <= completion and total in (None, prompt + completion):
            counts = {"input": prompt - hit}
            if hit:
                counts["cache_read"] = hit
            counts["output"] = completion - thought
            if thought:
                counts["reasoning"] = thought
            return Reading(Usage(counts))
    return _unusual(inputs, modalities, outputs)


def _unusual(
    inputs: tuple[int | None, int | None, int | None, int | None],
    modalities: dict[str, int],
    outputs: tuple[int | None, int | None, int | None],
) -> Reading:
    """Return the reading of an inclusive usage with several modalities, cache writes or contradictions."""
    prompt, cached, written, written_12h = inputs
    completion, reasoning, total = outputs
    counts: dict[str, int] = {}
    bad, flags = 0, False
    for number in (prompt, cached, written, written_12h, completion, reasoning, *modalities.values()):
        if number is not None and number < 0:
            bad = HUGE if HUGE in (number, bad) else BAD
    cached, written, long = believed(cached), believed(written), believed(written_12h)
    written = max(written, long)
    if prompt is not None and prompt >= 0:
        left, modal = split_input(prompt, cached, written, modalities)
        flags |= left < 0
        counts["input"] = max(left, 0)
        counts |= {unit: number for unit, number in modal.items() if number}
    else:
        modal = {"cache_read": cached, **{u: n for u, n in modalities.items() if u.endswith("_in") and n > 0}}
        counts |= {unit: number for unit, number in modal.items() if number}
    if cached and "cache_read" not in counts and "audio_cache_read" not in counts:
        counts["cache_read"] = cached
    if written - long:
        counts["cache_write"] = written - long
    if long:
        counts["cache_write_12h"] = long
    spoken = sum(number for unit, number in modalities.items() if unit.endswith("_out") and number > 0)
    thought = believed(reasoning)
    if completion is not None and completion >= 0:
        rest = completion - thought - spoken
        if thought > completion:
            rest, flags = completion - spoken, True
        flags |= rest < 0
        counts["output"] = max(rest, 0)
    if thought:
        counts["reasoning"] = thought
    counts |= {unit: number for unit, number in modalities.items() if unit.endswith("_out") and number > 0}
    reason = reason_of(bad, counts)
    if total is not None and total > 0 and counts:
        known = sum(counts.values())
        if total > known:
            reason = reason or "incomplete_usage"
        flags |= total < known and not bad
    return _reading(counts, bad, reason, ("inconsistent_usage",) if flags else ())


def _reading(counts: dict[str, int], bad: int, reason: str | None = None, flags: tuple[str, ...] = ()) -> Reading:
    if bad == HUGE:
        return Reading(None, reason="invalid_usage", flags=flags)
    if not counts:
        return Reading(None, reason="invalid_usage" if bad else None, flags=flags)
    return Reading(Usage(counts), reason=reason or reason_of(bad, counts), flags=flags)


def _stated(raw: object, provider: str | None) -> int | None:
    """Return the cost that the billing party states in its usage object, in pico-USD."""
    if provider == "x_ai":
        ticks = count(raw, "cost_in_usd_ticks")
        return ticks * _TICKS_TO_PICO if ticks is not None and ticks >= 0 else None
    if provider == "openrouter":
        cost = money(raw, "cost")
        if cost is None or field(raw, "is_byok") is not True:
            return cost
        # With a key of one's own, `cost` is OpenRouter's fee alone (0, often): without the other bill it is no price.
        upstream = money(field(raw, "cost_details"), "upstream_inference_cost")
        return None if upstream is None else cost + upstream
    if provider == "perplexity":
        return money(field(raw, "cost"), "total_cost")
    return None
