"""Rules, ticks and the engine that compares them. Pure: no I/O, no clock but the tick's."""

from server.alerts.model.book import Book, PriceState
from server.alerts.model.engine import Evaluation, Hit, Move, TickBounds
from server.alerts.model.logic import ActiveHours, Direction, Logic, Operator
from server.alerts.model.past import Past
from server.alerts.model.rule import AlertRule, AlertRuleInput, RuleStatus, Source, Terms
from server.alerts.model.runtime import Phase, Runtime
from server.alerts.model.stored import StoredRule
from server.alerts.model.ticks import BadTick, BatchOutcome, Firing, TickBatch, TickFault
from server.alerts.model.watch import Watch

__all__ = [
    "ActiveHours",
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
    "Move",
    "Operator",
    "Past",
    "Phase",
    "PriceState",
    "RuleStatus",
    "Runtime",
    "Source",
    "StoredRule",
    "Terms",
    "TickBatch",
    "TickBounds",
    "TickFault",
    "Watch",
]
