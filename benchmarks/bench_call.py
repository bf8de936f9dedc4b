"""What one call costs the service: CPU per call beside a bare client and a minimal hand-written span, in one run.

Rounds are short and interleaved; the medians of the differences to the bare client are printed, with their spread.
The transport answers in process, so that only CPU is measured.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx2
import openai
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider, sampling

import otel_tokenomics as tk
from otel_tokenomics import _api
from otel_tokenomics.telemetry.tag_processor import TagProcessor

ROUNDS, CALLS, STREAMS, CHUNKS = 60, 25, 3, 200
USAGE = {"prompt_tokens": 1200, "completion_tokens": 80, "total_tokens": 1280}
BODY = json.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-5.4",
        "usage": USAGE,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}],
    }
).encode()
CHUNK = json.dumps(
    {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-5.4",
        "choices": [{"index": 0, "finish_reason": None, "delta": {"content": "word "}}],
    }
).encode()
LAST = json.dumps({**json.loads(CHUNK), "choices": [], "usage": USAGE}).encode()
STREAM = b"".join(b"data: " + part + b"\n\n" for part in [*[CHUNK] * CHUNKS, LAST, b"[DONE]"])
MESSAGES: Any = [{"role": "user", "content": "hello"}]


def answer(request: httpx2.Request) -> httpx2.Response:
    if b'"stream":true' in request.content.replace(b" ", b""):
        return httpx2.Response(200, content=STREAM, headers={"content-type": "text/event-stream"})
    return httpx2.Response(200, content=BODY, headers={"content-type": "application/json"})


def client() -> openai.OpenAI:
    return openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))


def call(made: openai.OpenAI) -> None:
    made.chat.completions.create(model="gpt-5.4", messages=MESSAGES)


def stream(made: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    for _ in made.chat.completions.create(model="gpt-5.4", messages=MESSAGES, stream=True, stream_options=options):
        pass


def minimal(made: openai.OpenAI) -> None:
    """What somebody writes by hand: a span with the model and two counts."""
    with trace.get_tracer("by hand").start_as_current_span("chat", kind=trace.SpanKind.CLIENT) as span:
        result = made.chat.completions.create(model="gpt-5.4", messages=MESSAGES)
        if result.usage is not None:
            span.set_attribute("gen_ai.request.model", "gpt-5.4")
            span.set_attribute("gen_ai.usage.input_tokens", result.usage.prompt_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", result.usage.completion_tokens)


def cpu(work: Callable[[], None], times: int) -> float:
    begin = time.process_time_ns()
    for _ in range(times):
        work()
    return (time.process_time_ns() - begin) / times / 1000


def instrumented(on: bool) -> None:
    runtime = _api._runtime
    assert runtime is not None
    for seam in runtime.engine._seams.values():
        seam.active = on


class Added(NamedTuple):
    """Median µs of CPU, and half the distance of the quartiles: the noise of the machine."""

    median: float
    noise: float

    def __str__(self) -> str:
        return f"{self.median:.1f} ±{self.noise:.1f}"


def added(values: list[float], base: list[float]) -> Added:
    """Return what was added to the base, round by round: the machine's drift is in both halves of a round."""
    differences = [value - other for value, other in zip(values, base, strict=True)]
    low, median, high = statistics.quantiles(differences, n=4)
    return Added(median, (high - low) / 2)


def variant(setup: str) -> dict[str, list[float]]:
    """Measure one set-up in this process: µs of CPU of each round by kind of work."""
    sampler = sampling.ALWAYS_OFF if setup == "sampled out" else sampling.ALWAYS_ON
    provider = TracerProvider(sampler)
    trace.set_tracer_provider(provider)
    if setup == "metrics":
        metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
    else:
        metrics.set_meter_provider(metrics.NoOpMeterProvider())
    made = client()
    tk.instrument()
    call(made)
    stream(made)
    rounds: dict[str, list[float]] = {name: [] for name in ("bare", "by hand", "ours", "bare stream", "our stream")}
    # What ran before decides what the processor's caches hold: each piece runs uncounted first, and in turning order.
    pieces: list[tuple[str, Callable[[], None], int]] = [
        ("bare", lambda: call(made), CALLS),
        ("ours", lambda: call(made), CALLS),
        ("by hand", lambda: minimal(made), CALLS),
        ("bare stream", lambda: stream(made), STREAMS),
        ("our stream", lambda: stream(made), STREAMS),
    ]
    for turn in range(ROUNDS):
        for name, work, times in pieces[turn % len(pieces) :] + pieces[: turn % len(pieces)]:
            instrumented(name.startswith("our"))
            cpu(work, max(times // 5, 1))
            rounds[name].append(cpu(work, times))
    return rounds


def other_spans() -> dict[str, list[float]]:
    """Return µs of CPU, by round, of a span that is no model call: plain, with our processor, with three tags."""
    plain, ours = TracerProvider(), TracerProvider()
    ours.add_span_processor(TagProcessor({}))
    tracers = {"plain": plain.get_tracer("x"), "ours": ours.get_tracer("x")}
    rounds: dict[str, list[float]] = {"plain": [], "ours": [], "three tags": []}
    for _ in range(ROUNDS):
        for name, tracer in tracers.items():
            rounds[name].append(cpu(lambda tracer=tracer: tracer.start_span("s").end(), 300))
        with tk.tags(team="a", customer="b", feature="c"):
            rounds["three tags"].append(cpu(lambda: tracers["ours"].start_span("s").end(), 300))
    return rounds


START = """
import time, resource, opentelemetry.sdk.trace, opentelemetry.sdk.metrics, openai
before, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import otel_tokenomics; otel_tokenomics.instrument()
print(time.perf_counter() - before, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024)
"""


def starting() -> tuple[float, float]:
    runs = [subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True) for _ in range(7)]
    pairs = [tuple(map(float, run.stdout.split())) for run in runs]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(variant(sys.argv[1])))
        return
    titles = ("bare µs", "+ by hand", "+ ours", "ratio to bare", "ratio to by hand", "+ per chunk")
    print(f"{'set-up':12s}" + "".join(f"{title:>18s}" for title in titles))
    for setup in ("spans", "sampled out", "metrics"):
        done = subprocess.run([sys.executable, __file__, setup], capture_output=True, text=True, check=True)
        rounds = json.loads(done.stdout)
        bare = statistics.median(rounds["bare"])
        hand, ours = added(rounds["by hand"], rounds["bare"]), added(rounds["ours"], rounds["bare"])
        whole = added(rounds["our stream"], rounds["bare stream"])
        chunk = Added((whole.median - ours.median) / CHUNKS, whole.noise / CHUNKS)
        ratios = (f"{(bare + ours.median) / bare:.2f}", f"{(bare + ours.median) / (bare + hand.median):.2f}")
        columns = (f"{bare:.0f}", str(hand), str(ours), *ratios, f"{chunk.median:.2f} ±{chunk.noise:.2f}")
        print(f"{setup:12s}" + "".join(f"{column:>18s}" for column in columns))
    spans = other_spans()
    ours, tags = added(spans["ours"], spans["plain"]), added(spans["three tags"], spans["ours"])
    plain = statistics.median(spans["plain"])
    print(f"a span that is no model call: {plain:.1f} µs, ours +{ours} µs, three tags +{tags} µs")
    seconds, memory = starting()
    print(f"import + instrument() beside the SDK and the client: {seconds:.3f} s, {memory:.1f} MiB")


if __name__ == "__main__":
    main()
