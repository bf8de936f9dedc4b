"""The command ``otel-tokenomics``: finds the command's module by name and imports no other."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

from otel_tokenomics.errors import TokenomicsError

#: command -> what it is for; its module is ``otel_tokenomics.cli.<command>``.
COMMANDS: Final = {
    "demo": "show a priced agent trace on the real clients, with no account",
    "price": "price raw provider usage: JSON lines in, cost with provenance out",
    "explain": "say which rule, row and date a price rests on, and what was rejected",
    "models": "list the models of the price book with their rates",
    "trace": "show the cost tree of a trace, from an OTLP file",
    "doctor": "say what would be patched, what was found beside us, which book, which exporter",
}


def parser() -> argparse.ArgumentParser:
    """Return the top-level parser."""
    top = argparse.ArgumentParser("otel-tokenomics", description="LLM cost for OpenTelemetry, at the terminal.")
    listed = "\n".join(f"  {name:9s} {text}" for name, text in COMMANDS.items())
    top.formatter_class = argparse.RawDescriptionHelpFormatter
    top.epilog = f"commands:\n{listed}\n\n`otel-tokenomics COMMAND -h` tells a command's options."
    top.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", help="one of those below")
    top.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return top


def command_parser(name: str) -> tuple[argparse.ArgumentParser, Any]:
    """Return a command's parser and its module."""
    module = importlib.import_module(f"otel_tokenomics.cli.{name}")
    made = argparse.ArgumentParser(f"otel-tokenomics {name}", description=module.__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    module.add_arguments(made)
    made.add_argument("--json", action="store_true", help="machine-readable output")
    return made, module


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0, 1 where a check failed, 2 for bad input."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--write-reference"]:
        Path(given[1]).write_text(reference(), encoding="utf-8")
        return 0
    top = parser()
    if not given:
        top.print_help()
        return 2
    chosen = top.parse_args(given[:1])
    made, module = command_parser(chosen.command)
    try:
        code = module.run(made.parse_args(given[1:]))
        # A reader that has gone shows here, not when the interpreter ends.
        sys.stdout.flush()
        return code
    except TokenomicsError as error:
        print(f"otel-tokenomics {chosen.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has gone (`| head`): nothing is left to be said on standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def console() -> Any:
    """Return rich's console; raise TokenomicsError saying how to install it where it is missing."""
    try:
        from rich.console import Console
    except ImportError:
        raise TokenomicsError("tables need rich: pip install 'otel-tokenomics[cli]', or use --json") from None
    width = None if sys.stdout.isatty() else 118
    return Console(width=width, highlight=False, soft_wrap=False)


def reference() -> str:
    """Return docs/reference/cli.md: the help of every command."""
    os.environ["COLUMNS"] = "100"
    lines = ["# Command line", "", "<!-- GENERATED from the commands' help; `make generate` writes it anew. -->", ""]
    for name in COMMANDS:
        text = io.StringIO()
        with redirect_stdout(text):
            command_parser(name)[0].print_help()
        lines += [f"## otel-tokenomics {name}", "", "```", text.getvalue().rstrip(), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
