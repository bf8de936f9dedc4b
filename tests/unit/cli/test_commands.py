"""The other commands: help for each, JSON for each, errors that say what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from otel_tokenomics.cli.main import COMMANDS, main, reference

ROOT = Path(__file__).resolve().parents[3]
USAGE = '{"prompt_tokens": 1000, "completion_tokens": 100}'


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([command, "-h"])
    assert done.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_the_reference_page_is_fresh() -> None:
    assert (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8") == reference()


def test_explain_says_which_row_and_why_not_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["explain", "--provider", "openai", "--model", "gpt-5.4-2026-03-05", "--usage", USAGE]
    assert main([*arguments, "--at", "2026-11-22T10:00:00Z", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    # 1000 x $2.50/M + 100 x $15/M
    assert answer["total"] == "0.004"
    rows = answer["explanation"]["rows"]
    assert [row["why"] for row in rows if row["taken"]] == ["in force"]
    assert any("service_tier=flex" in row["why"] for row in rows if not row["taken"])


def test_explain_a_miss(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--provider", "openai", "--model", "gpt-4o-my-own", "--usage", USAGE]) == 0
    out = capsys.readouterr().out
    assert "unpriced" in out
    assert "no step of the resolution finds the id" in out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["explain"], "nothing to explain"),
        (["explain", "--usage", "{"], "--usage"),
        (["models", "--provider", "nobody"], "nobody"),
        (["models", "--at", "noon"], "--at"),
        (["trace", "no-such-file"], "no such file"),
        (["demo", "--collector", "no-such-binary"], "make collector"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert part in error
    assert error.count("\n") == 1


def test_models_lists_rates_in_force(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "gpt-5.6-sol", "--provider", "openai", "--at", "2026-08-20T00:00:00Z", "--json"]) == 0
    before = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (before["usd_per_million"]["input"], before["usd_per_million"]["output"]) == ("5", "30")
    assert main(["models", "gpt-5.6-sol", "--provider", "openai"]) == 0
    assert "openai/gpt-5.6-sol" in capsys.readouterr().out


def test_doctor_reports_clients_and_strangers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TOKENOMICS_PRISE", "1")
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert set(report["libraries"]) == {"openai", "anthropic"}
    assert any("OTEL_TOKENOMICS_PRISE" in problem for problem in report["problems"])
    monkeypatch.delenv("OTEL_TOKENOMICS_PRISE")
    assert main(["doctor"]) == 0
    assert "otel-tokenomics@" in capsys.readouterr().out


def test_a_command_without_rich_says_how_to_install_it() -> None:
    script = (
        "import sys; sys.modules['rich'] = None; sys.modules['rich.console'] = None\n"
        "from otel_tokenomics.cli.main import main\n"
        f"code = main(['explain', '--provider', 'openai', '--model', 'gpt-5.4', '--usage', '{USAGE}'])\n"
        f"json_code = main(['explain', '--provider', 'openai', '--model', 'gpt-5.4', '--usage', '{USAGE}', '--json'])\n"
        "sys.exit(code * 10 + json_code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 20, done.stderr
    assert "pip install 'otel-tokenomics[cli]'" in done.stderr


def test_the_command_line_imports_no_client() -> None:
    script = (
        "import sys\nfrom otel_tokenomics.cli.main import main\n"
        "main(['models', 'gpt-5.4', '--json'])\n"
        "sys.exit('openai' in sys.modules or 'anthropic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0
