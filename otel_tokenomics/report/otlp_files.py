"""OTLP in files: length-delimited protobuf (one request per record), or OTLP/JSON (one object, or one per line)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from otel_tokenomics.errors import BadInputError

MAX_RECORD: Final = 64 * 2**20
TRACES: Final = "traces.otlp"
METRICS: Final = "metrics.otlp"


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


class Point(NamedTuple):
    """One number of one metric."""

    metric: str
    value: float
    attributes: dict[str, Any]
    start_ns: int
    time_ns: int


def append(path: Path, request: bytes) -> None:
    """Append one serialised OTLP request to a file, its length before it as a varint."""
    length, prefix = len(request), bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    with path.open("ab") as file:
        file.write(bytes(prefix) + request)


def records(path: Path) -> Iterator[bytes]:
    """Yield the requests of a length-delimited file.

    Raises:
        BadInputError: the file ends inside a record, or a length is impossible; the records before it were yielded.
    """
    content = path.read_bytes()
    at = 0
    while at < len(content):
        begin, length, shift = at, 0, 0
        while at < len(content):
            byte = content[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        if length > MAX_RECORD or at + length > len(content):
            raise BadInputError(f"{path}: byte {begin}: the record of {length} bytes is cut off")
        yield content[at : at + length]
        at += length


def read_spans(path: Path) -> Iterator[SpanRecord]:
    """Yield the spans of a file or of the traces in a directory.

    Raises:
        BadInputError: naming file, line or byte, and field; what stands before it was yielded.
    """
    file = path / TRACES if path.is_dir() else path
    if not file.is_file():
        raise BadInputError(f"{file}: no such file")
    with file.open("rb") as opened:
        first = opened.read(1)
    if first in (b"{", b"["):
        yield from _json_spans(file)
        return
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for number, record in enumerate(records(file), 1):
        request: Any = ExportTraceServiceRequest()
        try:
            request.ParseFromString(record)
        except DecodeError:
            raise BadInputError(f"{file}: record {number}: is no OTLP trace request") from None
        yield from _spans(request)


def _json_spans(file: Path) -> Iterator[SpanRecord]:
    from google.protobuf.json_format import ParseDict, ParseError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        objects: list[tuple[int, Any]] = [(1, json.loads(text))]
    except ValueError:
        objects = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    objects.append((number, json.loads(line)))
                except ValueError as error:
                    raise BadInputError(f"{file}: line {number}: is no JSON ({error})") from None
    for number, content in objects:
        request: Any = ExportTraceServiceRequest()
        try:
            ParseDict(_hex_to_base64(content), request, ignore_unknown_fields=True)
        except (ParseError, ValueError, TypeError) as error:
            raise BadInputError(f"{file}: line {number}: is no OTLP/JSON ({str(error).splitlines()[0]})") from None
        yield from _spans(request)


def _hex_to_base64(content: Any) -> Any:
    """OTLP/JSON writes ids in hex where protobuf's JSON has base64."""
    if isinstance(content, dict):
        entries = cast("dict[str, Any]", content)
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode()
            if key in ("traceId", "spanId", "parentSpanId") and isinstance(value, str)
            else _hex_to_base64(value)
            for key, value in entries.items()
        }
    return [_hex_to_base64(item) for item in cast("list[Any]", content)] if isinstance(content, list) else content


def _spans(request: Any) -> Iterator[SpanRecord]:
    for resource_spans in request.resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield SpanRecord(
                    span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.name, span.kind,
                    span.start_time_unix_nano, span.end_time_unix_nano, span.status.code == 2, scope_spans.scope.name,
                    _attributes(span.attributes), resource,
                )  # fmt: skip


def read_points(path: Path) -> Iterator[Point]:
    """Yield the sums of the metrics in a length-delimited file, each as last reported.

    Raises:
        BadInputError: the file ends inside a record.
    """
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    for record in records(path):
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
