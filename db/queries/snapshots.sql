-- Frozen audiences. A freeze is one statement, so members, hash and id come from one view of the profiles.

-- name: prepare_freeze
-- Gives the open transaction the time that a large audience takes: statements of at most $1 milliseconds, also when
-- they wait for another freeze of the same audience.
SELECT
    set_config('statement_timeout', $1::bigint::text, TRUE),
    set_config('lock_timeout', $1::bigint::text, TRUE);

-- name: find_segment
-- The definitions of a named segment: those of active campaigns where there are any, else all that there are.
-- $1 tenant, $2 name.
WITH definition AS (
    SELECT
        status = 'active' AS is_active,
        audience ->> 'version' AS segment_version,
        audience -> 'condition' AS condition
    FROM campaign
    WHERE tenant_id = $1 AND audience ->> 'name' = $2
)
SELECT DISTINCT segment_version, condition
FROM definition
WHERE is_active OR NOT EXISTS (SELECT FROM definition WHERE is_active);

-- name: freeze_audience
-- Freezes everybody for whom the condition holds. The members are found and sorted once; an audience that is frozen
-- already keeps its snapshot, and no member is written again. The condition takes the place of the marked TRUE.
-- $1 tenant, $2 segment name, $3 segment version, $4 reason; the condition's own parameters follow.
WITH member AS MATERIALIZED (
    SELECT p.profile_id
    FROM cdp_profiles AS p
    WHERE p.tenant_id = $1 AND p.erased_at IS NULL AND /* condition */ TRUE
    ORDER BY p.profile_id
),
audience AS MATERIALIZED (
    SELECT
        count(*) AS member_count,
        leo_audience_digest(string_agg(leo_audience_member(profile_id), '' ORDER BY profile_id)) AS audience_sha256
    FROM member
),
named AS (
    SELECT
        leo_key_id('snapshot', $1, $2::text, $3::text, audience_sha256) AS snapshot_id,
        audience_sha256,
        member_count
    FROM audience
),
new_snapshot AS (
    INSERT INTO segment_snapshot (
        tenant_id, snapshot_id, segment_name, segment_version, snapshot_reason, audience_sha256, member_count
    )
    SELECT $1, snapshot_id, $2, $3, $4, audience_sha256, member_count FROM named
    ON CONFLICT (tenant_id, snapshot_id) DO NOTHING
    RETURNING snapshot_id
),
new_member AS (
    INSERT INTO segment_snapshot_member (tenant_id, snapshot_id, profile_id)
    SELECT $1, new_snapshot.snapshot_id, member.profile_id
    FROM new_snapshot
    CROSS JOIN member
)
SELECT named.snapshot_id, EXISTS (SELECT FROM new_snapshot) AS created
FROM named;

-- name: record_request
-- Records who asked for a snapshot, when and why. $1 tenant, $2 task id, $3 snapshot id, $4 why, $5 inputs,
-- $6 result, $7 when.
INSERT INTO agent_task (
    tenant_id, task_id, agent_name, task_type, snapshot_id, reasoning_summary, inputs, result, status, decided_at
)
VALUES ($1, $2, 'snapshot', 'plan', $3, $4, $5::jsonb, $6::jsonb, 'completed', $7)
ON CONFLICT (tenant_id, task_id) DO NOTHING;

-- name: get_snapshot
-- One snapshot. $1 tenant, $2 snapshot id.
SELECT
    snapshot_id, segment_name, segment_version, snapshot_reason, audience_sha256, member_count, created_at
FROM segment_snapshot
WHERE tenant_id = $1 AND snapshot_id = $2;

-- name: list_members
-- Members of a snapshot in the order of their ids. $1 tenant, $2 snapshot id, $3 the id to go on after, $4 how many.
SELECT profile_id
FROM segment_snapshot_member
WHERE tenant_id = $1 AND snapshot_id = $2 AND profile_id > $3
ORDER BY profile_id
LIMIT $4;

-- name: append_to_profiles
-- Appends a snapshot to the profiles of its next members, leaving out those that have it and those that were erased.
-- Answers where to go on, or null after the last member, and how many profiles grew. Rows are locked in the order of
-- their ids, so that two of these never wait for each other in a circle.
-- $1 tenant, $2 snapshot id, $3 the id to go on after, $4 how many members.
WITH batch AS MATERIALIZED (
    SELECT profile_id
    FROM segment_snapshot_member
    WHERE tenant_id = $1 AND snapshot_id = $2 AND profile_id > $3
    ORDER BY profile_id
    LIMIT $4
),
wanting AS MATERIALIZED (
    SELECT p.profile_id
    FROM cdp_profiles AS p
    WHERE
        p.tenant_id = $1
        AND p.profile_id = ANY (ARRAY(SELECT profile_id FROM batch))
        AND p.erased_at IS NULL
        AND NOT p.segment_snapshots @> jsonb_build_array($2::text)
    ORDER BY p.profile_id
    FOR NO KEY UPDATE
),
grown AS (
    UPDATE cdp_profiles AS p
    SET segment_snapshots = p.segment_snapshots || jsonb_build_array($2::text)
    FROM wanting
    WHERE p.tenant_id = $1 AND p.profile_id = wanting.profile_id
    RETURNING p.profile_id
)
SELECT
    (SELECT max(profile_id) FROM batch) AS last_profile_id,
    (SELECT count(*) FROM grown) AS appended;
