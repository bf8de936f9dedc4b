"""A support assistant: an agent that retrieves, thinks, calls tools and answers, for three customers and two teams.

A plain program with the real clients. What makes it an otel-tokenomics program: one ``instrument()``, and ``tags``.
Run it as ``python -m otel_tokenomics.demo.application``; the addresses come from the clients' own environment
variables (``OPENAI_BASE_URL``, ``ANTHROPIC_BASE_URL``).
"""

from __future__ import annotations

from typing import Any

import anthropic
import openai
from opentelemetry import trace

import otel_tokenomics as tk

QUESTIONS = (
    ("acme", "search", "Where is my parcel?"),
    ("globex", "search", "How do I change my plan?"),
    ("initech", "support", "Why was I charged twice?"),
)
ARTICLES = ["shipping", "plans", "billing", "refunds"]


class Assistant:
    """Answers one customer's question."""

    def __init__(self) -> None:
        self.tracer = trace.get_tracer("support-assistant")
        self.openai = openai.OpenAI()
        self.anthropic = anthropic.Anthropic()

    def answer(self, question: str) -> None:
        """Retrieve, plan, look up, answer; then summarise for the archive."""
        with self.tracer.start_as_current_span("invoke_agent support", attributes=operation("invoke_agent")):
            self.retrieve(question)
            self.plan(question)
            with self.tracer.start_as_current_span("execute_tool lookup_order", attributes=operation("execute_tool")):
                self.check(question)
            self.reply(question)
            with tk.tags(feature="summarise"):
                self.summarise(question)

    def retrieve(self, question: str) -> None:
        """Find the articles that matter."""
        with self.tracer.start_as_current_span("retrieval articles", attributes=operation("retrieval")):
            self.openai.embeddings.create(model="text-embedding-3-small", input=[question, *ARTICLES])

    def plan(self, question: str) -> None:
        """Let the large model think about what to do."""
        self.openai.responses.create(model="gpt-5.4", input=question)

    def check(self, question: str) -> None:
        """A small model reads the order."""
        self.openai.chat.completions.create(model="gpt-5.4-mini", messages=user(question))

    def reply(self, question: str) -> None:
        """Stream the answer; the second model writes it."""
        with self.anthropic.messages.stream(
            model="claude-sonnet-5-5", max_tokens=300, messages=[{"role": "user", "content": question}]
        ) as stream:
            for _ in stream.text_stream:
                pass

    def summarise(self, question: str) -> None:
        """A model that no price book knows: in-house, tried out by somebody."""
        self.openai.chat.completions.create(model="house-summary-1", messages=user(question))

    def suggest(self, question: str) -> None:
        """Start to stream a suggestion that the user does not wait for."""
        stream = self.openai.chat.completions.create(model="gpt-5.4", messages=user(question), stream=True)
        for _ in stream:
            break
        stream.close()


def user(question: str) -> Any:
    """Return the question as a chat message."""
    return [{"role": "user", "content": question}]


def operation(name: str) -> dict[str, str]:
    """Return the attribute that says what a span of the application does."""
    return {"gen_ai.operation.name": name}


def main() -> None:
    """Serve three customers, then one who leaves early."""
    tk.instrument()
    assistant = Assistant()
    with tk.tags(product="support-assistant"), assistant.tracer.start_as_current_span("POST /tickets"):
        for customer, team, question in QUESTIONS:
            with tk.tags(team=team, customer=customer, feature="answer"):
                assistant.answer(question)
        with tk.tags(team="support", customer="initech", feature="suggest"):
            assistant.suggest(QUESTIONS[-1][2])


if __name__ == "__main__":
    main()
