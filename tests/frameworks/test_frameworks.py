"""Agent frameworks on their real clients, alone and with a neighbour: the spans say what the server billed, once.

The table is the matrix; what is not in it stands in ``framework_table.LEFT_OUT`` with its reason.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from framework_table import CONTAINERS, LEFT_OUT, Row, said_by

from otel_tokenomics.attributes import names

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OURS = "otel_tokenomics"
NATIVE = "com.anthropic.sdk.python"
BOTH = ("ours first", "theirs first")
_GENAI = "opentelemetry.instrumentation.genai."
_LANGCHAIN = ("langchain", "langchain_openai")
_CLAUDE = ("langchain", "langchain_anthropic")
_AWS = ("langchain", "langchain_aws")
_LLAMA = ("llama_index", "llama_index.llms.openai")
_LLAMA_CLAUDE = ("llama_index", "llama_index.llms.anthropic")
_AGENTS = ("agents",)
_PYDANTIC = ("pydantic_ai",)
_CREW = ("crewai",)
_LIT = "openlit.instrumentation."
_LIT_CHAIN = _LIT + "langchain"
_LIT_ASYNC = frozenset({"aplain", "astream", "atools", "together"})
TABLE = (
    Row("langchain_openai", "alone", OURS, _LANGCHAIN),
    Row("langchain_openai", "official-langchain", _GENAI + "langchain", _LANGCHAIN),
    # Callbacks without a current span: nobody below can see theirs, so ours stands beside it and holds the charge.
    Row("langchain_openai", "openinference-langchain", OURS, _LANGCHAIN),
    Row("langchain_openai", "openllmetry-langchain", OURS, _LANGCHAIN),
    Row("langchain_openai", "official-openai", _GENAI + "openai", _LANGCHAIN),
    Row("langchain_openai_responses", "alone", OURS, _LANGCHAIN),
    Row("langchain_openai_responses", "official-langchain", _GENAI + "langchain", _LANGCHAIN),
    Row("langchain_openai_responses", "openllmetry-langchain", OURS, _LANGCHAIN),
    # logfire ends its span where it hands a stream out; a client that it patched first is then wrapped from outside.
    Row("langchain_openai", "logfire-openai", (OURS, "logfire.openai"), _LANGCHAIN),
    # From 1.14 on the anthropic client traces itself, innermost of all.
    Row("langchain_anthropic", "alone", NATIVE, _CLAUDE),
    Row("langchain_anthropic", "official-langchain", NATIVE, _CLAUDE),
    Row("langchain_anthropic", "openinference-langchain", NATIVE, _CLAUDE),
    Row("langchain_anthropic", "openllmetry-langchain", NATIVE, _CLAUDE),
    Row("langchain_anthropic", "official-anthropic", NATIVE, _CLAUDE),
    Row("langchain_aws", "alone", OURS, _AWS),
    Row("langchain_aws", "official-langchain", _GENAI + "langchain", _AWS),
    Row("langchain_aws", "openinference-langchain", OURS, _AWS),
    Row("langchain_aws", "openllmetry-langchain", OURS, _AWS),
    Row("langchain_aws", "official-botocore", "opentelemetry.instrumentation.botocore.bedrock-runtime", _AWS),
    Row("llama_index", "alone", OURS, _LLAMA),
    # No instrumentation of llama-index makes a current span of a model call.
    Row("llama_index", "official-llama", OURS, _LLAMA),
    Row("llama_index", "openinference-llama", OURS, _LLAMA),
    Row("llama_index", "openllmetry-llama", OURS, _LLAMA),
    Row("llama_index_anthropic", "alone", OURS, _LLAMA_CLAUDE),
    Row("llama_index_anthropic", "openinference-llama", OURS, _LLAMA_CLAUDE),
    Row("openai_agents", "alone", OURS, _AGENTS),
    Row("openai_agents", "official-agents", OURS, _AGENTS),  # it leaves model calls to the official openai package
    Row("openai_agents", "openinference-agents", "openinference.instrumentation.openai_agents", _AGENTS),
    Row("openai_agents", "openllmetry-agents", "opentelemetry.instrumentation.openai_agents", _AGENTS),
    Row("openai_agents", "official-openai", _GENAI + "openai", _AGENTS),
    Row("openai_agents", "logfire-agents", OURS, _AGENTS),
    Row("openai_agents_chat", "alone", OURS, _AGENTS),
    Row("openai_agents_chat", "openinference-agents", "openinference.instrumentation.openai_agents", _AGENTS),
    Row("openai_agents_chat", "openllmetry-agents", "opentelemetry.instrumentation.openai_agents", _AGENTS),
    Row("pydantic_ai_openai", "alone", OURS, _PYDANTIC),
    Row("pydantic_ai_openai", "own", "pydantic-ai", _PYDANTIC),
    Row("pydantic_ai_openai", "openinference-pydantic", "pydantic-ai", _PYDANTIC),
    Row("pydantic_ai_openai", "logfire", "pydantic-ai", _PYDANTIC),
    # On a client from before it traced itself.
    Row("pydantic_ai_anthropic", "alone", OURS, _PYDANTIC),
    Row("pydantic_ai_anthropic", "own", "pydantic-ai", _PYDANTIC),
    Row("crewai", "alone", OURS, _CREW),
    Row("crewai", "openinference-crewai", OURS, _CREW),
    Row("crewai", "openllmetry-crewai", OURS, _CREW),
    Row("crewai", "official-openai", _GENAI + "openai", _CREW),
    Row("crewai_anthropic", "alone", OURS, _CREW),
    Row("crewai_anthropic", "openinference-crewai", OURS, _CREW),
    Row("crewai_anthropic", "openllmetry-crewai", OURS, _CREW),
    Row("pydantic_ai_openai", "official-openai", _GENAI + "openai", _PYDANTIC),
    Row("llama_index", "official-openai", _GENAI + "openai", _LLAMA),
    Row("langchain_openai", "openlit", _LIT_CHAIN, (*_LANGCHAIN, "openlit"), _LIT_ASYNC, true_tokens=False),
    Row("langchain_anthropic", "openlit", _LIT_CHAIN, (*_CLAUDE, "openlit"), _LIT_ASYNC, true_tokens=False),
    Row("llama_index", "openlit", (OURS, _LIT + "openai"), (*_LLAMA, "openlit"), true_tokens=False),
    Row("openai_agents", "openlit", (OURS, _LIT + "openai"), (*_AGENTS, "openlit")),
    Row("openai_agents_chat", "openlit", (OURS, _LIT + "openai"), (*_AGENTS, "openlit"), true_tokens=False),
    Row("pydantic_ai_openai", "openlit", (OURS, _LIT + "openai"), (*_PYDANTIC, "openlit")),
    Row("pydantic_ai_anthropic", "openlit", (OURS, _LIT + "anthropic"), (*_PYDANTIC, "openlit")),
    Row("crewai", "openlit", (OURS, _LIT + "openai"), (*_CREW, "openlit")),
    Row("crewai_anthropic", "openlit", (OURS, _LIT + "anthropic"), (*_CREW, "openlit")),
)
CELLS = [
    pytest.param(row, order, id=f"{row.framework}-{row.neighbour}-{order.replace(' ', '-')}")
    for row in TABLE
    for order in (BOTH if row.neighbour != "alone" else BOTH[:1])
]


@functools.cache
def run(framework: str, neighbour: str, order: str, home: str) -> dict[str, Any]:
    """Run one cell in a process of its own; everything that a framework would send home is off."""
    here = Path(__file__).parent
    environment = {
        **os.environ, "PYTHONPATH": str(here.parents[1]), "HOME": home, "OTEL_SDK_DISABLED": "false",
        "CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_TRACING_ENABLED": "false", "LANGSMITH_TRACING": "false",
        "TRACELOOP_TELEMETRY": "false", "OPENAI_API_KEY": "k", "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    return said_by(here / "one.py", (framework, neighbour, order), environment, home)


def _installed(row: Row) -> None:
    for module in row.needs:
        if not _found(module):
            pytest.skip(f"{module} is in the other environment: make test-frameworks")


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that lacks altogether
        return False


def test_every_framework_has_a_tool_round_and_is_tried_alone() -> None:
    assert {row.framework for row in TABLE} == {row.framework for row in TABLE if row.neighbour == "alone"}
    assert len(LEFT_OUT) <= len(CELLS) / 10


@pytest.mark.parametrize(("row", "order"), CELLS)
def test_the_spans_say_what_was_billed(row: Row, order: str, home: str) -> None:
    _installed(row)
    result = dict(run(row.framework, row.neighbour, order, home))
    assert result.pop("failures") == {}
    assert result.pop("left_over") == 0  # every tool round asked for took place
    assert any("tools" in form for form in result)
    for form, seen in result.items():
        billed, spans = seen["billed"], seen["spans"]
        assert len(billed) >= (2 if "tools" in form else 1), form
        assert seen["metrics"][names.METRIC_TOKENOMICS_CLIENT_TOKENS] == sum(billed), form
        assert seen["metrics"][names.METRIC_TOKENOMICS_CLIENT_REQUESTS] == len(billed), form
        assert seen["metrics"][names.METRIC_TOKENOMICS_CLIENT_COST] == pytest.approx(seen["bill"], abs=1e-12), form
        if form in row.never_ended:
            continue
        bearing = [span for span in spans if span["cost"] is not None]
        if row.true_tokens:
            assert sorted(span["tokens"] for span in bearing) == sorted(billed), form
        money = sum(span["cost"] for span in bearing)
        assert len(bearing) == len(billed), form
        assert money == pytest.approx(seen["bill"], abs=1e-12), form
        (root,) = (span for span in spans if span["parent"] is None)
        assert root["scope"] == "application", form
        assert root["subtree"] == pytest.approx(money, abs=1e-12), form


@pytest.mark.parametrize(("row", "order"), CELLS)
def test_the_charge_is_on_one_span_and_no_span_of_ours_is_too_many(row: Row, order: str, home: str) -> None:
    _installed(row)
    for form, seen in _forms(row, order, home):
        bearing = [span for span in seen["spans"] if span["cost"] is not None]
        holders = {row.holder} if isinstance(row.holder, str) else set(row.holder)
        assert {span["scope"] for span in bearing} <= holders, form
        if form in row.never_ended:
            continue
        assert [span for span in seen["spans"] if span["scope"] == OURS and span["cost"] is None] == [], form
        assert {span["end"] for span in bearing} == {"completed"}, form
        assert {span["team"] for span in bearing} == {form}, form
        containers = [span for span in seen["spans"] if span["kind"] in CONTAINERS or span["scope"] == "application"]
        assert [span for span in containers if span["cost"] is not None or span["end"] is not None] == [], form


@pytest.mark.parametrize(("row", "order"), CELLS)
def test_nothing_is_charged_again_at_export(row: Row, order: str, home: str) -> None:
    _installed(row)
    for form, seen in _forms(row, order, home):
        held = {span["id"]: span["cost"] for span in seen["spans"] if span["cost"] is not None}
        for sent in ("at_export", "one_by_one"):
            bearing = {span["id"]: span["cost"] for span in seen[sent] if span["cost"] is not None}
            assert bearing == held, (form, sent)
            # Nothing was priced below them that the SDK's totals do not hold.
            assert {span["partial"] for span in seen[sent]} <= {None, False}, (form, sent)


@pytest.mark.parametrize(("row", "order"), CELLS)
def test_no_content_and_no_baggage_of_ours(row: Row, order: str, home: str) -> None:
    _installed(row)
    for form, seen in _forms(row, order, home):
        assert not seen["content"], form
        assert not any("tokenomics" in header for header in seen["baggage"]), form


@pytest.mark.parametrize(("row", "order"), CELLS)
def test_the_caller_gets_what_he_would_without_us(row: Row, order: str, home: str) -> None:
    _installed(row)
    without = run(row.framework, row.neighbour, "without ours", home)
    for form, seen in _forms(row, order, home):
        assert seen["answer"] == without[form]["answer"], form
        assert len(seen["billed"]) == len(without[form]["billed"]), form


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row[0]}-{row[1]}") for row in TABLE if row[1] != "alone"])
def test_the_neighbours_spans_keep_their_names(row: Row, home: str) -> None:
    """With us they make the same spans as without us: none is lost, renamed or added."""
    _installed(row)
    without = run(row.framework, row.neighbour, "without ours", home)
    made: Counter[str] = Counter()
    for form, seen in _forms(row, BOTH[0], home):
        assert _names(seen) == _names(without[form]), form
        made += _names(seen)
    assert sum(made.values()) > len(without), "the neighbour made no span: it is not at work"


def _forms(row: Row, order: str, home: str) -> list[tuple[str, Any]]:
    result = run(row.framework, row.neighbour, order, home)
    return [(form, seen) for form, seen in result.items() if form not in ("failures", "left_over")]


def _names(seen: Any) -> Counter[str]:
    """Count the names of the spans that are not ours; OpenInference puts an id of each crew into its."""
    return Counter(
        _UUID.sub("", f"{span['scope']}: {span['name']} {span['agent'] or ''}")
        for span in seen["spans"]
        if span["scope"] != OURS
    )
