"""The instrumentor classes: one per entry point, and each can be shut by its name."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import pytest

import otel_tokenomics as tk
from otel_tokenomics.instrumentation.engine import allowed_libraries


@pytest.fixture(autouse=True)
def nothing_left_patched() -> Iterator[None]:
    yield
    for door in doors().values():
        if door.is_instrumented_by_opentelemetry:
            door.uninstrument()
    tk.uninstrument()


def doors() -> dict[str, Any]:
    found = entry_points(group="opentelemetry_instrumentor")
    return {entry.name: entry.load()() for entry in found if entry.name.startswith("tokenomics")}


def opened(disabled: str, monkeypatch: pytest.MonkeyPatch, *order: str) -> list[str]:
    """Do what the loader does: every door but the disabled ones, in an order that is not ours."""
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", disabled)
    names = [name.strip() for name in disabled.split(",")]
    for name in order:
        if name not in names:
            doors()[name].instrument(skip_dep_check=True)
    return sorted(tk.status().get("libraries", {}))


EVERY = sorted(allowed_libraries(("*",)))
ORDERS = [
    ("tokenomics", "tokenomics_openai", "tokenomics_anthropic"),
    ("tokenomics_anthropic", "tokenomics_openai", "tokenomics"),
]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("disabled", "libraries"),
    [
        ("", EVERY),
        ("tokenomics_openai", [name for name in EVERY if name != "openai"]),
        ("openai, tokenomics_anthropic", [name for name in EVERY if name != "anthropic"]),
        ("tokenomics", []),
    ],
)
def test_a_door_is_shut_by_its_name(
    disabled: str,
    libraries: list[str],
    order: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert opened(disabled, monkeypatch, *order) == libraries
    assert not caplog.records  # two doors that were one object would say "already instrumented"


@pytest.mark.parametrize("name", EVERY)
def test_each_client_has_its_own_door_and_its_own_lock(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened("tokenomics_nobody", monkeypatch, f"tokenomics_{name}") == [name]
    doors()[f"tokenomics_{name}"].uninstrument()
    assert opened(f"tokenomics_{name}", monkeypatch, *sorted(doors())) == [one for one in EVERY if one != name]


def test_no_door_bears_the_name_of_a_library() -> None:
    found = entry_points(group="opentelemetry_instrumentor")
    ours = {entry.name for entry in found if entry.value.startswith("otel_tokenomics")}
    assert ours == {"tokenomics", *(f"tokenomics_{name}" for name in EVERY)}
    assert len({id(door) for door in doors().values()}) == len(EVERY) + 1
