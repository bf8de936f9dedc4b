"""A cost tree and a table of owners for the terminal; readable without colour, and at 80 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any, Final, NamedTuple, cast

from otel_tokenomics.attributes import names
from otel_tokenomics.cli.terminal import Signs, plain, signs
from otel_tokenomics.report.money_text import money_text
from otel_tokenomics.report.otlp_files import SpanRecord
from otel_tokenomics.report.tree import Node, Owner, is_unpriced, model_of, owners, tags, tokens, walk
from otel_tokenomics.usage import parse_usd

#: From this width on, notes stand in a column; below it they stand under the span.
_WIDE: Final = 110
_NUMBERS_WIDTH: Final = 38
_NOTES_WIDTH: Final = 24
_NOTES_BELOW: Final = 46
#: Room that is left for the name in the deepest level that is still indented.
_NAME_WIDTH: Final = 14
_BAR: Final = 10
#: Tags that name the owner come first.
_FIRST_TAGS: Final = ("team", "customer", "feature")
#: What an amount in pico-USD can hold.
_MAX_USD: Final = 9e6


class _Row(NamedTuple):
    """What one span needs of its surroundings: the signs before its name and before its children, its parent's tags."""

    node: Node
    lead: str
    below: str
    depth: int
    inherited: Mapping[str, str]


