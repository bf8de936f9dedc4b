"""Where a call is written: a neighbour's open leaf, a span of ours, or, where all spans are suppressed, none."""

from __future__ import annotations

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, set_span_in_context

from otel_tokenomics.attributes import names
from otel_tokenomics.instrumentation.suppression import NOWHERE, OWN, SUPPRESS_MODEL_SPANS, Place, audible, place_of


def span_of(scope: str, kind: str) -> Span:
    attributes = {names.GEN_AI_OPERATION_NAME: kind}
    return TracerProvider().get_tracer(scope).start_span("theirs", attributes=attributes)


@pytest.mark.parametrize("scope", ["pydantic-ai", "opentelemetry.instrumentation.genai.langchain", "logfire"])
def test_an_open_leaf_of_a_neighbour_holds_the_charge_once(scope: str) -> None:
    span = span_of(scope, "chat")
    within = set_span_in_context(span, Context())
    assert place_of(within) == Place(own=False, span=span)
    span.set_attribute(names.TOKENOMICS_CALL_END, "completed")
    assert place_of(within) is OWN


@pytest.mark.parametrize("kind", ["invoke_agent", "execute_tool", "invoke_workflow", "create_agent"])
def test_agents_and_tools_of_a_neighbour_hold_none(kind: str) -> None:
    assert place_of(set_span_in_context(span_of("pydantic-ai", kind), Context())) is OWN


def test_a_chat_span_of_the_application_holds_none() -> None:
    assert place_of(set_span_in_context(span_of("shop.assistant", "chat"), Context())) is OWN


def test_a_span_that_is_not_current_does_not_swallow_the_charge() -> None:
    """OpenLLMetry's langchain sets the key and hides its span: the cost of such calls was on no span at all."""
    assert place_of(Context({SUPPRESS_MODEL_SPANS: True})) is OWN


def test_where_spans_are_suppressed_there_is_none() -> None:
    assert place_of(Context({"suppress_instrumentation": True})) is NOWHERE


def test_an_open_leaf_holds_the_charge_also_where_its_maker_suppresses_others() -> None:
    """logfire does that inside its own span: the cost of such calls was on no span at all."""
    span = span_of("logfire.openai", "chat")
    within = set_span_in_context(span, Context({"suppress_instrumentation": True}))
    assert place_of(within) == Place(own=False, span=span)


def test_what_suppresses_spans_is_taken_out_and_nothing_else() -> None:
    assert audible(Context({"suppress_instrumentation": True, "suppress_tracing": True, "team": "search"})) == {
        "team": "search"
    }
