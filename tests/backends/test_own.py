"""No backend: the collector's file and the command `trace`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from distribution import PAGES, check, collector
from recorded import Sent, fresh
from servers import wait_for

from otel_tokenomics.cli.main import main

PAGE: Final = (PAGES / "own.md").read_text(encoding="utf-8")

Json = dict[str, Any]


class Left(NamedTuple):
    file: Path
    sent: tuple[Sent, ...]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("own")
    file = folder / "traces.jsonl"
    with collector("own", folder, {"exporters": {"file/spans": {"path": str(file)}}}) as through:
        sent = (fresh(60), fresh())
        for one in sent:
            through.send(one)
    # The exporter writes when it is stopped, at the latest.
    wait_for(lambda: all(one.trace in file.read_text(encoding="utf-8") for one in sent), "the file")
    return Left(file, sent)


def _told(file: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Json]:
    assert main(["trace", str(file), "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_cost_and_every_total_in_exact_decimals(left: Left, capsys: pytest.CaptureFixture[str]) -> None:
    told = {trace["trace_id"]: trace for trace in _told(left.file, capsys)}
    assert set(told) == {sent.trace for sent in left.sent}
    for sent in left.sent:
        trace = told[sent.trace]
        spans = {span["span_id"]: span for span in trace["spans"]}
        check(sent, {span: one["attributes"] for span, one in spans.items()})
        assert (Decimal(trace["total"]), trace["unpriced_calls"]) == (sent.total, len(sent.unpriced))
        own = {span: Decimal(one["own"]) for span, one in spans.items() if one["own"] is not None}
        assert own == {call.span: call.cost for call in sent.calls if call.cost is not None}
        for span, one in spans.items():
            assert Decimal(one["inclusive"]) == sent.subtree(span)


def test_what_was_sent_twice_counts_once(left: Left, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = tmp_path / "twice.jsonl"
    twice.write_bytes(2 * left.file.read_bytes())
    assert _told(twice, capsys) == _told(left.file, capsys)


def test_the_tree_of_its_page(left: Left, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["trace", str(left.file), "--last"]) == 0
    shown = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    printed = re.search(r"^```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert printed
    assert shown[0].startswith(f"trace {left.sent[1].trace[:8]} ")
    # The id is another one each time.
    assert [shown[0][14:], *shown[1:]] == [line[14 * (not n) :] for n, line in enumerate(printed[1].splitlines())]


def test_the_lines_of_its_page_sum_by_team(left: Left, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "traces.json").write_text(json.dumps(_told(left.file, capsys)), encoding="utf-8")
    lines = re.search(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert lines
    done = subprocess.run(
        [sys.executable, "-c", lines[1]], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    one = left.sent[0]
    assert {team: Decimal(words[1]) for team, words in told.items() if team != "-"} == {
        team: 2 * usd for team, usd in one.by("team").items()
    }
    assert told["support"][3] == str(2 * len(one.unpriced))
