"""The copy on disk: checked whenever it is read, one for each set of pins, and never in the way."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import pytest
from book_server import (
    OTHER_PRIVATE,
    OTHER_PUBLIC,
    PRIVATE,
    Server,
    book,
    configured,
    signed_by_us,
    updated,
)

from otel_tokenomics.config import Settings
from otel_tokenomics.pricebook_source import PriceBookSource, last_good
from otel_tokenomics.pricebook_source.last_good import LastGood
from otel_tokenomics.pricebook_source.signature import sign
from otel_tokenomics.pricing import load_embedded


def test_a_damaged_copy_is_no_copy(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    path = Path(updated(settings).origin)
    path.write_bytes(path.read_bytes().replace(b"2500000", b"2500001", 1))
    assert configured(PriceBookSource(), settings) is load_embedded()
    server.asked.clear()
    assert updated(settings).current().id == "vectors@2026.11.22"
    assert server.asked[0] == ("/book.json", None)


def test_a_copy_is_checked_again_whenever_it_is_read(server: Server) -> None:
    other = Settings(pricebook_url=server.url, pricebook_public_key=OTHER_PUBLIC)
    LastGood(other).keep(book(), None, sign(book(), PRIVATE)[0], time.time())
    assert configured(PriceBookSource(), other) is load_embedded()
    LastGood(other).keep(book(), None, sign(book(), OTHER_PRIVATE)[0], time.time())
    assert configured(PriceBookSource(), other).id == "vectors@2026.11.22"


def test_services_with_other_pins_do_not_take_each_others_copy(server: Server) -> None:
    server.publish(book())
    pinned = signed_by_us(server, pricebook_version="2026.11.22")
    updated(pinned)
    server.publish(book(23))
    assert updated(signed_by_us(server)).current().version == "2026.11.23"
    assert configured(PriceBookSource(), pinned).version == "2026.11.22"


@pytest.mark.parametrize("spoilt", ["[]", "{", '{"sha256": 7}', '{"sha256": "../../etc/passwd"}', "null", "[" * 90_000])
def test_a_state_that_cannot_be_read_is_none(server: Server, spoilt: str) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    (Path(updated(settings).origin).parent / "state.json").write_text(spoilt)
    assert configured(PriceBookSource(), settings) is load_embedded()
    assert updated(settings).current().id == "vectors@2026.11.22"


def test_one_copy_is_kept_and_no_leftover(server: Server) -> None:
    settings = signed_by_us(server)
    server.publish(book())
    made = updated(settings)
    server.publish(book(23))
    made.refresh(settings)
    digest = hashlib.sha256(book(23)).hexdigest()
    folder = Path(made.origin).parent
    assert sorted(path.name for path in folder.iterdir()) == sorted([f"{digest}.json", "state.json"])
    assert folder.stat().st_mode & 0o077 == 0


def test_a_cache_that_cannot_be_written_costs_the_copy_alone(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    server.publish(book())
    settings = signed_by_us(server)
    made = updated(settings)
    assert made.current().id == "vectors@2026.11.22"
    # In this process what is in memory is the last good one, also once settings change.
    assert configured(made, signed_by_us(server, metric_tags=())).id == "vectors@2026.11.22"


def test_a_user_without_a_home(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    server.publish(book())
    assert updated(signed_by_us(server)).current().id == "vectors@2026.11.22"


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {}, "~/.cache"),
        ("linux", {"XDG_CACHE_HOME": "/var/x"}, "/var/x"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "~/.cache"),
        ("darwin", {"XDG_CACHE_HOME": "/var/x"}, "~/Library/Caches"),
        ("win32", {"LOCALAPPDATA": "/c/local"}, "/c/local"),
        ("win32", {}, "~/AppData/Local"),
    ],
)
def test_the_folder_is_the_platforms(
    platform: str, environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert last_good.cache_folder() == Path(folder).expanduser()
