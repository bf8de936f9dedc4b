"""What the run found, for the option ``--verdicts``: one JSON line for each framework, neighbour and order."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Generator
from typing import Any

import pytest
from framework_table import CLIENTS, LEFT_OUT

#: (framework, neighbour, order) -> the names of the tests that failed
_seen: dict[tuple[str, str, str], list[str]] = {}


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("home"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any]:
    outcome = yield
    report = outcome.get_result()
    given = getattr(getattr(item, "callspec", None), "params", {})
    if "row" in given and not report.skipped and (report.when == "call" or report.failed):
        row = given["row"]
        failed = _seen.setdefault((row.framework, row.neighbour, given.get("order", "ours first")), [])
        if report.failed:
            failed.append(item.function.__name__)  # type: ignore[attr-defined]


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--verdicts")
    if path is None:
        return
    ran = {framework for framework, _, _ in _seen}
    lines = [
        _line(CLIENTS[framework], neighbour, order, "fail" if failed else "pass", ", ".join(sorted(failed)))
        for (framework, neighbour, order), failed in sorted(_seen.items())
    ]
    lines += [
        _line(CLIENTS[framework], neighbour, "", "excluded", reason, ending)
        for (framework, neighbour, ending), reason in LEFT_OUT.items()
        if framework in ran
    ]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def _line(
    client: tuple[str, str], neighbour: str, order: str, verdict: str, reason: str, ending: str = "completed"
) -> dict[str, str]:
    name, style = client
    return {
        "suite": "frameworks", "client": name, "version": importlib.metadata.version(name), "style": style,
        "ending": ending, "neighbour": neighbour, "order": "" if neighbour == "alone" else order,
        "verdict": verdict, "reason": reason,
    }  # fmt: skip
