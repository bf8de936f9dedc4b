"""The scenarios of the load test in their short form: what goes in comes out, to the span and the pico-dollar."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from load_parts import ROOT, START_S, WIDE, need
from load_scenarios import SCENARIOS, Scenario
from load_tiers import two_tiers

pytestmark = pytest.mark.load


@pytest.mark.parametrize("scenario", [*SCENARIOS.values(), two_tiers], ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Scenario, tmp_path: Path) -> None:
    """Each asserts its own facts, and has something to show."""
    assert scenario(tmp_path, short=True)


def test_the_examples_of_the_page_are_valid_as_printed(tmp_path: Path) -> None:
    """Each laid over the default configuration."""
    page = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(examples) == 2
    for number, example in enumerate(examples):
        path = tmp_path / f"example{number}.yaml"
        path.write_text(example, encoding="utf-8")
        files = (ROOT / "collector" / "distribution" / "config.yaml", path)
        done = subprocess.run(
            [need(WIDE, "load"), "validate", *(f"--config={file}" for file in files)],
            capture_output=True, text=True, check=False, timeout=START_S,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), example
