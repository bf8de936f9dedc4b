"""The local provider as an agent's model: it calls the first tool that is offered, once, and then answers."""

from __future__ import annotations

from typing import Any

import pytest

from otel_tokenomics.demo.scenario import Ledger, Scenario

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string"}},
    "required": ["city", "days", "undeclared"],
}
ASKED = [{"role": "user", "content": "Where is order 4711?"}]
#: The tool as each API declares it, what is asked, and how its result comes back, after the API references.
FORMATS: dict[str, tuple[str, Any, Any]] = {
    "chat": (
        "messages",
        {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}},
        {"role": "tool", "tool_call_id": "call_1", "content": "12"},
    ),
    "responses": (
        "input",
        {"type": "function", "name": "look_up", "parameters": SCHEMA},
        {"type": "function_call_output", "call_id": "call_1", "output": "12"},
    ),
    "messages": (
        "messages",
        {"name": "look_up", "input_schema": SCHEMA},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "12"}]},
    ),
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_tool_is_called_until_its_result_is_there(form: str) -> None:
    field, tool, result = FORMATS[form]
    ledger = Ledger(calls_tools=True)
    called = ledger.with_tool({"tools": [tool], field: ASKED}, Scenario()).tool
    assert called == ("look_up", {"city": "word", "days": 1, "undeclared": "word"})
    assert ledger.with_tool({"tools": [tool], field: [*ASKED, result]}, Scenario()).tool is None
    assert ledger.with_tool({field: ASKED}, Scenario()).tool is None
    assert Ledger().with_tool({"tools": [tool], field: ASKED}, Scenario()).tool is None


def test_a_tool_of_the_server_and_one_that_a_test_names_are_left_alone() -> None:
    ledger, body = Ledger(calls_tools=True), {"tools": [{"type": "web_search"}], "input": "hello"}
    assert ledger.with_tool(body, Scenario()).tool is None
    named = Scenario(tool=("other", {}))
    assert ledger.with_tool({"tools": [FORMATS["responses"][1]], "input": "hello"}, named) is named
