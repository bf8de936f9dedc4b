"""Money for people: at least four significant digits, never a rounded-away cent."""

from __future__ import annotations

from otel_tokenomics.usage import PICO_PER_USD

_DIGITS = 4


def money_text(pico: int) -> str:
    """Return pico-USD as ``$0.000228`` or ``$1,204.50``: four significant digits at least, thousands separated."""
    sign, amount = ("-", -pico) if pico < 0 else ("", pico)
    if amount == 0:
        return "$0"
    # Below a dollar: the leading zeros after the point, then four digits.
    digits = 12 - len(str(amount)) + _DIGITS
    if amount >= PICO_PER_USD:
        digits = 2 if amount >= 100 * PICO_PER_USD else 4
    rounded = round(amount, digits - 12) if digits < 12 else amount
    whole, rest = divmod(rounded, PICO_PER_USD)
    fraction = f"{rest:012d}"[: min(digits, 12)].rstrip("0")
    if len(fraction) < 2:
        fraction = fraction.ljust(2, "0")
    return f"{sign}${whole:,}.{fraction}"
