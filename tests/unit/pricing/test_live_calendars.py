"""Prices by the time of day in the live book: at every edge of a fortnight the row of the hour, by Python's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from otel_tokenomics.pricing import load_embedded, price
from otel_tokenomics.usage import NO_FACTS, Usage

BOOK = load_embedded()
CALENDARS: dict[str, Any] = BOOK.written()[0]["calendars"]
MODELS = {
    f"{entry['p']}/{entry['id']}": entry
    for entry in BOOK.written()[1].values()
    if any("calendar" in row.get("when", {}) for row in entry["rows"])
}


def holds(calendar: dict[str, Any], at: datetime) -> bool:
    """Say it by Python's own dates and clock texts."""
    if at.isoweekday() not in calendar.get("weekdays", range(1, 8)):
        return False
    if at.strftime("%Y-%m-%d") in calendar.get("except_dates", ()):
        return False
    clock = at.strftime("%H:%M:%S.%f")
    return any(start <= clock < end for start, end in calendar["windows"])


def in_force(rows: list[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
    text = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    dates = [
        (row.get("from", "").replace("Z", ".000000Z"), row.get("until", "9").replace("Z", ".000000Z")) for row in rows
    ]
    return [row for row, (start, until) in zip(rows, dates, strict=True) if start <= text < until]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_edge_of_a_fortnight(name: str) -> None:
    entry = MODELS[name]
    edges = {f"{hour:02}:{minute}" for hour in range(24) for minute in ("00", "30")}
    # Two weeks around each tariff's start and the holiday: weekends, working days and a day without a peak.
    starts = [datetime.fromisoformat(row["from"]) for row in entry["rows"] if "from" in row]
    days = [day + timedelta(days=n) for day in (*starts, datetime(2026, 9, 28, tzinfo=UTC)) for n in range(-3, 11)]
    dear = cheap = 0
    for day in days:
        for edge in edges:
            hour, minute = map(int, edge.split(":"))
            for beside in (timedelta(milliseconds=-1), timedelta(0)):
                at = day.replace(hour=hour, minute=minute, second=0, microsecond=0) + beside
                rows = in_force(entry["rows"], at)
                by_hour = [row for row in rows if row.get("when") and holds(CALENDARS[row["when"]["calendar"][0]], at)]
                chosen = by_hour or [row for row in rows if "when" not in row]
                at_ms = round(at.timestamp() * 1000)
                cost = price(BOOK, entry["p"], entry["id"], Usage({"input": 1, "output": 1}), NO_FACTS, at_ms)
                if not chosen:
                    assert cost.reason == "no_row_for_date", at
                    continue
                rates = max(chosen, key=lambda row: row.get("from", ""))["rates"]
                assert cost.total == rates["input"] + rates["output"], at
                dear, cheap = dear + bool(by_hour), cheap + (not by_hour)
    assert dear
    assert cheap
