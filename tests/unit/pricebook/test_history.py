"""A span of last year prices the same with a newer book: what would change of the past is found, kept or noted."""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.pricing import PriceBook, load_embedded, price
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import Usage

ROOT = Path(__file__).resolve().parents[3]
PRICEBOOK = ROOT / "pricebook"
sys.path.insert(0, str(PRICEBOOK))
_spec = importlib.util.spec_from_file_location("pricebook_compile", PRICEBOOK / "compile.py")
assert _spec is not None
assert _spec.loader is not None
compiler: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(compiler)
history: Any = compiler.history

RELEASE = "2026-12-01T05:00:00Z"
EARLIER = "2026-11-01T05:00:00Z"
Extract = dict[tuple[str, str], dict[str, Any]]


def model(name: str, *rows: dict[str, Any], provider: str = "openai", **more: Any) -> dict[str, Any]:
    return {"provider": provider, "id": name, "rows": list(rows), **more}


def flat(usd: str, **row: Any) -> dict[str, Any]:
    return {"rates": {"input": usd, "output": "0.000010"}, **row}


class Build:
    """The real build over sources of a few models, in a folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.genai: list[dict[str, Any]] = []
        self.litellm: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.release = {"id": "t", "version": "2026.11.01", "generated_at": EARLIER}
        self.committed = folder / "book.json"
        read_yaml = compiler.read_yaml
        files = {"corrections.yaml": lambda: self.notes, "release.yaml": lambda: self.release}
        monkeypatch.setattr(compiler, "read_yaml", lambda name: files[name]() if name in files else read_yaml(name))
        monkeypatch.setattr(compiler, "read_extract", self._extract)
        self.patches: Extract = {}
        monkeypatch.setattr(compiler, "read_patches", lambda: self.patches)
        monkeypatch.setattr(compiler, "ROOT", folder)
        monkeypatch.setattr(compiler, "COPIES", (self.committed.name,))
        monkeypatch.setattr(compiler, "HISTORY", folder / "history.json")
        compiler.HISTORY.write_text("[]", encoding="utf-8")

    def _extract(self, name: str) -> Extract:
        found = {"genai-prices": self.genai, "litellm": self.litellm, "litellm-dropped": []}[name]
        return {(one["provider"], one["id"]): copy.deepcopy(one) for one in found}

    def text(self) -> str:
        book = compiler.Book()
        book.compile()
        return book.text()

    def commit(self) -> PriceBook:
        self.committed.write_text(self.text(), encoding="utf-8")
        return self.book()

    def next(self, *, close: bool = False) -> PriceBook:
        """Build the next release as `compile.py` does, and commit it."""
        self.release = {"id": "t", "version": "2026.12.01", "generated_at": RELEASE}
        book = compiler.Book()
        book.compile()
        _, text = compiler.keep_past_prices(book, book.text(), close=close)
        self.committed.write_text(text, encoding="utf-8")
        return self.book()

    def book(self) -> PriceBook:
        return PriceBook.parse(self.committed.read_text(encoding="utf-8"), "book.json")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    return Build(tmp_path, monkeypatch)


USAGES = [
    {"input": 1000, "output": 10}, {"input": 300_000, "cache_read": 5, "output": 1},
    {"input": 7, "cache_write": 3, "reasoning": 2}, {"audio_in": 5, "image_in": 2}, {"web_search": 1, "request": 1},
]  # fmt: skip
FACTS: list[dict[str, str]] = [{}, {"service_tier": "flex"}, {"processing": "batch"}, {"inference_geo": "us"}]


def priced_otherwise(before: PriceBook, after: PriceBook, names: Iterable[tuple[str, str]], *times: str) -> list[Any]:
    """Price with both engines' books what the older one could price; return what differs."""
    return [
        (provider, name, usage, facts, at)
        for provider, name in names
        for usage in USAGES
        for facts in FACTS
        for at in map(instant, times)
        for was in [price(before, provider, name, Usage(usage), facts, at)]
        if was.status in ("priced", "free") and price(after, provider, name, Usage(usage), facts, at).total != was.total
    ]


def at(book: PriceBook, name: str, time: str, facts: dict[str, str] | None = None) -> Any:
    return price(book, "openai", name, Usage({"input": 1_000_000}), facts or {}, instant(time)).total


