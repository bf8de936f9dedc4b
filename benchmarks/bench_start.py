"""What ``instrument()`` costs where no client is installed: fresh processes, into which no client can be imported."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from importlib import import_module
from pkgutil import iter_modules

from otel_tokenomics import clients

RUNS, LIMIT_MS = 31, 20
LIBRARIES = [
    import_module(f"{clients.__name__}.{module.name}").ADAPTER.library
    for module in iter_modules(clients.__path__)
    if not module.name.startswith("_")
]
PROGRAM = f"""
import sys, time
sys.modules.update(dict.fromkeys([*{LIBRARIES!r}, "aiobotocore", "mistralai_azure", "mistralai_gcp"]))
import opentelemetry.sdk.trace, opentelemetry.sdk.metrics
begin = time.perf_counter()
import otel_tokenomics
imported, cpu = time.perf_counter(), time.process_time()
otel_tokenomics.instrument()
print(imported - begin, time.perf_counter() - imported, time.process_time() - cpu)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        runs = [
            subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment)
            for _ in range(RUNS + 1)
        ]
    # The first compiles what it imports.
    times = [[float(word) * 1000 for word in run.stdout.split()] for run in runs[1:]]
    imports, wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
    low, high = min(row[1] for row in times), max(row[1] for row in times)
    print(f"instrument() with no client, {RUNS} processes: {wall:.1f} ms ({low:.1f} to {high:.1f}), CPU {cpu:.1f} ms")
    print(f"limit {LIMIT_MS} ms; import otel_tokenomics beside the SDK before: {imports:.1f} ms")


if __name__ == "__main__":
    main()
