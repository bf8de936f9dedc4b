"""The local receiver keeps what it can read, and answers the rest with the status that says why."""

from __future__ import annotations

import gzip
import http.client
import zlib
from pathlib import Path

import pytest

from otel_tokenomics.demo.receiver import LocalReceiver
from otel_tokenomics.report.otlp_files import TRACES, records

PROTOBUF = {"content-type": "application/x-protobuf"}


def post(receiver: LocalReceiver, path: str, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(receiver.endpoint.removeprefix("http://"), timeout=5)
    try:
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/traces", b"abc", PROTOBUF, 200),
        ("/v1/traces", gzip.compress(b"abc"), {**PROTOBUF, "content-encoding": "gzip"}, 200),
        ("/v1/traces", zlib.compress(b"abc"), {**PROTOBUF, "content-encoding": "deflate"}, 200),
        ("/v1/traces", b"abc", {**PROTOBUF, "content-encoding": "gzip"}, 400),
        ("/v1/traces", gzip.compress(b"abc")[:-4], {**PROTOBUF, "content-encoding": "gzip"}, 400),
        ("/v1/traces", gzip.compress(bytes(65 * 2**20)), {**PROTOBUF, "content-encoding": "gzip"}, 413),
        ("/v1/traces", b"abc", {**PROTOBUF, "content-encoding": "br"}, 415),
        # JSON in a file of protobuf records would damage it.
        ("/v1/traces", b"{}", {"content-type": "application/json"}, 415),
        ("/v1/traces", b"", {**PROTOBUF, "content-length": "x"}, 411),
        ("/v1/traces", b"", {**PROTOBUF, "content-length": str(10**12)}, 413),
        ("/v1/logs", b"abc", PROTOBUF, 200),
        ("/v1/other", b"abc", PROTOBUF, 404),
    ],
)
def test_what_is_kept(path: str, body: bytes, headers: dict[str, str], status: int, tmp_path: Path) -> None:
    with LocalReceiver(tmp_path) as receiver:
        assert post(receiver, path, body, headers) == status
    kept = [record for _, record in records((tmp_path / TRACES).read_bytes())] if (tmp_path / TRACES).exists() else []
    assert kept == ([b"abc"] if status == 200 and path == "/v1/traces" else [])
