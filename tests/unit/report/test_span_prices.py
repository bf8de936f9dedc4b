"""What was priced once prices the same from the attributes on its span: the vectors' results are read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import PriceBook
from otel_tokenomics.report.otlp_files import read_spans
from otel_tokenomics.report.span_prices import calls_of, cost_of
from otel_tokenomics.report.tree import own_cost

FOLDER = Path(__file__).resolve().parents[2] / "vectors"
BOOK = PriceBook.parse((FOLDER / "book.json").read_text(encoding="utf-8"), "book.json")
OVERLAID = BOOK.with_overlay((FOLDER / "overlay.json").read_text(encoding="utf-8"), "overlay.json")
#: Without those in which a setting puts another figure in the place of ours.
CASES = [
    path
    for path in sorted((FOLDER / "spans").glob("*.json"))
    if "on_existing" not in json.loads(path.read_text(encoding="utf-8"))["options"]
]


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_a_priced_span_prices_the_same_again(path: Path, tmp_path: Path) -> None:
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    options = {
        key: value
        for key, value in case.get("options", {}).items()
        if key in ("usage_convention", "price_server_spans")
    }
    file = tmp_path / "spans.json"
    file.write_text(json.dumps(case["out"]), encoding="utf-8")
    settings = Settings(**options)
    book = OVERLAID if case.get("overlay") else BOOK
    again = {call.span.span_id: cost_of(book, call) for call in calls_of(read_spans(file), settings)}
    for span in read_spans(file):
        status = span.attributes.get("tokenomics.cost.status")
        if status in ("priced", "partial", "free") and "tokenomics.charge.kind" not in span.attributes:
            assert again[span.span_id].total == own_cost(span), span.name
        elif status == "unpriced" and span.span_id in again:
            assert again[span.span_id].total is None
        elif status == "not_applicable":
            assert span.span_id not in again
