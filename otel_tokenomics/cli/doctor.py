"""Import each installed client and say whether its calls are seen, who else watches them, which book and exporter."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from otel_tokenomics import _api
from otel_tokenomics.cli import terminal
from otel_tokenomics.config import Settings
from otel_tokenomics.config.settings_table import OPTIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments (none of its own)."""
    del parser


def run(arguments: argparse.Namespace) -> int:
    """Report; return 1 where something needs a hand."""
    if arguments.json:
        report = inspect(lambda _: None)
        print(json.dumps(report, indent=2))
    else:
        terminal.console()  # said before clients are imported, where it is missing
        report = inspect(terminal.progress)
        _show(report)
    return 1 if report["problems"] else 0


def inspect(progress: Callable[[str], None]) -> dict[str, Any]:
    """Return what the command reports; clients are imported to see whether their seams still stand."""
    with _warnings() as problems:
        settings = Settings.resolve()
        found = _api.inspect_clients(settings, progress)
    for library, facts in found["libraries"].items():
        if facts["version"] is not None:
            problems += [f"{library} {facts['version']}: {problem}" for problem in _problems(facts)]
    if all(facts["version"] is None for facts in found["libraries"].values()):
        problems.append(f"no client library is installed here: {', '.join(found['libraries'])}")
    if not settings.enabled:
        problems.append("switched off: OTEL_TOKENOMICS_ENABLED=false or OTEL_SDK_DISABLED=true")
    return {
        "book": found["book"],
        "libraries": found["libraries"],
        "beside": found["beside"],
        "exporter": {signal: _exporter(signal) for signal in ("traces", "metrics")},
        "settings": {
            option.name: "***" if option.kind == "secret" else _plain(getattr(settings, option.name))
            for option in OPTIONS
            if getattr(settings, option.name) != getattr(Settings(), option.name)
        },
        "problems": problems,
    }


def _problems(facts: dict[str, Any]) -> list[str]:
    """Return what is wrong with an installed client."""
    if "import_failed" in facts:
        return [f"cannot be imported: {facts['import_failed']}"]
    failed = [f"{target} {verdict}" for target, verdict in facts["targets"].items() if verdict.startswith("failed")]
    if not failed and not _observed(facts):
        return ["has none of the places that are patched: its calls are not seen"]
    return failed


def _observed(facts: dict[str, Any]) -> int:
    return sum(verdict in ("patched", "registered") for verdict in facts["targets"].values())


@contextmanager
def _warnings() -> Generator[list[str]]:
    """Collect our own warnings, which say what is wrong with a setting, a book or a client."""
    logger, said = logging.getLogger("otel_tokenomics"), list[str]()

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage().removeprefix("otel_tokenomics: "))

    handler, propagate = Collect(logging.WARNING), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _exporter(signal: str) -> dict[str, str]:
    """Return where a signal goes, by the standard variables; those of the signal beat the general ones."""

    def said(name: str, default: str) -> str:
        own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}")
        return own or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or default

    exporter = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"
    if "tokenomics_otlp" in exporter.split(","):
        return {"exporter": exporter, "foreign_spans": "others' spans are priced at export, no metric counts them"}
    if exporter != "otlp":
        return {"exporter": exporter}
    headers = [pair.partition("=")[0].strip() for pair in said("HEADERS", "").split(",") if pair.strip()]
    return {
        "exporter": exporter,
        "protocol": said("PROTOCOL", "http/protobuf"),
        "endpoint": _without_secrets(said("ENDPOINT", "http://localhost:4318")),
        **({"headers": ", ".join(headers)} if headers else {}),
    }


def _without_secrets(address: str) -> str:
    """Return an address without the user, password and query that it may carry: a report gets pasted."""
    return re.sub(r"\?.*", "?***", re.sub(r"//[^/@]*@", "//***@", address))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _without_secrets(value) if "://" in value else value
    return dict(value) if hasattr(value, "items") else list(value) if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _show(report: dict[str, Any]) -> None:
    from rich.table import Table

    print(f"book      {report['book']['id']}, {report['book']['age_days']} days old")
    clients = Table("client", "version", "tested", "what was found", box=None, pad_edge=False)
    others = Table("beside", "version", "client", "so that a response is one charge", box=None, pad_edge=False)
    for client, facts in report["libraries"].items():
        clients.add_row(client, facts["version"] or "-", facts["tested"], _verdict(facts))
        for other in facts.get("neighbours", ()):
            others.add_row(other["name"], other.get("version", "-"), client, other["one_charge"])
    console = terminal.console()
    for table in (clients, others):
        if table.row_count:
            console.print()
            console.print(table)
    print()
    named = {other["name"] for facts in report["libraries"].values() for other in facts.get("neighbours", ())}
    for name, version in report["beside"].items():
        if name not in named:
            print(f"beside    {name} {version}: of no client itself; the clients' calls below its spans hold the cost")
    for signal, exporter in report["exporter"].items():
        print(f"exporter  {signal}: {', '.join(exporter.values())}")
    for name, value in report["settings"].items():
        print(f"setting   {name} = {value}")
    for problem in report["problems"]:
        print(f"problem   {problem}")
    if not report["problems"]:
        print("no problem found")


def _verdict(facts: dict[str, Any]) -> str:
    """Return in a few words whether the calls of a client are seen."""
    if facts["version"] is None:
        return "not installed"
    if "import_failed" in facts:
        return f"cannot be imported: {facts['import_failed']}"
    verdicts = list(facts["targets"].values())
    words = [f"{verdicts.count('patched')} places patched"]
    if verdicts == ["registered"]:
        words = ["reports its calls to us"]
    if (absent := verdicts.count("absent")) and _observed(facts):
        words.append(f"{absent} of other versions")
    if failed := sum(verdict.startswith("failed") for verdict in verdicts):
        words.append(f"{failed} failed")
    if not facts["in_tested_range"]:
        words.append("version not tested")
    return ", ".join(words)
