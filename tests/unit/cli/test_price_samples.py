"""``price`` takes every raw sample: the usage object, the whole answer, an event, a line of a batch result file."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from usage_samples import CASES

from otel_tokenomics.cli.main import main

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
SAMPLES: list[dict[str, Any]] = [case.values[0] for case in CASES]


def price(
    lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[dict[str, Any]]:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    code = main(["price", "--book", str(VECTORS / "book.json")])
    out = capsys.readouterr()
    assert (code, out.err) == (0, "")
    return [json.loads(line) for line in out.out.splitlines()]


@pytest.mark.parametrize("named", [True, False], ids=["api", "default"])
def test_every_sample_is_read(named: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        {"id": case["name"], "provider": case["provider"], "usage": case["usage"]}
        | ({"api": case["api"]} if named else {})
        for case in SAMPLES
    ]
    answers = price(lines, monkeypatch, capsys)
    assert [answer["id"] for answer in answers] == [case["name"] for case in SAMPLES]
    for case, answer in zip(SAMPLES, answers, strict=True):
        expected = dict(case["expect"].get("units", {}))
        if case["name"] == "together_rerank" and not named:
            expected["output"] = "0"
        assert answer["units"] == expected, case["name"]
        # Nothing is passed over in silence: what has no price says why.
        assert (answer["total"] is None) == (answer["status"] == "unpriced"), case["name"]
        assert answer["reason"] or answer["status"] in ("priced", "free"), case["name"]


def test_a_whole_answer_brings_its_model_its_tier_and_its_tools(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    by_name = {case["name"]: case["usage"] for case in SAMPLES}
    (whole, named, agent) = price(
        [
            {"provider": "openai", "usage": by_name["chat_whole_answer"]},
            {"provider": "openai", "model": "gpt-5-mini", "usage": by_name["chat_whole_answer"]},
            {"provider": "anthropic", "usage": {**by_name["claude_code_result"], "modelUsage": AGENTS}},
        ],
        monkeypatch,
        capsys,
    )
    # gpt-5.4 flex: 93 x $1.25 + 1024 x $0.13 + 46 x $7.50, per million.
    assert (whole["sku"], whole["total_pico"]) == (
        "openai/gpt-5.4;service_tier=flex",
        str(93 * 1_250_000 + 1024 * 130_000 + 46 * 7_500_000),
    )
    assert named["model"] == "gpt-5-mini"
    # Each model at its own rates: 300,000 x $3 + 5 x $15, and 10 x $5 + 2 x $25, per million. They are sums over
    # requests, so the size chooses no context tier.
    assert agent["total_pico"] == str(300_000 * 3_000_000 + 5 * 15_000_000 + 10 * 5_000_000 + 2 * 25_000_000)
    assert sum(int(row["amount_pico"]) for row in agent["breakdown"]) == int(agent["total_pico"])


def _used(given: int, made: int) -> dict[str, Any]:
    return {"inputTokens": given, "outputTokens": made, "cacheReadInputTokens": 0, "cacheCreationInputTokens": 0}


AGENTS = {"claude-sonnet-4": _used(300_000, 5), "claude-opus-4-6": _used(10, 2)}
