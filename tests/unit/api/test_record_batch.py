"""``record_batch`` through the public door: providers that exist are used, the kill switch holds, misuse is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import otel_tokenomics as tk

LINE = {
    "id": "batch_req_1",
    "custom_id": "request-1",
    "error": None,
    "response": {
        "status_code": 200,
        "request_id": "req_1",
        "body": {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_795_000_000,
            "model": "gpt-5.4",
            "choices": [],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        },
    },
}
# A process of its own for each script: providers are global, and set once.
SCRIPT = """
import json, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import otel_tokenomics as tk

exporter, own = InMemorySpanExporter(), TracerProvider()
own.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(own)
with own.get_tracer("job").start_as_current_span("job"), tk.tags(team="search"):
    first = tk.record_batch(sys.argv[1])
tk.uninstrument()
tk.instrument()
again = tk.record_batch(sys.argv[1])
spans = {span.name: dict(span.attributes or {}) for span in exporter.get_finished_spans()}
print(json.dumps([first._asdict(), again._asdict(), spans, tk.status().get("totals")]))
"""


def run(path: Path, **environment: str) -> list[Any]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)],
        capture_output=True, text=True, check=True, timeout=60, env=inherited | environment,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "output.jsonl"
    made.write_text(json.dumps(LINE) + "\n")
    return made


def test_it_charges_once_for_a_process_and_adds_to_the_span_around_it(path: Path) -> None:
    first, again, spans, totals = run(path)
    # per million in a batch: $1.25 in, $7.50 out: 1250 + 750 micro-dollars
    assert (first["calls"], first["total"]) == (1, 2_000_000_000)
    assert (again["calls"], again["repeated"]) == (0, 1)
    assert spans["chat"]["tokenomics.cost.total"] == 0.002
    assert spans["chat"]["tokenomics.tag.team"] == "search"
    assert spans["job"]["tokenomics.trace.cost.total"] == 0.002
    assert (totals["tokenomics.client.cost"], totals["tokenomics.client.requests"]) == (2_000_000_000, 1)


def test_the_kill_switch_holds(path: Path) -> None:
    first, _, spans, _ = run(path, OTEL_TOKENOMICS_ENABLED="false")
    assert set(first.values()) == {0}
    assert "chat" not in spans


@pytest.mark.parametrize("wrong", [{"provider": ""}, {"model": " "}])
def test_an_empty_name_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="empty: leave it out"):
        tk.record_batch([], **wrong)
