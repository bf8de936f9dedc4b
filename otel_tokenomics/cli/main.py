"""The command ``otel-tokenomics``: finds the command's module by name and imports no other."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from otel_tokenomics.errors import TokenomicsError
from otel_tokenomics.version import __version__

#: command -> what it is for; its module is ``otel_tokenomics.cli.<command>``.
COMMANDS: Final = {
    "demo": "show a priced agent trace on the real clients, with no account",
    "price": "price raw provider usage: JSON lines in, cost with provenance out",
    "explain": "say which rule, row and date a price rests on, and what was rejected",
    "models": "list the models of the price book with their rates",
    "book": "show, check and compare price books and own prices",
    "trace": "show the cost tree of a trace, from an OTLP file",
    "doctor": "import each client, say whether its calls are seen and who else watches them, which book and exporter",
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every error of ours."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; `{self.prog} -h` lists what there is\n")


def parser() -> argparse.ArgumentParser:
    """Return the top-level parser."""
    top = _Parser("otel-tokenomics", description="LLM cost for OpenTelemetry, at the terminal.")
    listed = "\n".join(f"  {name:9s} {text}" for name, text in COMMANDS.items())
    top.formatter_class = argparse.RawDescriptionHelpFormatter
    top.epilog = f"commands:\n{listed}\n\n`otel-tokenomics COMMAND -h` tells a command's options."
    top.add_argument("--version", action="store_true", help="say which version this is and exit")
    top.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", help="one of those below")
    return top


def command_parser(name: str) -> tuple[argparse.ArgumentParser, Any]:
    """Return a command's parser and its module."""
    module = importlib.import_module(f"otel_tokenomics.cli.{name}")
    made = _Parser(f"otel-tokenomics {name}", description=module.__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    module.add_arguments(made)
    for one in _all_parsers(made):
        # A command below another one must not put its own "not given" in the place of what was given above.
        default = False if one is made else argparse.SUPPRESS
        one.add_argument("--json", action="store_true", default=default, help="machine-readable output")
    return made, module


def _all_parsers(made: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return a command's parser and those of the commands below it."""
    actions: list[Any] = made._actions  # noqa: SLF001  # argparse has no other way to what was added
    below: list[dict[str, argparse.ArgumentParser]] = [
        cast("Any", action.choices) for action in actions if isinstance(action.choices, dict)
    ]
    return [made, *(parser for choices in below for parser in choices.values())]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0, 1 where a check failed, 2 for bad input."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--write-reference"]:
        Path(given[1]).write_text(reference(), encoding="utf-8")
        return 0
    if given[:1] == ["--version"]:
        print(f"otel-tokenomics {__version__}")
        return 0
    top = parser()
    if not given:
        top.print_help()
        return 2
    command = top.parse_args(given[:1]).command
    # A name that the terminal cannot show is shown as far as it can be, and is no crash.
    reconfigure: Any = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    try:
        made, module = command_parser(command)
        code = module.run(made.parse_args(given[1:]))
        # A reader that has gone shows here, not when the interpreter ends.
        sys.stdout.flush()
        return code
    except TokenomicsError as error:
        print(f"otel-tokenomics {command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has gone (`| head`): nothing is left to be said on standard output.
        _leave_stdout()
        return 0
    except OSError as error:
        # A full disk, no folder for temporary files.
        _leave_stdout()
        print(f"otel-tokenomics {command}: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"otel-tokenomics {command}: interrupted", file=sys.stderr)
        return 130


def _leave_stdout() -> None:
    """Send what is still buffered nowhere: the interpreter would fail over it once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reference() -> str:
    """Return docs/reference/cli.md: the help of every command."""
    lines = ["# Command line", "", "<!-- GENERATED from the commands' help; `make generate` writes it anew. -->", ""]
    for name in COMMANDS:
        for shown in _all_parsers(command_parser(name)[0]):
            text = io.StringIO()
            shown.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=98)  # pyright: ignore[reportAttributeAccessIssue]
            with redirect_stdout(text):
                shown.print_help()
            lines += [f"## {shown.prog}", "", "```", text.getvalue().rstrip(), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
