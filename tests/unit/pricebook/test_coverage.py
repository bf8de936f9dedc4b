"""The report of what the book knows of each provider counts what is there, and no row goes without its origin."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "pricebook"))
report: Any = importlib.import_module("coverage_report")


def model(name: str, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"p": "lab", "id": name, "rows": list(rows), **more}


def row(*sources: str, **rates: int) -> dict[str, Any]:
    return {"rates": rates, "src": list(sources), "verified": "2026-11-10"}


def test_a_line_counts_models_by_their_sources_and_differences_by_who_decided() -> None:
    models = [
        model("a", row("g", input=1)),
        model("b", row("g", input=1), row("l", output=2)),
        model("c", row("g", "l", "p", input=1), **{"class": "small"}),
        {**model("d", row("p", request=1)), "p": "other"},
    ]
    differences = {
        "lab/b": {"patch": 0, "order": 2, "nobody": 3},
        "lab/c": {"patch": 4, "order": 0, "nobody": 0},
        "lab-two/c": {"patch": 9, "order": 9, "nobody": 9},
    }
    lines = report.table(models, ["lab/x", "lab/y/z"], differences, {"lab/c", "other/d"}).splitlines()[2:]
    assert lines == [
        "| lab | 3 | 1 | 2 | 1 | 1 | 2 | 4 | 2 | 3 | input, output |",
        "| other | 1 | 0 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | request |",
    ]


def test_models_without_a_price_are_listed_by_provider() -> None:
    assert report.names(["b/x", "a/m/n:free", "a/k"]) == "- a: `k`, `m/n:free`\n- b: `x`"


def test_a_row_without_source_or_day_is_found() -> None:
    good, no_day, no_source = row("g", input=1), row("g", input=1), row(input=1)
    del no_day["verified"]
    assert report.unaccounted([model("a", good), model("b", good, no_day), model("c", no_source)]) == ["lab/b", "lab/c"]


def test_the_report_of_the_book_says_for_every_provider_what_the_book_holds() -> None:
    book = json.loads((ROOT / "otel_tokenomics/pricing/pricebook.json").read_text(encoding="utf-8"))
    text = (ROOT / "pricebook/report.md").read_text(encoding="utf-8")
    for provider in {entry["p"] for entry in book["models"]}:
        count = sum(entry["p"] == provider for entry in book["models"])
        assert f"\n| {provider} | {count} | " in text
