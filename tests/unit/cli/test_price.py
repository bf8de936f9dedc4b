"""The JSON-lines contract of ``otel-tokenomics price``."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.cli.main import main

FLEX = {
    "provider": "openai",
    "model": "gpt-5.4",
    "usage": {"prompt_tokens": 300000, "completion_tokens": 1000, "prompt_tokens_details": {"cached_tokens": 200000}},
    "facts": {"service_tier": "flex"},
    "timestamp": "2026-11-22T10:00:00Z",
}
KEYS = (
    "line",
    "id",
    "status",
    "reason",
    "provider",
    "model",
    "match",
    "sku",
    "currency",
    "total",
    "total_pico",
    "parts",
    "breakdown",
    "list",
    "computed",
    "source",
    "basis",
    "price_book",
    "at",
    "units",
    "facts",
    "flags",
    "ignored",
)


def price(lines: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    code = main(["price", *options])
    out = capsys.readouterr()
    return code, [json.loads(line) for line in out.out.splitlines()], out.err


def test_the_worked_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # flex, above 272,000 input tokens: 100000 x $2.50/M + 200000 x $0.25/M + 1000 x $11.25/M
    code, (answer,), errors = price([{**FLEX, "id": 7}], monkeypatch, capsys)
    assert (code, errors) == (0, "")
    assert tuple(answer) == KEYS
    assert answer["total"] == "0.31125"
    assert answer["total_pico"] == "311250000000"
    assert answer["parts"] == {"input": "0.25", "cache_read": "0.05", "output": "0.01125"}
    assert answer["sku"] == "openai/gpt-5.4;service_tier=flex;tier=272000"
    assert answer["breakdown"][1] == {
        "unit": "cache_read",
        "count": "200000",
        "rate_pico": "250000",
        "amount_pico": "50000000000",
        "factor": None,
    }
    assert (answer["id"], answer["line"], answer["at"], answer["status"]) == (7, 1, "2026-11-22T10:00:00Z", "priced")


@pytest.mark.parametrize(
    ("line", "code", "part"),
    [
        ("", "bad_json", "JSON"),
        ("[1]", "bad_json", "object"),
        ('{"provider": 1}', "bad_field", "provider"),
        ('{"usage": [1]}', "bad_field", "usage"),
        ('{"api": "converse", "usage": {}}', "bad_field", "available are chat, completions"),
        ('{"timestamp": "yesterday"}', "bad_field", "timestamp"),
        ('{"timestamp": "2026-11-22T10:00:00"}', "bad_field", "time zone"),
        ('{"units": {"tokens": 1}}', "bad_field", "tokens"),
        ('{"units": {"input": -1}}', "bad_field", "input"),
        ('{"facts": {"tier": "flex"}}', "bad_field", "tier"),
        ('{"stated_cost": "cheap"}', "bad_field", "stated_cost"),
        ('{"stated_cost": 0.5}', "bad_field", "stated_cost: must be text, is float"),
        ('{"overrides": {"colour": 1}}', "bad_field", "colour"),
        ('{"overrides": []}', "bad_field", "overrides: must be an object"),
        ('{"timestamp": 1795341600}', "bad_field", "timestamp: must be text"),
        ('{"timestamp": "0001-01-01T00:00:00+14:00"}', "bad_field", "timestamp"),
        ('{"facts": {"batch": "yes"}}', "bad_field", "batch must be true or false"),
        ('{"id": 1e400}', "bad_field", "id"),
        ('{"provider": "aws.bedrock", "usage": {"inputTokens": 5}}', "bad_field", "available are chat, completions"),
        ('{"id": ' + "[" * 100_000 + "]" * 100_000 + "}", "bad_json", "too deeply"),
    ],
)
def test_a_bad_line_is_answered_and_the_others_are_priced(
    line: str, code: str, part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, answers, errors = price([FLEX, line, FLEX], monkeypatch, capsys)
    assert exit_code == 2
    assert [answer.get("total") for answer in answers] == ["0.31125", None, "0.31125"]
    assert set(answers[1]) == {"line", "id", "error"}
    assert (answers[1]["line"], answers[1]["error"]["code"]) == (2, code)
    assert part in answers[1]["error"]["message"]
    assert errors.count("\n") == 1
    assert "1 of 3 lines" in errors


def test_bad_counts_and_unknown_models_are_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        {**FLEX, "usage": {"prompt_tokens": -1, "completion_tokens": "NaN"}},
        {**FLEX, "model": "gpt-7-turbo"},
        {"provider": "openai", "model": "gpt-5.4"},
    ]
    code, answers, _ = price(lines, monkeypatch, capsys)
    assert code == 0
    assert [(a["status"], a["reason"], a["total"]) for a in answers] == [
        ("unpriced", "invalid_usage", None),
        ("unpriced", "unknown_model", None),
        ("unpriced", "no_usage", None),
    ]


def test_units_facts_and_stated_cost(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    anthropic = {"provider": "anthropic", "model": "claude-sonnet-5-5", "timestamp": "2026-11-22T10:00:00Z"}
    lines = [
        # $2 and $10 per million, times 11/10 in the US: 2 x 1.1
        {**anthropic, "units": {"input": 1_000_000}, "facts": {"geo": "us"}},
        # batch: $1 per million
        {**anthropic, "units": {"input": 1_000_000}, "facts": {"batch": True}},
        {**anthropic, "units": {"input": 1_000_000}, "stated_cost": "1.99", "extra": 1},
    ]
    code, (geo, batch, stated), _ = price(lines, monkeypatch, capsys)
    assert code == 0
    assert (geo["total"], geo["breakdown"][0]["factor"]) == ("2.2", "11/10")
    assert (batch["total"], batch["facts"]) == ("1", {"processing": "batch"})
    assert (stated["total"], stated["computed"], stated["source"], stated["basis"]) == (
        "1.99",
        "2",
        "provider",
        "billed",
    )
    assert (stated["parts"], stated["ignored"]) == ({}, ["extra"])


def test_an_overlay_of_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    discount = {"discounts": [{"p": "openai", "match": "*", "ratio": [1, 2]}]}
    code, (cut, full), _ = price([{**FLEX, "overrides": discount}, FLEX], monkeypatch, capsys)
    assert code == 0
    assert (cut["total"], cut["list"], cut["basis"]) == ("0.155625", "0.31125", "contracted")
    assert "+" in cut["price_book"]
    assert (full["total"], full["list"], full["basis"]) == ("0.31125", None, "list")


def test_a_missing_file_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["price", str(tmp_path / "none.jsonl")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_refused_book_names_file_path_and_rule(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    overlay = tmp_path / "own.json"
    overlay.write_text('{"models": [{"p": "openai", "id": "m", "rows": [{"rates": {"input": -1}}]}]}')
    assert main(["price", "--overrides", str(overlay), str(overlay)]) == 2
    error = capsys.readouterr().err
    assert "own.json" in error
    assert "models[0].rows[0].rates.input" in error


def test_a_reader_that_leaves_is_no_crash(tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text((json.dumps(FLEX) + "\n") * 5000)
    process = subprocess.Popen(
        [sys.executable, "-m", "otel_tokenomics.cli.main", "price", str(lines)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["total"] == "0.31125"
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(30), errors) == (0, b"")


def test_compaction_is_charged_at_the_model_of_the_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # $2 per million input tokens: a million in the call and half a million in its compaction.
    usage = {
        "input_tokens": 1_000_000,
        "output_tokens": 0,
        "iterations": [{"type": "compaction", "input_tokens": 500_000}],
    }
    line = {"provider": "anthropic", "model": "claude-sonnet-5-5", "timestamp": "2026-11-22T10:00:00Z", "usage": usage}
    _, (answer,), _ = price([line], monkeypatch, capsys)
    assert (answer["status"], answer["total"]) == ("priced", "3")


def test_counts_of_the_caller_beside_unbelievable_ones_are_a_lower_bound(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"provider": "openai", "model": "gpt-5.4", "usage": {"prompt_tokens": -1}, "units": {"web_search": 3}}
    _, (answer,), _ = price([line], monkeypatch, capsys)
    # $10 per thousand searches
    assert (answer["status"], answer["reason"], answer["total"]) == ("partial", "incomplete_usage", "0.03")


def test_ten_thousand_lines_are_answered_in_order_and_each_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "otel_tokenomics.cli.main", "price"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin as asked, process.stdout as answered:
        for number in range(10_000):
            asked.write(json.dumps({**FLEX, "id": number}) + "\n")
            # The next line is asked only after this one was answered: nothing may wait for the end of the input.
            answer = json.loads(answered.readline())
            assert (answer["line"], answer["id"], answer["total"]) == (number + 1, number, "0.31125")
        asked.close()
        assert (process.wait(30), answered.read()) == (0, "")
