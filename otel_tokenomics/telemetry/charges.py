"""Costs that are no tokens, and calls that were saved: whatever a service pays for, or need not, inside a trace."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, cast

from opentelemetry import trace

from otel_tokenomics.attributes import names
from otel_tokenomics.pricing import Cost, price_reading
from otel_tokenomics.tags import current_tags
from otel_tokenomics.telemetry import metrics, rollup
from otel_tokenomics.telemetry.recorder import Recorder, remember
from otel_tokenomics.usage import NO_FACTS, UNITS, Reading, Usage, parse_usd, pico_to_usd
from otel_tokenomics.usage.dialects import read

MAX_KIND: Final = 64
CACHE_HIT: Final = "cache_hit"


def amount(usd: str | int | float | Decimal) -> int:
    """Return an amount of US dollars in pico-USD.

    Raises:
        ValueError: ``usd`` is no amount of money, or is negative.
    """
    pico = parse_usd(usd)
    if pico < 0:
        raise ValueError(f"a charge is not negative: {usd!r}")
    return pico


def charge(recorder: Recorder, pico: int, kind: str, quantity: float | None, unit: str | None) -> Cost:
    """Record one charge of pico-USD on the current span, or on a zero-length child where that holds a cost already."""
    kind = kind[:MAX_KIND]
    cost = _cost("priced" if pico else "free", pico, "billed")
    attributes: dict[str, Any] = {names.TOKENOMICS_COST_BASIS: "billed"}
    if quantity is not None:
        attributes[names.TOKENOMICS_CHARGE_QUANTITY] = float(quantity)
    if unit is not None:
        attributes[names.TOKENOMICS_CHARGE_UNIT] = unit
    tags = {**recorder.default_tags, **current_tags()}
    _write(recorder, kind, cost, pico, attributes, tags)
    accumulator = recorder.instruments.accumulator
    series: metrics.Series = (
        (names.TOKENOMICS_CHARGE_KIND, accumulator.bounded("kind", kind, metrics.MAX_TAG_VALUES)),
        (names.TOKENOMICS_COST_CURRENCY, "USD"),
        (names.TOKENOMICS_COST_SOURCE, "sdk"),
        (names.TOKENOMICS_COST_BASIS, "billed"),
        *recorder.metrics.tag_dimensions(tags),
    )
    recorder.instruments.histograms()
    accumulator.add([(metrics.COST, series, pico)])
    remember(cost)
    return cost


def saved_usage(usage: object, provider: str | None) -> Reading:
    """Return the reading of what the answer once used: a ``Usage``, counts by our units, or a provider's own object.

    Raises:
        ValueError: a count of ours is negative.
    """
    if _is_ours(usage):
        usage = Usage(dict(cast("Mapping[str, int]", usage)))
    if isinstance(usage, Usage):
        if any(type(count) is not int or count < 0 for count in usage.counts.values()):
            raise ValueError(f"counts are whole numbers and not negative: {dict(usage.counts)}")
        return Reading(usage)
    return read(None, usage, provider=provider)


def _is_ours(usage: object) -> bool:
    counts = cast("Mapping[object, object]", usage if isinstance(usage, Mapping) else {})
    return bool(counts) and all(unit in UNITS for unit in counts)


def cache_hit(recorder: Recorder, model: str, reading: Reading, provider: str | None) -> Cost:
    """Record that an application's own cache answered: it costs nothing, and saved what the call would cost now.

    What is not priced saves an amount that nobody knows: none is written, not 0.
    """
    book = recorder.book()
    named = (book.provider_by_name(provider) or provider) if provider is not None else None
    avoided = price_reading(
        book, reading, named, time.time_ns() // 1_000_000, request_model=model,
        host=None if named else "unknown.invalid", unknown_host=recorder.settings.unknown_host, facts=NO_FACTS,
    )  # fmt: skip
    saved = avoided.total if recorder.settings.price else None
    savings = {"response_cache": saved} if saved is not None else {}
    cost = _cost("free", 0, None)._replace(savings=savings, provider=avoided.provider, model=avoided.model)
    attributes: dict[str, Any] = {}
    if saved is not None and recorder.settings.cost_parts:
        attributes[names.TOKENOMICS_COST_SAVINGS_RESPONSE_CACHE] = pico_to_usd(saved)
    tags = {**recorder.default_tags, **current_tags()}
    _write(recorder, CACHE_HIT, cost, 0, attributes, tags)
    recorder.instruments.histograms()
    if saved is not None:
        known = ((names.GEN_AI_PROVIDER_NAME, avoided.provider), (names.TOKENOMICS_PRICE_MODEL, avoided.model))
        series: metrics.Series = (
            *[(name, value) for name, value in known if value],
            *recorder.metrics.tag_dimensions(tags),
            (names.TOKENOMICS_SAVINGS_KIND, "response_cache"),
        )
        recorder.instruments.accumulator.add([(metrics.SAVINGS, series, saved)])
    remember(cost)
    return cost


def _cost(status: str, pico: int, basis: str | None) -> Cost:
    return Cost(status, None, pico, {}, None, None, "sdk", basis, (), None, None, None, None, "", NO_FACTS, {})


def _write(
    recorder: Recorder, kind: str, cost: Cost, pico: int, more: Mapping[str, Any], tags: Mapping[str, str]
) -> None:
    """Write a charge on the current span, or on a child of zero length where that is a call or holds a cost already."""
    attributes: dict[str, Any] = {
        names.TOKENOMICS_COST_TOTAL: pico_to_usd(pico),
        names.TOKENOMICS_COST_CURRENCY: "USD",
        names.TOKENOMICS_COST_SOURCE: "sdk",
        names.TOKENOMICS_COST_STATUS: cost.status,
        names.TOKENOMICS_CHARGE_KIND: kind,
        **more,
    }
    if recorder.writes_tags:
        attributes |= tags
    current = trace.get_current_span()
    present: Mapping[str, Any] = getattr(current, "attributes", None) or {}
    if current.is_recording() and not {names.GEN_AI_OPERATION_NAME, names.TOKENOMICS_COST_TOTAL} & present.keys():
        current.set_attributes(attributes)
        holder, nodes = current if hasattr(current, "__dict__") else None, rollup.ancestors_of(current)
    else:
        child = recorder.start_charge(kind, attributes)
        holder, nodes = None, rollup.ancestors_of(child)
        child.end()
    if recorder.settings.price:
        rollup.charged(holder, nodes, pico)
