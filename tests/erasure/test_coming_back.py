"""Nobody brings an erased person back, but the person; others are not in the way, and pay nothing."""

from __future__ import annotations

from uuid import UUID

import orjson
import pytest
from leo.activation.v1 import decision_service_pb2 as decision
from leo.activation.v1 import dispatch_service_pb2 as dispatch
from leo.activation.v1 import profile_service_pb2 as profile
from leo_client import LeoApiError
from leo_client.errors import InvalidArgument, NotFound

from server.config import ServerSettings
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database
from server.profiles.erasure_store import ErasureStore
from server.profiles.suppression import Name, SuppressionList
from tests.alerts.conftest import Caller, rule
from tests.erasure.conftest import SCOPES, Everything, Shop
from tests.fixtures.server import CREDENTIAL_KEYS, ClientFor
from tests.fixtures.tenants import Tenant

CREATED = profile.PROFILE_WRITE_OUTCOME_CREATED
SUPPRESSED = profile.PROFILE_WRITE_OUTCOME_SUPPRESSED
EMAIL = "returning@leo-erase.example"


async def leave(shop: Shop, profile_id: str = "ann") -> None:
    """Somebody with four names comes and goes."""
    await shop.put(
        profile_id,
        primary_email=EMAIL,
        mobile_number="+84905551111",
        ext_id="crm-1",
        identities=profile.TextList(values=["web:1", "app:1"]),
    )
    await shop.erase(profile_id=profile_id)


async def upsert(shop: Shop, *patches: profile.ProfilePatch) -> list[profile.ProfileWriteResult]:
    """The results of a batch."""
    request = profile.UpsertProfilesRequest(profiles=patches)
    return list((await shop.client.profiles.UpsertProfiles(request)).results)


async def test_whatever_names_the_person_is_suppressed_by_index_and_the_others_go_on(
    shop: Shop, everything: Everything
) -> None:
    await leave(shop)
    patches = [
        profile.ProfilePatch(profile_id="new1", primary_email=EMAIL.title()),
        profile.ProfilePatch(profile_id="bob", primary_email="bob@example.com"),
        profile.ProfilePatch(profile_id="new2", mobile_number="+84905551111"),
        profile.ProfilePatch(ext_id="crm-1", language="vi"),
        profile.ProfilePatch(identities=profile.TextList(values=["app:1", "other"])),
        profile.ProfilePatch(profile_id="ann", language="vi"),
        profile.ProfilePatch(profile_id="new3", identities=profile.TextList(values=["web:1"])),
    ]  # fmt: skip
    results = await upsert(shop, *patches)
    assert [result.outcome for result in results] == [SUPPRESSED, CREATED, *[SUPPRESSED] * 5]
    assert [fault.field for fault in results[3].faults] == ["profiles[3]"]
    stream = shop.client.profiles.ImportProfiles(
        iter([profile.ImportProfilesRequest(sequence=1, profiles=patches)])
    )
    (part,) = [answer async for answer in stream]
    assert (part.suppressed, part.unchanged, [one.index for one in part.refused]) == (
        6,
        1,
        [0, 2, 3, 4, 5, 6],
    )
    assert await everything.places([EMAIL, "crm-1", "web:1", "app:1", "+84905551111"]) == []
    # Somebody who was there before, and has the same number, is somebody else.
    await upsert(shop, profile.ProfilePatch(profile_id="bob", mobile_number="+84905551111"))
    assert await everything.places(["+84905551111"]) == ["cdp_profiles.mobile_number"]


@pytest.mark.parametrize("person", [{"ext_id": "crm-1"}, {"identity": "app:1"}])
async def test_any_name_of_the_person_will_do_also_once_it_is_a_hash(
    shop: Shop, everything: Everything, person: dict[str, str]
) -> None:
    await shop.put("ann", ext_id="crm-1", identities=profile.TextList(values=["web:1", "app:1"]))
    first = await shop.erase(**person)
    assert first.profile_id == "ann"
    assert await shop.erase(**person) == first
    assert await everything.places(["crm-1", "web:1", "app:1"]) == []


async def test_another_tenant_may_know_the_same_person(
    shop: Shop, client_for: ClientFor, tenant_b: Tenant
) -> None:
    await leave(shop)
    other = client_for(tenant_b, SCOPES)
    with pytest.raises(NotFound):
        await other.profiles.ReadmitProfile(profile.ReadmitProfileRequest(profile_id="ann", reason="y"))
    with pytest.raises(NotFound):
        await other.profiles.EraseProfile(profile.EraseProfileRequest(ext_id="crm-1", reason="y"))
    patch = profile.ProfilePatch(profile_id="ann", primary_email=EMAIL, ext_id="crm-1")
    answer = await other.profiles.UpsertProfiles(profile.UpsertProfilesRequest(profiles=[patch]))
    assert answer.results[0].outcome == CREATED


