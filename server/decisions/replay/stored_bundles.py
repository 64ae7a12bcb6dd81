"""Rule bundles that former decisions name, compiled. They are kept by their hash, so none is ever stale."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

from server.decisions.bundle import compile_bundle
from server.decisions.model import Bundle
from server.decisions.replay.store import ReplayStore
from server.errors import InvalidInput, PreconditionFailed
from server.platform.postgres import Connection


class StoredBundles:
    """Bounded by their number; the bundle that was not used for longest is forgotten first."""

    def __init__(self, *, store: ReplayStore, maximum: int = 64) -> None:
        self._store = store
        self._maximum = maximum
        self._bundles: OrderedDict[str, Bundle] = OrderedDict()

    def known(self, bundle_id: str) -> Bundle | None:
        """The bundle where it is known already: for whoever asks often."""
        return self._bundles.get(bundle_id)

    async def get(self, connection: Connection, tenant_id: UUID, bundle_id: str) -> Bundle:
        """The bundle of this id; one round trip where it is not known yet.

        Raises:
            PreconditionFailed: BUNDLE_UNUSABLE: it is not stored, or no longer compiles.
        """
        known = self._bundles.get(bundle_id)
        if known is None:
            known = await self._load(connection, tenant_id, bundle_id)
            self._bundles[bundle_id] = known
            if len(self._bundles) > self._maximum:
                self._bundles.popitem(last=False)
        self._bundles.move_to_end(bundle_id)
        return known

    async def _load(self, connection: Connection, tenant_id: UUID, bundle_id: str) -> Bundle:
        document = await self._store.find_bundle(connection, tenant_id, bundle_id)
        if document is None:
            raise _unusable(bundle_id, "is not stored")
        try:
            return compile_bundle(bundle_id, 0, document)
        except InvalidInput as error:
            raise _unusable(bundle_id, f"no longer compiles: {error.message}") from error


def _unusable(bundle_id: str, why: str) -> PreconditionFailed:
    return PreconditionFailed(
        "BUNDLE_UNUSABLE", f"the rule bundle of this decision {why}", {"rule_bundle_id": bundle_id}
    )
