"""The thread that looks for a newer book: from start to stop, once an hour, whatever it meets."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from book_server import (
    NO_BOOK,
    PRIVATE,
    PUBLIC,
    Server,
    book,
    configured,
    signed_by_us,
    spoil,
    updated,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_tokenomics as tk
from otel_tokenomics import pricebook_source
from otel_tokenomics.config import Settings
from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source import PriceBookSource, files, remote, source
from otel_tokenomics.pricebook_source.last_good import LastGood
from otel_tokenomics.pricebook_source.signature import sign
from otel_tokenomics.pricing import load_embedded


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Iterator[PriceBookSource]:
    """A source whose thread looks again at once; stopped and waited for."""
    monkeypatch.setattr(source, "INTERVAL_S", 0.0)
    monkeypatch.setattr(source, "JITTER_S", 1)
    made, owner = PriceBookSource(), Owner()
    made.owner = owner  # type: ignore[attr-defined]
    yield made
    thread = made._thread
    made.stop(owner)
    if thread is not None:
        thread.join()


class Owner:
    """Something that wants a fresh book."""


def wait_for(met: Callable[[], bool]) -> None:
    for _ in range(1000):
        if met():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def start(made: PriceBookSource, settings: Settings) -> None:
    made.configure(settings)
    made.start(made.owner)  # type: ignore[attr-defined]


def test_the_thread_takes_each_newer_book(server: Server, looking: PriceBookSource) -> None:
    server.publish(book())
    start(looking, signed_by_us(server))
    wait_for(lambda: looking.current().version == "2026.11.22")
    server.publish(book(23))
    wait_for(lambda: looking.current().version == "2026.11.23")


@pytest.mark.parametrize("case", [case for case in NO_BOOK if case != "304 for nothing"])
def test_a_failure_is_one_warning_until_the_next_success(
    server: Server,
    looking: PriceBookSource,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    monkeypatch.setattr(files, "LARGEST_FILE", 300_000)
    monkeypatch.setattr(remote, "TIMEOUT_S", 0.3 if case == "slow" else 5.0)
    server.publish(book())
    start(looking, signed_by_us(server))
    wait_for(lambda: looking.current().version == "2026.11.22")
    spoil(server, NO_BOOK[case][0])
    before = len(server.asked)
    wait_for(lambda: len(server.asked) > before + 6)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "vectors@2026.11.22 stays in use" in warned[0]
    # Where the thread asked between the two files that were spoilt, their signature does not fit.
    assert NO_BOOK[case][1] in warned[0] or "the signature is none of" in warned[0]
    # The age goes on with the book that serves.
    assert looking.current().generated_at_ms == int(dt.datetime(2026, 11, 22, 5, tzinfo=dt.UTC).timestamp()) * 1000
    server.publish(book(24))
    wait_for(lambda: looking.current().version == "2026.11.24")
    server.paths["/book.json"] = b"{"
    wait_for(lambda: len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2)


def test_whatever_breaks_the_thread_lives(
    server: Server, looking: PriceBookSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("content of somebody")

    server.publish(book())
    with monkeypatch.context() as patched:
        patched.setattr(remote, "fetch", broken)
        start(looking, signed_by_us(server))
        wait_for(lambda: "KeyError" in caplog.text)
    assert "content of somebody" not in caplog.text
    wait_for(lambda: looking.current().version == "2026.11.22")


def test_processes_of_one_user_ask_once_an_hour_together(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    updated(settings)
    asked = len(server.asked)
    # Another process, or the same one started anew: it takes the copy and asks nobody.
    second = PriceBookSource()
    second.configure(settings)
    assert (second._round(settings) or 0) > source.INTERVAL_S - 60
    assert second.current().version == "2026.11.22"
    # What a third one fetched meanwhile is taken from the disk.
    content = book(23)
    LastGood(settings).keep(content, None, sign(content, PRIVATE)[0], time.time())
    second._round(settings)
    assert second.current().version == "2026.11.23"
    assert len(server.asked) == asked
    # An hour later, or where the clock was set back, it is asked again.
    server.publish(book(24))
    for checked in (time.time() - source.INTERVAL_S - 1, time.time() + 86_400):
        LastGood(settings).note_check(checked)
        second._round(settings)
    assert second.current().version == "2026.11.24"
    assert len(server.asked) == asked + 4


def test_a_failed_fetch_counts_as_asked(server: Server) -> None:
    settings = signed_by_us(server)
    made = PriceBookSource()
    made.configure(settings)
    with pytest.raises(PriceBookError, match="answered 404"):
        made._round(settings)
    assert (made._round(settings) or 0) > 0
    assert len(server.asked) == 1


def test_a_pinned_book_that_is_there_is_not_asked_for_again(server: Server, looking: PriceBookSource) -> None:
    server.publish(book(), signed=False)
    start(looking, Settings(pricebook_url=server.url, pricebook_sha256=hashlib.sha256(book()).hexdigest()))
    wait_for(lambda: looking._thread is not None and not looking._thread.is_alive())
    assert looking.current().version == "2026.11.22"
    assert len(server.asked) == 1


def test_a_file_is_read_again_when_it_changed(
    tmp_path: Path, looking: PriceBookSource, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "book.json"
    path.write_bytes(book())
    start(looking, Settings(pricebook_url=path.as_uri()))
    path.write_bytes(book(23) + b" ")
    wait_for(lambda: looking.current().version == "2026.11.23")
    path.unlink()
    wait_for(lambda: "cannot be read" in caplog.text)
    assert looking.current().version == "2026.11.23"


def test_other_settings_end_what_the_earlier_ones_began(server: Server, looking: PriceBookSource) -> None:
    server.publish(book())
    settings = signed_by_us(server)
    start(looking, settings)
    wait_for(lambda: looking.current().version == "2026.11.22")
    thread = looking._thread
    assert configured(looking, Settings()) is load_embedded()
    assert looking._thread is None
    assert thread is not None
    thread.join()
    # A fetch that was under way when the settings changed is dropped.
    assert looking.refresh(settings) is load_embedded()


def test_an_owner_that_is_dropped_ends_it_and_another_begins_anew(server: Server, looking: PriceBookSource) -> None:
    server.publish(book())
    dropped = Owner()
    looking.configure(signed_by_us(server))
    looking.start(dropped)
    wait_for(lambda: looking.current().version == "2026.11.22")
    del dropped
    thread = looking._thread
    assert thread is not None
    thread.join(timeout=10)
    assert not thread.is_alive()
    looking.start(looking.owner)  # type: ignore[attr-defined]
    server.publish(book(23))
    wait_for(lambda: looking.current().version == "2026.11.23")


def test_off_without_an_address_and_before_somebody_asks(server: Server) -> None:
    made, owner = PriceBookSource(), Owner()
    made.configure(Settings())
    made.start(owner)
    assert made._thread is None
    server.publish(book())
    other = PriceBookSource()
    other.configure(signed_by_us(server))
    assert other._thread is None
    assert server.asked == []


def test_it_runs_from_instrument_to_uninstrument(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.publish(book())
    tk.instrument(libraries=[], pricebook_url=server.url, pricebook_public_key=PUBLIC)
    thread = pricebook_source._process._thread
    try:
        assert thread is not None
        assert thread.daemon
        wait_for(lambda: pricebook_source.current().version == "2026.11.22")
    finally:
        tk.uninstrument()
        pricebook_source.configure(Settings())
    assert thread is not None
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert pricebook_source._process._thread is None


def test_the_exporter_looks_until_its_shutdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "book.json"
    path.write_bytes(book())
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_URL", path.as_uri())
    exporter = tk.PricingSpanExporter(InMemorySpanExporter())
    thread = pricebook_source._process._thread
    try:
        assert thread is not None
        assert thread.is_alive()
        assert pricebook_source.current().version == "2026.11.22"
    finally:
        exporter.shutdown()
        pricebook_source.configure(Settings())
    assert thread is not None
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_an_old_book_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "book.json"
    made = PriceBookSource()
    with caplog.at_level(logging.INFO):
        for days, fresh, times in ((14, PriceBookSource(), 0), (15, made, 1)):
            # An hour is added so that a slow machine does not cross the line.
            at = dt.datetime.now(dt.UTC) - dt.timedelta(days=days) + dt.timedelta(hours=1)
            path.write_bytes(book(generated_at=at.strftime("%Y-%m-%dT%H:%M:%SZ")))
            for _ in range(2):
                fresh.configure(Settings(pricebook_url=path.as_uri()))
            assert caplog.text.count("days old") == times
    (told,) = [record for record in caplog.records if "days old" in record.getMessage()]
    assert told.levelno == logging.INFO
    assert "vectors@2026.11.22 is 14 days old" in told.getMessage()


FORKED = """
import os, signal, sys, threading
from otel_tokenomics import pricebook_source
from otel_tokenomics.config import Settings
class Owner: pass
owner = Owner()
source = pricebook_source._process
source.configure(Settings.resolve())
pricebook_source.keep_fresh(owner)
before = source._thread
with source._lock, source._stop._cond:  # held by another thread at the moment of the fork, for all that the child knows
    child = os.fork()
    if not child:
        signal.alarm(10)
        pricebook_source.configure(Settings.resolve())
        fresh = source._thread is not before and source._thread.is_alive()
        pricebook_source.rest(owner)
        os._exit(0 if fresh and source._thread is None else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_looks_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "book.json"
    path.write_bytes(book())
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, check=False, timeout=60,
        env={"OTEL_TOKENOMICS_PRICEBOOK_URL": path.as_uri(), "PATH": ""},
    )  # fmt: skip
    assert done.stdout.strip() == "0", done.stderr


def test_an_import_starts_nothing_and_loads_nothing_that_fetches() -> None:
    script = (
        "import sys, threading, otel_tokenomics.pricebook_source as p; p.current();"
        "loaded = ('cryptography', p.__name__ + '.remote', p.__name__ + '.signature');"
        "print(threading.active_count(), [m for m in loaded if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "1 []"
