"""Rules of every test: no network but loopback, no settings from the developer's environment."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics import pricebook_source

_MANY = 50_000
_file: Path | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the verdicts of the conformance matrix be written down, for its page."""
    parser.addoption("--verdicts", type=Path, help="file to which each cell's verdict is added, one JSON line each")


def pytest_configure(config: pytest.Config) -> None:
    """Remember where verdicts go: a report does not know the options."""
    global _file
    _file = config.getoption("--verdicts")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # A shell makes what it starts in the background ignore interrupts, and so what is started from here.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write the verdict of each cell that a test named by the property ``cell``."""
    cells = [value for name, value in report.user_properties if name == "cell"]
    if _file is None or not cells or report.when != "call":
        return
    reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
    verdict = {"passed": "pass", "failed": "fail", "skipped": "excluded"}[report.outcome]
    with _file.open("a") as file:
        for cell in cells:
            file.write(json.dumps({"verdict": verdict, "reason": reason, **cell}) + "\n")


def pytest_collection_finish() -> None:
    """Leave what is imported out of later collections: dropped streams are waited for by hundreds of them."""
    pricebook_source.current()
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Collect what was frozen in the middle of a test, which had its own filters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.unfreeze()
        gc.collect()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Collect what a test leaves open while its own filters stand: a later test would be blamed for it."""
    result = yield
    if item.get_closest_marker("filterwarnings"):
        gc.collect()
        if len(gc.get_objects(generation=2)) > _MANY:
            gc.freeze()  # libraries build much of themselves at their first use
    return result


_LOOPBACK = ("127.", "::1", "localhost")


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(_LOOPBACK):
            raise AssertionError(f"a test tried to reach {address[0]}: only loopback is allowed")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in list(os.environ):
        if name.startswith("OTEL_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
