"""The processes of the load test: the real collector, a sink that counts, a sender that knows what it sent.

All on 127.0.0.1, ports picked free, each process ended by its own id. CPU and memory are read from /proc.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

ROOT: Final = Path(__file__).resolve().parents[2]
_DISTRIBUTION: Final = ROOT / "collector" / "distribution"
TRAFFIC: Final = _DISTRIBUTION / "build" / "loadtest"
BINARY: Final = Path(os.environ.get("OTELCOL_TOKENOMICS", _DISTRIBUTION / "build" / "otelcol-tokenomics"))
#: With load_balancing.
WIDE: Final = _DISTRIBUTION / "build-wide" / "otelcol-tokenomics"
START_S: Final = 20.0
STEP_S: Final = 0.05
_TICKS: Final = os.sysconf("SC_CLK_TCK")

#: pico-USD per token, input and output; the last model is in no price book.
RATES: Final[Mapping[str, tuple[int, int] | None]] = {
    "load-nano": (50_000, 400_000),
    "load-mini": (250_000, 2_000_000),
    "load-large": (1_250_000, 10_000_000),
    "load-pro": (15_000_000, 120_000_000),
    "load-unheard-of": None,
}

Json = dict[str, Any]


def rates_flag(rates: Mapping[str, tuple[int, int] | None]) -> str:
    """Return the rates as sender and sink read them."""
    return ",".join(f"{model}={rate[0]}:{rate[1]}" if rate else model for model, rate in rates.items())


def overrides() -> list[Json]:
    """Return the rates as the collector reads them: USD per million tokens, which is pico-USD per token over 10^6."""
    return [
        {"provider": "openai", "model": model, "input": _usd(rate[0]), "output": _usd(rate[1])}
        for model, rate in RATES.items()
        if rate
    ]


def _usd(pico: int) -> str:
    return f"{pico // 10**6}.{pico % 10**6:06d}"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def need(binary: Path, target: str) -> str:
    """Return the path of a program that must have been built."""
    assert os.access(binary, os.X_OK), f"{binary} is not built: run `make {target}`"
    return str(binary)


class Running:
    """A process of ours."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.killed = process, False

    @property
    def cpu_s(self) -> float:
        """Return the CPU seconds that it has used, of user and system."""
        # Fields 14 and 15 of proc_pid_stat(5); the second, in brackets, may hold spaces.
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mib(self, line: str = "VmRSS") -> float:
        """Return what it holds (``VmRSS``) or held at most (``VmHWM``), in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kib = next(row.split()[1] for row in status.splitlines() if row.startswith(f"{line}:"))
        return int(kib) / 1024

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.killed = number == signal.SIGKILL
        try:
            return self.process.wait(START_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"process {self.process.pid} did not end on signal {number}") from None
        finally:
            for pipe in (self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()


class Sink(Running):
    """A backend that counts spans, costs and the connector's metrics; use it as a with-block."""

    def __init__(self, trace: int = 0, rates: Mapping[str, tuple[int, int] | None] = RATES) -> None:
        command = [need(TRAFFIC, "load"), "sink", "-rates", rates_flag(rates), "-trace", str(trace)]
        super().__init__(subprocess.Popen(command, stdout=subprocess.PIPE))
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], START_S)
        assert ready, "the sink said nothing"
        said = json.loads(self.process.stdout.readline())
        self.endpoint: str = said["endpoint"]
        self._control: str = said["control"]

    def _ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(self._control + path, method=method)
        with urllib.request.urlopen(request, timeout=START_S) as answer:
            return answer.read()

    def count(self) -> Json:
        """Return what arrived until now."""
        return json.loads(self._ask("GET", "/count"))

    def behave(self, delay_ms: int = 0, status: int = 0) -> None:
        """Wait before each answer; answer with a status, 0 for taking the spans."""
        self._ask("POST", f"/set?delay={delay_ms}ms&status={status}")

    def go_away(self) -> None:
        """Listen no more, and cut what is open."""
        self._ask("POST", "/close")

    def come_back(self) -> None:
        """Listen again where it listened."""
        self._ask("POST", "/open")

    def wait(self, spans: int, requests: int | None = None, seconds: float = START_S) -> Json:
        """Wait until so many different spans, and so many counted requests, have arrived; return what has."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.count()
            there = found["distinct"]["spans"] >= spans and (requests is None or found["metric_requests"] >= requests)
            if there or time.monotonic() > deadline:
                return found
            time.sleep(STEP_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Collector(Running):
    """The real collector; its with-block asks it to stop, unless it was killed, and fails where that fails."""

    def __init__(self, folder: Path, config: Json, port: int, binary: Path = BINARY, name: str = "collector") -> None:
        self.config, self.log, self.port = folder / f"{name}.json", folder / f"{name}.log", port
        self.endpoint = f"http://127.0.0.1:{port}"
        self.binary = need(binary, "load")
        self.write(config)
        self.start()

    def write(self, config: Json) -> None:
        """Write the configuration; JSON is YAML."""
        self.config.write_text(json.dumps(config, indent=1))

    def start(self) -> None:
        """Start it, once more after it ended, and wait until it listens."""
        with self.log.open("ab") as output:
            command = [self.binary, "--config", str(self.config)]
            super().__init__(subprocess.Popen(command, stdout=output, stderr=output))
        self.listening()

    def listening(self) -> None:
        """Wait until it takes connections."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(STEP_S)
        raise AssertionError(f"the collector did not listen: {self.log.read_text()}")

    def said(self, text: str) -> int:
        """Return how often its log has a text."""
        return self.log.read_text().count(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self.end()
        assert code == (-signal.SIGKILL if self.killed else 0) or error is not None, self.log.read_text()


class Sender(Running):
    """A sender under way; ``report`` waits for its end."""

    def __init__(self, endpoint: str, spans: int, **flags: object) -> None:
        more = [f"-{name}={value}" for name, value in {"rates": rates_flag(RATES), **flags}.items()]
        command = [need(TRAFFIC, "load"), "send", "-endpoint", endpoint, "-spans", str(spans), *more]
        super().__init__(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    def report(self, seconds: float = 90.0) -> Json:
        """Wait for its end; return what it sent, and what was refused."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise AssertionError(f"the sender was not done after {seconds:g} s") from None
        assert self.process.returncode == 0, err.decode()
        return json.loads(out)


def pipeline(
    port: int,
    sink: str,
    processors: Sequence[str] = ("memory_limiter", "tokenomics"),
    *,
    count: bool = True,
    more: Json | None = None,
) -> Json:
    """Return the shipped configuration on ports of our own, the connector's metrics to the same sink.

    ``more`` maps component ids to settings that are laid over; ``count`` puts the connector beside the exporter.
    """
    settings: Json = {
        "memory_limiter": {"check_interval": "1s", "limit_mib": 2000, "spike_limit_mib": 200},
        "tokenomics": {"max_age": "0", "book": {"overrides": overrides()}},
        "tokenomics_rollup": {"wait_after_root": "1s"},
    }
    queue: Json = {
        "block_on_overflow": True,
        "batch": {"flush_timeout": "200ms", "min_size": 100, "max_size": 1000},
    }
    config: Json = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "processors": {name: settings[name] for name in processors},
        "connectors": {"tokenomics": {"flush_interval": "1s", "dedupe": {"window": "5m"}}},
        "exporters": {
            "otlp_http": {"endpoint": sink, "retry_on_failure": {"initial_interval": "200ms"}, "sending_queue": queue},
            "otlp_http/metrics": {"endpoint": sink, "retry_on_failure": {"initial_interval": "200ms"}},
        },
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": [*processors],
                    "exporters": ["otlp_http", "tokenomics"],
                },
                "metrics": {"receivers": ["tokenomics"], "exporters": ["otlp_http/metrics"]},
            },
        },
    }
    if not count:
        del config["connectors"], config["service"]["pipelines"]["metrics"], config["exporters"]["otlp_http/metrics"]
        config["service"]["pipelines"]["traces"]["exporters"].remove("tokenomics")
    lay_over(config, more or {})
    return config


def lay_over(below: Json, above: Json) -> None:
    """Change a configuration as the collector does with a second file: key by key, lists as a whole."""
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            lay_over(below[key], cast("Json", value))
        else:
            below[key] = value


def persistent(folder: Path) -> Json:
    """Return what makes the exporters' queues outlive the process, and wait for the backend for ever."""
    kept = {"retry_on_failure": {"max_elapsed_time": "0"}, "sending_queue": {"storage": "file_storage"}}
    return {
        "extensions": {"file_storage": {"directory": str(folder / "queue"), "create_directory": True}},
        "exporters": {"otlp_http": kept, "otlp_http/metrics": kept},
        "service": {"extensions": ["file_storage"]},
    }
