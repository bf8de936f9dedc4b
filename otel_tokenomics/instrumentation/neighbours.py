"""Who else makes spans of the same calls, and why a response is one charge all the same: ``status()`` says it.

The words say what ``suppression``, ``seam`` and ``reports`` do beside the releases that were tried;
``tests/beside`` holds them against the real packages.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, distributions
from typing import Any, Final

from otel_tokenomics.client_api import Adapter

#: Its span is current and recording while the client sends.
ADOPTED: Final = "cost on its span, none of ours"
#: Its span is not current while the client sends, so nobody below can see it.
BESIDE: Final = "cost on a span of ours, none on its span"
#: Not tried, or different from one way to call to the other.
EITHER: Final = "cost on its span where that is current while the client sends, else on a span of ours"
_REPORTED: Final = "charged from its report only where no observed client below was; cost on a span of ours"

#: Name of an adapter -> the instrumentations of its library, by distribution.
_OF_ONE: Final[dict[str, dict[str, str]]] = {
    "anthropic": {
        "opentelemetry-instrumentation-genai-anthropic": ADOPTED,
        "openinference-instrumentation-anthropic": ADOPTED,
        "opentelemetry-instrumentation-anthropic": BESIDE,
    },
    "bedrock": {
        "opentelemetry-instrumentation-genai-bedrock": ADOPTED,
        "opentelemetry-instrumentation-botocore": ADOPTED,
        "openinference-instrumentation-bedrock": EITHER,
        "opentelemetry-instrumentation-bedrock": EITHER,
    },
    "claude_agent_sdk": {
        "openinference-instrumentation-claude-agent-sdk": BESIDE,
    },
    "cohere": {
        "openinference-instrumentation-cohere": BESIDE,
        "opentelemetry-instrumentation-cohere": EITHER,
    },
    "google_genai": {
        "opentelemetry-instrumentation-google-genai": EITHER,
        "openinference-instrumentation-google-genai": EITHER,
        "opentelemetry-instrumentation-google-generativeai": BESIDE,
    },
    "groq": {
        "openinference-instrumentation-groq": BESIDE,
        "opentelemetry-instrumentation-groq": BESIDE,
    },
    "litellm": {
        "openinference-instrumentation-litellm": BESIDE,
        "opentelemetry-instrumentation-litellm": BESIDE,
    },
    "mistral": {
        "openinference-instrumentation-mistralai": BESIDE,
        "opentelemetry-instrumentation-mistralai": EITHER,
    },
    "ollama": {
        "openinference-instrumentation-ollama": BESIDE,
        "opentelemetry-instrumentation-ollama": BESIDE,
    },
    "openai": {
        "opentelemetry-instrumentation-genai-openai": ADOPTED,
        "opentelemetry-instrumentation-openai-v2": EITHER,
        "openinference-instrumentation-openai": ADOPTED,
        "opentelemetry-instrumentation-openai": ADOPTED,
    },
    "together": {
        "openinference-instrumentation-together": BESIDE,
        "opentelemetry-instrumentation-together": EITHER,
    },
}
#: Brings instrumentations of many clients.
_OF_MANY: Final = ("logfire", "openlit", "traceloop-sdk")
#: Instrumentations of agent frameworks too, whose spans stand above those of the clients.
_PREFIXES: Final = (
    "openinference-instrumentation-",
    "opentelemetry-instrumentation-crewai",
    "opentelemetry-instrumentation-genai-",
    "opentelemetry-instrumentation-langchain",
    "opentelemetry-instrumentation-llamaindex",
    "opentelemetry-instrumentation-openai-",
)
_KNOWN: Final = frozenset(name for of_one in _OF_ONE.values() for name in of_one) | frozenset(_OF_MANY)


def found() -> dict[str, Distribution]:
    """Return the installed distributions that make spans of model calls, by normalised name."""
    all_of_them: dict[str, Distribution] = {}
    for distribution in distributions():
        name = re.sub(r"[-_.]+", "-", distribution.name or "").lower()
        if name in _KNOWN or name.startswith(_PREFIXES):
            all_of_them.setdefault(name, distribution)
    return dict(sorted(all_of_them.items()))


def of_client(name: str, adapter: Adapter, others: dict[str, Distribution], native_spans: str) -> list[dict[str, str]]:
    """Return who makes spans of one client's calls, and how the double charge is avoided beside each."""
    answer: list[dict[str, str]] = []
    native = _native(name, adapter, native_spans)
    if native is not None:
        answer.append({"name": f"{adapter.library} itself", "one_charge": native})
    charges = _OF_ONE.get(name, {}) | dict.fromkeys(_OF_MANY, EITHER)
    for other, charge in charges.items():
        if (distribution := others.get(other)) is not None:
            facts = {"name": other, "version": distribution.version, "state": state(distribution)}
            answer.append({**facts, "one_charge": charge})
    return answer


def _native(name: str, adapter: Adapter, native_spans: str) -> str | None:
    """Return what becomes of the spans that a library makes itself, where it does."""
    if adapter.traces_itself is not None:
        if native_spans == "replace":
            return "a client's own spans are switched off (native_spans=replace)"
        return "cost on the client's own span where it makes one, none of ours (native_spans=adopt)"
    if adapter.callback is not None:
        return _REPORTED
    return BESIDE if name == "mistral" else None


def state(distribution: Distribution) -> str:
    """Return ``active`` where its instrumentor is at work, ``imported`` where its module is, else ``installed``."""
    doors = [point for point in distribution.entry_points if point.group == "opentelemetry_instrumentor"]
    modules = [point.module for point in doors] or [distribution.name.replace("-", "_").removesuffix("_sdk")]
    if not any(module in sys.modules for module in modules):
        return "installed"
    for point in doors:
        instrumentor: Any = getattr(getattr(sys.modules.get(point.module), point.attr, None), "_instance", None)
        if getattr(instrumentor, "is_instrumented_by_opentelemetry", False):
            return "active"
    return "imported"
