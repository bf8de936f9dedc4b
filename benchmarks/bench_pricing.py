"""How fast a call is priced: interleaved medians, beside a yardstick that every machine has and two price libraries.

The machine's noise is the spread of the yardstick; the ratios are what counts. A library is measured where an
argument names the Python that has it: ``bench_pricing.py genai-prices=PYTHON litellm=PYTHON``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from price_peer import RAW

from otel_tokenomics.pricing import PriceBook, load_embedded, price
from otel_tokenomics.pricing import book as book_room
from otel_tokenomics.usage import NO_FACTS, Usage
from otel_tokenomics.usage.dialects import openai_like

ROUNDS, CALLS = 41, 2000
AT_MS = 1_795_341_600_000
MODELS: Final = (100, 10_000)
PEER: Final = Path(__file__).with_name("price_peer.py")
EMBEDDED: Final = Path(book_room.__file__).with_name("pricebook.json")
#: A fresh process that has OpenTelemetry already, as a service has: CPU until the first price and the memory that it
#: added, as `price_peer.py` measures its library.
_READY = """
import json, os, sys, time
import opentelemetry.instrumentation.instrumentor, opentelemetry.sdk.metrics, opentelemetry.sdk.trace
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
before, start = resident(), time.process_time()
from otel_tokenomics.pricing import load_embedded, price
from otel_tokenomics.usage import Usage
price(load_embedded(), "openai", "gpt-4o", Usage({"input": 1000, "output": 500}), {}, 1_795_341_600_000)
print(json.dumps({"seconds": time.process_time() - start, "mib": resident() - before}))
"""
#: The index of a file of lines, as the embedded book is loaded, and the same file checked in full.
_LOAD = """
import json, sys, time, tracemalloc
from otel_tokenomics.pricing import PriceBook
text = open(sys.argv[1], encoding="utf-8").read()
start = time.process_time(); book = PriceBook.indexed(text); ready = time.process_time() - start
start = time.process_time(); PriceBook.parse(text, "bench"); check = time.process_time() - start
del book; tracemalloc.start(); book = PriceBook.indexed(text)
print(json.dumps({"ready": ready * 1e3, "check": check * 1e3, "mib": tracemalloc.get_traced_memory()[0] / 2**20}))
"""
_FLOOD = """
import json, os, sys, time, tracemalloc
from otel_tokenomics.pricing import load_embedded, price
from otel_tokenomics.usage import Usage
book, usage, marks = load_embedded(), Usage({"input": 1000, "output": 500}), []
def flood(first, last):
    start = time.process_time()
    for number in range(first, last):
        price(book, "openai", f"hostile-{number}", usage, {}, 1_795_341_600_000)
    return (time.process_time() - start) / (last - first) * 1e6
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
flood(0, 10_000); before = resident()
early = flood(10_000, 60_000); flood(60_000, 950_000); late = flood(950_000, 1_000_000)
print(json.dumps({"early": early, "late": late, "mib": resident() - before}))
"""


def yardstick() -> int:
    """Ten dictionary look-ups and additions: what any price must at least do."""
    table, total = {"input": 1, "output": 2}, 0
    for _ in range(5):
        total += table["input"] + table["output"]
    return total


def lines_of(models: int) -> str:
    """Return a book of so many models, each as long as one of the embedded book."""
    first, *lines = EMBEDDED.read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line.rstrip(",")) for line in lines if line.startswith('{"')]
    made = [
        {**entry, "id": f"{entry['id']}-{copy}", "ids": [f"{name}-{copy}" for name in entry.get("ids", ())]}
        for copy in range(models // len(entries) + 1)
        for entry in entries
    ][:models]
    header = json.loads(first + "]}")
    rest = [entry for entry in header.get("multipliers", ()) if "ids" not in entry]
    texts = [json.dumps({key: value for key, value in {**header, "multipliers": rest}.items() if key != "models"})[:-1]]
    dumped = [json.dumps(entry, separators=(",", ":"), sort_keys=True) for entry in made]
    return texts[0] + ',"models":[\n' + ",\n".join(dumped) + "\n]}\n"


def subjects() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    book = load_embedded()
    small, large = (PriceBook.parse(lines_of(models), "bench") for models in MODELS)
    discount = book.with_overlay('{"discounts": [{"p": "openai", "ratio": [85, 100]}]}', "bench")
    own = book.with_overlay(
        '{"models": [{"p": "openai", "id": "gpt-5.4", "rows": [{"usd_per_million": {"input": "2", "output": "9"}}]}]}',
        "bench",
    )
    two = Usage({"input": 1000, "output": 500, "request": 1})
    owner, some = next(key for key in small.ids() if price(small, *key, two, NO_FACTS, AT_MS).status == "priced")
    five = Usage({"input": 1000, "cache_read": 400, "output": 500, "reasoning": 5, "request": 1})
    tier = {"service_tier": "default"}
    return {
        "yardstick: ten look-ups and sums": yardstick,
        "plain": lambda: price(book, "openai", "gpt-4o", two, NO_FACTS, AT_MS),
        "cache and reasoning": lambda: price(book, "openai", "gpt-5.4", five, NO_FACTS, AT_MS),
        "cache and reasoning, neutral tier": lambda: price(book, "openai", "gpt-5.4", five, tier, AT_MS),
        "cache and reasoning, discount": lambda: price(discount, "openai", "gpt-5.4", five, NO_FACTS, AT_MS),
        "cache and reasoning, own row": lambda: price(own, "openai", "gpt-5.4", five, NO_FACTS, AT_MS),
        "unknown model": lambda: price(book, "openai", "gpt-77", two, NO_FACTS, AT_MS),
        "plain, book of 100 models": lambda: price(small, owner, some, two, NO_FACTS, AT_MS),
        "plain, book of 10,000 models": lambda: price(large, owner, some, two, NO_FACTS, AT_MS),
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


class Peer:
    """Another library in a process of its own."""

    def __init__(self, argument: str) -> None:
        self.name, _, python = argument.partition("=")
        command = [python, str(PEER), self.name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready: dict[str, float] = self._answer()
        self.found: dict[str, list[float]] = {}

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def measure(self) -> None:
        """Take one round."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        for call, took in self._answer().items():
            self.found.setdefault(call, []).append(took)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def fresh(compiled: str, script: str, *arguments: str) -> dict[str, float]:
    """Return the medians of what a script says in nine fresh processes, its modules compiled in a directory."""
    command = [sys.executable, "-c", script, *arguments]
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run() -> dict[str, float]:
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout)

    _, *runs = [run() for _ in range(10)]
    return {key: statistics.median(one[key] for one in runs) for key in runs[0]}


