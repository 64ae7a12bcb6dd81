"""Who owns which shard: locks of a session of its own, shared evenly among the processes that are there.

Each process holds one session, named `alerts@<address>`. The shards are dealt out by the order in which the sessions
began; a process gives up what is no longer its own and takes what is free. A process that dies loses its session, and
with it its locks; the others see that within `_PERIOD_SECONDS`. What an owner writes carries the epoch of its taking,
so that one that has not noticed its loss writes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg

from server.alerts.holdings import SHARDS, Holdings, Shard, loaded_shard
from server.alerts.rows import RowKey, RuleChange
from server.alerts.store import BEGINNING, AlertStore
from server.errors import LeoError
from server.platform.background import BackgroundTask
from server.platform.clock import utc_now
from server.platform.ids import symbol_shard
from server.platform.logging import get_logger
from server.platform.postgres import Connection, Database
from server.platform.transactions import DRIVER_FAILED

_PERIOD_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 10.0
_PAGE: Final = 20_000
_CLOCKS_DIFFER: Final = timedelta(hours=1)
# An instrument carries the time at which its transaction began; it is seen when that ends.
_LONGEST_CHANGE: Final = timedelta(seconds=30)
_LONGEST_ADDRESS: Final = 56
_NO_ANSWER: Final = (asyncpg.PostgresError, *DRIVER_FAILED)
_Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class ShardKeeper:
    """Takes the shards that are this process's, and gives up those that are not.

    Args:
        url: the database, as the serving role.
        holdings: what is owned is put there, loaded.
    """

    def __init__(self, *, url: str, database: Database, store: AlertStore, holdings: Holdings) -> None:
        self._url = url
        self._database = database
        self._store = store
        self._holdings = holdings
        self._session: _Session | None = None
        self._locked: set[int] = set()
        self._wanted = asyncio.Event()
        self._address = ""
        self._renewed_at = utc_now() - _CLOCKS_DIFFER
        self._renewed: frozenset[RowKey] = frozenset()
        self._work = BackgroundTask("alerts-shards")

    @property
    def address(self) -> str:
        """Where this process answers for its shards; empty before it is started."""
        return self._address

    async def start(self, address: str) -> None:
        """Take what can be taken, and go on in the background.

        Args:
            address: where this process answers for its shards; at most 56 bytes.

        Raises:
            ValueError: the address is too long.
        """
        if len(address.encode()) > _LONGEST_ADDRESS:
            raise ValueError(f"the address {address} is longer than {_LONGEST_ADDRESS} bytes")
        self._address = address
        await self._try_cycle()
        self._work.start(self._run())

    async def stop(self) -> None:
        """Give everything up; others take it."""
        await self._work.stop()
        await self._leave()

    def take_again(self) -> None:
        """Something that is owned has to be read again; returns at once."""
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), _PERIOD_SECONDS)
            self._wanted.clear()
            await self._try_cycle()

    async def _try_cycle(self) -> None:
        try:
            await self._cycle()
        except (*_NO_ANSWER, LeoError) as error:
            get_logger().warning("alert_shards_wait", exc_info=error)
            await self._leave()

    async def _cycle(self) -> None:
        session = await self._open_session()
        members = await self._store.list_members(session)
        rank = next(place for place, member in enumerate(members) if member.is_self)
        due = {shard for shard in range(SHARDS) if shard % len(members) == rank}
        await self._give_up(session, self._locked - due)
        self._locked |= await self._store.lock_shards(session, due - self._locked)
        await self._load(self._locked - self._holdings.owned)
        await self._refresh()

    async def _open_session(self) -> _Session:
        if self._session is None or self._session.is_closed():
            await self._leave()
            self._session = await asyncpg.connect(
                self._url,
                timeout=_ANSWER_SECONDS,
                command_timeout=_ANSWER_SECONDS,
                server_settings={
                    "application_name": f"alerts@{self._address}",
                    # A machine that vanishes without a word loses its session after some five seconds.
                    "tcp_keepalives_idle": "2",
                    "tcp_keepalives_interval": "1",
                    "tcp_keepalives_count": "3",
                },
            )
        return self._session

    async def _give_up(self, session: _Session, shards: Collection[int]) -> None:
        if not shards:
            return
        async with self._holdings.gate:
            self._holdings.drop(shards)
        await self._store.unlock_shards(session, shards)
        self._locked -= set(shards)
        get_logger().info("alert_shards_given_up", count=len(shards))

    async def _load(self, shards: Collection[int]) -> None:
        """Take over prices first, so that nobody else writes them, then read the rules."""
        if not shards:
            return
        async with self._database.transaction() as connection:
            epoch = await self._store.next_epoch(connection)
            prices = await self._store.claim_prices(connection, shards, epoch)
        async with self._database.transaction(readonly=True) as connection:
            seen = await self._store.current_snapshot(connection)
            loaded: dict[int, Shard] = {}
            for shard in shards:
                here = [price for price in prices if symbol_shard(price.symbol) == shard]
                loaded[shard] = loaded_shard(epoch, here, await self._load_rules(connection, shard))
        async with self._holdings.gate:
            self._holdings.install(loaded, seen)
        get_logger().info("alert_shards_taken", count=len(loaded))

    async def _refresh(self) -> None:
        """See what changed also where no tick comes: rules, and instruments."""
        holdings = self._holdings
        owned = holdings.owned
        if not owned:
            return
        try:
            async with self._database.transaction(readonly=True) as connection:
                asked_at, renewed = await self._store.changed_instruments(
                    connection, owned, self._renewed_at, self._renewed
                )
            async with holdings.gate:
                holdings.renew(change for change in renewed.values() if change is not None)
                holdings.seen, changes = await self._store.changed_rules(
                    self._database, holdings.owned, holdings.seen, holdings.own_xid
                )
                holdings.apply(changes)
        except LeoError as error:
            # The next tick, or the next second, sees it: no reason to give the shards up.
            get_logger().warning("alert_rules_wait", exc_info=error)
            return
        # Not from the latest change on: what came with it would be read again each second, for ever.
        self._renewed_at, self._renewed = asked_at - _LONGEST_CHANGE, frozenset(renewed)

    async def _load_rules(self, connection: Connection, shard: int) -> list[RuleChange]:
        changes: list[RuleChange] = []
        after: tuple[UUID, str] | None = BEGINNING
        while after is not None:
            page, after = await self._store.load_rules(connection, shard, after, _PAGE)
            changes += page
        return changes

    async def _leave(self) -> None:
        """Own nothing; a session that is still there ends, and its locks with it."""
        async with self._holdings.gate:
            self._holdings.drop(self._holdings.owned)
        self._locked.clear()
        session, self._session = self._session, None
        if session is not None and not session.is_closed():
            try:
                await session.close(timeout=_ANSWER_SECONDS)
            except _NO_ANSWER:
                session.terminate()
