"""The readers against the shared vectors: one case per rule of each wire dialect, in every shape it arrives in."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from usage_samples import CASES, found_in

from otel_tokenomics.usage.dialects import read

#: Fields whose keys are names, which clients keep as a dict.
MAPS = ("connectors", "modelUsage", "models")


def as_object(value: Any) -> Any:
    """The same usage as a client's object: attributes instead of keys."""
    if isinstance(value, list):
        return [as_object(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return SimpleNamespace(**{key: inner if key in MAPS else as_object(inner) for key, inner in value.items()})


@pytest.mark.parametrize("shape", [dict, as_object], ids=["dict", "object"])
@pytest.mark.parametrize("case", CASES)
def test_usage(case: dict[str, Any], shape: Any) -> None:
    assert set(case) == {"name", "why", "provider", "api", "usage", "expect"}
    if shape is as_object and any("-" in key for key in case["usage"]):
        pytest.skip("headers are no client's object")
    assert found_in(read(case["api"], shape(case["usage"]), provider=case["provider"])) == case["expect"]


@pytest.mark.parametrize("case", CASES)
def test_the_format_is_found_where_none_is_named(case: dict[str, Any]) -> None:
    found = found_in(read(None, case["usage"], provider=case["provider"]))
    if case["name"] == "together_rerank":
        assert found["units"].pop("output") == "0"  # a chat that said nothing has the same usage
    assert found == case["expect"]


def renamed(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [renamed(inner, rename) for inner in value]
    if not isinstance(value, dict):
        return value
    return {rename(key): inner if key in MAPS else renamed(inner, rename) for key, inner in value.items()}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), name)


def camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


SPELT = [
    case
    for case in CASES
    if case.values[0]["provider"] in ("gcp.gemini", "gcp.vertex_ai")
    and case.values[0]["api"] in ("generate_content", "interactions", "embeddings", "images")
    and not case.values[0]["name"].startswith(("gemini_cli", "vertex_batch"))  # these have one spelling
]
CONVERSE = [case for case in CASES if case.values[0]["name"].startswith("converse_")]


@pytest.mark.parametrize("rename", [snake, camel])
@pytest.mark.parametrize("case", SPELT)
def test_googles_formats_in_either_spelling(case: dict[str, Any], rename: Callable[[str], str]) -> None:
    reading = read(case["api"], renamed(case["usage"], rename), provider=case["provider"])
    assert found_in(reading) == case["expect"]


@pytest.mark.parametrize("case", CONVERSE)
def test_converse_in_snake_case(case: dict[str, Any]) -> None:
    reading = read(case["api"], renamed(case["usage"], snake), provider=case["provider"])
    assert found_in(reading) == case["expect"]


def test_names_are_unique() -> None:
    names = [case.values[0]["name"] for case in CASES]
    assert len(names) == len(set(names)) > 200


def test_an_unknown_api_names_those_available() -> None:
    with pytest.raises(ValueError, match="'telepathy' is not available; available are chat, completions"):
        read("telepathy", {})
