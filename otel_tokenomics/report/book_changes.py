"""What changes from one price book to another, and what an overlay changes; rates in pico-USD per unit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from otel_tokenomics.pricing import Capacity, Model, PriceBook, resolve
from otel_tokenomics.pricing.factors import Discount
from otel_tokenomics.pricing.overlay import AdjacentRate, Overlay, StaticCost
from otel_tokenomics.pricing.rates import FOREVER, MS_PER_DAY, Row, UnitRate, span
from otel_tokenomics.pricing.terms import choose
from otel_tokenomics.usage import TOKEN_UNITS, UNITS, Facts, pico_to_text

Entry = Mapping[str, Any]
_LISTS: Final = ("ids", "prefixes")
_WORDS: Final = ("class", "retired_at")


class RateChange(NamedTuple):
    """One rate before and after, None where there is none; ``tier`` is the input above which it holds, -1 for all."""

    unit: str
    tier: int
    old: int | None
    new: int | None


class RowChange(NamedTuple):
    """One row: what it asks for, from when (None: always), what happened to it, and its rates that differ.

    ``what`` is new (a change of price from its date on), corrected (the same row has other rates), gone, ends (another
    end), or own (of an overlay).
    """

    when: str
    start: str | None
    what: str
    rates: tuple[RateChange, ...]
    note: str = ""


class ModelChange(NamedTuple):
    """One model: ``what`` is new, gone or changed; ``notes`` are its changed names and dates."""

    provider: str
    model: str
    what: str
    rows: tuple[RowChange, ...]
    notes: tuple[str, ...] = ()


def book_changes(old: PriceBook, new: PriceBook) -> list[ModelChange]:
    """Return the models that differ, by provider and id. Overlays of the books are not looked at."""
    before, after = old.written()[1], new.written()[1]
    changes = (_model_change(key, before.get(key), after.get(key)) for key in sorted(before.keys() | after.keys()))
    return [change for change in changes if change is not None]


def header_changes(old: PriceBook, new: PriceBook) -> list[str]:
    """Return what differs outside the models, one line each: providers, calendars, multipliers."""
    before, after = old.written()[0], new.written()[0]
    lines: list[str] = []
    for part in ("providers", "calendars"):
        was, now = before.get(part, {}), after.get(part, {})
        for name in sorted({*was, *now}):
            if was.get(name) != now.get(name):
                what = "new" if name not in was else "gone" if name not in now else "changed"
                lines.append(f"{what:8s} {part}.{name}")
    was, now = ([json.dumps(one, sort_keys=True) for one in book.get("multipliers", ())] for book in (before, after))
    lines += [f"gone     multiplier {one}" for one in was if one not in now]
    lines += [f"new      multiplier {one}" for one in now if one not in was]
    return lines


def _model_change(key: tuple[str, str], old: Entry | None, new: Entry | None) -> ModelChange | None:
    if old is None or new is None:
        what = "new" if old is None else "gone"
        return ModelChange(*key, what, tuple(_row_changes(old or {"rows": ()}, new or {"rows": ()})))
    if old == new:
        return None
    notes = [
        f"{word} {'+' if name in new.get(word, ()) else '-'} {name}"
        for word in _LISTS
        for name in sorted({*old.get(word, ())} ^ {*new.get(word, ())})
    ]
    notes += [
        f"{word} {old.get(word, 'none')} -> {new.get(word, 'none')}"
        for word in _WORDS
        if old.get(word) != new.get(word)
    ]
    rows = tuple(_row_changes(old, new))
    return ModelChange(*key, "changed", rows, tuple(notes)) if rows or notes else None


def _row_changes(old: Entry, new: Entry) -> Iterator[RowChange]:
    before, after = _by_key(old), _by_key(new)
    for key in sorted(before.keys() | after.keys(), key=lambda key: (key[0], span(_entry(before, after, key))[0])):
        was, row = before.get(key), after.get(key)
        when, start = key
        if row is None:
            yield RowChange(when, start, "gone", _rates(was, None))
        elif was is None:
            yield RowChange(when, start, "new", _rates(_in_force(old, when, span(row)[0]), row))
        elif rates := _rates(was, row):
            yield RowChange(when, start, "corrected", rates)
        elif was.get("until") != row.get("until") and not _continues(after, when, row):
            yield RowChange(when, start, "ends", (), f"until {was.get('until', 'open')} -> {row.get('until', 'open')}")


def _entry(before: Mapping[Any, Entry], after: Mapping[Any, Entry], key: Any) -> Entry:
    return after[key] if key in after else before[key]


def _by_key(model: Entry) -> dict[tuple[str, str | None], Entry]:
    return {(when_text(row.get("when", {})), row.get("from")): row for row in model["rows"]}


def when_text(when: Mapping[str, Any]) -> str:
    """Return the conditions of a row as a price's sku names them; empty for none."""
    return ";".join(f"{key}={'|'.join(when[key])}" for key in sorted(when))


