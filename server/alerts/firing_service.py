"""Use cases of what fired: list, acknowledge, watch; and of silences."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from server.alerts.firing_store import FiringKey, FiringStore, firing_event_id, firing_task_id
from server.alerts.model import (
    LONGEST_REASON,
    FiringFilter,
    FiringStatus,
    Place,
    RecordedFiring,
    Silence,
    SilenceInput,
    Target,
    TargetKind,
)
from server.alerts.watching import FiringWatch, Watched
from server.errors import FieldViolation, InvalidInput, NotFound
from server.paging import Cursor, Page, PageRequest, open_cursor
from server.platform.postgres import Connection, Database
from server.validation import Violations

_LARGEST: Final = 2**63 - 1
_MOST_SCANNED: Final = 1_000
_END_OF_TIME: Final = datetime(2200, 1, 1, tzinfo=UTC)
_AFTER_ALL_IDS: Final = "g"
"""After every id: those are hexadecimal digits."""


class FiringService:
    """Lists, acknowledges and watches what fired; begins, lists and ends silences.

    Args:
        clock: bounds the ends of silences.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: FiringStore,
        watch: FiringWatch,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._store = store
        self._watch = watch
        self._clock = clock

    async def silence_alerts(self, tenant_id: UUID, silence: SilenceInput) -> Silence:
        """Begin a silence; the same one again is answered as it stands. PostgreSQL: 3 to 6 round trips.

        Raises:
            InvalidInput: with every fault.
            NotFound: the tenant has no such rule.
        """
        violations = Violations()
        silence.check(violations)
        violations.raise_if_any()
        async with self._database.tenant_transaction(tenant_id) as connection:
            return await self._begin(connection, tenant_id, silence, end_field="ends_at")

    async def list_silences(
        self, tenant_id: UUID, page: PageRequest, *, include_ended: bool
    ) -> Page[Silence]:
        """Silences, the latest first, page by page. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the page is not one of this list.
        """
        first = (_END_OF_TIME.isoformat(), _AFTER_ALL_IDS)
        cursor = open_cursor(page, listing=["alert_silences", str(include_ended)], first=first)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            silences = await self._store.list_silences(
                connection,
                tenant_id,
                before=(_moment(cursor), str(cursor.after[1])),
                limit=cursor.limit,
                include_ended=include_ended,
            )
        return cursor.page(silences, lambda silence: (silence.created_at.isoformat(), silence.silence_id))

    async def end_silence(self, tenant_id: UUID, silence_id: str, *, ended_by: str) -> Silence:
        """End a silence before its time; one that has ended stays as it is. PostgreSQL: 4 round trips.

        Raises:
            InvalidInput: the id is none.
            NotFound: the tenant has no such silence.
        """
        violations = Violations()
        violations.sha256("silence_id", silence_id)
        violations.raise_if_any()
        async with self._database.tenant_transaction(tenant_id) as connection:
            await self._store.end_silence(
                connection, tenant_id, silence_id, ended_by=ended_by, ended_at=self._clock()
            )
            silence = await self._store.find_silence(connection, tenant_id, silence_id)
        if silence is None:
            raise NotFound("alert silence", silence_id)
        return silence

    async def list_firings(
        self,
        tenant_id: UUID,
        page: PageRequest,
        wanted: FiringFilter,
        *,
        status: FiringStatus | None,
        unacknowledged_only: bool,
    ) -> Page[RecordedFiring]:
        """What fired, the latest first. It looks at up to 1,000 firings a page, so that one may hold few or none
        and still name a next one. PostgreSQL: 4 round trips.

        Raises:
            InvalidInput: a filter or the page is faulty.
        """
        _check(wanted)
        filters = [wanted.profile_id or "", wanted.symbol or "", wanted.rule_id or ""]
        state = [status.name if status else "", str(unacknowledged_only)]
        first = (str(_LARGEST), _AFTER_ALL_IDS)
        cursor = open_cursor(page, listing=["alert_firings", *filters, *state], first=first)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            scanned = await self._store.scan_firings(
                connection,
                tenant_id,
                before=_place(cursor),
                limit=_MOST_SCANNED,
                profile_id=wanted.profile_id,
                symbol=wanted.symbol,
                rule_id=wanted.rule_id,
            )
            keys = [key for key in scanned if key.wanted]
            found = await self._store.describe_firings(connection, tenant_id, keys)
        fitting = [
            firing
            for firing in found
            if status in (None, firing.status) and not (unacknowledged_only and firing.acknowledgement)
        ]
        return _page(cursor, fitting, scanned)

    async def acknowledge(
        self,
        tenant_id: UUID,
        *,
        rule_id: str,
        generation: int,
        note: str,
        by: str,
        silence_until: datetime | None,
    ) -> tuple[RecordedFiring, Silence | None]:
        """Mark a firing as seen; the first acknowledgement stands. PostgreSQL: 5 round trips, up to 4 more for a
        silence.

        Args:
            by: subject of the caller's token.
            silence_until: silences the rule as well.

        Raises:
            InvalidInput: with every fault.
            NotFound: the tenant has no such firing.
        """
        silence = SilenceInput(Target(TargetKind.RULE, rule_id), silence_until, note, by)
        _check_acknowledgement(silence, generation)
        place = Place(0, firing_task_id(tenant_id, rule_id, generation))
        key = FiringKey(place, firing_event_id(rule_id, generation))
        async with self._database.tenant_transaction(tenant_id) as connection:
            found = await self._store.describe_firings(connection, tenant_id, [key])
            if not found:
                raise NotFound("alert firing", key.source_event_id)
            begun = None
            if silence_until is not None:
                begun = await self._begin(connection, tenant_id, silence, end_field="silence_until")
            await self._store.insert_acknowledgement(connection, tenant_id, found[0], by=by, note=note)
            (firing,) = await self._store.describe_firings(connection, tenant_id, [key])
        return firing, begun

    def watch(
        self, tenant_id: UUID, wanted: FiringFilter, resume_token: str
    ) -> AsyncGenerator[Watched, None]:
        """What fires, from now or from a token on. Round trips as `FiringWatch`.

        Raises:
            InvalidInput: a filter or the token is faulty.
            Overloaded: the reader is too slow.
            Unavailable: the database is away.
        """
        _check(wanted)
        return self._watch.watch(tenant_id, wanted, resume_token)

    async def _begin(
        self, connection: Connection, tenant_id: UUID, silence: SilenceInput, *, end_field: str
    ) -> Silence:
        """The silence, found or begun."""
        assert silence.target is not None
        silence_id = silence.silence_id(tenant_id)
        found = await self._store.find_silence(connection, tenant_id, silence_id)
        if found is not None:
            return found
        violations = Violations()
        silence.check_end(violations, self._clock(), field=end_field)
        violations.raise_if_any()
        profile_id = await self._subject(connection, tenant_id, silence.target)
        await self._store.insert_silence(connection, tenant_id, silence, profile_id)
        begun = await self._store.find_silence(connection, tenant_id, silence_id)
        assert begun is not None
        return begun

    async def _subject(self, connection: Connection, tenant_id: UUID, target: Target) -> str | None:
        """The one profile that a silence is about."""
        if target.kind is not TargetKind.RULE:
            return target.value if target.kind is TargetKind.PROFILE else None
        owner = await self._store.find_rule_owner(connection, tenant_id, target.value)
        if owner is None:
            raise NotFound("alert rule", target.value)
        return owner


