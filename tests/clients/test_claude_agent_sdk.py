"""claude-agent-sdk without its program: whose spans are charged, who bills, and where a resumed session stood.

The program itself runs in tests/frameworks.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from otel_tokenomics.clients.claude_agent_sdk import ADAPTER

ON = {"CLAUDE_CODE_ENABLE_TELEMETRY": "1"}
BETA = {"CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1"}


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLAUDE_CODE_ENABLE_TELEMETRY", "CLAUDE_CONFIG_DIR", "ANTHROPIC_BASE_URL", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)


def session(env: dict[str, str], **options: Any) -> Any:
    return ADAPTER.dialogue(SimpleNamespace(_options=SimpleNamespace(env=env, **options)), (), {})


@pytest.mark.parametrize(
    ("env", "ours"),
    [
        ({}, True),
        ({**ON, "OTEL_METRICS_EXPORTER": "otlp"}, True),  # sums, of no call
        ({**ON, "OTEL_TRACES_EXPORTER": "otlp"}, True),  # none without the beta
        ({**ON, **BETA, "OTEL_TRACES_EXPORTER": "console"}, True),
        ({**ON, **BETA, "OTEL_LOGS_EXPORTER": "otlp"}, True),  # its events are priced by nobody of us
        ({"CLAUDE_CODE_ENABLE_TELEMETRY": "0", **BETA, "OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({**ON, "ENABLE_ENHANCED_TELEMETRY_BETA": "1", "OTEL_TRACES_EXPORTER": "otlp"}, False),
        ({**ON, **BETA, "OTEL_TRACES_EXPORTER": "console,otlp"}, False),
    ],
)
def test_nothing_is_charged_where_the_program_exports_its_calls(
    env: dict[str, str], ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (session(env) is not None) is ours
    for name, value in env.items():  # the program inherits them
        monkeypatch.setenv(name, value)
    assert (session({}) is not None) is ours


@pytest.mark.parametrize(
    ("env", "place"),
    [
        ({}, ("anthropic", None, None, "")),
        ({"ANTHROPIC_BASE_URL": "http://127.0.0.1:80/x"}, ("anthropic", "127.0.0.1", 80, "/x")),
        ({"CLAUDE_CODE_USE_BEDROCK": "1"}, ("aws.bedrock", None, None, "")),
        (
            {"CLAUDE_CODE_USE_VERTEX": "true", "ANTHROPIC_VERTEX_BASE_URL": "https://gw.example"},
            ("gcp.vertex_ai", "gw.example", 443, ""),
        ),
        ({"CLAUDE_CODE_USE_FOUNDRY": "1"}, ("azure.ai.inference", None, None, "")),
    ],
)
def test_who_bills_is_what_the_program_is_told(env: dict[str, str], place: Any) -> None:
    step = session(env, model="sonnet").sent(('{"type": "user", "message": {}}\n',), {})
    request = step.request
    assert (request.provider, request.host, request.port, request.path) == place
    assert (step.what, request.model) == ("asked", "sonnet")


def test_what_is_no_question_asks_nothing() -> None:
    assert session({}).sent(('{"type": "control_request", "request": {"subtype": "interrupt"}}\n',), {}) is None


def _used(given: int) -> dict[str, Any]:
    return {"claude-sonnet-5-5": {"inputTokens": given, "outputTokens": 1}}


def _told(dialogue: Any, given: int, **query: int) -> list[tuple[int, Any]]:
    list(dialogue.received({"type": "system", "subtype": "init", "session_id": "abc", "model": "claude-sonnet-5-5"}))
    steps = dialogue.received({"type": "result", "session_id": "abc", "modelUsage": _used(given), "usage": query})
    readings = [ADAPTER.usage(step.operation, step.item, "anthropic") for step in steps if step.what == "over"]
    return [(reading.usage.counts["input"], reading.reason) for reading in readings if reading and reading.usage]


@pytest.mark.parametrize("how", [{"resume": "abc"}, {"continue_conversation": True}])
def test_where_a_resumed_session_stood_is_read_from_its_transcript(how: dict[str, Any], tmp_path: Path) -> None:
    place = tmp_path / "projects" / "-somewhere"
    place.mkdir(parents=True)
    state = {"type": "cost-state", "sessionId": "abc", "modelUsage": _used(100)}
    long = {"type": "user", "content": "x" * 2**20}
    lines = (json.dumps(line, separators=(",", ":")) for line in (long, state))
    (place / "abc.jsonl").write_text("\n".join(lines) + "\n")
    env = {"CLAUDE_CONFIG_DIR": str(tmp_path)}
    # 50 new, of which the query's own are 30: a subagent's are not among those.
    assert _told(session(env, **how), 150, input_tokens=30) == [(50, None)]
    (place / "abc.jsonl").unlink()
    assert _told(session(env, **how), 150, input_tokens=30) == [(30, "incomplete_usage")]


def test_no_message_is_too_strange() -> None:
    dialogue = session({})
    for message in ({}, {"type": "system"}, {"type": "result"}, {"type": "result", "modelUsage": 5, "usage": "x"}):
        for step in dialogue.received(message):
            ADAPTER.usage(step.operation, step.item, "anthropic")
