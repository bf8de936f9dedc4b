"""The built collector against what any sender can send: all of it goes on, is counted, and nothing of it is logged."""

from __future__ import annotations

import http.client
import json
import math
import re
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from collector_run import START_SECONDS, STEP_SECONDS, Receiver, binary, free_port, started
from test_collector_binary import BOOK_FILE

pytestmark = pytest.mark.collector

SECRET: Final = b"s3cr3t-of-a-customer"
START: Final = 1_795_341_600_000_000_000
LATEST: Final = 2**64 - 1
PER_TRACE, HELD = 10_000, 50_000


# --- protobuf by hand: what the library for it refuses to write is the point --------------------
def varint(number: int) -> bytes:
    number &= LATEST
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def text(value: bytes) -> bytes:
    return field(1, value)


def integer(value: int) -> bytes:
    return varint(3 << 3) + varint(value)


def double(value: float) -> bytes:
    return varint(4 << 3 | 1) + struct.pack("<d", value)


def pair(key: bytes, value: bytes) -> bytes:
    return field(9, field(1, key) + field(2, value))


USAGE: Final = {
    b"gen_ai.operation.name": text(b"chat"),
    b"gen_ai.provider.name": text(b"openai"),
    b"gen_ai.request.model": text(b"gpt-4o"),
    b"gen_ai.usage.input_tokens": integer(1000),
    b"gen_ai.usage.output_tokens": integer(500),
    b"gen_ai.input.messages": text(SECRET),
}
CALL: Final = b"".join(pair(key, value) for key, value in USAGE.items())


def span(
    number: int, attributes: bytes = CALL, trace: int = -1, parent: int = 0, times: tuple[int, int] = (START, START + 1)
) -> bytes:
    """One span of its own trace, unless another is named; ids of zero are zero bytes."""
    own = (number if trace < 0 else trace).to_bytes(16)
    above = field(4, parent.to_bytes(8)) if parent else b""
    ids = field(1, own) + field(2, number.to_bytes(8)) + above + field(5, SECRET)
    ends = b"".join(varint(place << 3 | 1) + struct.pack("<Q", at) for place, at in zip((7, 8), times, strict=True))
    return field(2, ids + varint(6 << 3) + b"\x03" + ends + attributes)


def request(spans: list[bytes]) -> bytes:
    scope = field(1, field(1, b"opentelemetry.instrumentation.genai.openai"))
    return field(1, field(2, scope + b"".join(spans)))


def nested(levels: int) -> bytes:
    value = text(SECRET)
    for _ in range(levels):
        value = field(5, field(1, value))
    return value


def with_other(number: int, key: bytes, value: bytes) -> bytes:
    """A call of which one attribute is another value; a key that it does not have is added."""
    return span(number, b"".join(pair(k, v) for k, v in {**USAGE, key: value}.items()))


MEGABYTE: Final = b"m" * (1 << 20)
BROKEN: Final = b"gpt\xff\xfe\x00\xc0\x80"
PAYLOADS: Final[dict[str, list[bytes]]] = {
    "a hundred thousand attributes": [
        span(1, CALL + b"".join(pair(b"key.%d" % index, integer(index)) for index in range(100_000)))
    ],
    "a megabyte of a name": [
        with_other(10 + index, key, text(MEGABYTE))
        for index, key in enumerate((b"gen_ai.request.model", b"gen_ai.provider.name", b"server.address", MEGABYTE))
    ],
    "numbers that are no counts": [
        with_other(20 + index, b"gen_ai.usage.input_tokens", value)
        for index, value in enumerate(
            [
                *map(double, (math.nan, math.inf, -math.inf, -1.0, 1e300)),
                *map(integer, (-1, 2**63 - 1, -(2**63), 10**12 + 1)),
                *map(text, (b"NaN", b"1e400", b"9" * 400)),
            ]
        )
    ],
    "duplicate keys": [span(40, CALL + CALL + pair(b"gen_ai.usage.input_tokens", integer(9000)))],
    "cycles in parents": [
        *(span(50 + index, trace=50, parent=50 + (index + 1) % 20) for index in range(20)),
        span(80, parent=80),
    ],
    "zero ids": [span(0, trace=0) for _ in range(20)],
    "invalid UTF-8": [
        with_other(90 + index, key, text(BROKEN))
        for index, key in enumerate((b"gen_ai.request.model", b"gen_ai.provider.name", b"tokenomics.tag.team", BROKEN))
    ],
    "values within values": [
        with_other(100 + index, key, nested(2000))
        for index, key in enumerate((b"gen_ai.output.messages", b"gen_ai.request.model", b"gen_ai.usage.input_tokens"))
    ],
    "times that cannot be": [
        span(110 + index, times=times)
        for index, times in enumerate([(0, 0), (LATEST, LATEST), (START, 0), (LATEST, 0), (START, START - 1)])
    ],
    "nothing inside": [field(2, b""), span(120, b"")],
}


