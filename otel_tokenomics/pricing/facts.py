"""What else a price depends on, in the words that rows ask for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from otel_tokenomics.pricing.names import ascii_lower, ascii_trim
from otel_tokenomics.pricing.rates import SERVICE_FACTS
from otel_tokenomics.usage import NO_FACTS, Facts

#: Words that name the ordinary service level where a provider states none of its own.
NEUTRAL_WORDS: Final = ("default", "standard", "auto", "on_demand")
#: The documented default of a provider where a request states no search context size.
SEARCH_CONTEXT: Final[Mapping[str, str]] = MappingProxyType({"perplexity": "low", "openai": "medium"})


class Provider(NamedTuple):
    """What the book knows of a provider beside its models; the empty word is always neutral.

    ``prefixes`` are its own names as people write them in front of an id.
    """

    key: str
    kind: str
    accounting: str = "inclusive"
    neutral: frozenset[str] = frozenset({"", *NEUTRAL_WORDS})
    tier_aliases: Mapping[str, str] = MappingProxyType({})
    prefixes: tuple[str, ...] = ()


UNKNOWN_PROVIDER: Final = Provider("", "host")


def effective(facts: Facts, fixed: Facts, provider: Provider) -> Facts:
    """Return the facts that a row may ask for.

    ``fixed`` (by the model's name or alias) beats what was reported. Aliases of service words are applied, neutral
    ones count as unset, and a service tier named ``batch`` is the fact ``processing=batch``.
    """
    if not fixed:
        if not facts:
            return NO_FACTS
        # What nearly every response says: the ordinary tier, and nothing else.
        tier = facts.get("service_tier") if len(facts) == 1 else None
        if type(tier) is str and tier in provider.neutral and tier not in provider.tier_aliases:
            return NO_FACTS
    found: dict[str, str] = {}
    for key, value in ({**facts, **fixed} if fixed else facts).items():
        # A client's object in place of a word is no fact.
        if isinstance(value, str):
            word = value if key == "account" else ascii_lower(ascii_trim(value))
            if key in SERVICE_FACTS:
                word = provider.tier_aliases.get(word, word)
                word = "" if word in provider.neutral else word
            if word:
                found[key] = word
    if found.get("service_tier") == "batch":
        del found["service_tier"]
        found["processing"] = "batch"
    return found
