"""The composition root: the only file that wires rooms together, and the door for entry points."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics as otel_metrics
from opentelemetry import trace
from opentelemetry.instrumentation.environment_variables import (  # pyright: ignore[reportMissingTypeStubs]
    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS,
)
from opentelemetry.instrumentation.instrumentor import (  # pyright: ignore[reportMissingTypeStubs]
    BaseInstrumentor,
)

from otel_tokenomics import pricebook_source
from otel_tokenomics.config import Settings
from otel_tokenomics.instrumentation.engine import Engine, allowed_libraries
from otel_tokenomics.instrumentation.reaper import REAPER
from otel_tokenomics.pricing import Cost, price
from otel_tokenomics.tags import attributes_of, before_use, not_before_use
from otel_tokenomics.telemetry import batches, charges, failures
from otel_tokenomics.telemetry.batches import BatchSummary
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Recorder
from otel_tokenomics.telemetry.recorder import last_cost as _last_cost
from otel_tokenomics.usage import Usage
from otel_tokenomics.version import __version__

if TYPE_CHECKING:
    from otel_tokenomics.telemetry.sdk_setup import Providers
    from otel_tokenomics.telemetry.tag_processor import TagProcessor


@functools.cache
def _instruments() -> Instruments:
    """Return the instruments of this process: they outlive ``uninstrument()``, for a counter never falls."""
    return Instruments(__version__, _book_age)


def _book_age() -> tuple[str, float]:
    book = pricebook_source.current()
    return book.id, book.generated_at_ms / 1000


class _Runtime:
    """What one process runs between ``instrument()`` and ``uninstrument()``."""

    def __init__(self, settings: Settings, code: Mapping[str, object]) -> None:
        pricebook_source.configure(settings)
        self.settings = settings
        #: The settings among them that were given in code.
        self.code = code
        self.instruments = _instruments()
        self.instruments.want(settings.metrics_optional)
        self.patched = False
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
        pricebook_source.rest(self)
        self.engine.uninstrument()
        if self.processor is not None:
            self.processor.active = False
        not_before_use(self.prepare)

    def unlock(self) -> None:
        """Take a new lock in a forked child: the old one may be held by a thread that is not there any more."""
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Decide on the providers, at the first model call or tag: an application may set its own until then."""
        if self.providers is not None:
            return
        with self._lock:
            if self.providers is None:
                from otel_tokenomics.telemetry.sdk_setup import settle_providers

                self.providers = settle_providers(self.recorder.default_tags, self.processor)
                self.processor = self.providers.processor
                self.recorder.writes_tags = self.processor is None
                self.recorder.default_tags = {**self.providers.resource_tags, **self.recorder.default_tags}
                self.instruments.histograms()


_runtime: _Runtime | None = None
#: The kill switch was found set: nothing is recorded until an ``instrument()`` that finds it off.
_off = False
_lock = threading.Lock()


def _after_fork() -> None:
    """Children that leave without the interpreter's exit hand over their last spans and metrics at their own end.

    Those are ``multiprocessing``'s, which clears its finalisers in a new child and then runs what is registered for
    after a fork, and those of Celery's pool, which sends a signal.
    """
    global _lock
    _lock = threading.Lock()
    if _runtime is None:
        return
    _runtime.unlock()
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(_runtime, _flush_at_exit)
    _heed_celery()


def _flush_at_exit(_runtime: _Runtime) -> None:
    util: Any = sys.modules["multiprocessing.util"]
    util.Finalize(None, flush, exitpriority=100)


def _heed_celery() -> None:
    """Listen for the end of a process of Celery's pool; connecting twice is once."""
    signals: Any = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(_flush_celery)


def _flush_celery(**_signal: object) -> None:
    flush()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def instrument(**settings: object) -> None:
    """Patch the installed LLM clients; each call becomes a span with its cost, and counts in the metrics.

    Idempotent. Settings of a later call are laid over those of the earlier ones, so that a program may add to what
    ``opentelemetry-instrument`` began. Providers that exist are used as they are; only where there are none at the
    first model call, the OpenTelemetry SDK is set up with OTLP.

    Args:
        **settings: any setting by name; they beat ``OTEL_TOKENOMICS_*``, which beats ``config_file``.

    Raises:
        ConfigError: a setting is unknown, or has a value that it cannot take.
    """
    _instrument(None, settings)


