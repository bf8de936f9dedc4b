"""Say what would be patched, what was found beside us, which book, which exporter, and which settings are in force."""

from __future__ import annotations

import argparse
import json
import os
import re
from typing import Any

from otel_tokenomics import _api
from otel_tokenomics.config import ENVIRONMENT_PREFIX, Settings
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
    settings = Settings.resolve()
    problems = [f"{name} is no setting of ours" for name in sorted(os.environ) if _is_stranger(name)]
    found = _api.inspect_clients(settings)
    for library, facts in found["libraries"].items():
        if facts["version"] is not None:
            missing = [t for t, verdict in facts["targets"].items() if verdict.startswith("failed")]
            problems += [f"{library} {facts['version']}: {target} cannot be patched" for target in missing]
    if not settings.enabled:
        problems.append("switched off: OTEL_TOKENOMICS_ENABLED=false or OTEL_SDK_DISABLED=true")
    return {
        "book": found["book"],
        "libraries": found["libraries"],
        "beside": found["beside"],
        "exporter": {
            "traces": os.environ.get("OTEL_TRACES_EXPORTER", "otlp"),
            "metrics": os.environ.get("OTEL_METRICS_EXPORTER", "otlp"),
            "protocol": os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            "endpoint": _without_password(
                os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318 (default)")
            ),
        },
        "settings": {
            option.name: "***" if option.kind == "secret" else _plain(getattr(settings, option.name))
            for option in OPTIONS
            if getattr(settings, option.name) != getattr(Settings(), option.name)
        },
        "problems": problems,
    }


def _is_stranger(name: str) -> bool:
    known = {ENVIRONMENT_PREFIX + option.name.upper() for option in OPTIONS}
    return name.startswith(ENVIRONMENT_PREFIX) and name not in known


def _without_password(address: str) -> str:
    """Return an address without the user and password that it may carry: a report gets pasted."""
    return re.sub(r"//[^/@]*@", "//***@", address)


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "items") else list(value) if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _show(report: dict[str, Any]) -> None:
    book, exporter = report["book"], report["exporter"]
    print(f"book      {book['id']}, {book['age_days']} days old")
    for library, facts in report["libraries"].items():
        verdicts = list(facts["targets"].values())
        state = "not installed" if facts["version"] is None else f"{verdicts.count('patched')} seams patched"
        print(f"client    {library} {facts['version'] or ''}: {state} (tested {facts['tested']})")
    for name, version in report["beside"].items():
        print(f"beside    {name} {version}: its spans are enriched, not repeated")
    print(f"exporter  {', '.join(f'{what} {how}' for what, how in exporter.items())}")
    for name, value in report["settings"].items():
        print(f"setting   {name} = {value}")
    for problem in report["problems"]:
        print(f"problem   {problem}")
    if not report["problems"]:
        print("no problem found")