def _in_force(model: Entry, when: str, at_ms: int) -> Entry | None:
    """Return the row of the same conditions that held at an instant (ms UTC)."""
    rows = (row for row in model["rows"] if when_text(row.get("when", {})) == when)
    return next((row for row in rows if span(row)[0] <= at_ms < span(row)[1]), None)


def _continues(rows: Mapping[tuple[str, str | None], Entry], when: str, row: Entry) -> bool:
    """Return whether another row begins where this one ends: that one tells the change."""
    return (when, row.get("until")) in rows


def _rates(old: Entry | None, new: Entry | None) -> tuple[RateChange, ...]:
    before, after = _flat(old), _flat(new)
    return tuple(
        RateChange(unit, tier, before.get((tier, unit)), after.get((tier, unit)))
        for tier in sorted({tier for tier, _ in before.keys() | after.keys()})
        for unit in UNITS
        if before.get((tier, unit)) != after.get((tier, unit))
    )


def _flat(row: Entry | None) -> dict[tuple[int, str], int]:
    tables = [(-1, row["rates"]), *((one["gt"], one["rates"]) for one in row.get("tiers", ()))] if row else []
    return {(tier, unit): rate for tier, rates in tables for unit, rate in rates.items()}


class OverlayEffect(NamedTuple):
    """What an overlay does to the book below it.

    ``discounts``, ``multipliers``, ``aliases``, ``capacity``, ``static`` and ``adjacent`` are one line each;
    ``nothing`` names what hits nothing.
    """

    models: tuple[ModelChange, ...]
    discounts: tuple[str, ...]
    multipliers: tuple[str, ...]
    aliases: tuple[str, ...]
    capacity: tuple[str, ...]
    static: tuple[str, ...]
    adjacent: tuple[str, ...]
    nothing: tuple[str, ...]


def overlay_effect(below: PriceBook, overlay: Overlay, above: PriceBook, now_ms: int) -> OverlayEffect:
    """Return what an overlay changes.

    Args:
        below: the book without it.
        overlay: the overlay.
        above: the book with it.
        now_ms: rows are compared as of now, those of another time as of the nearest instant of theirs (ms UTC).
    """
    nothing: list[str] = []
    models = tuple(_own_model(below, above, entry, now_ms, nothing) for entry in overlay.models)
    discounts: list[str] = []
    for index, discount in enumerate(overlay.discounts):
        near = (name for provider, name in below.ids() if provider == discount.provider)
        hit = [
            name for name in near if discount.narrowness(name) >= 0 and _is_canonical(above, discount.provider, name)
        ]
        text = _discount_text(discount)
        discounts.append(f"{text}: {_count(hit)}")
        if not hit:
            nothing.append(f"discounts[{index}] ({text}): no model of the book")
    aliases: list[str] = []
    for provider, names in overlay.aliases.items():
        for name in names:
            match = resolve(above, provider, name)
            if match.model is not None:
                fixed = "".join(f";{key}={value}" for key, value in sorted(match.facts.items()))
                aliases.append(f"{provider}/{name} is {match.provider}/{match.model.id}{fixed}")
            else:
                nothing.append(f"aliases.{provider}.{name}: the book has no model {names[name]['model']}")
    multipliers: list[str] = []
    for index, (provider, wanted, one) in enumerate(overlay.multipliers):
        asks = ";".join(f"{key}={'|'.join(sorted(words))}" for key, words in one.when)
        multipliers.append(
            f"{provider} x {one.ratio[0]}/{one.ratio[1]} on {', '.join(unit for unit in UNITS if unit in one.units)}"
            f"{f' [{asks}]' if asks else ''}: {', '.join(sorted(wanted)) if wanted is not None else 'every model'}"
        )
        missing = sorted(name for name in wanted or () if not above.has(provider, name))
        nothing += [f"multipliers[{index}]: {provider} has no {name}" for name in missing]
    nothing += [
        f"capacity[{index}]: an alias of the same name wins over {one.provider}/{name}"
        for index, one in enumerate(overlay.capacity)
        for name in one.ids
        if name in above.aliases.get(one.provider, {})
    ]
    capacity = tuple(_capacity_text(one) for one in overlay.capacity)
    static = tuple(_static_text(one) for one in overlay.static)
    return OverlayEffect(
        models, tuple(discounts), tuple(multipliers), tuple(aliases), capacity, static,
        tuple(_adjacent_text(one) for one in overlay.adjacent), tuple(nothing),
    )  # fmt: skip


