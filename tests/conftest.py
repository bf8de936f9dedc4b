"""Rules of every test: no network but loopback, no settings from the developer's environment."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Generator
from typing import Any

import pytest

from otel_tokenomics import pricebook_source

_MANY = 50_000


def pytest_collection_finish() -> None:
    """Leave what is imported out of later collections: dropped streams are waited for by hundreds of them."""
    pricebook_source.current()
    gc.collect()
    gc.freeze()


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
