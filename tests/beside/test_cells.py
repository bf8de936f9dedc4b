"""The matrix holds beside every other instrumentation, in both orders."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cells import release_of
from cells_beside import NEIGHBOURS, ORDERS


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Run the program of the cells, each neighbour alone once for both orders; return the file that it wrote."""
    folder = tmp_path_factory.mktemp("said")

    def run(name: str, order: str, *more: str) -> Path:
        here, file = Path(__file__).parent, folder / f"{name} {order}"
        if not file.exists():
            path = os.pathsep.join(str(place) for place in (here.parents[1], here.parent / "conformance"))
            done = subprocess.run(
                [sys.executable, str(here / "cells_beside.py"), name, order, str(file), *more],
                env={**os.environ, "PYTHONPATH": path, "ANTHROPIC_OPEN_TELEMETRY": "false"},
                capture_output=True, text=True, timeout=900, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-2000:]
        return file

    return run


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.matrix
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", list(NEIGHBOURS))
def test_every_cell_holds(name: str, order: str, said: Callable[..., Path], record_property: Any) -> None:
    neighbour = NEIGHBOURS[name]
    if not _installed(neighbour.module):
        pytest.skip(f"{neighbour.module} is not in this environment: make conformance")
    lines = said(name, order, str(said(name, "alone"))).read_text().splitlines()
    verdicts = [json.loads(line) for line in lines]
    assert verdicts
    known = {"suite": "neighbours", "client": neighbour.client, "version": release_of(neighbour.client)}
    for verdict in verdicts:
        place = {"neighbour": name.partition(" ")[0], "order": order}
        held = "excluded" if verdict["reason"] else "fail" if verdict["wrong"] else "pass"
        record_property("cell", {**known, **place, **verdict, "verdict": held})
    assert sum(verdict["reason"] != "" for verdict in verdicts) * 5 <= len(verdicts)
    wrong = [verdict for verdict in verdicts if verdict["wrong"]]
    assert not wrong, json.dumps(wrong, indent=1)