def test_a_dated_change_closes_one_row_and_opens_another(build: Build) -> None:
    build.genai = [model("m", flat("0.000002"))]
    before = build.commit()
    build.genai = [
        model("m", flat("0.000002", until="2026-11-20T00:00:00Z"), flat("0.000001", **{"from": "2026-11-20T00:00:00Z"}))
    ]
    after = build.next()
    assert priced_otherwise(before, after, before.ids(), "2025-01-01T00:00:00Z", EARLIER) == []
    assert [at(after, "m", time) for time in (EARLIER, "2026-11-20T00:00:00Z")] == [2 * 10**12, 10**12]


def test_a_price_that_changed_without_a_date_fails_the_build_and_is_closed_at_the_release(build: Build) -> None:
    flex = {"rates": {"input": "0.000001"}, "when": {"service_tier": ["flex"]}}
    build.litellm = [model("m", flat("0.000002"), flex), model("other", flat("0.000005"))]
    before = build.commit()
    build.litellm[0] = model("m", flat("0.000003", tiers=[{"gt": 1000, "rates": {"input": "0.000009"}}]))
    with pytest.raises(SystemExit) as failed:
        build.next()
    assert "1 names cost otherwise" in str(failed.value)
    assert "openai/m: 2026-11-01T04:59:59Z: input was 2000000, is 3000000" in str(failed.value)
    assert build.book().id == before.id, "what failed wrote nothing"
    after = build.next(close=True)
    times = ("2025-01-01T00:00:00Z", EARLIER, "2026-12-01T04:59:59.999Z")
    assert priced_otherwise(before, after, before.ids(), *times) == []
    assert at(after, "m", times[-1]) == 2 * 10**12
    assert at(after, "m", times[-1], {"service_tier": "flex"}) == 10**12
    # From the release on: a million is above the tier.
    assert at(after, "m", RELEASE) == 9 * 10**12
    assert build.next().id == after.id, "nothing is left to close"


def test_closed_rows_stay_when_the_price_changes_again(build: Build) -> None:
    build.litellm = [model("m", flat("0.000002"))]
    first = build.commit()
    build.litellm = [model("m", flat("0.000003"))]
    build.next(close=True)
    build.litellm = [model("m", flat("0.000004"))]
    build.release = {"id": "t", "version": "2027.01.01", "generated_at": "2027-01-01T05:00:00Z"}
    text = build.text()
    found = history.past_changes(build.book(), PriceBook.parse(text, "b"))
    assert [change.what for change in found] == ["2026-12-01T05:00:00Z: input was 3000000, is 4000000"]
    book = compiler.Book()
    book.compile()
    _, text = compiler.keep_past_prices(book, book.text(), close=True)
    last = PriceBook.parse(text, "b")
    assert [at(last, "m", time) for time in (EARLIER, RELEASE, "2027-01-01T05:00:00Z")] == [
        2 * 10**12, 3 * 10**12, 4 * 10**12,
    ]  # fmt: skip
    assert priced_otherwise(first, last, first.ids(), "2025-06-01T00:00:00Z", EARLIER) == []


def test_a_model_that_is_gone_upstream_is_retired_and_keeps_its_rows(build: Build) -> None:
    build.litellm = [model("m", flat("0.000002")), model("old", flat("0.000007"))]
    before = build.commit()
    build.litellm.pop()
    with pytest.raises(SystemExit, match="openai/old: is gone"):
        build.next()
    after = build.next(close=True)
    entry = after.entry("openai", "old")
    assert entry is not None
    assert entry["retired_at"] == RELEASE
    assert priced_otherwise(before, after, before.ids(), "2025-01-01T00:00:00Z", EARLIER) == []
    # A call that comes late, or to somebody who still serves it, is priced all the same.
    assert at(after, "old", "2027-01-01T00:00:00Z") == 7 * 10**12
    build.litellm.append(model("old", flat("0.000008")))
    build.release = {"id": "t", "version": "2027.01.01", "generated_at": "2027-01-01T05:00:00Z"}
    back = PriceBook.parse(build.text(), "b")
    assert [at(back, "old", time) for time in (EARLIER, RELEASE)] == [7 * 10**12, 8 * 10**12]


