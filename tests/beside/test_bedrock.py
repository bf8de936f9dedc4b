"""Beside every other instrumentation of Bedrock, in both orders, each answer is charged once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("order", ["ours-first", "theirs-first"])
@pytest.mark.parametrize("name", ["official", "openinference", "openllmetry"])
def test_each_answer_is_charged_once(name: str, order: str) -> None:
    program = Path(__file__).with_name("bedrock.py")
    done = subprocess.run(
        [sys.executable, str(program), name, order], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said["billed"]) == 4
    assert sorted(said["charged"]) == sorted(said["billed"])
    assert said["failures"] == {}
    if name == "official":
        # It works where we do, so its spans are the ones that are written on.
        assert said["scopes"] == ["opentelemetry.instrumentation.botocore.bedrock-runtime"]
