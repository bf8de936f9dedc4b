"""Runs a built collector on loopback for the length of a with-block, and ends it by its own process id."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from otel_tokenomics.errors import TokenomicsError

_START_S: Final = 30
_STOP_S: Final = 20


@contextmanager
def collector(
    binary: Path, forward_to: str, endpoints: Sequence[str], settings: dict[str, Any] | None = None
) -> Generator[str]:
    """Yield the OTLP/HTTP endpoint of a collector that prices and forwards; leaving stops it, queues drained.

    Raises:
        TokenomicsError: the binary is missing, or refuses to start; its last line is quoted.
    """
    need_binary(binary)
    port = _free_port()
    config = _config(port, forward_to, {"endpoints": list(endpoints), **(settings or {})})
    with tempfile.TemporaryDirectory(prefix="tokenomics-collector-") as name:
        path, log = Path(name) / "config.yaml", Path(name) / "log"
        path.write_text(json.dumps(config), encoding="utf-8")
        with log.open("wb") as output:
            process = subprocess.Popen([str(binary), "--config", str(path)], stdout=output, stderr=output)  # noqa: S603
        try:
            _wait(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def need_binary(binary: Path) -> None:
    """Raise TokenomicsError where there is no collector to run."""
    if not os.access(binary, os.X_OK) or not binary.is_file():
        raise TokenomicsError(f"{binary}: no such collector; build it with `make collector`")


def _config(port: int, forward_to: str, processor: dict[str, Any]) -> dict[str, Any]:
    """JSON is YAML: the collector reads it as its config."""
    exporter = {"endpoint": forward_to, "compression": "none", "retry_on_failure": {"enabled": False}}
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "processors": {"tokenomics": processor},
        "exporters": {"otlp_http": exporter},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "processors": ["tokenomics"], "exporters": ["otlp_http"]}},
        },
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise TokenomicsError(f"the collector did not start: {lines[-1] if lines else 'no message'}")
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TokenomicsError(f"the collector did not listen within {_START_S} s")
