"""What every file of ``clients/`` keeps: data about a library, importable without it, tested and reachable by name."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from otel_tokenomics import clients
from otel_tokenomics.client_api import Adapter, Kind

ROOT = Path(__file__).parents[2]
NAMES = [module.name for module in pkgutil.iter_modules(clients.__path__) if not module.name.startswith("_")]

#: Where a distribution has another name than what is imported.
DISTRIBUTIONS = {"google.genai": "google-genai", "claude_agent_sdk": "claude-agent-sdk"}


@pytest.fixture(params=NAMES)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return importlib.import_module(f"otel_tokenomics.clients.{request.param}").ADAPTER


def test_there_are_adapters() -> None:
    assert {"openai", "anthropic"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_imports_without_its_library(name: str) -> None:
    program = (
        "import sys\n"
        f"import otel_tokenomics.clients.{name} as client\n"
        "library = client.ADAPTER.library\n"
        "assert client.__name__.split('.')[0] == 'otel_tokenomics' and library not in sys.modules, library\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_it_has_tests_and_an_entry_point(name: str) -> None:
    assert (ROOT / "tests" / "clients" / f"test_{name}.py").is_file()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"tokenomics_{name}" in project["entry-points"]["opentelemetry_instrumentor"]


@pytest.mark.parametrize("name", ["groq", "together", "ollama", "huggingface", "litellm"])
def test_a_client_whose_format_is_known_is_a_small_file(name: str) -> None:
    """What several clients need has a place of its own: a file that grows holds some of it."""
    file = Path(clients.__path__[0]) / f"{name}.py"
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 120


def test_its_tested_range_is_two_versions_in_order(adapter: Adapter) -> None:
    lowest, unseen = (tuple(map(int, re.findall(r"\d+", version))) for version in adapter.tested)
    assert lowest < unseen


def test_its_targets_are_distinct_and_cover_both_twins(adapter: Adapter) -> None:
    assert len({(target.module, target.attribute) for target in adapter.targets}) == len(adapter.targets)
    if adapter.callback is not None:
        # Its library reports; what is wrapped is where it begins what it may never report.
        assert {target.kind for target in adapter.targets} <= {"under_way"}
        return
    kinds = {target.kind for target in adapter.targets}
    assert kinds <= set(get_args(Kind))
    if "amessages" in kinds:  # of a program that answers alone, and is asynchronous
        assert kinds == {"aenter", "asend", "amessages", "leave"}
        return
    assert "call" in kinds or "gen" in kinds
    assert kinds & {"acall", "alater"}
    # What shows its HTTP responses is followed to the end of each of them.
    if "process" in kinds:
        assert {"aprocess", "stream", "astream", "close"} <= kinds


def test_the_oldest_environment_is_in_its_tested_range(adapter: Adapter) -> None:
    apart = adapter.library == "claude_agent_sdk"
    file = "frameworks/requirements-claude-oldest.txt" if apart else "clients/requirements-oldest.txt"
    oldest = (ROOT / "tests" / file).read_text(encoding="utf-8")
    distribution = DISTRIBUTIONS.get(adapter.library, adapter.library)
    (pinned,) = re.findall(rf"^{distribution}(?:\[.*\])?==(.+)$", oldest, re.MULTILINE)
    assert pinned.startswith(adapter.tested[0])


def test_the_readme_names_it_with_its_tested_range(adapter: Adapter) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"`{DISTRIBUTIONS.get(adapter.library, adapter.library)}`" in readme
    assert f">={adapter.tested[0]},<{adapter.tested[1]}" in readme
