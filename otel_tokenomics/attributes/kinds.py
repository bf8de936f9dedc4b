"""What a span is for money: a call is priced, a container repeats the usage of the calls below it.

Twin of ``collector/internal/attributes/kinds.go``, which links the source of each table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Kind(NamedTuple):
    """``role`` is call, container, adjunct (a container where it bears usage, else nothing) or other."""

    role: str
    operation: str = ""


OTHER: Final = Kind("other")
CONTAINER: Final = Kind("container")
ADJUNCT: Final = Kind("adjunct")
CHAT: Final = Kind("call", "chat")
TEXT: Final = Kind("call", "text_completion")
EMBEDDINGS: Final = Kind("call", "embeddings")
RERANK: Final = Kind("call", "rerank")
#: Longer than any kind; what is longer is none.
MAX_KIND: Final = 32

OPERATIONS: Final[Mapping[str, Kind]] = {
    "chat": CHAT,
    "text_completion": TEXT,
    "generate_content": Kind("call", "generate_content"),
    "embeddings": EMBEDDINGS,
    "rerank": RERANK,
    **dict.fromkeys(
        (
            "invoke_agent", "invoke_workflow", "execute_tool", "plan", "agent_step", "search_memory", "create_memory",
            "update_memory", "upsert_memory", "delete_memory", "create_memory_store", "delete_memory_store",
        ),
        CONTAINER,
    ),
    **dict.fromkeys(("retrieval", "fetch_response", "create_agent"), ADJUNCT),
}  # fmt: skip
#: A PROMPT is a template, not a call.
OPENINFERENCE: Final[Mapping[str, Kind]] = {
    "llm": CHAT,
    "embedding": EMBEDDINGS,
    "reranker": RERANK,
    **dict.fromkeys(("prompt", "chain", "agent", "tool", "retriever", "guardrail", "evaluator"), CONTAINER),
}
TRACELOOP: Final[Mapping[str, Kind]] = dict.fromkeys(("workflow", "task", "agent", "tool"), CONTAINER)
REQUEST_TYPES: Final[Mapping[str, Kind]] = {
    "chat": CHAT,
    "completion": TEXT,
    "embedding": EMBEDDINGS,
    "embeddings": EMBEDDINGS,
    "rerank": RERANK,
}
#: Sentry marks the spans that carry sums of others.
OPERATION_TYPES: Final[Mapping[str, Kind]] = dict.fromkeys(("agent", "tool", "handoff"), CONTAINER)
SPAN_TYPES: Final[Mapping[str, Kind]] = {
    "llm": CHAT,
    "embedding": EMBEDDINGS,
    **dict.fromkeys(("agent", "workflow", "task", "tool", "retrieval"), CONTAINER),
}
LANGFUSE: Final[Mapping[str, Kind]] = {
    "generation": CHAT,
    "embedding": EMBEDDINGS,
    **dict.fromkeys(("agent", "tool", "chain", "retriever", "evaluator", "guardrail"), CONTAINER),
    **dict.fromkeys(("span", "event"), ADJUNCT),
}


def kind_in(table: Mapping[str, Kind], word: str) -> Kind | None:
    """Return the kind that a word means in a table, or None."""
    if not word or len(word.encode("utf-8", "surrogatepass")) > MAX_KIND:
        return None
    return table.get(word) or table.get(word.strip().lower())


def vercel_kind(operation: str) -> Kind:
    """Return the kind of ``ai.operationId``: the inner steps are the calls, the outer spans repeat their usage."""
    if operation.endswith((".doGenerate", ".doStream")):
        return CHAT
    if operation.endswith(".doEmbed"):
        return EMBEDDINGS
    return RERANK if operation.endswith(".doRerank") else CONTAINER
