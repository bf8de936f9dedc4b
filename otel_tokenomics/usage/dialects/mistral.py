"""Mistral's conversations: tokens of the model, tokens that connectors brought, and uses of connectors.

Source: Mistral's API reference (object ``ConversationUsageInfo``), and the answers shown under
https://docs.mistral.ai/agents/connectors: ``total_tokens`` is the sum of prompt, completion and connector tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from otel_tokenomics.usage import Reading, Usage
from otel_tokenomics.usage.dialects import openai_like
from otel_tokenomics.usage.dialects.counts import believed, count, field, items, told, word, worst
from otel_tokenomics.usage.dialects.inclusive import with_worst

#: Connectors of Mistral's own, billed by use. ``web_search_premium`` has a price of its own, and no unit.
_UNITS: Final = MappingProxyType(
    {
        "web_search": "web_search",
        "code_interpreter": "code_session",
        "image_generation": "image",
        "document_library": "file_search",
    }
)
_DONE: Final = "conversation.response.done"


def read_conversation(raw: object, provider: str | None = None) -> Reading:
    """Return the reading of a conversation's usage; what connectors brought was the model's input."""
    given, brought = count(raw, "prompt_tokens"), count(raw, "connector_tokens")
    if brought:
        given = told(worst(given, brought)) or believed(given) + brought
    counts = {"prompt_tokens": given, **{name: field(raw, name) for name in ("completion_tokens", "total_tokens")}}
    reading = openai_like.read_chat(counts, provider)
    connectors = field(raw, "connectors")
    if reading.usage is None or not isinstance(connectors, dict) or not connectors:
        return reading
    used = cast("Mapping[Any, object]", connectors)
    units, unknown = dict(reading.usage.counts), False
    marks: list[int | None] = []
    for name in used:
        times, unit = count(used, name), _UNITS.get(name)
        if unit is None or times is None or times < 0:
            unknown |= times != 0
            marks.append(times)
        elif times:
            units[unit] = units.get(unit, 0) + times
    # What the use of an unknown connector costs nobody says: the rest is a lower bound.
    reason = reading.reason or ("incomplete_usage" if unknown else None)
    return with_worst(reading._replace(usage=Usage(units), reason=reason), worst(*marks))


def read_response(response: object, provider: str | None = None) -> Reading | None:
    """Return the reading of a whole answer.

    Its entries bear the model and an id; the conversation's id is that of all its answers.
    """
    reader = ConversationReader(provider)
    for entry in items(response, "outputs"):
        reader.entry(entry)
    reader.usage(field(response, "usage"))
    return reader.reading()


class ConversationReader:
    """Reads a stream: its parts bear model and id, its last event the usage."""

    __slots__: Final = ("_identity", "_models", "_provider", "_usage", "final")

    def __init__(self, provider: str | None = None) -> None:
        self._provider = provider
        self._identity: str | None = None
        self._models: set[str] = set()
        self._usage: Reading | None = None
        self.final = False

    def observe(self, item: object) -> None:
        """Take note of one event."""
        data = field(item, "data")
        if word(data, "type") == _DONE:
            self.usage(field(data, "usage"))
        else:
            self.entry(data)

    def entry(self, entry: object) -> None:
        """Take note of an entry of an answer, or of a part of one."""
        self._identity = self._identity or word(entry, "id")
        if model := word(entry, "model"):
            self._models.add(model)

    def usage(self, raw: object) -> None:
        """Take note of the usage."""
        if raw is not None:
            self._usage, self.final = read_conversation(raw, self._provider), True

    def reading(self) -> Reading | None:
        """Return what the answer said so far."""
        if self._usage is None and self._identity is None and not self._models:
            return None
        # Where agents of several models answered together, their shares are not told: no model, so no price.
        model = next(iter(self._models)) if len(self._models) == 1 else None
        return (self._usage or Reading())._replace(response_model=model, response_id=self._identity)
