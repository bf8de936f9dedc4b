"""The smallest program with otel-tokenomics: one call, its cost, and whose money it was. Runs offline."""

from __future__ import annotations

import os

import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

import otel_tokenomics as tk
from otel_tokenomics.demo.provider import LocalProvider

# No metrics backend here: without this line they would go to OTEL_EXPORTER_OTLP_ENDPOINT.
os.environ.setdefault("OTEL_METRICS_EXPORTER", "none")

# Your service has its own provider, or none: then OTEL_EXPORTER_OTLP_ENDPOINT says where spans go.
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)

with LocalProvider() as local:  # stands for the provider's server; leave it out to call the real one
    tk.instrument(endpoints=local.endpoints)  # the one line; `endpoints` only because the server is local
    client = openai.OpenAI(base_url=local.base_url_openai, api_key="none-needed")

    with tk.tags(team="search", customer="acme", feature="summarise"):
        client.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": "Hello"}])

    cost = tk.last_cost()
    assert cost is not None
    print(f"{cost.status}: {(cost.total or 0) / 1e12:.10f} USD by {cost.sku} of {cost.book}")
