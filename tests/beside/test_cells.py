"""The core of the matrix holds beside every other instrumentation, in both orders."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cells import release_of
from cells_beside import NEIGHBOURS, ORDERS


@pytest.mark.matrix
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", list(NEIGHBOURS))
def test_every_core_cell_holds(name: str, order: str, record_property: Any) -> None:
    neighbour = NEIGHBOURS[name]
    if importlib.util.find_spec(neighbour.module.partition(".")[0]) is None:
        pytest.skip("needs the other instrumentations: make test-clients")
    here = Path(__file__).parent
    path = os.pathsep.join(str(place) for place in (here.parents[1], here.parent / "conformance"))
    done = subprocess.run(
        [sys.executable, str(here / "cells_beside.py"), name, order],
        env={**os.environ, "PYTHONPATH": path, "ANTHROPIC_OPEN_TELEMETRY": "false"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said
    known = {"suite": "neighbours", "client": neighbour.client, "version": release_of(neighbour.client)}
    for verdict in said:
        place = {"neighbour": name.partition(" ")[0], "order": order}
        held = "excluded" if verdict["reason"] else "fail" if verdict["wrong"] else "pass"
        record_property("cell", {**known, **place, **verdict, "verdict": held})
    wrong = [verdict for verdict in said if verdict["wrong"]]
    assert not wrong, json.dumps(wrong, indent=1)
