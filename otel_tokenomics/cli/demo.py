"""Show a priced agent trace on the real clients, against a local provider: no account, no collector, no Go.

With --collector BINARY the same application runs a second time with SDK pricing off, through a real collector;
both totals must be equal to the pico-dollar.

With a command it is run in place of that application: a service of your own, or one of the examples. Its clients of
OpenAI, Anthropic and Bedrock call the local provider, and what it exports is shown when it ends (Ctrl-C ends it).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from otel_tokenomics.attributes import names
from otel_tokenomics.cli.terminal import console, progress
from otel_tokenomics.cli.tree_view import show_owners, show_tree
from otel_tokenomics.demo.collector_process import collector, need_binary
from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.demo.receiver import LocalReceiver
from otel_tokenomics.errors import TokenomicsError
from otel_tokenomics.report.otlp_files import METRICS, TRACES, SpanRecord, read_points, read_spans
from otel_tokenomics.report.tree import is_call, is_unpriced, own_cost, owners, traces
from otel_tokenomics.usage import parse_usd, pico_to_text

APPLICATION: Final = "otel_tokenomics.demo.application"
_TIMEOUT_S: Final = 120
#: Token counts like those of a real assistant, from the application's short texts.
_SCALE: Final = 120


class Run(NamedTuple):
    """What one run of the application left behind; totals in pico-USD."""

    spans: list[SpanRecord]
    total: int
    metric_total: int | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", metavar="DIR", help="keep the OTLP files there (a temporary folder otherwise)")
    parser.add_argument("--collector", metavar="BINARY", help="run it through this otelcol-tokenomics as well")
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="run this, with its arguments")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return 1 where two totals differ, or what a command of the user's returned."""
    if arguments.command:
        return _run_command(arguments)
    clients = _clients()
    if not arguments.json:
        console()  # without rich: said before the work, not after it
    if arguments.collector:
        need_binary(Path(arguments.collector))
    with _folder(arguments.out) as folder, LocalProvider(scale=_SCALE) as provider:
        progress(f"support assistant on {clients}, against a local provider; a few seconds")
        priced = _in_process(provider, folder / "sdk")
        through = None
        if arguments.collector:
            progress("the same application, SDK pricing off, through the collector")
            through = _through_collector(provider, folder / "collector", Path(arguments.collector))
    checks = {"tree total = metric total": priced.total == priced.metric_total}
    if through is not None:
        checks["SDK total = collector total"] = priced.total == through.total
    if arguments.json:
        print(json.dumps(_as_json(priced, through, checks), indent=2))
    else:
        _show(priced, through, checks, arguments.out)
    return 0 if all(checks.values()) else 1


def _clients() -> str:
    """Return the client libraries with their versions; raise TokenomicsError where one is missing."""
    from importlib.metadata import PackageNotFoundError, version

    found: list[str] = []
    missing: list[str] = []
    for name in ("openai", "anthropic"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        raise TokenomicsError(f"the demo calls the real clients: pip install {' '.join(missing)}")
    return " and ".join(found)


@contextmanager
def _folder(kept: str | None) -> Generator[Path]:
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="tokenomics-demo-") as name:
            yield Path(name)
        return
    folder = Path(kept)
    try:
        for part in ("sdk", "collector"):
            (folder / part).mkdir(parents=True, exist_ok=True)
            for name in (TRACES, METRICS):
                (folder / part / name).unlink(missing_ok=True)  # of an earlier run: two runs are no one total
    except OSError as error:
        raise TokenomicsError(f"--out {error.filename}: cannot be written: {error.strerror}") from None
    yield folder


def _in_process(provider: LocalProvider, folder: Path) -> Run:
    """The SDK prices; its spans and metrics come straight here."""
    with LocalReceiver(folder) as receiver:
        _application(provider, receiver.endpoint, {})
    spans = _spans(folder)
    return Run(spans, sum(own_cost(span) or 0 for span in spans), _metric_total(folder / METRICS))


def _metric_total(file: Path) -> int:
    """Return the sum of the cost counter over its series, pico-USD; each process has its own, by when it began."""
    cost = [point for point in read_points(file) if point.metric == names.METRIC_TOKENOMICS_CLIENT_COST]
    last = {(point.start_ns, tuple(sorted(point.attributes.items()))): point.value for point in cost}
    return sum(map(parse_usd, last.values()))


def _through_collector(provider: LocalProvider, folder: Path, binary: Path) -> Run:
    """The SDK writes usage and facts alone; the collector prices, and forwards to a receiver of ours."""
    with LocalReceiver(folder) as receiver, collector(binary, receiver.endpoint, provider.endpoints) as endpoint:
        _application(provider, endpoint, {"OTEL_TOKENOMICS_PRICE": "false", "OTEL_METRICS_EXPORTER": "none"})
    spans = _spans(folder)
    return Run(spans, sum(own_cost(span) or 0 for span in spans), None)


def _spans(folder: Path) -> list[SpanRecord]:
    if not (folder / TRACES).exists():
        raise TokenomicsError("no span arrived: the application or the collector sent nothing")
    return list(read_spans(folder))


