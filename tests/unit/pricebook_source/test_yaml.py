"""YAML is read by few rules that leave nothing to guess, the same in both languages, and its file bears the digest."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source.files import lay_over
from otel_tokenomics.pricebook_source.yaml_text import json_of_yaml
from otel_tokenomics.pricing import PriceBook, price
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import NO_FACTS, Usage

VECTORS = Path(__file__).parents[2] / "vectors"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "yaml.json").read_text(encoding="utf-8"))
BOOK = PriceBook.parse((VECTORS / "book.json").read_text(encoding="utf-8"), "book.json")
INSTANT = 'must be an instant such as "2026-11-22T05:00:00Z" (date, time and Z for UTC)'


def decoded(text: str) -> Any:
    """JSON with its numbers as written."""
    return json.loads(text, parse_int=lambda number: ("number", number), parse_float=lambda number: ("number", number))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_vectors(case: dict[str, Any]) -> None:
    assert case.keys() <= {"name", "why", "yaml", "json", "error"}
    if "json" in case:
        assert decoded(json_of_yaml(case["yaml"], "own.yaml")) == decoded(case["json"])
        return
    with pytest.raises(PriceBookError) as refused:
        json_of_yaml(case["yaml"], "own.yaml")
    said = str(refused.value)
    if case["error"] == "is no YAML":
        assert said.startswith("own.yaml: line ")
        assert ": is no YAML: " in said
    else:
        assert said == f"own.yaml: {case['error']}"


def test_one_file_has_one_id_and_one_price_in_both_languages() -> None:
    """collector/booksource/yaml_test.go states the same."""
    book = lay_over(BOOK, str(VECTORS / "own_prices.yaml"))
    assert book.id == "vectors@2026.11.22+622bb5d8"
    at = instant("2026-11-22T10:00:00Z")
    usage = Usage({"input": 1000, "output": 100})
    # 1000 x $2 + 100 x $8 per million; before October the book's $2.50 and $10.
    assert price(book, "openai", "gpt-4o", usage, NO_FACTS, at).total == 2_800_000_000
    assert price(book, "openai", "gpt-4o", usage, NO_FACTS, instant("2026-09-30T23:59:59Z")).total == 3_500_000_000
    # (1000 x $2.50 + 100 x $15 per million) x 85/100
    assert price(book, "openai", "gpt-5.4", usage, NO_FACTS, at).total == 3_400_000_000
    # The data zone's $2.75 and $11.
    assert price(book, "azure.ai.openai", "no", usage, NO_FACTS, at).total == 3_850_000_000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models:\n- p: openai\n  id: x\n  rows:\n  - usd_per_million:\n      input: 2.50\n",
         ":6: models[0].rows[0].usd_per_million.input: must be USD as text: write \"2.50\", is 2.50"),
        ("discounts:\n- p: openai\n  ratio: [085, 100]\n",
         ":3: discounts[0].ratio[0]: must be an integer from 1 to 1000000, is \"085\""),
        ("discounts: []\naliases: {}\ndiscounts: []\n",
         ":3: line 3 column 1: must be the only key \"discounts\" of its object, stands twice"),
        ("discounts:\n- p: openai\n  until: 2026-10-01\n  ratio: [1, 2]\n",
         f":3: discounts[0].until: {INSTANT}, is \"2026-10-01\""),
        ("# nothing\n", ": must not be null; leave it out"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_with_file_and_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PriceBookError) as refused:
        lay_over(BOOK, str(path))
    assert str(refused.value) == f"{path}{told}"


@pytest.mark.parametrize("text", ["[" * 50_000, "a: " * 5_000, "- " * 50_000, "\x00", "a: \ud800"])
def test_hostile_yaml_is_refused(text: str) -> None:
    with pytest.raises(PriceBookError, match=r"^own\.yaml: .*is no YAML"):
        json_of_yaml(text, "own.yaml")


def test_without_pyyaml_it_is_said_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "own.yml"
    path.write_text("discounts: []", encoding="utf-8")
    with pytest.raises(PriceBookError) as refused:
        lay_over(BOOK, str(path))
    assert str(refused.value) == (
        f"{path}: YAML needs the package PyYAML (pip install PyYAML); JSON is read without it"
    )
