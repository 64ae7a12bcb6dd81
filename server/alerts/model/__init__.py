"""Rules, ticks and the engine that compares them. Pure: no I/O, no clock but the tick's."""

from server.alerts.model.backtest import AlertBacktest, AlertDraft, BacktestReport
from server.alerts.model.board import Board
from server.alerts.model.book import Book, PriceState
from server.alerts.model.engine import Evaluation, Hit, TickBounds
from server.alerts.model.logic import ActiveHours, Direction, Logic, Operator
from server.alerts.model.moves import Moves
from server.alerts.model.past import Past
from server.alerts.model.position import Place, Position, is_before, is_snapshot
from server.alerts.model.recorded import (
    SILENCED,
    Acknowledgement,
    FiringFilter,
    FiringStatus,
    RecordedFiring,
    status_of,
)
from server.alerts.model.rule import AlertRule, AlertRuleInput, RuleStatus, Source, Terms
from server.alerts.model.runtime import Phase, Runtime
from server.alerts.model.silence import LONGEST_REASON, Silence, SilenceInput, Target, TargetKind
from server.alerts.model.stored import StoredRule
from server.alerts.model.ticks import BadTick, BatchOutcome, Firing, TickBatch, TickFault
from server.alerts.model.watch import Watch

__all__ = [
    "LONGEST_REASON",
    "SILENCED",
    "Acknowledgement",
    "ActiveHours",
    "AlertBacktest",
    "AlertDraft",
    "AlertRule",
    "AlertRuleInput",
    "BacktestReport",
    "BadTick",
    "BatchOutcome",
    "Board",
    "Book",
    "Direction",
    "Evaluation",
    "Firing",
    "FiringFilter",
    "FiringStatus",
    "Hit",
    "Logic",
    "Moves",
    "Operator",
    "Past",
    "Phase",
    "Place",
    "Position",
    "PriceState",
    "RecordedFiring",
    "RuleStatus",
    "Runtime",
    "Silence",
    "SilenceInput",
    "Source",
    "StoredRule",
    "Target",
    "TargetKind",
    "Terms",
    "TickBatch",
    "TickBounds",
    "TickFault",
    "Watch",
    "is_before",
    "is_snapshot",
    "status_of",
]
