"""Prices a span that somebody else made, from its attributes alone: what stays, what is added, what is taken back.

Twin of the collector's processor: the same vectors hold both (``tests/vectors/spans``).
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from otel_tokenomics.attributes import names
from otel_tokenomics.attributes.read import (
    MAX_ATTRIBUTES,
    WRITTEN,
    CallIdentity,
    ReadOptions,
    SpanReading,
    SpanView,
    identity_of,
    own_total,
    read_span,
    worth_reading,
)
from otel_tokenomics.attributes.values import money_of
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import Cost, EndpointTable, PriceBook, price, price_reading
from otel_tokenomics.pricing.calc import FLAGS
from otel_tokenomics.tags import MAX_TAGS, MAX_VALUE, is_key
from otel_tokenomics.telemetry.call_attributes import amount_attributes
from otel_tokenomics.telemetry.dialects import dialect_attributes
from otel_tokenomics.usage import Usage, pico_to_usd

STALE_AFTER_MS: Final = 45 * 86_400_000
_MS_PER_HOUR: Final = 3_600_000
_BEDROCK: Final = "aws.bedrock"
_PROFILES: Final = ("us.", "eu.", "apac.", "au.", "jp.", "us-gov.", "global.", "arn:")
_TIERS: Final = ("flex", "priority", "ultrafast", "batch", "provisioned")
_DEPLOYMENTS: Final = ("geo", "global", "regional")
#: A value and an object would share a path.
_SCALAR: Final = "gen_ai.usage.cost"
_SCALAR_RIVAL: Final = "gen_ai.usage.cost.amount"
_GUESSES_KEPT: Final = 4096
_CHARGE: Final = names.TOKENOMICS_CHARGE_KIND


class ForeignPricing:
    """Prices spans by settings: ``on_existing``, ``usage_convention``, ``price_server_spans`` and the common ones."""

    def __init__(self, settings: Settings, book: PriceBook, *, max_age_ms: int | None = STALE_AFTER_MS) -> None:
        self._settings, self._book, self._max_age_ms = settings, book, max_age_ms
        self._options = ReadOptions(settings.usage_convention, settings.price_server_spans)
        self._endpoints = EndpointTable.parse(settings.endpoints)
        self._elsewhere = EndpointTable.parse(settings.billed_elsewhere)
        # Never semconv443: its proposal rules out that anybody adds it afterwards.
        self._dialects = tuple(dialect for dialect in settings.dialects if dialect != "semconv443")
        self._asks = functools.lru_cache(_GUESSES_KEPT)(self._probe)

    def attributes_of(self, view: SpanView) -> dict[str, Any] | None:
        """Return all attributes of a span once it is priced; None where it stays as it is."""
        if len(view.attributes) > MAX_ATTRIBUTES:
            return None
        if not worth_reading(view.attributes):
            return self._adjacent(view)
        found = read_span(view, self._options)
        if found.verdict == "pass":
            return self._adjacent(view)
        if found.verdict == "malformed":
            return None
        if found.verdict == "price":
            found, elsewhere = self._placed(found)
            if not elsewhere or found.reading.stated_cost is not None:
                return resource_tags(view.resource) | self._priced(view, found)
            found = found._replace(reason="billed_elsewhere")
        kept = without_ours(view.attributes, None)
        return kept | {
            names.TOKENOMICS_COST_STATUS: "not_applicable",
            names.TOKENOMICS_COST_REASON: found.reason,
        }

    def _adjacent(self, view: SpanView) -> dict[str, Any] | None:
        """Return the attributes of an operation that is no model call and that own prices charge; None of any other."""
        bears = view.attributes
        # A server's own span is the other side of the same operation.
        if not self._book.adjacent or view.server or not WRITTEN.isdisjoint(bears) or _CHARGE in bears:
            return None
        rate = next((one for one in self._book.adjacent if one.meets(bears)), None)
        if rate is None:
            return None
        return {
            **resource_tags(view.resource),
            **bears,
            names.TOKENOMICS_COST_TOTAL: pico_to_usd(rate.pico),
            names.TOKENOMICS_COST_CURRENCY: "USD",
            names.TOKENOMICS_COST_SOURCE: "sdk",
            names.TOKENOMICS_COST_BASIS: "contracted",
            names.TOKENOMICS_COST_STATUS: "priced" if rate.pico else "free",
            names.TOKENOMICS_PRICE_BOOK: self._book.id,
            _CHARGE: rate.name,
            names.TOKENOMICS_CHARGE_QUANTITY: 1.0,
            names.TOKENOMICS_CHARGE_UNIT: rate.unit,
        }

    def identity_of(self, view: SpanView) -> CallIdentity | None:
        """Return what joins a span, once it is priced, with the others of its call; None where it stands for none."""
        if not worth_reading(view.attributes) or len(view.attributes) > MAX_ATTRIBUTES:
            return None
        return identity_of(view, self._options)

    def _placed(self, found: SpanReading) -> tuple[SpanReading, bool]:
        """Apply the settings that name addresses; return also whether somebody else charges the call."""
        if found.host is None:
            return found, False
        if self._elsewhere.lookup(found.host, found.port, found.path) is not None:
            return found, True
        ruled = self._endpoints.lookup(found.host, found.port, found.path)
        return (found._replace(provider=ruled, host=None) if ruled else found), False

    def _priced(self, view: SpanView, found: SpanReading) -> dict[str, Any]:
        reading, settings = found.reading, self._settings
        if settings.on_existing == "overwrite" and not found.own and not found.cache_hit:
            reading = reading._replace(stated_cost=None)
        cost = price_reading(
            self._book, reading, found.provider, view.start_ms,
            request_model=found.request_model, host=found.host, unknown_host=settings.unknown_host,
        )  # fmt: skip
        cost = self._flagged(view, found, cost, stated=reading.stated_cost is not None)
        if settings.on_existing == "keep" and found.estimate is not None and reading.stated_cost is None:
            cost = _adopted(cost, found.estimate)
        return self._written(view, found, cost)

    def _flagged(self, view: SpanView, found: SpanReading, cost: Cost, *, stated: bool) -> Cost:
        flags = set(cost.flags)
        if found.cache_hit:
            flags.discard("price_conflict")  # of course our price of the call differs from its repetition's
        if not found.own and cost.total is not None and not stated and self._rests_on_a_default(view, found, cost):
            flags.add("assumed_default")
        if found.zero and cost.status != "free":
            flags.add("foreign_zero_ignored")
        age = time.time_ns() // 1_000_000 - self._book.generated_at_ms
        ours = cost.computed is not None or (cost.total is not None and not stated)
        if ours and self._max_age_ms is not None and age > self._max_age_ms:
            flags.add("stale_book")
        return cost if flags == set(cost.flags) else cost._replace(flags=_in_order(flags))

    def _rests_on_a_default(self, view: SpanView, found: SpanReading, cost: Cost) -> bool:
        """Return whether a price rests on a default that the span could not confirm though rows ask for the fact."""
        usage = found.reading.usage
        writes = not found.split_stated and usage is not None and bool(usage.counts.get("cache_write"))
        model = (found.reading.response_model or found.request_model or "").lower()
        profile = cost.provider == _BEDROCK and not model.startswith(_PROFILES)
        if found.tier_stated and not writes and not profile:
            return False
        key = (found.provider, found.reading.response_model, found.request_model, found.host, cost.sku)
        stated = tuple(found.reading.facts.items())
        tier, lifetime, deployment = self._asks(*key, stated, view.start_ms // _MS_PER_HOUR)
        return (not found.tier_stated and tier) or (writes and lifetime) or (profile and deployment)

    def _probe(
        self,
        provider: str | None,
        model: str | None,
        asked: str | None,
        host: str | None,
        sku: str | None,
        stated: tuple[tuple[str, str], ...],
        hour: int,
    ) -> tuple[bool, bool, bool]:
        """Ask the book what the rows beside one depend on: tier, lifetime of cache writes, deployment."""

        def ask(facts: Mapping[str, str], usage: Mapping[str, int]) -> Cost:
            at_ms = hour * _MS_PER_HOUR
            facts = {**dict(stated), **facts}
            return price(self._book, provider, model, Usage(usage), facts, at_ms, request_model=asked, host=host)

        def differs(facts: Mapping[str, str]) -> bool:
            other = ask(facts, {"input": 1, "output": 1})
            return other.total is not None and other.reason != "tier_unpriced" and _row(other.sku) != _row(sku)

        short, long = ask({}, {"cache_write": 10**6}), ask({}, {"cache_write_1h": 10**6})
        return (
            any(differs({"service_tier": tier}) for tier in _TIERS),
            short.total is not None and long.total is not None and short.total != long.total,
            any(differs({"deployment_type": word}) for word in _DEPLOYMENTS),
        )

    def _written(self, view: SpanView, found: SpanReading, cost: Cost) -> dict[str, Any]:
        kept = without_ours(view.attributes, cost.total)
        added: dict[str, Any] = {names.TOKENOMICS_COST_STATUS: cost.status, names.TOKENOMICS_PRICE_BOOK: cost.book}
        optional = {
            names.TOKENOMICS_COST_REASON: cost.reason,
            names.TOKENOMICS_COST_FLAGS: cost.flags,
            names.TOKENOMICS_PRICE_SKU: cost.sku,
            names.TOKENOMICS_PRICE_MODEL: cost.model,
            names.TOKENOMICS_PRICE_MATCH: cost.match,
            names.TOKENOMICS_USAGE_ACCOUNTING: "exclusive" if found.exclusive else None,
        }
        added |= {key: value for key, value in optional.items() if value}
        if cost.total is not None:
            added |= amount_attributes(cost, cost.total, parts=self._settings.cost_parts, computed=True)
            for key, value in dialect_attributes(cost, self._dialects).items():
                if key == _SCALAR and _SCALAR_RIVAL in kept:
                    continue
                # A key that somebody else wrote stays, but a 0 that was ignored would be shown for ever.
                if key not in kept or (found.zero and _is_zero(kept[key])):
                    added[key] = value
        return kept | added


def resource_tags(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the business tags that a service states once, on its resource, within the limits of tags."""
    prefix = names.TOKENOMICS_TAG_PREFIX
    found = {
        key: value[:MAX_VALUE]
        for key, value in resource.items()
        if key.startswith(prefix) and isinstance(value, str) and value and is_key(key.removeprefix(prefix))
    }
    return dict(sorted(found.items())[:MAX_TAGS])


