"""The main job, as a newcomer runs it: the real clients, the tree, the table, and totals that agree."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
COLLECTOR = ROOT / "collector" / "distribution" / "build" / "otelcol-tokenomics"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """One run of the demo: where its files are, and what it said."""
    out, said = tmp_path_factory.mktemp("demo"), io.StringIO()
    with redirect_stdout(said):
        assert main(["demo", "--out", str(out), "--json"]) == 0
    return out, json.loads(said.getvalue())


@pytest.fixture
def out(run: tuple[Path, dict[str, Any]]) -> Path:
    return run[0]


def test_tree_and_metric_totals_agree(run: tuple[Path, dict[str, Any]]) -> None:
    answer = run[1]
    assert answer["checks"] == {"tree total = metric total": True}
    # three answers with one unknown model each, and one abandoned stream
    assert answer["unpriced_calls"] == 4
    # root, then per customer: agent, retrieval, embeddings, plan, tool, check, reply, summary; and the suggestion
    assert answer["spans"] == 1 + 3 * 8 + 1
    # embeddings $0.02/M; gpt-5.4 $2.5 and $15; gpt-5.4-mini $0.75 and $4.5; claude-sonnet-5-5 $2 and $10 per million
    tokens = [(1980, 630, 1560), (2130, 780, 1710), (2130, 780, 1710)]
    micro = sum(
        0.02 * embedded + 2.5 * planned + 15 * 720 + 0.75 * asked + 4.5 * 720 + 2 * asked + 10 * 720
        for embedded, planned, asked in tokens
    )
    assert float(answer["tree_total"]) == pytest.approx(micro / 1e6, abs=1e-12)


def test_spans_price_the_same_from_their_attributes_alone(
    run: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["book", "diff", "embedded", "embedded", "--spans", str(run[0] / "sdk"), "--json"]) == 0
    total = json.loads(capsys.readouterr().out)["total"]
    assert (total["old"], total["new"]) == (run[1]["tree_total"], run[1]["tree_total"])
    assert total["unpriced_calls"] == {"old": 4, "new": 4}
    assert main(["book", "unpriced", str(run[0] / "sdk"), "--json"]) == 0
    gaps = json.loads(capsys.readouterr().out)["gaps"]
    assert [(gap["calls"], gap["reason"]) for gap in gaps] == [(3, "unknown_model"), (1, "no_usage")]


@pytest.mark.parametrize("columns", [80, 126])
def test_the_terminal_shows_what_matters(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, out: Path
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["trace", str(out / "sdk")]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= columns
    words = ["invoke_agent support", "unpriced", "unknown_model", "no_usage abandoned", "inclusive", "$0.083"]
    words += ["team=search customer=acme", "product=support-assistant", "feature=suggest", "claude-sonnet-5-5"]
    for word in words:
        assert word in text
    assert "…" not in text


def masked(text: str) -> list[str]:
    """Return the lines of an output without what no two runs share."""
    return [re.sub(r"^trace [0-9a-f]{8} ", "trace ID ", line.rstrip()) for line in text.splitlines()]


def test_the_picture_in_the_readme_is_what_the_demo_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    # A shell behind a proxy, with settings of its own: the demo is neither stopped nor changed by them.
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICE", "false")
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-user")
    assert main(["demo"]) == 0
    answer = capsys.readouterr()
    printed = masked(answer.out)
    assert answer.err.startswith("==> support assistant on openai ")
    picture = masked((ROOT / "README.md").read_text(encoding="utf-8").split("```\n")[1])
    # What stands between two lines with an ellipsis is one piece of the output; the pieces follow each other.
    pieces = "\n".join(picture).split("\n")
    at = 0
    for number, line in enumerate(pieces):
        if line.strip(" │") == "…":
            continue
        follows = number > 0 and pieces[number - 1].strip(" │") != "…"
        found = at if follows or number == 0 else printed.index(line, at)
        assert printed[found] == line
        at = found + 1
    assert at == len(printed)


def test_a_second_run_into_the_same_folder_is_one_run(
    run: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, first = run
    assert main(["demo", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first


def test_the_table_of_owners_adds_up(run: tuple[Path, dict[str, Any]]) -> None:
    first = run[1]
    owners = {(row["team"], row["customer"], row["model"]): row for row in first["owners"]}
    assert len(owners) == 3 * 5
    # The abandoned stream is a call of initech's gpt-5.4 that nobody can price; embeddings cost $0.02 per million.
    assert (owners["support", "initech", "gpt-5.4"]["calls"], owners["support", "initech", "gpt-5.4"]["unpriced"]) == (
        2,
        1,
    )
    assert owners["search", "acme", "text-embedding-3-small"]["cost"] == "0.0000396"
    assert sum(Decimal(row["cost"]) for row in first["owners"]) == Decimal(first["tree_total"])
    assert sum(row["calls"] for row in first["owners"]) == first["calls"] == 16


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["demo", "--out", str(tmp_path / "file")]) == 2
    error = capsys.readouterr().err
    assert error == f"otel-tokenomics demo: --out {tmp_path / 'file' / 'sdk'}: cannot be written: Not a directory\n"


def test_an_interrupt_ends_the_application_too(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "otel_tokenomics.cli.main", "demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stderr is not None
        process.stderr.readline()
        # As a terminal does it: to every process of the group.
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr.read() == "otel-tokenomics demo: interrupted\n"
        assert process.wait(10) == 130
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_the_content_leaves(out: Path) -> None:
    written = (out / "sdk" / "traces.otlp").read_bytes() + (out / "sdk" / "metrics.otlp").read_bytes()
    for content in (b"parcel", b"charged twice", b"Done.", b"word ", b"none-needed"):
        assert content not in written


@pytest.mark.collector
def test_the_collector_prices_to_the_pico_dollar(capsys: pytest.CaptureFixture[str]) -> None:
    assert COLLECTOR.is_file(), "build it first: make collector"
    assert main(["demo", "--collector", str(COLLECTOR), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["collector_total"] == answer["tree_total"] == answer["metric_total"]
    assert answer["collector_spans"] == answer["spans"]


OWN = """
import signal, sys, threading, openai
import otel_tokenomics as tk
tk.instrument()
with tk.tags(team="search"):
    openai.OpenAI().responses.create(model="gpt-5.4-mini", input="canary-41")
