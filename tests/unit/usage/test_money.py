"""Exact money: from text and numbers to pico-USD and back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tokenomics.usage import MAX_PICO, Usage, checked_sum, parse_usd, pico_to_text, pico_to_usd


@pytest.mark.parametrize(
    ("amount", "pico"),
    [
        ("0.1", 100_000_000_000),
        (0.1, 100_000_000_000),
        (1, 10**12),
        (Decimal("12.50"), 12_500_000_000_000),
        ("0.0000000000005", 0),  # half to even
        ("0.0000000000015", 2),
        (1.5e-07, 150_000),
        ("-3", -3 * 10**12),
        (" 2 ", 2 * 10**12),
    ],
)
def test_amounts_are_read_exactly(amount: Any, pico: int) -> None:
    assert parse_usd(amount) == pico


@pytest.mark.parametrize("amount", ["", "NaN", "Infinity", "1,50", "ten", True, "1e40", "9223372.1", float("inf")])
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    with pytest.raises(ValueError, match=r"amount|cap"):
        parse_usd(amount)


@given(st.integers(-(10**18), 10**18))
def test_text_returns_to_the_same_amount(pico: int) -> None:
    text = pico_to_text(pico)
    assert parse_usd(text) == pico
    assert "e" not in text
    assert not (("." in text) and text.endswith("0"))


@given(st.integers(0, 2**52))
def test_a_double_returns_to_the_same_amount_below_4503_dollars(pico: int) -> None:
    assert parse_usd(pico_to_usd(pico)) == pico


def test_a_sum_knows_its_cap() -> None:
    assert checked_sum(MAX_PICO - 1, 1) == MAX_PICO
    assert checked_sum(MAX_PICO, 1) is None


def test_usage_adds_unit_by_unit() -> None:
    total = Usage({"input": 1, "output": 2}) + Usage({"output": 3, "page": 4}, "estimated")
    assert total == Usage({"input": 1, "output": 5, "page": 4}, "mixed")
