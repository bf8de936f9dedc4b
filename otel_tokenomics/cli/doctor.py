"""Say what would be patched, what was found beside us, which book, which exporter, and which settings are in force."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from otel_tokenomics import _api
from otel_tokenomics.config import Settings
from otel_tokenomics.config.settings_table import OPTIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments (none of its own)."""
    del parser


def run(arguments: argparse.Namespace) -> int:
    """Report; return 1 where something needs a hand."""
    report = inspect()
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        _show(report)
    return 1 if report["problems"] else 0


def inspect() -> dict[str, Any]:
    """Return what the command reports; clients are imported to see whether their seams still stand."""
    with _warnings() as problems:
        settings = Settings.resolve()
        found = _api.inspect_clients(settings)
    for library, facts in found["libraries"].items():
        if facts["version"] is not None:
            missing = [t for t, verdict in facts["targets"].items() if verdict.startswith("failed")]
            problems += [f"{library} {facts['version']}: {target} cannot be patched" for target in missing]
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
    book = report["book"]
    print(f"book      {book['id']}, {book['age_days']} days old")
    for library, facts in report["libraries"].items():
        verdicts = list(facts["targets"].values())
        later = verdicts.count("not imported")
        state = f"{verdicts.count('patched')} places patched" + (f", {later} when first used" if later else "")
        installed = f"{library} {facts['version']}: {state}" if facts["version"] else f"{library}: not installed"
        print(f"client    {installed} (tested {facts['tested']})")
    for name, version in report["beside"].items():
        print(f"beside    {name} {version}: its spans are enriched, not repeated")
    for signal, exporter in report["exporter"].items():
        print(f"exporter  {signal}: {', '.join(exporter.values())}")
    for name, value in report["settings"].items():
        print(f"setting   {name} = {value}")
    for problem in report["problems"]:
        print(f"problem   {problem}")
    if not report["problems"]:
        print("no problem found")
