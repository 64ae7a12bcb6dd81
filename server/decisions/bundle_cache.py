"""Compiled rule bundles by tenant. A version that came with the load query decides whether one is still
true."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

from server.decisions.bundle import compile_bundle
from server.decisions.model import Bundle
from server.decisions.store import DecisionStore
from server.errors import InvalidInput, PreconditionFailed
from server.platform.postgres import Connection


class BundleCache:
    """Bounded by tenants; the tenant that was not used for longest is forgotten first."""

    def __init__(self, *, store: DecisionStore, maximum_tenants: int = 2_000) -> None:
        self._store = store
        self._maximum_tenants = maximum_tenants
        self._bundles: OrderedDict[UUID, Bundle] = OrderedDict()

    async def current(self, connection: Connection, tenant_id: UUID, version: int) -> Bundle:
        """The bundle of this version; two round trips where it must be read, none where it is known.

        A bundle that was read is stored in the open transaction; it is kept for others only by `keep`, once
        that transaction has committed, so that no decision ever names a bundle that is not stored.

        Raises:
            PreconditionFailed: a stored definition no longer compiles.
        """
        known = self._bundles.get(tenant_id)
        if known is not None and known.version == version:
            self._bundles.move_to_end(tenant_id)
            return known
        row = await self._store.load_bundle(connection, tenant_id)
        await self._store.insert_bundle(connection, tenant_id, row["bundle_id"], row["document"])
        try:
            return compile_bundle(row["bundle_id"], row["definitions_version"], row["document"])
        except InvalidInput as error:
            raise PreconditionFailed(
                "RULE_VIOLATED", f"a stored definition does not compile; put it again: {error.message}"
            ) from error

    def columns(self, tenant_id: UUID) -> frozenset[str]:
        """The profile's columns that the last known bundle reads: what to load before the version is known."""
        known = self._bundles.get(tenant_id)
        return known.profile_columns if known is not None else frozenset()

    def keep(self, tenant_id: UUID, bundle: Bundle) -> None:
        """Remember a bundle that is committed."""
        self._bundles[tenant_id] = bundle
        self._bundles.move_to_end(tenant_id)
        while len(self._bundles) > self._maximum_tenants:
            self._bundles.popitem(last=False)
