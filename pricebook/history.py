"""Past prices stay: what a build changes before the book's date is found, closed off at a date, or noted as a mistake.

``history.json`` holds what the sources do not say any more: the rows of a model until the release that changed them,
or a model that is gone. Whose past price was wrong is noted by release, with the reason: in the model's patch, or in
``corrections.yaml`` for many and for what stands outside models.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations, product
from typing import Any, Final, NamedTuple

from otel_tokenomics.pricing import Model, PriceBook, resolve
from otel_tokenomics.pricing.rates import FOREVER, RateTable, Row, instant, span

Key = tuple[str, str]
Entry = dict[str, Any]
_SERVICE: Final = ("kind", "accounting", "neutral_tiers", "tier_aliases")
#: A model with more kinds of rows than this is compared without calls that meet the conditions of two of them.
_MOST_PAIRS: Final = 24


class Change(NamedTuple):
    """One price before the older book's date that a newer book gives otherwise: of whom, and what."""

    provider: str
    model: str
    what: str

    @property
    def name(self) -> str:
        """Return who it is about, as notes name it."""
        return f"{self.provider}/{self.model}"


def past_changes(before: PriceBook, after: PriceBook) -> list[Change]:
    """Return what calls that began before the newer book's date cost otherwise by it than by the older one.

    A row that begins after the older book was made is a price that changed since, and no change of the past. What had
    no rate and has one now is none either; a fallback rate that became a stated one is. Each name comes once.
    """
    dates = before.generated_at_ms, max(before.generated_at_ms, after.generated_at_ms)
    found = [*_header_changes(before, after)]
    # Names that only the newer book states led somewhere too.
    names = dict.fromkeys([*before.ids(), *after.ids()])
    for provider, name in names:
        old, new = _model(before, provider, name), _model(after, provider, name)
        if old is None or (new is not None and name != old.id == new.id):
            continue  # priced by nobody, or told of the model itself
        if new is None:
            found.append(Change(provider, name, "is gone"))
            continue
        if old.multipliers != new.multipliers and sorted(map(repr, old.multipliers)) != sorted(
            map(repr, new.multipliers)
        ):
            found.append(Change(provider, name, "its multipliers, which have no dates, differ"))
        if [row.source for row in old.rows] != [row.source for row in new.rows]:
            what = _rate_change(old, new, *dates)
            found += [Change(provider, name, what)] if what else []
    return found


def _model(book: PriceBook, provider: str, name: str) -> Model | None:
    own = book.model(provider, name)
    return own if own is not None else resolve(book, provider, name).model


def _header_changes(before: PriceBook, after: PriceBook) -> Iterator[Change]:
    old, new = before.written()[0], after.written()[0]
    for key, was in old["providers"].items():
        now = new["providers"].get(key)
        if now is None:
            yield Change(key, "*", "the provider is gone")
            continue
        for word in (word for word in _SERVICE if was.get(word) != now.get(word)):
            yield Change(key, "*", f"{word} of the provider was {was.get(word)}, is {now.get(word)}")
        for kind in ("names", "hosts"):
            for word in sorted({*was.get(kind, ())} - {*now.get(kind, ())}):
                yield Change(key, "*", f"{kind} of the provider: {word} is gone")
    for name, was in old.get("calendars", {}).items():
        now = new.get("calendars", {}).get(name, {})
        past = [
            {**one, "except_dates": sorted(day for day in one.get("except_dates", ()) if day < old["generated_at"])}
            for one in (was, now)
        ]
        if past[0] != past[1]:
            yield Change("calendars", name, "its hours in the past differ")


def _rate_change(old: Model, new: Model, made: int, end: int) -> str | None:
    """Return the first past price that differs: when, on which facts, which unit, from what to what."""
    edges = {edge for row in (*old.rows, *new.rows) for edge in (row.start, row.until) if -FOREVER < edge < end}
    for at in (min(edges, default=made) - 1, *sorted(edges)):
        for facts, calendar in _calls(old, new):
            was, now = (_chosen(model.rows, facts, calendar, at) for model in (old, new))
            if was is None:
                continue
            asked = "".join(f";{key}={word}" for key, word in {**facts, "calendar": calendar}.items() if word)
            if now is None:
                return f"{_day(at)}{asked}: no row any more"
            began = span(now.source)[0]
            if at >= made and began >= made and began > span(was.source)[0]:
                continue
            for limit in sorted({-1, *(tier.gt for row in (was, now) for tier in row.tiers)}):
                tables = [_table(row, limit + 1) for row in (was, now)]
                for unit, rate in tables[0].units.items():
                    other = tables[1].units.get(unit)
                    if other is None or other.rate != rate.rate:
                        tier = f" above {limit}" if limit >= 0 else ""
                        told = "none" if other is None else str(other.rate)
                        return f"{_day(at)}{asked}: {unit}{tier} was {rate.rate}, is {told}"
    return None


