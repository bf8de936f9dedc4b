"""The recorded agent trace: new at each sending, and what it costs, reckoned from list prices and nothing of ours."""

from __future__ import annotations

import json
import secrets
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

TRACE: Final = Path(__file__).resolve().parent / "trace.json"
#: USD per million tokens as the providers' price pages say: plain input, read from a cache, written to it, output.
#: Sources: platform.openai.com/docs/pricing, platform.claude.com/docs/en/about-claude/pricing. No price is known of
#: house-summary-1.
PRICES: Final = MappingProxyType(
    {
        "gpt-4o": ("2.50", "1.25", "0", "10.00"),
        "gpt-4o-mini": ("0.15", "0.075", "0", "0.60"),
        "claude-haiku-4-5": ("1.00", "0.10", "1.25", "5.00"),
        "text-embedding-3-small": ("0.02", "0", "0", "0"),
    }
)
TAGS: Final = ("team", "customer", "feature")

Json = dict[str, Any]


class Call(NamedTuple):
    """One model call of the trace; ``cost`` in USD, None where no price is known."""

    span: str
    parent: str
    model: str
    tags: dict[str, str]
    input_tokens: int
    output_tokens: int
    cost: Decimal | None


class Sent(NamedTuple):
    """One sending of the trace: what went out, and what is right about it."""

    body: Json
    trace: str
    root: str
    spans: int
    calls: tuple[Call, ...]

    @property
    def total(self) -> Decimal:
        """Return what the trace costs, USD."""
        return sum((call.cost for call in self.calls if call.cost is not None), Decimal(0))

    @property
    def unpriced(self) -> list[Call]:
        """Return the calls whose price nobody knows."""
        return [call for call in self.calls if call.cost is None]

    def by(self, key: str) -> dict[str, Decimal]:
        """Return the cost by ``model`` or by a business tag."""
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for call in self.calls:
            if call.cost is not None:
                sums[call.model if key == "model" else call.tags[key]] += call.cost
        return dict(sums)

    def subtree(self, span: str) -> Decimal:
        """Return what a span and all below it cost."""
        parents = {made["spanId"]: made.get("parentSpanId", "") for made in spans_of(self.body)}

        def is_below(at: str) -> bool:
            return at == span or (bool(at) and is_below(parents[at]))

        return sum((c.cost for c in self.calls if c.cost is not None and is_below(c.span)), Decimal(0))


def spans_of(body: Json) -> list[Json]:
    """Return the spans of an OTLP/JSON request."""
    return [span for resource in body["resourceSpans"] for scope in resource["scopeSpans"] for span in scope["spans"]]


def attributes_of(span: Json) -> Json:
    """Return a span's attributes; OTLP/JSON writes integers as text."""
    found: Json = {}
    for pair in span.get("attributes", []):
        ((kind, value),) = pair["value"].items()
        found[pair["key"]] = int(value) if kind == "intValue" else value
    return found


def fresh(ago_s: float = 5.0) -> Sent:
    """Return the recorded trace, its ids new and begun ``ago_s`` ago: what several runs sent does not add up."""
    body: Json = json.loads(TRACE.read_text(encoding="utf-8"))
    spans = spans_of(body)
    began = time.time_ns() - round(ago_s * 1e9)
    trace, ids = secrets.token_hex(16), {span["spanId"]: secrets.token_hex(8) for span in spans}
    for span in spans:
        span["traceId"], span["spanId"] = trace, ids[span["spanId"]]
        if "parentSpanId" in span:
            span["parentSpanId"] = ids[span["parentSpanId"]]
        for key in ("startTimeUnixNano", "endTimeUnixNano"):
            span[key] = str(int(span[key]) + began)
        for pair in span["attributes"]:
            if pair["key"] == "gen_ai.response.id":
                pair["value"] = {"stringValue": f"{pair['value']['stringValue']}-{trace[:8]}"}
    (root,) = [span["spanId"] for span in spans if "parentSpanId" not in span]
    calls = [_call(span) for span in spans if "gen_ai.request.model" in attributes_of(span)]
    return Sent(body, trace, root, len(spans), tuple(calls))


def _call(span: Json) -> Call:
    bears = attributes_of(span)
    model, given = bears["gen_ai.request.model"], bears["gen_ai.usage.input_tokens"]
    read = bears.get("gen_ai.usage.cache_read.input_tokens", 0)
    written = bears.get("gen_ai.usage.cache_creation.input_tokens", 0)
    made = bears.get("gen_ai.usage.output_tokens", 0)
    cost = None
    if model in PRICES:
        counts = (given - read - written, read, written, made)
        cost = sum((n * Decimal(rate) for n, rate in zip(counts, PRICES[model], strict=True)), Decimal(0)) / 1_000_000
    tags = {tag: bears[f"tokenomics.tag.{tag}"] for tag in TAGS}
    return Call(span["spanId"], span["parentSpanId"], model, tags, given, made, cost)
