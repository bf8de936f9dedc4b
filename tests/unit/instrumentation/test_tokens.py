"""Token estimates: exact with an encoding that is on disk, coarse without, and never over the network."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics import tokens


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_loaded", {})
    monkeypatch.setattr(tokens, "_loader", None)
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)


@pytest.mark.parametrize(("text", "expected"), [("", 0), ("abc", 1), ("abcd", 1), ("abcde", 2)])
def test_without_an_encoding_four_characters_are_a_token(text: str, expected: int) -> None:
    assert tokens.estimate_tokens("gpt-5.4", text) == expected


def test_nothing_is_loaded_where_no_file_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert tokens.load_in_background() is None


def test_a_damaged_file_leaves_the_coarse_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tokens._FILES.values():
        (tmp_path / name).write_bytes(b"damaged")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("tiktoken.load.read_file", lambda _address: (_ for _ in ()).throw(OSError("no network")))
    loader = tokens.load_in_background()
    assert loader is not None
    loader.join(10)
    assert tokens.estimate_tokens("gpt-5.4", "abcde") == 2


def test_an_encoding_on_disk_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = b"".join(base64.b64encode(bytes([byte])) + b" %d\n" % byte for byte in range(256))
    (tmp_path / tokens._FILES["o200k_base"]).write_bytes(ranks)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    made = hashlib.sha256(ranks).hexdigest()
    monkeypatch.setattr("tiktoken.load.check_hash", lambda data, _expected: hashlib.sha256(data).hexdigest() == made)
    monkeypatch.setattr("tiktoken.registry.ENCODINGS", {})
    loader = tokens.load_in_background()
    assert loader is not None
    loader.join(10)
    assert tokens.estimate_tokens("gpt-5.4", "abcde") == 5  # one token per byte
    assert tokens.estimate_tokens("claude-sonnet-5-5", "abcde") == 2


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-5.4-mini", "o200k_base"),
        ("ft:gpt-4.1:acme::1", "o200k_base"),
        ("openai/gpt-4o", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("gpt-6", None),
        ("claude-sonnet-5-5", None),
        ("my-deployment", None),
    ],
)
def test_only_a_model_that_is_known_has_an_encoding(model: str, encoding: Any) -> None:
    assert tokens._encoding_of(model) == encoding
