"""Show the cost tree of a trace, from an OTLP file (protobuf or JSON) or a directory that the local receiver wrote."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from otel_tokenomics.cli.main import console
from otel_tokenomics.cli.tree_view import show_tree
from otel_tokenomics.errors import BadInputError
from otel_tokenomics.report.otlp_files import SpanRecord, read_spans
from otel_tokenomics.report.tree import Node, traces
from otel_tokenomics.usage import pico_to_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", metavar="FILE", help="OTLP file, or directory of the local receiver")
    parser.add_argument("--trace-id", metavar="ID", help="one trace; the beginning of its id is enough")
    parser.add_argument("--last", action="store_true", help="the newest trace only")


def run(arguments: argparse.Namespace) -> int:
    """Show the traces; return 2 where the file is damaged, after what could be read."""
    spans: list[SpanRecord] = []
    damage: BadInputError | None = None
    try:
        spans.extend(read_spans(Path(arguments.path)))
    except BadInputError as error:
        damage = error
    except OSError as error:
        damage = BadInputError(f"{arguments.path}: cannot be read: {error.strerror}")
    found = traces(spans)
    if arguments.trace_id:
        found = {trace: roots for trace, roots in found.items() if trace.startswith(arguments.trace_id.lower())}
        if not found and damage is None:
            raise BadInputError(f"{arguments.path}: no trace {arguments.trace_id!r}")
    if arguments.last and found:
        found = dict([list(found.items())[-1]])
    if arguments.json:
        print(json.dumps({trace: [_as_json(root) for root in roots] for trace, roots in found.items()}, indent=2))
    elif found:
        out = console()
        for trace, roots in found.items():
            show_tree(out, trace, roots)
    if damage is not None:
        print(f"otel-tokenomics trace: {damage}", file=sys.stderr)
        return 2
    return 0


def _as_json(node: Node) -> dict[str, Any]:
    span = node.span
    return {
        "span_id": span.span_id,
        "name": span.name,
        "own": None if node.own is None else pico_to_text(node.own),
        "inclusive": pico_to_text(node.inclusive),
        "unpriced_calls": node.unpriced,
        "attributes": span.attributes,
        "children": [_as_json(child) for child in node.children],
    }
