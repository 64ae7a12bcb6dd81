"""One valid request for each RPC: the start of every test that spoils requests. A new RPC needs its line here.

A sample gets what the earlier samples of its service were answered, so that it can name what exists.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid4

import asyncpg
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import alert_service_pb2 as alert
from leo.activation.v1 import catalog_service_pb2 as catalog
from leo.activation.v1 import contact_policy_pb2 as policy
from leo.activation.v1 import decision_service_pb2 as decision
from leo.activation.v1 import dispatch_service_pb2 as dispatch
from leo.activation.v1 import embedding_service_pb2 as embedding
from leo.activation.v1 import news_service_pb2 as news
from leo.activation.v1 import profile_service_pb2 as profile
from leo.activation.v1 import report_service_pb2 as report
from leo.activation.v1 import snapshot_service_pb2 as snapshot
from leo.activation.v1 import tenant_service_pb2 as tenant
from leo.activation.v1 import trace_service_pb2 as trace

from tests.dispatch.decided import Decisions
from tests.fixtures import planted

Answers: TypeAlias = Mapping[str, Any]
Sample: TypeAlias = Callable[[Answers], Message]

MARK: Final = "sample-of-tenant-a"
"""Part of what the samples store; no other tenant may ever read it."""

_CONDITION: Final = b'{"attribute": "event.amount", "operator": ">=", "value": 100}'
_CAPS: Final = [policy.FrequencyCap(channel="email", topic="sample", window_seconds=86_400, maximum=3)]
_QUIET: Final = policy.QuietHours(start="22:00", end="07:00", days=[policy.WEEKDAY_FRIDAY])

_CATALOG: Final[Mapping[str, Sample]] = {
    "PutCampaign": lambda _: catalog.PutCampaignRequest(
        campaign=catalog.Campaign(
            campaign_id=f"{MARK}-campaign",
            campaign_code=f"{MARK}-code",
            campaign_name=f"{MARK} name",
            objective="test",
            status=catalog.CAMPAIGN_STATUS_ACTIVE,
            frequency_caps=_CAPS,
            quiet_hours=_QUIET,
        )
    ),
    "GetCampaign": lambda _: catalog.GetCampaignRequest(campaign_id=f"{MARK}-campaign"),
    "ListCampaigns": lambda _: catalog.ListCampaignsRequest(),
    "PutMessageTemplate": lambda _: catalog.PutMessageTemplateRequest(
        message_template=catalog.MessageTemplate(
            template_name=f"{MARK}-template",
            channel="email",
            language="en",
            subject_template="Hello",
            body_template=f"{planted.TEXT} {{{{ profile.profile_id }}}}",
            metadata=b'{"content_type": "text/plain"}',
        )
    ),
    "GetMessageTemplate": lambda answers: catalog.GetMessageTemplateRequest(
        template_id=answers["PutMessageTemplate"].message_template.template_id
    ),
    "ListMessageTemplates": lambda _: catalog.ListMessageTemplatesRequest(),
    "PreviewMessageTemplate": lambda _: catalog.PreviewMessageTemplateRequest(
        draft=catalog.DraftMessageTemplate(body_template="Hello {{ profile.name }}"),
        variables=b'{"profile": {"name": "A"}}',
    ),
    "PutMarketingEvent": lambda answers: catalog.PutMarketingEventRequest(
        marketing_event=catalog.MarketingEvent(
            campaign_id=answers["PutCampaign"].campaign.campaign_id,
            event_name=f"{MARK}-event",
            event_type=catalog.MARKETING_EVENT_TYPE_TRIGGER,
            channels=["email"],
            trigger_event_type="purchase",
            condition=_CONDITION,
            template_name=f"{MARK}-template",
            topic=f"{MARK}-topic",
            valid_for_seconds=86_400,
            receipt_seconds=600,
            cooldown_seconds=3_600,
        )
    ),
    "GetMarketingEvent": lambda answers: catalog.GetMarketingEventRequest(
        marketing_event_id=answers["PutMarketingEvent"].marketing_event.marketing_event_id
    ),
    "ListMarketingEvents": lambda _: catalog.ListMarketingEventsRequest(),
    "PutExperiment": lambda answers: catalog.PutExperimentRequest(
        experiment=catalog.Experiment(
            experiment_id=f"{MARK}-experiment",
            experiment_name=f"{MARK} name",
            campaign_id=answers["PutCampaign"].campaign.campaign_id,
            event_name=answers["PutMarketingEvent"].marketing_event.event_name,
            variants=[
                catalog.ExperimentVariant(name="short", weight=1, template_name=f"{MARK}-template"),
                catalog.ExperimentVariant(name="long", weight=1),
            ],
            holdout_fraction=0.1,
            seed=7,
            conversion_event_type="purchase",
            attribution_window_seconds=3_600,
        )
    ),
    "GetExperiment": lambda _: catalog.GetExperimentRequest(experiment_id=f"{MARK}-experiment"),
    "ListExperiments": lambda _: catalog.ListExperimentsRequest(),
    "SetExperimentStatus": lambda _: catalog.SetExperimentStatusRequest(
        experiment_id=f"{MARK}-experiment", status=catalog.EXPERIMENT_STATUS_RUNNING
    ),
    "CancelMarketingEvent": lambda answers: catalog.CancelMarketingEventRequest(
        marketing_event_id=answers["PutMarketingEvent"].marketing_event.marketing_event_id
    ),
    "PutInstruments": lambda _: catalog.PutInstrumentsRequest(
        instruments=[
            catalog.Instrument(
                symbol="SAMPLE",
                instrument_name=f"{MARK} share",
                type=catalog.INSTRUMENT_TYPE_STOCK,
                currency="USD",
                exchange="NYSE",
                metadata=b"{}",
            )
        ]
    ),
    "ListInstruments": lambda _: catalog.ListInstrumentsRequest(),
    "PutDataSource": lambda _: catalog.PutDataSourceRequest(
        data_source=catalog.DataSource(
            source_id=f"{MARK}-source",
            source_name=f"{MARK} name",
            type=catalog.DATA_SOURCE_TYPE_POSTGRESQL,
            connection=(
                b'{"host": "crm.example.com", "database": "crm", "user": "reader", "table": "customers",'
                b' "key_column": "id", "updated_column": "updated_at"}'
            ),
            mapping=b'{"fields": {"ext_id": {"from": "id", "prefix": "crm-"}}}',
            sync_frequency_seconds=60,
        ),
        password=planted.SECRET,
    ),
    "GetDataSource": lambda _: catalog.GetDataSourceRequest(source_id=f"{MARK}-source"),
    "ListDataSources": lambda _: catalog.ListDataSourcesRequest(),
    "SetDataSourcePaused": lambda _: catalog.SetDataSourcePausedRequest(source_id=f"{MARK}-source"),
    "SyncNow": lambda _: catalog.SyncNowRequest(source_id=f"{MARK}-source"),
    "DeleteDataSource": lambda _: catalog.DeleteDataSourceRequest(source_id=f"{MARK}-source"),
}

_PROFILES: Final[Mapping[str, Sample]] = {
    "UpsertProfiles": lambda _: profile.UpsertProfilesRequest(
        profiles=[
            profile.ProfilePatch(
                profile_id=f"{MARK}-profile",
                ext_id=f"{MARK}-ext",
                primary_email=planted.EMAIL,
                mobile_number=planted.PHONE,
                living_location=planted.ADDRESS,
                latitude=10.5,
                longitude=106.7,
                segments=profile.TextList(values=["vip"]),
                raw_attributes=b'{"total_spent": 12.5}',
                portfolio_risk_score=0.5,
            )
        ],
        default_region="VN",
    ),
    "ImportProfiles": lambda _: profile.ImportProfilesRequest(
        sequence=1,
        profiles=[
            profile.ProfilePatch(
                ext_id=f"{MARK}-imported",
                identities=profile.TextList(values=[f"{MARK}-identity"]),
                source_updated_at=Timestamp(seconds=1_700_000_000),
                consents=[
                    profile.Consent(
                        channel="sms",
                        status=profile.CONSENT_STATUS_GRANTED,
                        legal_basis="consent",
                        source="test",
                        stated_at=Timestamp(seconds=1_700_000_000),
                    )
                ],
            )
        ],
        default_region="VN",
    ),
    "IngestEvents": lambda _: profile.IngestEventsRequest(
        events=[
            profile.BehavioralEvent(
                source_event_id=f"{MARK}-view",
                profile_id=f"{MARK}-profile",
                event_type="view",
                occurred_at=Timestamp(seconds=1_700_000_000),
                entity_type="news",
                entity_id=f"{MARK}-article",
                sentiment=1,
                attributes=b'{"seconds": 12}',
            )
        ]
    ),
    "SetConsents": lambda _: profile.SetConsentsRequest(
        consents=[
            profile.Consent(
                profile_id=f"{MARK}-profile",
                channel="email",
                status=profile.CONSENT_STATUS_GRANTED,
                legal_basis="consent",
                source="test",
            )
        ]
    ),
    "GetProfile": lambda _: profile.GetProfileRequest(profile_id=f"{MARK}-profile"),
    "SimilarProfiles": lambda _: profile.SimilarProfilesRequest(profile_id=f"{MARK}-embedded", limit=5),
    "ExportProfile": lambda _: profile.ExportProfileRequest(
        profile_id=f"{MARK}-profile", reason=f"{MARK} asked for it"
    ),
    "EraseProfile": lambda _: profile.EraseProfileRequest(profile_id=f"{MARK}-leaving", reason="ticket 7"),
    "ReadmitProfile": lambda _: profile.ReadmitProfileRequest(
        profile_id=f"{MARK}-leaving", reason="ticket 8"
    ),
}

_TENANTS: Final[Mapping[str, Sample]] = {
    "CreateTenant": lambda _: tenant.CreateTenantRequest(
        tenant_name=f"{MARK}-tenant",
        keycloak_realm="sample",
        keycloak_client_id="sample-client",
        defaults=tenant.TenantDefaults(
            frequency_caps=_CAPS, quiet_hours=_QUIET, holdout=tenant.Holdout(fraction=0.1, seed=7)
        ),
        settings=b"{}",
    ),
    "GetTenant": lambda answers: tenant.GetTenantRequest(tenant_id=answers["CreateTenant"].tenant.tenant_id),
    "ListTenants": lambda _: tenant.ListTenantsRequest(),
    "UpdateTenant": lambda answers: tenant.UpdateTenantRequest(
        tenant_id=answers["CreateTenant"].tenant.tenant_id, tenant_name=f"{MARK}-renamed", settings=b"{}"
    ),
}

_SNAPSHOTS: Final[Mapping[str, Sample]] = {
    "Snapshot": lambda _: snapshot.SnapshotRequest(label="vip", reason=f"{MARK} reason"),
    "GetSnapshot": lambda answers: snapshot.GetSnapshotRequest(
        snapshot_id=answers["Snapshot"].snapshot.snapshot_id
    ),
    "EstimateSegment": lambda _: snapshot.EstimateSegmentRequest(label="vip"),
    "ListSnapshots": lambda answers: snapshot.ListSnapshotsRequest(
        segment_name=answers["Snapshot"].snapshot.segment_name
    ),
    "ListSnapshotMembers": lambda answers: snapshot.ListSnapshotMembersRequest(
        snapshot_id=answers["Snapshot"].snapshot.snapshot_id
    ),
    "DiffSnapshots": lambda answers: snapshot.DiffSnapshotsRequest(
        from_snapshot_id=answers["Snapshot"].snapshot.snapshot_id,
        to_snapshot_id=answers["Snapshot"].snapshot.snapshot_id,
        changes=[snapshot.SNAPSHOT_CHANGE_KEPT],
    ),
    "VerifySnapshot": lambda answers: snapshot.VerifySnapshotRequest(
        snapshot_id=answers["Snapshot"].snapshot.snapshot_id
    ),
}

_TRACE: Final[Mapping[str, Sample]] = {
    "GetJourney": lambda _: trace.GetJourneyRequest(profile_id=f"{MARK}-profile"),
    "ExplainDelivery": lambda answers: trace.ExplainDeliveryRequest(delivery_key=answers["delivery_key"]),
}


def _purchase() -> decision.Event:
    return decision.Event(
        source_event_id=f"{MARK}-order",
        profile_id=f"{MARK}-profile",
        event_type="purchase",
        occurred_at=Timestamp(seconds=1_700_000_000),
        attributes=b'{"amount": 120}',
    )


_DECISIONS: Final[Mapping[str, Sample]] = {
    "Decide": lambda _: decision.DecideRequest(event=_purchase(), include_candidates=True),
    "DecideBatch": lambda _: decision.DecideBatchRequest(events=[_purchase()]),
    "DecideStream": lambda _: decision.DecideStreamRequest(events=[_purchase()]),
    "GetDecision": lambda _: decision.GetDecisionRequest(source_event_id=f"{MARK}-order"),
    "Replay": lambda _: decision.ReplayRequest(source_event_id=f"{MARK}-order"),
    "Backtest": lambda _: decision.BacktestRequest(
        draft=decision.DraftMarketingEvent(
            campaign_id=f"{MARK}-campaign",
            event_name=f"{MARK}-event",
            trigger_event_type="purchase",
            channels=["email"],
            condition=_CONDITION,
            priority=5,
            cooldown_seconds=3_600,
            topic="offers",
            start_at=Timestamp(seconds=1_600_000_000),
            end_at=Timestamp(seconds=1_900_000_000),
            frequency_caps=_CAPS,
        ),
        since=Timestamp(seconds=1_600_000_000),
        until=Timestamp(seconds=4_000_000_000),
        sample_size=10,
    ),
}

_DISPATCH: Final[Mapping[str, Sample]] = {
    "Dispatch": lambda answers: dispatch.DispatchRequest(
        source_request_id=f"{MARK}-request",
        marketing_event_id=answers["marketing_event_id"],
        profile_id=answers["profile_id"],
        reason=f"{MARK} reason",
        valid_until=Timestamp(seconds=4_000_000_000),
    ),
    "GetDelivery": lambda answers: dispatch.GetDeliveryRequest(delivery_key=answers["delivery_key"]),
    "ListDeliveries": lambda answers: dispatch.ListDeliveriesRequest(profile_id=answers["profile_id"]),
    "RequeueDelivery": lambda answers: dispatch.RequeueDeliveryRequest(
        delivery_key=answers["failed_delivery_key"], series=1
    ),
    "PauseDispatch": lambda answers: dispatch.PauseDispatchRequest(
        plan_task_id=answers["Dispatch"].plan.plan_task_id
    ),
    "ResumeDispatch": lambda answers: dispatch.ResumeDispatchRequest(
        plan_task_id=answers["Dispatch"].plan.plan_task_id
    ),
    "CancelDispatch": lambda answers: dispatch.CancelDispatchRequest(
        plan_task_id=answers["Dispatch"].plan.plan_task_id
    ),
    "WatchDispatch": lambda answers: dispatch.WatchDispatchRequest(
        plan_task_id=answers["Dispatch"].plan.plan_task_id
    ),
    "PutChannelCredential": lambda _: dispatch.PutChannelCredentialRequest(
        channel="email",
        provider="sendgrid",
        values={"api_key": f"SG.{planted.SECRET}", "sender_email": planted.EMAIL},
        messages_per_second=50.0,
    ),
    "ListChannelCredentials": lambda _: dispatch.ListChannelCredentialsRequest(),
    "DeleteChannelCredential": lambda _: dispatch.DeleteChannelCredentialRequest(channel="sms"),
}


_SOON: Final = int(time.time()) + 86_400


def _ticks() -> alert.TickBatch:
    return alert.TickBatch(
        symbols=["SAMPLE"],
        symbol_indices=[0, 0],
        price_nanos=[148_000_000_000, 149_000_000_000],
        observed_at_us=[1_700_000_000_000_000, 1_700_000_001_000_000],
        feed=f"{MARK}-feed",
        sequences=[1, 2],
    )


_ALERTS: Final[Mapping[str, Sample]] = {
    "PutAlertRules": lambda _: alert.PutAlertRulesRequest(
        rules=[
            alert.AlertRuleInput(
                profile_id=f"{MARK}-profile",
                symbol="SAMPLE",
                logic=alert.AlertLogic(
                    operator=alert.ALERT_OPERATOR_CROSSES,
                    price_nanos=150_000_000_000,
                    direction=alert.ALERT_DIRECTION_UP,
                ),
                source=alert.ALERT_SOURCE_USER_MANUAL,
                note=f"{MARK} note",
            )
        ]
    ),
    "AlertEvaluate": lambda _: alert.AlertEvaluateRequest(batch=_ticks()),
    "StreamTicks": lambda _: alert.StreamTicksRequest(batch=_ticks()),
    "BacktestAlert": lambda _: alert.BacktestAlertRequest(
        draft=alert.AlertDraft(
            symbol="SAMPLE",
            logic=alert.AlertLogic(operator=alert.ALERT_OPERATOR_ABOVE, price_nanos=150_000_000_000),
            sample_size=10,
        )
    ),
    "ListAlertRules": lambda _: alert.ListAlertRulesRequest(),
    "ListAlertFirings": lambda _: alert.ListAlertFiringsRequest(symbol="SAMPLE"),
    "AcknowledgeAlert": lambda answers: alert.AcknowledgeAlertRequest(
        rule_id=answers["fired_rule_id"],
        generation=1,
        note=f"{MARK} seen",
        silence_until=Timestamp(seconds=_SOON),
    ),
    "SilenceAlerts": lambda _: alert.SilenceAlertsRequest(
        symbol="SAMPLE", ends_at=Timestamp(seconds=_SOON), reason=f"{MARK} reason"
    ),
    "ListSilences": lambda _: alert.ListSilencesRequest(include_ended=True),
    "EndSilence": lambda answers: alert.EndSilenceRequest(
        silence_id=answers["SilenceAlerts"].silence.silence_id
    ),
    "WatchAlerts": lambda _: alert.WatchAlertsRequest(symbol="SAMPLE"),
    "DeleteAlertRule": lambda answers: alert.DeleteAlertRuleRequest(
        rule_id=answers["PutAlertRules"].results[0].put.rule_id
    ),
}

_REPORTS: Final[Mapping[str, Sample]] = {
    "GetActivationMetrics": lambda answers: report.GetActivationMetricsRequest(
        since="2026-01-01",
        until="2026-01-31",
        group_by=[report.METRICS_DIMENSION_DAY, report.METRICS_DIMENSION_CHANNEL],
        campaign_id=f"{MARK}-campaign",
        marketing_event_id=answers["marketing_event_id"],
        channel="email",
    )
}

_NEWS: Final[Mapping[str, Sample]] = {
    "IngestNews": lambda _: news.IngestNewsRequest(
        items=[
            news.NewsItem(
                title=f"{MARK} headline",
                content="SAMPLE rises",
                source_name="Sample Wire",
                source_url="https://news.example.com/sample",
                language="en",
                published_at=Timestamp(seconds=1_700_000_000),
                sentiment_score=0.8,
                tagged_symbols=["SAMPLE"],
                metadata=b"{}",
            )
        ]
    ),
    "SearchNews": lambda _: news.SearchNewsRequest(
        query="headline",
        symbols=["SAMPLE"],
        published_from=Timestamp(seconds=1_600_000_000),
        published_until=Timestamp(seconds=1_800_000_000),
        minimum_sentiment=0.1,
        maximum_sentiment=0.9,
        limit=5,
    ),
}

_EMBEDDINGS: Final[Mapping[str, Sample]] = {
    "GetEmbeddingQueue": lambda _: embedding.GetEmbeddingQueueRequest(),
    "ListFailedEmbeddings": lambda _: embedding.ListFailedEmbeddingsRequest(),
    "RequeueEmbeddings": lambda _: embedding.RequeueEmbeddingsRequest(
        kind=embedding.EMBEDDING_KIND_PROFILE, entity_ids=[f"{MARK}-dead"]
    ),
}

SAMPLES: Final[Mapping[str, Mapping[str, Sample]]] = {
    "leo.activation.v1.AlertService": _ALERTS,
    "leo.activation.v1.CatalogService": _CATALOG,
    "leo.activation.v1.DecisionService": _DECISIONS,
    "leo.activation.v1.DispatchService": _DISPATCH,
    "leo.activation.v1.EmbeddingService": _EMBEDDINGS,
    "leo.activation.v1.NewsService": _NEWS,
    "leo.activation.v1.ProfileService": _PROFILES,
    "leo.activation.v1.ReportService": _REPORTS,
    "leo.activation.v1.SnapshotService": _SNAPSHOTS,
    "leo.activation.v1.TenantService": _TENANTS,
    "leo.activation.v1.TraceService": _TRACE,
}
"""By service, then by RPC, in an order in which they can be called."""

ENDLESS: Final = frozenset({"WatchAlerts"})
"""Streams that end only when their caller has enough: their first message says that the call was accepted."""

BUILDS_ON: Final[Mapping[str, Sequence[str]]] = {
    "leo.activation.v1.AlertService": [
        "leo.activation.v1.CatalogService",
        "leo.activation.v1.ProfileService",
    ],
    "leo.activation.v1.DecisionService": [
        "leo.activation.v1.CatalogService",
        "leo.activation.v1.ProfileService",
    ],
    "leo.activation.v1.NewsService": ["leo.activation.v1.CatalogService"],
    "leo.activation.v1.SnapshotService": ["leo.activation.v1.ProfileService"],
    "leo.activation.v1.TraceService": ["leo.activation.v1.ProfileService"],
}
"""The services whose samples must be there before those of a service."""


async def _plant_delivery(app: asyncpg.Connection, tenant_id: UUID) -> Answers:
    """A marketing event in use, a delivery of it that is queued, and one that failed."""
    decisions = Decisions(app)
    definitions = await decisions.define(tenant_id)
    profile_id = await decisions.profile(tenant_id, f"{MARK}-{uuid4().hex}", email=planted.EMAIL)
    decided = await decisions.send(definitions, profile_id)
    failed = await decisions.send(definitions, profile_id)
    await decisions.fail(failed)
    return {
        "marketing_event_id": definitions.marketing_event_id,
        "profile_id": profile_id,
        "delivery_key": decided.delivery_key,
        "failed_delivery_key": failed.delivery_key,
    }


async def _plant_dead_job(app: asyncpg.Connection, tenant_id: UUID) -> Answers:
    """A text that could not be embedded."""
    async with app.transaction():
        await app.execute(
            "select set_config('app.current_tenant_id', $1, true)", str(UUID(int=tenant_id.int))
        )
        await app.execute(
            "insert into embedding_job (tenant_id, entity_type, entity_id, status, attempts, last_error)"
            " values ($1, 'profile', $2, 'failed', 1, 'HTTP_400')"
            " on conflict (tenant_id, entity_type, entity_id) do update set status = 'failed'",
            UUID(int=tenant_id.int),
            f"{MARK}-dead",
        )
    return {}


async def _plant_firing(app: asyncpg.Connection, tenant_id: UUID) -> Answers:
    """A rule that fired; no worker is there to decide it."""
    rule_id = hashlib.sha256(uuid4().bytes).hexdigest()
    async with app.transaction():
        await app.execute(
            "select set_config('app.current_tenant_id', $1, true)", str(UUID(int=tenant_id.int))
        )
        await app.execute(
            "insert into alert_rules (tenant_id, rule_id, profile_id, symbol, condition_logic, source, note)"
            " values ($1, $2, $3, 'SAMPLE', $4, 'USER_MANUAL', $5)",
            UUID(int=tenant_id.int),
            rule_id,
            f"{MARK}-profile",
            '{"operator": "above", "direction": "up", "price_nanos": 5}',
            f"{MARK} note",
        )
        await app.execute(
            "select fire_alert_rules(array[$1::uuid], array[$2], array[1::bigint], array[7::bigint],"
            " array[3::bigint], array[now()], array[false], array[null::jsonb], interval '1 hour')",
            UUID(int=tenant_id.int),
            rule_id,
        )
    return {"fired_rule_id": rule_id}


async def _plant_embedded(app: asyncpg.Connection, tenant_id: UUID) -> Answers:
    """A profile that a worker has embedded, and one of somebody who leaves."""
    async with app.transaction():
        await app.execute(
            "select set_config('app.current_tenant_id', $1, true)", str(UUID(int=tenant_id.int))
        )
        await app.execute(
            "insert into cdp_profiles (tenant_id, profile_id, interest_embedding, interest_embedding_model)"
            " values ($1, $2, array_fill(0.5, array[1536])::vector, 'sample-model')"
            " on conflict (tenant_id, profile_id) do nothing",
            UUID(int=tenant_id.int),
            f"{MARK}-embedded",
        )
        await app.execute(
            "insert into cdp_profiles (tenant_id, profile_id) values ($1, $2) on conflict do nothing",
            UUID(int=tenant_id.int),
            f"{MARK}-leaving",
        )
    return {}


PLANTED: Final[Mapping[str, Callable[[asyncpg.Connection, UUID], Awaitable[Answers]]]] = {
    "leo.activation.v1.AlertService": _plant_firing,
    "leo.activation.v1.DispatchService": _plant_delivery,
    "leo.activation.v1.EmbeddingService": _plant_dead_job,
    "leo.activation.v1.ProfileService": _plant_embedded,
    "leo.activation.v1.ReportService": _plant_delivery,
    "leo.activation.v1.TraceService": _plant_delivery,
}
"""What a service's samples need and no RPC of it makes; it counts as answers of earlier samples."""
