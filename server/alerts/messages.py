"""Ticks and firings: messages of AlertService to models and back. Conversions never fail: checks come later."""

from __future__ import annotations

from itertools import islice
from typing import Final
from uuid import UUID

from leo.activation.v1 import alert_service_pb2 as wire

from server.alerts.model import BadTick, BatchOutcome, Firing, TickBatch, TickFault
from server.wire import to_timestamp

_FAULT_OF: Final = {fault: wire.TickFault.Value(f"TICK_FAULT_{fault.name}") for fault in TickFault}
# A round price may be what a hundred thousand wait for; the answer has to stay one that a client may receive.
_MOST_FIRINGS: Final = 1_000


def to_batch(message: wire.TickBatch, tenant_id: UUID) -> TickBatch:
    """The ticks of a message of this tenant."""
    return TickBatch(
        owner=None if message.global_instruments else tenant_id,
        symbols=list(message.symbols),
        symbol_indices=list(message.symbol_indices),
        price_nanos=list(message.price_nanos),
        observed_at_us=list(message.observed_at_us),
        feed=message.feed,
        sequences=list(message.sequences),
        volume_micros=list(message.volume_micros),
    )


def from_outcome(outcome: BatchOutcome, batch: TickBatch, tenant_id: UUID) -> wire.TickBatchResult:
    """What the tenant is told: its own firings, the first 1,000 of them, and how many there were in all."""
    own = (firing for firing in outcome.firings if firing.tenant_id == tenant_id)
    return wire.TickBatchResult(
        accepted_count=outcome.accepted_count,
        duplicate_count=outcome.duplicate_count,
        bad_ticks=map(from_bad_tick, outcome.bad_ticks),
        firings=map(_from_firing, islice(own, _MOST_FIRINGS)),
        fired_count=len(outcome.firings),
        acknowledged_sequence=batch.sequences[-1] if batch.sequences else 0,
    )


def from_bad_tick(bad: BadTick) -> wire.BadTick:
    """A tick that was refused."""
    return wire.BadTick(index=bad.index, fault=_FAULT_OF[bad.fault])


def _from_firing(firing: Firing) -> wire.AlertFiring:
    return wire.AlertFiring(
        rule_id=firing.rule_id,
        generation=firing.generation,
        profile_id=firing.profile_id,
        symbol=firing.symbol,
        price_nanos=firing.price_nanos,
        previous_price_nanos=firing.previous_price_nanos or 0,
        fired_at=to_timestamp(firing.fired_at),
        tick_index=firing.tick_index,
        source_event_id=firing.source_event_id,
        silence_id=firing.silence_id or "",
        after_restart=firing.after_restart,
        reference_price_nanos=firing.reference_price_nanos,
    )
