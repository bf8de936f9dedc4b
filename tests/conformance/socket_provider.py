"""A local provider of websockets on loopback, with a ledger of what it billed.

It speaks OpenAI's Realtime API and the websocket mode of its Responses API, Google's Live API and Mistral's realtime
transcription. Events follow, field by field, https://platform.openai.com/docs/api-reference/realtime-server-events,
https://developers.openai.com/api/docs/guides/websocket-mode, https://ai.google.dev/api/live and
https://docs.mistral.ai/studio-api/audio/speech_to_text/realtime_transcription; numbers are made up.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from otel_tokenomics.demo.scenario import Billed

Json = dict[str, Any]
#: One response's usage in each format: text, sound and the cache in each.
REALTIME_USAGE: Json = {
    "total_tokens": 281,
    "input_tokens": 160,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 41,
        "image_tokens": 0,
        "cached_tokens": 80,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 16, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
RESPONSES_USAGE: Json = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}
LIVE_USAGE: Json = {
    "promptTokenCount": 522,
    "responseTokenCount": 42,
    "totalTokenCount": 564,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 357}, {"modality": "AUDIO", "tokenCount": 165}],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 42}],
}
HEARD_USAGE: Json = {
    "type": "tokens",
    "total_tokens": 26,
    "input_tokens": 17,
    "input_token_details": {"text_tokens": 3, "audio_tokens": 14},
    "output_tokens": 9,
}


MISTRAL_USAGE: Json = {"prompt_audio_seconds": 7, "prompt_tokens": 4, "completion_tokens": 12, "total_tokens": 103}


class Turn(NamedTuple):
    """How one response goes.

    ``usage`` replaces the plain one. ``status`` is how it ends. ``stops`` says where the server stops: ``silent``
    before its first event, ``open`` after a piece of the answer (until it is cancelled), ``cut`` there, the connection
    with it. ``error`` is the error that it is refused with; ``broken`` whether that comes amid the answer.
    ``messages`` are sent as they are, instead of an answer of the Live API.
    """

    usage: Mapping[str, Any] | None = None
    status: str = "completed"
    stops: str | None = None
    error: Mapping[str, Any] | None = None
    broken: bool = False
    messages: tuple[Json, ...] = ()


class SocketProvider:
    """A server on 127.0.0.1; use it as a with-block."""

    def __init__(self) -> None:
        self.billed: list[Billed] = []
        self.seen: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self._turns: deque[Turn] = deque()
        self._lock = threading.Lock()
        self._number = 0
        self._server = serve(self._serve, "127.0.0.1", 0, compression=None)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.socket.getsockname()[1]}"

    @property
    def endpoints(self) -> list[str]:
        places = {"openai-api": "openai", "google-api": "gcp.gemini", "mistral-api": "mistral_ai"}
        return [f"{self.host}/{place}={provider}" for place, provider in places.items()]

    def base_url(self, place: str) -> str:
        return f"http://{self.host}/{place}"

    def expect(self, *turns: Turn) -> None:
        self._turns.extend(turns)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(5)

    # --- shared ---------------------------------------------------------------------------------

    def next_id(self, prefix: str) -> str:
        with self._lock:
            self._number += 1
            return f"{prefix}_{self._number:06d}"

    def turn(self) -> Turn:
        with self._lock:
            return self._turns.popleft() if self._turns else Turn()

    def bill(self, identity: str, api: str, model: str, usage: Mapping[str, Any]) -> None:
        with self._lock:
            self.billed.append(Billed(identity, api, model, dict(usage)))

    def _serve(self, connection: ServerConnection) -> None:
        address = urlsplit(connection.request.path)
        self.headers.append({name.lower(): value for name, value in connection.request.headers.raw_items()})
        try:
            if address.path.startswith("/google-api/"):
                _Live(self, connection).run()
            elif address.path.endswith("/transcriptions/realtime"):
                _Transcription(self, connection, parse_qs(address.query)["model"][0]).run()
            elif "/live/sessions" in address.path:
                _LiveSession(self, connection).run()
            elif address.path.endswith("/translations"):
                _Translation(self, connection).run()
            elif address.path.endswith("/responses"):
                _Responses(self, connection).run()
            else:
                _Realtime(self, connection, parse_qs(address.query).get("model", [""])[0]).run()
        except ConnectionClosed:
            return


class _Session:
    def __init__(self, provider: SocketProvider, connection: ServerConnection) -> None:
        self.provider, self.connection = provider, connection

    def events(self) -> Iterator[Json]:
        for message in self.connection:
            event = json.loads(message)
            self.provider.seen.append(event)
            yield event

    def say(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "event_id": self.provider.next_id("event"), **fields}
        self.connection.send(json.dumps(event))

    def cut(self) -> None:
        self.connection.socket.shutdown(socket.SHUT_RDWR)


class _Realtime(_Session):
    def __init__(self, provider: SocketProvider, connection: ServerConnection, model: str) -> None:
        super().__init__(provider, connection)
        self.session: Json = {
            "type": "realtime", "object": "realtime.session", "id": provider.next_id("sess"), "model": model,
            "output_modalities": ["audio"], "audio": {"input": {"transcription": None}},
        }  # fmt: skip
        self.open: Json | None = None

    def run(self) -> None:
        self.say("session.created", session=self.session)
        for event in self.events():
            kind = event["type"]
            if kind == "session.update":
                self.session = {**self.session, **event["session"]}
                self.say("session.updated", session=self.session)
            elif kind == "input_audio_buffer.commit":
                # Where turns are detected, the server answers by itself; here a commit stands for the end of a turn.
                item = self.provider.next_id("item")
                self.say("input_audio_buffer.committed", item_id=item, previous_item_id=None)
                self.transcribe(item)
                if self.session.get("turn_detection"):
                    self.respond(event, {})
            elif kind == "response.create":
                self.respond(event, event.get("response") or {})
            elif kind == "response.cancel" and self.open is not None:
                self.finish(self.open, "cancelled", REALTIME_USAGE)
                self.open = None

    def transcribe(self, item: str) -> None:
        heard = self.session["audio"]["input"].get("transcription") or self.session.get("input_audio_transcription")
        if heard:
            usage = {"type": "duration", "seconds": 2.4} if heard["model"] == "whisper-1" else HEARD_USAGE
            self.provider.bill(item, "transcription", heard["model"], usage)
            self.say(
                "conversation.item.input_audio_transcription.completed",
                item_id=item, content_index=0, transcript="I said it.", usage=usage, logprobs=None,
            )  # fmt: skip

    def respond(self, event: Json, asked: Json) -> None:
        turn = self.provider.turn()
        if turn.error is not None:
            self.say("error", error={"type": "invalid_request_error", "message": "no", "param": None, **turn.error})
            return
        response: Json = {
            "object": "realtime.response", "id": self.provider.next_id("resp"), "status": "in_progress",
            "status_details": None, "output": [], "conversation_id": "conv_1", "output_modalities": ["audio"],
            "max_output_tokens": asked.get("max_output_tokens", "inf"), "usage": None, "metadata": None,
        }  # fmt: skip
        if turn.stops == "silent":
            self.provider.bill(response["id"], "realtime", self.session["model"], turn.usage or REALTIME_USAGE)
            return
        self.say("response.created", response=response)
        place = {"response_id": response["id"], "item_id": "item_a", "output_index": 0, "content_index": 0}
        for _ in range(2):
            # The text of an answer may say anything, the names of events before all.
            self.say("response.output_audio_transcript.delta", delta='say "response.done" ', **place)
            self.say("response.output_audio.delta", delta="AAAA" * 64, **place)
        if turn.stops is not None:
            self.provider.bill(response["id"], "realtime", self.session["model"], turn.usage or REALTIME_USAGE)
        if turn.stops == "open":
            self.provider.billed.pop()  # whoever cancels it is billed then
            self.open = response
        elif turn.stops == "cut":
            self.cut()
        else:
            self.finish(response, turn.status, turn.usage or REALTIME_USAGE)

    def finish(self, response: Json, status: str, usage: Mapping[str, Any]) -> None:
        self.provider.bill(response["id"], "realtime", self.session["model"], usage)
        item = {"id": "item_a", "object": "realtime.item", "type": "message", "status": "completed",
                "role": "assistant", "content": [{"type": "output_audio", "transcript": "say it say it "}]}  # fmt: skip
        self.say("response.done", response={**response, "status": status, "output": [item], "usage": usage})


class _Responses(_Session):
    def run(self) -> None:
        for event in self.events():
            if event["type"] == "response.create":
                self.respond(event)

    def respond(self, body: Json) -> None:
        turn, lane = self.provider.turn(), {}
        if "stream_id" in body:
            lane = {"stream_id": body["stream_id"]}
        if turn.error is not None and not turn.broken:
            self.connection.send(json.dumps({"type": "error", "status": 400, "error": turn.error, **lane}))
            return
        usage = turn.usage or RESPONSES_USAGE
        response: Json = {
            "id": self.provider.next_id("resp"), "object": "response", "created_at": 1, "status": "in_progress",
            "model": body["model"], "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "usage": None, "service_tier": "default",
        }  # fmt: skip
        self.provider.bill(response["id"], "responses", body["model"], usage)
        if turn.stops == "silent":
            return
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        delta = {"delta": 'say "response.completed" ', "logprobs": [], **place}
        done = {**response, "status": turn.status, "usage": usage}
        last = (f"response.{turn.status}", {"response": done})
        events = [("response.created", {"response": response}), *[("response.output_text.delta", delta)] * 2, last]
        for number, (kind, fields) in enumerate(events):
            if number == 2 and turn.error is not None:
                self.connection.send(json.dumps({"type": "error", "error": turn.error, "sequence_number": 2, **lane}))
                return
            if number == 2 and turn.stops is not None:
                if turn.stops == "cut":
                    self.cut()
                return
            self.connection.send(json.dumps({"type": kind, "sequence_number": number, **fields, **lane}))


class _LiveSession(_Session):
    """The Live API, after the API reference's Live server events; its seconds are a running total."""

    def run(self) -> None:
        session: Json = {}
        for event in self.events():
            if event["type"] == "session.start":
                model = event["session"].get("model", "gpt-live-1")
                session = {"id": self.provider.next_id("sess"), "model": model, "status": "active", "expires_at": 2}
                self.say("session.started", session=session)
            elif event["type"] == "session.input_audio.append":
                self.say("session.output_audio.delta", delta="AAAA" * 64)
                self.say("session.usage.updated", usage={"seconds": 5}, context=None)
            elif event["type"] == "response.create":
                self.delegate()
            elif event["type"] == "session.close":
                self.finish(session)
                return

    def delegate(self) -> None:
        response: Json = {"id": self.provider.next_id("resp"), "object": "response", "created_at": 1, "usage": None,
                          "status": "in_progress", "model": "gpt-5.4", "service_tier": "default"}  # fmt: skip
        self.provider.bill(response["id"], "responses", "gpt-5.4", RESPONSES_USAGE)
        done = {**response, "status": "completed", "usage": RESPONSES_USAGE}
        for kind, fields in (
            ("response.created", {"response": response}),
            ("response.output_text.delta", {"delta": 'say "response.completed" ', "item_id": "msg_1"}),
            ("response.completed", {"response": done}),
        ):
            self.say("response.event", delegation_id="del_1", event={"type": kind, "sequence_number": 0, **fields})
        usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
        decision = {"id": self.provider.next_id("dec"), "model": "gpt-5.4", "answers": [], "usage": usage}
        self.provider.bill(decision["id"], "decisions", "gpt-5.4", usage)
        self.say("decision.event", delegation_id=None, event={"type": "decision.completed", "decision": decision})

    def finish(self, session: Json) -> None:
        usage = {"seconds": 12}
        self.provider.bill(session["id"], "live", session["model"], usage)
        if self.provider.turn().stops is None:
            self.say("session.closed", reason="close_requested", session=session, usage=usage)


