"""The neighbours of the frameworks: how each is put on."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider


def _instrumentor(module: str, kind: str) -> Callable[[TracerProvider], None]:
    def install(tracers: TracerProvider) -> None:
        getattr(importlib.import_module(module), kind)().instrument(tracer_provider=tracers)

    return install


def _pydantic_own(_tracers: TracerProvider) -> None:
    from pydantic_ai import Agent

    Agent.instrument_all()


def _pydantic_openinference(tracers: TracerProvider) -> None:
    from openinference.instrumentation.pydantic_ai import OpenInferenceSpanProcessor

    tracers.add_span_processor(OpenInferenceSpanProcessor())
    _pydantic_own(tracers)


def _logfire(kind: str) -> Callable[[TracerProvider], None]:
    def install(_tracers: TracerProvider) -> None:
        import logfire

        getattr(logfire, f"instrument_{kind}")()

    return install


def _openlit(_tracers: TracerProvider) -> None:
    """Switch on all that it has: the framework's instrumentation and the client's."""
    import openlit

    prices = Path("prices.json")  # it would ask the network
    prices.write_text("{}")
    openlit.init(disable_batch=True, pricing_json=str(prices))


NEIGHBOURS: Mapping[str, Callable[[TracerProvider], None]] = {
    "alone": lambda _: None,
    "official-openai": _instrumentor("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor"),
    "official-anthropic": _instrumentor("opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor"),
    "official-langchain": _instrumentor("opentelemetry.instrumentation.genai.langchain", "LangChainInstrumentor"),
    "official-botocore": _instrumentor("opentelemetry.instrumentation.botocore", "BotocoreInstrumentor"),
    "openinference-langchain": _instrumentor("openinference.instrumentation.langchain", "LangChainInstrumentor"),
    "openllmetry-langchain": _instrumentor("opentelemetry.instrumentation.langchain", "LangchainInstrumentor"),
    "official-llama": _instrumentor("opentelemetry.instrumentation.genai.llama_index", "LlamaIndexInstrumentor"),
    "openinference-llama": _instrumentor("openinference.instrumentation.llama_index", "LlamaIndexInstrumentor"),
    "openllmetry-llama": _instrumentor("opentelemetry.instrumentation.llamaindex", "LlamaIndexInstrumentor"),
    "official-agents": _instrumentor("opentelemetry.instrumentation.genai.openai_agents", "OpenAIAgentsInstrumentor"),
    "openinference-agents": _instrumentor("openinference.instrumentation.openai_agents", "OpenAIAgentsInstrumentor"),
    "openllmetry-agents": _instrumentor("opentelemetry.instrumentation.openai_agents", "OpenAIAgentsInstrumentor"),
    "openinference-crewai": _instrumentor("openinference.instrumentation.crewai", "CrewAIInstrumentor"),
    "openllmetry-crewai": _instrumentor("opentelemetry.instrumentation.crewai", "CrewAIInstrumentor"),
    "own": _pydantic_own,
    "logfire": _logfire("pydantic_ai"),
    "logfire-openai": _logfire("openai"),
    "logfire-anthropic": _logfire("anthropic"),
    "logfire-agents": _logfire("openai_agents"),
    "openinference-pydantic": _pydantic_openinference,
    "openlit": _openlit,
}
