"""Say why a call costs what it costs: which rule found the model, which row, date and tier, and what was rejected."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from otel_tokenomics.cli.price import load_book
from otel_tokenomics.cli.terminal import console, plain, plain_line
from otel_tokenomics.cli.usage_line import BadLineError, PricedLine, answer, parse, price_line
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricing import Cost, Explanation
from otel_tokenomics.pricing import explain as explain_cost
from otel_tokenomics.report.fixes import Asked, capacity_to_write, doubt_of, fix_of, nearest
from otel_tokenomics.report.money_text import money_text
from otel_tokenomics.usage import Usage, pico_to_text

_TEXTS: Final = ("provider", "host", "model", "request_model", "api")
_OBJECTS: Final = ("usage", "units", "facts")
_WIDE: Final = 100
#: Two sources and the day on which one was last verified; more of them fold.
_SOURCE: Final = 36


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("line", nargs="?", help="one object as `price` reads it; or say it with the options")
    parser.add_argument("--provider", help="who bills")
    parser.add_argument("--host", help="host that was called")
    parser.add_argument("--model", help="model that answered")
    parser.add_argument("--request-model", help="model asked for")
    parser.add_argument("--api", help="wire format of the usage object")
    parser.add_argument("--usage", metavar="JSON", help="usage object as the provider returned it")
    parser.add_argument("--units", metavar="JSON", help='counts by unit, such as {"input": 1000}')
    parser.add_argument("--facts", metavar="JSON", help='such as {"service_tier": "flex"}')
    parser.add_argument("--at", metavar="INSTANT", help="start of the call, RFC 3339; now where it is not said")
    parser.add_argument("--book", metavar="FILE", help="price book to use instead of the embedded one")
    parser.add_argument("--overrides", metavar="FILE", help="overlay: own prices, discounts, aliases")


def run(arguments: argparse.Namespace) -> int:
    """Explain one price."""
    book = load_book(arguments)
    try:
        entry = _entry(arguments)
        priced = price_line(book, entry)
    except BadLineError as error:
        # A timestamp was given as --at, unless a line said it.
        said = str(error) if arguments.line else str(error).replace("timestamp: ", "--at: ", 1)
        raise BadInputError(said) from None
    explanation = explain_cost(
        priced.book, priced.cost, priced.usage or Usage({}), priced.facts, priced.at_ms,
        provider=entry.get("provider"), model=priced.entry.get("model"),
        request_model=entry.get("request_model"), host=entry.get("host"),
    )  # fmt: skip
    result = answer(1, priced)
    if arguments.json:
        print(json.dumps({**result, "explanation": _as_json(explanation, priced)}, indent=2))
    else:
        _show(priced, explanation, result["at"])
    return 0


def _entry(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.line is not None:
        options = [key for key in (*_TEXTS, *_OBJECTS, "at") if getattr(arguments, key) is not None]
        if options:
            raise BadInputError(f"--{options[0].replace('_', '-')}: a line was given too; say it in one of them")
        return parse(arguments.line)
    entry: dict[str, Any] = {key: value for key in _TEXTS if (value := getattr(arguments, key)) is not None}
    if arguments.at is not None:
        entry["timestamp"] = arguments.at
    for key in _OBJECTS:
        if (text := getattr(arguments, key)) is not None:
            try:
                entry[key] = parse(text)
            except BadLineError as error:
                raise BadInputError(f"--{key}: {error}") from None
    if not entry:
        raise BadInputError("nothing to explain: give a line, or --provider, --model and --usage")
    return entry


def _as_json(explanation: Explanation, priced: PricedLine) -> dict[str, Any]:
    return {
        "model_rule": explanation.model_rule,
        "names_tried": [name._asdict() for name in explanation.names],
        "suggestions": _suggestions(priced),
        "tier": explanation.tier,
        "rows": [row._asdict() for row in explanation.rows],
    }


def _suggestions(priced: PricedLine) -> list[str]:
    """Return what would give a call a full price: who bills, or the lines to write into an overlay."""
    cost, entry = priced.cost, priced.entry
    asked = Asked(
        entry.get("provider"), str(entry.get("model") or entry.get("request_model") or ""), entry.get("host"),
        [unit for unit, count in priced.usage.counts.items() if count] if priced.usage else (), priced.at_ms,
    )  # fmt: skip
    if cost.status not in ("unpriced", "partial"):
        return [fix.line for flag in cost.flags if (fix := doubt_of(priced.book, flag, cost, asked)).text]
    if cost.reason == "no_usage":
        return []
    fix = fix_of(priced.book, cost, cost.reason or "", asked)
    if cost.reason != "unknown_model":
        return [fix.line] if fix.text else []
    where = "OTEL_TOKENOMICS_PRICEBOOK_OVERRIDES, or --overrides here, names the overlay"
    if cost.provider is not None and priced.book.providers[cost.provider].kind == "self_hosted":
        capacity = json.dumps(capacity_to_write(cost.provider, asked.model))
        return [fix.line, f"or by the GPU-hour, with the tokens per second that you measured: {capacity}", where]
    names = nearest(priced.book, asked.model, cost.provider)
    found = f"the nearest ids: {', '.join(names)}; " if names else ""
    return [
        fix.line,
        *([where] if fix.overlay else []),
        f"{found}`otel-tokenomics models WORD` finds the id that the book has",
    ]


def _show(priced: PricedLine, explanation: Explanation, at: str) -> None:
    cost, out = priced.cost, console()
    from rich.table import Table

    total = f"{money_text(cost.total)}  " if cost.total is not None else ""
    reason = f" ({cost.reason})" if cost.reason else ""
    out.print(f"{total}{cost.status}{reason}  {plain(cost.sku or '')}", style="bold")
    out.print(f"call   at {at}, read with {cost.book}, basis {cost.basis or '-'}, flags {', '.join(cost.flags) or '-'}")
    out.print(f"model  {plain(cost.provider or '?')}/{plain(cost.model or '?')}: {explanation.model_rule}")
    if len(explanation.names) > 1 or cost.model is None:
        for name in explanation.names:
            found = "in the book" if name.found else "not in the book"
            out.print(f"       {name.step}: {plain(name.name)} is {found}")
    for suggestion in _suggestions(priced):
        out.print(f"fix    {plain_line(suggestion)}")
    if explanation.tier:
        out.print(f"tier   {explanation.tier}")
    if cost.source == "provider":
        out.print(f"stated by the provider: that is the price; ours would be {_compared(cost)}")
    if explanation.breakdown:
        bill = Table("unit", box=None, pad_edge=False)
        for title in ("count", "USD per million", "amount", "factor"):
            bill.add_column(title, justify="right")
        for row in explanation.breakdown:
            rate = pico_to_text(row.rate_pico * 10**6)
            bill.add_row(row.unit, f"{row.count:,}", rate, money_text(row.amount_pico), row.factor or "")
        out.print()
        out.print(bill)
    if explanation.rows:
        sources = {entry["id"]: entry["name"] for entry in priced.book.written()[0].get("sources", ())}
        titles = ("", "row asks for", "in force", "why", *(["source"] if out.width >= _WIDE else []))
        rows = Table(box=None, pad_edge=False)
        for title in titles:
            rows.add_column(title, overflow="fold", max_width=_SOURCE if title == "source" else None)
        for row in explanation.rows:
            asks = ", ".join(f"{key}={'|'.join(words)}" for key, words in row.when.items()) or "nothing"
            seen = f" ({row.verified})" if row.verified else ""
            source = ", ".join(sources.get(key, key) for key in row.sources) + seen
            cells = ("->" if row.taken else "", asks, _in_force(row.start, row.until), row.why, source)
            rows.add_row(*cells[: len(titles)])
        out.print()
        out.print(rows)


def _compared(cost: Cost) -> str:
    """Return our figure beside the provider's, and how far it lies from that."""
    if cost.computed is None or cost.total is None:
        return "unknown"
    if cost.computed == cost.total:
        return f"{money_text(cost.computed)}, the same"
    share = f" ({100 * (cost.computed - cost.total) / cost.total:+.2f} %)" if cost.total else ""
    verdict = "; more than 1 % apart: price_conflict" if "price_conflict" in cost.flags else ""
    return money_text(cost.computed) + share + verdict


def _in_force(start: str | None, until: str | None) -> str:
    """Return a row's dates; midnight is left out."""
    first, end = ((instant or "").removesuffix("T00:00:00Z") for instant in (start, until))
    return " ".join(filter(None, (f"from {first}" if first else "", f"until {end}" if end else ""))) or "always"
