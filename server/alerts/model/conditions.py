"""What each operator wants of a tick, when it has what it wanted, and what it waits for until then."""

from __future__ import annotations

from typing import Final, NamedTuple

from server.alerts.model.logic import MILLION, Logic, Operator
from server.alerts.model.runtime import Runtime
from server.alerts.model.view import (
    DAYS_ABOVE,
    DAYS_BELOW,
    FALL,
    PRICE,
    RISE,
    TIME,
    VOLUME,
    Gauge,
    Quantity,
    View,
)

_CHANGES: Final = (Operator.CHANGE_FROM_CLOSE, Operator.MOVES_WITHIN)
_BANDS: Final = (Operator.BETWEEN, Operator.LEAVES_BAND)
_EXTREMES: Final = (Operator.NEW_HIGH, Operator.NEW_LOW)
_BY_DAY: Final = (*_EXTREMES, Operator.VOLUME_ABOVE)


class Met(NamedTuple):
    """A tick is as a rule wants it.

    Args:
        level_nanos: the price from which on it is so; 0 where a band says that.
        reference_nanos: what the price was compared with, where that is none of the rule's; else 0.
    """

    level_nanos: int = 0
    reference_nanos: int = 0


class Wait(NamedTuple):
    """A quantity has to reach a value.

    Args:
        at_least: true where it has to rise to it, false where it has to fall to it.
    """

    gauge: Gauge
    at_least: bool
    value: int


def met(logic: Logic, view: View) -> Met | None:
    """Whether a tick is as an armed rule wants it."""
    price, previous, operator = view.price_nanos, view.previous_price_nanos, logic.operator
    if operator in _CHANGES:
        return _change_met(logic, view)
    if operator in _EXTREMES:
        return _extreme_met(logic, view)
    if operator is Operator.VOLUME_ABOVE:
        return Met() if view.volume_micros > logic.volume_micros else None
    if operator is Operator.BETWEEN:
        return Met() if _inside(logic, price) else None
    if operator is Operator.LEAVES_BAND:
        left = previous is not None and _inside(logic, previous) and not _inside(logic, price)
        return Met() if left else None
    level = _level(logic)
    came = operator is not Operator.CROSSES or (previous is not None and not _beyond(logic, previous, level))
    return Met(level) if came and _beyond(logic, price, level) else None


def still_met(logic: Logic, runtime: Runtime, view: View) -> bool:
    """Whether a tick leaves a holding rule holding."""
    if logic.operator is Operator.BETWEEN:
        return _inside(logic, view.price_nanos)
    if logic.operator is Operator.LEAVES_BAND:
        return not _inside(logic, view.price_nanos)
    return _beyond(logic, view.price_nanos, runtime.level_nanos)


def cleared(logic: Logic, runtime: Runtime, view: View) -> bool:
    """Whether a tick clears a rule that has fired."""
    if logic.operator in _BY_DAY:
        return view.past.day > runtime.day
    if logic.operator is Operator.BETWEEN:
        return not _inside(logic, view.price_nanos)
    if logic.operator is Operator.LEAVES_BAND:
        return _inside(logic, view.price_nanos)
    if logic.operator in _CHANGES:
        change = view.measure(_gauge(logic))
        return change is None or change < (logic.clear_change_ppm or logic.change_ppm)
    clear = logic.clear_price_nanos or logic.price_nanos
    return view.price_nanos <= clear if logic.goes_up else view.price_nanos >= clear


