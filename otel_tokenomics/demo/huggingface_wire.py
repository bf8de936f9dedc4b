"""The formats of Hugging Face that are its own, as the local provider speaks them; its chat is OpenAI's.

Field by field after the API references of text-generation-inference (``POST /``: ``/generate`` or
``/generate_stream`` by the field ``stream``; an error within a stream is an event with ``error``) and
text-embeddings-inference (``POST /embed``, which reports no usage); the other tasks after
https://huggingface.co/docs/inference-providers/tasks/index: raw bytes of an image or of sound, a transcript, scores;
none of them bears usage. Numbers are made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.demo.openai_wire import Answer, Json
from otel_tokenomics.demo.scenario import Billed, Ledger, Scenario

_PLAIN: Final[Mapping[str, tuple[bytes, str]]] = MappingProxyType(
    {
        "text-to-image": (b"\x89PNG not an image", "image/png"),
        "text-to-speech": (b"RIFF not a sound", "audio/wav"),
        "automatic-speech-recognition": (b'{"text": "Hello"}', "application/json"),
        "sentence-similarity": (b"[0.9, 0.1]", "application/json"),
    }
)


def answer(path: str, body: Json, scenario: Scenario, ledger: Ledger) -> Answer | None:
    """Return the answer to a POST; None where the format is OpenAI's. ``path`` ends with the model, or the task."""
    model, _, task = path.removeprefix("models/").partition("/pipeline/")
    if task in _PLAIN:
        ledger.bill(Billed(ledger.next_id("hf-"), task, model, {}))
        content, content_type = _PLAIN[task]
        return Answer(content, content_type=content_type)
    if "inputs" not in body:
        return None
    given = ledger.tokens_of(body["inputs"])
    if task == "feature-extraction":
        ledger.bill(Billed(ledger.next_id("hf-"), "embeddings", model, {"input_length": given}))
        return Answer(b"[[0.1, 0.2]]")
    usage = dict(scenario.usage or {"input_length": given, "generated_tokens": scenario.chunks * 2})
    ledger.bill(Billed(ledger.next_id("hf-"), "completions", model, usage))
    said = scenario.told(usage) if scenario.says else {}
    if body.get("stream"):
        return Answer(events=_events(said, scenario))
    whole: Json = {"generated_text": "Done."}
    parameters: Mapping[str, Any] = body.get("parameters") or {}
    if parameters.get("details") and said:
        prefill: list[Json] = [{"id": 1, "text": "a", "logprob": -0.1}] * said.pop("input_length")
        del prefill[0 if not parameters.get("decoder_input_details") else len(prefill) :]
        whole["details"] = {"finish_reason": "eos_token", "seed": None, "prefill": prefill, "tokens": [], **said}
    return Answer(whole)


def _events(said: Json, scenario: Scenario) -> Iterator[tuple[str | None, Json]]:
    for number in range(1, scenario.chunks + 1):
        last = number == scenario.chunks
        token: Json = {"id": number, "text": "word ", "logprob": -0.1, "special": False}
        details: Json | None = {"finish_reason": "length", "seed": None, **said} if last and said else None
        text = "word " * scenario.chunks if last else None
        yield None, {"index": number, "token": token, "generated_text": text, "details": details}
