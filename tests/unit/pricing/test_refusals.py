"""One broken rule in the vectors' book or overlay is refused, naming file, place and rule, in both languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from broken_books import CASES, broken, read
from referencing import Registry, Resource

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing import PriceBook

ROOT = Path(__file__).resolve().parents[3]
FIELDS = {"name", "why", "file", "at", "set", "remove", "schema", "expect"}
_SCHEMAS = {
    name: json.loads((ROOT / "pricebook" / "schema" / file).read_text(encoding="utf-8"))
    for name, file in (("book", "v1.json"), ("overlay", "overlay-v1.json"))
}
_REGISTRY: Registry[Any] = Registry().with_resources(
    [(schema["$id"], Resource.from_contents(schema)) for schema in _SCHEMAS.values()]
)


def load(name: str, document: Any) -> PriceBook:
    if name == "next":
        in_use = PriceBook.parse(json.dumps(read("book")), "book.json")
        return PriceBook.parse(json.dumps(document), "prices.json", in_use)
    if name == "book":
        return PriceBook.parse(json.dumps(document), "prices.json")
    return PriceBook.parse(json.dumps(read("book")), "book.json").with_overlay(json.dumps(document), "prices.json")


def schema_accepts(name: str, document: Any) -> bool:
    return jsonschema.Draft202012Validator(
        _SCHEMAS["overlay" if name == "overlay" else "book"], registry=_REGISTRY
    ).is_valid(document)


@pytest.mark.parametrize("name", ["book", "overlay"])
def test_unbroken_they_are_accepted(name: str) -> None:
    assert load(name, read(name))
    assert schema_accepts(name, read(name))


def test_names_are_test_ids_and_no_field_is_unknown() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)
    assert all(case.keys() <= FIELDS and case["why"] for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_one_broken_rule_is_refused(case: dict[str, Any]) -> None:
    document = broken(case)
    with pytest.raises(PriceBookError) as refused:
        load(case["file"], document)
    assert str(refused.value) == f"prices.json: {case['expect']}"
    assert f"{refused.value.place}: {refused.value.rule}" == case["expect"]
    # What one place of the document alone shows, the schema refuses too.
    assert schema_accepts(case["file"], document) is not case["schema"]
