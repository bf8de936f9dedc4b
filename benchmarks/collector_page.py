"""Run the collector's benchmarks and write docs/reference/performance.md: ``make bench-collector``.

Every Go benchmark runs ten times and goes through benchstat; then the real binary is measured with and without our
components (bench_collector.py). What was measured is kept in .stamps/bench: ``--reuse`` writes the page from it.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
COLLECTOR = ROOT / "collector"
PAGE = ROOT / "docs/reference/performance.md"
KEPT = ROOT / ".stamps/bench"
PACKAGES = (
    *("./pricing", "./rollup"),
    *("./processor/tokenomicsprocessor", "./processor/tokenomicsrollupprocessor", "./connector/tokenomicsconnector"),
)
# The names of the packages as they stand on the page.
SHORT = re.compile(r"^.*/collector/")


class Target(NamedTuple):
    """What a number shall be: the largest of the benchmarks whose name fits, in a unit."""

    text: str
    package: str
    name: str
    unit: str
    most: float


TARGETS = (
    Target(
        "a span that is no model call, 20 attributes",
        *("processor/tokenomicsprocessor", r"^Process/no_model_call/attributes=20/", "ns/span", 30),
    ),
    Target(
        "a priced span without parts, 20 attributes beside its 8",
        *("processor/tokenomicsprocessor", r"^Process/all_priced/attributes=20/batch=1000$", "ns/span", 300),
    ),
    Target("the roll-up's walk", "rollup", r"^Totals/", "ns/span", 150),
    Target(
        "a span held and released, traces of 10 and more",
        *("processor/tokenomicsrollupprocessor", r"^HoldAndRelease/.*traces=(100x10|10x100)$", "ns/span", 1000),
    ),
    Target(
        "a priced span in the connector, no other attributes",
        *("connector/tokenomicsconnector", r"^Consume/all_priced/attributes=0$", "ns/span", 250),
    ),
    Target(
        "a newer book checked and swapped",
        *("processor/tokenomicsprocessor", r"^Swap/load/embedded$", "ms/op", 50),
    ),
)
PEERS = """
## Others

Their code is not part of this repository; these are figures that they published, or that were measured in November 2026
from a re-creation on two shared AMD EPYC cores (± 30 %).