async def test_the_person_comes_back_as_somebody_new(shop: Shop, everything: Everything) -> None:
    (first,) = await upsert(shop, profile.ProfilePatch(ext_id="crm-1", primary_email=EMAIL))
    answer = await shop.erase(ext_id="crm-1")
    assert answer.profile_id == first.profile_id
    assert await shop.erase(ext_id="crm-1") == answer
    again = profile.ProfilePatch(ext_id="crm-1", primary_email=EMAIL)
    assert [result.outcome for result in await upsert(shop, again)] == [SUPPRESSED]
    request = profile.ReadmitProfileRequest(profile_id=first.profile_id, reason="the person asked for it")
    for _ in range(2):
        await shop.client.profiles.ReadmitProfile(request)
    (back,) = await upsert(shop, again)
    assert back.outcome == CREATED
    assert back.profile_id != first.profile_id
    (same,) = await upsert(shop, again)
    assert (same.outcome, same.profile_id) == (profile.PROFILE_WRITE_OUTCOME_UNCHANGED, back.profile_id)
    stub = await shop.client.profiles.GetProfile(profile.GetProfileRequest(profile_id=first.profile_id))
    assert stub.profile.HasField("erased_at")
    assert not stub.profile.primary_email
    # The second erasure of the same person is another one, of another profile.
    assert (await shop.erase(ext_id="crm-1")).profile_id == back.profile_id
    reasons = await everything.proof.fetch(
        "select event_type from agent_task where agent_name = 'eraser' order by created_at"
    )
    assert [row["event_type"] for row in reasons].count("profile.erased") == 2


async def test_nothing_is_decided_sent_or_kept_for_an_erased_person(
    shop: Shop, alerts: Caller, everything: Everything
) -> None:
    await leave(shop)
    decided = await shop.decide("order-1", "ann", mail=EMAIL, amount=120)
    assert decided.reason == decision.DECISION_REASON_PROFILE_ERASED
    assert [candidate.reason for candidate in decided.candidates] == [decision.DECISION_REASON_PROFILE_ERASED]
    assert (await shop.decide("order-1", "ann", mail=EMAIL, amount=120)).duplicate
    # It is replayed like any other: it used nothing.
    replayed = await shop.client.decisions.Replay(decision.ReplayRequest(task_id=decided.task_id))
    assert replayed.equal
    assert not decided.erased
    told = await shop.client.decisions.GetDecision(decision.GetDecisionRequest(task_id=decided.task_id))
    assert told.decision.reason == decision.DECISION_REASON_PROFILE_ERASED
    assert (await shop.ingest("view-1", "ann", attributes=orjson.dumps({"to": EMAIL}))).recorded == 0
    assert (await alerts.put(rule(">", 5, profile_id="ann", note=EMAIL)))[0].WhichOneof("result") != "put"
    assert await alerts.rules(profile_id="ann") == []
    consent = profile.Consent(
        profile_id="ann",
        channel="email",
        status=profile.CONSENT_STATUS_WITHDRAWN,
        legal_basis=EMAIL,
        source=EMAIL,
    )
    answer = await shop.client.profiles.SetConsents(profile.SetConsentsRequest(consents=[consent]))
    assert answer.results[0].outcome == profile.PROFILE_WRITE_OUTCOME_REFUSED
    with pytest.raises(LeoApiError):
        await shop.client.dispatch.Dispatch(
            dispatch.DispatchRequest(
                source_request_id="d1",
                marketing_event_id=shop.definitions.marketing_event_id,
                profile_id="ann",
                reason=EMAIL,
            )
        )
    assert await everything.places([EMAIL]) == []
    assert not await everything.proof.fetchval("select count(*) from delivery_log")


async def test_what_is_known_only_by_events_is_erased_too(shop: Shop, everything: Everything) -> None:
    await shop.ingest("view-1", "stranger", attributes=orjson.dumps({"to": EMAIL}))
    answer = await shop.erase(profile_id="stranger")
    assert answer.rows["behavioral_events"] == 1
    assert await everything.places([EMAIL]) == []
    assert (await shop.ingest("view-2", "stranger")).recorded == 0


async def test_a_request_without_a_person_or_a_reason_is_refused(shop: Shop, everything: Everything) -> None:
    await shop.put("ann", primary_email=EMAIL, ext_id="crm-77")
    for request in (
        {"reason": "ticket"},
        {"profile_id": "ann", "reason": ""},
        {"profile_id": "ann", "reason": f"asked by {EMAIL.title()}"},
        {"profile_id": "ann", "reason": "about crm-77"},
    ):
        with pytest.raises(InvalidArgument):
            await shop.erase(**request)
    for person in ({"profile_id": "nobody"}, {"ext_id": "crm-0"}, {"identity": "web:0"}):
        with pytest.raises(NotFound):
            await shop.erase(**person)
    assert await everything.places([EMAIL]) == ["cdp_profiles.primary_email"]


async def test_a_hash_is_found_under_every_key_that_is_still_there(
    shop: Shop, settings: ServerSettings
) -> None:
    """Kept under the newest key of the time; a ring without that key does not know the person any more."""
    await leave(shop)
    newer = "newer:" + "n" * 43
    names = [Name("primary_email", EMAIL), Name("ext_id", "crm-1"), Name("ext_id", "crm-2")]
    pool = await Database.connect(
        settings.database_url.get_secret_value(),
        minimum_connections=1,
        maximum_connections=1,
        application_name="test",
    )
    async with pool.tenant_transaction(shop.tenant) as connection:
        for ring, found in ((CREDENTIAL_KEYS, 2), (f"{newer},{CREDENTIAL_KEYS}", 2), (newer, 0)):
            suppression = SuppressionList(keys=CredentialKeys.parse(ring), store=ErasureStore())
            assert len(await suppression.whose(connection, shop.tenant, names)) == found
        other = UUID(int=shop.tenant.int ^ 1)
        assert not await suppression.whose(connection, other, names)
    await pool.close()
