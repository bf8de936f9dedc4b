"""One program: a framework on its real client, ours, and perhaps a neighbour. Prints what each form left.

See test_frameworks.py. A process of its own for each, since no neighbour takes back all of its patches.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from neighbour_table import NEIGHBOURS
from opentelemetry import baggage, context, metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_tokenomics as tk
from otel_tokenomics import pricebook_source
from otel_tokenomics.demo.provider import Billed, LocalProvider, Scenario
from otel_tokenomics.instrumentation.reaper import REAPER
from otel_tokenomics.pricing import price
from otel_tokenomics.usage import Usage, pico_to_usd

CANARY = "canary-7f3a"
PROMPT = f"How warm is it in Oslo, {CANARY}?"
CLAUDE, GPT, NOVA = "claude-sonnet-5-5", "gpt-5.4", "amazon.nova-pro-v1:0"
TOOL = ("get_weather", {"city": f"Oslo {CANARY}"})

_IDS = re.compile(
    r"(lc_run|run|chatcmpl|msg|call|resp|toolu)[-_][0-9a-zA-Z_-]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
#: What a form does: what it returns, or what its coroutine does, is what the caller gets.
Form = Callable[[], Any]


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"{city}: 12 degrees, {CANARY}"


# --- the frameworks: name -> forms -----------------------------------------------------------------


def _langchain(model: Any) -> dict[str, Form]:
    from langchain.agents import create_agent

    def agent() -> Any:
        return create_agent(model, tools=[get_weather])

    asked: Any = {"messages": [("user", PROMPT)]}

    async def astream() -> Any:
        return [chunk async for chunk in model.astream(PROMPT)]

    async def astream_tools() -> Any:
        return [chunk async for chunk, _ in agent().astream(asked, stream_mode="messages")]

    async def together() -> Any:
        return await asyncio.gather(*(model.ainvoke(f"{PROMPT} {number}") for number in range(4)))

    return {
        "plain": lambda: model.invoke(PROMPT),
        "stream": lambda: list(model.stream(PROMPT)),
        "batch": lambda: model.batch([PROMPT, PROMPT + "?", PROMPT + "??"]),
        "tools": lambda: agent().invoke(asked),
        "stream_tools": lambda: [chunk for chunk, _ in agent().stream(asked, stream_mode="messages")],
        "aplain": lambda: model.ainvoke(PROMPT),
        "astream": astream,
        "atools": lambda: agent().ainvoke(asked),
        "astream_tools": astream_tools,
        "together": together,
    }


def langchain_openai(provider: LocalProvider) -> dict[str, Form]:
    from langchain_openai import ChatOpenAI

    return _langchain(ChatOpenAI(model=GPT, base_url=provider.base_url_openai, api_key="k"))  # type: ignore[arg-type]


def langchain_openai_responses(provider: LocalProvider) -> dict[str, Form]:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=GPT, base_url=provider.base_url_openai, api_key="k", use_responses_api=True)  # type: ignore[arg-type]
    return _langchain(model)


def langchain_anthropic(provider: LocalProvider) -> dict[str, Form]:
    from langchain_anthropic import ChatAnthropic

    return _langchain(ChatAnthropic(model=CLAUDE, base_url=provider.base_url_anthropic, api_key="k", max_tokens=99))  # type: ignore[call-arg]


def langchain_aws(provider: LocalProvider) -> dict[str, Form]:
    from langchain_aws import ChatBedrockConverse

    account: Any = {"region_name": "us-east-1", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
    return _langchain(ChatBedrockConverse(model=NOVA, endpoint_url=provider.base_url("bedrock-api"), **account))


def _llama_index(model: Any) -> dict[str, Form]:
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.core.tools import FunctionTool

    async def run(*, streaming: bool) -> Any:
        tool = FunctionTool.from_defaults(get_weather)
        agent = FunctionAgent(tools=[tool], llm=model, streaming=streaming)
        handler = agent.run(PROMPT)
        async for _ in handler.stream_events():
            pass
        return str(await handler)

    async def astream() -> Any:
        return [chunk async for chunk in await model.astream_complete(PROMPT)]

    async def together() -> Any:
        return await asyncio.gather(*(model.acomplete(f"{PROMPT} {number}") for number in range(4)))

    return {
        "plain": lambda: model.complete(PROMPT),
        "stream": lambda: list(model.stream_complete(PROMPT)),
        "aplain": lambda: model.acomplete(PROMPT),
        "astream": astream,
        "atools": lambda: run(streaming=False),
        "astream_tools": lambda: run(streaming=True),
        "together": together,
    }


def llama_index(provider: LocalProvider) -> dict[str, Form]:
    from llama_index.llms.openai import OpenAI

    return _llama_index(OpenAI(model=GPT, api_base=provider.base_url_openai, api_key="k"))


def llama_index_anthropic(provider: LocalProvider) -> dict[str, Form]:
    from llama_index.llms.anthropic import Anthropic

    return _llama_index(Anthropic(model=CLAUDE, base_url=provider.base_url_anthropic, api_key="k", max_tokens=99))


def _pydantic_ai(model: Any) -> dict[str, Form]:
    from pydantic_ai import Agent

    agent: Any = Agent(model, tools=[get_weather])

    async def aplain() -> Any:
        return await agent.run(PROMPT)

    async def astream() -> Any:
        async with agent.run_stream(PROMPT) as answer:
            return [text async for text in answer.stream_text()]

    async def together() -> Any:
        return await asyncio.gather(*(agent.run(f"{PROMPT} {number}") for number in range(4)))

    return {
        "plain": lambda: agent.run_sync(PROMPT),
        "aplain": aplain,
        "astream": astream,
        "tools": lambda: agent.run_sync(PROMPT),
        "atools": aplain,
        "astream_tools": astream,
        "together": together,
    }


def pydantic_ai_openai(provider: LocalProvider) -> dict[str, Form]:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return _pydantic_ai(OpenAIChatModel(GPT, provider=OpenAIProvider(base_url=provider.base_url_openai, api_key="k")))


def pydantic_ai_anthropic(provider: LocalProvider) -> dict[str, Form]:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(base_url=provider.base_url_anthropic, api_key="k")
    return _pydantic_ai(AnthropicModel(CLAUDE, provider=AnthropicProvider(anthropic_client=client)))


def _openai_agents(provider: LocalProvider, kind: str) -> dict[str, Form]:
    import agents
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=provider.base_url_openai, api_key="k")
    model = getattr(agents, kind)(GPT, client)
    agent = agents.Agent(name="weather", model=model, tools=[agents.function_tool(get_weather)])
    planner = agents.Agent(name="planner", model=model, handoffs=[agent])

    async def aplain() -> Any:
        return await agents.Runner.run(agent, PROMPT)

    async def astream() -> Any:
        running = agents.Runner.run_streamed(agent, PROMPT)
        return [type(event).__name__ async for event in running.stream_events()], running.final_output

    async def handoff_tools() -> Any:
        provider.expect(Scenario(tool=("transfer_to_weather", {})), Scenario(tool=TOOL))
        return await agents.Runner.run(planner, PROMPT)

    async def together() -> Any:
        return await asyncio.gather(*(agents.Runner.run(agent, f"{PROMPT} {number}") for number in range(4)))

    return {
        "plain": lambda: agents.Runner.run_sync(agent, PROMPT),
        "aplain": aplain,
        "astream": astream,
        "tools": lambda: agents.Runner.run_sync(agent, PROMPT),
        "atools": aplain,
        "astream_tools": astream,
        "handoff": handoff_tools,
        "together": together,
    }


def openai_agents(provider: LocalProvider) -> dict[str, Form]:
    return _openai_agents(provider, "OpenAIResponsesModel")


def openai_agents_chat(provider: LocalProvider) -> dict[str, Form]:
    return _openai_agents(provider, "OpenAIChatCompletionsModel")


def _crewai(name: str, base_url: str) -> dict[str, Form]:
    from crewai import LLM, Agent, Crew, Task
    from crewai.tools import tool

    weather = tool("get_weather")(get_weather)

    def crew(*, stream: bool = False) -> Any:
        model = LLM(model=name, base_url=base_url, api_key="k", stream=stream)
        agent: Any = Agent(role="weather", goal="weather", backstory="weather", llm=model, tools=[weather])
        task = Task(description=PROMPT, expected_output="a sentence", agent=agent)
        return Crew(agents=[agent], tasks=[task], verbose=False)

    return {
        "plain": lambda: crew().kickoff(),
        "stream": lambda: crew(stream=True).kickoff(),
        "tools": lambda: crew().kickoff(),
        "stream_tools": lambda: crew(stream=True).kickoff(),
        "aplain": lambda: crew().kickoff_async(),
        "atools": lambda: crew().kickoff_async(),
    }


def crewai(provider: LocalProvider) -> dict[str, Form]:
    return _crewai(f"openai/{GPT}", provider.base_url_openai)


def crewai_anthropic(provider: LocalProvider) -> dict[str, Form]:
    return _crewai(f"anthropic/{CLAUDE}", provider.base_url_anthropic)


FRAMEWORKS: Mapping[str, Callable[[LocalProvider], dict[str, Form]]] = {
    made.__name__: made
    for made in (
        langchain_openai, langchain_openai_responses, langchain_anthropic, langchain_aws, llama_index,
        llama_index_anthropic, pydantic_ai_openai, pydantic_ai_anthropic, openai_agents, openai_agents_chat, crewai,
        crewai_anthropic,
    )
}  # fmt: skip


# --- what is seen ----------------------------------------------------------------------------------


def billed_tokens(usage: Mapping[str, Any]) -> int:
    total = usage.get("total_tokens") or usage.get("totalTokens")
    return total or usage["input_tokens"] + usage["output_tokens"]


def bill_of(billed: Sequence[Billed]) -> float:
    """Return the ledger in USD: what the server counted (plain input and output alone), at the book's prices."""
    total = 0
    for line in billed:
        usage, counts = line.usage, {}
        for unit, keys in (
            ("input", ("input_tokens", "prompt_tokens", "inputTokens")),
            ("output", ("output_tokens", "completion_tokens", "outputTokens")),
        ):
            counts[unit] = next(usage[key] for key in keys if key in usage)
        maker = {CLAUDE: "anthropic", NOVA: "aws.bedrock"}.get(line.model, "openai")
        cost = price(pricebook_source.current(), maker, line.model, Usage(counts), {}, time.time_ns() // 1_000_000)
        assert cost.total, line.model
        total += cost.total
    return pico_to_usd(total)


def answer_of(value: Any) -> Any:
    """Return the types and the text of what a caller got, without the ids that its framework draws."""
    if isinstance(value, (list, tuple)):
        return [answer_of(item) for item in value]
    if isinstance(value, str):
        return _IDS.sub("", value)
    if isinstance(value, dict):
        return {key: answer_of(item) for key, item in value.items()}
    texts = (getattr(value, name, None) for name in ("content", "text", "output", "final_output", "raw"))
    return [type(value).__name__, answer_of(next((text for text in texts if isinstance(text, (str, list))), ""))]


def ours_of(span: ReadableSpan) -> Iterator[str]:
    """Yield every text that we wrote: all of a span of ours, the ``tokenomics.*`` attributes of others."""
    own = span.instrumentation_scope is not None and span.instrumentation_scope.name == "otel_tokenomics"
    for key, value in (span.attributes or {}).items():
        if own or key.startswith("tokenomics."):
            yield f"{key}={value!r}"
    if own:
        yield span.to_json()


def counted(reader: InMemoryMetricReader) -> tuple[dict[str, float], str]:
    """Return the sum of each of our counters, and all that we export as metrics, as text."""
    sums: dict[str, float] = {}
    text: list[str] = []
    data = reader.get_metrics_data()
    for scope in (scope for resource in data.resource_metrics for scope in resource.scope_metrics) if data else ():
        if scope.scope.name == "otel_tokenomics":
            text.append(scope.to_json())
            for metric in scope.metrics:
                points: Any = metric.data.data_points
                sums[metric.name] = sum(getattr(point, "value", 0) for point in points)
    return sums, "".join(text)


def describe(span: ReadableSpan) -> dict[str, Any]:
    attributes: Any = span.attributes or {}
    kind = next((attributes[key] for key in ("gen_ai.operation.name", "openinference.span.kind", "llm.request.type",
                 "traceloop.span.kind") if key in attributes), None)  # fmt: skip
    tokens = [attributes.get(f"gen_ai.usage.{side}_tokens") for side in ("input", "output")]
    context = span.context
    return {
        "scope": span.instrumentation_scope.name if span.instrumentation_scope else "",
        "name": span.name,
        "agent": attributes.get("gen_ai.agent.name"),
        "kind": kind,
        "cost": attributes.get("tokenomics.cost.total"),
        "end": attributes.get("tokenomics.call.end"),
        "status": attributes.get("tokenomics.cost.status"),
        "tokens": sum(tokens) if None not in tokens else None,
        "subtree": attributes.get("tokenomics.subtree.cost.total"),
        "partial": attributes.get("tokenomics.subtree.partial"),
        "team": attributes.get("tokenomics.tag.team"),
        "id": context.span_id if context else 0,
        "parent": span.parent.span_id if span.parent else None,
        "ended": span.end_time,
    }


def priced_at_export(spans: Sequence[ReadableSpan]) -> tuple[ReadableSpan, ...]:
    """Return the spans as they leave in one batch, where the exporter prices foreign ones too."""
    inner = InMemorySpanExporter()
    tk.PricingSpanExporter(inner).export(spans)
    return inner.get_finished_spans()


def main(framework: str, neighbour: str, order: str, *only: str) -> None:
    exporter, reader, tracers = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    one_by_one = InMemorySpanExporter()
    leaving: list[Any] = [SimpleSpanProcessor(to) for to in (exporter, tk.PricingSpanExporter(one_by_one))]
    if neighbour.startswith("logfire"):
        import logfire

        # It brings its own providers, and makes them the global ones.
        measuring = logfire.MetricsOptions(additional_readers=[reader])
        logfire.configure(send_to_logfire=False, console=False, metrics=measuring, additional_span_processors=leaving)
    else:
        trace.set_tracer_provider(tracers)
        metrics.set_meter_provider(MeterProvider([reader]))
    result: dict[str, Any] = {}
    with LocalProvider() as provider:
        # OpenInference's processor for pydantic-ai rewrites spans at their end, so the exporter comes after it.
        steps: list[Callable[[], Any]] = [
            lambda: tk.instrument(endpoints=provider.endpoints, stream_usage="auto"),
            lambda: NEIGHBOURS[neighbour](tracers),
        ]
        for step in {"ours first": steps, "theirs first": steps[::-1], "without ours": steps[1:]}[order]:
            step()
        for processor in leaving:
            tracers.add_span_processor(processor)
        if framework.startswith("openai_agents"):
            agents = importlib.import_module("agents")
            kept = [
                processor
                for processor in agents.tracing.get_trace_provider()._multi_processor._processors
                if "BatchTraceProcessor" not in type(processor).__name__
            ]
            agents.set_trace_processors(kept)  # its own would go to the network
        forms = FRAMEWORKS[framework](provider)
        tracer = trace.get_tracer("application")
        # One loop for all: a client whose connections belong to a dead loop sends its request twice.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        before, _ = counted(reader)
        for name, form in forms.items():
            if only and name not in only:
                continue
            exporter.clear()
            one_by_one.clear()
            provider.ledger.billed.clear()
            provider.ledger.requests.clear()
            if name.endswith("tools"):
                counts_first = [Scenario()] if framework == "crewai_anthropic" else []  # tokens, before it asks
                provider.expect(*counts_first, Scenario(tool=TOOL))
            # What another service of ours may have sent along.
            token = context.attach(baggage.set_baggage("tokenomics.tag.team", "search"))
            with tracer.start_as_current_span("request"), tk.tags(team=name):
                done = form()
                if asyncio.iscoroutine(done):
                    done = loop.run_until_complete(done)
            context.detach(token)
            answer = answer_of(done)
            del done
            gc.collect()
            REAPER.drain()
            sums, text = counted(reader)
            spans = exporter.get_finished_spans()
            written = text + "".join(part for span in spans for part in ours_of(span))
            result[name] = {
                "billed": [billed_tokens(line.usage) for line in provider.ledger.billed],
                "bill": bill_of(provider.ledger.billed),
                "answer": answer,
                "metrics": {key: value - before.get(key, 0) for key, value in sums.items()},
                "spans": [describe(span) for span in spans],
                "content": CANARY in written or "Oslo" in written,
                "at_export": [describe(span) for span in priced_at_export(spans)],
                "one_by_one": [describe(span) for span in one_by_one.get_finished_spans()],
                "baggage": [seen.headers.get("baggage", "") for seen in provider.ledger.requests],
            }
            before = sums
        result["failures"] = tk.status()["failures"]
        result["left_over"] = len(provider.ledger._queue)
    json.dump(result, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # a framework's own threads (telemetry, exporters) are not waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
