"""Rules, ticks and the engine that compares them. Pure: no I/O, no clock but the tick's."""

from server.alerts.model.book import Book, PriceState
from server.alerts.model.engine import Evaluation, Hit, StoredRule, TickBounds
from server.alerts.model.rule import (
    AlertRule,
    AlertRuleInput,
    Direction,
    Logic,
    Operator,
    RuleStatus,
    Source,
)
from server.alerts.model.ticks import BadTick, BatchOutcome, Firing, TickBatch, TickFault

__all__ = [
    "AlertRule",
    "AlertRuleInput",
    "BadTick",
    "BatchOutcome",
    "Book",
    "Direction",
    "Evaluation",
    "Firing",
    "Hit",
    "Logic",
    "Operator",
    "PriceState",
    "RuleStatus",
    "Source",
    "StoredRule",
    "TickBatch",
    "TickBounds",
    "TickFault",
]
