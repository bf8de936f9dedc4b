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
        ('{"api": "telepathy", "usage": {}}', "bad_field", "available are chat, completions"),
        ('{"timestamp": "yesterday"}', "bad_field", "timestamp"),
        ('{"timestamp": "2026-11-22T10:00:00"}', "bad_field", "time zone"),
        ('{"units": {"tokens": 1}}', "bad_field", "tokens"),
        ('{"units": {"input": -1}}', "bad_field", "input"),
        ('{"facts": {"tier": "flex"}}', "bad_field", "tier"),
        ('{"stated_cost": "cheap"}', "bad_field", "stated_cost"),
        ('{"stated_cost": 0.5}', "bad_field", "stated_cost: must be text, is a number"),
        ('{"stated_cost": "-1"}', "bad_field", "stated_cost: '-1' is no amount of USD"),
        ('{"stated_cost": "NaN"}', "bad_field", "stated_cost"),
        ("null", "bad_json", "is no JSON object but null"),
        ('{"id": NaN}', "bad_field", "id"),
        ('{"id": 1' + "0" * 5000 + "}", "bad_field", "id"),
        ('{"facts": {"region": null}}', "bad_field", "facts: region: must be text, is null"),
        ('{"units": {"input": 1.5}}', "bad_field", "units: input: must be an integer"),
        ('{"units": {"input": true}}', "bad_field", "units: input: must be an integer"),
        ('{"api": "' + "x" * 100_000 + '"}', "bad_field", "xxx...' is not available"),
        ('{"overrides": ' + '{"a":' * 300 + "1" + "}" * 301, "bad_field", "overrides"),
        ('{"overrides": {"colour": 1}}', "bad_field", "colour"),
        ('{"overrides": []}', "bad_field", "overrides: must be an object"),
        ('{"timestamp": 1795341600}', "bad_field", "timestamp: must be text"),
        ('{"timestamp": "0001-01-01T00:00:00+14:00"}', "bad_field", "timestamp"),
        ('{"facts": {"batch": "yes"}}', "bad_field", "batch: must be true or false, is text"),
        ('{"id": 1e400}', "bad_field", "id"),
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
    assert "standard input: line 2: " in errors
    # What is quoted of a line is short, however long the line is.
    assert len(errors) < 600


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


LINE = json.dumps(FLEX).encode()


def totals(out: str) -> list[str | None]:
    return [json.loads(line).get("total") for line in out.splitlines()]


def test_files_as_other_systems_write_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    # A mark at the start, carriage returns, no newline at the end; a separator that is a newline to Python alone.
    file.write_bytes(
        b"\xef\xbb\xbf" + LINE + b"\r\n" + LINE.replace(b'"flex"', '"fl\u2028ex"'.encode()) + b"\r\n" + LINE
    )
    assert main(["price", str(file)]) == 0
    # Without the tier flex: 100000 x $5/M + 200000 x $0.5/M + 1000 x $22.5/M
    assert totals(capsys.readouterr().out) == ["0.31125", "0.6225", "0.31125"]


