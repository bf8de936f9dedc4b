"""The audit fails on a difference that nothing explains, and on a rule that explains nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "pricebook" / "audit"))
import compare
import sample

from otel_tokenomics.pricing import load_embedded

CALL = {"n": 1, "provider": "openai", "model": "gpt-5.4", "at": sample.NOW, "units": {"input": 1000}, "facts": {}}


def answer(number: int, usd: str) -> dict[str, Any]:
    return {"n": number, "usd": usd, "as": "openai/gpt-5.4"}


def audited(calls: list[Any], genai: list[Any], litellm: list[Any], rules: list[Any]) -> compare.Audit:
    answers = {"genai-prices": {one["n"]: one for one in genai}, "litellm": {one["n"]: one for one in litellm}}
    audit = compare.Audit(load_embedded(), calls, answers)
    audit.rules = rules
    audit.compare()
    return audit


def test_a_difference_needs_a_reason_that_holds() -> None:
    right, wrong = answer(1, "0.0025"), answer(1, "0.003")
    for rules, explained in (
        ([], False),
        ([{"oracle": "litellm", "cause": "why", "units": ["output"]}], False),
        ([{"oracle": "litellm", "cause": "why", "answer": "zero"}], False),
        ([{"oracle": "litellm", "cause": "why", "answer": "ratio", "ratio": [6, 5]}], True),
        ([{"oracle": "litellm", "cause": "why", "models": ["gpt-5*"], "other_oracle": "agrees"}], True),
    ):
        audit = audited([CALL], [right], [wrong], rules)
        found, left = audit.explain()
        assert bool(found) == explained
        assert bool(left) != explained
        assert audit.stale() == ([] if explained or not rules else ["why"])
        assert ("## Not explained" in compare.report(audit, found, left)) != explained


def test_what_no_double_tells_apart_is_no_difference() -> None:
    audit = audited([CALL], [answer(1, "0.0025")], [answer(1, "0.0025000000000000001")], [])
    assert not audit.differences
    assert audit.outcomes["litellm"]["agree"] == 1


def test_a_mix_is_explained_by_its_single_calls_and_by_nothing_less() -> None:
    output = {**CALL, "n": 2, "units": {"output": 1000}}
    mix = {**CALL, "n": 3, "units": {"input": 1000, "output": 1000}, "of": [1, 2]}
    agreed = [answer(1, "0.0025"), answer(2, "0.015"), answer(3, "0.0175")]
    rules = [{"oracle": "litellm", "cause": "why", "units": ["output"]}]
    for total, explained in (("0.0225", True), ("0.0226", False)):
        said = [answer(1, "0.0025"), answer(2, "0.02"), answer(3, total)]
        _, left = audited([CALL, output, mix], agreed, said, rules).explain()
        assert not left if explained else [one.call["n"] for one in left] == [3]


def test_an_unknown_condition_of_a_rule_is_refused() -> None:
    rule = {"oracle": "litellm", "cause": "why", "answer": "whatever"}
    audit = audited([CALL], [answer(1, "0.0025")], [answer(1, "1")], [rule])
    with pytest.raises(SystemExit, match="whatever"):
        audit.explain()


def test_every_model_of_the_book_is_asked_and_always_the_same_way() -> None:
    book = load_embedded()
    calls = list(sample.calls(book))
    assert {(call["provider"], call["model"]) for call in calls} == set(book.ids())
    assert len(
        {json.dumps([call[key] for key in ("provider", "model", "at", "units", "facts")]) for call in calls}
    ) == len(calls)
    assert [call["n"] for call in calls] == list(range(1, len(calls) + 1))


def test_every_rule_says_why() -> None:
    for rule in compare.Audit(load_embedded(), [], {}).rules:
        assert rule["oracle"] in ("genai-prices", "litellm")
        assert len(rule["cause"]) > 20
        assert len(rule["evidence"]) > 20
