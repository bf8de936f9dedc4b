"""The scenarios of the load test in their short form: what goes in comes out, to the span and the pico-dollar."""

from __future__ import annotations

from pathlib import Path

import pytest
from load_scenarios import SCENARIOS, Scenario
from load_tiers import two_tiers

pytestmark = pytest.mark.load


@pytest.mark.parametrize("scenario", [*SCENARIOS.values(), two_tiers], ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Scenario, tmp_path: Path) -> None:
    """Each asserts its own facts, and has something to show."""
    assert scenario(tmp_path, short=True)