def _capacity_text(one: Capacity) -> str:
    what = {
        "capacity": ", ".join(f"{unit} {rate_text(unit, one.rates[unit])}" for unit in UNITS if unit in one.rates),
        "none": "calls cost 0, the hour is a row of its own in `book capacity`",
        "use": "calls cost 0, `book capacity` spreads each hour over its calls",
    }
    asks = f" [{when_text(one.when)}]" if one.when else ""
    return (
        f"{one.provider}/{', '.join(one.ids)} ({one.kind}, {pico_to_text(one.pico_per_hour)} an hour)"
        f"{_limits_text(one.start, one.until, ())}{asks}: {what[one.allocate]}"
    )


def _static_text(one: StaticCost) -> str:
    text = f"{one.name}: {pico_to_text(one.pico)}"
    if one.until >= FOREVER:
        return f"{text} on {instant_text(one.start)[:10]}"
    text += _limits_text(one.start, one.until, ())
    whole = one.until - one.start
    # What 24 hours bear of it, to the pico-dollar below.
    return f"{text}, {pico_to_text(one.pico * MS_PER_DAY // whole)} a day" if whole > MS_PER_DAY else text


def _adjacent_text(one: AdjacentRate) -> str:
    where = " and ".join(f"{key} is {text}" for key, text in one.match)
    return f"{one.name}: {pico_to_text(one.pico)} a {one.unit} on spans that are no model call, where {where}"


def _limits_text(start: int, until: int, accounts: Iterable[str]) -> str:
    dates = f" from {instant_text(start)}" if start > -FOREVER else ""
    dates += f" until {instant_text(until)}" if until < FOREVER else ""
    named = ", ".join(sorted(accounts))
    return dates + (f" for {named}" if named else "")


def _discount_text(discount: Discount) -> str:
    units = "" if len(discount.units) == len(UNITS) else f" on {', '.join(u for u in UNITS if u in discount.units)}"
    limits = _limits_text(discount.start, discount.until, discount.accounts)
    return f"{discount.provider}/{discount.match} x {discount.ratio[0]}/{discount.ratio[1]}{units}{limits}"