def test_several_files_are_one_stream_and_a_missing_one_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_bytes(LINE + b"\n")
    bad.write_bytes(LINE + b"\n\xff\n\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINE + b"\n")))
    assert main(["price", str(good), str(tmp_path / "none.jsonl"), "-", str(bad)]) == 2
    out = capsys.readouterr()
    answers = [json.loads(line) for line in out.out.splitlines()]
    assert [answer["line"] for answer in answers] == [1, 2, 3, 4, 5]
    assert totals(out.out) == ["0.31125", "0.31125", "0.31125", None, None]
    assert "byte 1 is 0xff" in answers[3]["error"]["message"]
    missing, summary = out.err.splitlines()
    assert missing.endswith("none.jsonl: cannot be read: No such file or directory")
    # The place of the file, not of the stream.
    assert "2 of 5 lines could not be read, the first is: " in summary
    assert "bad.jsonl: line 2: is no UTF-8" in summary


@pytest.mark.parametrize(
    ("count", "status", "reason"),
    [
        ("NaN", "unpriced", "invalid_usage"),
        ("Infinity", "unpriced", "invalid_usage"),
        ("1e400", "unpriced", "invalid_usage"),
        ("1" + "0" * 5000, "unpriced", "invalid_usage"),
        ("1000000000001", "unpriced", "invalid_usage"),
        ('"1200"', "priced", None),
        ("1200.0", "priced", None),
        ("true", "unpriced", "invalid_usage"),
        ("[" * 500 + "]" * 500, "unpriced", "invalid_usage"),
    ],
)
def test_hostile_counts_are_answered_with_a_status(
    count: str, status: str, reason: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = '{"provider": "openai", "model": "gpt-5.4", "usage": {"prompt_tokens": ' + count + "}}"
    code, (answer,), errors = price([line], monkeypatch, capsys)
    assert (code, errors) == (0, "")
    assert tuple(answer) == KEYS
    assert (answer["status"], answer["reason"]) == (status, reason)
    # 1200 x $2.50/M
    assert answer["total"] == ("0.003" if status == "priced" else None)


def test_odd_but_valid_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    long = {"provider": "openai", "model": "m" * 10_000_000, "usage": {"prompt_tokens": 1}}
    twice = '{"model": "gpt-4o", ' + json.dumps(FLEX)[1:]
    echoed = {**FLEX, "id": {"\u00e9": ["\U0001f389", None, 1.5, "\ud800"]}}
    code, answers, _ = price([long, twice, echoed, "{}"], monkeypatch, capsys)
    assert code == 0
    assert (answers[0]["status"], answers[0]["reason"]) == ("unpriced", "no_model")
    # Of a key that stands twice, JSON's last one holds.
    assert answers[1]["total"] == "0.31125"
    assert answers[2]["id"] == echoed["id"]
    assert (answers[3]["status"], answers[3]["reason"], answers[3]["total"]) == ("unpriced", "no_usage", None)


def test_a_book_of_ones_own_and_overrides_above_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    overlay = tmp_path / "own.json"
    # As some editors save it: with a mark at the start.
    overlay.write_bytes(b"\xef\xbb\xbf" + b'{"discounts": [{"p": "openai", "match": "*", "ratio": [9, 10]}]}')
    of_line = {"discounts": [{"p": "openai", "match": "gpt-5.4", "ratio": [1, 2]}]}
    _, (file, line), _ = price([FLEX, {**FLEX, "overrides": of_line}], monkeypatch, capsys, "--overrides", str(overlay))
    assert (file["total"], file["list"]) == ("0.280125", "0.31125")
    # The line stands above the file: its discount holds.
    assert (line["total"], line["list"]) == ("0.155625", "0.31125")
    book = Path(__file__).resolve().parents[2] / "vectors" / "book.json"
    _, (other,), _ = price([FLEX], monkeypatch, capsys, "--book", str(book))
    assert other["price_book"] != file["price_book"].partition("+")[0]
    for option in ("--book", "--overrides"):
        assert main(["price", option, str(tmp_path / "none")]) == 2
        assert "none: cannot be read: No such file" in capsys.readouterr().err


def test_a_hundred_thousand_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_bytes((LINE + b"\n") * 100_000)
    assert main(["price", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 100_000
    assert (json.loads(lines[-1])["line"], json.loads(lines[-1])["total"]) == (100_000, "0.31125")


def test_an_overlay_in_yaml(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    overlay = tmp_path / "own.yaml"
    overlay.write_text('models:\n- {p: vllm, id: mine, rows: [{usd_per_million: {input: "2"}}]}\n', encoding="utf-8")
    line = {"provider": "vllm", "model": "mine", "units": {"input": 1000}}
    code, (answer,), _ = price([line], monkeypatch, capsys, "--overrides", str(overlay))
    assert (code, answer["total"]) == (0, "0.002")
