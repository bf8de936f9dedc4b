"""Who else watches a call: the context keys of other instrumentations, and their open spans.

One provider response is one charge, so a call is written on the innermost span that stands for it already, and
a span of ours is made only where there is none.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span, set_span_in_context

from otel_tokenomics.attributes import names

#: Our own key: True, or the call under way. Whatever runs below True is metered already.
METERED: Final = context.create_key("tokenomics-metered")
#: We set it where the span is ours: instrumentations below make none.
SUPPRESS_MODEL_SPANS: Final = "suppress_language_model_instrumentation"
_INFERENCE: Final = "opentelemetry.genai.client.inference.context"
_GENAI_KEYS: Final = (
    _INFERENCE,
    "opentelemetry.genai.client.embedding.context",
    "opentelemetry.genai.client.fetch_response.context",
)
_SUPPRESS_ALL: Final = (context._SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation", "suppress_tracing")  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # made by create_key: never spelt
_SCOPES: Final = (
    "opentelemetry.instrumentation.",
    "opentelemetry.util.genai",
    "openinference.",
    "openlit",
    "traceloop",
    "logfire",
    "litellm",
    "pydantic-ai",
)
#: What a span says that it is; the first that is present decides.
_KINDS: Final = (names.GEN_AI_OPERATION_NAME, "openinference.span.kind", "llm.request.type", "traceloop.span.kind")
_LEAVES: Final = frozenset(
    {"chat", "text_completion", "generate_content", "embeddings", "completion", "embedding", "LLM", "EMBEDDING"}
)


class Place(NamedTuple):
    """Where a call is written: on a span of ours, on somebody else's, or (no span) in the metrics alone."""

    own: bool
    span: Span | None


OWN: Final = Place(own=True, span=None)
NOWHERE: Final = Place(own=False, span=None)


def place_of(current: Context) -> Place:
    """Return where a call in this context is written; counters run in every case, for the money is spent."""
    span = get_current_span(current)
    if is_open_model_span(span):
        # Also where its maker (logfire) suppresses what is below: no span is made, and this one stands for the call.
        return Place(own=False, span=span)
    for key in _SUPPRESS_ALL:
        if current.get(key):
            return NOWHERE
    for key in _GENAI_KEYS:
        if current.get(key) is not None:
            return Place(own=False, span=span) if span.is_recording() and not has_cost(span) else NOWHERE
    # SUPPRESS_MODEL_SPANS is not asked: who sets it (OpenLLMetry's frameworks) does not make the span current that it
    # stands for, so nobody else can hold the charge. What runs below a call of ours is METERED.
    return OWN


def audible(current: Context) -> Context:
    """Return the context without what suppresses spans."""
    if not any(current.get(key) for key in _SUPPRESS_ALL):
        return current
    return Context({key: value for key, value in current.items() if key not in _SUPPRESS_ALL})


def is_open_model_span(span: Span) -> bool:
    """Return whether a span is another instrumentation's recording leaf for this very call, without a cost yet."""
    scope = scope_of(span)
    if not scope.startswith(_SCOPES) or not span.is_recording():
        return False
    attributes = _attributes(span)
    kind = next((attributes[key] for key in _KINDS if key in attributes), None)
    return kind in _LEAVES and not has_cost(span)


def has_cost(span: Span) -> bool:
    """Return whether a call was written on the span before: one span holds one charge."""
    return names.TOKENOMICS_CALL_END in _attributes(span)


def scope_of(span: Span) -> str:
    """Return the name of the instrumentation that made a span; empty where the span does not say."""
    return getattr(getattr(span, "instrumentation_scope", None), "name", None) or ""


def _attributes(span: Span) -> Mapping[str, Any]:
    return getattr(span, "attributes", None) or {}


def inside(current: Context, mark: object, span: Span | None) -> Context:
    """Return the context in which the wrapped client runs.

    Args:
        current: the caller's context.
        mark: the call, under our own key.
        span: our span, which then is current, and below which other instrumentations make none; or None.
    """
    if span is None:
        return Context({**current, METERED: mark})
    changes: dict[str, object] = {METERED: mark, SUPPRESS_MODEL_SPANS: True}
    invocation = sys.modules.get("opentelemetry.util.genai.invocation")
    if invocation is not None and (data := getattr(invocation, "InferenceData", None)) is not None:
        # The official instrumentations look for an instance: any other value has no effect.
        changes[_INFERENCE] = data.__new__(data)
    return Context({**set_span_in_context(span, current), **changes})
