"""What the local provider is told to do with the next requests, and the ledger of what it billed."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

#: Request header that carries a scenario as JSON; it beats the queue.
SCENARIO_HEADER: Final = "x-scenario"
#: What only the result of a tool bears: in chat completions, in responses, in messages.
_RESULT: Final = re.compile(r'"(?:tool_call_id|tool_use_id)": |"type": "function_call_output"')
_OF_TYPE: Final[Mapping[str, Any]] = MappingProxyType(
    {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}
)


class Scenario(NamedTuple):
    """How one request is answered; every field has a plain default.

    ``usage`` replaces the usage object that is reported *and* billed; ``report`` is what is said of it:
    ``exact``, ``none`` (left out), ``null``, ``negative``, ``text`` (counts that are none) or ``more`` (fields that
    nobody knows). ``hostile`` replaces what is reported, not what is billed.
    ``fail`` is the status codes of the first attempts, ``refuse`` a request field whose presence is answered with
    400. ``chunks`` is the number of content chunks of a stream, ``cut_after`` closes the connection after that many,
    ``error_after`` sends an error event, ``unknown_after`` one of a type that nobody knows, ``delay_s`` waits before
    each chunk, ``hang_s`` before the answer. ``filtered`` ends an answer by the provider's content filter.
    ``raw`` is status, content type and text of an answer that is no format at all. ``tool`` is name and arguments
    of the one tool call that a chat, a response, a message or a Converse answer asks for, in place of its text.
    """

    usage: Mapping[str, Any] | None = None
    report: str = "exact"
    hostile: Mapping[str, Any] | None = None
    fail: tuple[int, ...] = ()
    refuse: str | None = None
    chunks: int = 3
    cut_after: int | None = None
    error_after: int | None = None
    delay_s: float = 0.0
    hang_s: float = 0.0
    response: Mapping[str, Any] | None = None
    status: str | None = None
    raw: tuple[int, str, str] | None = None
    tool: tuple[str, Mapping[str, Any]] | None = None
    unknown_after: int | None = None
    filtered: bool = False

    @property
    def says(self) -> bool:
        """Whether a usage is reported at all."""
        return self.report not in ("none", "null")

    def told(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is reported of a usage, where it is."""
        said = dict(usage if self.hostile is None else self.hostile)
        counts = [name for name, count in said.items() if isinstance(count, (int, float))]
        if self.report == "negative":
            said |= {name: -said[name] for name in counts}
        elif self.report == "text":
            said |= dict.fromkeys(counts, "many")
        elif self.report == "more":
            said |= {"new_count": 5, "new_details": {"new": 1}}
        return said


class Billed(NamedTuple):
    """One line of the provider's ledger: what it will put on the bill, whatever the client was told."""

    response_id: str
    api: str
    model: str
    usage: Mapping[str, Any]


class SeenRequest(NamedTuple):
    """One request as it arrived: method, path, headers, and a digest of its JSON body; never a body."""

    method: str
    path: str
    headers: Mapping[str, str]
    #: SHA-256 over the body without ``stream_options``, which says whether a stream's usage was asked for.
    digest: str | None = None


class Ledger:
    """Thread-safe state of one local provider."""

    def __init__(self, scale: int = 1, *, calls_tools: bool = False) -> None:
        self.scale = scale
        self.calls_tools = calls_tools
        self._lock = threading.Lock()
        self._queue: deque[Scenario] = deque()
        self._attempts: dict[str, int] = {}
        self._number = 0
        self.billed: list[Billed] = []
        self.requests: list[SeenRequest] = []
        self.background: dict[str, dict[str, Any]] = {}

    def expect(self, *scenarios: Scenario) -> None:
        """Answer the next requests by these scenarios, in order."""
        with self._lock:
            self._queue.extend(scenarios)

    def scenario(self, headers: Mapping[str, str]) -> Scenario:
        """Return the scenario of a request: its header, else the next of the queue, else the plain one.

        A scenario with failing attempts serves the retries of the same call too.
        """
        text = headers.get(SCENARIO_HEADER)
        with self._lock:
            if text is None:
                if self._queue and self._queue[0].fail:
                    head = self._queue[0]
                    self._queue[0] = head._replace(fail=head.fail[1:])
                    return head
                return self._queue.popleft() if self._queue else Scenario()
            wanted = Scenario(**json.loads(text))
            done = self._attempts.get(text, 0)
            self._attempts[text] = done + 1
            return wanted._replace(fail=tuple(wanted.fail)[done:])

    def with_tool(self, body: Mapping[str, Any], scenario: Scenario) -> Scenario:
        """Return the scenario in which the first tool offered is called, unless a result is there already."""
        offered, said = body.get("tools"), body.get("messages") or body.get("input")
        if not self.calls_tools or not offered or scenario.tool is not None or _RESULT.search(json.dumps(said)):
            return scenario
        tool: Mapping[str, Any] = offered[0].get("function", offered[0])
        schema: Mapping[str, Any] = tool.get("parameters") or tool.get("input_schema") or {}
        fields: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
        wanted = {
            name: _OF_TYPE.get(str(fields.get(name, {}).get("type")), "word") for name in schema.get("required") or ()
        }
        return scenario._replace(tool=(tool["name"], wanted)) if tool.get("name") else scenario

    def next_id(self, prefix: str) -> str:
        """Return a new id."""
        with self._lock:
            self._number += 1
            return f"{prefix}{self._number:06d}"

    def bill(self, entry: Billed) -> None:
        """Put a line on the bill."""
        with self._lock:
            self.billed.append(entry)

    def saw(self, request: SeenRequest) -> None:
        """Note a request, without its body."""
        with self._lock:
            self.requests.append(request)

    def tokens_of(self, value: object) -> int:
        """Return a deterministic token count of a content: ``scale`` per four characters, at least one."""
        return max(1, self.scale * len(json.dumps(value)) // 4) if value else 1
