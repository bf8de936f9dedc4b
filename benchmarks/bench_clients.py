"""What one call costs the service, for every client: ours beside the fastest other instrumentation that is installed.

Each set-up of a client is a process of its own; rounds are short and go from process to process, so that the machine's
drift is in all of them. The transport answers in process with what the local provider sent once, a stream's chunk
repeated, so that only CPU is measured. Printed are medians of the differences to the bare client, round by round.
"""

from __future__ import annotations

import collections
import contextlib
import importlib
import io
import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROUNDS, CALLS, STREAMS, CHUNKS = 25, 12, 3, 200
#: Client -> the other instrumentations of it: distribution, module, class.
PEERS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "openai": (
        ("opentelemetry-instrumentation-genai-openai", "opentelemetry.instrumentation.genai.openai", "OpenAI"),
        ("openinference-instrumentation-openai", "openinference.instrumentation.openai", "OpenAI"),
        ("opentelemetry-instrumentation-openai", "opentelemetry.instrumentation.openai", "OpenAI"),
    ),
    "anthropic": (
        ("opentelemetry-instrumentation-genai-anthropic", "opentelemetry.instrumentation.genai.anthropic", "Anthropic"),
        ("openinference-instrumentation-anthropic", "openinference.instrumentation.anthropic", "Anthropic"),
        ("opentelemetry-instrumentation-anthropic", "opentelemetry.instrumentation.anthropic", "Anthropic"),
    ),
    "google_genai": (
        ("opentelemetry-instrumentation-google-genai", "opentelemetry.instrumentation.google_genai", "GoogleGenAiSdk"),
        ("openinference-instrumentation-google-genai", "openinference.instrumentation.google_genai", "GoogleGenAI"),
        (
            "opentelemetry-instrumentation-google-generativeai",
            "opentelemetry.instrumentation.google_generativeai",
            "GoogleGenerativeAi",
        ),
    ),
    "mistral": (
        ("openinference-instrumentation-mistralai", "openinference.instrumentation.mistralai", "MistralAI"),
        ("opentelemetry-instrumentation-mistralai", "opentelemetry.instrumentation.mistralai", "MistralAi"),
    ),
    "cohere": (
        ("openinference-instrumentation-cohere", "openinference.instrumentation.cohere", "Cohere"),
        ("opentelemetry-instrumentation-cohere", "opentelemetry.instrumentation.cohere", "Cohere"),
    ),
    "groq": (
        ("openinference-instrumentation-groq", "openinference.instrumentation.groq", "Groq"),
        ("opentelemetry-instrumentation-groq", "opentelemetry.instrumentation.groq", "Groq"),
    ),
    "together": (
        ("openinference-instrumentation-together", "openinference.instrumentation.together", "Together"),
        ("opentelemetry-instrumentation-together", "opentelemetry.instrumentation.together", "TogetherAi"),
    ),
    "ollama": (
        ("openinference-instrumentation-ollama", "openinference.instrumentation.ollama", "Ollama"),
        ("opentelemetry-instrumentation-ollama", "opentelemetry.instrumentation.ollama", "Ollama"),
    ),
    "huggingface": (),
    "bedrock": (
        ("opentelemetry-instrumentation-botocore", "opentelemetry.instrumentation.botocore", "Botocore"),
        ("opentelemetry-instrumentation-genai-bedrock", "opentelemetry.instrumentation.genai.bedrock", "Bedrock"),
        ("openinference-instrumentation-bedrock", "openinference.instrumentation.bedrock", "Bedrock"),
        ("opentelemetry-instrumentation-bedrock", "opentelemetry.instrumentation.bedrock", "Bedrock"),
    ),
    "litellm": (
        ("openinference-instrumentation-litellm", "openinference.instrumentation.litellm", "LiteLLM"),
        ("opentelemetry-instrumentation-litellm", "opentelemetry.instrumentation.litellm", "LiteLLM"),
    ),
}
MESSAGES: Any = [{"role": "user", "content": "hello"}]
VALUES = re.compile(rb'"(?:[^"\\]|\\.)*"(?=\s*[,}\]])|\d+')
OF_ONE_ANSWER = ("content-length", "transfer-encoding", "content-encoding", "connection")
Answer = tuple[dict[str, str], bytes]
Work = Callable[[], object]


# --- the transport ----------------------------------------------------------------------------


