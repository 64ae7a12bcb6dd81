"""Compiled rule bundles by tenant. A version that came with the load query decides whether one is still
true."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

from server.decisions.bundle import compile_bundle
from server.decisions.model import Bundle
from server.decisions.store import DecisionStore
from server.errors import InvalidInput, PreconditionFailed
from server.platform.postgres import Database


class BundleCache:
    """Bounded by tenants; the tenant that was not used for longest is forgotten first."""

    def __init__(self, *, database: Database, store: DecisionStore, maximum_tenants: int = 2_000) -> None:
        self._database = database
        self._store = store
        self._maximum_tenants = maximum_tenants
        self._bundles: OrderedDict[UUID, Bundle] = OrderedDict()

    def known(self, tenant_id: UUID) -> Bundle | None:
        """The bundle that was read last; it may be out of date."""
        bundle = self._bundles.get(tenant_id)
        if bundle is not None:
            self._bundles.move_to_end(tenant_id)
        return bundle

    async def refresh(self, tenant_id: UUID) -> None:
        """Read the definitions in force. A transaction, four round trips.

        The bundle is known only once it is stored, so no decision ever names a bundle that is not.

        Raises:
            PreconditionFailed: a stored definition no longer compiles.
        """
        async with self._database.tenant_transaction(tenant_id) as connection:
            row = await self._store.load_bundle(connection, tenant_id)
            await self._store.insert_bundle(connection, tenant_id, row["bundle_id"], row["document"])
        try:
            bundle = compile_bundle(row["bundle_id"], row["definitions_version"], row["document"])
        except InvalidInput as error:
            raise PreconditionFailed(
                "RULE_VIOLATED", f"a stored definition does not compile; put it again: {error.message}"
            ) from error
        self._bundles[tenant_id] = bundle
        self._bundles.move_to_end(tenant_id)
        while len(self._bundles) > self._maximum_tenants:
            self._bundles.popitem(last=False)
