-- Frozen audiences. A freeze is one statement, so members, hash and id come from one view of the profiles; it holds no
-- more than a block of 10,000 members in memory, whatever the size of the audience.

-- name: prepare_long_work
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

-- name: members_by_condition
-- Everybody for whom a condition holds, which takes the place of the marked TRUE and brings parameters from $2 on.
-- $1 tenant.
SELECT p.profile_id
FROM cdp_profiles AS p
WHERE p.tenant_id = $1 AND p.erased_at IS NULL AND /* condition */ TRUE;

-- name: table_pages
-- How many pages the profiles of all tenants take.
SELECT pg_relation_size('cdp_profiles') / current_setting('block_size')::bigint AS pages;

-- name: count_members
-- How many members a query named `members_…` finds, up to a limit, and the first of them; the query takes the place of
-- the marked one. $1 tenant, $2 the limit, $3 how many to name; the parameters of the members follow, by two higher than
-- in their query.
WITH found AS MATERIALIZED (
    SELECT profile_id
    FROM /* members */ (SELECT profile_id FROM cdp_profiles WHERE tenant_id = $1) AS source
    LIMIT $2
)
SELECT
    (SELECT count(*) FROM found) AS member_count,
    ARRAY(SELECT profile_id FROM found ORDER BY profile_id LIMIT $3) AS profile_ids;

-- name: sample_members
-- Whom a condition holds for on pages drawn at random: how many, the sum of their squares by page, and some of them.
-- The condition takes the place of the marked TRUE; its parameters are by four higher than in `members_by_condition`.
-- OFFSET keeps the scan by page: only with fixed bounds are pages read by their place. $1 tenant, $2 how many pages there
-- are, $3 how many to draw, $4 a seed, $5 how many members to name.
WITH place AS MATERIALIZED (
    SELECT (hashint8extended(number, $4::bigint) & 9223372036854775807) % greatest($2::bigint, 1) AS page
    FROM generate_series(1, $3::bigint) AS number
),
drawn AS MATERIALIZED (
    SELECT place.page, p.profile_id
    FROM (SELECT DISTINCT page FROM place) AS place
    JOIN LATERAL (
        SELECT p.profile_id
        FROM cdp_profiles AS p
        WHERE
            p.ctid >= format('(%s,0)', place.page)::tid
            AND p.ctid < format('(%s,0)', place.page + 1)::tid
            AND p.tenant_id = $1
            AND p.erased_at IS NULL
            AND /* condition */ TRUE
        OFFSET 0
    ) AS p ON TRUE
),
of_page AS (
    SELECT count(*) AS member_count FROM drawn GROUP BY page
)
SELECT
    (SELECT count(DISTINCT page) FROM place) AS page_count,
    coalesce(sum(member_count), 0)::bigint AS member_count,
    coalesce(sum(member_count * member_count), 0)::bigint AS square_count,
    ARRAY(SELECT profile_id FROM drawn ORDER BY page, profile_id LIMIT $5) AS profile_ids
FROM of_page;

-- name: members_by_list
-- The listed profiles that the tenant has. $1 tenant, $2 ids.
SELECT p.profile_id
FROM cdp_profiles AS p
WHERE p.tenant_id = $1 AND p.erased_at IS NULL AND p.profile_id = ANY ($2::text[]);

-- name: members_minus
-- Who is in one snapshot and not in another. $1 tenant, $2 the one, $3 the other.
SELECT p.profile_id
FROM segment_snapshot_member AS one
JOIN cdp_profiles AS p ON p.tenant_id = $1 AND p.profile_id = one.profile_id AND p.erased_at IS NULL
WHERE
    one.tenant_id = $1
    AND one.snapshot_id = $2::text
    AND NOT EXISTS (
        SELECT FROM segment_snapshot_member AS other
        WHERE other.tenant_id = $1 AND other.snapshot_id = $3::text AND other.profile_id = one.profile_id
    );