def _instrument(only: Collection[str] | None, settings: dict[str, object]) -> None:
    global _runtime, _off
    with _lock:
        before = _runtime
        code = {**before.code, **settings} if before is not None else settings
        resolved = Settings.resolve(None, **code) if before is None or settings else before.settings
        _off = not resolved.enabled
        if before is not None and (_off or resolved != before.settings):
            before.stop()
            _runtime = None
            only = only and (*before.engine.libraries, *only)
        if _off:
            return
        if _runtime is None:
            _runtime = _Runtime(resolved, code)
        _runtime.patched = True
        _heed_celery()
        _runtime.engine.instrument(only)
        _runtime.attach()
        pricebook_source.keep_fresh(_runtime)


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
    pico = charges.amount(usd)
    runtime = _running()
    if runtime is not None:
        runtime.prepare()
        charges.charge(runtime.recorder, pico, kind, quantity, unit)


def cache_hit(*, model: str, usage: object, provider: str | None = None) -> None:
    """Record that a cache of the application answered instead of a model: it cost nothing, and what it saved is noted.

    What was saved is what the call would cost now; where that is not known, no amount is written. It is written like
    a charge (``record_cost``) of kind ``cache_hit``.

    Args:
        model: the model that the answer came from when it was made.
        usage: what that answer used: the provider's usage object as it came, or counts such as
            ``{"input": 1200, "output": 80}``.
        provider: who would have billed; it may be left out where one maker alone sells the model.

    Raises:
        ValueError: ``model`` is empty, or a count is negative.
    """
    if not model.strip():
        raise ValueError("model is empty: name the model that the answer came from")
    reading = charges.saved_usage(usage, provider)
    runtime = _running()
    if runtime is not None:
        runtime.prepare()
        charges.cache_hit(runtime.recorder, model, reading, provider)


def record_batch(results: object, *, provider: str | None = None, model: str | None = None) -> BatchSummary:
    """Record the responses of a provider's batch result file: each is a span and counts in the metrics, at batch rates.

    A response counts once per process, however often its file is handed over. Requests that failed cost nothing. The
    tags in force apply. A span bears the time at which its response was made, where the file states that, and is
    priced by it; Anthropic's files state none, so record them soon.

    Args:
        results: a path; an open file; the file's text; an iterable of lines, of dicts or of the client's own objects
            (``client.messages.batches.results(id)``, ``client.files.content(id)``, ``job.dest.inlined_responses``).
            OpenAI's format, Anthropic's, Gemini's and Bedrock's are known.
        provider: who bills, where the format does not say it: OpenAI's is written by others too.
        model: what was asked for, where responses do not say it (images, everything of Bedrock).

    Raises:
        TypeError: ``results`` holds no lines.
        ValueError: the file cannot be read, or ``provider`` or ``model`` is empty.
    """
    for name, value in (("provider", provider), ("model", model)):
        if value is not None and not value.strip():
            raise ValueError(f"{name} is empty: leave it out where it is not known")
    lines = batches.lines_of(results)
    runtime = _running()
    if runtime is None:
        return batches.BatchSummary()
    runtime.prepare()
    return batches.record(runtime.recorder, lines, provider, model, _relieve)


def _relieve() -> bool:
    force: Any = getattr(trace.get_tracer_provider(), "force_flush", None)
    try:
        return force is None or force(5000) is not False
    except Exception as error:  # noqa: BLE001  # an exporter's failure is not the caller's
        failures.report("export", error)
        return False


