"""Prices travel as integers of 1e-9 units, so that no binary fraction touches them."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

_NANO: Final = Decimal("1e-9")
_LARGEST: Final = 2**63 - 1
_EXACT: Final = Context(prec=40, traps=[Inexact, InvalidOperation])


def to_price_nanos(price: Decimal | int | str) -> int:
    """The price in units of 1e-9.

    Raises:
        TypeError: the price is a float, which can not hold most prices exactly.
        ValueError: the price is no number, finer than 1e-9, or beyond ±9,223,372,036.854775807.
    """
    if isinstance(price, float):
        raise TypeError("a price is a Decimal, an int or a str: a float can not hold most prices exactly")
    try:
        nanos = int(Decimal(price).quantize(_NANO, context=_EXACT).scaleb(9, context=_EXACT))
    except (Inexact, InvalidOperation, ValueError):
        raise ValueError("a price is a number with at most nine decimal places") from None
    if abs(nanos) > _LARGEST:
        raise ValueError("a price is at most 9,223,372,036.854775807")
    return nanos


def from_price_nanos(price_nanos: int) -> Decimal:
    """The price, exactly."""
    return Decimal(price_nanos).scaleb(-9, context=_EXACT)
