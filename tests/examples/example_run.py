"""Runs an example as its page says, on the local provider and receiver, and reads what it left."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.report.otlp_files import METRICS, TRACES, Point, SpanRecord, read_points, read_spans
from otel_tokenomics.usage import parse_usd

ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLES: Final = ROOT / "examples"
START_S: Final = 30.0
STOP_S: Final = 60.0
#: gpt-5.4-mini at $0.75 in and $4.50 out per million, in pico-USD per token
MINI: Final = (750_000, 4_500_000)


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (make test-examples)")


class Place(NamedTuple):
    """Where an example runs: its environment, what the provider billed, and what arrived."""

    provider: LocalProvider
    folder: Path
    environment: dict[str, str]

    @property
    def spans(self) -> list[SpanRecord]:
        return list(read_spans(self.folder)) if (self.folder / TRACES).exists() else []

    @property
    def calls(self) -> list[SpanRecord]:
        return [span for span in self.spans if "tokenomics.call.end" in span.attributes]

    @property
    def cost_points(self) -> list[Point]:
        return [point for point in read_points(self.folder / METRICS) if point.metric == "tokenomics.client.cost"]


def outside(home: Path) -> dict[str, str]:
    """Return the environment of somebody who has activated this one, and set nothing else."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(home), "TMPDIR": str(home)}


def commands(example: str) -> list[list[str]]:
    """Return the commands of an example's page."""
    page = (EXAMPLES / example / "README.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    return [words for words in map(shlex.split, lines) if words[0] not in ("pip", "export", "make")]


def program(example: str) -> list[str]:
    """Return what an example's page lets the demo run."""
    return next(words[2:] for words in commands(example) if words[:2] == ["otel-tokenomics", "demo"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(holds: Callable[[], object], what: str, seconds: float = START_S) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], ready: int | str, *, ctrl_c: bool = False
) -> Generator[Path]:
    """Run a server until it listens on a port, or says a word; end it by SIGTERM, or as a terminal's Ctrl-C does."""
    log = Path(environment["TMPDIR"]) / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(environment), stdout=said, stderr=said, start_new_session=True
        )
    try:
        until(lambda: process.poll() is not None or is_ready(ready, log), log.read_text())
        assert process.poll() is None, log.read_text()
        yield log
        if ctrl_c:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.terminate()
        process.wait(STOP_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_ready(ready: int | str, log: Path) -> bool:
    if isinstance(ready, str):
        return ready in log.read_text(errors="replace")
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", ready)) == 0


class Asked(NamedTuple):
    """One request to a service."""

    path: str
    text: str
    team: str
    customer: str


@contextmanager
def answer_of(port: int, asked: Asked) -> Generator[HTTPResponse]:
    connection = HTTPConnection("127.0.0.1", port, timeout=START_S)
    headers = {"x-team": asked.team, "x-customer": asked.customer, "content-type": "text/plain"}
    try:
        connection.request("POST", asked.path, asked.text, headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        yield response
    finally:
        connection.close()


def ask(port: int, asked: Asked) -> str:
    with answer_of(port, asked) as response:
        return response.read().decode()


def tags(span: SpanRecord) -> dict[str, Any]:
    prefix = "tokenomics.tag."
    return {key.removeprefix(prefix): value for key, value in span.attributes.items() if key.startswith(prefix)}


def tokens(spans: Sequence[SpanRecord]) -> Counter[tuple[int, int]]:
    counts = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    return Counter(tuple(span.attributes[name] for name in counts) for span in spans)  # type: ignore[misc]


def billed(provider: LocalProvider) -> Counter[tuple[int, int]]:
    return Counter((line.usage["input_tokens"], line.usage["output_tokens"]) for line in provider.ledger.billed)


def cost(spans: Sequence[SpanRecord]) -> int:
    return sum(parse_usd(span.attributes["tokenomics.cost.total"]) for span in spans)


def bill(provider: LocalProvider) -> int:
    """Return what the ledger comes to at the list price, in pico-USD."""
    return sum(given * MINI[0] + made * MINI[1] for given, made in billed(provider).elements())


def counted(points: Sequence[Point]) -> int:
    """Return what a cumulative counter came to over all its series."""
    last = {(point.start_ns, tuple(sorted(point.attributes.items()))): point.value for point in points}
    return sum(map(parse_usd, last.values()))
