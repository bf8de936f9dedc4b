"""Every name that code writes or reads stands in the one registry, and every table follows it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from otel_tokenomics.config import ENVIRONMENT_PREFIX, Settings, settings_table
from otel_tokenomics.usage import TOKEN_UNITS, UNITS

ROOT = Path(__file__).resolve().parents[2]
REGISTRY: dict[str, Any] = yaml.safe_load((ROOT / "pricebook" / "names.yaml").read_text(encoding="utf-8"))
#: A string that is a telemetry name: one of our prefixes or of GenAI's, then dotted words.
NAME = re.compile(
    r"(?:tokenomics|gen_ai|openai\.(?:request|response)|anthropic\.(?:response|usage))(?:\.[a-z0-9_]+)+\.?"
)


def registered() -> set[str]:
    names = {entry["name"] for entry in REGISTRY["attributes"]} | {entry["name"] for entry in REGISTRY["metrics"]}
    names |= {name for spellings in REGISTRY["read_as"].values() for name in spellings}
    names |= set(REGISTRY["events"])
    names |= {key for keys in REGISTRY["dialects"].values() for key in keys}
    return names


def python_literals() -> Iterator[tuple[str, str]]:
    for path in (ROOT / "otel_tokenomics").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def go_literals() -> Iterator[tuple[str, str]]:
    for path in (ROOT / "collector").rglob("*.go"):
        if path.name.endswith("_test.go") or "metadata" in path.parts:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for literal in re.findall(r'"([^"\\]*)"', line):
                yield f"{path.relative_to(ROOT)}:{number}", literal


@pytest.mark.parametrize("literals", [python_literals, go_literals], ids=["python", "go"])
def test_every_literal_name_is_registered(literals: Any) -> None:
    known = registered()
    strangers = [
        f"{place}: {text}"
        for place, text in literals()
        if NAME.fullmatch(text)
        and text.rstrip(".") not in known
        and not any(name.startswith(text) for name in known if text.endswith("."))
    ]
    assert not strangers, "names that are not in pricebook/names.yaml:\n" + "\n".join(strangers)


def test_no_name_is_both_a_value_and_a_prefix_of_another() -> None:
    own = sorted(
        entry["name"] for entry in REGISTRY["attributes"] if entry["name"].startswith("tokenomics.") and entry["by"]
    )
    clashes = [(a, b) for a in own for b in own if b.startswith(a + ".")]
    assert clashes == []


def test_names_are_unique() -> None:
    for table in ("attributes", "metrics", "settings", "units"):
        names = [entry["name"] for entry in REGISTRY[table]]
        assert len(names) == len(set(names)), table


def test_units_are_the_closed_ordered_list() -> None:
    assert tuple(unit["name"] for unit in REGISTRY["units"]) == UNITS
    assert tuple(unit["name"] for unit in REGISTRY["units"] if unit["token"]) == TOKEN_UNITS


def test_every_setting_has_a_field_and_a_variable() -> None:
    for entry in REGISTRY["settings"]:
        assert hasattr(Settings(), entry["name"])
        variable = ENVIRONMENT_PREFIX + entry["name"].upper()
        assert getattr(settings_table, variable) == variable


def test_the_generated_tables_are_fresh() -> None:
    check = subprocess.run(
        [sys.executable, str(ROOT / "pricebook" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stderr
