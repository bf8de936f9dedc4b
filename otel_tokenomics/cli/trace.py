"""Show the cost tree of a trace, from an OTLP file or a directory that the local receiver wrote.

The file is protobuf (length-delimited, or one request alone) or JSON (one request, or one per line), packed with gzip
or not. What is damaged is named, and the rest is shown.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any, Final

from otel_tokenomics.attributes import names
from otel_tokenomics.cli.terminal import console
from otel_tokenomics.cli.tree_view import show_tree
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.report.otlp_files import read_spans
from otel_tokenomics.report.tree import Node, traces, walk
from otel_tokenomics.usage import pico_to_text

#: Names that the registry knows: a foreign span may carry prompts under others, and they are nobody's business here.
_KNOWN: Final = frozenset(value for name, value in vars(names).items() if name.isupper() and isinstance(value, str))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", metavar="FILE", help="OTLP file, or directory of the local receiver")
    parser.add_argument("--trace-id", metavar="ID", help="one trace; the beginning of its id is enough")
    parser.add_argument("--last", action="store_true", help="the newest trace only")
    parser.add_argument("--depth", metavar="N", type=int, help="show so many levels below the root; all without it")


def run(arguments: argparse.Namespace) -> int:
    """Show the traces; return 2 where the file is damaged, after what could be read."""
    damage: list[BadInputError] = []
    found = traces(read_spans(Path(arguments.path), damage.append))
    if not found and not damage:
        raise BadInputError(f"{arguments.path}: holds no span")
    if arguments.trace_id:
        found = {trace: roots for trace, roots in found.items() if trace.startswith(arguments.trace_id.lower())}
        if not found and not damage:
            raise BadInputError(f"{arguments.path}: no trace {arguments.trace_id!r}")
    if arguments.last and found:
        found = dict([list(found.items())[-1]])
    if arguments.json:
        print(json.dumps([_as_json(trace, roots, arguments.depth) for trace, roots in found.items()], indent=2))
    elif found:
        out = console()
        for trace, roots in found.items():
            show_tree(out, trace, roots, arguments.depth)
    if damage:
        more = f" (and {len(damage) - 1} more)" if len(damage) > 1 else ""
        print(f"otel-tokenomics trace: {damage[0]}{more}", file=sys.stderr)
    return 2 if damage else 0


def _as_json(trace: str, roots: list[Node], depth: int | None) -> dict[str, Any]:
    """Return a trace with its spans in the order of the tree: flat, because a tree may be deeper than JSON can be."""
    return {
        "trace_id": trace,
        "total": pico_to_text(sum(root.inclusive for root in roots)),
        "unpriced_calls": sum(root.unpriced for root in roots),
        "spans": [
            _span(level, node) for root in roots for level, node in walk(root) if depth is None or level <= depth
        ],
    }


def _span(level: int, node: Node) -> dict[str, Any]:
    span = node.span
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "depth": level,
        "name": span.name,
        "own": None if node.own is None else pico_to_text(node.own),
        "inclusive": pico_to_text(node.inclusive),
        "unpriced_calls": node.unpriced,
        "attributes": {
            key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in span.attributes.items()
            if key in _KNOWN or key.startswith(names.TOKENOMICS_TAG_PREFIX)
        },
    }
