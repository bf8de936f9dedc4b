"""One GET of a price book over https: as long as 5 seconds, as large as a book may be, and no further."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import urllib.error
import urllib.request
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source import files
from otel_tokenomics.version import __version__

#: For the whole answer: a timeout of a socket alone would let a server send one byte every four seconds.
TIMEOUT_S: Final = 5.0
_PIECE: Final = 2**16
_MAX_ETAG: Final = 256
_NOT_MODIFIED: Final = 304


class Fetched(NamedTuple):
    """What came: the content, and the tag by which the server knows it again, where it gave one."""

    content: bytes
    etag: str | None


def fetch(url: str, shown: str, etag: str | None = None, largest: int | None = None) -> Fetched | None:
    """Return what an https address holds; None where it is still what ``etag`` stands for.

    The certificate is checked by the system's authorities (``SSL_CERT_FILE`` names others), proxies are those of the
    environment, and redirects lead to https alone.

    Args:
        url: the address, which may hold a secret.
        shown: what errors call it.
        etag: the tag of the content that is known already.
        largest: how many bytes are read at most; those of a book where it is left out.

    Raises:
        PriceBookError: nothing came within 5 seconds, too much, or something else than the whole content.
    """
    limit = files.LARGEST_FILE if largest is None else largest
    headers = {"User-Agent": f"otel-tokenomics/{__version__}", "Accept-Encoding": "identity"}
    if etag is not None:
        headers["If-None-Match"] = etag
    deadline = _Deadline(TIMEOUT_S)
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  # the caller saw to it that it is https
        opener = urllib.request.build_opener(_Https(deadline), _ToHttpsAlone)
        with opener.open(request, timeout=TIMEOUT_S) as response:
            content = _body(response, limit, deadline)
            return Fetched(content, _tag(response.headers.get("ETag")))
    except urllib.error.HTTPError as error:
        with error:
            if error.code == _NOT_MODIFIED and etag is not None:
                return None
        raise PriceBookError(f"{shown}: answered {error.code}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PriceBookError(f"{shown}: cannot be fetched: {_why(error, deadline)}") from None
    finally:
        deadline.end()


def _body(response: Any, limit: int, deadline: _Deadline) -> bytes:
    stated = response.headers.get("Content-Length", "")
    wanted = int(stated) if stated.isdecimal() and len(stated) < 16 else None
    if wanted is not None and wanted > limit:
        raise ValueError(f"it is larger than {limit} bytes")
    content = bytearray()
    while piece := response.read1(_PIECE):
        content += piece
        if len(content) > limit:
            raise ValueError(f"it is larger than {limit} bytes")
    if deadline.passed:
        raise TimeoutError
    if wanted is not None and len(content) < wanted:
        raise ValueError(f"it is cut off after {len(content)} of {wanted} bytes")
    return bytes(content)


def _tag(etag: str | None) -> str | None:
    fine = etag is not None and len(etag) <= _MAX_ETAG and etag.isascii() and etag.isprintable()
    return etag if fine else None


def _why(error: Exception, deadline: _Deadline) -> str:
    reason: object = error.reason if isinstance(error, urllib.error.URLError) else error
    if deadline.passed or isinstance(reason, TimeoutError):
        return f"it took longer than {TIMEOUT_S:g} seconds"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {reason.verify_message}"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__


class _Deadline:
    """Shuts the connections of one fetch when its time is over, whatever they wait for."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, opened: socket.socket) -> None:
        self._sockets.append(opened)
        if self.passed:
            self._shut()

    def end(self) -> None:
        self._timer.cancel()

    def _shut(self) -> None:
        self.passed = True
        for opened in self._sockets:
            # That of the plain socket: TLS would take the object away under the thread that reads.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, deadline: _Deadline) -> None:
        context = ssl.create_default_context()
        super().__init__(context=context)

        class Watched(http.client.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                deadline.watch(self.sock)

        self._opened, self._trusted = Watched, context

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._opened, req, context=self._trusted)


class _ToHttpsAlone(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme != "https":
            fp.close()
            raise ValueError("it redirects to an address that is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
