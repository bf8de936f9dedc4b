"""The other commands: help for each, JSON for each, errors that say what is wrong."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.cli.main import COMMANDS, main, reference
from otel_tokenomics.instrumentation.engine import allowed_libraries

ROOT = Path(__file__).resolve().parents[3]
CLIENTS = sorted(allowed_libraries(("*",)))
LIBRARIES = [importlib.import_module(f"otel_tokenomics.clients.{name}").ADAPTER.library for name in CLIENTS]
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


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(list(arguments)) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_explain_at_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    line = {"provider": "openai", "model": "gpt-5.4-2026-03-05", "timestamp": "2026-11-22T10:00:00Z"}
    line |= {"usage": {"prompt_tokens": 300_000, "completion_tokens": 80}, "facts": {"service_tier": "flex"}}
    out = lines(capsys, "explain", json.dumps(line))
    # Above 272,000 input tokens: 300000 x $2.50 + 80 x $11.25 per million
    assert out[0] == "$0.7509  priced  openai/gpt-5.4;service_tier=flex;tier=272000"
    assert out[1].startswith("call   at 2026-11-22T10:00:00Z, read with otel-tokenomics@")
    assert "tier   above 272000 input tokens" in out
    (taken,) = [text for text in out if text.startswith("->")]
    assert taken.startswith("->  service_tier=flex ")
    assert " in force " in taken
    assert any("asks for processing=batch, the call has none" in text for text in out)


def test_explain_says_which_names_were_tried_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    out = lines(capsys, "explain", "--provider", "azure.ai.openai", "--model", "my-prod[1m]", "--usage", USAGE)
    assert out[0] == "unpriced (unknown_model)"
    assert "no step of the resolution finds the id" in "".join(out)
    assert any(text.strip() == "exact: my-prod[1m] is not in the book" for text in out)
    # The overlay to write, ready but for the id: no rich markup has eaten the brackets.
    alias = "".join(out).partition("name it in an overlay: ")[2].partition("fix    ")[0]
    assert json.loads(alias) == {"aliases": {"azure.ai.openai": {"my-prod[1m]": {"model": "ID-IN-THE-BOOK"}}}}
    assert not any("USD per million" in text or "row asks for" in text for text in out)


def test_explain_of_a_server_of_ones_own_points_at_no_row_of_the_book(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--provider", "vllm", "--model", "Llama-9", "--usage", USAGE, "--json"]) == 0
    row, capacity, _ = json.loads(capsys.readouterr().out)["explanation"]["suggestions"]
    assert json.loads(row.partition("`capacity`): ")[2])["models"][0]["id"] == "llama-9"
    assert json.loads(capacity.partition("measured: ")[2])["capacity"][0]["ids"] == ["llama-9"]


def test_explain_says_who_sells_an_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--model", "gpt-5.4", "--usage", USAGE, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["reason"] == "ambiguous_model"
    (suggestion,) = answer["explanation"]["suggestions"]
    assert {"openai", "azure.ai.openai"} <= set(suggestion.partition(": ")[2].split(", "))


def test_explain_a_cost_that_the_provider_stated(capsys: pytest.CaptureFixture[str]) -> None:
    line = {"provider": "openai", "model": "gpt-5.4", "usage": json.loads(USAGE), "stated_cost": "0.005"}
    out = lines(capsys, "explain", json.dumps(line))
    # Ours: 1000 x $2.50 + 100 x $15 per million
    assert out[0].startswith("$0.005  priced")
    ours = "that is the price; ours would be $0.004 (-20.00 %); more than 1 % apart: price_conflict"
    assert f"stated by the provider: {ours}" in " ".join(out)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["explain"], "nothing to explain"),
        (["explain", "--usage", "{"], "--usage"),
        (["models", "--provider", "nobody"], "nobody"),
        (["models", "--at", "noon"], "--at"),
        (["trace", "no-such-file"], "no such file"),
        (["demo", "--collector", "no-such-binary"], "make collector"),
        (["explain", "{}", "--model", "m"], "--model: a line was given too"),
        (["explain", "--model", "m", "--at", "noon"], "--at: 'noon' is no RFC 3339 instant"),
        (["explain", "--model", "m", "--facts", "[]"], "--facts: is no JSON object but a list"),
        (["explain", '{"units": {"tokens": 1}}'], "units: unknown unit 'tokens'; units are input, "),
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


def test_models_are_found_by_words_and_never_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for search in (["openai/gpt-5.4-mini"], ["GPT-5.4", "mini"], ["5.4 mini", "openai"]):
        out = lines(capsys, "models", "--provider", "openai", *search)
        assert out[1].split()[:4] == ["openai/gpt-5.4-mini", "0.75", "0.075", "4.5"]
        assert re.match(r"\d+ models? in otel-tokenomics@", out[-1])
    monkeypatch.setenv("COLUMNS", "60")
    narrow = lines(capsys, "models", "gpt-5.4-mini-2026-03-17", "--provider", "azure.ai.openai")
    assert max(map(len, narrow[:-1])) <= 60
    cells = [text.split("  ")[0] for text in narrow[1:-2]]
    assert "".join(cells).startswith("azure.ai.openai/gpt-5.4-mini-2026-03-17")
    out = lines(capsys, "models", "gpt-9")
    assert out[0].startswith("0 models")


def test_doctor_reports_clients_and_every_wrong_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "otel-tokenomics@" in out
    assert "exporter  traces: otlp, http/protobuf, http://localhost:4318" in out
    overlay = tmp_path / "own.json"
    overlay.write_text('{"colour": 1}')
    wrong = {
        "PRISE": "1",
        "SEMCONV": "9",
        "PRICEBOOK_OVERRIDES": str(overlay),
        "CONFIG_FILE": str(tmp_path / "none"),
        "CREDENTIAL_SALT": "hush-salt",
        "PRICEBOOK_URL": "https://u:hush-book@books.example/b.json?sig=hush-signature",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(f"OTEL_TOKENOMICS_{name}", value)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hush-password@h.example:4318/x?key=hush-query")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hush-header,x-team = a")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m.example")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc")
    assert main(["doctor", "--json"]) == 1
    answer = capsys.readouterr()
    report = json.loads(answer.out)
    assert set(report["libraries"]) == set(CLIENTS)
    for part in ("OTEL_TOKENOMICS_PRISE", "'semconv' has value '9'", "own.json", "cannot be read"):
        assert sum(part in problem for problem in report["problems"]) == 1, part
    assert report["exporter"]["traces"] == {
        "exporter": "otlp",
        "protocol": "http/protobuf",
        "endpoint": "http://***@h.example:4318/x?***",
        "headers": "authorization, x-team",
    }
    assert (report["exporter"]["metrics"]["endpoint"], report["exporter"]["metrics"]["protocol"]) == (
        "http://m.example",
        "grpc",
    )
    assert report["settings"]["credential_salt"] == "***"
    # Said once, in the report; no secret anywhere.
    assert answer.err == ""
    assert main(["doctor"]) == 1
    assert "hush" not in answer.out + capsys.readouterr().out


def report_of(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["doctor", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_doctor_imports_each_client_and_says_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    code, report = report_of(capsys)
    assert (code, report["problems"]) == (0, [])
    for client, facts in report["libraries"].items():
        assert facts["found"] in ("imported", "not installed"), client
        if facts["found"] == "not installed":
            continue
        assert facts["in_tested_range"], client
        assert set(facts["targets"].values()) <= {"patched", "registered", "absent"}, client
        assert {"patched", "registered"} & set(facts["targets"].values()), client
    # Everything was taken back.
    import openai

    assert not hasattr(vars(openai._base_client.SyncAPIClient)["request"], "__wrapped__")
    assert main(["doctor"]) == 0
    shown = capsys.readouterr()
    assert f"==> importing openai {openai.__version__}" in shown.err
    (line,) = [line for line in shown.out.splitlines() if line.startswith("openai ")]
    assert line.split()[1:3] == [openai.__version__, ">=1.109,<4"]
    assert "places patched" in line
    assert "cost on the client's own span where it makes one" in shown.out


def test_doctor_says_what_a_client_suffers_from(tmp_path: Path) -> None:
    (tmp_path / "groq").mkdir()
    (tmp_path / "groq" / "__init__.py").write_text("from pydantic import Nothing\n")
    script = "import sys\nfrom otel_tokenomics.cli.main import main\nsys.exit(main(['doctor', '--json']))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "OTEL_TOKENOMICS_LIBRARIES": "groq,ollama", "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    (problem,) = report["problems"]
    assert re.match(r"groq [\d.]+: cannot be imported: ImportError: cannot import name 'Nothing'", problem)
    assert set(report["libraries"]["ollama"]["targets"].values()) == {"patched"}


def test_doctor_says_where_a_client_has_moved_all_that_is_patched(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TOKENOMICS_LIBRARIES", "ollama")
    module = importlib.import_module("ollama._client")
    monkeypatch.delattr(module.Client, "_request")
    monkeypatch.delattr(module.AsyncClient, "_request")
    code, report = report_of(capsys)
    assert code == 1
    assert set(report["libraries"]["ollama"]["targets"].values()) == {"absent"}
    (problem,) = report["problems"]
    assert problem.endswith(": has none of the places that are patched: its calls are not seen")


def test_doctor_without_a_client() -> None:
    script = (
        "import sys\nfrom importlib.metadata import PackageNotFoundError\n"
        "from otel_tokenomics.instrumentation import engine\n"
        "def none(_):\n    raise PackageNotFoundError\n"
        "engine.version = none\n"
        "from otel_tokenomics.cli.main import main\ncode = main(['doctor'])\n"
        f"assert not {set(LIBRARIES)!r} & set(sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert re.search(r"^openai +- +>=1.109,<4 +not installed *$", done.stdout, re.MULTILINE)
    assert f"no client library is installed here: {', '.join(CLIENTS)}" in " ".join(done.stdout.split())


def test_doctor_says_that_no_metric_counts_what_is_priced_at_export(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "tokenomics_otlp")
    _, report = report_of(capsys)
    assert "no metric counts them" in report["exporter"]["traces"]["foreign_spans"]
    assert "foreign_spans" not in report["exporter"]["metrics"]


@pytest.mark.parametrize("command", [["models", "gpt-5.4"], ["price", "examples/price/usage.jsonl"], ["doctor"]])
def test_a_full_disk_is_one_line(command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "otel_tokenomics.cli.main", *command],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if not line.startswith("==> importing ")]
    assert (done.returncode, said) == (2, [f"otel-tokenomics {command[0]}: output: No space left on device"])


def test_the_version_and_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("otel-tokenomics 0.")
    for arguments in (["nosuch"], ["price", "--nosuch"]):
        with pytest.raises(SystemExit) as done:
            main(arguments)
        assert done.value.code == 2
        error = capsys.readouterr().err
        assert "nosuch" in error
        assert error.count("\n") == 1


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
