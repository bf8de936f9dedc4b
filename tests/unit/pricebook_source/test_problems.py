"""Every broken rule of a file is told with its line, and nothing that is only a consequence of another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from broken_books import CASES, broken

from otel_tokenomics.pricebook_source.places import keys_of
from otel_tokenomics.pricebook_source.problems import MAX_PROBLEMS, Problem, problems_of
from otel_tokenomics.pricebook_source.yaml_text import json_of_yaml
from otel_tokenomics.pricing import PriceBook

VECTORS = Path(__file__).parents[2] / "vectors"
BOOK_TEXT = (VECTORS / "book.json").read_text(encoding="utf-8")
BOOK = PriceBook.parse(BOOK_TEXT, "book.json")


def overlay_problems(text: str, name: str = "own.json") -> list[Problem]:
    as_json = json_of_yaml(text, name) if name.endswith("yaml") else text
    return problems_of(as_json, lambda content: BOOK.overlay_of(content, name))


def test_a_good_file_has_none() -> None:
    assert overlay_problems((VECTORS / "overlay.json").read_text(encoding="utf-8")) == []
    assert problems_of(BOOK_TEXT, lambda content: PriceBook.parse(content, "b.json")) == []


BROKEN = """{
 "discounts": [
  {"p": "openai", "ratio": [85, 100]},
  {"p": "opnai", "ratio": [85, 100]},
  {"p": "openai", "ratio": [0, 100]}
 ],
 "models": [
  {"p": "openai", "id": "gpt-4o", "rows": [
    {"usd_per_million": {"input": 2.5,
                         "out_put": "10"}},
    {"from": "2026-13-01T00:00:00Z", "rates": {"input": 1}},
    {"when": {"tier": ["x"]}, "rates": {"input": 1}}
  ]},
  {"p": "openai", "id": "GPT-5", "rows": [{"rates": {"input": -1}}]},
  {"p": "openai", "name": "x", "rows": [{"rates": {"input": 1}}]}
 ],
 "aliases": {"azure.ai.openai": {"my.prod": {"modl": "gpt-5"}}},
 "discouts": []
}
"""


def test_every_problem_has_its_line() -> None:
    found = overlay_problems(BROKEN)
    assert [(one.line, one.place) for one in found] == [
        (4, "discounts[1].p"),
        (5, "discounts[2].ratio[0]"),
        (9, "models[0].rows[0].usd_per_million.input"),
        (10, "models[0].rows[0].usd_per_million.out_put"),
        (11, "models[0].rows[1].from"),
        (12, "models[0].rows[2].when.tier"),
        (14, "models[1].rows[0].rates.input"),
        (14, "models[1].id"),
        (15, "models[2].name"),
        (17, "aliases.azure.ai.openai.my.prod.modl"),
        (18, "discouts"),
    ]
    rules = {one.place: one.rule for one in found}
    assert rules["models[0].rows[0].usd_per_million.input"] == 'must be USD as text: write "2.5", is 2.5'
    assert rules["discouts"] == "is no key here; did you mean discounts?"


def test_yaml_has_its_own_lines() -> None:
    text = (
        "discounts:\n"
        "- p: openai\n"
        "  ratio: [85, 100]\n"
        "- p: openai\n"
        "  match: GPT*\n"
        "  ratio: [1, 2]\n"
        "aliases:\n"
        "  azure.ai.openai:\n"
        "    prod: {model: 7}\n"
    )
    assert [(one.line, one.place) for one in overlay_problems(text, "own.yaml")] == [
        (5, "discounts[1].match"),
        (9, "aliases.azure.ai.openai.prod.model"),
    ]


def test_a_section_that_stands_twice_is_told() -> None:
    """Readers keep the last one in silence: half of somebody's prices would be gone."""
    (found,) = overlay_problems('{"aliases": {},\n "discounts": [],\n "aliases": {}}')
    assert (found.line, found.place) == (3, "aliases")
    assert "stands twice" in found.rule


def test_a_syntax_error_has_its_line() -> None:
    (found,) = overlay_problems('{"aliases": {},\n "discounts": [}\n')
    assert found.line == 2
    assert "is no JSON" in found.rule


def test_a_book_with_a_broken_head_and_provider_has_no_false_followers() -> None:
    text = BOOK_TEXT.replace('"USD"', '"EUR"', 1).replace('"kind": "first_party"', '"kind": "maker"', 1)
    assert text.count('"maker"') == 1
    found = problems_of(text, lambda content: PriceBook.parse(content, "b.json"))
    assert [one.rule.partition(",")[0] for one in found] == ['must be "USD"', 'must be one of "cloud"']


@pytest.mark.parametrize("text", ["[]", "7", "null", "{}" * 2, '{"models": null}', '{"models": [[[]]]}', "[" * 90_000])
def test_what_is_no_overlay_at_all_is_one_problem(text: str) -> None:
    assert len(overlay_problems(text)) == 1


def test_a_file_of_errors_alone_ends() -> None:
    entry = '{"p": "nobody", "ratio": [1, 2]}'
    assert len(overlay_problems(f'{{"discounts": [{", ".join([entry] * 200)}]}}')) == MAX_PROBLEMS


#: What a next version must not do is told without a line: the file by itself is good.
OF_ONE_FILE = [case for case in CASES if case["file"] != "next"]


@pytest.mark.parametrize("case", OF_ONE_FILE, ids=[case["name"] for case in OF_ONE_FILE])
def test_one_broken_rule_is_one_problem(case: dict[str, Any]) -> None:
    """The vectors break one rule each: nothing that follows from it is told as another."""
    text = json.dumps(broken(case), indent=1)
    load = {"overlay": BOOK.overlay_of, "book": PriceBook.parse}[case["file"]]
    (found,) = problems_of(text, lambda content: load(content, "x.json"))
    assert f"{found.place}: {found.rule}" == case["expect"]
    # On the line stands the last key of the place, or the item; or what lacks it begins there.
    keys, lacks = keys_of(json.loads(text), found.place)
    written = text.splitlines()[found.line - 1].strip()
    here = broken(case)
    for key in keys:
        here = here[key]
    if lacks or not keys or isinstance(keys[-1], int):
        assert written.rstrip(",").endswith(("{", "[", json.dumps(here)))
    else:
        assert written.startswith(f"{json.dumps(keys[-1])}: ")
