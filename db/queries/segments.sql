-- Membership in named segments: judged in SQL, written where it changed, with the events and the wishes for decisions
-- that follow from it, in one statement.

-- name: list_segments
-- The definitions of all named segments that are in force: an active campaign's, else a paused one's. $1 tenant.
SELECT DISTINCT ON (audience ->> 'name')
    audience ->> 'name' AS segment_name,
    audience ->> 'version' AS segment_version,
    audience -> 'condition' AS condition
FROM campaign
WHERE tenant_id = $1 AND audience IS NOT NULL AND status IN ('active', 'paused')
ORDER BY audience ->> 'name', status, updated_at DESC;

-- name: is_waited_for
-- Whether a marketing event in use is triggered by entering or leaving a segment. $1 tenant, $2 types.
SELECT EXISTS (
    SELECT FROM marketing_event
    WHERE tenant_id = $1 AND status = 'active' AND trigger_event_type = ANY ($2::text[])
);

-- name: take_turn
-- Whether this transaction is the one that evaluates the tenant; until its end. $1 tenant.
SELECT pg_try_advisory_xact_lock(hashtextextended('leo.segments:' || $1::uuid, 0));

-- name: judge_next
-- Judges the next profiles in the order of their ids, and writes those that are in other segments than before. A row
-- that somebody else changed meanwhile is left to the next time. $1 tenant, $2 the id to go on after, $3 how many, $4 the
-- present, $5 versions by segment, $6 whether changes are to be decided on; parameters of the judgement follow, which
-- takes the place of the marked one.
WITH batch AS MATERIALIZED (
    SELECT profile_id
    FROM cdp_profiles
    WHERE tenant_id = $1 AND profile_id > $2
    ORDER BY profile_id
    LIMIT $3
),
judged AS MATERIALIZED (
    SELECT p.profile_id, p.ctid AS place, p.evaluated_segments AS known, /* judgement */ '[]'::jsonb AS found
    FROM cdp_profiles AS p
    WHERE
        p.tenant_id = $1
        AND p.profile_id > $2
        AND p.profile_id <= (SELECT max(profile_id) FROM batch)
        AND p.erased_at IS NULL
),
changed AS MATERIALIZED (
    SELECT p.profile_id, judged.known, judged.found
    FROM judged
    JOIN cdp_profiles AS p ON p.tenant_id = $1 AND p.profile_id = judged.profile_id
    WHERE judged.known <> judged.found AND p.ctid = judged.place
    ORDER BY p.profile_id
    FOR NO KEY UPDATE OF p
),
written AS (
    UPDATE cdp_profiles AS p
    SET evaluated_segments = changed.found
    FROM changed
    WHERE p.tenant_id = $1 AND p.profile_id = changed.profile_id
),
move AS MATERIALIZED (
    SELECT
        told.profile_id,
        told.event_type,
        told.segment_name,
        told.source_event_id,
        jsonb_strip_nulls(
            jsonb_build_object('segment', told.segment_name, 'version', $5::jsonb ->> told.segment_name)
        ) AS attributes
    FROM (
        SELECT
            each.*,
            leo_key_id('segment_change', $1, each.profile_id, each.segment_name, each.event_type, $4::timestamptz::text)
                AS source_event_id
        FROM (
            SELECT changed.profile_id, 'segment.entered' AS event_type, name AS segment_name
            FROM changed
            CROSS JOIN LATERAL jsonb_array_elements_text(changed.found) AS name
            WHERE NOT changed.known ? name
            UNION ALL
            SELECT changed.profile_id, 'segment.left' AS event_type, name AS segment_name
            FROM changed
            CROSS JOIN LATERAL jsonb_array_elements_text(changed.known) AS name
            WHERE NOT changed.found ? name
        ) AS each
    ) AS told
),
recorded AS (
    INSERT INTO behavioral_events (
        tenant_id, event_key, profile_id, source_event_id, event_type, entity_type, entity_id, attributes, occurred_at
    )
    SELECT
        $1, leo_key_id('event', $1, source_event_id), profile_id, source_event_id, event_type, 'segment', segment_name,
        attributes, $4::timestamptz
    FROM move
    ORDER BY 2
    ON CONFLICT DO NOTHING
),
asked AS (
    INSERT INTO agent_task (
        tenant_id, task_id, agent_name, task_type, profile_id, source_event_id, event_type, occurred_at, inputs, status,
        queue, due_at
    )
    SELECT
        $1, leo_key_id('segment_task', $1, source_event_id), 'segments', 'evaluate', profile_id, source_event_id,
        event_type, $4::timestamptz, attributes, 'pending', 'segments', $4::timestamptz
    FROM move
    WHERE $6::boolean
    ORDER BY 2
    ON CONFLICT (tenant_id, task_id) DO NOTHING
    RETURNING task_id
)
SELECT
    (SELECT max(profile_id) FROM batch) AS last_profile_id,
    (SELECT count(*) FROM changed) AS changed_count,
    (SELECT count(*) FROM move WHERE event_type = 'segment.entered') AS entered_count,
    (SELECT count(*) FROM move WHERE event_type = 'segment.left') AS left_count,
    (SELECT count(*) FROM asked) AS asked_count;

-- name: claim_changes
-- Leases changes of membership that are to be decided on, of any tenant. $1 how many, $2 lease, $3 who claims.
SELECT tenant_id, task_id
FROM claim_tasks('segments', $1, $2, $3);

-- name: load_changes
-- What claimed changes say. $1 tenant, $2 task ids, $3 who claimed them.
SELECT task_id, source_event_id, profile_id, event_type, occurred_at, inputs AS attributes
FROM agent_task
WHERE tenant_id = $1 AND task_id = ANY ($2::text[]) AND lease_owner = $3 AND status = 'pending'
ORDER BY occurred_at, task_id;

-- name: end_changes
-- Records what became of changes. $1 tenant, then as columns, by id: $2 task ids, $3 statuses, $4 results.
UPDATE agent_task AS t
SET status = ended.status, result = coalesce(t.result, ended.result)
FROM unnest($2::text[], $3::text[], $4::jsonb[]) AS ended (task_id, status, result)
WHERE t.tenant_id = $1 AND t.task_id = ended.task_id AND t.status = 'pending';
