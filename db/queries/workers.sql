-- What the schedule asks: which queues have work, and the upkeep of partitions and profiles.

-- name: due_queues
-- The queues that hold claimable tasks, of any tenant.
SELECT queue FROM due_queues();

-- name: ensure_month
-- Creates the partition of behavioural events that holds $1; true when it was missing.
SELECT ensure_month($1::date);

-- name: list_event_months
-- The months of behavioural events and those that were detached and not dropped yet, the oldest first, with about how
-- many rows they hold and their size on disk.
SELECT
    to_date(substr(c.relname, 19, 7), 'YYYY_MM') AS month,
    NOT c.relispartition AS detached,
    greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid), 0) AS rows,
    pg_total_relation_size(c.oid) AS bytes
FROM pg_class AS c
WHERE
    c.relnamespace = 'public'::regnamespace
    AND c.relkind = 'r'
    AND c.relname ~ '^behavioral_events_[0-9]{4}_[0-9]{2}(_detached)?$'
    AND c.relispartition = (c.relname !~ '_detached$')
ORDER BY 1, 2;

-- name: event_readers
-- What the definitions in force of a tenant ($1) read of past events: names of attributes, of which those with a
-- parenthesis are windows, or seconds.
SELECT DISTINCT
    'segment ' || (audience ->> 'name') AS definition,
    jsonb_path_query(audience, '$.condition.**.attribute') #>> '{}' AS attribute,
    NULL::bigint AS seconds
FROM campaign
WHERE tenant_id = $1 AND audience IS NOT NULL AND status <> 'completed'
UNION ALL
SELECT DISTINCT
    'marketing event ' || event_name,
    jsonb_path_query(condition, '$.**.attribute') #>> '{}',
    NULL::bigint
FROM marketing_event
WHERE tenant_id = $1 AND condition IS NOT NULL AND status IN ('planned', 'active')
UNION ALL
SELECT 'experiment ' || experiment_name, NULL, attribution_window_seconds
FROM activation_experiments
WHERE tenant_id = $1 AND status IN ('running', 'paused');

-- name: detach_month
-- Takes the month of events that begins on $1 out of the table, unless it is the present one or one of the $2 before it.
SELECT detach_month($1::date, $2::int);

-- name: drop_detached_month
-- Drops the table of a month ($1) that was taken out, under the same condition ($2).
SELECT drop_detached_month($1::date, $2::int);

-- name: list_tenants
-- Every active tenant.
SELECT tenant_id FROM list_tenants();

-- name: list_new_snapshots
-- Snapshots from a time on, the oldest first. $1 tenant, $2 and $3 time and id of the one before, $4 how many.
SELECT created_at, snapshot_id, member_count
FROM segment_snapshot
WHERE tenant_id = $1 AND created_at >= $2 AND (created_at, snapshot_id) > ($2, $3)
ORDER BY created_at, snapshot_id
LIMIT $4;

-- name: append_single_snapshots
-- Appends the ids of snapshots to their members' profiles, each where it is missing: for audiences of one. The
-- profiles are locked first and in order, so that what is missing is read from the row as it will be changed.
-- $1 tenant, $2 snapshots.
WITH pair AS (
    SELECT snapshot_id, profile_id
    FROM segment_snapshot_member
    WHERE tenant_id = $1 AND snapshot_id = ANY($2::text[])
),
locked AS MATERIALIZED (
    SELECT profile_id, segment_snapshots
    FROM cdp_profiles
    WHERE tenant_id = $1 AND profile_id IN (SELECT profile_id FROM pair) AND erased_at IS NULL
    ORDER BY profile_id
    FOR NO KEY UPDATE
),
added AS (
    SELECT pair.profile_id, jsonb_agg(DISTINCT pair.snapshot_id) AS snapshot_ids
    FROM pair
    JOIN locked ON locked.profile_id = pair.profile_id AND NOT locked.segment_snapshots ? pair.snapshot_id
    GROUP BY pair.profile_id
)
UPDATE cdp_profiles AS profile
SET segment_snapshots = profile.segment_snapshots || added.snapshot_ids
FROM added
WHERE profile.tenant_id = $1 AND profile.profile_id = added.profile_id;
