"""The core of the matrix with another instrumentation beside us: one neighbour, one order, one process.

Prints one JSON line per cell: the cell and what was wrong with it, or nothing. See test_cells.py.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import ssl
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from cells import CORE, Cell, Seen, assert_one_charge, cells, difference, observe
from client_table import ROWS
from client_watch import Watch
from opentelemetry.sdk.metrics import MeterProvider
from styles import Row

from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.demo.scenario import Ledger


class Neighbour(NamedTuple):
    """Another instrumentation: its module, its class, and the client that it watches."""

    module: str
    instrumentor: str
    client: str


_OPENLLMETRY, _OPENINFERENCE = "opentelemetry.instrumentation", "openinference.instrumentation"
NEIGHBOURS: dict[str, Neighbour] = {
    "official openai": Neighbour("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor", "openai"),
    "official anthropic": Neighbour(
        "opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor", "anthropic"
    ),
    "official botocore": Neighbour("opentelemetry.instrumentation.botocore", "BotocoreInstrumentor", "bedrock"),
    "OpenInference openai": Neighbour(f"{_OPENINFERENCE}.openai", "OpenAIInstrumentor", "openai"),
    "OpenInference anthropic": Neighbour(f"{_OPENINFERENCE}.anthropic", "AnthropicInstrumentor", "anthropic"),
    "OpenInference bedrock": Neighbour(f"{_OPENINFERENCE}.bedrock", "BedrockInstrumentor", "bedrock"),
    "OpenInference google-genai": Neighbour(
        f"{_OPENINFERENCE}.google_genai", "GoogleGenAIInstrumentor", "google_genai"
    ),
    "OpenInference groq": Neighbour(f"{_OPENINFERENCE}.groq", "GroqInstrumentor", "groq"),
    "OpenInference mistralai": Neighbour(f"{_OPENINFERENCE}.mistralai", "MistralAIInstrumentor", "mistral"),
    "OpenLLMetry openai": Neighbour(f"{_OPENLLMETRY}.openai", "OpenAIInstrumentor", "openai"),
    "OpenLLMetry anthropic": Neighbour(f"{_OPENLLMETRY}.anthropic", "AnthropicInstrumentor", "anthropic"),
    "OpenLLMetry bedrock": Neighbour(f"{_OPENLLMETRY}.bedrock", "BedrockInstrumentor", "bedrock"),
    "OpenLLMetry cohere": Neighbour(f"{_OPENLLMETRY}.cohere", "CohereInstrumentor", "cohere"),
    "OpenLLMetry google-genai": Neighbour(
        f"{_OPENLLMETRY}.google_generativeai", "GoogleGenerativeAiInstrumentor", "google_genai"
    ),
    "OpenLLMetry groq": Neighbour(f"{_OPENLLMETRY}.groq", "GroqInstrumentor", "groq"),
    "OpenLLMetry ollama": Neighbour(f"{_OPENLLMETRY}.ollama", "OllamaInstrumentor", "ollama"),
    "OpenInference cohere": Neighbour(f"{_OPENINFERENCE}.cohere", "CohereInstrumentor", "cohere"),
    "OpenInference ollama": Neighbour(f"{_OPENINFERENCE}.ollama", "OllamaInstrumentor", "ollama"),
    "OpenInference together": Neighbour(f"{_OPENINFERENCE}.together", "TogetherInstrumentor", "together"),
}  # fmt: skip
ORDERS = ("ours first", "theirs first")


def core(client: str, row: Row) -> list[Cell]:
    """Return the cells that are made beside a neighbour."""
    return [cell for cell in cells(client, row) if cell.ending in CORE]


def reason(name: str, row: Row, cell: Cell) -> str:
    """Return why a cell is not made beside a neighbour; empty where it is."""
    unread = any(maker in cell.style for maker in ("meta", "mistral"))
    stream = row.styles[cell.style].stream
    never_ended = {
        "official botocore": stream and (unread or cell.ending != "completed"),
        "OpenInference bedrock": cell.style == "converse stream" and cell.ending == "refused",
    }
    if never_ended.get(name):
        return "it never ends its span of such a stream, so nobody gets it: the metrics alone hold the charge"
    return ""


def fresh(provider: LocalProvider) -> None:
    """Begin a new page of the ledger: all cells of a process are billed by one server."""
    provider.ledger = provider._server.RequestHandlerClass.ledger = Ledger()


def verdicts(name: str, order: str) -> Iterator[dict[str, Any]]:
    """Make every cell with the neighbour alone, then with both of us."""
    neighbour = NEIGHBOURS[name]
    row = ROWS[neighbour.client]()
    theirs = getattr(importlib.import_module(neighbour.module), neighbour.instrumentor)()
    with LocalProvider() as provider:
        watch = Watch(provider)
        start = {"tracer_provider": watch.tracer_provider, "meter_provider": MeterProvider(), "skip_dep_check": True}
        bare: dict[Cell, Seen] = {}
        theirs.instrument(**start)
        for cell in core(neighbour.client, row):
            fresh(provider)
            bare[cell] = observe(provider, row, cell, lambda: None)
        if order == "ours first":
            theirs.uninstrument()
        watch.engine.instrument()
        if order == "ours first":
            theirs.instrument(**start)
        gc.collect()
        for cell in core(neighbour.client, row):
            if (why := reason(name, row, cell)) != "":
                yield {"style": cell.style, "ending": cell.ending, "wrong": "", "reason": why}
                continue
            fresh(provider)
            watch.exporter.clear()
            watch.recorder.settled.clear()
            before = watch.totals()
            wrong = ""
            try:
                seen = observe(provider, row, cell, lambda: None)
                assert seen == bare[cell], difference(bare[cell], seen)
                assert_one_charge(watch, provider, row, cell, seen, before, beside=True)
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"[:600]
            yield {"style": cell.style, "ending": cell.ending, "wrong": wrong, "reason": ""}
        watch.engine.uninstrument()
        theirs.uninstrument()


def main(name: str, order: str) -> None:
    """Print the verdicts."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    ssl.SSLContext.load_verify_locations = lambda *_args, **_named: None  # type: ignore[method-assign]  # no TLS here
    for verdict in verdicts(name, order):
        print(json.dumps(verdict), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
