"""OTLP in files: protobuf (length-delimited, or one request alone) or OTLP/JSON (one object, or one per line)."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, cast

from otel_tokenomics.errors import BadInputError

TRACES: Final = "traces.otlp"
METRICS: Final = "metrics.otlp"
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"
_VARINT_BITS: Final = 63
_MAX_UNPACKED: Final = 2**30
_PIECE: Final = 2**16
_GZIP: Final = 31  # zlib's word for "with the header of gzip"
_TRACE_ID: Final = 16
_SPAN_ID: Final = 8


class SpanRecord(NamedTuple):
    """One span as a report needs it; ids are hex, times epoch nanoseconds, ``kind`` OTLP's number."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    error: bool
    scope: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope_version: str = ""


class Point(NamedTuple):
    """One number of one metric."""

    metric: str
    value: float
    attributes: dict[str, Any]
    start_ns: int
    time_ns: int


#: Is told what cannot be read; reading goes on where it returns.
Damaged: TypeAlias = Callable[[BadInputError], None]


def stop(error: BadInputError) -> None:
    """End reading at the first damage."""
    raise error


def append(path: Path, request: bytes) -> None:
    """Append one serialised OTLP request to a file, its length before it as a varint."""
    length, prefix = len(request), bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    with path.open("ab") as file:
        file.write(bytes(prefix) + request)


def records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the requests of length-delimited content, each with the byte at which it begins.

    Raises:
        BadInputError: the content ends inside a record; the records before it were yielded.
    """
    at = 0
    while at < len(content):
        begin, length, shift = at, 0, 0
        while at < len(content) and shift < _VARINT_BITS:
            byte = content[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        if at + length > len(content):
            raise BadInputError(f"byte {begin}: a record of {length} bytes is cut off")
        yield begin, content[at : at + length]
        at += length


def read_spans(path: Path, damaged: Damaged = stop) -> Iterator[SpanRecord]:
    """Yield the spans of a file, or of the traces in a directory of the local receiver.

    The file is length-delimited protobuf, one protobuf request alone, or JSON (one request, or one per line); each may
    be compressed with gzip. What cannot be read is told to ``damaged``, naming file, line or byte, and field; the rest
    is yielded.

    Raises:
        BadInputError: the file cannot be read at all.
    """
    file = path / TRACES if path.is_dir() else path

    def tell(error: BadInputError) -> None:
        damaged(BadInputError(f"{file}: {error}"))

    content = _content(file, tell)
    if content.lstrip(_BLANK)[:1] in (b"{", b"["):
        requests = _json_requests(content)
        # A record of 123 or 91 bytes begins like JSON.
        if any(not isinstance(found, BadInputError) for _, found in requests) or not _is_protobuf(content):
            yield from _json_spans(requests, tell)
            return
    yield from _protobuf_spans(content, tell)


def _content(file: Path, damaged: Damaged) -> bytes:
    """Return a file's content, unpacked where it is packed, as far as that goes."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise BadInputError(f"{file}: no such file") from None
    except OSError as error:
        raise BadInputError(f"{file}: cannot be read: {error.strerror}") from None
    if not content.startswith(b"\x1f\x8b"):
        return content
    unpacked, rest = bytearray(), content
    while rest:
        member = zlib.decompressobj(_GZIP)
        try:
            for at in range(0, len(rest), _PIECE):
                unpacked += member.decompress(rest[at : at + _PIECE])
                if len(unpacked) > _MAX_UNPACKED:
                    raise BadInputError(f"{file}: is above {_MAX_UNPACKED} bytes when unpacked")
                if member.eof:
                    rest = member.unused_data + rest[at + _PIECE :]
                    break
            else:
                raise zlib.error("it is cut off")
        except zlib.error as error:
            damaged(BadInputError(f"gzip is damaged after {len(unpacked)} unpacked bytes: {error}"))
            break
    return bytes(unpacked)


def _trace_request() -> Any:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    return ExportTraceServiceRequest()


def _parsed(record: bytes) -> Any:
    """Return a trace request; None where the bytes are none."""
    from google.protobuf.message import DecodeError

    request = _trace_request()
    try:
        request.ParseFromString(record)
    except DecodeError:
        return None
    return request


def _is_protobuf(content: bytes) -> bool:
    try:
        _, record = next(records(content))
    except (BadInputError, StopIteration):
        record = content
    return any(request is not None and request.resource_spans for request in (_parsed(record), _parsed(content)))