def waits_to_be_met(logic: Logic, view: View) -> list[Wait]:
    """What has to come before an armed rule that this tick did not fire can be met."""
    operator, price = logic.operator, view.price_nanos
    if operator in _CHANGES:
        return [Wait(_gauge(logic), True, logic.change_ppm)]
    if operator in _EXTREMES:
        return [Wait(_gauge(logic), True, logic.days)]
    if operator is Operator.VOLUME_ABOVE:
        return [Wait(VOLUME, True, logic.volume_micros + 1)]
    if operator is Operator.BETWEEN:
        return _into_band(logic, price)
    if operator is Operator.LEAVES_BAND:
        return _out_of_band(logic) if _inside(logic, price) else _into_band(logic, price)
    level = _level(logic)
    if not _beyond(logic, price, level):
        return [Wait(PRICE, logic.goes_up, level)]
    # Only a crossing is still to be met beyond its price: it has to come back first.
    return [Wait(PRICE, not logic.goes_up, logic.price_nanos)]


def waits_to_end(logic: Logic, runtime: Runtime, view: View) -> list[Wait]:
    """What ends the holding of a rule."""
    if logic.operator is Operator.BETWEEN:
        return _out_of_band(logic)
    if logic.operator is Operator.LEAVES_BAND:
        return _into_band(logic, view.price_nanos)
    inner = runtime.level_nanos - 1 if logic.goes_up else runtime.level_nanos + 1
    return [Wait(PRICE, not logic.goes_up, inner)]


def waits_to_clear(logic: Logic, view: View) -> list[Wait]:
    """What clears a rule that has fired."""
    if logic.operator in _BY_DAY:
        return [Wait(TIME, True, view.past.day_ends())]
    if logic.operator is Operator.BETWEEN:
        return _out_of_band(logic)
    if logic.operator is Operator.LEAVES_BAND:
        return _into_band(logic, view.price_nanos)
    if logic.operator in _CHANGES:
        return [Wait(_gauge(logic), False, (logic.clear_change_ppm or logic.change_ppm) - 1)]
    return [Wait(PRICE, not logic.goes_up, logic.clear_price_nanos or logic.price_nanos)]


def price_of_change(base: int, ppm: int, *, up: bool) -> int:
    """The price nearest to the base that is away from it by so many millionths or more."""
    change = -(-base * ppm // MILLION)
    return base + change if up else base - change


def _change_met(logic: Logic, view: View) -> Met | None:
    base = view.base(_gauge(logic))
    if base is None:
        return None
    level = price_of_change(base, logic.change_ppm, up=logic.goes_up)
    return Met(level, base) if _beyond(logic, view.price_nanos, level) else None


def _extreme_met(logic: Logic, view: View) -> Met | None:
    if view.past.days_surpassed(view.price_nanos, up=logic.goes_up) < logic.days:
        return None
    passed = view.past.extreme(logic.days, up=logic.goes_up)
    assert passed is not None
    return Met(passed + 1 if logic.goes_up else passed - 1, passed)


def _gauge(logic: Logic) -> Gauge:
    """What a rule about a change or an extreme is measured by."""
    up = logic.goes_up
    if logic.operator is Operator.MOVES_WITHIN:
        return Gauge(Quantity.WINDOW_RISE if up else Quantity.WINDOW_FALL, logic.window_seconds)
    if logic.operator is Operator.CHANGE_FROM_CLOSE:
        return RISE if up else FALL
    return DAYS_BELOW if up else DAYS_ABOVE


def _level(logic: Logic) -> int:
    """The first price beyond the rule's."""
    return logic.price_nanos + 1 if logic.goes_up else logic.price_nanos - 1


def _beyond(logic: Logic, price: int, level: int) -> bool:
    return price >= level if logic.goes_up else price <= level


def _inside(logic: Logic, price: int) -> bool:
    return logic.low_price_nanos <= price <= logic.high_price_nanos


def _into_band(logic: Logic, price: int) -> list[Wait]:
    below = price < logic.low_price_nanos
    return [Wait(PRICE, below, logic.low_price_nanos if below else logic.high_price_nanos)]


def _out_of_band(logic: Logic) -> list[Wait]:
    return [Wait(PRICE, False, logic.low_price_nanos - 1), Wait(PRICE, True, logic.high_price_nanos + 1)]
