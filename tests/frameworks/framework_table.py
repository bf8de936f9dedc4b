"""What the tests of frameworks and the option that writes their verdicts share: the table, and how a program is run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

#: Kinds that make no model call themselves, by what the neighbours call them.
CONTAINERS = frozenset(
    {
        "CHAIN", "TOOL", "AGENT", "invoke_agent", "create_agent", "execute_tool", "execute_task", "invoke_workflow",
        "workflow", "task", "agent", "tool",
    }
)  # fmt: skip


class Row(NamedTuple):
    """A framework beside a neighbour, and whose span then holds the charge (of several: by order and form)."""

    framework: str
    neighbour: str
    holder: str | tuple[str, ...]
    #: What must be installed, the framework first.
    needs: tuple[str, ...]
    #: The forms of which the neighbour keeps its span for ever without ending it: the metrics alone hold the charge.
    never_ended: frozenset[str] = frozenset()
    #: Whether the neighbour writes the provider's tokens, and not what it counts itself.
    true_tokens: bool = True


#: The package and the client of each framework, as the matrix names them.
CLIENTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "langchain_openai": ("langchain", "openai chat"),
        "langchain_openai_responses": ("langchain", "openai responses"),
        "langchain_anthropic": ("langchain", "anthropic messages"),
        "langchain_aws": ("langchain", "bedrock converse"),
        "llama_index": ("llama-index-core", "openai chat"),
        "llama_index_anthropic": ("llama-index-core", "anthropic messages"),
        "openai_agents": ("openai-agents", "openai responses"),
        "openai_agents_chat": ("openai-agents", "openai chat"),
        "pydantic_ai_openai": ("pydantic-ai-slim", "openai chat"),
        "pydantic_ai_anthropic": ("pydantic-ai-slim", "anthropic messages"),
        "crewai": ("crewai", "openai chat"),
        "crewai_anthropic": ("crewai", "anthropic messages"),
        "claude_agent_sdk": ("claude-agent-sdk", "its own program"),
    }
)
_KEPT_OPEN = "openlit never ends the span of an asynchronous call, and keeps it: the metrics alone hold the charge"
#: Cells that are not run: framework, neighbour and ending, and why.
LEFT_OUT: Mapping[tuple[str, str, str], str] = MappingProxyType(
    {
        ("langchain_openai", "openlit", "asynchronous"): _KEPT_OPEN,
        ("langchain_anthropic", "openlit", "asynchronous"): _KEPT_OPEN,
        ("langchain_openai_responses", "openlit", "completed"): "openlit takes an object for a dict, and so breaks the "
        "stream, with us as without us",
        ("langchain_anthropic", "logfire-anthropic", "completed"): "logfire drops the span that the client makes "
        "inside its own, and that span holds our charge: the metrics count it, no span does",
        ("llama_index_anthropic", "official-anthropic", "completed"): "llama-index calls a type that is a union from "
        "the client's second major on, which the official package needs",
        ("pydantic_ai_anthropic", "official-anthropic", "completed"): "pydantic-ai calls a type that is a union in "
        "the client's second major, which the official package needs",
        ("claude_agent_sdk", "alone", "cancelled"): "its program exports no span of a call that was interrupted",
    }
)


def said_by(program: Path, words: Sequence[str], environment: Mapping[str, str], home: str) -> dict[str, Any]:
    """Run a program in a process of its own; return what its last line says."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), *words],
        env=dict(environment), capture_output=True, text=True, timeout=300, check=False, cwd=home,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
