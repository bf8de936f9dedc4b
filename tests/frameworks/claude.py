"""One program: claude-agent-sdk over the local server, ours, and perhaps a neighbour. Prints what each form left.

The SDK starts a program that makes the model calls. With ``exporting``, what that program exports over OTLP comes to a
receiver here and is priced as it leaves, together with the spans of this process; with ``silent`` it exports nothing.
See test_claude_agent_sdk.py.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from one import (
    CLAUDE,
    PROMPT,
    TOOL,
    answer_of,
    bill_of,
    billed_tokens,
    describe,
    get_weather,
    ours_of,
    priced_at_export,
)
from opentelemetry import baggage, context, metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

import otel_tokenomics as tk
from otel_tokenomics.demo.provider import LocalProvider, Scenario
from otel_tokenomics.instrumentation.reaper import REAPER

#: Input without the cache, what was read from it and written to it: the program writes the sum and the parts.
CACHED = {
    "input_tokens": 100, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 0, "output_tokens": 50,
    "service_tier": "standard",
}  # fmt: skip


REFUSAL = json.dumps({"type": "error", "error": {"type": "authentication_error", "message": "no"}})


class Receiver(BaseHTTPRequestHandler):
    """Keeps the spans that the program exports as OTLP in JSON."""

    spans: list[ReadableSpan]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        del format, args

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.spans.extend(_spans(body))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


def _spans(body: Mapping[str, Any]) -> Iterator[ReadableSpan]:
    for resource in body.get("resourceSpans", ()):
        stated = Resource(_attributes(resource["resource"]["attributes"]))
        for scope in resource["scopeSpans"]:
            made = InstrumentationScope(scope["scope"]["name"], scope["scope"].get("version"))
            for span in scope["spans"]:
                parent = span.get("parentSpanId")
                yield ReadableSpan(
                    span["name"], _context(span["traceId"], span["spanId"]),
                    _context(span["traceId"], parent) if parent else None, stated, _attributes(span["attributes"]),
                    kind=SpanKind(max(span["kind"] - 1, 0)), instrumentation_scope=made,
                    start_time=int(span["startTimeUnixNano"]), end_time=int(span["endTimeUnixNano"]),
                )  # fmt: skip


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))


def _attributes(pairs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        ((kind, value),) = pair["value"].items()
        if kind != "arrayValue":
            found[pair["key"]] = int(value) if kind == "intValue" else value
    return found


def forms(provider: LocalProvider, environment: Mapping[str, str]) -> dict[str, Callable[[], Any]]:  # noqa: C901  # one small function for each form
    import claude_agent_sdk as sdk

    @sdk.tool("get_weather", "The weather of a city", {"city": str})
    async def weather(arguments: Any) -> Any:
        return {"content": [{"type": "text", "text": get_weather(arguments["city"])}]}

    server = sdk.create_sdk_mcp_server("w", tools=[weather])

    def options(**more: Any) -> Any:
        return sdk.ClaudeAgentOptions(
            model=CLAUDE, mcp_servers={"w": server}, setting_sources=[], allowed_tools=["mcp__w__get_weather"],
            **{"env": dict(environment), "max_turns": 5, **more},
        )  # fmt: skip

    def tool() -> None:
        provider.expect(Scenario(tool=("mcp__w__get_weather", TOOL[1])))

    async def alone(**more: Any) -> list[Any]:
        seen: list[Any] = []
        try:
            async for message in sdk.query(prompt=PROMPT, options=options(**more)):
                seen.append(message)  # noqa: PERF401  # what came before an error counts
        except Exception as error:  # is part of the answer
            seen.append(type(error).__name__)
        return seen

    async def tools() -> list[Any]:
        tool()
        return await alone()

    async def partial() -> list[Any]:
        tool()
        return await alone(include_partial_messages=True)

    async def cached() -> list[Any]:
        provider.expect(Scenario(usage=CACHED))
        return await alone()

    async def session(*, with_tool: bool = True) -> list[Any]:
        seen: list[Any] = []
        async with sdk.ClaudeSDKClient(options()) as client:
            for first in (True, False):
                if first and with_tool:
                    tool()
                await client.query(PROMPT)
                seen += [message async for message in client.receive_response()]
        return seen

    async def interrupted() -> list[Any]:
        provider.expect(Scenario(), Scenario(chunks=200, delay_s=0.05))
        seen: list[Any] = []
        async with sdk.ClaudeSDKClient(options(include_partial_messages=True)) as client:
            await client.query(PROMPT)
            seen += [message async for message in client.receive_response()]
            await client.query(PROMPT)
            asked = False
            async for message in client.receive_response():
                seen.append(message)
                if not asked and type(message).__name__ == "StreamEvent":
                    asked = message.event["type"] == "content_block_delta"
                    if asked:
                        await client.interrupt()
        return seen

    async def resumed() -> list[Any]:
        """A session that goes on in other programs; each counts from where the one before had stood, or from zero."""
        seen = await alone()
        for more in ({}, {}, {"fork_session": True}):
            seen += await alone(resume=seen[-1].session_id, **more)
        return seen + await alone(continue_conversation=True)

    async def subagent() -> list[Any]:
        asked = {"description": "d", "prompt": PROMPT, "subagent_type": "helper", "run_in_background": False}
        provider.expect(Scenario(tool=("Agent", asked)))
        agents = {"helper": sdk.AgentDefinition(description="helps", prompt="Help.", model="haiku")}
        return await alone(agents=agents)

    async def out_of_turns() -> list[Any]:
        tool()
        return await alone(max_turns=1)

    async def refused() -> list[Any]:
        provider.expect(Scenario(raw=(401, "application/json", REFUSAL)))
        return await alone(env={**environment, "CLAUDE_CODE_MAX_RETRIES": "0"})

    async def together() -> list[Any]:
        async def one(team: str) -> list[Any]:
            with tk.tags(team=team):
                return await session(with_tool=False)

        return [message for seen in await asyncio.gather(one("red"), one("blue")) for message in seen]

    async def cleared() -> list[Any]:
        seen: list[Any] = []
        async with sdk.ClaudeSDKClient(options()) as client:
            for words in (PROMPT, "/clear", PROMPT, "/compact", PROMPT):
                await client.query(words)
                seen += [message async for message in client.receive_response()]
        return seen

    async def abandoned() -> list[Any]:
        messages = sdk.query(prompt=PROMPT, options=options())
        seen = [await anext(messages), await anext(messages)]
        await messages.aclose()
        return seen

    both = {"plain": alone, "tools": tools, "partial": partial, "cached": cached, "session": session,
            "interrupted": interrupted}  # fmt: skip
    alone_counts = {"resumed": resumed, "subagent": subagent, "out_of_turns": out_of_turns, "refused": refused,
                    "together": together, "cleared": cleared, "abandoned": abandoned}  # fmt: skip
    return both if "OTEL_TRACES_EXPORTER" in environment else both | alone_counts


def results_of(messages: list[Any]) -> list[dict[str, Any]]:
    """Return what the SDK reports of each query: of itself, and of the session so far."""
    found: list[Any] = [message for message in messages if type(message).__name__ == "ResultMessage"]
    return [
        {
            "query": result.usage["input_tokens"] + result.usage["output_tokens"],
            "session": sum(
                used["inputTokens"] + used["outputTokens"]
                for used in (getattr(result, "model_usage", None) or {}).values()
            ),
            "cost": result.total_cost_usd,
            "subtype": result.subtype,
        }
        for result in found
    ]


def _neighbour(name: str, tracers: TracerProvider) -> None:
    if name == "openinference":
        from openinference.instrumentation.claude_agent_sdk import ClaudeAgentSDKInstrumentor

        ClaudeAgentSDKInstrumentor().instrument(tracer_provider=tracers)
    elif name == "logfire":
        import logfire

        logfire.instrument_claude_agent_sdk()


def main(neighbour: str, order: str, telemetry: str = "exporting") -> None:
    exporter, reader, tracers = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    if neighbour == "logfire":
        import logfire

        exporting: Any = SimpleSpanProcessor(exporter)
        logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[exporting])
    else:
        trace.set_tracer_provider(tracers)
        metrics.set_meter_provider(MeterProvider([reader]))
        tracers.add_span_processor(SimpleSpanProcessor(exporter))
    arrived: list[ReadableSpan] = []
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Receiver,), {"spans": arrived}))
    threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True).start()
    result: dict[str, Any] = {}
    with LocalProvider() as provider:
        environment = {
            "ANTHROPIC_BASE_URL": provider.base_url_anthropic, "ANTHROPIC_API_KEY": "k",
            "DISABLE_TELEMETRY": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",  # nothing goes home
        }  # fmt: skip
        environment |= {} if telemetry == "silent" else {
            "CLAUDE_CODE_ENABLE_TELEMETRY": "1", "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
            "OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
            "OTEL_RESOURCE_ATTRIBUTES": "tokenomics.tag.team=search",
        }  # fmt: skip
        steps: list[Callable[[], Any]] = [
            lambda: tk.instrument(endpoints=provider.endpoints),
            lambda: _neighbour(neighbour, tracers),
        ]
        for step in {"ours first": steps, "theirs first": steps[::-1], "without ours": steps[1:]}[order]:
            step()
        tracer = trace.get_tracer("application")
        for name, form in forms(provider, environment).items():
            exporter.clear()
            arrived.clear()
            provider.ledger.billed.clear()
            provider.ledger.requests.clear()
            token = context.attach(baggage.set_baggage("tokenomics.tag.team", "search"))
            with tracer.start_as_current_span("request") as request, tk.tags(team=name):
                messages = asyncio.run(form())
            context.detach(token)
            gc.collect()
            REAPER.drain()
            spans = [*exporter.get_finished_spans(), *arrived]
            cut = ("interrupted",) if name == "interrupted" else ()
            billed = provider.ledger.billed[: len(provider.ledger.billed) - len(cut)]
            result[name] = {
                "billed": [billed_tokens(line.usage) for line in billed],
                "bill": bill_of(billed) if name != "cached" and telemetry != "silent" else None,
                "cut": len(cut),
                # How many pieces a stream came in is the network's.
                "answer": [kind for kind, *_ in answer_of(messages) if kind != "StreamEvent"],
                "results": results_of(messages),
                "ledger": [[line.model, line.usage] for line in provider.ledger.billed],
                "spans": [describe(span) for span in exporter.get_finished_spans()],
                "at_export": [describe(span) for span in priced_at_export(spans)],
                "content": PROMPT in "".join(part for span in spans for part in ours_of(span)),
                "request": request.get_span_context().span_id,
                "baggage": [seen.headers.get("baggage", "") for seen in provider.ledger.requests],
            }
    said = tk.status()
    result["failures"] = said["failures"]
    result["figures"] = said.get("libraries", {}).get("claude_agent_sdk", {}).get("its_own_figures")
    json.dump(result, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
