"""List the calls in OTLP files that have no price, or only a lower bound of one, by reason, with the fix to paste.

Prices that bear a flag follow, by flag. What a span says of itself (`tokenomics.cost.status`) counts; a span without it
is priced with the book in use.
--json holds, as `overlay`, one overlay for all that an overlay can close: fill in the ids and rates, then `book check`.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import chain
from pathlib import Path
from typing import Final

from otel_tokenomics.cli.terminal import plain_line
from otel_tokenomics.config import Settings
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricebook_source import book_of
from otel_tokenomics.report.otlp_files import read_spans
from otel_tokenomics.report.span_prices import calls_of
from otel_tokenomics.report.unpriced import Doubt, UnpricedReport, unpriced_report

#: Most calls come first; names may be as many as somebody invents.
_SHOWN: Final = 40
#: Flags are doubts, not gaps: fewer models of each.
_FLAGGED: Final = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="OTLP file, or directory of the local receiver")


def run(arguments: argparse.Namespace) -> int:
    """List the gaps; return 2 where a file is damaged, after what could be read."""
    settings, damage = Settings.resolve(), list[BadInputError]()
    book = book_of(settings)
    spans = chain.from_iterable(read_spans(Path(name), damage.append) for name in arguments.files)
    report = unpriced_report(calls_of(spans, settings), book, settings.unknown_host)
    if not report.calls and not damage:
        raise BadInputError(f"{', '.join(arguments.files)}: no model call")
    if arguments.json:
        found = {"book": book.id, "calls": report.calls, "tokens": report.tokens, "overlay": report.overlay}
        lists = {"gaps": report.gaps, "doubts": report.doubts}
        print(json.dumps({**found, **{key: [one._asdict() for one in lists[key]] for key in lists}}, indent=2))
    elif report.calls:
        _show(report, book.id)
    if damage:
        print(f"otel-tokenomics book: {damage[0]}", file=sys.stderr)
    return 2 if damage else 0


def _show(report: UnpricedReport, book: str) -> None:
    print(f"{report.calls:,} calls, {report.tokens:,} tokens; where a span has no verdict, by {book}")
    for status in ("unpriced", "partial"):
        gaps = [gap for gap in report.gaps if gap.status == status]
        calls, tokens = sum(gap.calls for gap in gaps), sum(gap.tokens for gap in gaps)
        print(f"{status}: {_share(calls, report.calls)} of calls, {_share(tokens, report.tokens)} of tokens")
        for gap in gaps[:_SHOWN]:
            name = f"{gap.provider or '?'}/{gap.model or '?'}"
            print(f"  {gap.calls:,} x {plain_line(name)}: {gap.reason}, {gap.tokens:,} tokens")
            print(f"    fix: {plain_line(gap.fix)}")
        if len(gaps) > _SHOWN:
            print(f"  ... and {len(gaps) - _SHOWN} more models: --json shows them")
    flags: dict[str, list[Doubt]] = {}
    for doubt in report.doubts:
        flags.setdefault(doubt.flag, []).append(doubt)
    for flag, doubts in flags.items():
        calls, tokens = sum(doubt.calls for doubt in doubts), sum(doubt.tokens for doubt in doubts)
        shares = f"{_share(calls, report.calls)} of calls, {_share(tokens, report.tokens)} of tokens"
        print(f"flag {plain_line(flag)}: {shares}")
        for doubt in doubts[:_FLAGGED]:
            name = f"{doubt.provider or '?'}/{doubt.model or '?'}"
            print(f"  {doubt.calls:,} x {plain_line(name)}")
        if doubts[0].fix:
            print(f"    fix: {plain_line(doubts[0].fix)}")
    if report.overlay:
        print("\none overlay for what an overlay can close; fill in ids and rates, then `otel-tokenomics book check`:")
        print(json.dumps(report.overlay, indent=1))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} % ({part:,})" if whole else "none"
