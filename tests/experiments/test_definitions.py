"""Experiments in the catalogue: drafts, what may be changed once they run, and what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import grpc
import pytest
from leo.activation.v1 import catalog_service_pb2 as wire
from leo_client.errors import decode_error

from tests.catalog.conftest import Catalog
from tests.experiments.conftest import experiment, variant

RUNNING = wire.EXPERIMENT_STATUS_RUNNING
COMPLETED = wire.EXPERIMENT_STATUS_COMPLETED
NEVER_BEGUN_AGAIN = (wire.EXPERIMENT_STATUS_RUNNING, wire.EXPERIMENT_STATUS_PAUSED)


async def _put(catalog: Catalog, **fields: Any) -> Any:
    return await catalog.call("PutExperiment", experiment=experiment(**fields))


async def _set(catalog: Catalog, status: int, experiment_id: str = "subject") -> Any:
    answer = await catalog.call("SetExperimentStatus", experiment_id=experiment_id, status=status)
    return answer.experiment


async def test_an_experiment_comes_back_as_it_was_put_and_again_changes_nothing(shop: Catalog) -> None:
    put = await _put(shop, holdout_fraction=0.125, seed=2**53 - 1, start_at={"seconds": 1_700_000_000})
    assert (put.changed, put.experiment.status) == (True, wire.EXPERIMENT_STATUS_DRAFT)
    assert (put.experiment.holdout_fraction, put.experiment.seed) == (0.125, 2**53 - 1)
    assert (await shop.call("GetExperiment", experiment_id="subject")).experiment == put.experiment
    again = await _put(shop, holdout_fraction=0.125, seed=2**53 - 1, start_at={"seconds": 1_700_000_000})
    assert (again.changed, again.experiment) == (False, put.experiment)


async def test_a_draft_may_change_in_everything(shop: Catalog) -> None:
    await _put(shop)
    changed = await _put(shop, seed=9, variants=[variant("other"), variant("more")], event_name="else")
    assert (changed.changed, changed.experiment.event_name) == (True, "else")


async def test_what_runs_changes_in_its_weights_and_grows_and_stays_comparable(shop: Catalog) -> None:
    await _put(shop)
    running = await _set(shop, RUNNING)
    assert (running.status, await _set(shop, RUNNING)) == (RUNNING, running)
    ramped = [variant("short", 9, "brief"), variant("long", 1), variant("loud", 2, "brief")]
    assert (await _put(shop, variants=ramped, holdout_fraction=0.2, experiment_name="Ramped")).changed
    for fields in (
        {"seed": 8},
        {"allocation": wire.EXPERIMENT_ALLOCATION_THOMPSON},
        {"event_name": "else"},
        {"conversion_event_type": "visit"},
        {"attribution_window_seconds": 3_600},
        {"variants": [variant("short", 1, "brief"), variant("other")]},
        {"variants": [variant("short", 1), variant("long"), variant("loud", 2, "brief")]},
    ):
        refused = await shop.refusal("PutExperiment", experiment=experiment(**fields))
        assert refused == grpc.StatusCode.FAILED_PRECONDITION, fields
    stored = (await shop.call("GetExperiment", experiment_id="subject")).experiment
    assert [(v.name, v.weight) for v in stored.variants] == [("short", 9), ("long", 1), ("loud", 2)]


async def test_what_is_completed_stays_so(shop: Catalog) -> None:
    await _put(shop)
    done = await _set(shop, COMPLETED)
    assert await _set(shop, COMPLETED) == done
    for status in NEVER_BEGUN_AGAIN:
        refused = await shop.refusal("SetExperimentStatus", experiment_id="subject", status=status)
        assert refused == grpc.StatusCode.FAILED_PRECONDITION
    for fields in ({"holdout_fraction": 0.5}, {"variants": [variant("short", 5, "brief"), variant("long")]}):
        refused = await shop.refusal("PutExperiment", experiment=experiment(**fields))
        assert refused == grpc.StatusCode.FAILED_PRECONDITION
    assert not (await _put(shop)).changed


async def test_one_experiment_runs_on_a_marketing_event(shop: Catalog) -> None:
    await _put(shop)
    await _put(shop, experiment_id="rival")
    begun = await asyncio.gather(_set(shop, RUNNING), _set(shop, RUNNING, "rival"), return_exceptions=True)
    refusals = [each for each in begun if isinstance(each, grpc.aio.AioRpcError)]
    assert [refusal.code() for refusal in refusals] == [grpc.StatusCode.FAILED_PRECONDITION]
    running = (await shop.call("ListExperiments", status=RUNNING)).experiments
    assert len(running) == 1
    await _set(shop, wire.EXPERIMENT_STATUS_PAUSED, running[0].experiment_id)
    other = {"subject": "rival", "rival": "subject"}[running[0].experiment_id]
    assert (await _set(shop, RUNNING, other)).status == RUNNING


async def test_what_runs_needs_its_marketing_event_and_templates(shop: Catalog) -> None:
    refused = await shop.refusal("PutExperiment", experiment=experiment(campaign_id="none"))
    assert refused == grpc.StatusCode.FAILED_PRECONDITION
    for name, fields in (
        ("no-event", {"event_name": "none"}),
        ("no-template", {"variants": [variant("short", 1, "none"), variant("long")]}),
    ):
        await _put(shop, experiment_id=name, **fields)
        refused = await shop.refusal("SetExperimentStatus", experiment_id=name, status=RUNNING)
        assert refused == grpc.StatusCode.FAILED_PRECONDITION
        stored = (await shop.call("GetExperiment", experiment_id=name)).experiment
        assert stored.status == wire.EXPERIMENT_STATUS_DRAFT
    await _put(shop)
    await _set(shop, RUNNING)
    grown = [variant("short", 1, "brief"), variant("long"), variant("loud", 1, "none")]
    refused = await shop.refusal("PutExperiment", experiment=experiment(variants=grown))
    assert refused == grpc.StatusCode.FAILED_PRECONDITION
    await shop.put_template(template_name="thanks", channel="sms", subject_template="")
    with_sms = {"channels": ["email", "sms"]}
    with pytest.raises(grpc.aio.AioRpcError, match="no active message template"):
        await shop.put_event(**with_sms)  # the variant's template is not there for SMS
    await shop.put_template(template_name="brief", channel="sms", subject_template="")
    assert (await shop.put_event(**with_sms)).changed


async def test_pages_hold_every_experiment_once(shop: Catalog) -> None:
    for number in range(5):
        await _put(shop, experiment_id=f"e{number}")
    await _set(shop, RUNNING, "e3")
    listed: list[str] = []
    token = ""
    while not listed or token:
        page = await shop.call(
            "ListExperiments", campaign_id="spring", page={"page_size": 2, "page_token": token}
        )
        listed += [each.experiment_id for each in page.experiments]
        token = page.page.next_page_token
    assert listed == [f"e{number}" for number in range(5)]
    running = (await shop.call("ListExperiments", status=RUNNING)).experiments
    assert [each.experiment_id for each in running] == ["e3"]
    assert not (await shop.call("ListExperiments", campaign_id="autumn")).experiments


async def test_tenants_see_nothing_of_each_others_experiments(shop: Catalog, other_catalog: Catalog) -> None:
    put = (await _put(shop)).experiment
    for method, fields in (("GetExperiment", {}), ("SetExperimentStatus", {"status": RUNNING})):
        refused = await other_catalog.refusal(method, experiment_id="subject", **fields)
        assert refused == grpc.StatusCode.NOT_FOUND
    assert not (await other_catalog.call("ListExperiments")).experiments
    await other_catalog.put_campaign()
    theirs = (await _put(other_catalog, seed=3)).experiment
    assert theirs.seed == 3
    assert (await shop.call("GetExperiment", experiment_id="subject")).experiment == put


BAD: list[tuple[str, dict[str, Any]]] = [
    ("experiment_id", {"experiment_id": "a b"}),
    ("experiment_name", {"experiment_name": " "}),
    ("campaign_id", {"campaign_id": ""}),
    ("event_name", {"event_name": "x" * 201}),
    ("allocation", {"allocation": 77}),
    ("variants", {"variants": []}),
    ("variants", {"variants": [variant(f"v{number}") for number in range(11)]}),
    ("variants", {"variants": [variant("a", 0), variant("b", 0)]}),
    ("variants", {"variants": [variant("alone")]}),
    ("variants[1].name", {"variants": [variant("a"), variant("a")]}),
    ("variants[1].name", {"variants": [variant("a"), variant("holdout")]}),
    ("variants[0].name", {"variants": [variant(""), variant("b")]}),
    ("variants[0].weight", {"variants": [variant("a", -1), variant("b")]}),
    ("variants[1].weight", {"variants": [variant("a"), variant("b", 1_000_001)]}),
    ("variants[0].template_name", {"variants": [variant("a", 1, "x" * 201), variant("b")]}),
    ("holdout_fraction", {"holdout_fraction": 1.0}),
    ("holdout_fraction", {"holdout_fraction": -0.1}),
    ("holdout_fraction", {"holdout_fraction": 0.00001}),
    ("holdout_fraction", {"holdout_fraction": float("nan")}),
    ("seed", {"seed": -1}),
    ("seed", {"seed": 2**53}),
    (
        "conversion_event_type",
        {"allocation": wire.EXPERIMENT_ALLOCATION_THOMPSON, "conversion_event_type": ""},
    ),
    ("attribution_window_seconds", {"attribution_window_seconds": 59}),
    ("end_at", {"start_at": {"seconds": 1_700_000_000}, "end_at": {"seconds": 1_600_000_000}}),
]


async def test_bad_experiments_are_refused_with_the_field_at_fault(
    shop: Catalog, proof: asyncpg.Connection[Any]
) -> None:
    for field, fields in BAD:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _put(shop, **fields)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT, fields
        assert f"experiment.{field}" in _fields(caught.value), fields
    for key, status in (("a b", RUNNING), ("subject", 0), ("subject", wire.EXPERIMENT_STATUS_DRAFT)):
        refused = await shop.refusal("SetExperimentStatus", experiment_id=key, status=status)
        assert refused == grpc.StatusCode.INVALID_ARGUMENT
    assert await proof.fetchval("select count(*) from activation_experiments") == 0


def _fields(error: grpc.aio.AioRpcError) -> set[str]:
    decoded = decode_error(error.code(), error.details(), error.trailing_metadata())
    return {violation.field for violation in decoded.violations}


@pytest.mark.parametrize(
    "variants",
    [
        "[]",
        '{"name": "a"}',
        '[{"name": "a", "weight": 0, "template_name": null}]',
        '[{"name": "a", "weight": 1.5, "template_name": null}]',
        '[{"name": "a", "weight": "1", "template_name": null}]',
        '[{"name": "a", "weight": 1}]',
        '[{"name": "holdout", "weight": 1, "template_name": null}]',
        '[{"name": "a", "weight": 1, "template_name": null}, {"name": "a", "weight": 1, "template_name": null}]',
    ],
)
async def test_the_database_itself_lets_nothing_run_that_can_not_be_drawn_from(
    shop: Catalog, proof: asyncpg.Connection[Any], variants: str
) -> None:
    await _put(shop)
    with pytest.raises(asyncpg.PostgresError):
        await proof.execute(
            "update activation_experiments set variants = $1::jsonb, status = 'running'", variants
        )
