"""OTLP files of every form: what is whole is read, what is damaged is named."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_tokenomics.errors import BadInputError
from otel_tokenomics.report import otlp_files


def request(*names: str) -> bytes:
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for number, name in enumerate(names):
        scope.spans.add(trace_id=b"\x01" * 16, span_id=bytes([number]) * 8, name=name)
    return message.SerializeToString()


def test_records_are_read_back_and_a_cut_one_is_reported(tmp_path: Path) -> None:
    file = tmp_path / otlp_files.TRACES
    otlp_files.append(file, request("a" * 300, "b"))
    otlp_files.append(file, request("c"))
    assert [found.name[0] for found in otlp_files.read_spans(tmp_path)] == ["a", "b", "c"]
    file.write_bytes(file.read_bytes()[:-3])
    read: list[str] = []
    with pytest.raises(BadInputError, match=r"traces\.otlp: byte \d+: .* cut off"):
        read.extend(found.name[0] for found in otlp_files.read_spans(file))


def test_what_stands_before_the_damage_is_read(tmp_path: Path) -> None:
    file = tmp_path / "t.otlp"
    otlp_files.append(file, request("a"))
    file.write_bytes(file.read_bytes() + b"\x05\xff")
    reader = otlp_files.read_spans(file)
    assert next(reader).name == "a"
    with pytest.raises(BadInputError):
        next(reader)


@pytest.mark.parametrize("text", ["{", '{"resourceSpans": [{"scopeSpans": 7}]}', "[1]"])
def test_json_that_is_no_otlp_names_the_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_text(text)
    with pytest.raises(BadInputError, match=r"t\.json: line 1"):
        list(otlp_files.read_spans(file))


def test_otlp_json_has_hex_ids(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    found = {
        "traceId": "ab" * 16,
        "spanId": "cd" * 8,
        "name": "x",
        "attributes": [
            {"key": "tokenomics.cost.total", "value": {"doubleValue": 0.5}},
            {"key": "n", "value": {"intValue": "7"}},
        ],
    }
    content = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "s"}, "spans": [found]}]}]}
    file.write_text(json.dumps(content) + "\n" + json.dumps(content) + "\n")
    (first, _) = otlp_files.read_spans(file)
    assert (first.trace_id, first.span_id) == ("ab" * 16, "cd" * 8)
    assert first.attributes == {"tokenomics.cost.total": 0.5, "n": 7}


def json_request(span_id: str, **fields: Any) -> dict[str, Any]:
    span = {"traceId": "ab" * 16, "spanId": span_id, "name": span_id[-1], **fields}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def names(file: Path) -> tuple[list[str], list[str]]:
    """Return the names of the spans that are read, and what is said to be damaged."""
    damage: list[BadInputError] = []
    spans = [span.name for span in otlp_files.read_spans(file, damage.append)]
    return spans, [str(error).removeprefix(f"{file}: ") for error in damage]


WHOLE = json_request("c" * 16)


@pytest.mark.parametrize(
    "content",
    [
        request("c"),
        # Requests whose length is that of "{" and of "[": 123 and 91 bytes begin like JSON.
        *(bytes([size]) + request("c" * (size - 36)) for size in (123, 91)),
        gzip.compress(request("c")),
        json.dumps(WHOLE).encode(),
        json.dumps(WHOLE, indent=2).encode(),
        b"\xef\xbb\xbf \r\n" + json.dumps(WHOLE).encode(),
        gzip.compress(json.dumps(WHOLE).encode() + b"\r\n\r\n"),
    ],
    ids=["alone", "length of {", "length of [", "alone gzip", "json", "indented", "mark", "lines gzip"],
)
def test_every_form_of_one_request(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_bytes(content)
    (spans, damage) = names(file)
    assert ([name[0] for name in spans], damage) == (["c"], [])


def test_what_follows_the_damage_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "t.otlp"
    otlp_files.append(file, request("a"))
    broken = file.stat().st_size
    otlp_files.append(file, b"\xff\xff\xff")
    otlp_files.append(file, request("b"))
    assert names(file) == (["a", "b"], [f"byte {broken}: the record is no OTLP trace request"])


def test_lines_that_are_damaged_are_named_and_the_others_read(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    bad = [
        "{bad",
        json.dumps(json_request("zz")),
        json.dumps(json_request("d" * 16, attributes=[{"key": "a", "value": {"intValue": "x"}}])),
        json.dumps(json_request("d" * 4)),
        '{"a":' * 100_000,
        "[1]",
        '{"resourceSpans": NaN}',
    ]
    file.write_text("\n".join([json.dumps(WHOLE), *bad, json.dumps(json_request("e" * 16))]))
    spans, damage = names(file)
    assert spans == ["c", "e"]
    assert [error.partition(":")[0] for error in damage] == [f"line {number}" for number in range(2, 9)]
    assert "spanId: is no hexadecimal id" in damage[1]
    assert "resourceSpans.scopeSpans.spans.attributes.value.intValue: " in damage[2]
    assert "1 spans lack a trace id of 16 bytes" in damage[3]
    assert "nested too deeply" in damage[4]


def test_an_indented_object_that_is_broken_is_one_damage(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_text(json.dumps(WHOLE, indent=2).replace('"name"', "name"))
    spans, (damage,) = names(file)
    assert spans == []
    # Four objects, three lists and two ids stand before the name.
    assert "at row 10, character" in damage


def test_metrics_are_no_spans(tmp_path: Path) -> None:
    file = tmp_path / "m.otlp"
    message = ExportMetricsServiceRequest()
    message.resource_metrics.add().scope_metrics.add().metrics.add(name="m", unit="{USD}").sum.is_monotonic = True
    otlp_files.append(file, message.SerializeToString())
    spans, damage = names(file)
    assert (spans, len(damage)) == ([], 1)


def test_gzip_that_is_cut_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "t.otlp.gz"
    plain = tmp_path / "t.otlp"
    for _ in range(3000):
        otlp_files.append(plain, request(f"{random.random()}"))
    file.write_bytes(gzip.compress(plain.read_bytes())[:-20])
    spans, damage = names(file)
    assert 2000 < len(spans) <= 3000
    assert "gzip is damaged" in damage[0]


def test_no_bytes_are_a_crash(tmp_path: Path) -> None:
    file = tmp_path / "t"
    otlp_files.append(file, request("a" * 50, "b"))
    whole = file.read_bytes()
    chance = random.Random(7)
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        file.write_bytes(bytes(damaged) if chance.random() < 0.5 else chance.randbytes(60))
        names(file)
