"""Costs that are no tokens: OCR pages, searches, whatever a service pays for inside a trace."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from opentelemetry import trace

from otel_tokenomics.attributes import names
from otel_tokenomics.pricing import Cost
from otel_tokenomics.tags import current_tags
from otel_tokenomics.telemetry import metrics, rollup
from otel_tokenomics.telemetry.recorder import Recorder, remember
from otel_tokenomics.usage import parse_usd, pico_to_usd

MAX_KIND: Final = 64


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
    cost = Cost(
        "priced" if pico else "free",
        None,
        pico,
        {},
        None,
        None,
        "sdk",
        "billed",
        (),
        None,
        None,
        None,
        None,
        "",
        {},
        {},
    )
    attributes: dict[str, Any] = {
        names.TOKENOMICS_COST_TOTAL: pico_to_usd(pico),
        names.TOKENOMICS_COST_CURRENCY: "USD",
        names.TOKENOMICS_COST_SOURCE: "sdk",
        names.TOKENOMICS_COST_STATUS: cost.status,
        names.TOKENOMICS_COST_BASIS: "billed",
        names.TOKENOMICS_CHARGE_KIND: kind,
    }
    if quantity is not None:
        attributes[names.TOKENOMICS_CHARGE_QUANTITY] = float(quantity)
    if unit is not None:
        attributes[names.TOKENOMICS_CHARGE_UNIT] = unit
    tags = {**recorder.default_tags, **current_tags()}
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
    _measure(recorder, pico, kind, tags)
    remember(cost)
    return cost


def _measure(recorder: Recorder, pico: int, kind: str, tags: Mapping[str, str]) -> None:
    recorder.instruments.histograms()
    accumulator = recorder.instruments.accumulator
    series: metrics.Series = (
        (names.TOKENOMICS_CHARGE_KIND, accumulator.bounded("kind", kind, metrics.MAX_TAG_VALUES)),
        (names.TOKENOMICS_COST_CURRENCY, "USD"),
        (names.TOKENOMICS_COST_SOURCE, "sdk"),
        (names.TOKENOMICS_COST_BASIS, "billed"),
        *recorder.metrics.tag_dimensions(tags),
    )
    accumulator.add([(metrics.COST, series, pico)])
