"""A newer book over https: taken where it is whole, signed or pinned, and newer; else the last good one stays."""

from __future__ import annotations

import base64
import hashlib
import socket
import sys
from pathlib import Path

import pytest
from book_server import (
    NO_BOOK,
    OTHER_PRIVATE,
    PRIVATE,
    PUBLIC,
    Server,
    book,
    configured,
    signed_by_us,
    slow,
    spoil,
    to,
    updated,
)

from otel_tokenomics.config import Settings
from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source import PriceBookSource, files, remote, source
from otel_tokenomics.pricebook_source.last_good import LastGood
from otel_tokenomics.pricebook_source.signature import sign
from otel_tokenomics.pricing import load_embedded


def test_a_signed_book_is_taken_and_kept_for_the_next_start(server: Server) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    first = PriceBookSource()
    assert configured(first, settings) is load_embedded()  # configuring fetches nothing
    assert server.asked == []
    assert first.refresh(settings).id == "vectors@2026.11.22"
    assert first.current().id == "vectors@2026.11.22"
    server.paths.clear()
    server.asked.clear()
    assert configured(PriceBookSource(), settings).id == "vectors@2026.11.22"
    assert server.asked == []


def test_a_pinned_digest_needs_no_key_and_no_signature(server: Server) -> None:
    server.publish(book(), signed=False)
    pinned = Settings(pricebook_url=server.url, pricebook_sha256=hashlib.sha256(book()).hexdigest())
    assert updated(pinned).current().id == "vectors@2026.11.22"
    assert [path for path, _ in server.asked] == ["/book.json"]


def test_what_has_not_changed_is_not_sent_again(server: Server) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    made = updated(settings)
    etag = f'"{hashlib.sha256(book()).hexdigest()[:8]}"'
    server.asked.clear()
    before = made.current()
    assert made.refresh(settings).id == before.id
    # The signature is asked for without a tag: the publisher may have changed the key.
    assert server.asked == [("/book.json", etag), ("/book.json.sig", None)]
    server.publish(book(23))
    assert made.refresh(settings).id == "vectors@2026.11.23"


def test_an_overlay_lies_on_what_was_fetched(server: Server, tmp_path: Path) -> None:
    server.publish(book())
    overlay = tmp_path / "own.json"
    overlay.write_text('{"discounts": [{"p": "openai", "ratio": [1, 2]}]}')
    made = updated(signed_by_us(server, pricebook_overrides=str(overlay)))
    assert made.current().id.startswith("vectors@2026.11.22+")


@pytest.mark.parametrize("case", NO_BOOK)
def test_what_is_no_newer_book_changes_nothing(server: Server, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, words = NO_BOOK[case]
    server.publish(book())
    settings = signed_by_us(server)
    made = updated(settings)
    before = made.current()
    # A tag is sent only with a copy: this answer has none, so that 304 is no answer to it either.
    if case == "304 for nothing":
        for kept in Path(LastGood(settings).folder or "").glob("*.json"):
            kept.unlink()
    spoil(server, answer)
    monkeypatch.setattr(files, "LARGEST_FILE", 300_000)
    if answer is slow:
        monkeypatch.setattr(remote, "TIMEOUT_S", 0.3)
    with pytest.raises(PriceBookError, match=r"book\.json") as refused:
        made.refresh(settings)
    assert words in str(refused.value)
    assert made.current() is before
    if case != "304 for nothing":
        assert configured(PriceBookSource(), settings).id == before.id


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (sign(book(23), OTHER_PRIVATE)[0].encode(), "the signature is none of pricebook_public_key"),
        (sign(book(22), PRIVATE)[0].encode(), "the signature is none of pricebook_public_key"),
        (b"not base64!", "is no Ed25519 signature"),
        (b"", "is no Ed25519 signature"),
        (b"A" * 100_000, "is larger than 4096 bytes"),
        (None, "book.json.sig: answered 404"),
    ],
)
def test_a_book_that_somebody_else_signed_or_nobody(server: Server, signature: bytes | None, words: str) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    made = updated(settings)
    server.paths["/book.json"] = book(23)
    if signature is None:
        del server.paths["/book.json.sig"]
    else:
        server.paths["/book.json.sig"] = signature
    with pytest.raises(PriceBookError) as refused:
        made.refresh(settings)
    assert words in str(refused.value)
    assert made.current().id == "vectors@2026.11.22"


