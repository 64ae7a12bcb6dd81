"""An instrument at one tick: everything that rules compare themselves with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

from server.alerts.model.logic import MILLION
from server.alerts.model.past import Past
from server.trading_calendar import Calendar, Hours, Span

_ALWAYS: Final = Span(True, 2**63)


class Quantity(Enum):
    """What is measured at a tick."""

    PRICE = auto()
    TIME = auto()
    RISE = auto()
    FALL = auto()
    WINDOW_RISE = auto()
    WINDOW_FALL = auto()
    DAYS_BELOW = auto()
    DAYS_ABOVE = auto()
    VOLUME = auto()


class Gauge(NamedTuple):
    """A quantity of an instrument.

    Args:
        seconds: of WINDOW_RISE and WINDOW_FALL: length of the window.
    """

    quantity: Quantity
    seconds: int = 0


PRICE: Final = Gauge(Quantity.PRICE)
TIME: Final = Gauge(Quantity.TIME)
RISE: Final = Gauge(Quantity.RISE)
FALL: Final = Gauge(Quantity.FALL)
DAYS_BELOW: Final = Gauge(Quantity.DAYS_BELOW)
DAYS_ABOVE: Final = Gauge(Quantity.DAYS_ABOVE)
VOLUME: Final = Gauge(Quantity.VOLUME)


@dataclass(frozen=True, slots=True)
class View:
    """An instrument at a tick.

    Args:
        price_nanos: of the tick.
        previous_price_nanos: of the tick before; None at the first one.
        moment_us: time of the tick.
        volume_micros: of the day, the tick's own included.
        past: windows hold the tick; the high and low of the day do not yet.
    """

    price_nanos: int
    previous_price_nanos: int | None
    moment_us: int
    volume_micros: int
    past: Past
    calendar: Calendar

    def measure(self, gauge: Gauge) -> int | None:
        """The quantity; None where what it is measured from is not known. Changes are rounded down to millionths."""
        quantity = gauge.quantity
        if quantity is Quantity.PRICE:
            return self.price_nanos
        if quantity is Quantity.TIME:
            return self.moment_us
        if quantity is Quantity.VOLUME:
            return self.volume_micros
        if quantity is Quantity.DAYS_BELOW or quantity is Quantity.DAYS_ABOVE:
            return self.past.days_surpassed(self.price_nanos, up=quantity is Quantity.DAYS_BELOW)
        base = self.base(gauge)
        if base is None:
            return None
        rises = quantity is Quantity.RISE or quantity is Quantity.WINDOW_RISE
        change = self.price_nanos - base if rises else base - self.price_nanos
        return change * MILLION // base

    def base(self, gauge: Gauge) -> int | None:
        """The price that a change is measured from."""
        if gauge.quantity is Quantity.RISE or gauge.quantity is Quantity.FALL:
            return self.past.close
        window = self.past.windows.get(gauge.seconds)
        if window is None:
            return None
        return window.lowest if gauge.quantity is Quantity.WINDOW_RISE else window.highest

    def span(self, hours: Hours | None) -> Span:
        """Whether hours hold at the tick, and until when; None are always."""
        return _ALWAYS if hours is None else hours.at(self.moment_us)
