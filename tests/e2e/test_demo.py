"""The main job, as a newcomer runs it: the real clients, the tree, the table, and totals that agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from otel_tokenomics.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
COLLECTOR = ROOT / "collector" / "distribution" / "build" / "otelcol-tokenomics"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def test_tree_and_metric_totals_agree(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
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


def test_the_terminal_shows_what_matters(capsys: pytest.CaptureFixture[str], out: Path) -> None:
    assert main(["trace", str(out / "sdk")]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 120
    for word in (
        "invoke_agent support",
        "unpriced",
        "unknown_model",
        "abandoned",
        "search / acme",
        "inclusive",
        "$0.083",
    ):
        assert word in text
    assert "…" not in text


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
