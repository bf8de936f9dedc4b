"""``make new-client``: what it writes keeps the form that the contract tests ask of every client."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("otel_tokenomics", "tests/contract", "tests/clients", "tests/conformance")
TABLES = (
    "otel_tokenomics/_api.py",
    "pyproject.toml",
    "tests/clients/requirements-oldest.txt",
    "tests/conformance/client_table.py",
    "README.md",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "tests/conftest.py", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def write(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(copy, str(ROOT / ".ci" / "new_client.py"), "--root", str(copy), *arguments)


def contents(copy: Path) -> dict[str, str]:
    return {name: (copy / name).read_text(encoding="utf-8") for name in TABLES}


def test_what_it_writes_keeps_the_form_of_every_client(copy: Path) -> None:
    before = contents(copy)
    done = write(copy, "acme_ai", "--version", "2.3")
    assert done.returncode == 0, done.stderr
    written = [f"{copy}/otel_tokenomics/clients/acme_ai.py", f"{copy}/tests/clients/test_acme_ai.py"]
    linted = run(copy, "-m", "ruff", "check", "--no-cache", *written, *(str(copy / name) for name in TABLES[::3]))
    assert linted.returncode == 0, linted.stdout
    shaped = run(copy, "-m", "ruff", "format", "--no-cache", "--check", *written, *(str(copy / n) for n in TABLES[::3]))
    assert shaped.returncode == 0, shaped.stdout
    # The form rules themselves, on the copy, for this client; then what its own test file says.
    for arguments in (("tests/contract/test_clients.py", "-k", "acme_ai"), ("tests/clients/test_acme_ai.py",)):
        tested = run(copy, "-m", "pytest", "-q", *arguments)
        assert tested.returncode == 0, tested.stdout
        assert "passed" in tested.stdout
        assert "skipped" not in tested.stdout
    door = run(copy, "-c", "from otel_tokenomics._api import TokenomicsAcmeAiInstrumentor as D; print(D.library)")
    assert door.stdout.strip() == "acme_ai"
    for name, text in contents(copy).items():
        added = [line for line in text.splitlines() if line not in before[name].splitlines()]
        assert added
        assert set(before[name].splitlines()) <= set(text.splitlines())
    table = contents(copy)["tests/conformance/client_table.py"]
    # A row that nobody filled in fails: a client without conformance is not done.
    assert '    "acme_ai": _acme_ai,\n' in table
    assert 'raise NotImplementedError("TODO how a acme_ai client' in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("openai",), "clients/openai.py is there already"),
        (("Acme",), "is no name of a module"),
        (("import",), "is no name of a module"),
        (("../acme",), "is no name of a module"),
        (("acme", "--version", "new"), "is no version"),
    ],
)
def test_it_refuses_and_then_writes_nothing(copy: Path, arguments: tuple[str, ...], said: str) -> None:
    before = contents(copy)
    done = write(copy, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert contents(copy) == before
    assert not (copy / "otel_tokenomics" / "clients" / "acme.py").exists()


def test_the_makefile_calls_it() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "new-client: ## " in makefile
    done = subprocess.run(
        ["make", "-n", "new-client", "NAME=acme", "VERSION=1.2", f"PYTHON={sys.executable}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ".ci/new_client.py 'acme' --version '1.2'" in done.stdout