def _protobuf_spans(content: bytes, damaged: Damaged) -> Iterator[SpanRecord]:
    cut: BadInputError | None = None
    found: list[tuple[int, Any]] = []
    try:
        found.extend((begin, _parsed(record)) for begin, record in records(content))
    except BadInputError as error:
        cut = error
    if not any(request is not None and request.resource_spans for _, request in found):
        alone = _parsed(content)
        if alone is not None and alone.resource_spans:
            found, cut = [(0, alone)], None
    for begin, request in found:
        if request is None:
            damaged(BadInputError(f"byte {begin}: the record is no OTLP trace request"))
        else:
            yield from _spans(request, f"byte {begin}", damaged)
    if cut is not None:
        damaged(cut)


def _json_requests(content: bytes) -> list[tuple[int, Any]]:
    """Return the object of a JSON text, or those of JSON lines, each with its line; an error in place of one."""
    text = content.decode("utf-8-sig", errors="replace")
    whole = _json(text)
    if not isinstance(whole, BadInputError):
        return [(1, whole)]
    lines = [(number, _json(line)) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return lines if any(isinstance(found, dict) for _, found in lines) else [(1, whole)]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        row = f"row {error.lineno}, " if error.lineno > 1 else ""
        return BadInputError(f"is no JSON: {error.msg} at {row}character {error.colno}")
    except (ValueError, RecursionError):
        return BadInputError("is no JSON that can be read: nested too deeply, or a number too long")


def _json_spans(requests: list[tuple[int, Any]], damaged: Damaged) -> Iterator[SpanRecord]:
    from google.protobuf.json_format import ParseDict, ParseError

    for number, found in requests:
        if isinstance(found, BadInputError):
            damaged(BadInputError(f"line {number}: {found}"))
            continue
        if not isinstance(found, dict) or "resourceSpans" not in found:
            damaged(BadInputError(f"line {number}: is no OTLP/JSON: there is no resourceSpans"))
            continue
        request = _trace_request()
        try:
            ParseDict(_hex_to_base64(found), request, ignore_unknown_fields=True)
        except (ParseError, ValueError, TypeError, RecursionError) as error:
            damaged(BadInputError(f"line {number}: is no OTLP/JSON: {_place(str(error))}"))
            continue
        yield from _spans(request, f"line {number}", damaged)


def _place(error: str) -> str:
    """Return protobuf's message with its chain of fields as one path."""
    line = (error.splitlines() or ["cannot be read"])[0]
    *fields, last = line.split(" field: ")
    path = ".".join(field.removeprefix("Failed to parse ") for field in fields)
    return (f"{path}: {last}" if path else last).rstrip(".")


def _hex_to_base64(content: Any) -> Any:
    """OTLP/JSON writes ids in hex where protobuf's JSON has base64."""
    if isinstance(content, dict):
        entries = cast("dict[str, Any]", content)
        return {
            key: _base64_of(key, value)
            if key in ("traceId", "spanId", "parentSpanId") and isinstance(value, str)
            else _hex_to_base64(value)
            for key, value in entries.items()
        }
    return [_hex_to_base64(item) for item in cast("list[Any]", content)] if isinstance(content, list) else content


def _base64_of(key: str, value: str) -> str:
    try:
        return base64.b64encode(bytes.fromhex(value)).decode()
    except ValueError:
        raise ValueError(f"{key}: is no hexadecimal id") from None


def _spans(request: Any, where: str, damaged: Damaged) -> Iterator[SpanRecord]:
    nameless = 0
    for resource_spans in request.resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                if len(span.trace_id) != _TRACE_ID or len(span.span_id) != _SPAN_ID:
                    nameless += 1
                    continue
                yield SpanRecord(
                    span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.name, span.kind,
                    span.start_time_unix_nano, span.end_time_unix_nano, span.status.code == 2, scope_spans.scope.name,
                    _attributes(span.attributes), resource, scope_spans.scope.version,
                )  # fmt: skip
    if nameless:
        damaged(BadInputError(f"{where}: {nameless} spans lack a trace id of 16 bytes or a span id of 8"))


def read_points(path: Path) -> Iterator[Point]:
    """Yield the sums of the metrics in a length-delimited file, each as last reported.

    Raises:
        BadInputError: the file ends inside a record.
    """
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    for _, record in records(path.read_bytes()):
        request: Any = ExportMetricsServiceRequest()
        request.ParseFromString(record)
        for resource_metrics in request.resource_metrics:
            for scope_metrics in resource_metrics.scope_metrics:
                for metric in scope_metrics.metrics:
                    for point in metric.sum.data_points:
                        value = point.as_double if point.HasField("as_double") else point.as_int
                        yield Point(
                            metric.name, value, _attributes(point.attributes), point.start_time_unix_nano,
                            point.time_unix_nano,
                        )  # fmt: skip


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind in ("string_value", "bool_value", "int_value", "double_value") else None
