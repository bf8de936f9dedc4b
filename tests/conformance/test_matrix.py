"""In every client, style, ending and surrounding the spans say what the server billed; the caller sees no difference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cells import SURROUNDINGS, Cell, cells, run
from client_table import ROWS

from otel_tokenomics.demo.provider import LocalProvider

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def server() -> Iterator[LocalProvider]:
    with LocalProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    return {}


def _all() -> list[Cell]:
    found: list[Cell] = []
    for client, make in ROWS.items():
        try:
            row = make()
        except ImportError:
            continue  # test_every_adapter_has_a_row says so
        for surrounding in SURROUNDINGS:
            found += cells(client, row, surrounding)
    return found


@pytest.mark.parametrize("cell", _all(), ids="|".join)
def test_cell(cell: Cell, server: LocalProvider, rows: dict[str, Any]) -> None:
    row = rows.setdefault(cell.client, None) or rows.update({cell.client: ROWS[cell.client]()}) or rows[cell.client]
    run(server, row, cell)