| What | ns per span or record | Source |
|---|---|---|
| SigNoz `signozllmpricing`, all model calls, 1 / 10 / 100 rules | 457 / 1,104 / 7,930 | measured; globs, one by one |
| the same, 500 / 3,000 rules | 40,500 / 225,000 | measured |
| contrib `lookup` processor, in batches | 110 to 122 | published in its README |
| `gen_ai_normalizer`: a span without a match, 5 / 20 attributes | 85 / 307 | measured |
| `gen_ai_normalizer`: seven renames | 4,500 to 8,000 | measured |
| a whole collector, OTLP in and out | 12,000 to 14,000 of CPU | published by upstream's testbed |
"""


def run_go(go: str, count: int, benchtime: str) -> str:
    """The output of every benchmark, run ``count`` times; packages one after the other."""
    command = [go, "test", "-run=^$", "-bench=.", "-benchmem", "-p=1", f"-count={count}", f"-benchtime={benchtime}"]
    done = subprocess.run([*command, *PACKAGES], cwd=COLLECTOR, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout)
    return done.stdout


def benchstat(text: str) -> dict[str, dict[str, dict[str, tuple[float, str]]]]:
    """Medians and confidence intervals: package, benchmark, unit."""
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / "go.txt").write_text(text)
    found: dict[str, dict[str, dict[str, tuple[float, str]]]] = {}
    done = subprocess.run(
        [COLLECTOR / "tools/bin/benchstat", "-format", "csv", KEPT / "go.txt"],
        capture_output=True,
        text=True,
        check=True,
    )
    package = unit = ""
    for row in csv.reader(done.stdout.splitlines()):
        if len(row) == 1 and row[0].startswith("pkg: "):
            package = SHORT.sub("", row[0].removeprefix("pkg: "))
        elif len(row) > 2 and row[0] == "" and row[2] == "CI":
            unit = row[1]
        elif len(row) > 2 and row[0] not in ("", "geomean"):
            name = re.sub(r"-\d+$", "", row[0])
            found.setdefault(package, {}).setdefault(name, {})[unit] = (float(row[1]), row[2])
    return found


def value(units: dict[str, tuple[float, str]], unit: str) -> float | None:
    """A number in the unit of the page; benchstat turns nanoseconds into seconds."""
    name, factor = {"ns/span": ("sec/span", 1e9), "ms/op": ("sec/op", 1e3)}.get(unit, (unit, 1.0))
    return units[name][0] * factor if name in units else None


def targets(found: dict[str, dict[str, dict[str, tuple[float, str]]]], whole: list[dict[str, Any]]) -> list[str]:
    lines = ["| What | Target | Measured | |", "|---|---|---|---|"]

    def add(text: str, most: str, measured: str, good: bool) -> None:
        lines.append(f"| {text} | {most} | {measured} | {'✓' if good else 'missed'} |")

    for target in TARGETS:
        values = [
            number
            for name, units in found.get(target.package, {}).items()
            if re.search(target.name, name) and (number := value(units, target.unit)) is not None
        ]
        if not values:
            raise SystemExit(f"no benchmark says: {target.text}")
        worst = max(values)
        least = f"{min(values):.0f} to {worst:.0f}" if len(values) > 1 else f"{worst:.0f}"
        add(target.text, f"{target.most:g} {target.unit}", f"{least} {target.unit}", worst <= target.most)
    processor = found.get("processor/tokenomicsprocessor", {})
    if {"Models/models=100", "Models/models=10000"} <= processor.keys():
        few, many = (value(processor[f"Models/models={count}"], "ns/span") or 0.0 for count in ("100", "10000"))
        add("10,000 own models against 100", "within 10 %", f"{many / few - 1:+.1%}", abs(many / few - 1) <= 0.1)
    for one in whole:
        if one["name"] == "otlp, tokenomics, nop":
            low, middle, high = one["share"]
            text = "CPU of a whole collector that `tokenomics` adds, 5 % model calls"
            add(text, "under 5 %", f"{middle:+.1%} [{low:+.1%}, {high:+.1%}]", middle < 0.05)
    return lines


def tables(found: dict[str, dict[str, dict[str, tuple[float, str]]]]) -> list[str]:
    lines: list[str] = []
    for package in sorted(found):
        lines += [
            "",
            f"### `{package}`",
            "",
            "| Benchmark | per span | per operation | allocations |",
            "|---|---|---|---|",
        ]
        for name, units in found[package].items():
            span, (operation, spread) = value(units, "ns/span"), units.get("sec/op", (0.0, ""))
            cells = [
                f"{span:.0f} ns" if span is not None else "",
                f"{time_text(operation)} ± {spread}" if operation else "",
                f"{units.get('allocs/op', (0.0, ''))[0]:.0f}" if "allocs/op" in units else "",
            ]
            more = [f"{units[unit][0]:.0f} {unit}" for unit in units if unit.endswith("-B/span")]
            lines.append(f"| `{name}`{' (' + ', '.join(more) + ')' if more else ''} | {' | '.join(cells)} |")
    return lines


def time_text(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def whole_collector(whole: list[dict[str, Any]]) -> list[str]:
    lines = [
        "",
        "## A whole collector",
        "",
        "CPU of the real binary for each span, from OTLP/HTTP to where it leaves: 1,000 spans a batch, 20 attributes,",
        "one of twenty a model call. The arrangements run at one time and are fed in turn; a share is the median over",
        "the rounds of the ratio to the arrangement without us [quartiles].",
        "",
        "| Arrangement | CPU per span | beside | share of ours |",
        "|---|---|---|---|",
    ]
    for one in whole:
        share = "{1:+.1%} [{0:+.1%}, {2:+.1%}]".format(*one["share"]) if one["base"] else ""
        lines.append(f"| {one['name']} | {one['ns']:,.0f} ns | {one['base']} | {share} |")
    lines += [
        "",
        "In `config.yaml` most of the difference is a copy of each span: where a batching exporter and a connector",
        "stand side by side, the collector copies for the exporter, which changes what it is given.",
    ]
    return lines


def page(text: str, whole: list[dict[str, Any]], go: str) -> str:
    found = benchstat(text)
    cpu = re.search(r"^cpu: (.*)$", text, re.MULTILINE)
    version = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    pdata = re.search(r"collector/pdata (v\S+)", (COLLECTOR / "go.mod").read_text())
    names = set(re.findall(r"^(Benchmark\S+\s)", text, re.MULTILINE))
    # A name may stand in several packages, each of which begins with its own line.
    runs = max(text.partition("pkg: ")[2].partition("pkg: ")[0].count(f"\n{name}") for name in names)
    machine = f"{cpu[1] if cpu else platform.processor()}, {os.cpu_count()} cores"
    lines = [
        "# Speed of the collector components",
        "",
        "<!-- Generated by `make bench-collector`. Do not edit. -->",
        "",
        f"Measured on {dt.datetime.now(dt.UTC).date().isoformat()}: {machine};",
        f"{version}, pdata {pdata[1] if pdata else ''}; medians of {runs} runs with their confidence interval.",
        "The same code varies by half between machines, and by more beside other work: read the ratios to the floors.",
        "",
        "## Targets",
        "",
        *targets(found, whole),
        "",
        "A priced span gets ten attributes, each a look for its key and one allocation of pdata's: `WriteFloor` below",
        "is what these ten cost with nothing else, on the same spans. `Floor` is one look for one missing key, in the",
        "connector at each key.",
        *whole_collector(whole),
        PEERS.rstrip(),
        "",
        "## Every benchmark",
        *tables(found),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--go", default="go")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--benchtime", default="300ms")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--reuse", action="store_true", help="write the page from what was measured last")
    options = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    measured = KEPT / "collector.json"
    if not options.reuse:
        text = run_go(options.go, options.count, options.benchtime)
        (KEPT / "go.txt").write_text(text)
        script = Path(__file__).with_name("bench_collector.py")
        subprocess.run([sys.executable, script, "--rounds", str(options.rounds), "--json", measured], check=True)
    PAGE.write_text(page((KEPT / "go.txt").read_text(), json.loads(measured.read_text()), options.go))
    print(PAGE.read_text().partition("## A whole collector")[0])


if __name__ == "__main__":
    main()
