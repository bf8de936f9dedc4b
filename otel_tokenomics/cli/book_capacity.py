"""Say what the capacity of an overlay cost in a period, what the calls in OTLP files took of it, and how much was idle.

Every hour of the period is paid, used or not; days are UTC. Below 0, idle says that more was used than the throughput
that the overlay states. Then the fixed costs (`static`) of the period. --json holds each call's share of an hour that
is spread by use, and fixed costs by day.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from otel_tokenomics.cli.terminal import plain_line
from otel_tokenomics.config import Settings
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricebook_source import book_of
from otel_tokenomics.pricebook_source.files import lay_over
from otel_tokenomics.pricing import Capacity, PriceBook
from otel_tokenomics.pricing.rates import MS_PER_DAY, instant
from otel_tokenomics.report.book_changes import instant_text, when_text
from otel_tokenomics.report.fixed_costs import (
    MS_PER_HOUR,
    CapacityCost,
    StaticDay,
    capacity_costs,
    static_days,
    use_of,
)
from otel_tokenomics.report.money_text import money_text
from otel_tokenomics.report.otlp_files import read_spans
from otel_tokenomics.report.span_prices import SpanCall, calls_of, cost_of

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HEAD: Final = ("capacity", "kind", "hours", "calls", "cost", "allocated", "idle")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="OTLP file, or directory of the local receiver")
    parser.add_argument("--overrides", metavar="FILE", help="overlay; without it, the one that the settings name")
    word = "day (YYYY-MM-DD, UTC) or instant (...Z)"
    parser.add_argument("--from", dest="start", metavar="WHEN", help=f"{word}; without it, the day of the first call")
    parser.add_argument(
        "--until", metavar="WHEN", help=f"{word}, exclusive; without it, the end of the last call's day"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show what was paid and used; return 2 where a file is damaged, after what could be read."""
    settings, damage = Settings.resolve(), list[BadInputError]()
    book = _book(settings, arguments.overrides)
    spans = chain.from_iterable(read_spans(Path(name), damage.append) for name in arguments.files)
    calls = list(calls_of(spans, settings))
    start_ms, until_ms = _period(arguments, calls)
    used = (use_of(book, call, cost_of(book, call, settings.unknown_host)) for call in calls)
    uses = [use for use in used if use is not None]
    costs = capacity_costs(book.capacity, uses, start_ms, until_ms)
    days = static_days(book.static, start_ms, until_ms)
    if arguments.json:
        period = {"from": instant_text(start_ms), "until": instant_text(until_ms)}
        within = sum(start_ms <= call.start_ms < until_ms for call in calls)
        told = {"book": book.id, **period, "calls": within, "capacity": [_as_json(one) for one in costs]}
        print(json.dumps({**told, "static": [{**one._asdict(), "pico": str(one.pico)} for one in days]}, indent=2))
    else:
        print(plain_line(f"{instant_text(start_ms)} until {instant_text(until_ms)}, by {book.id}"))
        _show(costs, days)
    if damage:
        print(f"otel-tokenomics book: {damage[0]}", file=sys.stderr)
    return 2 if damage else 0


def _book(settings: Settings, overrides: str | None) -> PriceBook:
    book = book_of(settings if overrides is None else replace(settings, pricebook_overrides=None))
    if overrides is not None:
        book = lay_over(book, overrides)
    if not book.capacity and not book.static:
        raise BadInputError(f"{overrides or book.id}: names no capacity and no static cost")
    return book


def _period(arguments: argparse.Namespace, calls: list[SpanCall]) -> tuple[int, int]:
    """Return from when until when (ms UTC), as asked for, else the days of the calls."""
    times = [call.start_ms for call in calls]
    if not times and (arguments.start is None or arguments.until is None):
        raise BadInputError(f"{', '.join(arguments.files)}: no model call: say --from and --until")
    start_ms = min(times) // MS_PER_DAY * MS_PER_DAY if arguments.start is None else _instant(arguments.start, "--from")
    until_ms = (
        (max(times) // MS_PER_DAY + 1) * MS_PER_DAY if arguments.until is None else _instant(arguments.until, "--until")
    )
    if start_ms >= until_ms:
        raise BadInputError(f"--until {instant_text(until_ms)} must be after --from {instant_text(start_ms)}")
    return start_ms, until_ms


def _instant(text: str, option: str) -> int:
    try:
        return instant(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text)
    except (ValueError, OverflowError):
        raise BadInputError(f"{option}: {text!r} is no day (YYYY-MM-DD) and no instant with its zone (...Z)") from None


def _as_json(one: CapacityCost) -> dict[str, Any]:
    return {
        "provider": one.capacity.provider,
        "ids": list(one.capacity.ids),
        "when": one.capacity.when,
        "kind": one.capacity.kind,
        "allocate": one.capacity.allocate,
        "hours": round(one.paid_ms / MS_PER_HOUR, 6),
        "calls": one.calls,
        "cost_pico": str(one.cost),
        "allocated_pico": None if one.allocated is None else str(one.allocated),
        "idle_pico": None if one.idle is None else str(one.idle),
        "idle_share": round(one.idle / one.cost, 6) if one.idle is not None and one.cost else None,
        "shares": [
            {
                "trace_id": share.trace_id,
                "span_id": share.span_id,
                "hour": instant_text(share.hour_ms),
                "pico": str(share.pico),
            }
            for share in one.shares
        ],
    }


def _show(costs: list[CapacityCost], days: list[StaticDay]) -> None:
    lines = [_HEAD, *(_cells(one) for one in costs)] if costs else []
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if costs:
        idle = sum(one.idle or 0 for one in costs)
        print(f"paid for capacity {money_text(sum(one.cost for one in costs))}, idle {money_text(idle)}")
    for name in dict.fromkeys(day.name for day in days):
        own = [day for day in days if day.name == name]
        counted = f"{len(own)} day{'' if len(own) == 1 else 's'}"
        print(f"static    {plain_line(name)}: {money_text(sum(day.pico for day in own))}, {counted}")


def _cells(one: CapacityCost) -> tuple[str, ...]:
    kind = one.capacity.kind if one.capacity.allocate == "capacity" else f"{one.capacity.kind}, {one.capacity.allocate}"
    return (
        _name(one.capacity), kind, f"{one.paid_ms / MS_PER_HOUR:,.2f}".rstrip("0").rstrip("."), f"{one.calls:,}",
        money_text(one.cost), "-" if one.allocated is None else money_text(one.allocated), _idle(one),
    )  # fmt: skip


def _name(one: Capacity) -> str:
    asks = f" [{when_text(one.when)}]" if one.when else ""
    # Of an ARN the resource: region and account are the same on every line.
    names = ", ".join(name.rpartition(":")[2] if name.startswith("arn:") else name for name in one.ids)
    return plain_line(f"{one.provider}/{names}{asks}")


def _idle(one: CapacityCost) -> str:
    if one.idle is None:
        return "-"
    share = f" ({100 * one.idle / one.cost:.1f} %)" if one.cost else ""
    return f"{money_text(one.idle)}{share}{', oversubscribed' if one.idle < 0 else ''}"
