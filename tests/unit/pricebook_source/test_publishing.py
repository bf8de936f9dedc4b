"""Keys, signatures and updates by hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from book_server import (
    PRIVATE,
    Server,
    book,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from otel_tokenomics.cli.main import main
from otel_tokenomics.pricing import load_embedded


def test_keys_sign_and_update(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, file, taken = tmp_path / "key.pem", tmp_path / "book.json", tmp_path / "taken.json"
    file.write_bytes(book())
    assert main(["book", "keys", str(key), "--json"]) == 0
    public = json.loads(capsys.readouterr().out)["public_key"]
    assert key.stat().st_mode & 0o077 == 0
    assert main(["book", "keys", str(key)]) == 2
    assert "is not overwritten" in capsys.readouterr().err
    assert main(["book", "sign", str(file), "--key", str(key), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["public_key"] == public
    server.paths = {"/book.json": file.read_bytes(), "/book.json.sig": (tmp_path / "book.json.sig").read_bytes()}
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_URL", server.url)
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_PUBLIC_KEY", public)
    assert main(["book", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["price_book"] == load_embedded().id
    assert main(["book", "update", "--output", str(taken)]) == 0
    assert capsys.readouterr().out.startswith(f"{load_embedded().id} -> vectors@2026.11.22\n")
    assert taken.read_bytes() == book()
    assert main(["book", "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["price_book"], shown["address"]) == ("vectors@2026.11.22", server.url)
    assert shown["sha256"] == hashlib.sha256(book()).hexdigest()
    assert main(["book", "update"]) == 0
    assert "vectors@2026.11.22: nothing newer" in capsys.readouterr().out
    server.paths["/book.json"] = b"{"
    assert main(["book", "update"]) == 2
    assert "the signature is none of" in capsys.readouterr().err


def test_sign_refuses_a_broken_book_and_a_key_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, key = tmp_path / "book.json", tmp_path / "key.pem"
    key.write_bytes(PRIVATE)
    file.write_bytes(book(currency="EUR"))
    assert main(["book", "sign", str(file), "--key", str(key)]) == 2
    assert 'currency: must be "USD", is "EUR"' in capsys.readouterr().err
    assert not (tmp_path / "book.json.sig").exists()
    file.write_bytes(book())
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    elliptic = ec.generate_private_key(ec.SECP256R1()).private_bytes(serialization.Encoding.PEM, *plain)
    for wrong in (b"no key", elliptic):
        key.write_bytes(wrong)
        assert main(["book", "sign", str(file), "--key", str(key)]) == 2
        assert "is no Ed25519 key" in capsys.readouterr().err


def test_update_without_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["book", "update"]) == 2
    assert "OTEL_TOKENOMICS_PRICEBOOK_URL" in capsys.readouterr().err