class _Translation(_Session):
    """Realtime translations, after the API reference's translation server events: they bear no usage."""

    def run(self) -> None:
        for event in self.events():
            if event["type"] == "session.input_audio_buffer.append":
                self.say("session.output_audio.delta", delta="AAAA" * 64, elapsed_ms=200)
            elif event["type"] == "session.close":
                self.say("session.closed")
                return


class _Live(_Session):
    def run(self) -> None:
        setup = next(self.events())["setup"]
        self.model = setup["model"].rpartition("/")[2]
        self.tell({"setupComplete": {}})
        for event in self.events():
            content = event.get("client_content", {})
            heard = event.get("realtime_input", {})
            asked = content.get("turnComplete") or content.get("turn_complete")
            if asked or "tool_response" in event or "text" in heard or "audioStreamEnd" in heard:
                self.respond()

    def tell(self, message: Json) -> None:
        self.connection.send(json.dumps(message).encode())

    def respond(self) -> None:
        turn = self.provider.turn()
        usage = turn.usage or LIVE_USAGE
        if turn.messages:
            for message in turn.messages:
                self.tell(message)
            for counted in [message["usageMetadata"] for message in turn.messages if "usageMetadata" in message][-1:]:
                self.provider.bill(self.provider.next_id("turn"), "live", self.model, counted)
            return
        self.provider.bill(self.provider.next_id("turn"), "live", self.model, usage)
        if turn.stops == "silent":
            return
        for _ in range(2):
            self.tell(spoken())
        if turn.stops == "cut":
            self.cut()
        elif turn.stops is None:
            self.tell({"serverContent": {"generationComplete": True}})
            self.tell({"serverContent": {"turnComplete": True}, "usageMetadata": dict(usage)})


