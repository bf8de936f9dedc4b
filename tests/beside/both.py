"""One program with another instrumentation and ours, in an order: prints what each call left. See test_others.py."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_tokenomics import pricebook_source
from otel_tokenomics.config import Settings
from otel_tokenomics.demo.provider import LocalProvider, Scenario
from otel_tokenomics.instrumentation.engine import Engine
from otel_tokenomics.instrumentation.reaper import REAPER
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.exporter import PricingSpanExporter
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Recorder

OTHERS = {
    "official-openai": ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor", "openai"),
    "official-anthropic": ("opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor", "anthropic"),
    "openinference-openai": ("openinference.instrumentation.openai", "OpenAIInstrumentor", "openai"),
    "openinference-anthropic": ("openinference.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic"),
    "openllmetry-openai": ("opentelemetry.instrumentation.openai", "OpenAIInstrumentor", "openai"),
    "openllmetry-anthropic": ("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic"),
}
#: Options that make the anthropic client trace itself; empty unless a third argument asks for it.
NATIVE: dict[str, Any] = {}
SETTINGS = Settings.resolve(environment={})
MESSAGES: Any = [{"role": "user", "content": "How do I reset my password?"}]


def create(library: str, provider: LocalProvider, **options: Any) -> Any:
    if library == "openai":
        client = importlib.import_module("openai").OpenAI(api_key="k", base_url=provider.base_url_openai)
        return client.chat.completions.create(model="gpt-5.4", messages=MESSAGES, **options)
    client = importlib.import_module("anthropic").Anthropic(api_key="k", base_url=provider.base_url_anthropic, **NATIVE)
    return client.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=MESSAGES, **options)


async def acreate(library: str, provider: LocalProvider, **options: Any) -> Any:
    if library == "openai":
        client = importlib.import_module("openai").AsyncOpenAI(api_key="k", base_url=provider.base_url_openai)
        return await client.chat.completions.create(model="gpt-5.4", messages=MESSAGES, **options)
    client = importlib.import_module("anthropic").AsyncAnthropic(
        api_key="k", base_url=provider.base_url_anthropic, **NATIVE
    )
    return await client.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=MESSAGES, **options)


def total(spans: Sequence[ReadableSpan]) -> float:
    return sum((span.attributes or {}).get("tokenomics.cost.total", 0.0) for span in spans)  # type: ignore[misc]


def priced_at_export(spans: Sequence[ReadableSpan]) -> Sequence[ReadableSpan]:
    inner = InMemorySpanExporter()
    PricingSpanExporter(inner, settings=SETTINGS).export(spans)
    return inner.get_finished_spans()


class Beside:
    """Both instrumentations at work, on one tracer provider."""

    def __init__(self, name: str, order: str, provider: LocalProvider) -> None:
        module, kind, self.library = OTHERS[name]
        self.provider = provider
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        #: What leaves where foreign spans are priced too and each is sent as it ends.
        self.one_by_one = InMemorySpanExporter()
        self.tracers.add_span_processor(SimpleSpanProcessor(PricingSpanExporter(self.one_by_one, settings=SETTINGS)))
        if NATIVE:
            NATIVE["open_telemetry"] = {"tracer_provider": self.tracers}
        settings = Settings.resolve(environment={}, endpoints=provider.endpoints)
        recorder = Recorder(settings, pricebook_source.current, Instruments("", lambda: ("", 0.0), ()))
        recorder._tracer = self.tracers.get_tracer("otel_tokenomics")
        self.costs: list[Any] = []
        settle = recorder.settle

        def noted(*args: Any, **named: Any) -> Any:
            self.costs.append(settle(*args, **named))
            return self.costs[-1]

        recorder.settle = noted  # type: ignore[method-assign]
        self.ours = Engine(settings, recorder, lambda: None)
        self.theirs = getattr(importlib.import_module(module), kind)()
        steps = [
            self.ours.instrument,
            lambda: self.theirs.instrument(tracer_provider=self.tracers, meter_provider=MeterProvider()),
        ]
        for step in steps if order == "ours first" else reversed(steps):
            step()

    def stop(self) -> None:
        self.ours.uninstrument()
        self.theirs.uninstrument()
        self.tracers.shutdown()


def plain(beside: Beside) -> None:
    create(beside.library, beside.provider)


def stream(beside: Beside) -> None:
    for _ in create(beside.library, beside.provider, stream=True):
        pass


async def aplain(beside: Beside) -> None:
    await acreate(beside.library, beside.provider)


async def astream(beside: Beside) -> None:
    async for _ in await acreate(beside.library, beside.provider, stream=True):
        pass


def left(beside: Beside) -> None:
    answer = create(beside.library, beside.provider, stream=True)
    next(iter(answer))
    answer.close()
    del answer
    gc.collect()
    REAPER.drain()


async def aleft(beside: Beside) -> None:
    answer = await acreate(beside.library, beside.provider, stream=True)
    async for _ in answer:
        break
    await answer.close()


def refused(beside: Beside) -> None:
    beside.provider.expect(Scenario(raw=(400, "application/json", "{}")))
    with contextlib.suppress(Exception):
        create(beside.library, beside.provider)


def helper(beside: Beside) -> None:
    if beside.library == "openai":
        client = importlib.import_module("openai").OpenAI(api_key="k", base_url=beside.provider.base_url_openai)
        with client.responses.stream(model="gpt-5.4", input="x") as answer:
            answer.until_done()
        return
    client = importlib.import_module("anthropic").Anthropic(
        api_key="k", base_url=beside.provider.base_url_anthropic, **NATIVE
    )
    with client.messages.stream(model="claude-sonnet-5-5", max_tokens=9, messages=MESSAGES) as answer:
        answer.until_done()


FORMS = (plain, stream, aplain, astream, left, aleft, refused, helper)


def main(name: str, order: str, native: str = "") -> None:
    if native:
        NATIVE["open_telemetry"] = {}
    with LocalProvider() as provider:
        base = importlib.import_module(f"{OTHERS[name][2]}._base_client")
        before = base.SyncAPIClient.__dict__["request"]
        beside = Beside(name, order, provider)
        result: dict[str, Any] = {}
        for call in FORMS:
            beside.costs.clear()
            beside.exporter.clear()
            beside.one_by_one.clear()
            provider.ledger.billed.clear()
            done = call(beside)
            if done is not None:
                asyncio.run(done)
            spans = beside.exporter.get_finished_spans()
            result[call.__name__] = {
                "charges": [cost.total for cost in beside.costs],
                "status": [cost.status for cost in beside.costs],
                "ends": [span.attributes.get("tokenomics.call.end") for span in spans],
                "spans": [
                    (span.instrumentation_scope.name, span.attributes.get("tokenomics.cost.total")) for span in spans
                ],
                "at_export": total(priced_at_export(spans)),
                "one_by_one": total(beside.one_by_one.get_finished_spans()),
                "usage": [dict(line.usage) for line in provider.ledger.billed],
            }
        result["billed"] = sum(len(result[call.__name__]["usage"]) for call in FORMS)
        beside.stop()
        beside.costs.clear()
        plain(beside)
        result["restored"] = base.SyncAPIClient.__dict__["request"] is before and not beside.costs
        result["failures"] = failures.counts()
        json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