-- name: members_intersect
-- Who is in both of two snapshots. $1 tenant, $2 the one, $3 the other.
SELECT p.profile_id
FROM segment_snapshot_member AS one
JOIN segment_snapshot_member AS other
    ON other.tenant_id = $1 AND other.snapshot_id = $3::text AND other.profile_id = one.profile_id
JOIN cdp_profiles AS p ON p.tenant_id = $1 AND p.profile_id = one.profile_id AND p.erased_at IS NULL
WHERE one.tenant_id = $1 AND one.snapshot_id = $2::text;

-- name: members_unite
-- Who is in either of two snapshots. $1 tenant, $2 the one, $3 the other.
SELECT p.profile_id
FROM (
    SELECT profile_id
    FROM segment_snapshot_member
    WHERE tenant_id = $1 AND snapshot_id = $2::text
    UNION
    SELECT profile_id
    FROM segment_snapshot_member
    WHERE tenant_id = $1 AND snapshot_id = $3::text
) AS either
JOIN cdp_profiles AS p ON p.tenant_id = $1 AND p.profile_id = either.profile_id AND p.erased_at IS NULL;

-- name: freeze_audience
-- Freezes the members that a query named `members_…` finds, which takes the place of the marked one. They are found
-- and sorted once, and go from there in blocks; an audience that is frozen already keeps its snapshot, and no member
-- is written again. While it reads, sorts and writes it gives way to others, at one profile in 256 and after each block.
-- $1 tenant, $2 segment name, $3 segment version, $4 reason; the parameters of the members follow, by three higher than
-- in their query.
WITH block AS MATERIALIZED (
    SELECT
        block,
        array_agg(profile_id ORDER BY profile_id) AS profile_ids,
        leo_audience_digest(string_agg(leo_audience_member(profile_id), '' ORDER BY profile_id)) AS digest
    FROM (
        SELECT profile_id, leo_audience_block(row_number() OVER (ORDER BY profile_id)) AS block
        FROM /* members */ (SELECT profile_id FROM cdp_profiles WHERE tenant_id = $1) AS source
        WHERE hashtext(profile_id) & 255 <> 0 OR leo_give_way()
    ) AS member
    GROUP BY block
    HAVING leo_give_way()
),
audience AS MATERIALIZED (
    SELECT
        coalesce(sum(cardinality(profile_ids)), 0) AS member_count,
        leo_audience_of_blocks(array_agg(digest ORDER BY block)) AS audience_sha256
    FROM block
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
    SELECT sum(leo_freeze_members($1, new_snapshot.snapshot_id, block.profile_ids)) AS member_count
    FROM new_snapshot
    CROSS JOIN block
)
SELECT
    named.snapshot_id,
    EXISTS (SELECT FROM new_snapshot) AS created,
    (SELECT member_count FROM new_member) AS written_count
FROM named;

-- name: left_out_of_list
-- Which listed profiles a snapshot does not hold: how many, and the first of them. $1 tenant, $2 snapshot id, $3 ids,
-- $4 how many to name.
WITH left_out AS (
    SELECT given.profile_id COLLATE "C" AS profile_id
    FROM unnest($3::text[]) AS given (profile_id)
    WHERE NOT EXISTS (
        SELECT FROM segment_snapshot_member AS member
        WHERE member.tenant_id = $1 AND member.snapshot_id = $2 AND member.profile_id = given.profile_id
    )
)
SELECT
    (SELECT count(*) FROM left_out) AS left_out_count,
    ARRAY(SELECT profile_id FROM left_out ORDER BY profile_id LIMIT $4) AS first_profile_ids;

-- name: record_request
-- Records who asked for a snapshot, when and why. $1 tenant, $2 task id, $3 snapshot id, $4 why, $5 inputs,
-- $6 result, $7 when.
INSERT INTO agent_task (
    tenant_id, task_id, agent_name, task_type, snapshot_id, reasoning_summary, inputs, result, status, decided_at
)
VALUES ($1, $2, 'snapshot', 'plan', $3, $4, $5::jsonb, $6::jsonb, 'completed', $7)
ON CONFLICT (tenant_id, task_id) DO NOTHING;

