-- What the drill reads of the database afterwards, over all tenants, as the superuser.

-- name: decisions
-- Every decision, with what was acknowledged of it, and the name of the marketing event that was sent.
SELECT
    task.tenant_id::text AS tenant,
    task.source_event_id,
    task.profile_id,
    task.occurred_at,
    task.task_id,
    task.outcome,
    task.reason_code,
    task.reasoning_summary,
    task.marketing_event_id,
    definition.event_name,
    ARRAY(SELECT jsonb_array_elements_text(task.result -> 'channels')) AS channels,
    task.due_at,
    task.decided_at,
    task.input_sha256
FROM agent_task AS task
LEFT JOIN marketing_event AS definition USING (tenant_id, marketing_event_id)
WHERE task.task_type = 'execute';

-- name: halves
-- How many of each kind of half there is, of the rows that were made since $1: every number has to be 0.
WITH decision AS MATERIALIZED (
    SELECT * FROM agent_task WHERE task_type = 'execute' AND created_at >= $1
),
delivery AS MATERIALIZED (
    SELECT * FROM delivery_log WHERE created_at >= $1
),
event AS MATERIALIZED (
    SELECT * FROM behavioral_events WHERE created_at >= $1
)
SELECT 'deliveries without the decision to send' AS half, count(*) AS number
FROM delivery
LEFT JOIN decision USING (tenant_id, task_id)
WHERE decision.outcome IS DISTINCT FROM 'send'
UNION ALL
SELECT 'decisions to send without one queued delivery', count(*)
FROM (
    SELECT decision.task_id
    FROM decision
    LEFT JOIN delivery USING (tenant_id, task_id)
    WHERE decision.outcome = 'send'
    GROUP BY decision.tenant_id, decision.task_id
    HAVING count(*) FILTER (WHERE delivery.delivery_status = 'queued') <> 1
) AS unsent
UNION ALL
SELECT 'decisions without their event', count(*)
FROM decision
LEFT JOIN event USING (tenant_id, source_event_id)
WHERE event.event_key IS NULL
UNION ALL
SELECT 'events without a decision', count(*)
FROM event
LEFT JOIN decision USING (tenant_id, source_event_id)
WHERE decision.task_id IS NULL
UNION ALL
SELECT 'decisions to send without their frozen audience', count(*)
FROM decision
LEFT JOIN segment_snapshot_member AS member USING (tenant_id, snapshot_id, profile_id)
WHERE decision.outcome = 'send' AND member.created_at IS NULL
UNION ALL
SELECT 'decisions without their rules', count(*)
FROM decision
LEFT JOIN agent_task AS bundle ON bundle.tenant_id = decision.tenant_id AND bundle.task_id = decision.rule_bundle_id
WHERE bundle.task_id IS NULL
UNION ALL
SELECT 'events that were decided more than once', count(*)
FROM (SELECT 1 FROM decision GROUP BY tenant_id, source_event_id HAVING count(*) > 1) AS repeated
UNION ALL
SELECT 'events that were recorded more than once', count(*)
FROM (SELECT 1 FROM event GROUP BY tenant_id, source_event_id HAVING count(*) > 1) AS repeated;

-- name: epoch
-- Who reserves: odd for Redis, even for PostgreSQL.
SELECT last_value FROM reservation_epoch;
