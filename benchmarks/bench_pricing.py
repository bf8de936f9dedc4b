"""How fast a call is priced: interleaved medians, beside a yardstick that every machine has.

The machine's noise is the spread of the yardstick; the ratios are what counts.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from otel_tokenomics.pricing import PriceBook, load_embedded, price
from otel_tokenomics.usage import NO_FACTS, Usage
from otel_tokenomics.usage.dialects import openai_like

ROUNDS, CALLS = 41, 2000
AT_MS = 1_795_341_600_000
RAW = {
    "prompt_tokens": 1200,
    "completion_tokens": 300,
    "total_tokens": 1500,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
}
_READY = """
import time, resource, tracemalloc, otel_tokenomics.pricing.book as room
start = time.process_time(); room.load_embedded(); took = time.process_time() - start
room.load_embedded.cache_clear(); tracemalloc.start(); room.load_embedded()
print(took * 1e3, tracemalloc.get_traced_memory()[0] / 2**20)
"""


def yardstick() -> int:
    """Ten dictionary look-ups and additions: what any price must at least do."""
    table, total = {"input": 1, "output": 2}, 0
    for _ in range(5):
        total += table["input"] + table["output"]
    return total


def synthetic(models: int) -> PriceBook:
    """Return a book of so many models."""
    entries = [
        {"p": "lab", "id": f"model-{number}", "rows": [{"rates": {"input": number + 1, "cache_read": 1, "output": 5}}]}
        for number in range(models)
    ]
    header: dict[str, Any] = {
        "schema": "otel-tokenomics/pricebook/1",
        "id": "bench",
        "version": "1",
        "generated_at": "2026-11-22T05:00:00Z",
        "currency": "USD",
        "scale": 12,
        "providers": {"lab": {"kind": "first_party"}},
    }
    return PriceBook.parse(json.dumps({**header, "models": entries}), "bench")


def subjects() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    book, small, large = load_embedded(), synthetic(100), synthetic(10_000)
    three = Usage({"input": 1000, "output": 500, "request": 1})
    five = Usage({"input": 1000, "cache_read": 400, "output": 500, "reasoning": 5, "request": 1})
    tier = {"service_tier": "default"}
    return {
        "yardstick: ten look-ups and sums": yardstick,
        "price, 3 units, parts + provenance": lambda: price(book, "openai", "gpt-4o", three, NO_FACTS, AT_MS),
        "price, 5 units, parts + provenance": lambda: price(book, "openai", "gpt-5.4", five, NO_FACTS, AT_MS),
        "price, 5 units and a neutral tier": lambda: price(book, "openai", "gpt-5.4", five, tier, AT_MS),
        "price, unknown model": lambda: price(book, "openai", "gpt-77", three, NO_FACTS, AT_MS),
        "price, book of 100 models": lambda: price(small, "lab", "model-50", three, NO_FACTS, AT_MS),
        "price, book of 10,000 models": lambda: price(large, "lab", "model-5000", three, NO_FACTS, AT_MS),
        "raw usage to cost": lambda: price(
            book, "openai", "gpt-5.4", openai_like.read_chat(RAW).usage, NO_FACTS, AT_MS
        ),
    }


def measure(work: Callable[[], object]) -> float:
    """Return microseconds of CPU of one call, over a batch: what else runs on the machine takes none of it."""
    start = time.process_time()
    for _ in range(CALLS):
        work()
    return (time.process_time() - start) / CALLS * 1e6


def main() -> None:
    """Print medians, best batches and ratios to the yardstick."""
    names = subjects()
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, work in names.items():
            found[name].append(measure(work))
    unit = statistics.median(found["yardstick: ten look-ups and sums"])
    print(f"{'':38}{'median us':>11}{'best us':>10}{'x yardstick':>13}")
    for name, times in found.items():
        median = statistics.median(times)
        print(f"{name:38}{median:11.2f}{min(times):10.2f}{median / unit:13.1f}")
    runs = [
        subprocess.run([sys.executable, "-c", _READY], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(9)
    ]
    ready = statistics.median(float(run[0]) for run in runs)
    print(f"book ready: {ready:.1f} ms (best {min(float(run[0]) for run in runs):.1f}), {float(runs[0][1]):.1f} MiB")


if __name__ == "__main__":
    main()