-- name: get_snapshots
-- Snapshots by their ids. $1 tenant, $2 ids.
SELECT
    snapshot_id, segment_name, segment_version, snapshot_reason, audience_sha256, member_count, created_at
FROM segment_snapshot
WHERE tenant_id = $1 AND snapshot_id = ANY ($2::text[]);

-- name: list_snapshots
-- Snapshots of a segment, the newest first. $1 tenant, $2 segment name, $3 the snapshot to go on after or '', $4 how
-- many.
WITH before AS (
    SELECT created_at, snapshot_id FROM segment_snapshot WHERE tenant_id = $1 AND snapshot_id = $3
)
SELECT
    snapshot_id, segment_name, segment_version, snapshot_reason, audience_sha256, member_count, created_at
FROM segment_snapshot
WHERE
    tenant_id = $1
    AND segment_name = $2
    AND created_at <= coalesce((SELECT created_at FROM before), 'infinity')
    AND ($3 = '' OR (created_at, snapshot_id) < (SELECT created_at, snapshot_id FROM before))
ORDER BY created_at DESC, snapshot_id DESC
LIMIT $4;

-- name: list_members
-- Members of a snapshot in the order of their ids. $1 tenant, $2 snapshot id, $3 the id to go on after, $4 how many.
SELECT profile_id
FROM segment_snapshot_member
WHERE tenant_id = $1 AND snapshot_id = $2 AND profile_id > $3
ORDER BY profile_id
LIMIT $4;

-- name: measure_members
-- How many members a snapshot has now, and their hash. $1 tenant, $2 snapshot id.
WITH member AS (
    SELECT profile_id, leo_audience_block(row_number() OVER (ORDER BY profile_id)) AS block
    FROM segment_snapshot_member
    WHERE tenant_id = $1 AND snapshot_id = $2
),
block AS (
    SELECT
        block,
        count(*) AS member_count,
        leo_audience_digest(string_agg(leo_audience_member(profile_id), '' ORDER BY profile_id)) AS digest
    FROM member
    GROUP BY block
)
SELECT
    coalesce(sum(member_count), 0)::bigint AS member_count,
    leo_audience_of_blocks(array_agg(digest ORDER BY block)) AS audience_sha256
FROM block;

-- name: count_difference
-- How many members two snapshots have for themselves, and together. $1 tenant, $2 the earlier, $3 the later.
SELECT
    count(*) FILTER (WHERE NOT in_earlier) AS entered_count,
    count(*) FILTER (WHERE NOT in_later) AS left_count,
    count(*) FILTER (WHERE in_earlier AND in_later) AS kept_count
FROM (
    SELECT bool_or(snapshot_id = $2) AS in_earlier, bool_or(snapshot_id = $3) AS in_later
    FROM (
        SELECT profile_id, snapshot_id
        FROM segment_snapshot_member
        WHERE tenant_id = $1 AND snapshot_id = $2
        UNION ALL
        SELECT profile_id, snapshot_id
        FROM segment_snapshot_member
        WHERE tenant_id = $1 AND snapshot_id = $3
    ) AS membership
    GROUP BY profile_id
) AS member;

-- name: list_difference
-- Members that changed in one of the given ways, in the order of their ids. $1 tenant, $2 the earlier snapshot, $3 the
-- later, $4 the ways, $5 the id to go on after, $6 how many.
SELECT profile_id, change
FROM (
    SELECT
        profile_id,
        CASE
            WHEN NOT bool_or(snapshot_id = $2) THEN 'entered'
            WHEN NOT bool_or(snapshot_id = $3) THEN 'left'
            ELSE 'kept'
        END AS change
    FROM (
        SELECT profile_id, snapshot_id
        FROM segment_snapshot_member
        WHERE tenant_id = $1 AND snapshot_id = $2 AND profile_id > $5
        UNION ALL
        SELECT profile_id, snapshot_id
        FROM segment_snapshot_member
        WHERE tenant_id = $1 AND snapshot_id = $3 AND profile_id > $5
    ) AS membership
    GROUP BY profile_id
) AS member
WHERE change = ANY ($4::text[])
ORDER BY profile_id
LIMIT $6;

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
