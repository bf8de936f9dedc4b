"""A service with the SDK and the real client of OpenAI, as a program of its own: MODEL CALLS."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from openai import OpenAI
from opentelemetry import trace

import otel_tokenomics as tk


def main(model: str, calls: int) -> None:
    """Answer so many questions, eight at a time, each a trace of two spans."""
    tk.instrument()
    tracer = trace.get_tracer("service")
    with OpenAI() as client:

        def ask(number: int) -> None:
            with tk.tags(team=f"team-{number % 3}"), tracer.start_as_current_span("question"):
                question = "word " * (1 + number % 17)
                client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(calls)))
    tk.flush(timeout=20)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
