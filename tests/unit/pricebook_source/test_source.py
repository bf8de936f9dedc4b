"""The book in use: a file that is refused never takes the place of a good one, and one warning says why."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from book_server import configured

from otel_tokenomics import pricebook_source
from otel_tokenomics.config import Settings
from otel_tokenomics.pricebook_source import PriceBookSource
from otel_tokenomics.pricing import load_embedded

VECTORS = Path(__file__).parents[2] / "vectors"
FROZEN: dict[str, Any] = json.loads((VECTORS / "book.json").read_text(encoding="utf-8"))


@pytest.fixture
def book_file(tmp_path: Path) -> Path:
    path = tmp_path / "prices with space.json"
    path.write_text(json.dumps(FROZEN), encoding="utf-8")
    return path


def settings(**values: Any) -> Settings:
    return Settings(**values)


def changed(**values: Any) -> str:
    return json.dumps({**copy.deepcopy(FROZEN), **values})


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert all(record.name == "otel_tokenomics" and record.levelno == logging.WARNING for record in caplog.records)
    return [record.getMessage() for record in caplog.records]


def test_nothing_set_is_the_embedded_book(caplog: pytest.LogCaptureFixture) -> None:
    source = PriceBookSource()
    assert source.current() is load_embedded()
    assert configured(source, settings()) is load_embedded()
    assert not warnings_of(caplog)


def test_file(book_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = PriceBookSource()
    assert configured(source, settings(pricebook_url=book_file.as_uri())).id == "vectors@2026.11.22"
    assert source.current().id == "vectors@2026.11.22"
    assert configured(source, settings()) is load_embedded()
    assert not warnings_of(caplog)


def test_digest(book_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    digest = hashlib.sha256(book_file.read_bytes()).hexdigest()
    good = settings(pricebook_url=book_file.as_uri(), pricebook_sha256=digest.upper())
    assert configured(PriceBookSource(), good).id == "vectors@2026.11.22"
    bad = settings(pricebook_url=book_file.as_uri(), pricebook_sha256="0" * 64)
    assert configured(PriceBookSource(), bad) is load_embedded()
    assert digest in warnings_of(caplog)[0]


def test_pinned_version(book_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = book_file.as_uri()
    assert (
        configured(PriceBookSource(), settings(pricebook_url=url, pricebook_version="2026.11.22")).version
        == "2026.11.22"
    )
    assert not warnings_of(caplog)
    refused = configured(PriceBookSource(), settings(pricebook_url=url, pricebook_version="2026.01.01"))
    assert refused is load_embedded()
    assert "pins 2026.01.01" in warnings_of(caplog)[0]


def test_pin_of_another_version_than_the_embedded_one_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert configured(PriceBookSource(), settings(pricebook_version="1999.01.01")) is load_embedded()
    assert "1999.01.01 is pinned" in warnings_of(caplog)[0]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("{", "line 1 column 2"),
        (changed(models=[]), "models: must be a list of at least one model, is []"),
        (changed(currency="EUR"), 'currency: must be "USD", is "EUR"'),
        (
            changed(version="2026.11.21"),
            'version: must not go back behind the book in use ("2026.11.22"), is "2026.11.21"',
        ),
        (
            changed(models=FROZEN["models"][:5]),
            "models: must be at least half as many as in the book in use (38), are 5",
        ),
    ],
)
def test_refused_file_keeps_the_last_good_book(
    book_file: Path, caplog: pytest.LogCaptureFixture, content: str, place: str
) -> None:
    source = PriceBookSource()
    first = configured(source, settings(pricebook_url=book_file.as_uri()))
    book_file.write_text(content, encoding="utf-8")
    assert configured(source, settings(pricebook_url=book_file.as_uri())) is first
    assert source.current() is first
    (message,) = warnings_of(caplog)
    assert str(book_file) in message
    assert place in message
    assert "vectors@2026.11.22 stays in use" in message


def test_an_older_book_may_be_chosen_by_another_address(
    book_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = PriceBookSource()
    source.configure(settings(pricebook_url=book_file.as_uri()))
    older = tmp_path / "older.json"
    older.write_text(changed(version="2025.01.01", generated_at="2025-01-01T00:00:00Z"), encoding="utf-8")
    assert configured(source, settings(pricebook_url=older.as_uri())).version == "2025.01.01"
    assert not warnings_of(caplog)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://user:secret@prices.example/book.json", "takes no user and no password"),
        ("https://prices.example/book.json?token=secret", "needs pricebook_sha256 or pricebook_public_key"),
        ("https:///book.json", "needs a host"),
        ("http://127.0.0.1/book.json?token=secret", "http:// is not supported, only https:// and file:///path are"),
        ("https://prices.example:port/book.json", "is no address"),
        ("/etc/prices.json", "an address without a scheme"),
        ("file://server/share/book.json", "file:// with a host is not supported"),
        ("file:///nowhere/book.json", "/nowhere/book.json: cannot be read: No such file"),
        ("file:///", "cannot be read"),
        ("file://[", "is no address"),
    ],
)
def test_addresses_that_hold_no_book(url: str, words: str, caplog: pytest.LogCaptureFixture) -> None:
    assert configured(PriceBookSource(), settings(pricebook_url=url)) is load_embedded()
    (message,) = warnings_of(caplog)
    assert words in message
    assert "secret" not in message


def test_binary_file(book_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    book_file.write_bytes(b"\xff\xfe\x00")
    assert configured(PriceBookSource(), settings(pricebook_url=book_file.as_uri())) is load_embedded()
    assert "no UTF-8" in warnings_of(caplog)[0]


OWN = {"models": [{"p": "openai", "id": "gpt-4o", "rows": [{"usd_per_million": {"input": "1.00", "output": "4"}}]}]}


def test_overrides(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(OWN), encoding="utf-8")
    source = PriceBookSource()
    book = configured(source, settings(pricebook_overrides=str(path)))
    assert book.id == f"{load_embedded().id}+{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    path.write_text('{"models": [\n{"p": "openai"}]}', encoding="utf-8")
    assert configured(source, settings(pricebook_overrides=str(path))) is book
    (message,) = warnings_of(caplog)
    assert f"{path}:2: models[0].id: must be text (not empty), is missing" in message


def test_refused_overrides_leave_the_plain_book(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    missing = str(tmp_path / "none.json")
    assert configured(PriceBookSource(), settings(pricebook_overrides=missing)) is load_embedded()
    assert missing in warnings_of(caplog)[0]


def test_overrides_in_yaml(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "models:\n- p: openai\n  id: gpt-4o\n  rows:\n"
        "  - {from: 2026-10-01T00:00:00Z, usd_per_million: {input: '1.00', output: '4'}}\n",
        encoding="utf-8",
    )
    book = configured(PriceBookSource(), settings(pricebook_overrides=str(path)))
    model = book.model("openai", "gpt-4o")
    assert model is not None
    assert model.rows[0].table.units["output"].rate == 4_000_000
    assert not warnings_of(caplog)
    path.write_text("models: [", encoding="utf-8")
    PriceBookSource().configure(settings(pricebook_overrides=str(path)))
    assert "no YAML" in warnings_of(caplog)[0]


def test_process_wide_book(book_file: Path) -> None:
    try:
        chosen = configured(pricebook_source, settings(pricebook_url=book_file.as_uri()))
        assert pricebook_source.current() is chosen
    finally:
        assert configured(pricebook_source, settings()) is load_embedded()


def test_no_book_is_read_before_the_first_price() -> None:
    program = """
import sys

opened = []
sys.addaudithook(lambda event, about: opened.append(1) if event == "open" and "pricebook.json" in str(about) else 0)
import openai
import otel_tokenomics

otel_tokenomics.instrument()
with otel_tokenomics.tags(team="search"):
    before = len(opened)
otel_tokenomics.estimate(model="gpt-5.4", input_tokens=1, max_output_tokens=1)
print(before, len(opened))
otel_tokenomics.uninstrument()
"""
    environment = {
        **os.environ,
        "OTEL_SDK_DISABLED": "false",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
    }
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["0", "1"]