def test_another_digest_or_version_than_the_pinned_one(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.publish(book(23))
    pinned = Settings(pricebook_url=server.url, pricebook_sha256=hashlib.sha256(book(22)).hexdigest())
    made = PriceBookSource()
    made.configure(pinned)
    assert not caplog.records
    with pytest.raises(PriceBookError, match="sha256 is"):
        made.refresh(pinned)
    by_version = signed_by_us(server, pricebook_version="2026.11.22")
    made.configure(by_version)
    assert not caplog.records  # the pinned one has not been fetched yet: that is no fault
    with pytest.raises(PriceBookError, match=r"is 2026\.11\.23, pricebook_version pins 2026\.11\.22"):
        made.refresh(by_version)
    assert made.current() is load_embedded()


def test_a_version_that_is_pinned_may_be_an_older_one(server: Server) -> None:
    server.publish(book(23))
    made = updated(signed_by_us(server))
    server.publish(book(22))
    pinned = signed_by_us(server, pricebook_version="2026.11.22")
    made.configure(pinned)
    assert made.refresh(pinned).version == "2026.11.22"


def test_the_first_fetch_does_not_go_back_behind_the_package(server: Server, tmp_path: Path) -> None:
    text = (Path(source.__file__).parents[1] / "pricing" / "pricebook.json").read_text(encoding="utf-8")
    version = load_embedded().version
    older = text.replace(f'"version":"{version}"', '"version":"2026.01.01"').encode()
    server.publish(older)
    with pytest.raises(PriceBookError, match=r'version: must not go back .*, is "2026\.01\.01"'):
        updated(signed_by_us(server))


def test_an_authority_that_nobody_knows(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.publish(book())
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(PriceBookError, match="certificate is not trusted"):
        updated(signed_by_us(server))


def test_nobody_there(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{taken.getsockname()[1]}/book.json?token=secret"
        with pytest.raises(PriceBookError, match="refused") as refused:
            updated(Settings(pricebook_url=url, pricebook_public_key=PUBLIC))
    assert "secret" not in str(refused.value)


def test_a_redirect_within_https_is_followed_and_a_query_stays(server: Server) -> None:
    server.publish(book())
    server.paths |= {"/latest.json": to("/book.json?a=1"), "/latest.json.sig": to("/book.json.sig")}
    url = server.url.replace("book.json", "latest.json?token=x")
    made = updated(Settings(pricebook_url=url, pricebook_public_key=PUBLIC))
    assert made.current().id == "vectors@2026.11.22"
    assert ("/latest.json.sig?token=x", None) in server.asked
    assert made.address == url.partition("?")[0]


def test_a_key_that_is_none(server: Server) -> None:
    server.publish(book())
    for key in ("x", base64.b64encode(b"1" * 31).decode(), PUBLIC + "AAAA", "é"):
        with pytest.raises(PriceBookError, match="pricebook_public_key: is no Ed25519 key"):
            updated(Settings(pricebook_url=server.url, pricebook_public_key=key))


def test_without_the_package_for_signatures_the_way_out_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(book())
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PriceBookError, match=r"pip install 'otel-tokenomics\[signing\]'"):
        updated(signed_by_us(server))


def test_a_signed_file(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "book.json"
    path.write_bytes(book())
    settings = Settings(pricebook_url=path.as_uri(), pricebook_public_key=PUBLIC)
    assert configured(PriceBookSource(), settings) is load_embedded()
    assert "book.json.sig: cannot be read" in caplog.text
    (tmp_path / "book.json.sig").write_text(sign(book(), PRIVATE)[0] + "\n")
    assert configured(PriceBookSource(), settings).id == "vectors@2026.11.22"
