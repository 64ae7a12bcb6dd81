-- What people change about deliveries and dispatches that are under way, and how they watch them.

-- name: lock_delivery
-- A delivery with its task, which is held for the transaction. $1 tenant, $2 delivery.
SELECT
    task.task_id, task.status AS task_status, task.queue, first.marketing_event_id, first.campaign_id,
    first.profile_id, first.snapshot_id, first.channel
FROM (
    SELECT * FROM delivery_log WHERE delivery_key = $2 AND tenant_id = $1 LIMIT 1
) AS first
JOIN agent_task AS task ON task.tenant_id = $1 AND task.task_id = first.task_id
FOR NO KEY UPDATE OF task;

-- name: list_facts
-- Everything recorded about a task, and of each row whether it is where its delivery stands. $1 tenant, $2 task.
SELECT
    channel, attempt, delivery_status, series, delivery_key,
    row_number() OVER (
        PARTITION BY delivery_key
        ORDER BY leo_delivery_standing(series, delivery_status) DESC, attempt DESC, delivery_id DESC
    ) = 1 AS stands
FROM delivery_log
WHERE tenant_id = $1 AND task_id = $2
ORDER BY delivery_id;

-- name: begin_series
-- Queues a delivery again. $1 tenant, $2 delivery, $3 attempt, $4 task, $5 marketing event, $6 campaign, $7 profile,
-- $8 snapshot, $9 channel, $10 reason, $11 series.
INSERT INTO delivery_log (
    tenant_id, delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel,
    delivery_status, reason, series
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', $10, $11);

-- name: reopen_task
-- Makes a task due that had ended. $1 tenant, $2 task.
UPDATE agent_task
SET status = 'pending', due_at = now(), lease_until = NULL, held_by = NULL
WHERE tenant_id = $1 AND task_id = $2;

-- name: lock_plan
-- Where a plan stands, which is held for the transaction. $1 tenant, $2 plan.
SELECT status, result IS NOT NULL AS is_decided
FROM agent_task
WHERE tenant_id = $1 AND task_id = $2 AND task_type = 'plan' AND queue = 'dispatch' AND parent_task_id IS NULL
FOR NO KEY UPDATE;

-- name: set_plan_status
-- Moves a plan to another status; one that is pending again is due at once. $1 tenant, $2 plan, $3 status.
UPDATE agent_task
SET status = $3,
    due_at = CASE $3 WHEN 'pending' THEN now() ELSE due_at END,
    lease_until = NULL
WHERE tenant_id = $1 AND task_id = $2;

-- name: await_holders
-- Waits for whoever is about to hold deliveries of the tenant back: what they held is seen afterwards. $1 tenant.
SELECT pg_advisory_xact_lock(4713, hashtext($1::uuid::text));

-- name: release_plan
-- Makes due what a plan held back, or, with $3, all of it that waits; the queues that have work then. $1 tenant,
-- $2 plan.
WITH released AS (
    UPDATE agent_task
    SET due_at = least(due_at, now()),
        held_by = NULL
    WHERE
        parent_task_id = $2 AND tenant_id = $1 AND status = 'pending' AND ($3::boolean OR held_by = 'dispatch')
    RETURNING queue
)
SELECT DISTINCT queue FROM released;

-- name: count_deliveries
-- How many deliveries of a plan stand where. $1 tenant, $2 plan.
SELECT current.delivery_status AS status, count(*) AS count
FROM (
    SELECT task_id FROM agent_task WHERE parent_task_id = $2 AND tenant_id = $1 AND outcome = 'send' OFFSET 0
) AS task
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (log.delivery_key) log.delivery_status
    FROM delivery_log AS log
    WHERE log.tenant_id = $1 AND log.task_id = task.task_id
    ORDER BY
        log.delivery_key, leo_delivery_standing(log.series, log.delivery_status) DESC, log.attempt DESC,
        log.delivery_id DESC
) AS current
GROUP BY current.delivery_status
ORDER BY current.delivery_status;

-- name: count_open
-- How many decisions of a plan still have something to do. $1 tenant, $2 plan.
SELECT count(*)
FROM agent_task
WHERE parent_task_id = $2 AND tenant_id = $1 AND status = 'pending' AND task_type = 'execute';
