-- New snapshots are found by their time, so that their ids reach the profiles that they hold.

-- migrate:up
SET LOCAL lock_timeout = '5s';

CREATE INDEX segment_snapshot_created ON segment_snapshot (created_at, tenant_id, snapshot_id);

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP INDEX segment_snapshot_created;
