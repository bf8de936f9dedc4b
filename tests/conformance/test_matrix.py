"""In every cell of the matrix the spans say what the server billed, and the caller sees no difference."""

from __future__ import annotations

import functools
import importlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cells import CORE, SURROUNDINGS, Cell, cells, reason, release_of, run
from client_table import ROWS
from endings import ENDINGS
from styles import Row

from otel_tokenomics import clients
from otel_tokenomics.instrumentation.engine import allowed_libraries

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


def _all() -> Iterator[Any]:
    for client in ROWS:
        for surrounding in SURROUNDINGS:
            for cell in cells(client, row_of(client), surrounding):
                marks = [pytest.mark.matrix]
                if surrounding == "alone":
                    marks += [pytest.mark.alone, *([pytest.mark.core] if cell.ending in CORE else [])]
                yield pytest.param(cell, marks=marks, id="-".join(cell))


@pytest.mark.parametrize("cell", list(_all()))
def test_cell(cell: Cell, record_property: Any) -> None:
    record_property("cell", cell._asdict() | {"version": release_of(cell.client)})
    if (why := reason(cell)) is not None:
        pytest.skip(why)
    run(row_of(cell.client), cell)


def test_at_most_one_cell_in_ten_is_excluded() -> None:
    everything = [cell for client in ROWS for cell in cells(client, row_of(client))]
    assert len([cell for cell in everything if reason(cell)]) * 10 <= len(everything)


def test_every_adapter_has_a_row() -> None:
    # The Agent SDK is no client of a provider: what it makes stands in tests/frameworks.
    assert sorted({*ROWS, "claude_agent_sdk"}) == sorted(allowed_libraries(("*",)))


def test_the_page_names_every_cell() -> None:
    """The page is made by ``make conformance``: it is old where a row, a style or an ending is missing."""
    text = (Path(__file__).parents[2] / "docs/reference/conformance.md").read_text()
    for client in ROWS:
        section = text.partition(f"## {client}\n")[2].partition("\n## ")[0]
        for name in row_of(client).styles:
            assert f"| {name} |" in section, (client, name)
    assert all(f". {ending}\n" in text for ending in ENDINGS)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_uninstrument_restores_every_attribute(name: str, watching: Any) -> None:
    row_of(name)  # every module is imported
    adapter = importlib.import_module(f"{clients.__name__}.{name}").ADAPTER

    def attributes() -> dict[str, Any]:
        found: dict[str, Any] = {}
        for target in adapter.targets:
            owner, _, attribute = target.attribute.partition(".")
            try:
                found[f"{target.module}.{target.attribute}"] = vars(
                    getattr(importlib.import_module(target.module), owner)
                )[attribute]
            except (ImportError, AttributeError, KeyError):
                continue
        return found

    before = attributes()
    watch = watching()
    during = attributes()
    assert {key for key, value in during.items() if value is not before[key]} == set(before)
    watch.engine.uninstrument()
    assert all(value is before[key] for key, value in attributes().items())
