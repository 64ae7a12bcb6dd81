"""Use cases of sources: describe one, look at it, pause it, ask for a run, remove it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from server.errors import FieldViolation, InvalidInput, NotFound, PreconditionFailed
from server.mapping.files import MappingNotValid, mapping_of
from server.paging import Page, PageRequest, open_cursor
from server.platform.postgres import Connection, Database
from server.sync.model import DataSource, Definition, with_usual_staleness
from server.sync.reach import NotAllowed, Reach
from server.sync.secrets import SecretPlace, SourceSecrets, place_of
from server.sync.sources.kinds import KINDS, ConnectionNotValid
from server.sync.store import MOST_SOURCES, SourceStore, Stored
from server.validation import Violations

_LONGEST_PASSWORD = 1_000
_LONGEST_SECONDS = 366 * 86_400


class Observation(NamedTuple):
    """A source, and the moment at which it was looked at: lag and staleness are of that moment."""

    source: DataSource
    at: datetime


class DataSourceService:
    """Sources of a tenant.

    Args:
        database: connections of the role leo_app.
        reach: where sources may lead, as far as this process knows; workers look again.
        clock: the present time.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: SourceStore,
        secrets: SourceSecrets,
        reach: Reach,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._store = store
        self._secrets = secrets
        self._reach = reach
        self._clock = clock

    async def put(self, tenant_id: UUID, given: Definition, password: str | None) -> tuple[Observation, bool]:
        """Describe a source, anew or otherwise; and whether that changed anything. PostgreSQL: 4 to 6 round trips.

        Args:
            password: None leaves the stored one; an empty one removes it.

        Raises:
            InvalidInput: with the path of every fault.
            PreconditionFailed: there is a password, and this server has no key to encrypt it with; or the tenant has
                as many sources as it may.
        """
        leads_to = self._checked(given, password)
        definition = with_usual_staleness(given)
        source_id = definition.source_id
        place = SecretPlace(tenant_id, source_id, leads_to or "")
        async with self._database.tenant_transaction(tenant_id) as connection:
            known = await self._store.lock(connection, tenant_id, source_id)
            secret = self._secret(known, place, password)
            changed = known is None or known.source.definition != definition or secret != known.secret
            if known is None:
                await self._insert(connection, tenant_id, definition, secret)
            elif changed:
                anew = not definition.reads_the_same(known.source.definition)
                await self._store.update(connection, tenant_id, definition, secret, reads_anew=anew)
            return await self._observe(connection, tenant_id, source_id), changed

    async def get(self, tenant_id: UUID, source_id: str) -> Observation:
        """One source. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the id has no form of an id.
            NotFound: the tenant has no such source.
        """
        _check_id(source_id)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            return await self._observe(connection, tenant_id, source_id)

    async def list(self, tenant_id: UUID, page: PageRequest) -> Page[Observation]:
        """Sources by id, page by page. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the page is not one of this list.
        """
        cursor = open_cursor(page, listing=["data_sources"], first=("",))
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            sources = await self._store.list(connection, tenant_id, after=cursor.after, limit=cursor.limit)
        now = self._clock()
        observed = [Observation(source, now) for source in sources]
        return cursor.page(observed, lambda each: (each.source.definition.source_id,))

    async def set_paused(self, tenant_id: UUID, source_id: str, *, paused: bool) -> Observation:
        """Pause a source, or let it go on; a run that is under way stops before its next page.

        PostgreSQL: 4 round trips.

        Raises:
            InvalidInput: the id has no form of an id.
            NotFound: the tenant has no such source.
        """
        _check_id(source_id)
        async with self._database.tenant_transaction(tenant_id) as connection:
            await self._store.set_status(connection, tenant_id, source_id, paused=paused)
            return await self._observe(connection, tenant_id, source_id)

    async def sync_now(self, tenant_id: UUID, source_id: str) -> Observation:
        """Make a source due. PostgreSQL: 5 round trips.

        Raises:
            InvalidInput: the id has no form of an id.
            NotFound: the tenant has no such source.
            PreconditionFailed: it is paused.
        """
        _check_id(source_id)
        async with self._database.tenant_transaction(tenant_id) as connection:
            known = await self._store.lock(connection, tenant_id, source_id)
            if known is not None and known.source.definition.paused:
                raise PreconditionFailed("RULE_VIOLATED", "the source is paused; resume it first")
            await self._store.request(connection, tenant_id, source_id)
            return await self._observe(connection, tenant_id, source_id)

    async def delete(self, tenant_id: UUID, source_id: str) -> bool:
        """Remove a source; whether there was one. Its profiles stay. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the id has no form of an id.
        """
        _check_id(source_id)
        async with self._database.tenant_transaction(tenant_id) as connection:
            return await self._store.delete(connection, tenant_id, source_id)

    async def _insert(
        self, connection: Connection, tenant_id: UUID, definition: Definition, secret: str | None
    ) -> None:
        await self._store.lock_all(connection, tenant_id)
        if not await self._store.insert(connection, tenant_id, definition, secret):
            why = f"the tenant has {MOST_SOURCES} sources, or another call puts this one at the same moment"
            raise PreconditionFailed("RULE_VIOLATED", why)

    async def _observe(self, connection: Connection, tenant_id: UUID, source_id: str) -> Observation:
        stored = await self._store.get(connection, tenant_id, source_id)
        if stored is None:
            raise NotFound("data source", source_id)
        return Observation(stored.source, self._clock())

    def _checked(self, definition: Definition, password: str | None) -> str | None:
        """Whom a password is shown to; None where the kind of source has none."""
        violations = Violations("data_source")
        violations.identifier("source_id", definition.source_id)
        violations.text("source_name", definition.source_name, maximum=200)
        for field in ("sync_frequency_seconds", "stale_after_seconds"):
            seconds = getattr(definition, field)
            if seconds is not None:
                violations.between(field, seconds, 1, _LONGEST_SECONDS)
        _check_mapping(definition, violations)
        leads_to = self._check_connection(definition, violations)
        if password:
            outer = Violations()
            outer.text("password", password, maximum=_LONGEST_PASSWORD)
            if leads_to is None and not violations.found:
                outer.add("password", "is not taken: this kind of source has none")
            _raise_all(violations, outer)
        violations.raise_if_any()
        return leads_to

    def _check_connection(self, definition: Definition, violations: Violations) -> str | None:
        kind = KINDS[definition.type]
        try:
            settings = kind.read(definition.connection)
            kind.check(settings, self._reach)
            if kind.names_by(settings) is not None:
                _check_names(definition, kind.names_by(settings), violations)
            return kind.leads_to(settings)
        except ConnectionNotValid as error:
            violations.include("connection", error.violations)
        except NotAllowed as error:
            violations.add("connection", str(error))
        return None

    def _secret(self, known: Stored | None, place: SecretPlace, password: str | None) -> str | None:
        """What is stored from now on."""
        stored = None if known is None else known.secret
        if password is None:
            self._require_same_place(known, place)
            return stored
        if not password:
            return None
        if stored is not None and self._secrets.holds(stored, place, password):
            return stored
        return self._secrets.seal(password, place)

    def _require_same_place(self, known: Stored | None, place: SecretPlace) -> None:
        """A password is not shown to another machine than it was given for."""
        if known is None or known.secret is None:
            return
        if place_of(place.tenant_id, known.source.definition) != place:
            fault = "is required again: the connection leads elsewhere, or is made by another user"
            raise InvalidInput([FieldViolation("password", fault)])


def _raise_all(*collections: Violations) -> None:
    """Raises:
    InvalidInput: at least one fault was noted in one of them.
    """
    found = [fault for violations in collections for fault in violations.found]
    if found:
        raise InvalidInput(found)


def _check_mapping(definition: Definition, violations: Violations) -> None:
    try:
        mapping_of(definition.mapping)
    except MappingNotValid as error:
        violations.include("mapping", error.violations)


def _check_names(definition: Definition, attribute: Any, violations: Violations) -> None:
    """What vanished is found by the names that profiles have from their documents."""
    fields = definition.mapping.get("fields")
    named = [fields.get(name) for name in ("ext_id", "profile_id")] if isinstance(fields, dict) else []
    sources = [each.get("from") if isinstance(each, dict) else each for each in named]
    if attribute not in sources:
        violations.add("connection.sweep", f"needs fields.ext_id or fields.profile_id from {attribute}")


def _check_id(source_id: str) -> None:
    violations = Violations()
    violations.identifier("source_id", source_id)
    violations.raise_if_any()