class Recorded:
    """What the local provider answered to each kind of request: asked once, then repeated."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, bool], Answer] = {}

    def of(self, path: str, sent: bytes, ask: Callable[[], Answer]) -> Answer:
        key = (path, b'"stream":true' in sent.replace(b" ", b""))
        if key not in self.answers:
            headers, body = ask()
            keep = {name: value for name, value in headers.items() if name.lower() not in OF_ONE_ANSWER}
            self.answers[key] = (keep, lengthened(body, keep))
        return self.answers[key]


def lengthened(body: bytes, headers: dict[str, str]) -> bytes:
    """Return a stream with the chunk that stands there most often as many times as a long answer has it."""
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    if "event-stream" in kind and "amazon" not in kind:
        parts = body.split(b"\n\n")
        parts, end = [part + b"\n\n" for part in parts[:-1]], parts[-1]
    elif "ndjson" in kind:
        parts, end = body.splitlines(keepends=True), b""
    elif "amazon.eventstream" in kind:
        parts, end = list(frames(body)), b""
    else:
        return body
    # Chunks of text are those that differ in nothing but the text.
    shapes = [part.count(b'"') if "amazon" in kind else VALUES.sub(b"", part) for part in parts]
    most = collections.Counter(shapes).most_common(1)[0][0]
    common = next(part for part, shape in zip(parts[1:], shapes[1:], strict=True) if shape == most or len(parts) < 4)
    place = parts.index(common)
    return b"".join([*parts[:place], *[common] * max(CHUNKS - len(parts), 0), *parts[place:], end])


def frames(body: bytes) -> Iterator[bytes]:
    while body:
        length = int.from_bytes(body[:4], "big")
        yield body[:length]
        body = body[length:]


def answer_in_process() -> None:
    """Have every HTTP library of the clients answer from what was recorded."""
    recorded = Recorded()
    for name in ("httpx", "httpx2"):
        with contextlib.suppress(ImportError):
            _httpx(importlib.import_module(name), recorded)
    with contextlib.suppress(ImportError):
        _botocore(importlib.import_module("botocore.httpsession").URLLib3Session, recorded)


def _httpx(library: Any, recorded: Recorded) -> None:
    original = library.HTTPTransport.handle_request

    def handle(self: Any, request: Any) -> Any:
        def ask() -> Answer:
            response = original(self, request)
            body = response.read()
            response.close()
            return dict(response.headers), body

        headers, body = recorded.of(str(request.url), request.read(), ask)
        return library.Response(200, headers=headers, content=body)

    library.HTTPTransport.handle_request = handle


def _botocore(session: Any, recorded: Recorded) -> None:
    import urllib3
    from botocore.awsrequest import AWSResponse

    original = session.send

    def send(self: Any, request: Any) -> Any:
        def ask() -> Answer:
            response = original(self, request)
            return dict(response.headers), response.raw.read() if request.stream_output else response.content

        headers, body = recorded.of(request.url, b"", ask)
        raw = urllib3.HTTPResponse(io.BytesIO(body), headers, 200, preload_content=False)
        response = AWSResponse(request.url, 200, raw.headers, raw)
        if not request.stream_output:
            response.content  # noqa: B018  # it is read here, as the original does
        return response

    session.send = send


# --- one set-up in a process of its own -------------------------------------------------------


def calls_of(family: str, provider: Any, stay: contextlib.ExitStack) -> tuple[Work, Work]:
    """Return the plain call and the streamed one of a client that is open as long as ``stay``."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "conformance"))
    row = importlib.import_module("client_table").ROWS[family]()
    client = stay.enter_context(row.open(provider, importlib.import_module("styles").Limits()))
    if family == "litellm":
        # Our stream says one word again and again.
        importlib.import_module(family).REPEATED_STREAMING_CHUNK_LIMIT = 10**6
    styles = [style for style in row.styles.values() if not style.asynchronous]
    plain = next(style.call for style in styles if not style.stream)
    stream = next(style.call for style in styles if style.stream)
    return lambda: plain(client), lambda: collections.deque(stream(client), maxlen=0)


def serve(family: str, setup: str) -> None:
    """Set one variant up, then answer lines ``plain`` and ``stream`` with µs of CPU of each call."""
    warnings.simplefilter("ignore")
    logging.disable()  # one of them says a line with every chunk
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider, sampling

    class Spans(SpanProcessor):
        """Who makes no span of a call is no peer."""

        ended = 0

        def on_end(self, span: object) -> None:  # noqa: ARG002
            self.ended += 1

    from otel_tokenomics.demo.provider import LocalProvider

    said = sys.stdout
    sys.stdout = sys.stderr
    tracers = TracerProvider(sampling.ALWAYS_OFF if setup == "sampled out" else sampling.ALWAYS_ON)
    counter = Spans()
    tracers.add_span_processor(counter)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(metrics.NoOpMeterProvider())
    answer_in_process()
    with LocalProvider() as provider, contextlib.ExitStack() as stay:
        if setup in ("ours", "sampled out"):
            import otel_tokenomics as tk

            tk.instrument(endpoints=provider.endpoints)
        elif setup != "bare":
            (_, module, name) = next(peer for peer in PEERS[family] if peer[0] == setup)
            peer = getattr(importlib.import_module(module), f"{name}Instrumentor")()
            peer.instrument(tracer_provider=tracers, meter_provider=MeterProvider())
        plain, stream = calls_of(family, provider, stay)
        work = {"plain": (plain, CALLS), "stream": (stream, STREAMS)}
        for kind, (call, _) in work.items():
            call()
            call()
            if setup not in ("bare", "sampled out") and not counter.ended:
                sys.exit(f"no span of a {kind} call")
            counter.ended = 0
        print("ready", file=said, flush=True)
        for line in sys.stdin:
            call, times = work[line.strip()]
            call()
            begin = time.process_time_ns()
            for _ in range(times):
                call()
            print((time.process_time_ns() - begin) / times / 1000, file=said, flush=True)
    said.flush()
    os._exit(0)  # what a client keeps running is not waited for


