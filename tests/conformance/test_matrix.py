"""In every client, style, ending and surrounding the spans say what the server billed; the caller sees no difference."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterator

import pytest
from cells import SURROUNDINGS, Cell, cells, run
from client_table import ROWS, Row

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", autouse=True)
def no_certificates() -> Iterator[None]:
    """Thousands of clients are made here, none of which needs the certificates of the world."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ssl.SSLContext, "load_verify_locations", lambda *_args, **_named: None)
        yield


@functools.cache
def row_of(client: str) -> Row:
    return ROWS[client]()


def _all() -> list[Cell]:
    found: list[Cell] = []
    for client in ROWS:
        for surrounding in SURROUNDINGS:
            found += cells(client, row_of(client), surrounding)
    return found


@pytest.mark.parametrize("cell", _all(), ids="|".join)
def test_cell(cell: Cell) -> None:
    run(row_of(cell.client), cell)
