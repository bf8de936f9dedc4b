"""Say why a call costs what it costs: which rule found the model, which row, date and tier, and what was rejected."""

from __future__ import annotations

import argparse
import json
from typing import Any

from otel_tokenomics.cli.main import console
from otel_tokenomics.cli.price import load_book
from otel_tokenomics.cli.usage_line import BadLineError, PricedLine, answer, parse, price_line
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricing import Explanation
from otel_tokenomics.pricing import explain as explain_cost
from otel_tokenomics.report.money_text import money_text
from otel_tokenomics.usage import Usage, pico_to_text


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
        entry = parse(arguments.line) if arguments.line else _entry(arguments)
        priced = price_line(book, entry)
    except BadLineError as error:
        raise BadInputError(str(error)) from None
    explanation = explain_cost(
        priced.book, priced.cost, priced.usage or Usage({}), priced.facts, priced.at_ms,
        provider=entry.get("provider"), model=entry.get("model"),
        request_model=entry.get("request_model"), host=entry.get("host"),
    )  # fmt: skip
    if arguments.json:
        print(json.dumps({**answer(1, priced), "explanation": _as_json(explanation)}, indent=2))
    else:
        _show(priced, explanation)
    return 0


def _entry(arguments: argparse.Namespace) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for key in ("provider", "host", "model", "request_model", "api"):
        if (value := getattr(arguments, key)) is not None:
            entry[key] = value
    if arguments.at is not None:
        entry["timestamp"] = arguments.at
    for key in ("usage", "units", "facts"):
        if (text := getattr(arguments, key)) is not None:
            try:
                entry[key] = parse(text)
            except BadLineError as error:
                raise BadInputError(f"--{key} {error}") from None
    if not entry:
        raise BadInputError("nothing to explain: give a line, or --provider, --model and --usage")
    return entry


def _as_json(explanation: Explanation) -> dict[str, Any]:
    return {
        "model_rule": explanation.model_rule,
        "tier": explanation.tier,
        "rows": [row._asdict() for row in explanation.rows],
    }


def _show(priced: PricedLine, explanation: Explanation) -> None:
    cost, out = priced.cost, console()
    from rich.table import Table

    total = money_text(cost.total) if cost.total is not None else cost.status
    out.print(f"[bold]{total}[/]  {cost.status}{f' ({cost.reason})' if cost.reason else ''}  {cost.sku or ''}")
    out.print(f"model  {cost.provider or '?'}/{cost.model or '?'}: {explanation.model_rule}")
    out.print(f"book   {cost.book}   basis {cost.basis or '-'}   flags {', '.join(cost.flags) or '-'}")
    if explanation.tier:
        out.print(f"tier   {explanation.tier}")
    bill = Table("unit", "count", "USD per million", "amount", "factor", box=None, pad_edge=False)
    for row in explanation.breakdown:
        rate = pico_to_text(row.rate_pico * 10**6)
        bill.add_row(row.unit, f"{row.count:,}", rate, money_text(row.amount_pico), row.factor or "")
    out.print(bill)
    rows = Table("", "row asks for", "from", "until", "why", box=None, pad_edge=False)
    for row in explanation.rows:
        asks = ", ".join(f"{key}={'|'.join(words)}" for key, words in row.when.items()) or "nothing"
        rows.add_row("->" if row.taken else "", asks, row.start or "", row.until or "", row.why)
    out.print(rows)
