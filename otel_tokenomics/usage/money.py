"""Exact money: integer pico-USD (1e-12 USD) inside, text or one double at the edge."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from typing import Final

#: One US dollar in pico-USD.
PICO_PER_USD: Final = 10**12
#: The largest amount either engine computes: int64 pico-USD, about 9.2 million USD.
MAX_PICO: Final = 2**63 - 1


def parse_usd(amount: str | int | float | Decimal) -> int:
    """Return an amount in USD as pico-USD, rounded half-even to 12 digits.

    A float is read by its shortest text, so ``0.1`` is ten cents exactly.

    Raises:
        ValueError: the amount is no finite number, or above int64 pico-USD.
    """
    if isinstance(amount, bool):
        raise ValueError("an amount of money is a number, not a bool")
    text = repr(amount) if isinstance(amount, float) else str(amount).strip()
    try:
        with localcontext() as context:
            context.prec = 60
            value = Decimal(text)
            if not value.is_finite() or value.adjusted() > 30:
                raise ValueError(f"{text!r} is no finite amount of money")
            pico = int((value * PICO_PER_USD).to_integral_value(rounding=ROUND_HALF_EVEN))
    except InvalidOperation:
        raise ValueError(f"{text!r} is no amount of money") from None
    if abs(pico) > MAX_PICO:
        raise ValueError(f"{text!r} USD is above the cap of int64 pico-USD")
    return pico


def checked_sum(*amounts: int) -> int | None:
    """Return the sum in pico-USD, or None where it leaves int64 (status ``overflow``)."""
    total = sum(amounts)
    return total if -MAX_PICO <= total <= MAX_PICO else None


def pico_to_usd(pico: int) -> float:
    """Return pico-USD as the correctly rounded double in USD: the one conversion at the edge."""
    return pico / PICO_PER_USD


def pico_to_text(pico: int) -> str:
    """Return pico-USD as a decimal string in USD: no exponent, no trailing zeros."""
    sign, digits = ("-", -pico) if pico < 0 else ("", pico)
    whole, rest = divmod(digits, PICO_PER_USD)
    fraction = f"{rest:012d}".rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
