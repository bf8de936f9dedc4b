"""The real clients against the local provider, watched by a recorder that notes every settlement."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from otel_tokenomics import pricebook_source
from otel_tokenomics.client_api import Operation, Request
from otel_tokenomics.config import Settings
from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.instrumentation.engine import Engine
from otel_tokenomics.instrumentation.reaper import REAPER
from otel_tokenomics.pricing import Cost
from otel_tokenomics.telemetry import failures
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Outcome, ProviderChoice, Recorder
from otel_tokenomics.telemetry.tag_processor import TagProcessor


class Settled(NamedTuple):
    """One settlement, as the recorder got it, and what it cost."""

    operation: Operation
    request: Request
    choice: ProviderChoice
    outcome: Outcome
    own: bool
    has_span: bool
    cost: Cost

    @property
    def tokens(self) -> int:
        usage = self.outcome.reading.usage if self.outcome.reading is not None else None
        return sum(usage.counts.values()) if usage is not None else 0


class NotingRecorder(Recorder):
    """The real recorder, on a tracer of the test's, that notes what it settled."""

    def __init__(self, settings: Settings, tracer_provider: TracerProvider) -> None:
        super().__init__(settings, pricebook_source.current, Instruments("", lambda: ("", 0.0), ()))
        self._tracer = tracer_provider.get_tracer("otel_tokenomics")
        self.settled: list[Settled] = []

    def settle(
        self, span: Any, operation: Any, request: Any, choice: Any, outcome: Any, *, own: bool, **more: Any
    ) -> Cost:
        cost = super().settle(span, operation, request, choice, outcome, own=own, **more)
        self.settled.append(Settled(operation, request, choice, outcome, own, span is not None, cost))
        return cost


class Watch:
    """One engine at work. ``settled`` and ``spans`` say what it recorded."""

    def __init__(self, provider: LocalProvider, sampler: Sampler = ALWAYS_ON, **settings: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(sampler)
        self.tracer_provider.add_span_processor(TagProcessor({}))
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        settings.setdefault("endpoints", provider.endpoints)
        self.settings = Settings.resolve(environment={}, **settings)
        self.recorder = NotingRecorder(self.settings, self.tracer_provider)
        self.engine = Engine(self.settings, self.recorder, lambda: None)

    def totals(self) -> dict[str, int]:
        """Return the sums of our metrics, pico-USD and counts."""
        return self.recorder.metrics.instruments.accumulator.totals()

    @property
    def settled(self) -> list[Settled]:
        REAPER.drain()
        return self.recorder.settled

    @property
    def one(self) -> Settled:
        """The only settlement: a second one, or none, is the failure that these tests look for."""
        (only,) = self.settled
        return only

    @property
    def spans(self) -> list[ReadableSpan]:
        REAPER.drain()
        return list(self.exporter.get_finished_spans())


@pytest.fixture(autouse=True)
def no_spans_of_the_clients_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The anthropic client makes spans where a test hands it a tracer provider, and nowhere else."""
    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY", "false")


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with LocalProvider() as local:
        yield local


@pytest.fixture
def watching(provider: LocalProvider) -> Iterator[Any]:
    """Make engines with settings; each is taken back, and none may have failed on the way."""
    before = failures.counts()
    watches: list[Watch] = []

    def watch(**settings: Any) -> Watch:
        watches.append(Watch(provider, **settings))
        watches[-1].engine.instrument()
        return watches[-1]

    yield watch
    gc.collect()
    for made in watches:
        made.engine.uninstrument()
        made.tracer_provider.shutdown()
    assert failures.counts() == before


@pytest.fixture
def watch(watching: Any) -> Watch:
    return watching()
