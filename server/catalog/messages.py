"""The catalogue's wire messages to models and back. They never fail: the services check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from leo.activation.v1 import catalog_service_pb2 as wire

from server.catalog.model import (
    Audience,
    Campaign,
    Experiment,
    Instrument,
    MarketingEvent,
    MessageTemplate,
    Variant,
)
from server.catalog.model.experiment import DEFAULT_WINDOW_SECONDS
from server.templates import DEFAULT_ENGINE, name_of
from server.wire import (
    from_frequency_caps,
    from_quiet_hours,
    to_contact_policy,
    to_datetime,
    to_timestamp,
)

_Number = TypeVar("_Number", bound=int)

CAMPAIGN_STATUSES: Final = {
    wire.CAMPAIGN_STATUS_DRAFT: "draft",
    wire.CAMPAIGN_STATUS_ACTIVE: "active",
    wire.CAMPAIGN_STATUS_PAUSED: "paused",
    wire.CAMPAIGN_STATUS_COMPLETED: "completed",
}
EVENT_TYPES: Final = {
    wire.MARKETING_EVENT_TYPE_BROADCAST: "BROADCAST",
    wire.MARKETING_EVENT_TYPE_TRIGGER: "TRIGGER",
    wire.MARKETING_EVENT_TYPE_API: "API",
}
EVENT_STATUSES: Final = {
    wire.MARKETING_EVENT_STATUS_PLANNED: "planned",
    wire.MARKETING_EVENT_STATUS_ACTIVE: "active",
    wire.MARKETING_EVENT_STATUS_CANCELLED: "cancelled",
    wire.MARKETING_EVENT_STATUS_SUPERSEDED: "superseded",
}
TEMPLATE_STATUSES: Final = {
    wire.MESSAGE_TEMPLATE_STATUS_DRAFT: "draft",
    wire.MESSAGE_TEMPLATE_STATUS_ACTIVE: "active",
    wire.MESSAGE_TEMPLATE_STATUS_SUPERSEDED: "superseded",
}
ALLOCATIONS: Final = {
    wire.EXPERIMENT_ALLOCATION_UNSPECIFIED: "fixed",
    wire.EXPERIMENT_ALLOCATION_FIXED: "fixed",
    wire.EXPERIMENT_ALLOCATION_THOMPSON: "thompson",
}
EXPERIMENT_STATUSES: Final = {
    wire.EXPERIMENT_STATUS_DRAFT: "draft",
    wire.EXPERIMENT_STATUS_RUNNING: "running",
    wire.EXPERIMENT_STATUS_PAUSED: "paused",
    wire.EXPERIMENT_STATUS_COMPLETED: "completed",
}
INSTRUMENT_TYPES: Final = {
    wire.INSTRUMENT_TYPE_STOCK: "STOCK",
    wire.INSTRUMENT_TYPE_CRYPTO: "CRYPTO",
    wire.INSTRUMENT_TYPE_FX: "FX",
    wire.INSTRUMENT_TYPE_INDEX: "INDEX",
    wire.INSTRUMENT_TYPE_FUND: "FUND",
    wire.INSTRUMENT_TYPE_COMMODITY: "COMMODITY",
}
INSTRUMENT_STATUSES: Final = {
    wire.INSTRUMENT_STATUS_ACTIVE: "active",
    wire.INSTRUMENT_STATUS_INACTIVE: "inactive",
}


def _numbers(names: Mapping[_Number, str]) -> dict[str, _Number]:
    return {name: number for number, name in names.items()}


_CAMPAIGN_STATUS_NUMBERS: Final = _numbers(CAMPAIGN_STATUSES)
_EVENT_TYPE_NUMBERS: Final = _numbers(EVENT_TYPES)
_EVENT_STATUS_NUMBERS: Final = _numbers(EVENT_STATUSES)
_TEMPLATE_STATUS_NUMBERS: Final = _numbers(TEMPLATE_STATUSES)
_ALLOCATION_NUMBERS: Final = _numbers(ALLOCATIONS)
_EXPERIMENT_STATUS_NUMBERS: Final = _numbers(EXPERIMENT_STATUSES)
_INSTRUMENT_TYPE_NUMBERS: Final = _numbers(INSTRUMENT_TYPES)
_INSTRUMENT_STATUS_NUMBERS: Final = _numbers(INSTRUMENT_STATUSES)


def to_campaign(message: wire.Campaign) -> Campaign:
    """The campaign that the caller wants."""
    audience = message.audience if message.HasField("audience") else None
    quiet_hours = message.quiet_hours if message.HasField("quiet_hours") else None
    return Campaign(
        campaign_id=message.campaign_id,
        campaign_code=message.campaign_code,
        campaign_name=message.campaign_name,
        objective=message.objective,
        status=CAMPAIGN_STATUSES.get(message.status, "draft"),
        start_at=to_datetime(message.start_at) if message.HasField("start_at") else None,
        end_at=to_datetime(message.end_at) if message.HasField("end_at") else None,
        audience=Audience(audience.name, audience.condition) if audience else None,
        policy=to_contact_policy(message.frequency_caps, quiet_hours),
    )


def from_campaign(campaign: Campaign) -> wire.Campaign:
    """The stored campaign."""
    audience = campaign.audience
    return wire.Campaign(
        campaign_id=campaign.campaign_id,
        campaign_code=campaign.campaign_code,
        campaign_name=campaign.campaign_name,
        objective=campaign.objective,
        status=_CAMPAIGN_STATUS_NUMBERS[campaign.status],
        start_at=to_timestamp(campaign.start_at),
        end_at=to_timestamp(campaign.end_at),
        audience=wire.Audience(name=audience.name, condition=audience.condition, version=audience.version)
        if audience
        else None,
        frequency_caps=from_frequency_caps(campaign.policy),
        quiet_hours=from_quiet_hours(campaign.policy),
        created_at=to_timestamp(campaign.created_at),
        updated_at=to_timestamp(campaign.updated_at),
    )


def to_marketing_event(message: wire.MarketingEvent) -> MarketingEvent:
    """The definition that the caller wants."""
    return MarketingEvent(
        campaign_id=message.campaign_id,
        event_name=message.event_name,
        event_type=EVENT_TYPES.get(message.event_type, ""),
        channels=tuple(message.channels),
        trigger_event_type=message.trigger_event_type or None,
        topic=message.topic or None,
        valid_for_seconds=message.valid_for_seconds or None,
        receipt_seconds=message.receipt_seconds or None,
        condition=message.condition or None,
        template_name=message.template_name,
        priority=message.priority,
        cooldown_seconds=message.cooldown_seconds,
        start_at=to_datetime(message.start_at) if message.HasField("start_at") else None,
        end_at=to_datetime(message.end_at) if message.HasField("end_at") else None,
        description=message.description,
        status=EVENT_STATUSES.get(message.status, "active"),
    )


def from_marketing_event(event: MarketingEvent) -> wire.MarketingEvent:
    """The stored definition."""
    return wire.MarketingEvent(
        marketing_event_id=event.marketing_event_id,
        campaign_id=event.campaign_id,
        event_name=event.event_name,
        event_type=_EVENT_TYPE_NUMBERS[event.event_type],
        channels=event.channels,
        trigger_event_type=event.trigger_event_type or "",
        topic=event.topic or "",
        valid_for_seconds=event.valid_for_seconds or 0,
        receipt_seconds=event.receipt_seconds or 0,
        condition=event.condition or b"",
        template_name=event.template_name,
        priority=event.priority,
        cooldown_seconds=event.cooldown_seconds,
        start_at=to_timestamp(event.start_at),
        end_at=to_timestamp(event.end_at),
        description=event.description,
        status=_EVENT_STATUS_NUMBERS[event.status],
        created_at=to_timestamp(event.created_at),
        updated_at=to_timestamp(event.updated_at),
    )


def to_message_template(message: wire.MessageTemplate) -> MessageTemplate:
    """The template that the caller wants."""
    return MessageTemplate(
        template_name=message.template_name,
        channel=message.channel,
        language=message.language or "default",
        subject_template=message.subject_template,
        body_template=message.body_template,
        template_engine=message.template_engine or DEFAULT_ENGINE,
        metadata=message.metadata,
        status=TEMPLATE_STATUSES.get(message.status, "active"),
    )


def to_draft(message: wire.DraftMessageTemplate) -> MessageTemplate:
    """A text that is not stored."""
    return MessageTemplate(
        template_name="",
        channel=message.channel,
        subject_template=message.subject_template,
        body_template=message.body_template,
        template_engine=message.template_engine or DEFAULT_ENGINE,
        metadata=message.metadata,
    )


def from_message_template(template: MessageTemplate) -> wire.MessageTemplate:
    """The stored version."""
    return wire.MessageTemplate(
        template_id=str(template.template_id),
        template_name=template.template_name,
        channel=template.channel,
        language=template.language,
        subject_template=template.subject_template,
        body_template=template.body_template,
        template_engine=template.template_engine,
        metadata=template.metadata,
        required_variables=[name_of(path) for path in template.required_variables],
        version=template.version,
        status=_TEMPLATE_STATUS_NUMBERS[template.status],
        created_at=to_timestamp(template.created_at),
        updated_at=to_timestamp(template.updated_at),
    )


def to_experiment(message: wire.Experiment) -> Experiment:
    """The experiment that the caller wants."""
    return Experiment(
        experiment_id=message.experiment_id,
        experiment_name=message.experiment_name,
        campaign_id=message.campaign_id,
        event_name=message.event_name,
        allocation=ALLOCATIONS.get(message.allocation, ""),
        variants=tuple(Variant(v.name, v.weight, v.template_name or None) for v in message.variants),
        holdout_fraction=message.holdout_fraction,
        seed=message.seed,
        conversion_event_type=message.conversion_event_type or None,
        attribution_window_seconds=message.attribution_window_seconds or DEFAULT_WINDOW_SECONDS,
        start_at=to_datetime(message.start_at) if message.HasField("start_at") else None,
        end_at=to_datetime(message.end_at) if message.HasField("end_at") else None,
    )


def from_experiment(experiment: Experiment) -> wire.Experiment:
    """The stored experiment."""
    return wire.Experiment(
        experiment_id=experiment.experiment_id,
        experiment_name=experiment.experiment_name,
        campaign_id=experiment.campaign_id,
        event_name=experiment.event_name,
        allocation=_ALLOCATION_NUMBERS[experiment.allocation],
        variants=[
            wire.ExperimentVariant(name=v.name, weight=v.weight, template_name=v.template_name or "")
            for v in experiment.variants
        ],
        holdout_fraction=experiment.holdout_fraction,
        seed=experiment.seed,
        conversion_event_type=experiment.conversion_event_type or "",
        attribution_window_seconds=experiment.attribution_window_seconds,
        start_at=to_timestamp(experiment.start_at),
        end_at=to_timestamp(experiment.end_at),
        status=_EXPERIMENT_STATUS_NUMBERS[experiment.status],
        counts=[
            wire.VariantCount(variant=name, exposures=count.exposures, conversions=count.conversions)
            for name, count in sorted(experiment.counts.items())
        ],
        status_changed_at=to_timestamp(experiment.status_changed_at),
        created_at=to_timestamp(experiment.created_at),
        updated_at=to_timestamp(experiment.updated_at),
    )


def to_instrument(message: wire.Instrument) -> Instrument:
    """The instrument that the caller wants."""
    return Instrument(
        symbol=message.symbol,
        instrument_name=message.instrument_name,
        type=INSTRUMENT_TYPES.get(message.type, ""),
        currency=message.currency or None,
        exchange=message.exchange or None,
        metadata=message.metadata,
        status=INSTRUMENT_STATUSES.get(message.status, "active"),
    )


def from_instrument(instrument: Instrument) -> wire.Instrument:
    """The stored instrument."""
    return wire.Instrument(
        symbol=instrument.symbol,
        instrument_name=instrument.instrument_name,
        type=_INSTRUMENT_TYPE_NUMBERS[instrument.type],
        currency=instrument.currency or "",
        exchange=instrument.exchange or "",
        metadata=instrument.metadata,
        status=_INSTRUMENT_STATUS_NUMBERS[instrument.status],
        **{"global": instrument.shared},
    )
