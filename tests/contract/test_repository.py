"""Rules about the tree itself that a reader's eye misses."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("demo", "test", "lint", "bench", "generate", "check-generated", "collector", "demo-collector", "help")


def tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def readable(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def test_no_machine_path_and_no_registry_address() -> None:
    machine_path = re.compile(r"(?<![\w.~])/(?:work|root|home)/[a-z]")
    registries = ("pypi." + "org", "proxy.golang" + ".org", "registry.npmjs" + ".org", "files.pythonhosted" + ".org")
    found = [
        f"{path.relative_to(ROOT)}: {match}"
        for path in tracked()
        for match in [*machine_path.findall(readable(path)), *(host for host in registries if host in readable(path))]
    ]
    assert found == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_makefile_has_the_commands(command: str) -> None:
    assert re.search(rf"^{command}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_no_source_file_is_longer_than_five_hundred_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path in tracked()
        if path.suffix in {".py", ".go"}
        and "generated" not in path.name
        and path.name != "names.py"
        and (lines := len(readable(path).splitlines())) > 500
    ]
    assert long == []


def test_file_names_say_something() -> None:
    empty_words = re.compile(r"^(utils?|helpers?|misc|common)(\.py|\.go)?$")
    assert [
        str(path) for path in tracked() if any(empty_words.match(part) for part in path.relative_to(ROOT).parts)
    ] == []