try:
    print("from the program", flush=True)
    if sys.argv[1:] == ["wait"]:
        threading.Event().wait(60)
except KeyboardInterrupt:
    pass
raise SystemExit(3)
"""


def test_a_program_of_ones_own_is_run_in_place_of_the_application(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the shell says of a real provider and a real backend has no part in it.
    for name in ("OPENAI_BASE_URL", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TOKENOMICS_ENDPOINTS"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "own.py").write_text(OWN)
    assert main(["demo", "--out", str(tmp_path / "out"), "--json", sys.executable, str(tmp_path / "own.py")]) == 3
    said = capfd.readouterr()
    answer = json.loads(said.out)
    assert "from the program" in said.err
    # A quarter of eleven characters in at $0.75, three chunks of two tokens out at $4.50 per million; 120 times as many
    expected = (330 * Decimal("0.75") + 720 * Decimal("4.5")) / 10**6
    assert Decimal(answer["tree_total"]) == Decimal(answer["metric_total"]) == expected
    assert (answer["calls"], answer["billed_responses"], answer["owners"][0]["team"]) == (1, 1, "search")
    assert b"canary-41" not in (tmp_path / "out" / "sdk" / "traces.otlp").read_bytes()


def test_a_program_that_serves_is_ended_by_an_interrupt_and_its_costs_are_shown(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    process = subprocess.Popen(
        [sys.executable, "-m", "otel_tokenomics.cli.main", "demo", sys.executable, str(tmp_path / "own.py"), "wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "from the program\n"
        os.killpg(process.pid, signal.SIGINT)
        said = process.stdout.read()
        assert process.wait(20) == 3
    assert "team=search" in said
    assert "0 of 1 calls are unpriced; the local provider billed 1 responses" in said


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["no-such-program", "-x"], "no-such-program: cannot be run: No such file or directory"),
        (["--collector", "x", "ls"], "--collector runs the demo's own application: leave out either it or the command"),
    ],
)
def test_a_command_that_cannot_be_run_is_one_line(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *arguments]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"otel-tokenomics demo: {error}"


def test_a_command_that_exports_nothing_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", sys.executable, "-c", "pass"]) == 0
    assert capfd.readouterr().out.splitlines()[-3] == "0 of 0 calls are unpriced; the local provider billed 0 responses"