def _calls(old: Model, new: Model) -> list[tuple[dict[str, str], str | None]]:
    """Return facts and calendar of every kind of call that some row asks for, and of two kinds at once."""
    kinds: list[tuple[dict[str, str], str | None]] = [({}, None)]
    for row in (*old.rows, *new.rows):
        when: Mapping[str, Sequence[str]] = row.source.get("when", {})
        for words in product(*when.values()):
            facts = dict(zip(when, words, strict=True))
            calendar = facts.pop("calendar", None)
            if (facts, calendar) not in kinds:
                kinds.append((facts, calendar))
    if len(kinds) > _MOST_PAIRS:
        return kinds
    pairs = [
        ({**one[0], **other[0]}, one[1] or other[1])
        for one, other in combinations(kinds, 2)
        if all(one[0].get(key, word) == word for key, word in other[0].items()) and None in (one[1], other[1])
    ]
    return kinds + [pair for pair in pairs if pair not in kinds]


def _chosen(rows: Iterable[Row], facts: Mapping[str, str], calendar: str | None, at: int) -> Row | None:
    for row in rows:
        named = row.source.get("when", {}).get("calendar", (None,))[0]
        asked = all(facts.get(key) in words for key, words in row.when)
        if row.start <= at < row.until and asked and named in (None, calendar):
            return row
    return None


def _table(row: Row, total: int) -> RateTable:
    return next((tier for tier in reversed(row.tiers) if total > tier.gt), row.table)


def _day(at: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at):%Y-%m-%dT%H:%M:%SZ}"


def unnoted(changes: Iterable[Change], notes: Iterable[Entry], version: str) -> list[Change]:
    """Return the changes that no note of this version covers; a note names ``provider/id``, or ``provider/*``."""
    named = {name for note in notes if str(note["release"]) == version and note["why"] for name in note["models"]}
    return [change for change in changes if not named & {change.name, f"{change.provider}/*"}]


def patch_notes(patches: Mapping[Key, Entry]) -> list[Entry]:
    """Return the notes of patches, ``<day of the release>: <why>``, as ``corrections.yaml`` has them."""
    notes: list[Entry] = []
    for (provider, name), patch in patches.items():
        day, _, why = str(patch.get("note", "")).partition(":")
        if why.strip():
            notes.append({"release": day.replace("-", "."), "models": [f"{provider}/{name}"], "why": why})
    return notes


def closed(changes: Iterable[Change], before: PriceBook, until: str) -> list[Entry]:
    """Return what is kept for ``history.json``: the rows by which the changed names were priced until an instant."""
    entries: list[Entry] = []
    for change in changes:
        model = _model(before, change.provider, change.model) if change.model != "*" else None
        written = before.entry(model.provider, model.id) if model is not None else None
        if written is not None and "multipliers" not in change.what:
            entries.append({**written, "p": change.provider, "id": change.model, "until": until})
            entries[-1].pop("ids", None)
    return entries


def keep(models: list[Entry], history: Iterable[Entry]) -> None:
    """Put the rows of ``history.json`` before what the sources say now; a model that they dropped is retired."""
    by_name = {(model["p"], name): model for model in models for name in (model["id"], *model.get("ids", ()))}
    for entry in history:
        key, until = (entry["p"], entry["id"]), entry["until"]
        model = by_name.get(key)
        if model is None:
            kept = {name: value for name, value in entry.items() if name != "until"}
            models.append({"retired_at": until, **copy.deepcopy(kept)})
            continue
        rows = [*_until(entry["rows"], until), *_from(model["rows"], until)]
        if any(row.get("tiers") for row in rows if "when" not in row):
            rows = [{**row, "tiers": row.get("tiers", [])} if "when" in row else row for row in rows]
        if model["id"] == entry["id"]:
            model["rows"] = rows
            continue
        # One more name of a model, which had a price of its own.
        model["ids"] = [name for name in model["ids"] if name != entry["id"]]
        apart = {name: value for name, value in model.items() if name not in ("ids", "prefixes")}
        models.append(copy.deepcopy({**apart, "id": entry["id"], "rows": rows}))
        if not model["ids"]:
            del model["ids"]
    models.sort(key=lambda model: (model["p"], model["id"]))


def _until(rows: Iterable[Entry], end: str) -> Iterator[Entry]:
    for row in rows:
        if "from" not in row or instant(row["from"]) < instant(end):
            ends = "until" in row and instant(row["until"]) < instant(end)
            yield copy.deepcopy(row if ends else {**row, "until": end})


def _from(rows: Iterable[Entry], start: str) -> Iterator[Entry]:
    in_force: dict[str, str | None] = {}
    for row in sorted(rows, key=lambda row: -span(row)[0]):
        if span(row)[1] <= instant(start):
            continue
        if span(row)[0] > instant(start):
            yield copy.deepcopy(row)
            continue
        # Of rows of one condition the latest holds, and the one before it only once that has ended.
        condition = repr(sorted(row.get("when", {}).items()))
        begin = in_force.get(condition, start)
        if begin is not None and instant(begin) < span(row)[1]:
            yield copy.deepcopy({**row, "from": begin})
            in_force[condition] = row.get("until")
