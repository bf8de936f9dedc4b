"""What people copy runs as it is: the example, every block of the README, every relative link."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_tokenomics.cli.main import main
from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.demo.receiver import LocalReceiver
from otel_tokenomics.report.otlp_files import read_spans

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAM = ROOT / "examples" / "quickstart" / "quickstart.py"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_quickstart_prints_a_priced_and_tagged_span() -> None:
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    text, _, last = done.stdout.rpartition("}\n")
    span = json.loads(text + "}")["attributes"]
    # 10 tokens in at $2.50 and 6 out at $15 per million
    tokens = span["gen_ai.usage.input_tokens"], span["gen_ai.usage.output_tokens"]
    assert span["tokenomics.cost.total"] == (tokens[0] * 2_500_000 + tokens[1] * 15_000_000) / 10**12
    assert (span["tokenomics.tag.team"], span["tokenomics.tag.customer"]) == ("search", "acme")
    assert last.startswith("priced: ")


@pytest.fixture
def service() -> Iterator[dict[str, str]]:
    """The environment of a program whose provider is local."""
    with LocalProvider() as provider:
        yield {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPENAI_"))},
            "OPENAI_BASE_URL": provider.base_url_openai,
            "OPENAI_API_KEY": "none-needed",
            "OTEL_TOKENOMICS_ENDPOINTS": ",".join(provider.endpoints),
        }


def test_the_five_lines_of_the_readme_run_and_their_span_arrives(service: dict[str, str], tmp_path: Path) -> None:
    (code,) = blocks("python")
    (tmp_path / "app.py").write_text(code, encoding="utf-8")
    (export,) = [block for block in blocks("sh") if block.startswith("export ")]
    with LocalReceiver(tmp_path / "received") as receiver:
        script = export.replace("http://127.0.0.1:4318", receiver.endpoint).replace("python app.py", '"$0" app.py')
        done = subprocess.run(
            ["/bin/sh", "-ec", script, sys.executable],
            cwd=tmp_path, env=service, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    # One token in at $2.50, six out at $15 per million.
    assert "status='priced'" in done.stdout
    assert "total=92500000" in done.stdout
    (span,) = read_spans(tmp_path / "received")
    assert span.resource["service.name"] == "shop"
    assert span.attributes["tokenomics.cost.total"] == 0.0000925
    assert span.attributes["tokenomics.tag.feature"] == "summarise"


def test_the_commands_of_the_readme_run_as_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("examples", "README.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
    ours = [words[1:] for words in commands if words[:1] == ["otel-tokenomics"]]
    assert {words[0] for words in ours} == {"doctor", "price", "explain", "models", "demo", "trace", "book"}
    for words in ours:
        assert main(words) == 0, capsys.readouterr().err
    assert "trace " in capsys.readouterr().out


def test_the_lines_to_price_are_what_they_look_like(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["price", str(ROOT / "examples" / "price" / "usage.jsonl")]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    # 200 x $2.50 + 1000 x $0.25 + 80 x $15 per million; a million at $1 and a tenth of one at $5, by the batch;
    # at flex 1000 x $1.25 + 100 x $7.50 per million, and two searches at $0.01
    assert [(answer["id"], answer["status"], answer["total"]) for answer in answers] == [
        ("chat", "priced", "0.00195"),
        ("batch", "priced", "1.5"),
        ("unknown", "unpriced", None),
        ("answer", "priced", "0.022"),
    ]


def test_the_overlay_of_the_readme_gives_discount_and_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (overlay,) = blocks("json")
    file = tmp_path / "contract.json"
    file.write_text(overlay, encoding="utf-8")
    common = [
        "--usage",
        '{"prompt_tokens": 1000000}',
        "--at",
        "2026-11-22T10:00:00Z",
        "--json",
        "--overrides",
        str(file),
    ]
    assert main(["explain", "--provider", "openai", "--model", "gpt-5.4-mini", *common]) == 0
    # Nine tenths of $0.75
    assert json.loads(capsys.readouterr().out)["total"] == "0.675"
    assert main(["explain", "--provider", "azure.ai.openai", "--model", "my-prod-deployment", *common]) == 0
    named = json.loads(capsys.readouterr().out)
    assert (named["status"], named["model"], named["match"]) == ("priced", "gpt-5.4", "alias")


@pytest.mark.parametrize(
    "page", [p for p in ROOT.rglob("*.md") if not {".venv", ".venvs", ".stamps", "build"} & set(p.parts)], ids=str
)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_name_in_the_readme_stands_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference" / "names.md").read_text(encoding="utf-8")
    quoted = set(re.findall(r"`((?:tokenomics|gen_ai)\.[a-z_.]+|OTEL_TOKENOMICS_[A-Z_]+)", README))
    assert len(quoted) > 12
    named = {name.removeprefix("OTEL_TOKENOMICS_").lower() if name.isupper() else name for name in quoted}
    assert [name for name in sorted(named) if name not in reference] == []