def test_a_wrong_value_is_put_right_in_place_with_a_note_of_this_release_alone(build: Build) -> None:
    build.litellm = [model("m", flat("0.000002")), model("n", flat("0.000002"))]
    build.commit()
    build.litellm = [model("m", flat("0.000020")), model("n", flat("0.000020"))]
    build.notes = [{"release": "2026.11.01", "models": ["openai/m", "openai/n"], "why": "an older release's"}]
    with pytest.raises(SystemExit, match="2 names cost otherwise"):
        build.next()
    build.notes = [{"release": "2026.12.01", "models": ["openai/m"], "why": "the source had lost a digit"}]
    with pytest.raises(SystemExit, match="1 names cost otherwise"):
        build.next()
    build.notes.append({"release": "2026.12.01", "models": ["openai/*"], "why": "so with all"})
    assert at(build.next(), "m", EARLIER) == 20 * 10**12


def test_the_note_may_stand_in_the_patch_that_puts_it_right(build: Build) -> None:
    build.litellm = [model("m", flat("0.000002"))]
    build.commit()
    patch = {"id": "m", "checked": "2026-11-26", "rows": [{"usd_per_million": {"input": "20", "output": "10"}}]}
    for note in ("", "2026-11-01: an older release's", "2026-12-01:"):
        build.patches = {("openai", "m"): {**patch, "note": note}}
        with pytest.raises(SystemExit, match="1 names cost otherwise"):
            build.next()
    build.patches = {("openai", "m"): {**patch, "note": "2026-12-01: the source had lost a digit"}}
    assert at(build.next(), "m", EARLIER) == 20 * 10**12


def test_a_fallback_that_became_a_rate_is_a_change_and_a_rate_where_none_was_is_none(build: Build) -> None:
    build.litellm = [model("m", flat("0.000002"))]
    before = build.commit()
    build.litellm[0]["rows"][0]["rates"] |= {"web_search": "0.01"}
    after = build.next()
    assert after.id != before.id
    build.litellm[0]["rows"][0]["rates"] |= {"cache_read": "0.0000002"}
    with pytest.raises(SystemExit, match="cache_read was 2000000, is 200000"):
        build.next()


def test_a_snapshot_that_gets_a_price_of_its_own_keeps_that_of_its_model_before(build: Build) -> None:
    build.litellm = [model("m", flat("0.000002"))]
    before = build.commit()
    assert at(before, "m-2026-05-01", EARLIER) == 2 * 10**12
    build.litellm.append(model("m-2026-05-01", flat("0.000004")))
    with pytest.raises(SystemExit, match="openai/m-2026-05-01: 2026-11-01T04:59:59Z: input was 2000000, is 4000000"):
        build.next()
    after = build.next(close=True)
    assert [at(after, "m-2026-05-01", time) for time in (EARLIER, RELEASE)] == [2 * 10**12, 4 * 10**12]


def test_a_further_id_that_is_priced_apart_or_leads_nowhere_is_found(build: Build) -> None:
    build.genai = [model("m", flat("0.000002"), ids=["m-fast", "m-old"])]
    before = build.commit()
    build.genai = [model("m", flat("0.000002"), ids=[]), model("m-fast", flat("0.000003"))]
    with pytest.raises(SystemExit) as failed:
        build.next()
    assert "openai/m-old: is gone" in str(failed.value)
    assert "openai/m-fast: " in str(failed.value)
    after = build.next(close=True)
    assert priced_otherwise(before, after, before.ids(), "2025-01-01T00:00:00Z", EARLIER) == []


def test_a_new_condition_is_a_change_for_the_calls_that_meet_it(build: Build) -> None:
    build.litellm = [model("m", flat("0.000002"))]
    before = build.commit()
    build.litellm[0]["rows"].append({"rates": {"input": "0.000001"}, "when": {"region": ["eu"]}})
    with pytest.raises(SystemExit, match="2026-11-01T04:59:59Z;region=eu: input was 2000000, is 1000000"):
        build.next()
    after = build.next(close=True)
    assert at(after, "m", EARLIER, {"region": "eu"}) == at(before, "m", EARLIER) == 2 * 10**12
    assert at(after, "m", RELEASE, {"region": "eu"}) == 10**12


