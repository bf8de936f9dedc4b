"""What a service's log says of a price book or overlay that is refused: file, line, place and rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.config import Settings
from otel_tokenomics.pricebook_source import PriceBookSource
from otel_tokenomics.pricing import load_embedded

VECTORS = Path(__file__).parents[2] / "vectors"


def settings(**options: Any) -> Settings:
    return Settings.resolve({}, **options)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"discounts": [],\n "aliases": {},\n "discounts": []}',
         ':3: line 3: must be the only key "discounts" of its object, stands twice'),
        ('{"aliases": {},\n "discounts": [}\n', ":2: line 2 column 16: is no JSON: "),
        ('{"discounts": [\n  {"p": "openai", "ratio": [85, 100]},\n  {"p": "openai", "ratio": 0.85}\n]}',
         ":3: discounts[1].ratio: must be two integers from 1 to 1000000 such as [85, 100], is 0.85"),
        ('{"models": [{"p": "openai", "id": "x",\n "rows": [\n  {"usd_per_million": {\n    "input": 2.50}}]}]}',
         ':4: models[0].rows[0].usd_per_million.input: must be USD as text: write "2.50", is 2.50'),
    ],
)  # fmt: skip
def test_refused_overrides_are_told_with_file_line_place_and_rule(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, told: str
) -> None:
    path = tmp_path / "own.json"
    path.write_text(text, encoding="utf-8")
    source = PriceBookSource()
    source.configure(settings(pricebook_overrides=str(path)))
    assert source.current() is load_embedded()
    (message,) = (record.getMessage() for record in caplog.records)
    assert f"stays in use: {path}{told}" in message


def test_a_refused_book_is_told_with_file_and_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = json.dumps(json.loads((VECTORS / "book.json").read_text(encoding="utf-8")), indent=1)
    assert text.count('"huge"') == 3
    line = text[: text.index('"id": "huge"')].count("\n") + 1
    book_file = tmp_path / "book.json"
    book_file.write_text(text.replace('"id": "huge"', '"id": "Huge"'), encoding="utf-8")
    source = PriceBookSource()
    source.configure(settings(pricebook_url=book_file.as_uri()))
    assert source.current() is load_embedded()
    (message,) = (record.getMessage() for record in caplog.records)
    assert message.endswith(f'{book_file}:{line}: models[20].id: must be in lower case ("huge"), is "Huge"')


def test_a_mark_of_the_byte_order_is_no_part_of_an_overlay(tmp_path: Path) -> None:
    """The id is that of the text: collector/booksource states the same."""
    ids = set()
    for name, mark in (("a.json", b""), ("b.json", b"\xef\xbb\xbf"), ("c.yaml", b"\xef\xbb\xbf")):
        (tmp_path / name).write_bytes(mark + b"{}")
        source = PriceBookSource()
        source.configure(settings(pricebook_overrides=str(tmp_path / name)))
        ids.add(source.current().id)
    assert ids == {f"{load_embedded().id}+44136fa3"}
