"""The composition root: the only file that wires rooms together, and the door for entry points."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Collection
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics as otel_metrics
from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import (  # pyright: ignore[reportMissingTypeStubs]
    BaseInstrumentor,
)

from otel_tokenomics import pricebook_source
from otel_tokenomics.config import Settings
from otel_tokenomics.instrumentation.engine import Engine
from otel_tokenomics.pricing import Cost, price
from otel_tokenomics.tags import attributes_of, before_use, not_before_use
from otel_tokenomics.telemetry import charges, failures
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Recorder
from otel_tokenomics.telemetry.recorder import last_cost as _last_cost
from otel_tokenomics.usage import Usage

if TYPE_CHECKING:
    from otel_tokenomics.telemetry.sdk_setup import Providers
    from otel_tokenomics.telemetry.tag_processor import TagProcessor


class _Runtime:
    """What one process runs: made at the first ``instrument()``, kept until it ends."""

    def __init__(self, settings: Settings) -> None:
        book = pricebook_source.configure(settings)
        self.settings = settings
        self.instruments = Instruments("", lambda: (book.id, book.generated_at_ms / 1000), settings.metrics_optional)
        self.recorder = Recorder(settings, pricebook_source.current, self.instruments)
        self.recorder.default_tags = attributes_of(settings.tags)
        self.engine = Engine(settings, self.recorder, self.prepare)
        self.providers: Providers | None = None
        self.processor: TagProcessor | None = None
        self._lock = threading.Lock()
        before_use(self.prepare)

    def attach(self) -> None:
        """Join a provider that exists already, so that spans begun before the first call are known as ancestors."""
        if self.processor is None and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            from otel_tokenomics.telemetry.sdk_setup import add_processor

            self.processor = add_processor(self.recorder.default_tags)

    def stop(self) -> None:
        """Take everything back that can be taken back."""
        self.engine.uninstrument()
        if self.processor is not None:
            self.processor.active = False
        not_before_use(self.prepare)

    def prepare(self) -> None:
        """Decide on the providers, at the first model call or tag: an application may set its own until then."""
        if self.providers is not None:
            return
        with self._lock:
            if self.providers is None:
                from otel_tokenomics.telemetry.sdk_setup import settle_providers

                self.providers = settle_providers(self.recorder.default_tags, self.processor)
                self.processor = self.providers.processor
                self.recorder.default_tags = {**self.providers.resource_tags, **self.recorder.default_tags}
                self.instruments.histograms()


_runtime: _Runtime | None = None
_lock = threading.Lock()


def _after_fork() -> None:
    """Children of ``multiprocessing`` leave without the interpreter's exit: their last spans are handed over here.

    ``multiprocessing`` clears its finalisers in a new child and then runs what is registered for after a fork.
    """
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None and _runtime is not None:
        util.register_after_fork(_runtime, lambda _: util.Finalize(None, flush, exitpriority=100))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def instrument(**settings: object) -> None:
    """Patch the installed LLM clients; each call becomes a span with its cost, and counts in the metrics.

    Idempotent: settings of a second call are ignored while the first is in force. Providers that exist are used as
    they are; only where there are none at the first model call, the OpenTelemetry SDK is set up with OTLP.

    Args:
        **settings: any setting by name; they beat ``OTEL_TOKENOMICS_*``, which beats ``config_file``.

    Raises:
        ConfigError: a setting is unknown, or has a value that it cannot take.
    """
    _instrument(None, settings)


def _instrument(only: Collection[str] | None, settings: dict[str, object]) -> None:
    global _runtime
    resolved = Settings.resolve(None, **settings) if _runtime is None or settings else _runtime.settings
    if not resolved.enabled:
        return
    with _lock:
        if _runtime is None:
            _runtime = _Runtime(resolved)
        _runtime.engine.instrument(only)
        _runtime.attach()


def uninstrument() -> None:
    """Restore every patched attribute; calls under way are still settled. The next ``instrument()`` starts anew."""
    global _runtime
    with _lock:
        runtime, _runtime = _runtime, None
    if runtime is not None:
        runtime.stop()


def last_cost() -> Cost | None:
    """Return the cost of the last call that settled in this context; None where there was none."""
    return _last_cost()


def record_cost(
    usd: str | int | float | Decimal, *, kind: str, quantity: float | None = None, unit: str | None = None
) -> None:
    """Record a cost that is no token, on the current span or a child of it: ``record_cost("0.0015", kind="ocr")``.

    Raises:
        ValueError: ``usd`` is no amount of US dollars, or is negative.
    """
    runtime = _need()
    runtime.prepare()
    charges.charge(runtime.recorder, usd, kind, quantity, unit)


def estimate(
    *,
    model: str,
    input_tokens: int,
    max_output_tokens: int = 0,
    provider: str | None = None,
    facts: dict[str, str] | None = None,
) -> Cost:
    """Return what a call would cost now at plain rates: no cache read, the whole of ``max_output_tokens`` used.

    ``provider`` may be left out where one maker alone sells the model.
    """
    book = pricebook_source.current()
    usage = Usage({"input": input_tokens, "output": max_output_tokens}, "estimated")
    host = None if provider else "unknown.invalid"
    return price(book, provider, model, usage, facts or {}, time.time_ns() // 1_000_000, host=host)


def status() -> dict[str, Any]:
    """Return what is patched and what is not, what was found beside us, the book, the providers, our failures."""
    book = pricebook_source.current()
    runtime = _runtime
    answer: dict[str, Any] = {
        "instrumented": runtime is not None,
        "book": {"id": book.id, "age_days": round((time.time() - book.generated_at_ms / 1000) / 86_400, 1)},
        "failures": failures.counts(),
    }
    if runtime is not None:
        providers = runtime.providers
        answer |= runtime.engine.status()
        answer["providers"] = (
            {
                "tracer": providers.tracer,
                "meter": providers.meter,
                "tags_on_other_spans": providers.processor is not None,
            }
            if providers is not None
            else "decided at the first model call"
        )
        answer["totals"] = runtime.instruments.accumulator.totals()
    return answer


def flush(timeout: float = 5.0) -> bool:
    """Hand over spans and metrics now; return whether both were in time (``timeout`` in seconds)."""
    done = True
    for provider in (trace.get_tracer_provider(), otel_metrics.get_meter_provider()):
        force: Any = getattr(provider, "force_flush", None)
        if force is not None:
            try:
                done = force(int(timeout * 1000)) is not False and done
            except Exception as error:  # noqa: BLE001  # an exporter's failure is not the caller's
                failures.report("export", error)
                done = False
    return done


def _need() -> _Runtime:
    global _runtime
    with _lock:
        if _runtime is None:
            _runtime = _Runtime(Settings.resolve())
        return _runtime


class TokenomicsInstrumentor(BaseInstrumentor):
    """The door of ``opentelemetry-instrument``: all clients."""

    libraries: Collection[str] | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: a client that is absent is looked for when it is imported."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        settings = {
            name: value
            for name, value in kwargs.items()
            if name not in ("skip_dep_check", "raise_exception_on_conflict")
        }
        _instrument(self.libraries, settings)

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002
        uninstrument()


class TokenomicsOpenAIInstrumentor(TokenomicsInstrumentor):
    """The door of one client, so that it can be disabled by name."""

    libraries = ("openai",)


class TokenomicsAnthropicInstrumentor(TokenomicsInstrumentor):
    """The door of one client, so that it can be disabled by name."""

    libraries = ("anthropic",)


def inspect_clients(settings: Settings) -> dict[str, Any]:
    """Return what ``status()`` would say with every installed client imported; everything is taken back after."""
    import importlib

    runtime = _Runtime(settings)
    try:
        runtime.engine.instrument()
        for library in runtime.engine.status()["libraries"]:
            with contextlib.suppress(ImportError):
                importlib.import_module(library)
        book = pricebook_source.current()
        age = round((time.time() - book.generated_at_ms / 1000) / 86_400, 1)
        return {**runtime.engine.status(), "book": {"id": book.id, "age_days": age}}
    finally:
        runtime.stop()
