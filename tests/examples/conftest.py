"""The place in which each example runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from example_run import Place, outside

from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.demo.receiver import LocalReceiver


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "received"
    with LocalProvider(calls_tools=True) as provider, LocalReceiver(folder) as receiver:
        environment = {**outside(tmp_path), **provider.environment, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
        yield Place(provider, folder, environment)