def estimate(
    *,
    model: str,
    input_tokens: int,
    max_output_tokens: int = 0,
    provider: str | None = None,
    facts: dict[str, str] | None = None,
) -> Cost:
    """Return what a call would cost now at plain rates: no cache read, the whole of ``max_output_tokens`` used.

    ``provider`` may be left out where one maker alone sells the model. The status is ``partial`` at best, as it is
    for every count that no provider reported.

    Raises:
        ValueError: a count is negative.
    """
    if input_tokens < 0 or max_output_tokens < 0:
        raise ValueError(f"a count of tokens is not negative: {min(input_tokens, max_output_tokens)}")
    book = pricebook_source.current()
    usage = Usage({"input": input_tokens, "output": max_output_tokens}, "estimated")
    host = None if provider else "unknown.invalid"
    return price(book, provider, model, usage, facts or {}, time.time_ns() // 1_000_000, host=host)


def status() -> dict[str, Any]:
    """Return what is patched and what is not, what was found beside us, the book, the providers, our failures."""
    book = pricebook_source.current()
    runtime = _runtime
    answer: dict[str, Any] = {
        "instrumented": runtime is not None and runtime.patched,
        "book": {"id": book.id, "age_days": round((time.time() - book.generated_at_ms / 1000) / 86_400, 1)},
        "failures": failures.counts(),
    }
    exporter: Any = sys.modules.get("otel_tokenomics.telemetry.exporter")
    if exporter is not None and exporter.live_exporters():
        answer["foreign_spans"] = "priced at export; no metric counts them"
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


#: What is left of the time of a flush that was cut to whole milliseconds.
_MOMENT_S: Final = 0.002


def flush(timeout: float = 5.0) -> bool:
    """Hand over spans and metrics now; return whether both were in time (``timeout`` in seconds, for all together)."""
    give_up = time.monotonic() + timeout
    done = REAPER.drain(timeout)
    for provider in (trace.get_tracer_provider(), otel_metrics.get_meter_provider()):
        force: Any = getattr(provider, "force_flush", None)
        if force is not None:
            left = max(give_up - time.monotonic(), 0.001)
            try:
                done = force(int(left * 1000)) is not False and done
            except Exception as error:  # noqa: BLE001  # an exporter's failure is not the caller's
                if give_up - time.monotonic() > _MOMENT_S:  # metrics that are late are raised too
                    failures.report("export", error)
                done = False
    return done


def _running() -> _Runtime | None:
    """Return the runtime, made for a charge alone where nothing is instrumented; None where we are switched off."""
    global _runtime, _off
    with _lock:
        if _runtime is None and not _off:
            settings = Settings.resolve()
            _off = not settings.enabled
            if not _off:
                _runtime = _Runtime(settings, {})
        return None if _off else _runtime


class _Door(BaseInstrumentor):
    """What the entry points share. Siblings, for ``BaseInstrumentor`` keeps one instance per class *and* subclass."""

    library: str | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: a client that is absent is looked for when it is imported."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        disabled = {name.strip() for name in os.environ.get(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS, "").split(",")}
        if "tokenomics" in disabled:
            return
        wanted = allowed_libraries(("*",)) if self.library is None else (self.library,)
        settings = {
            name: value
            for name, value in kwargs.items()
            if name not in ("skip_dep_check", "raise_exception_on_conflict")
        }
        _instrument([name for name in wanted if f"tokenomics_{name}" not in disabled], settings)

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002
        uninstrument()


class TokenomicsInstrumentor(_Door):
    """The door of ``opentelemetry-instrument``: all clients, but those whose own door is disabled by name.

    With ``tokenomics`` itself in ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS``, no door opens.
    """


class TokenomicsOpenAIInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "openai"


class TokenomicsAnthropicInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "anthropic"


class TokenomicsGoogleGenAIInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "google_genai"


class TokenomicsMistralInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "mistral"


class TokenomicsCohereInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "cohere"


class TokenomicsGroqInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "groq"


class TokenomicsTogetherInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "together"


class TokenomicsOllamaInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "ollama"


class TokenomicsBedrockInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "bedrock"


class TokenomicsHuggingFaceInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "huggingface"


class TokenomicsLiteLLMInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "litellm"


class TokenomicsClaudeAgentSDKInstrumentor(_Door):
    """The door of one client, so that it can be disabled by name."""

    library = "claude_agent_sdk"


#: litellm fetches a price map at its import, if it is not told to use the one that it brings.
_NO_DOWNLOAD: Final = "LITELLM_LOCAL_MODEL_COST_MAP"


def inspect_clients(settings: Settings, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return what ``status()`` would say with every installed client imported; everything is taken back after.

    ``progress`` is told what is imported: a client may take seconds.
    """
    runtime = _Runtime(settings, {})
    before = os.environ.get(_NO_DOWNLOAD)
    os.environ[_NO_DOWNLOAD] = "True"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a client's
            runtime.engine.instrument()
            failed = runtime.engine.import_clients(progress)
        found = runtime.engine.status()
        for library, reason in failed.items():
            found["libraries"][library]["import_failed"] = reason
        book = pricebook_source.current()
        age = round((time.time() - book.generated_at_ms / 1000) / 86_400, 1)
        return {**found, "book": {"id": book.id, "age_days": age}}
    finally:
        os.environ.pop(_NO_DOWNLOAD)
        if before is not None:
            os.environ[_NO_DOWNLOAD] = before
        runtime.stop()
