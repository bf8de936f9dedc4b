"""Hugging Face's text generation format: counts stand in ``details``, in a stream on its last event.

Source: the API reference of text-generation-inference (``POST /generate``, ``POST /generate_stream``). An answer says
how many tokens it made; how many it was given, only a stream says, and an answer that lists its ``prefill``.
"""

from __future__ import annotations

import json
from typing import cast

from otel_tokenomics.usage import Reading, Usage
from otel_tokenomics.usage.dialects import openai_like
from otel_tokenomics.usage.dialects.counts import BAD, HUGE, Counts, count, field, reason_of, word


def read_usage(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of a ``details`` object."""
    counts: Counts = {}
    bad = 0
    prefill = field(raw, "prefill")
    listed = len(cast("list[object]", prefill)) if isinstance(prefill, list) and prefill else None
    given = count(raw, "input_length")
    for number, unit in ((listed if given is None else given, "input"), (count(raw, "generated_tokens"), "output")):
        if number is not None and number < 0:
            bad = HUGE if HUGE in (number, bad) else BAD
        elif number is not None:
            counts[unit] = number
    if bad == HUGE or not counts:
        return Reading(None, reason="invalid_usage" if bad else None)
    # Half of the counts is a lower bound.
    return Reading(Usage(counts), reason=reason_of(bad, counts) or (None if len(counts) > 1 else "incomplete_usage"))


def read_response(response: object) -> Reading | None:
    """Return the reading of an answer, a list of them or a stream's event; None where it says nothing."""
    if isinstance(response, list):
        answers = cast("list[object]", response)
        response = answers[0] if answers else None
    details = field(response, "details")
    if details is None:
        return None
    stop = word(details, "finish_reason")
    return read_usage(details)._replace(finish_reasons=(stop,) if stop else ())


def decoded(text: object) -> object:
    """Return what a body (bytes) or a line of an event stream (text) says; None where that is nothing.

    A body that is nothing but vectors bears no usage, and is not read: there may be megabytes of it.
    """
    if isinstance(text, bytes) and text[:1] == b"[" and text[1:2] != b"{":
        return None
    if isinstance(text, str):
        text = text.removeprefix("data:") if text.startswith("data:") else ""
    try:
        return json.loads(text) if isinstance(text, (str, bytes)) else None
    except ValueError:
        return None


def is_only_usage(item: object) -> bool:
    """Return whether a line, in OpenAI's format, exists only because usage was asked for."""
    bare = isinstance(item, str) and '"usage"' in item and ('"choices":[]' in item or '"choices": []' in item)
    said = decoded(item) if bare else None
    return field(said, "choices") == [] and "usage" in cast("dict[str, object]", said)  # a host may leave it null


def error_of(item: object) -> str | None:
    """Return the word for an error that a line tells: the client raises it outside of the lines."""
    said = decoded(item) if isinstance(item, str) and '"error"' in item else None
    error = field(said, "error")
    return None if error is None else word(said, "error_type") or word(error, "type") or "error"


def _is_text(line: str) -> bool:
    """Return whether a line has no counts of either format, no end of a choice, and is not the last one."""
    # Written out: a loop over four marks takes three times as long, for every line of a stream.
    ended = '"finish_reason":"' in line or '"finish_reason": "' in line
    return not (ended or "_tokens" in line or "[DONE]" in line)


class LineReader(openai_like.OpenAIStreamReader):
    """Reads the lines of an event stream, in this format or in OpenAI's."""

    def __init__(self, api: str, provider: str | None = None) -> None:
        super().__init__(api, provider)
        self._done = False

    def observe(self, item: object) -> None:
        """Take note of one line. Most bear a piece of text and nothing else: they are not decoded."""
        if self._reading is not None and isinstance(item, str) and _is_text(item):
            return
        said = decoded(item)
        seen = read_response(said)
        if seen is not None:
            self._done, self._reading = True, seen
        elif said is not None:
            super().observe(said)
        elif isinstance(item, str) and item.strip() == "data: [DONE]":
            self._done = True

    @property
    def final(self) -> bool:
        """Whether the mark of the end has been seen, or the last event."""
        return self._done