def show_tree(out: Any, trace: str, roots: list[Node], depth: int | None = None) -> None:
    """Print one trace: a row per span with tokens, own and inclusive cost, and what is to be noted."""
    from rich.table import Table

    out.print(f"trace {trace[:8]}  {_headline(roots)}", style="bold")
    wide = out.width >= _WIDE
    room = max(out.width - _NUMBERS_WIDTH - (_NOTES_WIDTH if wide else 0), 24)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("span", no_wrap=True, max_width=room)
    for title in ("in", "out", "own", "inclusive"):
        table.add_column(title, justify="right", no_wrap=True)
    if wide:
        table.add_column("tags, model, state", overflow="fold")
    drawn, deepest = signs(), max((room - _NAME_WIDTH) // 3, 1)
    stack = [_Row(root, "", "", 0, {}) for root in reversed(roots)]
    while stack:
        row = stack.pop()
        shown = row.node.children if depth is None or row.depth < depth else []
        name, notes = _name(row, deepest), _notes(row)
        if not wide:
            lead = row.below + (drawn.pipe if shown else "   ")
            name = "\n".join(
                [name, *textwrap.wrap(notes, min(room, _NOTES_BELOW), initial_indent=lead, subsequent_indent=lead)]
            )
        table.add_row(name, *_numbers(row.node), *([notes] if wide else []))
        stack.extend(reversed(_children(row, shown, drawn, deepest)))
    out.print(table)


def _headline(roots: list[Node]) -> str:
    """Return what a trace cost as far as it is known; an amount only where there is one."""
    unpriced = sum(root.unpriced for root in roots)
    note = f"{unpriced} unpriced call{'s' if unpriced > 1 else ''}" if unpriced else ""
    if all(node.own is None for root in roots for _, node in walk(root)):
        return note or "no model call"
    return money_text(sum(root.inclusive for root in roots)) + (f", and {note}" if note else "")


def _name(row: _Row, deepest: int) -> str:
    if row.depth <= deepest:
        return f"{row.lead}{plain(row.node.span.name)}"
    return f"{row.lead}({row.depth} deep) {plain(row.node.span.name)}"


def _children(row: _Row, shown: list[Node], drawn: Signs, deepest: int) -> list[_Row]:
    own = tags(row.node.span)
    deep = row.depth >= deepest
    return [
        _Row(
            child,
            row.lead if deep else row.below + (drawn.last if child is shown[-1] else drawn.branch),
            row.below if deep else row.below + ("   " if child is shown[-1] else drawn.pipe),
            row.depth + 1,
            own,
        )
        for child in shown
    ]


def _numbers(node: Node) -> tuple[Any, ...]:
    from rich.text import Text

    span = node.span
    unpriced = Text("unpriced", style="yellow") if is_unpriced(span) else ""
    return (
        _count(tokens(span, "input")),
        _count(tokens(span, "output")),
        money_text(node.own) if node.own is not None else unpriced,
        money_text(node.inclusive) if node.children and node.inclusive else "",
    )


def _count(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _notes(row: _Row) -> str:
    """Return what a reader must know beside the numbers: new tags, the model where the name hides it, the state."""
    span, own = row.node.span, tags(row.node.span)
    ordered = [key for key in _FIRST_TAGS if key in own] + sorted(own.keys() - set(_FIRST_TAGS))
    model = model_of(span)
    groups = [
        "(broken parent link)" if span.parent_id and row.depth == 0 else "",
        " ".join(plain(f"{key}={own[key]}") for key in ordered if row.inherited.get(key) != own[key]),
        plain(model) if model not in span.name else "",
        " ".join(_state(span)),
    ]
    return "  ".join(filter(None, groups))


def _state(span: SpanRecord) -> list[str]:
    attributes = span.attributes
    status, end = attributes.get(names.TOKENOMICS_COST_STATUS), attributes.get(names.TOKENOMICS_CALL_END)
    words = [status] if status not in (None, "priced", "unpriced") else []
    words += [attributes.get(names.TOKENOMICS_COST_REASON)] + ([end] if end != "completed" else [])
    return [plain(word) for word in (*words, *_doubts(attributes)) if word]


def _doubts(attributes: Mapping[str, object]) -> list[str]:
    """Return the flags of a cost; where the provider's bill and our figure disagree, ours too."""
    flags = attributes.get(names.TOKENOMICS_COST_FLAGS)
    words = [str(flag) for flag in cast("list[object]", flags)] if isinstance(flags, list) else []
    ours = attributes.get(names.TOKENOMICS_COST_COMPUTED)
    if "price_conflict" in words and isinstance(ours, (int, float)) and math.isfinite(ours) and 0 <= ours < _MAX_USD:
        words[words.index("price_conflict")] = f"price_conflict (ours {money_text(parse_usd(ours))})"
    return words


def show_owners(out: Any, spans: Iterable[SpanRecord]) -> None:
    """Print calls, tokens and cost by team, customer and model, with the sums of each; unpriced calls as such."""
    from rich.table import Table

    rows = owners(spans)
    total, bar = _sum(rows), _BAR if out.width >= _WIDE else 0
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("team, customer, model", no_wrap=True)
    for title in ("calls", "in", "out", "cost", "unpriced"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True)
    for team, in_team in _by(rows, lambda row: row.team):
        table.add_row(plain(team or "(no team)"), *_figures(_sum(in_team), total, bar), style="bold")
        for customer, of_customer in _by(in_team, lambda row: row.customer):
            table.add_row(f"  {plain(customer or '(no customer)')}", *_figures(_sum(of_customer), total, bar))
            for row in of_customer:
                table.add_row(f"    {plain(row.model)}", *_figures(row, total, 0)[:-1])
    table.add_row("total", *_figures(total, total, bar), style="bold")
    out.print(table)


def _by(rows: list[Owner], key: Callable[[Owner], str]) -> list[tuple[str, list[Owner]]]:
    """Return rows grouped by a key, the dearest group first."""
    groups = [(name, list(group)) for name, group in groupby(sorted(rows, key=key), key)]
    return sorted(groups, key=lambda group: (-_sum(group[1]).cost, group[0]))


def _sum(rows: list[Owner]) -> Owner:
    columns = ((row.calls, row.input, row.output, row.cost, row.unpriced) for row in rows)
    return Owner("", "", "", *(sum(column) for column in zip(*columns, strict=True)))


def _figures(row: Owner, total: Owner, bar: int) -> tuple[str, ...]:
    cost = money_text(row.cost) if row.calls > row.unpriced else "unpriced"
    part = row.cost / total.cost if total.cost > 0 else 0
    return (
        str(row.calls), f"{row.input:,}", f"{row.output:,}", cost, str(row.unpriced) if row.unpriced else "",
        f"{100 * part:3.0f} % {signs().bar * round(bar * part)}",
    )  # fmt: skip
