"""The example that people copy runs as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "quickstart" / "quickstart.py"


def test_the_quickstart_prints_a_priced_and_tagged_span() -> None:
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    text, _, last = done.stdout.rpartition("}\n")
    span = json.loads(text + "}")["attributes"]
    # 10 tokens in at $2.50 and 6 out at $15 per million
    tokens = span["gen_ai.usage.input_tokens"], span["gen_ai.usage.output_tokens"]
    assert span["tokenomics.cost.total"] == (tokens[0] * 2_500_000 + tokens[1] * 15_000_000) / 10**12
    assert (span["tokenomics.tag.team"], span["tokenomics.tag.customer"]) == ("search", "acme")
    assert last.startswith("priced: ")
