"""A fork may happen while another thread holds one of our locks: the child must not wait for it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, signal
from otel_tokenomics.telemetry import failures, rollup, metrics
instruments = metrics.Instruments("", lambda: ("", 0.0))
with failures._lock, rollup._lock, instruments.accumulator._lock:
    child = os.fork()
    if not child:
        signal.alarm(5)
        failures.report("record", ValueError())
        rollup.opened([])
        with rollup._lock:
            instruments.accumulator.add([])
        os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_under_held_locks_does_not_hang_the_child() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.strip() == "0", done.stderr