def _page(
    cursor: Cursor, fitting: Sequence[RecordedFiring], scanned: Sequence[FiringKey]
) -> Page[RecordedFiring]:
    """As many as fit; the next page goes on after the last one that was looked at."""
    items = tuple(fitting[: cursor.size])
    if len(fitting) > cursor.size:
        return Page(items, cursor.token((str(items[-1].xid), items[-1].task_id)))
    if len(scanned) < _MOST_SCANNED:
        return Page(items, "")
    last = scanned[-1].place
    return Page(items, cursor.token((str(last.xid), last.task_id)))


def _place(cursor: Cursor) -> Place:
    xid, task_id = map(str, cursor.after)
    if not (xid.isascii() and xid.isdigit() and int(xid) <= _LARGEST):
        raise _not_of_this_list()
    return Place(int(xid), task_id)


def _moment(cursor: Cursor) -> datetime:
    try:
        moment = datetime.fromisoformat(str(cursor.after[0]))
    except ValueError:
        raise _not_of_this_list() from None
    if moment.tzinfo is None:
        raise _not_of_this_list()
    return moment


def _not_of_this_list() -> InvalidInput:
    return InvalidInput(
        [FieldViolation("page.page_token", "is not a next_page_token of this list with these filters")]
    )


def _check(wanted: FiringFilter) -> None:
    violations = Violations()
    for field, value in (("profile_id", wanted.profile_id), ("symbol", wanted.symbol)):
        violations.text(field, value or "", maximum=200, required=False)
    if wanted.rule_id is not None:
        violations.sha256("rule_id", wanted.rule_id)
    violations.raise_if_any()


def _check_acknowledgement(silence: SilenceInput, generation: int) -> None:
    violations = Violations()
    assert silence.target is not None
    silence.target.check(violations)
    violations.between("generation", generation, 1, _LARGEST)
    violations.text("note", silence.reason, maximum=LONGEST_REASON, required=False)
    violations.moment("silence_until", silence.ends_at)
    violations.raise_if_any()