def instant_text(at_ms: int) -> str:
    """Return an instant (ms UTC) as RFC 3339."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).isoformat().replace("+00:00", "Z")


def _is_canonical(book: PriceBook, provider: str, name: str) -> bool:
    model = book.model(provider, name)
    return model is not None and model.id == name


def _count(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} models: {', '.join(names[:3])}{more}" if names else "no model"


def _own_model(below: PriceBook, above: PriceBook, entry: Entry, now_ms: int, nothing: list[str]) -> ModelChange:
    key = entry["p"], entry["id"]
    old = next((model for name in (entry["id"], *entry.get("ids", ())) if (model := below.model(key[0], name))), None)
    if old is None and below.providers.get(key[0]) is not None and below.providers[key[0]].kind != "self_hosted":
        nothing.append(f"models ({'/'.join(key)}): the book has no such model, its rows stand alone")
    model = above.model(*key)
    rows = model.rows if model is not None else ()
    # The rows of a conditional entry are cut at the dates of the rows below; the first piece stands for all.
    firsts = [next((row for row in rows if row.source is one or row.source == one), None) for one in entry["rows"]]
    changed = tuple(_own_row(old, row, now_ms) for row in firsts if row is not None)
    return ModelChange(*key, "new" if old is None else "changed", changed)


def _own_row(old: Model | None, row: Row, now_ms: int) -> RowChange:
    at_ms = min(max(now_ms, row.start), row.until - 1) if row.until < FOREVER else max(now_ms, row.start)
    when: Mapping[str, list[str]] = row.source.get("when", {})
    facts: Facts = {key: words[0] for key, words in when.items() if key != "calendar"}
    was = choose(old, facts, at_ms) if old is not None else None
    stated = {*row.source["rates"], *(was.source["rates"] if was is not None else ())}
    before: Mapping[str, UnitRate] = was.table.units if was is not None else {}
    rates = tuple(
        RateChange(unit, -1, before[unit].rate if unit in before else None, _rate_of(row, unit))
        for unit in UNITS
        if unit in stated and (was is None or unit not in before or before[unit].rate != _rate_of(row, unit))
    )
    notes: list[str] = []
    fallen = [change.unit for change in rates if change.unit not in row.source["rates"] and change.new is not None]
    if fallen:
        notes.append(f"{', '.join(fallen)} not stated, so at a fallback rate")
    if was is not None and was.tiers and not row.tiers:
        notes.append(f"the book's tier above {was.tiers[0].gt} input tokens does not hold")
    return RowChange(when_text(when), row.source.get("from"), "own", rates, "; ".join(notes))


def _rate_of(row: Row, unit: str) -> int | None:
    return row.table.units[unit].rate if unit in row.table.units else None


def rate_text(unit: str, rate: int | None) -> str:
    """Return a rate for people: USD per million tokens, or USD each; ``none`` where there is none."""
    return "none" if rate is None else pico_to_text(rate * 10**6 if unit in TOKEN_UNITS else rate)


def lines_of(change: ModelChange) -> list[str]:
    """Return a change as lines of text."""
    name = f"{change.provider}/{change.model}"
    lines = [f"{change.what:8s} {name}{f': {note}' if note else ''}" for note in change.notes]
    for row in change.rows:
        asks = f" [{row.when}]" if row.when else ""
        since = f" from {row.start}" if row.start else ""
        what = f" ({row.what})" if row.what in ("corrected", "gone", "ends") and change.what == "changed" else ""
        told = ", ".join(_rate_line(change.what, rate) for rate in row.rates)
        told = "; ".join(filter(None, (told, row.note))) or "no rate differs"
        lines.append(f"{change.what:8s} {name}{asks}{since}{what}: {told}")
    return lines


def _rate_line(what: str, rate: RateChange) -> str:
    tier = f" above {rate.tier}" if rate.tier >= 0 else ""
    if what in ("new", "gone"):
        return f"{rate.unit}{tier} {rate_text(rate.unit, rate.new if what == 'new' else rate.old)}"
    return f"{rate.unit}{tier} {rate_text(rate.unit, rate.old)} -> {rate_text(rate.unit, rate.new)}"


def as_json(change: ModelChange) -> dict[str, Any]:
    """Return a change as plain values; rates in pico-USD as text, tier None for every size."""
    return {
        "provider": change.provider,
        "model": change.model,
        "what": change.what,
        "notes": list(change.notes),
        "rows": [
            {
                "when": row.when,
                "from": row.start,
                "what": row.what,
                "note": row.note,
                "rates": [
                    {
                        "unit": rate.unit,
                        "tier": None if rate.tier < 0 else rate.tier,
                        "old_pico": None if rate.old is None else str(rate.old),
                        "new_pico": None if rate.new is None else str(rate.new),
                    }
                    for rate in row.rates
                ],
            }
            for row in change.rows
        ],
    }