def _row(sku: str | None) -> str | None:
    """Return a sku without its tier by size: that one depends on the counts."""
    return None if sku is None else ";".join(part for part in sku.split(";") if not part.startswith("tier="))


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0


def _in_order(flags: set[str]) -> tuple[str, ...]:
    return tuple(flag for flag in FLAGS if flag in flags)


def _adopted(cost: Cost, estimate: int) -> Cost:
    """Make another library's estimate the total, ours beside it: the setting ``on_existing`` of ``keep``."""
    return cost._replace(
        status="priced" if estimate else "free", reason=None, total=estimate, computed=cost.total, parts={}, list=None,
        source="sdk", basis="list", savings={}, sku=cost.sku if cost.total is not None else None,
    )  # fmt: skip


def without_ours(attributes: Mapping[str, Any], total: int | None) -> dict[str, Any]:
    """Return the attributes without our figures of an earlier step, nor their repetitions for backends."""
    kept = {key: value for key, value in attributes.items() if key not in WRITTEN}
    earlier = own_total(attributes)
    if len(kept) == len(attributes) or earlier is None or earlier == total:
        return kept
    for keys in names.DIALECTS.values():
        if _repeats(kept, keys, earlier):
            for key in keys:
                kept.pop(key, None)
    return kept


def _repeats(attributes: Mapping[str, Any], keys: Mapping[str, tuple[str, ...]], earlier: int) -> bool:
    """Return whether a dialect's total on a span is the figure that we wrote there before, to the pico-dollar.

    The reader of foreign costs takes such a figure for ours: one that stayed would be somebody else's the next time.
    """
    container = next((key for key, parts in keys.items() if parts == ("json",)), None)
    for key, parts in keys.items():
        if parts != ("total",):
            continue
        if container is None:
            return money_of(attributes.get(key)) == earlier
        figure = json.dumps(pico_to_usd(earlier))
        return str(attributes.get(container, "")).endswith(f"{json.dumps(key)}:{figure}}}")
    return False
