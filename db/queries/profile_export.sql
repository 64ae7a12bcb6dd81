-- Everything that is stored about one person. Each section is one column of JSON, a row for each row, in the order in
-- which they came about; all of them in one transaction that sees the database as it was at its beginning.

-- name: find_subject
-- Whether the tenant ($1) has anything about this id ($2): a profile, or what is kept of people without one.
select exists (select from cdp_profiles where tenant_id = $1 and profile_id = $2)
    or exists (select from agent_task where profile_id = $2 and tenant_id = $1)
    or exists (select from behavioral_events where profile_id = $2 and tenant_id = $1)
    or exists (select from alert_rules where profile_id = $2 and tenant_id = $1)
    or exists (select from activation_outcomes where profile_id = $2 and tenant_id = $1)

-- name: record_export
-- Records who asks for an export, when and why. $1 tenant, $2 task, $3 profile, $4 why, $5 inputs, $6 when.
insert into agent_task (
    tenant_id, task_id, agent_name, task_type, profile_id, reasoning_summary, inputs, status, decided_at
)
values ($1, $2, 'profile_export', 'plan', $3, $4, $5::jsonb, 'completed', $6)

-- name: record_handover
-- Records what an export handed over, once. $1 tenant, $2 task, $3 how many documents by section, $4 their hash.
update agent_task
set result = $3::jsonb, output_sha256 = $4
where tenant_id = $1 and task_id = $2 and result is null

-- name: begin_export
-- The moment of the open transaction, and when the profile ($2) of a tenant ($1) was erased; always one row.
select now() as exported_at, (select erased_at from cdp_profiles where tenant_id = $1 and profile_id = $2) as erased_at

-- name: export_profile
-- The profile ($2) of a tenant ($1) with its vector of interests.
select (
    to_jsonb(stored) - 'tenant_id'
    || jsonb_build_object('interest_embedding', interest_embedding::text::jsonb)
)::text as document
from cdp_profiles as stored
where tenant_id = $1 and profile_id = $2

-- name: export_consents
-- Consents of a profile ($2) of a tenant ($1).
select (to_jsonb(stored) - 'tenant_id')::text as document
from consent_management as stored
where tenant_id = $1 and profile_id = $2
order by channel

-- name: export_tasks
-- Decisions, alerts that fired, silences, exports and whatever else is recorded about a profile ($2) of a tenant ($1).
select (to_jsonb(stored) - 'tenant_id')::text as document
from agent_task as stored
where profile_id = $2 and tenant_id = $1
order by created_at, task_id

-- name: export_deliveries
-- Every row of the delivery log about a profile ($2) of a tenant ($1), as rendered.
select (to_jsonb(stored) - 'tenant_id')::text as document
from delivery_log as stored
where profile_id = $2 and tenant_id = $1
order by created_at, delivery_id

-- name: export_events
-- What a profile ($2) of a tenant ($1) did.
select (to_jsonb(stored) - 'tenant_id')::text as document
from behavioral_events as stored
where profile_id = $2 and tenant_id = $1
order by occurred_at, event_key

-- name: export_snapshots
-- The audiences that hold a profile ($2) of a tenant ($1): those that the profile, its tasks or its deliveries name. No
-- index leads from a person to the members of audiences; workers write the ids to the profile within seconds.
with named as (
    select jsonb_array_elements_text(segment_snapshots) as snapshot_id
    from cdp_profiles
    where tenant_id = $1 and profile_id = $2
    union
    select snapshot_id from agent_task where profile_id = $2 and tenant_id = $1 and snapshot_id is not null
    union
    select snapshot_id from delivery_log where profile_id = $2 and tenant_id = $1
)
select (
    to_jsonb(frozen) - 'tenant_id'
    || jsonb_build_object('profile_id', member.profile_id, 'member_since', member.created_at)
)::text as document
from named
join segment_snapshot_member as member
    on member.tenant_id = $1 and member.snapshot_id = named.snapshot_id and member.profile_id = $2
join segment_snapshot as frozen on frozen.tenant_id = $1 and frozen.snapshot_id = named.snapshot_id
order by frozen.created_at, frozen.snapshot_id

-- name: export_alert_rules
-- Alert rules of a profile ($2) of a tenant ($1).
select (to_jsonb(stored) - 'tenant_id')::text as document
from alert_rules as stored
where profile_id = $2 and tenant_id = $1
order by created_at, rule_id

-- name: export_outcomes
-- What was attributed to messages to a profile ($2) of a tenant ($1).
select (to_jsonb(stored) - 'tenant_id')::text as document
from activation_outcomes as stored
where profile_id = $2 and tenant_id = $1
order by occurred_at, outcome_id

-- name: export_embedding_jobs
-- How the vector of a profile ($2) of a tenant ($1) was made; its signs, elsewhere, say nothing that it does not.
select (to_jsonb(stored) - 'tenant_id' - 'vector_signs')::text as document
from embedding_job as stored
where tenant_id = $1 and entity_type = 'profile' and entity_id = $2
