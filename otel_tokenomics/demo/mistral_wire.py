"""Mistral's own wire formats, as the local provider speaks them; chat and embeddings are OpenAI's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.demo.openai_wire import Answer, reported
from otel_tokenomics.demo.scenario import Billed, Ledger, Scenario

Json = dict[str, Any]
_MODEL: Final = "mistral-medium-latest"


def answer(path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer | None:
    """Return the answer to a POST; None where the format is OpenAI's. ``path`` is without version and query."""
    handler = _ROUTES.get(path.partition("/")[0] if path.startswith("conversations") else path)
    return handler(body, scenario, ledger) if handler is not None else None


def _conversation(body: Json, scenario: Scenario, ledger: Ledger) -> Answer:
    """A conversation (https://docs.mistral.ai/api/endpoint/beta/conversations): entries name the model.

    Usage is ``ConversationUsageInfo``; in a stream it stands on ``conversation.response.done``.
    """
    given, made = ledger.tokens_of(body.get("inputs")), scenario.chunks * 2 * ledger.scale
    plain = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made,
             "connector_tokens": None, "connectors": None}  # fmt: skip
    usage = dict(scenario.usage or plain)
    identity, conversation = ledger.next_id("msg_"), ledger.next_id("conv_")
    entry: Json = {"object": "entry", "type": "message.output", "id": identity, "role": "assistant",
                   "created_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:00:01Z",
                   "model": body.get("model") or _MODEL, "content": "Done.", **(scenario.response or {})}  # fmt: skip
    ledger.bill(Billed(identity, "conversations", entry["model"], usage))
    said = reported(usage, scenario)
    if body.get("stream"):
        return Answer(events=_conversation_events(conversation, entry, said, scenario))
    whole: Json = {"object": "conversation.response", "conversation_id": conversation, "outputs": [entry]}
    return Answer({**whole, **said})


def _conversation_events(
    conversation: str, entry: Json, said: Json, scenario: Scenario
) -> Iterator[tuple[str | None, Json]]:
    def event(name: str, **data: Any) -> tuple[str | None, Json]:
        return name, {"type": name, "created_at": "2026-01-01T00:00:00Z", **data}

    yield event("conversation.response.started", conversation_id=conversation)
    for _ in range(scenario.chunks):
        part = {name: entry[name] for name in ("id", "model", "role")}
        yield event("message.output.delta", output_index=0, content_index=0, content="word ", **part)
    yield event("conversation.response.done", **said)


def _transcription(body: Json, scenario: Scenario, ledger: Ledger) -> Answer:
    """A transcript (https://docs.mistral.ai/api/endpoint/audio/transcriptions): seconds beside tokens.

    In a stream, the usage stands on ``transcription.done``.
    """
    usage = dict(scenario.usage or {"prompt_audio_seconds": 7, "prompt_tokens": 4, "completion_tokens": 12,
                                    "total_tokens": 103})  # fmt: skip
    model = body.get("model", "")
    ledger.bill(Billed(ledger.next_id("tr-"), "transcription", model, usage))
    whole: Json = {"model": model, "text": "Done.", "language": None, "segments": [], **reported(usage, scenario)}
    if body.get("stream") not in (True, "true", "True"):
        return Answer(whole)
    delta, done = "transcription.text.delta", "transcription.done"
    parts = [(delta, {"type": delta, "text": "word "}) for _ in range(scenario.chunks)]
    return Answer(events=iter([*parts, (done, {"type": done, **whole})]))


def _speech(body: Json, scenario: Scenario, ledger: Ledger) -> Answer:
    """Speech (https://docs.mistral.ai/api/endpoint/audio/speech): billed by the character of its input."""
    ledger.bill(
        Billed(ledger.next_id("sp-"), "speech", body.get("model") or "", {"character": len(body.get("input", ""))})
    )
    if not body.get("stream"):
        return Answer({"audio_data": "AAAA"})
    delta, done = "speech.audio.delta", "speech.audio.done"
    usage = {"prompt_tokens": 3, "completion_tokens": 20, "total_tokens": 23}
    parts = [(delta, {"type": delta, "audio_data": "AAAA"}) for _ in range(scenario.chunks)]
    return Answer(events=iter([*parts, (done, {"type": done, "usage": usage})]))


_ROUTES: Final[Mapping[str, Callable[[Json, Scenario, Ledger], Answer]]] = MappingProxyType(
    {
        "conversations": _conversation,
        "audio/transcriptions": _transcription,
        "audio/speech": _speech,
    }
)