def test_what_has_no_dates_needs_a_note(build: Build) -> None:
    build.litellm = [model("m", flat("0.000002"))]
    build.commit()
    build.litellm[0]["multipliers"] = [{"when": {"inference_geo": ["us"]}, "ratio": "1.1"}]
    with pytest.raises(SystemExit, match="openai/m: its multipliers, which have no dates, differ"):
        build.next(close=True)
    build.notes = [{"release": "2026.12.01", "models": ["openai/m"], "why": "it was missing"}]
    assert at(build.next(), "m", EARLIER, {"inference_geo": "us"}) == 2_200_000_000_000


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda book: book["calendars"]["deepseek-peak"]["windows"].pop(), "calendars/deepseek-peak: its hours"),
        (lambda book: book["calendars"]["deepseek-peak"]["except_dates"].pop(0), "calendars/deepseek-peak: its hours"),
        (lambda book: book["providers"]["openai"].update(tier_aliases={}), "openai/*: tier_aliases"),
        (lambda book: book["providers"]["openai"].update(accounting="exclusive"), "openai/*: accounting"),
        (lambda book: book["providers"]["azure.ai.openai"]["names"].pop(), "azure.ai.openai/*: names"),
    ],
)
def test_what_stands_beside_the_models_is_a_part_of_the_past_too(change: Any, told: str) -> None:
    frozen = json.loads((ROOT / "tests/vectors/book.json").read_text(encoding="utf-8"))
    before = PriceBook.parse(json.dumps(frozen), "a")
    change(frozen)
    after = PriceBook.parse(json.dumps(frozen), "b")
    assert told in "\n".join(f"{one.name}: {one.what}" for one in history.past_changes(before, after))


def test_a_holiday_to_come_changes_no_past() -> None:
    frozen = json.loads((ROOT / "tests/vectors/book.json").read_text(encoding="utf-8"))
    before = PriceBook.parse(json.dumps(frozen), "a")
    frozen["calendars"]["deepseek-peak"]["except_dates"].append("2027-02-05")
    assert history.past_changes(before, PriceBook.parse(json.dumps(frozen), "b")) == []


def test_the_book_and_itself_have_one_past() -> None:
    book = load_embedded()
    assert history.past_changes(book, book) == []


def test_every_model_of_the_live_book_keeps_its_past_under_a_hostile_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every seventh price of the sources moves, every eleventh model is gone, without a date and without a word."""
    before = load_embedded()
    generated = before.written()[0]["generated_at"]
    read_extract, read_yaml = compiler.read_extract, compiler.read_yaml

    def hostile(name: str) -> Extract:
        entries: Extract = read_extract(name)
        for index, key in enumerate(sorted(entries)):
            if index % 11 == 0:
                del entries[key]
            elif index % 7 == 0:
                for row in entries[key]["rows"]:
                    row["rates"] = {unit: f"{float(rate) * 1.5:.12f}" for unit, rate in row["rates"].items()}
        return entries

    release = {"id": "otel-tokenomics", "version": "2099.01.01", "generated_at": "2099-01-01T00:00:00Z"}
    monkeypatch.setattr(compiler, "read_extract", hostile)
    monkeypatch.setattr(compiler, "read_yaml", lambda name: release if name == "release.yaml" else read_yaml(name))
    monkeypatch.setattr(compiler, "ROOT", tmp_path)
    monkeypatch.setattr(compiler, "HISTORY", tmp_path / "history.json")
    compiler.HISTORY.write_text("[]", encoding="utf-8")
    committed = tmp_path / compiler.COPIES[0]
    committed.parent.mkdir(parents=True)
    committed.write_bytes((ROOT / compiler.COPIES[0]).read_bytes())

    built = compiler.Book()
    built.compile()
    with pytest.raises(SystemExit) as failed:
        compiler.keep_past_prices(built, built.text(), close=False)
    assert int(str(failed.value).split()[1]) > 1000
    notes = [{"release": "2099.01.01", "models": [f"{key}/*"], "why": "multipliers of what is gone"}
             for key in {name for name, _ in before.ids()}]  # fmt: skip
    closed = history.closed(history.past_changes(before, PriceBook.parse(built.text(), "b")), before,
                            release["generated_at"])  # fmt: skip
    compiler.HISTORY.write_text(json.dumps(closed), encoding="utf-8")
    again = compiler.Book()
    again.compile()
    after = PriceBook.parse(again.text(), "b")
    left = history.past_changes(before, after)
    assert [one for one in left if "multipliers" not in one.what] == []
    assert history.unnoted(left, notes, "2099.01.01") == []
    # The engine itself, on every third name: the day before the book, and years before.
    geo = {(one.provider, one.model) for one in left}
    # A change is told of the model, not of each of its further ids.
    models = {name: before.model(*name) for name in list(before.ids())[::3]}
    names = [name for name, model in models.items() if model and not geo & {name, (name[0], model.id)}]
    assert priced_otherwise(before, after, names, "2025-02-01T12:00:00Z", generated) == []