class Process:
    """One set-up that waits for its next round."""

    def __init__(self, family: str, setup: str) -> None:
        quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "ANTHROPIC_OPEN_TELEMETRY": "false"}
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115  # a pipe that nobody reads would stop it
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", family, setup],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, text=True, env=os.environ | quiet,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self.works = self._out.readline() == "ready\n"

    def round(self, kind: str) -> float:
        self._in.write(f"{kind}\n")
        self._in.flush()
        return float(self._out.readline())

    def stop(self) -> str:
        """End the process and return the last line of what it complained of."""
        self._in.close()
        self._process.wait()
        self._out.close()
        with self._complaints as complaints:
            complaints.seek(0)
            return complaints.read().strip().rpartition("\n")[2]


# --- the table --------------------------------------------------------------------------------


def measured(family: str) -> dict[str, dict[str, list[float]]]:
    """Return the rounds of every set-up of a client that works here."""
    setups = ["bare", "ours", "sampled out", *(peer[0] for peer in PEERS[family] if installed(peer[0]))]
    processes = {setup: Process(family, setup) for setup in setups}
    for setup, process in list(processes.items()):
        if not process.works:
            print(f"    {setup} is left out: {processes.pop(setup).stop()[:150]}", file=sys.stderr)
    if missing := {"bare", "ours"} - processes.keys():
        sys.exit(f"{family}: {' and '.join(sorted(missing))} did not run")
    rounds: dict[str, dict[str, list[float]]] = {setup: {"plain": [], "stream": []} for setup in processes}
    for turn in range(ROUNDS):
        order = list(processes)
        for setup in order[turn % len(order) :] + order[: turn % len(order)]:
            for kind in ("plain", "stream"):
                rounds[setup][kind].append(processes[setup].round(kind))
    for process in processes.values():
        process.stop()
    return rounds


def installed(distribution: str) -> bool:
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False


def added(rounds: dict[str, dict[str, list[float]]], setup: str, kind: str) -> float:
    pairs = zip(rounds[setup][kind], rounds["bare"][kind], strict=True)
    return statistics.median(value - bare for value, bare in pairs)


def row(family: str) -> str:
    rounds = measured(family)
    bare = {kind: statistics.median(rounds["bare"][kind]) for kind in ("plain", "stream")}
    extra = {(setup, kind): added(rounds, setup, kind) for setup in rounds for kind in bare}
    cells = [f"{family:13s}", f"{bare['plain']:8.0f}", f"{extra['ours', 'plain']:8.0f}"]
    cells += [f"{extra['sampled out', 'plain']:8.0f}", f"{1 + extra['ours', 'plain'] / bare['plain']:7.2f}"]
    cells += [f"{(extra['ours', 'stream'] - extra['ours', 'plain']) / CHUNKS:9.2f}"]
    peers = [setup for setup in rounds if setup not in ("bare", "ours", "sampled out")]
    for kind, alone in bare.items():
        if not peers:
            cells.append("  no peer installed" + " " * 40)
            continue
        fastest = min(peers, key=lambda peer: extra[peer, kind])
        short = fastest.replace("opentelemetry-instrumentation-", "otel ").replace("inference-instrumentation-", "inf ")
        ratio = (alone + extra["ours", kind]) / (alone + extra[fastest, kind])
        cells.append(f"  {short[:24]:24s} +{extra[fastest, kind]:7.0f} ours +{extra['ours', kind]:7.0f} {ratio:6.2f}")
    return "".join(cells)


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
        return
    print("µs of CPU per call, and added to it; per chunk of a stream; the whole call's ratio to the fastest peer's")
    print(f"{'client':13s}{'bare':>8s}{'+ ours':>8s}{'+ off':>8s}{'ratio':>7s}{'+ chunk':>9s}", end="")
    print(f"  {'fastest peer, plain':42s}{'ratio':>16s}  {'fastest peer, stream':42s}{'ratio':>16s}")
    for family in sys.argv[1:] or PEERS:
        print(row(family), flush=True)


if __name__ == "__main__":
    main()
