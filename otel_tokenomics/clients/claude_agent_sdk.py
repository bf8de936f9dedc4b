"""The ``claude_agent_sdk`` library: it starts a program, Claude Code, that makes the model calls out of our sight.

When a query is over, the program says what its session has used so far, by model: what is new since the query before
is charged. A query whose end is not awaited is ``unpriced``. Where the program exports spans of its own, those tell
of each call and are priced instead: nothing is charged here.
See https://code.claude.com/docs/en/agent-sdk/cost-tracking and https://code.claude.com/docs/en/monitoring-usage.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from otel_tokenomics.client_api import Adapter, Args, Kwargs, Operation, Request, Step, Target
from otel_tokenomics.clients._addresses import address_of, mapping_of
from otel_tokenomics.usage.dialects import anthropic, claude_code

_CHAT: Final = Operation("chat", "messages")
_TRANSPORT: Final = "claude_agent_sdk._internal.transport.subprocess_cli"
#: What makes the program call a cloud, that cloud, and the setting of its address.
_CLOUDS: Final = (
    ("CLAUDE_CODE_USE_BEDROCK", "aws.bedrock", "ANTHROPIC_BEDROCK_BASE_URL"),
    ("CLAUDE_CODE_USE_VERTEX", "gcp.vertex_ai", "ANTHROPIC_VERTEX_BASE_URL"),
    ("CLAUDE_CODE_USE_FOUNDRY", "azure.ai.inference", "ANTHROPIC_FOUNDRY_BASE_URL"),
)
_HOME: Final = ("anthropic", "ANTHROPIC_BASE_URL")
#: What makes it export spans, each of the two.
_SPANS: Final = ("CLAUDE_CODE_ENHANCED_TELEMETRY_BETA", "ENABLE_ENHANCED_TELEMETRY_BETA")
#: The end of a transcript that is searched for where its session stood, in bytes.
_TAIL: Final = 2**20


class Session:
    """The dialogue with one program; it remembers counts and names alone."""

    def __init__(self, options: Any, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._model: str | None = getattr(options, "model", None)
        self._resumes: str | None = getattr(options, "resume", None)
        resumed = bool(self._resumes or getattr(options, "continue_conversation", False))
        self._count = claude_code.SessionCount(resumed=resumed)

    def sent(self, args: Args, kwargs: Kwargs) -> Step | None:
        """Return what a line asks for; what comes while another one waits may be answered together with it."""
        line = next(iter((*args, *kwargs.values())), None)
        if not isinstance(line, str) or line.startswith('{"type": "control_'):
            return None
        return Step("asked", joins=True, operation=_CHAT, request=self._request(self._model))

    def received(self, message: Any) -> Iterable[Step]:
        """Return what a message says: a query begins, or ends."""
        count, key = self._count, str(self._count.results)
        if message.get("type") == "system" and message.get("subtype") == "init":
            self._model = message.get("model") or self._model
            if count.before is None:
                count.before = self._stood(self._resumes or str(message.get("session_id")))
            return (Step("begun", key),)
        if message.get("type") != "result":
            return ()
        found = count.new(message, self._model)
        if not found:  # where a question waits, it made no call
            return (Step("over", key, item=claude_code.nothing(self._model)),)
        steps = [Step("apart", key, None, None, False, _CHAT, self._request(used.model), used) for used in found]
        return (steps[0]._replace(what="begun"), *steps[1:], steps[0]._replace(what="over"))

    def _stood(self, session: str) -> claude_code.Tally | None:
        """Return what a session had used that is resumed; None where that is not known."""
        home = self._environment.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude"
        for path in Path(home).glob(f"projects/*/{session}.jsonl"):
            with path.open("rb") as transcript:
                size = transcript.seek(0, os.SEEK_END)
                transcript.seek(max(size - _TAIL, 0))
                return claude_code.last_state(transcript.read()) or (None if size > _TAIL else {})
        return None

    def _request(self, model: str | None) -> Request:
        used = ((provider, name) for switch, provider, name in _CLOUDS if _on(self._environment.get(switch)))
        provider, name = next(used, _HOME)
        address = address_of(self._environment.get(name))
        return Request(model=model, provider=provider, host=address.host, port=address.port, path=address.path)

    def ends(self, error: Exception) -> bool:  # noqa: ARG002
        """Return whether the program has ended: an error at reading its lines says so."""
        return True


def _on(value: str | None) -> bool:
    return (value or "").strip().lower() in ("1", "true", "yes", "on")


def _exports(environment: Mapping[str, str]) -> bool:
    """Return whether the program exports a span of each call; its log events and metrics nobody of us prices."""
    spans = "otlp" in environment.get("OTEL_TRACES_EXPORTER", "")
    switched = any(_on(environment.get(name)) for name in _SPANS)
    return spans and switched and _on(environment.get("CLAUDE_CODE_ENABLE_TELEMETRY"))


def dialogue(transport: Any, _args: Args, _kwargs: Kwargs) -> Session | None:
    """Return the dialogue with the program that a transport starts."""
    options = getattr(transport, "_options", None)
    environment = {**os.environ, **mapping_of(getattr(options, "env", None))}
    return None if _exports(environment) else Session(options, environment)


ADAPTER: Final = Adapter(
    library="claude_agent_sdk",
    tested=("0.1.81", "1"),
    targets=(
        Target(_TRANSPORT, "SubprocessCLITransport.connect", "aenter"),
        Target(_TRANSPORT, "SubprocessCLITransport.write", "asend"),
        Target(_TRANSPORT, "SubprocessCLITransport.read_messages", "amessages"),
        Target(_TRANSPORT, "SubprocessCLITransport.close", "leave"),
    ),
    request=lambda _client, _operation, _args, _kwargs: Request(model=None, provider="anthropic"),  # a dialogue says it
    usage=lambda _operation, used, _provider: claude_code.read(used),
    stream_reader=lambda _operation, _provider: anthropic.stream_reader(),
    dialogue=dialogue,
)
