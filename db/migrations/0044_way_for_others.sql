-- A freeze of a large audience leaves processor time to whoever decides meanwhile.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- Cheap to the planner, so that where it is asked in a query decides nothing about the plan. Of the sessions of other
-- roles nothing is seen; those of the same role are whom a freeze would hold up. Their last 20 ms count: a server at
-- work has a statement in nearly all of them, one that only looks after itself in one of twenty.
CREATE FUNCTION leo_give_way() RETURNS boolean
LANGUAGE plpgsql COST 1
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rested timestamptz := coalesce(
        nullif(current_setting('leo.rested_at', TRUE), ''), transaction_timestamp()::text
    )::timestamptz;
    worked interval := clock_timestamp() - rested;
BEGIN
    IF worked < interval '4 ms' OR clock_timestamp() > transaction_timestamp() + interval '1 minute' THEN
        RETURN TRUE;
    END IF;
    PERFORM pg_stat_clear_snapshot();
    IF EXISTS (
        SELECT FROM pg_stat_activity
        WHERE
            pid <> pg_backend_pid()
            AND (state = 'active' OR state_change > clock_timestamp() - interval '20 ms')
    ) THEN
        PERFORM pg_sleep_for(least(worked, interval '10 ms'));
    END IF;
    PERFORM set_config('leo.rested_at', clock_timestamp()::text, TRUE);
    RETURN TRUE;
END
$$;
COMMENT ON FUNCTION leo_give_way IS
    'Called often by long statements: while other sessions of this role are at work, rests as long as it worked, 10 ms at most; not after the transaction''s first minute. Always true';
REVOKE ALL ON FUNCTION leo_give_way FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leo_give_way TO leo_app;

CREATE OR REPLACE FUNCTION leo_freeze_members(p_tenant_id uuid, p_snapshot_id text, p_profile_ids text[]) RETURNS bigint
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    at_once CONSTANT integer := 500;
BEGIN
    FOR place IN 1 .. cardinality(p_profile_ids) BY at_once LOOP
        INSERT INTO segment_snapshot_member (tenant_id, snapshot_id, profile_id)
        SELECT p_tenant_id, p_snapshot_id, unnest(p_profile_ids[place : place + at_once - 1]);
        PERFORM leo_give_way();
    END LOOP;
    RETURN cardinality(p_profile_ids);
END
$$;

-- migrate:down
SET LOCAL lock_timeout = '5s';

CREATE OR REPLACE FUNCTION leo_freeze_members(p_tenant_id uuid, p_snapshot_id text, p_profile_ids text[]) RETURNS bigint
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    written bigint;
BEGIN
    INSERT INTO segment_snapshot_member (tenant_id, snapshot_id, profile_id)
    SELECT p_tenant_id, p_snapshot_id, unnest(p_profile_ids);
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;

DROP FUNCTION leo_give_way;
