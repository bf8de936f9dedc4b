"""The command `book`: which book is in use, whether a file is one, what changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.cli.main import main
from otel_tokenomics.pricing import load_embedded

VECTORS = Path(__file__).parents[2] / "vectors"
FROZEN: dict[str, Any] = json.loads((VECTORS / "book.json").read_text(encoding="utf-8"))


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert main(["book", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def written(folder: Path, name: str, content: Any) -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def model(book: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in book["models"] if one["id"] == name)


@pytest.fixture
def in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The frozen book is the one in use."""
    path = written(tmp_path, "in-use.json", FROZEN)
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_URL", Path(path).as_uri())
    return path


def test_show_says_what_spans_will_say(
    in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay = written(tmp_path, "own.json", {"discounts": [{"p": "openai", "ratio": [9, 10]}]})
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_OVERRIDES", overlay)
    shown = told(capsys, "show")
    digest = hashlib.sha256(Path(overlay).read_bytes()).hexdigest()[:8]
    assert shown["price_book"] == f"vectors@2026.11.22+{digest}"
    assert (shown["from"], shown["overlay"]) == (in_use, overlay)
    assert shown["sha256"] == hashlib.sha256(Path(in_use).read_bytes()).hexdigest()
    assert shown["models"] == len(FROZEN["models"])


def test_show_of_the_embedded_book_and_of_a_file(in_use: str, capsys: pytest.CaptureFixture[str]) -> None:
    embedded = told(capsys, "show", "embedded")
    assert embedded["price_book"] == load_embedded().id
    assert embedded["from"].startswith("embedded in otel-tokenomics ")
    assert [one["name"] for one in embedded["sources"]] == ["genai-prices", "litellm"]
    assert told(capsys, "show", in_use)["price_book"] == "vectors@2026.11.22"
    assert main(["book", "show", in_use]) == 0
    assert capsys.readouterr().out.startswith("book      vectors@2026.11.22\nfrom      ")


def test_json_before_and_after_the_command_below(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--json", "show"], ["show", "--json"]):
        assert main(["book", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["price_book"]


def test_check_names_file_and_line_of_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = written(tmp_path, "own.json", '{"discounts": [\n{"p": "opnai", "ratio": [1, 2]},\n{"p": "openai"}\n]}')
    assert main(["book", "check", name]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"{name}:2: discounts[0].p: unknown provider 'opnai'",
        f"{name}:3: discounts[1].ratio: must be a list",
        f"otel-tokenomics book: {name}: refused as overlay, 2 problems",
    ]
    assert [one["line"] for one in told(capsys, "check", name, code=2)["problems"]] == [2, 3]


def test_check_shows_what_an_overlay_changes(in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overlay = {
        "models": [
            {"p": "openai", "id": "gpt-5.4", "rows": [{"usd_per_million": {"input": "2", "output": "15"}}]},
            {"p": "openai", "id": "gpt-54", "rows": [{"usd_per_million": {"input": "2"}}]},
            {"p": "vllm", "id": "meta-llama/x", "rows": [{"rates": {"input": 20000}}]},
        ],
        "discounts": [
            {"p": "openai", "match": "gpt-5.4", "ratio": [9, 10], "units": ["input"]},
            {"p": "openai", "match": "gtp-*", "ratio": [9, 10]},
        ],
        "aliases": {"azure.ai.openai": {"prod": {"model": "gpt-5", "deployment_type": "datazone-eu"}, "old": "gpt-0"}},
        "static": [{"name": "lease", "usd": "1"}],
    }
    name = written(tmp_path, "own.json", overlay)
    shown = told(capsys, "check", name)
    first, second, third = shown["changes"]
    # The book: input 2.50, cache_read 0.25, output 15 per million, a tier above 272,000, searches at $10 a thousand.
    rates = {one["unit"]: (one["old_pico"], one["new_pico"]) for one in first["rows"][0]["rates"]}
    assert rates["input"] == ("2500000", "2000000")
    assert rates["cache_read"] == ("250000", "2000000")
    assert "output" not in rates
    assert "cache_read" in first["rows"][0]["note"]
    assert "tier above 272000" in first["rows"][0]["note"]
    assert (second["what"], third["what"]) == ("new", "new")
    assert shown["discounts"][0] == "openai/gpt-5.4 x 9/10 on input: 1 models: gpt-5.4"
    assert shown["aliases"] == ["azure.ai.openai/prod is azure.ai.openai/gpt-5;deployment_type=datazone-eu"]
    assert [one.partition(":")[0].partition(" ")[0] for one in shown["nothing"]] == [
        "models",
        "discounts[1]",
        "aliases.azure.ai.openai.old",
    ]
    assert shown["form_alone"] == {"static": 1}
    assert main(["book", "check", name]) == 0
    out = capsys.readouterr().out
    assert "changed  openai/gpt-5.4: input 2.5 -> 2, cache_read 0.25 -> 2" in out


def test_check_of_a_next_version(in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = json.loads(json.dumps(FROZEN)) | {"version": "2026.11.29", "generated_at": "2026-11-29T05:00:00Z"}
    (row, *_) = model(book, "gpt-5.4")["rows"]
    row["rates"]["input"] = 1_250_000
    shown = told(capsys, "check", written(tmp_path, "next.json", book))
    assert (shown["kind"], shown["refused_as_next_version"]) == ("book", None)
    (change,) = shown["changes"]
    assert (change["model"], change["rows"][0]["what"]) == ("gpt-5.4", "corrected")
    assert change["rows"][0]["rates"] == [{"unit": "input", "tier": None, "old_pico": "2500000", "new_pico": "1250000"}]
    row["rates"]["input"] = 25_000_001
    shown = told(capsys, "check", written(tmp_path, "jump.json", book), code=1)
    assert "more than tenfold" in shown["refused_as_next_version"]
