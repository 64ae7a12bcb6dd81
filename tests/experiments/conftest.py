"""A shop whose thanks are under test, and what decides and delivers for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import catalog_service_pb2 as wire
from leo.activation.v1 import decision_service_pb2 as decision
from leo.activation.v1.decision_service_pb2_grpc import DecisionServiceStub

from server.decisions.arms.definitions import compile_experiments
from server.decisions.arms.model import Experiment
from tests.catalog.conftest import Catalog, catalog, other_catalog, ready
from tests.decisions.definitions import definition
from tests.decisions.shop import NOON, add_profile
from tests.dispatch.conftest import fleet, redis, worker_database
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

__all__ = ["catalog", "fleet", "other_catalog", "ready", "redis", "worker_database"]

RUNNING = wire.EXPERIMENT_STATUS_RUNNING


def variant(name: str, weight: int = 1, template_name: str = "") -> dict[str, Any]:
    """One way to say it."""
    return {"name": name, "weight": weight, "template_name": template_name}


def experiment(**fields: Any) -> dict[str, Any]:
    """A good experiment on the shop's thanks: short ones against long ones."""
    return {
        "experiment_id": "subject",
        "experiment_name": "Short or long",
        "campaign_id": "spring",
        "event_name": "thanks",
        "allocation": wire.EXPERIMENT_ALLOCATION_FIXED,
        "variants": [variant("short", 1, "brief"), variant("long", 1)],
        "seed": 7,
        "conversion_event_type": "purchase",
        "attribution_window_seconds": 86_400,
        **fields,
    }


def as_decisions_see_it(**fields: Any) -> Experiment:
    """The same experiment, as it is drawn from: for what a test expects."""
    wanted = experiment(**fields)
    entry = {
        **{name: wanted[name] for name in ("experiment_id", "campaign_id", "event_name", "seed")},
        "variants": [{**v, "template_name": v["template_name"] or None} for v in wanted["variants"]],
        "allocation": {wire.EXPERIMENT_ALLOCATION_THOMPSON: "thompson"}.get(wanted["allocation"], "fixed"),
        "holdout_fraction": wanted.get("holdout_fraction", 0),
        "start_at": None,
        "end_at": None,
    }
    own = definition("m", campaign_id="spring", event_name="thanks", template_name="thanks")
    return compile_experiments([entry], [own])["m"]


async def begin(shop: Catalog, **fields: Any) -> None:
    """Put the experiment and let it run."""
    await shop.call("PutExperiment", experiment=experiment(**fields))
    await shop.call(
        "SetExperimentStatus", experiment_id=experiment(**fields)["experiment_id"], status=RUNNING
    )


class Till:
    """Purchases of one tenant, decided by the server."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self.stub = DecisionServiceStub(channel)
        self.metadata = bearer(token)

    async def purchases(
        self, profiles: Sequence[str], order: str = "first", *, hours: float = 0
    ) -> list[decision.Decision]:
        """One purchase of each profile, so many hours after noon; their decisions with all candidates."""
        seconds = int(NOON.timestamp() + hours * 3_600)
        events = [
            decision.Event(
                source_event_id=f"{order}-{profile}",
                profile_id=profile,
                event_type="purchase",
                occurred_at=Timestamp(seconds=seconds),
                attributes=b'{"amount": 120}',
            )
            for profile in profiles
        ]
        request = decision.DecideBatchRequest(events=events, include_candidates=True)
        answer = await self.stub.DecideBatch(request, metadata=self.metadata)
        assert not [result.error for result in answer.results if result.HasField("error")]
        return [result.decision for result in answer.results]

    async def recorded(self, source_event_id: str) -> decision.GetDecisionResponse:
        """The decision as it was stored."""
        request = decision.GetDecisionRequest(source_event_id=source_event_id)
        return await self.stub.GetDecision(request, metadata=self.metadata)

    async def replayed(self, source_event_id: str) -> decision.ReplayResponse:
        """The decision, decided again."""
        request = decision.ReplayRequest(source_event_id=source_event_id)
        return await self.stub.Replay(request, metadata=self.metadata)


@pytest.fixture
async def shop(ready: Catalog) -> Catalog:
    """A catalogue with a marketing event, its own template and another one."""
    await ready.put_template(template_name="brief", subject_template="Thanks!", body_template="Bye.")
    await ready.put_event()
    return ready


@pytest.fixture
def till(channel: grpc.aio.Channel, token_for: TokenFor, tenant_a: Tenant) -> Till:
    return Till(channel, token_for(tenant_a, ["decisions.read", "decisions.write"]))


@pytest.fixture
async def customers(app: asyncpg.Connection, tenant_a: Tenant) -> list[str]:
    """Profiles that may be written to."""
    names = [f"customer-{number}" for number in range(24)]
    for name in names:
        await add_profile(app, UUID(int=tenant_a.int), name, raw_attributes={"name": name.title()})
    return names
