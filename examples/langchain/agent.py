"""A langchain agent: each round of its model is one charge, and the agent's span shows what they cost together."""

from __future__ import annotations

from langchain.agents import create_agent
from opentelemetry import trace

import otel_tokenomics as tk

tk.instrument()


def order_status(number: str) -> str:
    """Return the status of an order."""
    return f"Order {number} is on its way."


agent = create_agent("openai:gpt-5.4-mini", tools=[order_status])
tracer = trace.get_tracer("shop")

with (
    tk.tags(team="support", customer="acme", feature="order-status"),
    tracer.start_as_current_span("invoke_agent shop", attributes={"gen_ai.operation.name": "invoke_agent"}),
):
    answer = agent.invoke({"messages": [("user", "Where is order 4711?")]})
print(answer["messages"][-1].text)
