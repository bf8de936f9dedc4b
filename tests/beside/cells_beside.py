"""The matrix with another instrumentation beside us: one neighbour, one order, one process.

Each is a process of its own, the neighbour alone too: not every one takes all of its patches back. Writes one JSON
line per cell: the cell and what was wrong with it, or nothing. See test_cells.py.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import ssl
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cells import Seen, assert_one_charge, cells, difference, observe, reason
from client_table import ROWS
from client_watch import Watch
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider

from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.demo.scenario import Ledger


class Neighbour(NamedTuple):
    """Another instrumentation: its module, its class (OpenLIT's own name for it), and the client that it watches."""

    module: str
    instrumentor: str
    client: str


OPENLIT = "openlit"
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
    # Its own for together looks for names of the first major, which is older than any that we observe.
    "OpenLIT openai": Neighbour(OPENLIT, "openai", "openai"),
    "OpenLIT anthropic": Neighbour(OPENLIT, "anthropic", "anthropic"),
    "OpenLIT bedrock": Neighbour(OPENLIT, "bedrock", "bedrock"),
    "OpenLIT google-genai": Neighbour(OPENLIT, "google-ai-studio", "google_genai"),
    "OpenLIT groq": Neighbour(OPENLIT, "groq", "groq"),
    "OpenLIT mistralai": Neighbour(OPENLIT, "mistral", "mistral"),
    "OpenLIT cohere": Neighbour(OPENLIT, "cohere", "cohere"),
    "OpenLIT ollama": Neighbour(OPENLIT, "ollama", "ollama"),
}  # fmt: skip
ORDERS = ("ours first", "theirs first")


def started(name: str, watch: Watch) -> None:
    """Set the neighbour to work as its users do."""
    neighbour = NEIGHBOURS[name]
    if neighbour.module == OPENLIT:
        trace.set_tracer_provider(watch.tracer_provider)
        metrics.set_meter_provider(MeterProvider())
        openlit = importlib.import_module(OPENLIT)
        known = importlib.import_module("openlit._instrumentors").INSTRUMENTOR_MAP
        with tempfile.NamedTemporaryFile("w", suffix=".json") as prices:  # it would ask the network
            prices.write("{}")
            prices.flush()
            others = [other for other in known if other != neighbour.instrumentor]
            openlit.init(disabled_instrumentors=others, disable_batch=True, pricing_json=prices.name)
        return
    made = getattr(importlib.import_module(neighbour.module), neighbour.instrumentor)()
    made.instrument(tracer_provider=watch.tracer_provider, meter_provider=MeterProvider(), skip_dep_check=True)


def fresh(provider: LocalProvider) -> None:
    """Begin a new page of the ledger: all cells of a process are billed by one server, some after they were left."""
    provider.ledger = Ledger()
    handler = provider._server.RequestHandlerClass
    provider._server.RequestHandlerClass = type(handler.__name__, (handler,), {"ledger": provider.ledger})


def observations(name: str) -> Iterator[list[Any]]:
    """Make every cell with the neighbour alone."""
    row = ROWS[NEIGHBOURS[name].client]()
    with LocalProvider() as provider:
        watch = Watch(provider)
        started(name, watch)
        gc.freeze()
        for cell in cells(NEIGHBOURS[name].client, row):
            if reason(cell) is None:
                fresh(provider)
                yield [cell.style, cell.ending, *observe(provider, row, cell, lambda: None)]
        assert watch.spans, "it is not at work"


def verdicts(name: str, order: str, alone: Mapping[tuple[str, str], Seen]) -> Iterator[dict[str, Any]]:
    """Make every cell with both of us."""
    row = ROWS[NEIGHBOURS[name].client]()
    with LocalProvider() as provider:
        watch = Watch(provider)
        steps: list[Callable[[], None]] = [watch.engine.instrument, lambda: started(name, watch)]
        for step in steps if order == "ours first" else reversed(steps):
            step()
        gc.freeze()
        for cell in cells(NEIGHBOURS[name].client, row):
            if (why := reason(cell)) is not None:
                yield {"style": cell.style, "ending": cell.ending, "wrong": "", "reason": why}
                continue
            fresh(provider)
            watch.exporter.clear()
            watch.recorder.settled.clear()
            before = watch.totals()
            wrong = ""
            try:
                seen, bare = observe(provider, row, cell, lambda: None), alone[cell.style, cell.ending]
                gc.collect()  # the error, and with it the frames of those who saw it
                assert seen == bare, difference(bare, seen)
                assert_one_charge(watch, provider, row, cell, seen, before, beside=True)
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"[:600]
            yield {"style": cell.style, "ending": cell.ending, "wrong": wrong, "reason": ""}


def main(name: str, order: str, said: str, file: str = "") -> None:
    """Write what is ``said``: what is seen with the neighbour alone or, given the file of that, verdicts."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    ssl.SSLContext.load_verify_locations = lambda *_args, **_named: None  # type: ignore[method-assign]  # no TLS here
    found: Iterator[Any] = (
        verdicts(name, order, read(Path(file).read_text().splitlines())) if file else observations(name)
    )
    with Path(said).open("w") as lines:  # the neighbours print
        lines.writelines(json.dumps(line) + "\n" for line in found)


def read(lines: Iterable[str]) -> dict[tuple[str, str], Seen]:
    """Return what ``observations`` found."""
    seen: dict[tuple[str, str], Seen] = {}
    for line in lines:
        style, ending, pieces, error, early, requests = json.loads(line)
        sent = tuple((method, path, tuple(headers), digest) for method, path, headers, digest in requests)
        seen[style, ending] = Seen(tuple(pieces), None if error is None else tuple(error), early, sent)
    return seen


if __name__ == "__main__":
    main(*sys.argv[1:])