def _run_command(arguments: argparse.Namespace) -> int:
    """Run a command of the user's on the local provider, and show what it exported."""
    if arguments.collector:
        raise TokenomicsError("--collector runs the demo's own application: leave out either it or the command")
    command: list[str] = arguments.command
    if not arguments.json:
        console()
    # A program of its own that ends by Ctrl-C, as a server does: its telemetry comes while it ends.
    before = signal.signal(signal.SIGINT, _leave_it_to_the_command)
    try:
        with _folder(arguments.out) as folder, LocalProvider(scale=_SCALE, calls_tools=True) as provider:
            with LocalReceiver(folder / "sdk") as receiver:
                progress(f"{' '.join(command)}, on a local provider")
                code = _wait_for(command, _environment(provider, receiver.endpoint), quiet=arguments.json)
            _show_command(arguments, folder / "sdk", len(provider.ledger.billed))
    finally:
        signal.signal(signal.SIGINT, before)
    return code


def _leave_it_to_the_command(_number: int, _frame: object) -> None:
    """Heed no Ctrl-C: the terminal sends it to the command too. A handler is not inherited; to ignore it would be."""


def _wait_for(command: list[str], environment: dict[str, str], *, quiet: bool) -> int:
    try:
        code = subprocess.call(command, env=environment, stdout=2 if quiet else None)  # noqa: S603
    except OSError as error:
        raise TokenomicsError(f"{command[0]}: cannot be run: {error.strerror}") from None
    return 128 - code if code < 0 else code


def _show_command(arguments: argparse.Namespace, folder: Path, billed: int) -> None:
    found = {name: folder / name for name in (TRACES, METRICS)}
    spans = list(read_spans(folder)) if found[TRACES].exists() else []
    total = sum(own_cost(span) or 0 for span in spans)
    metric = _metric_total(found[METRICS]) if found[METRICS].exists() else 0
    rows = owners(spans)
    calls, unpriced = sum(row.calls for row in rows), sum(row.unpriced for row in rows)
    if arguments.json:
        answer: dict[str, Any] = {
            "tree_total": pico_to_text(total),
            "metric_total": pico_to_text(metric),
            "calls": calls,
            "unpriced_calls": unpriced,
            "billed_responses": billed,
            "spans": len(spans),
            "owners": [{**row._asdict(), "cost": pico_to_text(row.cost)} for row in rows],
        }
        print(json.dumps(answer, indent=2))
        return
    out = console()
    for trace, roots in traces(spans).items():
        show_tree(out, trace, roots)
    if rows:
        out.print()
        show_owners(out, spans)
    out.print()
    out.print(f"{unpriced} of {calls} calls are unpriced; the local provider billed {billed} responses")
    out.print(f"sum of own costs               {pico_to_text(total)} USD")
    out.print(f"metric tokenomics.client.cost  {pico_to_text(metric)} USD")


def _application(provider: LocalProvider, endpoint: str, settings: dict[str, str]) -> None:
    """Run the application as the program of its own that it is."""
    environment = _environment(provider, endpoint) | {"OTEL_SERVICE_NAME": "support-assistant", **settings}
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", APPLICATION], env=environment, capture_output=True, text=True, errors="replace",
            timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TokenomicsError(f"the application did not end within {_TIMEOUT_S} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise TokenomicsError(f"the application failed: {last}")


def _environment(provider: LocalProvider, endpoint: str) -> dict[str, str]:
    """Return the environment of a program that calls the local provider, and exports to an endpoint."""
    foreign = ("OTEL_", "OPENAI_", "ANTHROPIC_", "AWS_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
        # Everything is on this machine: a proxy of the shell's has no part in it.
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        **provider.environment,
    }


def _show(priced: Run, through: Run | None, checks: dict[str, bool], kept: str | None) -> None:
    out = console()
    for trace, roots in traces(priced.spans).items():
        show_tree(out, trace, roots)
    out.print()
    show_owners(out, priced.spans)
    out.print()
    calls, unpriced = (sum(map(test, priced.spans)) for test in (is_call, is_unpriced))
    out.print(f"{unpriced} of {calls} calls are unpriced: they may cost something, and are never counted as 0")
    totals = {"sum of the tree's own costs": priced.total, "metric tokenomics.client.cost": priced.metric_total}
    if through is not None:
        totals[f"priced by the collector, {len(through.spans)} spans forwarded"] = through.total
    width = max(map(len, totals))
    for what, total in totals.items():
        out.print(f"{what:{width}}  {pico_to_text(total or 0)} USD")
    for check, holds in checks.items():
        out.print(f"{check}: {'yes, to the pico-dollar' if holds else 'NO'}", style="bold")
    if kept is not None:
        out.print(f"OTLP files are in {kept}; look again with: otel-tokenomics trace {kept}/sdk")


def _as_json(priced: Run, through: Run | None, checks: dict[str, bool]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "tree_total": pico_to_text(priced.total),
        "metric_total": pico_to_text(priced.metric_total or 0),
        "calls": sum(map(is_call, priced.spans)),
        "unpriced_calls": sum(map(is_unpriced, priced.spans)),
        "spans": len(priced.spans),
        "owners": [{**row._asdict(), "cost": pico_to_text(row.cost)} for row in owners(priced.spans)],
        "checks": checks,
    }
    if through is not None:
        answer["collector_total"] = pico_to_text(through.total)
        answer["collector_spans"] = len(through.spans)
    return answer
