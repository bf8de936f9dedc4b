"""The vectors' book and overlay, whole or with the one rule broken that a case of ``refusals.json`` names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = json.loads((HERE / "refusals.json").read_text(encoding="utf-8"))


def read(name: str) -> Any:
    file = "book" if name == "next" else name  # a next version of the book in use, which is the unbroken one
    return json.loads((HERE / f"{file}.json").read_text(encoding="utf-8"))


def broken(case: dict[str, Any]) -> Any:
    """Return the document of a case with its one rule broken."""
    document = read(case["file"])
    *way, last = case["at"]
    place = document
    for step in way:
        # A condition or head that is not there yet is put there.
        place = place[step] if isinstance(step, int) else place.setdefault(step, {})
    if case.get("remove"):
        del place[last]
    else:
        place[last] = case["set"]
    return document