def main() -> None:
    """Print medians, ratios to the yardstick, and how much longer each library takes."""
    peers = [Peer(argument) for argument in sys.argv[1:]]
    names = subjects()
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, work in names.items():
            found[name].append(measure(work))
        for peer in peers:
            peer.measure()
    for peer in peers:
        peer.close()
    unit = statistics.median(found["yardstick: ten look-ups and sums"])
    titles = [f"{peer.name} {peer.ready['version']}" for peer in peers]
    print(f"{'':36}{'median us':>11}{'best us':>9}{'x yardstick':>13}" + "".join(f"{title:>28}" for title in titles))
    for name, times in found.items():
        median = statistics.median(times)
        line = f"{name:36}{median:11.2f}{min(times):9.2f}{median / unit:13.1f}"
        for peer in peers:
            theirs = statistics.median(peer.found[name]) if name in peer.found else None
            line += f"{'':>28}" if theirs is None else f"{f'{theirs:.1f} us, x {theirs / median:.0f}':>28}"
        print(line)
    with tempfile.TemporaryDirectory() as made:
        show_start(made, peers)


def show_start(directory: str, peers: list[Peer]) -> None:
    """Print what the first price, a book and a flood of names take in fresh processes."""
    first = fresh(directory, _READY)
    print(f"\nfirst price of a fresh process: {first['seconds'] * 1e3:.1f} ms, {first['mib']:.1f} MiB")
    for peer in peers:
        print(f"  {peer.name}: {peer.ready['seconds'] * 1e3:.0f} ms, {peer.ready['mib']:.0f} MiB")
    place = Path(directory) / "book.json"
    for models in (*MODELS, None):
        place.write_text(lines_of(models) if models else EMBEDDED.read_text(encoding="utf-8"), encoding="utf-8")
        loaded = fresh(directory, _LOAD, str(place))
        what = f"{models:,} models" if models else "the embedded book"
        print(
            f"{what}: ready in {loaded['ready']:.1f} ms, {loaded['mib']:.1f} MiB; "
            f"checked in full in {loaded['check']:.0f} ms"
        )
    flood = json.loads(subprocess.run([sys.executable, "-c", _FLOOD], stdout=subprocess.PIPE, check=True).stdout)
    print(
        f"a million distinct unknown names: {flood['early']:.2f} us each at first, {flood['late']:.2f} at last, "
        f"{flood['mib']:+.1f} MiB"
    )


if __name__ == "__main__":
    main()
