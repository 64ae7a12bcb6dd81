-- What the schedule asks: which queues have work, and the upkeep of partitions and profiles.

-- name: due_queues
-- The queues that hold claimable tasks, of any tenant.
SELECT queue FROM due_queues();

-- name: ensure_month
-- Creates the partition of behavioural events that holds $1; true when it was missing.
SELECT ensure_month($1::date);

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
