"""Messages of data sources to models, and back."""

from __future__ import annotations

from typing import Final

import orjson
from leo.activation.v1 import catalog_service_pb2 as wire

from server.errors import FieldViolation, InvalidInput
from server.sync.model import Counts, Definition, Health, SourceType
from server.sync.service import Observation
from server.validation import Violations
from server.wire import to_timestamp

_TYPES: Final = {
    wire.DATA_SOURCE_TYPE_ARANGODB: SourceType.ARANGODB,
    wire.DATA_SOURCE_TYPE_POSTGRESQL: SourceType.POSTGRESQL,
    wire.DATA_SOURCE_TYPE_FILE: SourceType.FILE,
}
_TYPE_NUMBERS: Final = {kind: number for number, kind in _TYPES.items()}
_HEALTHS: Final = {
    Health.UNKNOWN: wire.DATA_SOURCE_HEALTH_UNKNOWN,
    Health.HEALTHY: wire.DATA_SOURCE_HEALTH_HEALTHY,
    Health.DEGRADED: wire.DATA_SOURCE_HEALTH_DEGRADED,
    Health.FAILING: wire.DATA_SOURCE_HEALTH_FAILING,
}


def to_definition(request: wire.PutDataSourceRequest) -> Definition:
    """The description.

    Raises:
        InvalidInput: it is absent, of no known type, or a document of it is no JSON object.
    """
    if not request.HasField("data_source"):
        raise InvalidInput([FieldViolation("data_source", "is required")])
    message = request.data_source
    violations = Violations("data_source")
    if message.type not in _TYPES:
        violations.add("type", "is required: arangodb, postgresql or file")
    connection = violations.document("connection", message.connection)
    mapping = violations.document("mapping", message.mapping)
    violations.raise_if_any()
    return Definition(
        source_id=message.source_id,
        source_name=message.source_name,
        type=_TYPES[message.type],
        connection=connection,
        mapping=mapping,
        sync_frequency_seconds=(
            message.sync_frequency_seconds if message.HasField("sync_frequency_seconds") else None
        ),
        stale_after_seconds=(
            message.stale_after_seconds if message.HasField("stale_after_seconds") else None
        ),
        paused=message.paused,
    )


def from_observation(observation: Observation) -> wire.DataSource:
    """The message."""
    definition = observation.source.definition
    return wire.DataSource(
        source_id=definition.source_id,
        source_name=definition.source_name,
        type=_TYPE_NUMBERS[definition.type],
        connection=orjson.dumps(definition.connection),
        mapping=orjson.dumps(definition.mapping),
        sync_frequency_seconds=definition.sync_frequency_seconds,
        stale_after_seconds=definition.stale_after_seconds,
        paused=definition.paused,
        state=_state(observation),
    )


def _state(observation: Observation) -> wire.DataSourceState:
    source, condition = observation.source, observation.source.condition
    return wire.DataSourceState(
        health=_HEALTHS[condition.health],
        stale=source.is_stale(observation.at),
        running=condition.is_running,
        lag_seconds=source.lag_seconds(observation.at),
        last_sync_at=to_timestamp(condition.last_sync_at),
        last_success_at=to_timestamp(condition.last_success_at),
        due_at=to_timestamp(condition.due_at),
        last_error=condition.last_error or "",
        failures=condition.failures,
        cursor=orjson.dumps(condition.cursor),
        total=_counts(condition.total),
        last_run=_counts(condition.last_run),
        has_password=source.has_password,
    )


def _counts(counts: Counts) -> wire.DataSourceCounts:
    return wire.DataSourceCounts(
        read=counts.read,
        written=counts.written,
        rejected=counts.rejected,
        suppressed=counts.suppressed,
        deleted=counts.deleted,
        reasons=counts.reasons,
    )
