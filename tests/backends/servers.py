"""Servers of a test: on loopback, bound in time, ended by their own process id; and a network of a test's own."""

from __future__ import annotations

import ctypes
import fcntl
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
#: Where ``make backends`` puts what it installs; one folder each.
INSTALLED: Final = ROOT / ".stamps" / "backends"
#: A server whose test was killed ends by itself.
LIFE_S: Final = 900
STOP_S: Final = 15
STEP_S: Final = 0.1
_CLONE_NEWNET: Final = 0x40000000
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1

T = TypeVar("T")


def installed(name: str, program: str = "") -> Path:
    """Return the folder of a backend, or a program in it; skip where ``make backends`` has not put it there."""
    path = INSTALLED / name / program
    if not path.exists():
        pytest.skip(f"{name} is not installed: make backends")
    return path


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def server(
    command: Sequence[str | Path],
    port: int,
    log: Path,
    *,
    start_s: float = 60,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Generator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; enter it when ``port`` of 127.0.0.1 accepts.

    It leads a process group of its own: what it started ends with it.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["timeout", "--kill-after=10", str(LIFE_S), *map(str, command)],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:

        def listens() -> bool:
            assert process.poll() is None, log.read_text(errors="replace")[-3000:]
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_for(listens, f"{command[0]} to listen", start_s)
        yield process
        elsewhere = [address for address in _listened_on(process.pid) if not address.startswith("127.")]
        assert not elsewhere or _alone(), f"{command[0]} listens on {elsewhere}: own_network() is for such"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_S)


def _alone() -> bool:
    return [name for _, name in socket.if_nameindex()] == ["lo"]


def _listened_on(group: int) -> set[str]:
    """Return the addresses, IPv4 in IPv6 as IPv4, on which the processes of a group accept connections."""
    inodes: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(process.joinpath("stat").read_text().rpartition(")")[2].split()[2]) == group:
                links = [str(descriptor.readlink()) for descriptor in process.joinpath("fd").iterdir()]
                inodes |= {link.removeprefix("socket:[").rstrip("]") for link in links}
    found: set[str] = set()
    for kind, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/thread-self/net/{kind}").read_text().splitlines()[1:]:
            _, local, _, state, *more = line.split()
            if state == "0A" and more[5] in inodes:
                # Each 32 bits are written as a number of this machine's.
                words = [int(local[at : at + 8], 16) for at in range(0, local.index(":"), 8)]
                address = socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))
                found.add(address.removeprefix("::ffff:"))
    return found


def wait_for(found: Callable[[], T], what: str, seconds: float = 30) -> T:
    """Return the first true answer of ``found``.

    Raises:
        AssertionError: none came in time.
    """
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(STEP_S)
    return answer


def request(url: str, body: object = None, *, seconds: float = 60, **headers: str) -> Any:
    """GET, or POST what is given as JSON; return the answer, read as JSON where it is.

    Raises:
        AssertionError: the status is no success.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        where = parts.path + (f"?{parts.query}" if parts.query else "")
        content = None if body is None else json.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", where, content, {**kind, **headers})
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status < 300, f"{url}: {response.status} {text[:2000]}"
        return json.loads(text) if "json" in response.headers.get_content_type() else text
    finally:
        connection.close()


@contextmanager
def own_network() -> Generator[None]:
    """Give the calling thread, and all that it starts, a network that holds loopback and nothing else.

    For servers that cannot be told to listen on loopback only. Linux, and the right to do so (root): else skipped.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            pytest.skip(f"no network namespace of one's own here: {os.strerror(ctypes.get_errno())}")
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))
            yield
        finally:
            assert libc.setns(before, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(before)
