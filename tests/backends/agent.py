"""The recorded application: two agents on the real clients, for two customers and three teams.

A plain program; ``record.py`` runs it on the local provider, with SDK pricing off. What each call uses stands beside
it: the local provider is told to bill it so.
"""

from __future__ import annotations

from typing import Any, Final

import anthropic
import openai
from opentelemetry import trace

import otel_tokenomics as tk

#: What the provider bills for each call, in order, as it reports it: OpenAI's counts include what was cached,
#: Anthropic's do not.
USAGE: Final[tuple[dict[str, Any], ...]] = (
    {"prompt_tokens": 7, "total_tokens": 7},
    {
        "input_tokens": 9_216,
        "input_tokens_details": {"cached_tokens": 8_192},
        "output_tokens": 640,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 9_856,
    },
    {"prompt_tokens": 1_830, "completion_tokens": 95, "total_tokens": 1_925},
    {
        "input_tokens": 1_200,
        "cache_read_input_tokens": 14_000,
        "cache_creation_input_tokens": 2_600,
        "output_tokens": 410,
    },
    {"prompt_tokens": 2_750, "completion_tokens": 120, "total_tokens": 2_870},
    {"prompt_tokens": 3_300, "completion_tokens": 780, "total_tokens": 4_080},
    {
        "prompt_tokens": 5_100,
        "prompt_tokens_details": {"cached_tokens": 4_096},
        "completion_tokens": 55,
        "total_tokens": 5_155,
    },
)


def answer() -> None:
    """Answer one ticket, then suggest something to another customer."""
    tracer = trace.get_tracer("support-assistant")
    models, claude = openai.OpenAI(), anthropic.Anthropic()
    said: Any = [{"role": "user", "content": "A question"}]

    def doing(operation: str, name: str, **more: str) -> Any:
        kind = "gen_ai.tool.name" if operation == "execute_tool" else "gen_ai.agent.name"
        attributes = {"gen_ai.operation.name": operation, kind: name, **more}
        return tracer.start_as_current_span(f"{operation} {name}", attributes=attributes)

    with tk.tags(product="support-assistant"), tracer.start_as_current_span("POST /tickets"):
        with (
            tk.tags(team="support", customer="acme", feature="answer", conversation="ticket-4711", user="u-17"),
            doing("invoke_agent", "support_assistant"),
        ):
            models.embeddings.create(model="text-embedding-3-small", input="A question")
            with tk.tags(team="search"), doing("invoke_agent", "researcher"):
                models.responses.create(model="gpt-4o", input="A question")
                with doing("execute_tool", "lookup_order"):
                    models.chat.completions.create(model="gpt-4o-mini", messages=said)
            with claude.messages.stream(model="claude-haiku-4-5", max_tokens=500, messages=said) as stream:
                for _ in stream.text_stream:
                    pass
            with tk.tags(feature="summarise"):
                # In-house, tried out by somebody: a model that no price book knows.
                models.chat.completions.create(model="house-summary-1", messages=said)
        with (
            tk.tags(team="growth", customer="globex", feature="suggest", conversation="visit-88", user="u-23"),
            doing("invoke_agent", "recommender"),
        ):
            models.chat.completions.create(model="gpt-4o", messages=said)
            models.chat.completions.create(model="gpt-4o-mini", messages=said)
    models.close()
    claude.close()


def main() -> None:
    """Run it as a service does: one line of ours."""
    tk.instrument()
    answer()


if __name__ == "__main__":
    main()
