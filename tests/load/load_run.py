"""Run the load test: every scenario, or those that are named; a table of each, and all of it as JSON.

    python tests/load/load_run.py [--short] [--json FILE] [SCENARIO ...]

Needs the binaries that `make load` builds. Fails where a span or a cent is lost, told wrongly or counted twice.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from load_parts import Json
from load_scenarios import SCENARIOS, Scenario
from load_tiers import two_tiers

ALL: Final[Mapping[str, Scenario]] = {**SCENARIOS, "two_tiers": two_tiers}


def table(rows: Sequence[Json]) -> str:
    """Return rows as a table in Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([str(row.get(name, "")) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def processor_model() -> str:
    """Return what this machine calls its processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> int:
    """Run, show, and return 1 where a scenario failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(ALL)}")
    parser.add_argument("--short", action="store_true", help="the small form, a few seconds each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows of every scenario there")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.scenarios if name not in ALL]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    results: dict[str, list[Json]] = {}
    failed = False
    print(f"processor: {processor_model()}")
    for name in arguments.scenarios or ALL:
        print(f"\n## {name}: {(ALL[name].__doc__ or '').splitlines()[0]}", flush=True)
        began = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="tokenomics-load-") as folder:
                results[name] = ALL[name](Path(folder), short=arguments.short)
        except AssertionError as error:
            failed = True
            print(f"FAILED: {error}")
        else:
            print(table(results[name]))
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"processor": processor_model(), **results}, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
