"""Show a priced agent trace on the real clients, against a local provider: no account, no collector, no Go.

With --collector BINARY the same application runs a second time with SDK pricing off, through a real collector;
both totals must be equal to the pico-dollar.
"""

from __future__ import annotations

import argparse
import json
import os
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


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return 1 where two totals differ."""
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
    last = {(p.metric, tuple(sorted(p.attributes.items()))): p.value for p in read_points(folder / METRICS)}
    metric = sum(parse_usd(value) for (name, _), value in last.items() if name == names.METRIC_TOKENOMICS_CLIENT_COST)
    return Run(spans, sum(own_cost(span) or 0 for span in spans), metric)


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


def _application(provider: LocalProvider, endpoint: str, settings: dict[str, str]) -> None:
    """Run the application as the program of its own that it is."""
    foreign = ("OTEL_", "OPENAI_", "ANTHROPIC_")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
        # Everything is on this machine: a proxy of the shell's has no part in it.
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "OPENAI_BASE_URL": provider.base_url_openai,
        "OPENAI_API_KEY": "none-needed",
        "ANTHROPIC_BASE_URL": provider.base_url_anthropic,
        "ANTHROPIC_API_KEY": "none-needed",
        "OTEL_SERVICE_NAME": "support-assistant",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_TOKENOMICS_ENDPOINTS": ",".join(provider.endpoints),
        **settings,
    }
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
