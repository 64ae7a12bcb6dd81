"""Messages of ProfileService to models, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from leo.activation.v1 import profile_service_pb2 as wire

from server.errors import FieldViolation
from server.profiles.erasure import Person
from server.profiles.erasure_store import Erased
from server.profiles.events import IncomingEvent
from server.profiles.export import Begin, Documents, ExportPart
from server.profiles.ingestion import Ingested
from server.profiles.model import NOT_WRITTEN, Consent, Outcome, Profile, ProfilePatch, WriteResult
from server.profiles.similar import LookAlikes
from server.wire import to_datetime, to_timestamp

_OUTCOMES: Final = {
    Outcome.CREATED: wire.PROFILE_WRITE_OUTCOME_CREATED,
    Outcome.UPDATED: wire.PROFILE_WRITE_OUTCOME_UPDATED,
    Outcome.UNCHANGED: wire.PROFILE_WRITE_OUTCOME_UNCHANGED,
    Outcome.STALE: wire.PROFILE_WRITE_OUTCOME_STALE,
    Outcome.REFUSED: wire.PROFILE_WRITE_OUTCOME_REFUSED,
    Outcome.SUPPRESSED: wire.PROFILE_WRITE_OUTCOME_SUPPRESSED,
}
_STATUSES: Final = {"granted": wire.CONSENT_STATUS_GRANTED, "withdrawn": wire.CONSENT_STATUS_WITHDRAWN}
_STATUS_NAMES: Final = {number: name for name, number in _STATUSES.items()}


def to_patch(message: wire.ProfilePatch) -> ProfilePatch:
    """The patch; its checks look at all that a message can hold."""
    has = message.HasField
    return ProfilePatch(
        profile_id=message.profile_id,
        ext_id=message.ext_id if has("ext_id") else None,
        identities=list(message.identities.values) if has("identities") else None,
        primary_email=message.primary_email if has("primary_email") else None,
        mobile_number=message.mobile_number if has("mobile_number") else None,
        living_location=message.living_location if has("living_location") else None,
        latitude=message.latitude if has("latitude") else None,
        longitude=message.longitude if has("longitude") else None,
        job_titles=list(message.job_titles.values) if has("job_titles") else None,
        interests=list(message.interests.values) if has("interests") else None,
        data_labels=list(message.data_labels.values) if has("data_labels") else None,
        segments=list(message.segments.values) if has("segments") else None,
        portfolio_snapshot=message.portfolio_snapshot if has("portfolio_snapshot") else None,
        portfolio_risk_score=message.portfolio_risk_score if has("portfolio_risk_score") else None,
        raw_attributes=message.raw_attributes if has("raw_attributes") else None,
        replace_raw_attributes=message.replace_raw_attributes,
        channel_addresses=_to_addresses(message),
        language=message.language if has("language") else None,
        time_zone=message.time_zone if has("time_zone") else None,
        source_updated_at=to_datetime(message.source_updated_at) if has("source_updated_at") else None,
        clear_fields=message.clear_fields,
        consents=[to_consent(consent) for consent in message.consents],
    )


def to_consent(message: wire.Consent) -> Consent:
    """The consent; its checks look at all that a message can hold."""
    return Consent(
        profile_id=message.profile_id,
        channel=message.channel,
        status=_STATUS_NAMES.get(message.status, ""),
        legal_basis=message.legal_basis,
        source=message.source,
        expires_at=to_datetime(message.expires_at) if message.HasField("expires_at") else None,
        stated_at=to_datetime(message.stated_at) if message.HasField("stated_at") else None,
    )


def from_results(results: Sequence[WriteResult]) -> list[wire.ProfileWriteResult]:
    """One message for each."""
    return [
        wire.ProfileWriteResult(
            outcome=_OUTCOMES[result.outcome],
            faults=_from_faults(result.faults),
            profile_id=result.profile_id,
        )
        for result in results
    ]


def from_imported(sequence: int, results: Sequence[WriteResult]) -> wire.ImportProfilesResponse:
    """How many profiles of a part became what, and those that were refused."""
    counts = Counter(result.outcome for result in results)
    return wire.ImportProfilesResponse(
        sequence=sequence,
        created=counts[Outcome.CREATED],
        updated=counts[Outcome.UPDATED],
        unchanged=counts[Outcome.UNCHANGED],
        stale=counts[Outcome.STALE],
        refused=[
            wire.RefusedProfile(index=index, faults=_from_faults(result.faults))
            for index, result in enumerate(results)
            if result.outcome in NOT_WRITTEN
        ],
        suppressed=counts[Outcome.SUPPRESSED],
    )


def to_event(message: wire.BehavioralEvent) -> IncomingEvent:
    """The event; its checks look at all that a message can hold."""
    return IncomingEvent(
        message.source_event_id,
        message.profile_id,
        message.event_type,
        to_datetime(message.occurred_at) if message.HasField("occurred_at") else None,
        message.entity_type,
        message.entity_id,
        message.sentiment if message.HasField("sentiment") else None,
        message.attributes,
    )


def from_ingested(ingested: Ingested) -> wire.IngestEventsResponse:
    """What became of a batch of events."""
    return wire.IngestEventsResponse(
        recorded=ingested.recorded,
        known=ingested.known,
        refused=[
            wire.RefusedEvent(index=index, faults=_from_faults(faults))
            for index, faults in ingested.refused.items()
        ],
    )


def _from_faults(faults: Sequence[FieldViolation]) -> list[wire.ItemFault]:
    return [wire.ItemFault(field=fault.field, description=fault.description) for fault in faults]


def from_profile(profile: Profile) -> wire.Profile:
    """The stored profile."""
    return wire.Profile(
        profile_id=profile.profile_id,
        ext_id=profile.ext_id or "",
        identities=profile.identities,
        primary_email=profile.primary_email or "",
        mobile_number=profile.mobile_number or "",
        living_location=profile.living_location or "",
        latitude=profile.latitude,
        longitude=profile.longitude,
        job_titles=profile.job_titles,
        interests=profile.interests,
        data_labels=profile.data_labels,
        segments=profile.segments,
        segment_snapshots=profile.segment_snapshots,
        portfolio_snapshot=profile.portfolio_snapshot,
        portfolio_risk_score=profile.portfolio_risk_score,
        raw_attributes=profile.raw_attributes,
        channel_addresses={
            channel: wire.ChannelAddresses(addresses=addresses)
            for channel, addresses in profile.channel_addresses.items()
        },
        language=profile.language or "",
        time_zone=profile.time_zone or "",
        source_updated_at=to_timestamp(profile.source_updated_at),
        created_at=to_timestamp(profile.created_at),
        updated_at=to_timestamp(profile.updated_at),
        erased_at=to_timestamp(profile.erased_at),
    )


def from_consent(consent: Consent) -> wire.Consent:
    """The stored consent."""
    return wire.Consent(
        profile_id=consent.profile_id,
        channel=consent.channel,
        status=_STATUSES[consent.status],
        legal_basis=consent.legal_basis,
        source=consent.source,
        expires_at=to_timestamp(consent.expires_at),
        granted_at=to_timestamp(consent.granted_at),
        withdrawn_at=to_timestamp(consent.withdrawn_at),
        stated_at=to_timestamp(consent.stated_at),
    )


def from_export(part: ExportPart) -> wire.ExportProfileResponse:
    """One part of an export."""
    if isinstance(part, Begin):
        begin = wire.ExportBegin(
            profile_id=part.profile_id,
            exported_at=to_timestamp(part.exported_at),
            task_id=part.task_id,
            erased_at=to_timestamp(part.erased_at),
        )
        return wire.ExportProfileResponse(begin=begin)
    if isinstance(part, Documents):
        documents = wire.ExportDocuments(section=part.section, documents=part.documents)
        return wire.ExportProfileResponse(documents=documents)
    sections = [wire.ExportSection(section=name, documents=count) for name, count in part.counts.items()]
    return wire.ExportProfileResponse(end=wire.ExportEnd(sections=sections, sha256=part.sha256))


def _to_addresses(message: wire.ProfilePatch) -> dict[str, Sequence[str]] | None:
    entries = message.channel_addresses
    return {channel: entry.addresses for channel, entry in entries.items()} if entries else None


def to_person(message: wire.EraseProfileRequest) -> Person:
    """Whom the caller means."""
    kind = message.WhichOneof("person") or ""
    return Person(kind, getattr(message, kind) if kind else "")


def from_erased(erased: Erased) -> wire.EraseProfileResponse:
    """What is left, and how much was redacted."""
    return wire.EraseProfileResponse(
        profile_id=erased.profile_id,
        erased_at=to_timestamp(erased.erased_at),
        task_id=erased.task_id,
        rows=erased.rows,
    )


def from_similar(found: LookAlikes) -> wire.SimilarProfilesResponse:
    """Look-alikes, the most similar first."""
    return wire.SimilarProfilesResponse(
        profiles=[
            wire.SimilarProfile(profile_id=each.profile_id, similarity=each.similarity)
            for each in found.profiles
        ],
        model=found.model,
        members=found.members,
        exact=found.exact,
    )
