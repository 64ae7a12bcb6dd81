-- name: find_recorded
-- One decision with all that a replay of it compares. $1 tenant, $2 task id.
SELECT
    task_id, profile_id, input_sha256, rule_bundle_id, inputs, outcome, reason_code, marketing_event_id, result,
    reasoning_trace, output_sha256
FROM agent_task
WHERE tenant_id = $1 AND task_id = $2 AND rule_bundle_id IS NOT NULL;

-- name: find_bundle
-- The document of a stored rule bundle. $1 tenant, $2 bundle id.
SELECT inputs FROM agent_task WHERE tenant_id = $1 AND task_id = $2 AND agent_name = 'rule_bundle';

-- name: slice_decisions
-- Divides the decisions of a span of time evenly: from when each part counts, and about how many it has.
-- $1 tenant, $2 since, $3 until (exclusive), $4 how many parts at most.
SELECT
    min(decided_at) AS begins_at,
    count(*) AS decisions
FROM (
    SELECT
        decided_at,
        ntile($4::integer) OVER (ORDER BY decided_at) AS part
    FROM agent_task
    WHERE tenant_id = $1 AND rule_bundle_id IS NOT NULL AND decided_at >= $2 AND decided_at < $3
) AS decided
GROUP BY part
ORDER BY part;

-- name: page_decisions
-- The next decisions of a span of time, in the order of time and task. $1 tenant, $2 and $3 time and task of the
-- last one that is known (the span's beginning and '' for the first page), $4 until (exclusive), $5 how many.
SELECT
    task_id, profile_id, input_sha256, rule_bundle_id, inputs, outcome, reason_code, marketing_event_id,
    output_sha256, decided_at
FROM agent_task
WHERE
    tenant_id = $1
    AND rule_bundle_id IS NOT NULL
    AND decided_at >= $2
    AND decided_at < $4
    AND (decided_at > $2 OR task_id > $3)
ORDER BY decided_at, task_id
LIMIT $5;
