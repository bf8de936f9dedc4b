"""The cost that the billing party states inside its usage object.

Sources: xAI's page on cost tracking, OpenRouter's on usage accounting, Perplexity's API reference (object ``Cost``).
"""

from __future__ import annotations

from typing import Final

from otel_tokenomics.usage.dialects.counts import count, field, money

_TICKS_TO_PICO: Final = 100


def stated_cost(raw: object, provider: str | None) -> int | None:
    """Return the cost that the billing party states in its usage object, in pico-USD."""
    if provider == "x_ai":
        ticks = count(raw, "cost_in_usd_ticks")
        return ticks * _TICKS_TO_PICO if ticks is not None and ticks >= 0 else None
    if provider == "openrouter":
        cost = money(raw, "cost")
        if cost is None or field(raw, "is_byok") is not True:
            return cost
        # With a key of one's own, `cost` is OpenRouter's fee alone (0, often): without the other bill it is no price.
        upstream = money(field(raw, "cost_details"), "upstream_inference_cost")
        return None if upstream is None else cost + upstream
    if provider == "perplexity":
        return money(field(raw, "cost"), "total_cost")
    return None