class _Transcription(_Session):
    def __init__(self, provider: SocketProvider, connection: ServerConnection, model: str) -> None:
        super().__init__(provider, connection)
        sound = {"encoding": "pcm_s16le", "sample_rate": 16000}
        self.session: Json = {"request_id": provider.next_id("req"), "model": model, "audio_format": sound}

    def tell(self, kind: str, **fields: Any) -> None:
        self.connection.send(json.dumps({"type": kind, **fields}))

    def run(self) -> None:
        self.tell("session.created", session=self.session)
        turn = self.provider.turn()
        for event in self.events():
            if event["type"] == "session.update":
                self.session |= event["session"]
                self.tell("session.updated", session=self.session)
            elif event["type"] == "input_audio.append" and turn.error is not None:
                self.tell("error", error=turn.error)
                return
            elif event["type"] == "input_audio.append":
                self.tell("transcription.text.delta", text="word ")
            elif event["type"] == "input_audio.end":
                self.finish(turn)

    def finish(self, turn: Turn) -> None:
        usage, model = turn.usage or MISTRAL_USAGE, self.session["model"]
        self.provider.bill(self.session["request_id"], "transcription", model, usage)
        if turn.stops is None:
            self.tell("transcription.done", model=model, text="word word ", usage=usage, language="en", segments=[])


def spoken() -> Json:
    """Return a piece of an answer of the Live API."""
    return {"serverContent": {"modelTurn": {"role": "model", "parts": [{"text": "word "}]}}}
