-- What fired, who has seen it, and what is silenced.

-- name: find_rule_owner
-- Whom a rule alerts; no row where the tenant has none of this id. $1 tenant, $2 rule id.
SELECT profile_id FROM alert_rules WHERE tenant_id = $1 AND rule_id = $2;

-- name: insert_silence
-- A new silence; one of the same id stays as it is. $1 tenant, $2 id, $3 profile that it is about or null, $4 target,
-- $5 reason, $6 who asked, as a JSON object, $7 end.
INSERT INTO agent_task (
    tenant_id, task_id, agent_name, task_type, profile_id, source_event_id, event_type, reasoning_summary, inputs,
    status, queue, due_at
)
VALUES ($1, $2, 'alerts', 'plan', $3, $4, 'alert.silence', $5, $6, 'pending', 'silences', $7)
ON CONFLICT (tenant_id, task_id) DO NOTHING;

-- name: find_silence
-- One silence. $1 tenant, $2 id.
SELECT
    task_id, source_event_id, due_at, reasoning_summary, inputs, result, created_at,
    status = 'pending' AND due_at > statement_timestamp() AS active
FROM agent_task
WHERE tenant_id = $1 AND task_id = $2 AND queue = 'silences';

-- name: list_active_silences
-- Silences in force, the latest first. $1 tenant, $2 time and $3 id to go on after, $4 how many.
SELECT
    task_id, source_event_id, due_at, reasoning_summary, inputs, result, created_at, TRUE AS active
FROM agent_task
WHERE
    tenant_id = $1
    AND queue = 'silences'
    AND status = 'pending'
    AND due_at > statement_timestamp()
    AND (created_at, task_id) < ($2::timestamptz, $3)
ORDER BY created_at DESC, task_id DESC
LIMIT $4;

-- name: list_silences
-- All silences, the latest first. $1 tenant, $2 time and $3 id to go on after, $4 how many.
SELECT
    task_id, source_event_id, due_at, reasoning_summary, inputs, result, created_at,
    status = 'pending' AND due_at > statement_timestamp() AS active
FROM agent_task
WHERE tenant_id = $1 AND queue = 'silences' AND (created_at, task_id) < ($2::timestamptz, $3)
ORDER BY created_at DESC, task_id DESC
LIMIT $4;

-- name: end_silence
-- Ends a silence that is in force. $1 tenant, $2 id, $3 who and when, as a JSON object.
UPDATE agent_task
SET status = 'cancelled', result = $3
WHERE
    tenant_id = $1 AND task_id = $2 AND queue = 'silences' AND status = 'pending' AND due_at > statement_timestamp();

-- name: claim_silences
-- Leases silences whose time is over, of any tenant. $1 how many, $2 lease, $3 who claims.
SELECT tenant_id, task_id FROM claim_tasks('silences', $1, $2, $3);

-- name: complete_silences
-- Files silences whose time is over. $1 tenant, $2 ids.
UPDATE agent_task
SET status = 'completed'
WHERE
    tenant_id = $1
    AND task_id = ANY ($2::text[])
    AND queue = 'silences'
    AND status = 'pending'
    AND due_at <= statement_timestamp();

-- name: insert_acknowledgement
-- That somebody has seen a firing; the first one stands. $1 tenant, $2 id, $3 task of the firing, $4 profile, $5 event
-- of the firing, $6 note, $7 who, as a JSON object.
INSERT INTO agent_task (
    tenant_id, task_id, agent_name, task_type, profile_id, parent_task_id, source_event_id, event_type,
    reasoning_summary, inputs, status
)
VALUES ($1, $2, 'alerts', 'evaluate', $4, $3, $5, 'alert.acknowledged', $6, $7, 'completed')
ON CONFLICT (tenant_id, task_id) DO NOTHING;

-- name: scan_firings
-- The next firings, the latest first, each with whether it is one of those asked for. $1 tenant, $2 transaction and
-- $3 task to go on after, $4 how many, $5 profile or null, $6 symbol or null, $7 beginning of the event id or null.
SELECT
    recorded_xid::text AS xid, task_id, source_event_id,
    ($5::text IS NULL OR profile_id = $5)
    AND ($6::text IS NULL OR inputs ->> 'symbol' = $6)
    AND ($7::text IS NULL OR starts_with(source_event_id, $7)) AS wanted
FROM agent_task
WHERE
    tenant_id = $1
    AND queue = 'alerts'
    AND recorded_xid IS NOT NULL
    AND (recorded_xid, task_id) < ($2::text::xid8, $3::text)
ORDER BY agent_task.recorded_xid DESC, task_id DESC
LIMIT $4;

-- name: firings_between
-- Firings that the second snapshot shows and the first one does not, by transaction and task. $1 tenant, $2 transaction
-- and $3 task to go on after, $4 the first snapshot, $5 the second, $6 how many.
SELECT recorded_xid::text AS xid, task_id, source_event_id
FROM agent_task
WHERE
    tenant_id = $1
    AND queue = 'alerts'
    AND recorded_xid IS NOT NULL
    AND (recorded_xid, task_id) > ($2::text::xid8, $3::text)
    AND NOT pg_visible_in_snapshot(recorded_xid, $4::text::pg_snapshot)
    AND pg_visible_in_snapshot(recorded_xid, $5::text::pg_snapshot)
ORDER BY agent_task.recorded_xid, task_id
LIMIT $6;

-- name: describe_firings
-- Firings with their decisions and acknowledgements. $1 tenant, then as columns: $2 tasks, $3 tasks of their decisions,
-- $4 tasks of their acknowledgements.
SELECT
    firing.task_id, firing.recorded_xid::text AS xid, firing.source_event_id, firing.profile_id, firing.occurred_at,
    firing.inputs, firing.status, firing.reason_code, firing.result, firing.created_at,
    decision.outcome, decision.reason_code AS decision_reason,
    seen.created_at AS seen_at, seen.inputs AS seen_by, seen.reasoning_summary AS seen_note
FROM unnest($2::text[], $3::text[], $4::text[]) AS wanted (task_id, decision_id, seen_id)
JOIN agent_task AS firing
    ON firing.tenant_id = $1 AND firing.task_id = wanted.task_id AND firing.recorded_xid IS NOT NULL
LEFT JOIN agent_task AS decision ON decision.tenant_id = $1 AND decision.task_id = wanted.decision_id
LEFT JOIN agent_task AS seen ON seen.tenant_id = $1 AND seen.task_id = wanted.seen_id;

-- name: current_snapshot
-- Which transactions are over, as text.
SELECT pg_current_snapshot()::text;

-- name: tenants_with_firings
-- Which of these tenants have firings that a snapshot does not show. $1 tenants, $2 the snapshot.
SELECT tenant_id FROM tenants_with_firings($1::uuid[], $2::text::pg_snapshot);