class Running:
    def __init__(self, port: int, telemetry: int, process: subprocess.Popen[bytes]) -> None:
        self.port, self.telemetry, self.process = port, telemetry, process

    def post(self, spans: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", "/v1/traces", request(spans), {"Content-Type": "application/x-protobuf"})
            assert connection.getresponse().status == 200
        finally:
            connection.close()

    def counts(self) -> Counter[str]:
        """The collector's own counters, those of one name added up."""
        connection = http.client.HTTPConnection("127.0.0.1", self.telemetry, timeout=60)
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode()
        finally:
            connection.close()
        found: Counter[str] = Counter()
        for name, value in re.findall(r"^otelcol_(\w+?)(?:_total)?(?:\{.*\})? (\S+)$", lines, re.MULTILINE):
            found[name] += int(float(value))
        return found

    def settled(self, spans: int) -> Counter[str]:
        """The counters once so many spans left."""
        deadline = time.monotonic() + 3 * START_SECONDS
        while (counts := self.counts())["exporter_sent_spans"] < spans:
            assert self.process.poll() is None
            assert time.monotonic() < deadline, counts
            time.sleep(STEP_SECONDS)
        return counts

    def most_memory(self) -> int:
        """The most memory that the process had so far, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024  # type: ignore[index]


@contextmanager
def running(tmp_path: Path) -> Generator[Running]:
    """All three components in one pipeline, everything logged."""
    port, telemetry, sink = free_port(), free_port(), Receiver(lambda *_: None)
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": telemetry}}}}
    config: dict[str, Any] = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "processors": {
            "tokenomics": {"max_age": "0", "cost_parts": True, "book": {"files": [{"path": str(BOOK_FILE)}]}},
            "tokenomics_rollup": {
                "wait_after_root": "100ms",
                "idle_wait": "500ms",
                "max_spans": HELD,
                "max_spans_per_trace": PER_TRACE,
            },
        },
        "connectors": {"tokenomics": {"flush_interval": "1s"}},
        "exporters": {"otlp_http": {"endpoint": sink.endpoint, "sending_queue": {"enabled": False}}, "nop": {}},
        "service": {
            "telemetry": {"logs": {"level": "debug"}, "metrics": {"readers": [reader]}},
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["tokenomics", "tokenomics_rollup"],
                    "exporters": ["otlp_http", "tokenomics"],
                },
                "metrics": {"receivers": ["tokenomics"], "exporters": ["nop"]},
            },
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    log = tmp_path / "collector.log"
    with closing(sink), started(binary(), [tmp_path / "config.json"], log) as process:
        yield Running(port, telemetry, process)
    said = log.read_bytes()
    assert SECRET not in said
    assert [line for line in said.splitlines() if b"\terror\t" in line or b"panic" in line or b"mmmmmmmm" in line] == []


def test_all_of_it_goes_on_and_is_counted(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        for spans in PAYLOADS.values():
            collector.post(spans)
        sent = sum(map(len, PAYLOADS.values()))
        counts = collector.settled(sent)
        for counter in (
            *("receiver_accepted_spans", "processor_tokenomics_spans", "processor_tokenomics_rollup_received_spans"),
            *("processor_tokenomics_rollup_released_spans", "connector_tokenomics_items", "exporter_sent_spans"),
        ):
            assert counts[counter] == sent, (counter, counts)
        assert counts["processor_tokenomics_rollup_held_spans"] == 0
        assert counts["processor_tokenomics_rollup_malformed_traces"] == 0
        # It still works.
        before = counts["processor_tokenomics_model_cache_hits"]
        collector.post([span(1000 + index) for index in range(10)])
        counts = collector.settled(sent + 10)
        assert counts["processor_tokenomics_model_cache_hits"] >= before + 10
        assert collector.most_memory() < 1 << 30


def test_many_spans_in_one_trace_are_not_held(tmp_path: Path) -> None:
    """Above the limit the trace goes on early, flagged; what comes of it later passes at once."""
    batches, size = 10, 20_000
    plain = CALL[:0]
    with running(tmp_path) as collector:
        for batch in range(batches):
            first = batch * size + 1
            calls = [
                span(first + index, CALL if index % 50 == 0 else plain, trace=7, parent=(first + index) // 2)
                for index in range(size)
            ]
            collector.post(calls)
            assert collector.counts()["processor_tokenomics_rollup_held_spans"] <= PER_TRACE
        counts = collector.settled(batches * size)
        assert counts["processor_tokenomics_rollup_received_spans"] == batches * size
        assert counts["processor_tokenomics_rollup_late_spans"] == batches * size - PER_TRACE
        assert counts["processor_tokenomics_spans"] == batches * size
        assert collector.most_memory() < 1 << 30
