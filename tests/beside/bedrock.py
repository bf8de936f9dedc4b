"""One program with another instrumentation of Bedrock and ours, in an order. See test_bedrock.py."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from botocore.session import get_session
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_tokenomics import pricebook_source
from otel_tokenomics.config import Settings
from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.instrumentation.engine import Engine
from otel_tokenomics.instrumentation.reaper import REAPER
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Recorder

OTHERS = {
    "official": ("opentelemetry.instrumentation.botocore", "BotocoreInstrumentor"),
    "openinference": ("openinference.instrumentation.bedrock", "BedrockInstrumentor"),
    "openllmetry": ("opentelemetry.instrumentation.bedrock", "BedrockInstrumentor"),
}
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MESSAGES: Any = [{"role": "user", "content": [{"text": "How do I reset my password?"}]}]
BODY = json.dumps({"anthropic_version": "x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]})


def main(name: str, order: str) -> dict[str, Any]:
    exporter, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    module, kind = OTHERS[name]
    theirs = getattr(importlib.import_module(module), kind)()
    with LocalProvider() as provider:
        settings = Settings.resolve(environment={}, endpoints=provider.endpoints)
        recorder = Recorder(settings, pricebook_source.current, Instruments("", lambda: ("", 0.0), ()))
        recorder._tracer = tracers.get_tracer("otel_tokenomics")
        ours = Engine(settings, recorder, lambda: None)
        steps = [
            ours.instrument,
            lambda: theirs.instrument(tracer_provider=tracers, meter_provider=MeterProvider()),
        ]
        for step in steps if order == "ours-first" else reversed(steps):
            step()
        account: Any = {"region_name": "us-east-1", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
        client = get_session().create_client(
            "bedrock-runtime", endpoint_url=provider.base_url("bedrock-api"), **account
        )
        client.converse(modelId=MODEL, messages=MESSAGES)
        list(client.converse_stream(modelId=MODEL, messages=MESSAGES)["stream"])
        client.invoke_model(modelId=MODEL, body=BODY)["body"].read()
        list(client.invoke_model_with_response_stream(modelId=MODEL, body=BODY)["body"])
        client.close()
        REAPER.drain()
        costed = [span for span in exporter.get_finished_spans() if "tokenomics.cost.total" in (span.attributes or {})]
        return {
            "billed": [line.usage["totalTokens"] for line in provider.ledger.billed],
            "charged": [
                sum(span.attributes[f"gen_ai.usage.{side}_tokens"] for side in ("input", "output")) for span in costed
            ],
            "scopes": sorted({span.instrumentation_scope.name for span in exporter.get_finished_spans()}),
            "failures": failures.counts(),
        }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:3])))
