"""`models` finds what people mean, in the order in which they look for it, and leaves out what is not sold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.cli.main import main

BOOK = {
    "schema": "otel-tokenomics/pricebook/1",
    "id": "own",
    "version": "2026.11.01",
    "generated_at": "2026-11-01T00:00:00Z",
    "currency": "USD",
    "scale": 12,
    "sources": [],
    "providers": {
        "cloud.a": {"kind": "cloud", "names": ["a"]},
        "maker": {"kind": "first_party"},
        "gate": {"kind": "gateway"},
    },
    "models": [
        {"p": "cloud.a", "id": "maker.nano-2-5-v1:0", "class": "small", "rows": [{"rates": {"input": 2}}]},
        {"p": "gate", "id": "maker/nano-2.5", "rows": [{"rates": {"input": 3}}]},
        {
            "p": "maker",
            "id": "mega-1",
            "class": "frontier",
            "rows": [{"until": "2026-01-01T00:00:00Z", "rates": {"input": 9}}],
        },
        {
            "p": "maker",
            "id": "nano-2.5",
            "ids": ["tiny-latest", "nano-stable"],
            "class": "small",
            "rows": [{"rates": {"input": 1}}],
        },
        {"p": "maker", "id": "nano-2.5-vision", "class": "small", "rows": [{"rates": {"input": 1}}]},
        {
            "p": "maker",
            "id": "nano-1",
            "class": "small",
            "retired_at": "2026-06-01T00:00:00Z",
            "rows": [{"rates": {"input": 1}}],
        },
    ],
}


@pytest.fixture
def book(tmp_path: Path) -> str:
    path = tmp_path / "book.json"
    path.write_text(json.dumps(BOOK), encoding="utf-8")
    return str(path)


def found(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["models", *arguments, "--json"]) == 0
    return [f"{one['provider']}/{one['model']}" for one in map(json.loads, capsys.readouterr().out.splitlines())]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["models", *arguments]) == 0
    return capsys.readouterr().out


def test_the_model_itself_comes_first_then_makers_clouds_and_gateways(
    capsys: pytest.CaptureFixture[str], book: str
) -> None:
    assert found(capsys, "nano", "--book", book) == [
        "maker/nano-2.5", "maker/nano-2.5-vision", "cloud.a/maker.nano-2-5-v1:0", "gate/maker/nano-2.5",
    ]  # fmt: skip
    assert found(capsys, "maker/nano-2.5", "--book", book)[:2] == ["maker/nano-2.5", "gate/maker/nano-2.5"]
    assert found(capsys, "vision", "nano", "maker", "--book", book) == ["maker/nano-2.5-vision"]
    assert found(capsys, "2.5 NANO", "--provider", "A", "--book", book) == ["cloud.a/maker.nano-2-5-v1:0"]


def test_further_ids_are_searched_and_shown(capsys: pytest.CaptureFixture[str], book: str) -> None:
    assert found(capsys, "tiny", "--book", book) == ["maker/nano-2.5"]
    assert found(capsys, "nano-stable", "--book", book) == ["maker/nano-2.5"]
    assert "also tiny-latest, nano-stable" in said(capsys, "tiny", "--book", book)


def test_class_and_retirement(capsys: pytest.CaptureFixture[str], book: str) -> None:
    assert "maker/mega-1" not in found(capsys, "--book", book)
    assert found(capsys, "--class", "frontier", "--retired", "--book", book) == ["maker/mega-1"]
    assert found(capsys, "mega", "--at", "2025-12-31T00:00:00Z", "--book", book) == ["maker/mega-1"]
    assert found(capsys, "nano-1", "--at", "2026-05-31T23:59:59Z", "--book", book) == ["maker/nano-1"]
    assert found(capsys, "nano-1", "--at", "2026-06-01T00:00:00Z", "--book", book) == []
    out = said(capsys, "nano-1", "--at", "2026-06-01T00:00:00Z", "--book", book)
    assert "1 more not sold then: --retired shows them" in out
    assert "nearest" not in out
    assert "retired 2026-06-01" in said(capsys, "nano-1", "--at", "2026-06-01T00:00:00Z", "--retired", "--book", book)
    assert "retires 2026-06-01" in said(capsys, "nano-1", "--at", "2026-01-01T00:00:00Z", "--book", book)
    assert "nearest" not in said(capsys, "nano", "--class", "frontier", "--book", book)


def test_what_is_not_found_is_answered_with_the_nearest_names(capsys: pytest.CaptureFixture[str], book: str) -> None:
    out = said(capsys, "nanno-2.5", "--book", book)
    assert out.startswith("0 models")
    assert "  maker/nano-2.5\n" in out
    assert "nearest" not in said(capsys, "qqqqqqq", "--book", book)
    assert said(capsys, "n" * 100_000, "--book", book).startswith("0 models")
    assert "  anthropic/claude-sonnet-5\n" in said(capsys, "claud-sonet-5")


def test_a_model_of_the_overlay_is_found_by_all_its_ids(
    capsys: pytest.CaptureFixture[str], book: str, tmp_path: Path
) -> None:
    own: dict[str, Any] = {
        "providers": {"house": {"kind": "self_hosted"}},
        "models": [{"p": "house", "id": "llama", "ids": ["meta/llama"], "rows": [{"usd_per_million": {"input": "1"}}]}],
    }
    overlay = tmp_path / "own.json"
    overlay.write_text(json.dumps(own), encoding="utf-8")
    assert found(capsys, "meta llama", "--book", book, "--overrides", str(overlay)) == ["house/llama"]
    assert found(capsys, "llama", "--provider", "house", "--book", book, "--overrides", str(overlay)) == ["house/llama"]
