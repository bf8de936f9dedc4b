"""A cost tree and a table of owners for the terminal; readable without colour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from otel_tokenomics.attributes import names
from otel_tokenomics.report.money_text import money_text
from otel_tokenomics.report.otlp_files import SpanRecord
from otel_tokenomics.report.tree import Node, is_unpriced, owners, tag

_BRANCH, _LAST, _PIPE, _SPACE = "├─ ", "└─ ", "│  ", "   "


def show_tree(out: Any, trace: str, roots: list[Node]) -> None:
    """Print one trace: a row per span with tokens, own and inclusive cost, owner and state."""
    from rich.table import Table

    total = sum(root.inclusive for root in roots)
    unpriced = sum(root.unpriced for root in roots)
    note = f", {unpriced} unpriced call{'s' if unpriced > 1 else ''}" if unpriced else ""
    out.print(f"[bold]trace {trace[:8]}  {money_text(total)}[/]{note}")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("span", no_wrap=True)
    for title in ("in", "out", "own", "inclusive"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("team / customer", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for root in roots:
        _rows(table, root, "", "")
    out.print(table)


def _rows(table: Any, node: Node, lead: str, below: str) -> None:
    stack = [(node, lead, below)]
    while stack:
        current, lead, below = stack.pop()
        span = current.span
        own = money_text(current.own) if current.own is not None else "unpriced" if is_unpriced(span) else ""
        inclusive = money_text(current.inclusive) if current.children and current.inclusive else ""
        table.add_row(
            f"{lead}{span.name}", _tokens(span, names.GEN_AI_USAGE_INPUT_TOKENS),
            _tokens(span, names.GEN_AI_USAGE_OUTPUT_TOKENS), own, inclusive,
            " / ".join(filter(None, (tag(span, "team"), tag(span, "customer")))), _state(span),
        )  # fmt: skip
        children = [
            (child, below + (_LAST if last else _BRANCH), below + (_SPACE if last else _PIPE))
            for child, last in zip(current.children, _lasts(len(current.children)), strict=True)
        ]
        stack.extend(reversed(children))


def _lasts(count: int) -> Iterable[bool]:
    return (index == count - 1 for index in range(count))


def _tokens(span: SpanRecord, key: str) -> str:
    value = span.attributes.get(key)
    return f"{value:,}" if isinstance(value, int) else ""


def _state(span: SpanRecord) -> str:
    status = span.attributes.get(names.TOKENOMICS_COST_STATUS)
    if status is None:
        return ""
    words = [str(status)] if status not in ("priced", "unpriced") else []
    reason, end = span.attributes.get(names.TOKENOMICS_COST_REASON), span.attributes.get(names.TOKENOMICS_CALL_END)
    if reason:
        words.append(str(reason))
    if end not in (None, "completed"):
        words.append(str(end))
    return " ".join(words)


def show_owners(out: Any, spans: Iterable[SpanRecord]) -> None:
    """Print calls, tokens and cost by team, customer and model; unpriced calls as such."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("team", "customer", "model"):
        table.add_column(title, no_wrap=True)
    for title in ("calls", "in", "out", "cost"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("unpriced", justify="right")
    for row in owners(spans):
        cost = money_text(row.cost) if row.calls > row.unpriced else "unpriced"
        table.add_row(
            row.team, row.customer, row.model, str(row.calls), f"{row.input:,}", f"{row.output:,}", cost,
            str(row.unpriced) if row.unpriced else "",
        )  # fmt: skip
    out.print(table)
