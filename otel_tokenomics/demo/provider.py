"""A local provider on loopback: speaks OpenAI's and Anthropic's wire formats and keeps a ledger of what it billed."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from otel_tokenomics.demo import (
    anthropic_wire,
    bedrock_wire,
    cohere_wire,
    google_wire,
    huggingface_wire,
    mistral_wire,
    ollama_wire,
    openai_wire,
)
from otel_tokenomics.demo.openai_wire import Answer
from otel_tokenomics.demo.scenario import Billed, Ledger, Scenario, SeenRequest

__all__ = ["PLACES", "Billed", "LocalProvider", "Scenario"]

#: Where each provider is found on the local server; OpenAI's own paths (Azure's too) need no place.
PLACES: Final = MappingProxyType(
    {
        "openai-api": "openai",
        "anthropic-api": "anthropic",
        "google-api": "gcp.gemini",
        "groq-api": "groq",
        "together-api": "together",
        "mistral-api": "mistral_ai",
        "cohere-api": "cohere",
        "ollama-api": "ollama",
        "bedrock-api": "aws.bedrock",
        "huggingface-api": "huggingface",
    }
)
_VERSION: Final = re.compile(r"^(?:openai/(?:deployments/[^/]+/|v1/)?)?(?:v1/)?")
_MAX_BODY: Final = 8 * 2**20


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # fifty calls at once are a test, and a refused connection would be the server's fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that clients cut: cutting them is what many tests are about."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class LocalProvider:
    """A server on 127.0.0.1; use it as a with-block.

    ``base_url_openai`` and ``base_url_anthropic`` go into the clients, ``endpoints`` into the setting of that name,
    because no host table can know a local address; ``environment`` says both. ``scale`` multiplies its plain token
    counts. With ``calls_tools`` a model that is offered tools calls the first of them once before it answers, as an
    agent's would. ``ledger.billed`` is what a bill would say.
    """

    def __init__(self, scale: int = 1, *, calls_tools: bool = False) -> None:
        self.ledger = Ledger(scale, calls_tools=calls_tools)
        handler = type("Handler", (_Handler,), {"ledger": self.ledger})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def host(self) -> str:
        """Return ``127.0.0.1:port``."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def base_url_openai(self) -> str:
        """Return the base URL of the OpenAI client."""
        return f"http://{self.host}/openai-api/v1"

    @property
    def base_url_anthropic(self) -> str:
        """Return the base URL of the Anthropic client."""
        return f"http://{self.host}/anthropic-api"

    @property
    def endpoints(self) -> list[str]:
        """Return the rules that say who bills here."""
        return [f"{self.host}/{place}={provider}" for place, provider in PLACES.items()]

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables by which a program's clients call here, and by which ours knows who bills."""
        return {
            "OPENAI_BASE_URL": self.base_url_openai,
            "OPENAI_API_KEY": "none-needed",
            "ANTHROPIC_BASE_URL": self.base_url_anthropic,
            "ANTHROPIC_API_KEY": "none-needed",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.base_url("bedrock-api"),
            "AWS_ACCESS_KEY_ID": "none-needed",
            "AWS_SECRET_ACCESS_KEY": "none-needed",
            "AWS_DEFAULT_REGION": "us-east-1",
            "OTEL_TOKENOMICS_ENDPOINTS": ",".join(self.endpoints),
        }

    def base_url(self, place: str) -> str:
        """Return the address of one provider here, without version: ``place`` is a key of ``PLACES``."""
        return f"http://{self.host}/{place}"

    def expect(self, *scenarios: Scenario) -> None:
        """Answer the next requests by these scenarios, in order."""
        self.ledger.expect(*scenarios)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    ledger: Ledger
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        del format, args

    def do_GET(self) -> None:
        self._saw(None)
        path, _, query = self.path.partition("?")
        found = self.ledger.background.get(path.rpartition("/")[2])
        if found is None:
            self._error(404, "not found")
        elif "stream=true" in query:
            scenario = self.ledger.scenario({})
            self._stream(Answer(events=openai_wire.resumed(found, scenario)), scenario)
        else:
            self._json(found)

    def do_POST(self) -> None:
        body = self._body()
        self._saw(body)
        scenario = self.ledger.scenario({name.lower(): value for name, value in self.headers.items()})
        if scenario.hang_s:
            time.sleep(scenario.hang_s)
        if scenario.fail:
            self._error(scenario.fail[0], "told to fail")
        elif scenario.raw is not None:
            status, content_type, text = scenario.raw
            self._send(status, text.encode(), content_type)
        elif scenario.refuse is not None and scenario.refuse in body:
            self._error(400, f"Unrecognized request argument supplied: {scenario.refuse}")
        else:
            self._answer(body, self.ledger.with_tool(body, scenario))

    def _answer(self, body: dict[str, Any], scenario: Scenario) -> None:
        path = self.path.partition("?")[0].lstrip("/")
        if path.startswith("anthropic-api/") or anthropic_wire.PLATFORM_PATH.search(path):
            answer = anthropic_wire.answer(path, body, scenario, self.ledger)
        else:
            answer = self._answered(path, body, scenario)
        if answer is None:
            self._error(404, "no such route")
        elif answer.events is not None:
            self._stream(answer, scenario)
        elif isinstance(answer.body, bytes):
            self._send(200, answer.body, answer.content_type)
        else:
            self._send(200, json.dumps(answer.body or {}).encode(), "application/json", answer.headers)

    def _answered(self, path: str, body: dict[str, Any], scenario: Scenario) -> Answer | None:
        place, _, rest = path.partition("/")
        provider = PLACES.get(place, "openai")
        if provider == "gcp.gemini" or "/publishers/google/models/" in path:
            return google_wire.answer(path, body, scenario, self.ledger)
        if provider == "aws.bedrock":
            return bedrock_wire.answer(rest, body, scenario, self.ledger)
        if provider == "ollama":
            return ollama_wire.answer(rest, body, scenario, self.ledger)
        if provider == "cohere":
            return cohere_wire.answer(rest, body, scenario, self.ledger)
        if provider == "huggingface" and (own := huggingface_wire.answer(rest, body, scenario, self.ledger)):
            return own
        route = _VERSION.sub("", rest if place in PLACES else path)
        if provider == "mistral_ai" and (own := mistral_wire.answer(route, body, scenario, self.ledger)):
            return own
        return openai_wire.answer(route, body, scenario, self.ledger, provider)

    def _stream(self, answer: Answer, scenario: Scenario) -> None:
        self.send_response(200)
        own_type = answer.frame is not None or _is_lines(answer)
        self.send_header("content-type", answer.content_type if own_type else "text/event-stream")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("connection", "close")
        # Chunks without their end, or a length that is never reached: a cut connection is an error, not an end.
        if answer.frame is not None:
            self.send_header("transfer-encoding", "chunked")
        elif scenario.cut_after is not None:
            self.send_header("content-length", str(10**6))
        self.end_headers()
        self.close_connection = True
        try:
            for number, (name, data) in enumerate(answer.events or ()):
                if number == scenario.cut_after:
                    return
                if number == scenario.error_after:
                    error = {"type": "error", "error": {"type": "overloaded_error", "message": "told to fail"}}
                    self._event("error", error, answer)
                    self._end(answer)
                    return
                if number == scenario.unknown_after:
                    self._event("new_event", {"type": "new_event"}, answer)
                if scenario.delay_s:
                    time.sleep(scenario.delay_s)
                self._event(name, data, answer)
            self._end(answer)
            if answer.end_mark:
                self.wfile.write(b"data: [DONE]\n\n")
        except (BrokenPipeError, ConnectionResetError):
            return

    def _end(self, answer: Answer) -> None:
        if answer.frame is not None:
            self.wfile.write(b"0\r\n\r\n")

    def _event(self, name: str | None, data: dict[str, Any], answer: Answer) -> None:
        if answer.frame is not None:
            binary = answer.frame(name, data)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(binary), binary))
            self.wfile.flush()
            return
        head = f"event: {name}\n" if name else ""
        text = json.dumps(data)
        frame = f"{text}\n".encode() if _is_lines(answer) else f"{head}data: {text}\n\n".encode()
        self.wfile.write(frame)
        self.wfile.flush()

    def _body(self) -> dict[str, Any]:
        length = min(int(self.headers.get("content-length") or 0), _MAX_BODY)
        content = self.rfile.read(length)
        # What InvokeModel sends is JSON, whatever it is called.
        if "json" in self.headers.get("content-type", "") or self.path.startswith("/bedrock-api/"):
            return json.loads(content or b"{}")
        # Multipart: only the plain fields are read.
        fields = re.findall(rb'name="([a-z_]+)"\r\n\r\n([^\r]*)\r\n', content)
        return {name.decode(): value.decode("utf-8", "replace") for name, value in fields}

    def _saw(self, body: dict[str, Any] | None) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.ledger.saw(SeenRequest(self.command, self.path, headers, _digest(body)))

    def _json(self, body: dict[str, Any]) -> None:
        self._send(200, json.dumps(body).encode(), "application/json")

    def _error(self, status: int, message: str) -> None:
        error: dict[str, Any] = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
        if self.path.startswith("/bedrock-api/"):
            self._send(
                status, json.dumps({"message": message}).encode(), "application/json", bedrock_wire.named(status)
            )
            return
        self._send(status, json.dumps(error).encode(), "application/json")

    def _send(
        self, status: int, content: bytes, content_type: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        if status in (429, 503):
            self.send_header("retry-after-ms", "5")
        self.end_headers()
        self.wfile.write(content)


def _digest(body: dict[str, Any] | None) -> str | None:
    if body is None:
        return None
    plain = {name: value for name, value in body.items() if name != "stream_options"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _is_lines(answer: Answer) -> bool:
    return answer.content_type == "application/x-ndjson"
