"""From the names on a call to one model of the book: fixed steps, exact words, nothing looser.

The order is the same in both engines. What no step finds is a miss with a reason, never a near hit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Final, NamedTuple

from otel_tokenomics.pricing.book import Model, PriceBook
from otel_tokenomics.pricing.facts import Provider, effective
from otel_tokenomics.pricing.names import ascii_lower, ascii_trim
from otel_tokenomics.pricing.rates import FOREVER, SERVICE_FACTS, Row, rate_table
from otel_tokenomics.usage import NO_FACTS, TOKEN_UNITS, Facts

#: How many answers are kept, hits and misses.
MATCHES_KEPT: Final = 4096
#: An id that is longer, in UTF-8, is no model name.
MAX_ID_BYTES: Final = 256
_AZURE: Final = "azure.ai.openai"
_BEDROCK: Final = "aws.bedrock"
_OPENROUTER: Final = "openrouter"
_VERTEX: Final = "gcp.vertex_ai"
#: How Vertex AI's OpenAI-compatible endpoint names Google's models; hosts sell ids that begin so.
_GOOGLE: Final = "google/"
#: What client libraries put in front of an id, whoever is called; a provider's own names come beside them.
_PREFIXES: Final = (
    "azure_ai/", "azure/", "bedrock/", "vertex_ai/", "gemini/", "openai/", "anthropic/", "mistral/", "cohere/",
    "groq/", "xai/", "deepseek/", "together_ai/", "fireworks_ai/", "perplexity/", "openrouter/", "converse/", "invoke/",
    "chat/",
)  # fmt: skip
_AZURE_REGIONS: Final = MappingProxyType(
    {"us/": "datazone-us", "eu/": "datazone-eu", "global/": "global", "global-standard/": "global"}
)
_CONTEXT: Final = re.compile(r"(?:\[1m\]|:[0-9]+k)\Z")
_YEAR, _MONTH, _DAY = "20[0-9]{2}", "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_TAIL: Final = re.compile(
    rf"(?:-preview-{_MONTH}-{_YEAR}|-preview-{_MONTH}-{_DAY}|-{_YEAR}-{_MONTH}-{_DAY}|[-@]{_YEAR}{_MONTH}{_DAY}"
    rf"|-{_MONTH}-{_YEAR}|-latest)\Z"
)
_GEO: Final = re.compile(r"(us-gov|us|eu|apac|au|ca|in|jp|global)\.")
_AWS_REGION: Final = re.compile(r"([a-z]{2}(?:-[a-z]+)+-[0-9])/")
_FINE_TUNED: Final = "ft:"
#: The resources whose ARN ends in the name of a model of Amazon's catalogue.
_NAMED_RESOURCES: Final = ("foundation-model", "inference-profile")


@dataclass(frozen=True, slots=True)
class Match:
    """What the resolution found: a model, or the reason why none.

    ``facts`` are those that the name or the alias fixes. ``otherwise`` is what the resolution finds beside a capacity,
    which may not be in force.
    """

    model: Model | None
    provider: str | None = None
    match: str | None = None
    facts: Facts = field(default_factory=lambda: NO_FACTS)
    flags: tuple[str, ...] = ()
    reason: str | None = None
    otherwise: Match | None = None


class Probe(NamedTuple):
    """One name that a step tries, with the facts that the steps so far fixed."""

    step: str
    name: str
    facts: Facts


def resolve(
    book: PriceBook,
    provider: str | None,
    response_model: str | None,
    request_model: str | None = None,
    host: str | None = None,
    unknown_host: str = "assume",
) -> Match:
    """Return the model that a call is priced by; answers are kept, hits and misses alike.

    Args:
        book: the price book.
        provider: name of the provider, any registered spelling; None where it is not known.
        response_model: the model that answered; the only name tried where it is not blank (but for aliases).
        request_model: the model that was asked for.
        host: the host that was called, where the provider is not certain without it.
        unknown_host: ``assume`` prices a model that one maker alone sells at that maker's rates, flagged
            ``assumed_provider``; ``unpriced`` does not.
    """
    kept = book.matches
    if kept is None:
        kept = book.matches = lru_cache(MATCHES_KEPT)(partial(_find_keepable, book))
    try:
        return kept(provider, response_model, request_model, host, unknown_host)
    except (_NotKept, TypeError):
        # Hostile lengths, and objects that a client put in place of a name (they may not even be hashable).
        names = [_as_text(name) for name in (provider, response_model, request_model, host)]
        return find(book, names[0], names[1], names[2], names[3], unknown_host)


class _NotKept(Exception):  # noqa: N818  # never leaves this module: `lru_cache` keeps no answer that is an exception
    """The names of a call must not become a key."""


def _find_keepable(
    book: PriceBook, name: str | None, response: str | None, request: str | None, host: str | None, unknown_host: str
) -> Match:
    for text in (name, response, request, host):
        if text is not None and (type(text) is not str or len(text) > MAX_ID_BYTES):
            raise _NotKept
    return find(book, name, response, request, host, unknown_host)


def _as_text(name: object) -> str | None:
    return str.__str__(name) if isinstance(name, str) else None


def find(
    book: PriceBook,
    name: str | None,
    response: str | None,
    request: str | None,
    host: str | None,
    unknown_host: str,
) -> Match:
    """Do what ``resolve`` does, without keeping the answer."""
    by_host, by_name = book.provider_by_host(host), book.provider_by_name(name)
    provider = by_host or by_name
    deployment = None
    for text in (response, request):
        alias = _alias(book, provider, text)
        if alias is not None:
            return alias
        named = (provider or "", usable_id(text) or "")
        if named in book.deployments:
            deployment = book.model(*named)
            break
    text = usable_id(response if response is not None and ascii_trim(response) else request)
    certain = by_host is not None or (by_name is not None and host is None)
    if text is None:
        found = Match(None, provider, reason="no_model")
    elif provider is not None and (certain or book.providers[provider].kind == "self_hosted"):
        found = _of_provider(book, provider, text)
    elif not name and not host:
        found = _exact_under_one(book, text)
    elif unknown_host != "assume":
        found = Match(None, provider, reason="unknown_model")
    else:
        found = _of_one_maker(book, text)
    return found if deployment is None else Match(deployment, provider, "alias", otherwise=found)


def in_force(book: PriceBook, match: Match, facts: Facts, at_ms: int) -> Match:
    """Return the match, or what the names say without a capacity that is not in force at the instant (ms UTC).

    Outside its dates and accounts a capacity says nothing of a deployment.
    """
    if match.otherwise is None or match.model is None or match.provider is None:
        return match
    known = effective(facts, match.facts, book.providers[match.provider])
    row = next((row for row in match.model.rows if row.applies(known, at_ms)), None)
    return match if row is not None and "capacity" in row.source else match.otherwise


def usable_id(text: str | None) -> str | None:
    """Return an id trimmed and in lower case (ASCII alone), or None where it is blank or longer than any real one."""
    text = ascii_trim(text or "")
    # A character has at least one byte: hostile megabytes are never encoded.
    if not text or len(text) > MAX_ID_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_ID_BYTES:
        return None
    return ascii_lower(text)


def _alias(book: PriceBook, provider: str | None, text: str | None) -> Match | None:
    if provider is None or text is None or usable_id(text) is None:
        return None
    names: Mapping[str, Mapping[str, str]] = book.aliases.get(provider, {})
    text = ascii_trim(text)
    target = names.get(text) or names.get(ascii_lower(text))
    if target is None:
        return None
    found = _of_provider(book, target.get("provider", provider), usable_id(target["model"]) or "")
    fixed = {key: value for key, value in target.items() if key not in ("model", "provider")}
    return replace(found, match="alias", facts={**found.facts, **fixed}) if found.model else found


def _of_provider(book: PriceBook, provider: str, text: str) -> Match:
    name, facts = text, NO_FACTS
    for step, name, facts in probes(book.providers[provider], text):
        if provider == _OPENROUTER and step == "suffix" and name.endswith(":free"):
            return Match(free_model(name), provider, "normalized", facts)
        found = book.model(provider, name)
        if found is not None:
            return Match(found, provider, "exact" if step == "exact" else "normalized", facts)
    ended = text.startswith(_FINE_TUNED) or unwrapped(provider, text) is None
    found = None if ended else book.by_prefix(provider, name)
    return Match(found, provider, "pattern", facts) if found else Match(None, provider, reason="unknown_model")


def _of_one_maker(book: PriceBook, text: str) -> Match:
    """An address that nobody lists: the id decides, where exactly one maker sells it."""
    hits: list[Match] = []
    for key, entry in book.providers.items():
        if entry.kind == "first_party":
            for step, name, facts in probes(entry, text, certain=False):
                found = book.model(key, name)
                if found is not None:
                    match = "exact" if step == "exact" else "normalized"
                    hits.append(Match(found, key, match, facts, ("assumed_provider",)))
                    break
    if len(hits) == 1:
        return hits[0]
    return Match(None, reason="ambiguous_model" if hits else "unknown_model")


def _exact_under_one(book: PriceBook, text: str) -> Match:
    owners = [key for key in book.providers if book.has(key, text)]
    if len(owners) == 1:
        return Match(book.model(owners[0], text), owners[0], "exact")
    return Match(None, reason="ambiguous_model")


def probes(provider: Provider, text: str, *, certain: bool = True) -> Iterator[Probe]:
    """Yield the names that steps 1 to 6 try, each made from the one before, with the facts that the name fixes.

    Where nobody is ``certain`` who bills, a maker's word in front is as likely that of weights on a server of one's
    own: of prefixes, those of client libraries alone come off.
    """
    yield Probe("exact", text, NO_FACTS)
    if text.startswith(_FINE_TUNED):
        base = ":".join(text.split(":")[:2])
        if base != text:
            yield Probe("fine-tuned base", base, NO_FACTS)
        return
    name = unwrapped(provider.key, text)
    if name is None:
        return
    if name != text:
        yield Probe("unwrap", name, NO_FACTS)
    yield from _from_prefix_on(provider, name, provider.prefixes if certain else ())


def unwrapped(provider: str, text: str) -> str | None:
    """Return the id inside an ARN or a path, the text where it is neither, None where it names something else.

    What a customer made or rents (a tuned model, an endpoint, a profile or throughput of his own) is called as he
    likes, and is billed otherwise than the model of that name: only an alias can tell.
    """
    start = text.find("arn:")
    if start == 0 or (start > 0 and text[start - 1] == "/"):
        kind, _, name = text[start:].split(":", 5)[-1].partition("/")
        return name.rpartition("/")[2] if kind in _NAMED_RESOURCES else None
    before, found, name = text.rpartition("models/")
    if not found or (before and not before.endswith("/")):
        return text
    path, _, owner = before.removesuffix("/").rpartition("/")
    holder = path.rpartition("/")[2]
    return None if holder == "locations" or (holder == "accounts" and owner != provider) else name


def _from_prefix_on(provider: Provider, name: str, own: tuple[str, ...]) -> Iterator[Probe]:
    key, facts = provider.key, NO_FACTS
    # OpenRouter's own ids begin with the maker's word.
    prefixes = own if key == _OPENROUTER else (*_PREFIXES, *own)
    prefixes = (*prefixes, _GOOGLE) if key == _VERTEX else prefixes
    for _ in range(2):
        if name.startswith(prefixes):
            name = name[len(next(prefix for prefix in prefixes if name.startswith(prefix))) :]
            yield Probe("prefix", name, facts)
    fixed = _region(key, name)
    if fixed is not None:
        name, facts = fixed
        yield Probe("prefix", name, facts)
    shorter = _without_suffix(key, name)
    if shorter is not None:
        name = shorter
        yield Probe("suffix", name, facts)
    if _TAIL.search(name):
        name = _TAIL.sub("", name)
        yield Probe("tail", name, facts)
    area = _GEO.match(name) if key == _BEDROCK else None
    if area:
        facts = {**facts, "deployment_type": "global" if area[1] == "global" else "geo"}
        yield Probe("geo", name[area.end() :], facts)


def _region(provider: str, name: str) -> tuple[str, Facts] | None:
    """Return the name without the region in front of it, and the fact that the region is; None without one."""
    if provider == _AZURE:
        area = next((area for area in _AZURE_REGIONS if name.startswith(area)), None)
        return (name[len(area) :], {"deployment_type": _AZURE_REGIONS[area]}) if area is not None else None
    found = _AWS_REGION.match(name) if provider == _BEDROCK else None
    return (name[found.end() :], {"region": found[1]}) if found else None


def _without_suffix(provider: str, name: str) -> str | None:
    """Return the name without its suffix (OpenRouter's ``:free`` names a model of its own), or None without one."""
    if provider == _OPENROUTER:
        if name.endswith(":free"):
            return name
        return name.partition(":")[0] if ":" in name else None
    return _CONTEXT.sub("", name) if _CONTEXT.search(name) else None


def free_model(name: str) -> Model:
    """Return OpenRouter's free variant of a model: tokens and requests at an explicit zero."""
    table = rate_table(-1, dict.fromkeys((*TOKEN_UNITS, "request"), 0), f"{_OPENROUTER}/{name}")
    row = Row(
        -FOREVER, FOREVER, (), None, table, (), "list", contracted=False, plain=True, unasked=SERVICE_FACTS, source={}
    )
    return Model(_OPENROUTER, name, (row,), (row,), (), (), adjusted=False, search_context=None)
