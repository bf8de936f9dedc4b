"""A local OTLP/HTTP receiver on loopback that writes what it gets to length-delimited protobuf files."""

from __future__ import annotations

import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from otel_tokenomics.report import otlp_files

_FILES: Final = {"/v1/traces": otlp_files.TRACES, "/v1/metrics": otlp_files.METRICS}
_MAX_BODY: Final = 64 * 2**20
_GZIP_OR_ZLIB: Final = 47  # zlib's word for "with either header"


class LocalReceiver:
    """A server on 127.0.0.1 for traces and metrics; use it as a with-block.

    ``endpoint`` goes into ``OTEL_EXPORTER_OTLP_ENDPOINT``; the files stand in ``directory``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        handler = type("Handler", (_Handler,), {"directory": directory, "lock": threading.Lock()})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        """Return the base address of the receiver."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    directory: Path
    lock: threading.Lock
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        del format, args

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal():
            self.close_connection = True
            self._reply(411)
        elif int(length) > _MAX_BODY:
            self.close_connection = True
            self._reply(413)
        else:
            self._reply(self._keep(self.rfile.read(int(length))))

    def _keep(self, content: bytes) -> int:
        """Append one request to its file; return the status to answer with."""
        name = _FILES.get(self.path)
        if name is None:
            return 200 if self.path == "/v1/logs" else 404
        if self.headers.get_content_type() != "application/x-protobuf":
            return 415
        encoding = self.headers.get("content-encoding", "identity")
        if encoding in ("gzip", "deflate"):
            packed = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                content = packed.decompress(content, _MAX_BODY)
            except zlib.error:
                return 400
            if not packed.eof:
                return 413 if packed.unconsumed_tail else 400
        elif encoding != "identity":
            return 415
        with self.lock:
            otlp_files.append(self.directory / name, content)
        return 200

    def _reply(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()
