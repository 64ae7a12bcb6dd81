-- Sources that are followed: how their documents map, who works on one, how far it has come, and what came of it.

-- migrate:up
SET LOCAL lock_timeout = '5s';

ALTER TABLE data_sources
    ADD COLUMN mapping jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(mapping) = 'object'),
    ADD COLUMN secret jsonb CHECK (jsonb_typeof(secret) = 'object'),
    ADD COLUMN stale_after_seconds bigint CHECK (stale_after_seconds > 0),
    ADD COLUMN due_at timestamptz,
    ADD COLUMN requested_at timestamptz,
    ADD COLUMN lease_owner text,
    ADD COLUMN lease_until timestamptz,
    ADD COLUMN failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    ADD COLUMN synced_until timestamptz,
    ADD COLUMN read_count bigint NOT NULL DEFAULT 0 CHECK (read_count >= 0),
    ADD COLUMN rejected_count bigint NOT NULL DEFAULT 0 CHECK (rejected_count >= 0),
    ADD COLUMN suppressed_count bigint NOT NULL DEFAULT 0 CHECK (suppressed_count >= 0),
    ADD COLUMN deleted_count bigint NOT NULL DEFAULT 0 CHECK (deleted_count >= 0),
    ADD COLUMN last_run jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(last_run) = 'object');
COMMENT ON COLUMN data_sources.source_type IS 'Kind of source: arangodb, postgresql or file';
COMMENT ON COLUMN data_sources.mapping IS 'How a document becomes a profile: the mapping language of leo import';
COMMENT ON COLUMN data_sources.secret IS 'The password, encrypted; bound to tenant and source';
COMMENT ON COLUMN data_sources.stale_after_seconds IS
    'After so long without a success the source is stale; NULL: never';
COMMENT ON COLUMN data_sources.due_at IS 'When it is synchronised next; NULL: only on request';
COMMENT ON COLUMN data_sources.requested_at IS 'When a synchronisation was last asked for';
COMMENT ON COLUMN data_sources.lease_owner IS 'The run that works on it; every page is fenced by it';
COMMENT ON COLUMN data_sources.lease_until IS 'When another run may take over; each page moves it on';
COMMENT ON COLUMN data_sources.failures IS 'Runs that failed since the last success';
COMMENT ON COLUMN data_sources.synced_until IS 'What the source knew until then has been taken in: the lag is its age';
COMMENT ON COLUMN data_sources.read_count IS 'Documents read so far';
COMMENT ON COLUMN data_sources.ingested_count IS 'Documents so far that created or changed a profile';
COMMENT ON COLUMN data_sources.rejected_count IS 'Documents so far that were not good';
COMMENT ON COLUMN data_sources.suppressed_count IS 'Documents so far of people who were erased';
COMMENT ON COLUMN data_sources.deleted_count IS 'Deletions so far that ended a profile''s consents';
COMMENT ON COLUMN data_sources.last_run IS 'What the run that is under way, or the last one, came to, with reasons of rejects';

GRANT DELETE ON data_sources TO leo_app;

GRANT CREATE ON SCHEMA public TO leo_source_claimer;

-- Sources are few, and scanning all of them takes less than keeping an index on what changes with every page.
CREATE FUNCTION claim_data_sources(p_limit integer, p_lease interval, p_owner text)
RETURNS TABLE (tenant_id uuid, source_id text)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE public.data_sources AS s
    SET lease_owner = p_owner,
        lease_until = statement_timestamp() + p_lease
    FROM (
        SELECT
            d.tenant_id,
            d.source_id
        FROM public.data_sources AS d
        WHERE d.status = 'active'
            AND d.due_at <= statement_timestamp()
            AND (d.lease_until IS NULL OR d.lease_until <= statement_timestamp())
            AND EXISTS (
                SELECT FROM public.tenant AS t WHERE t.tenant_id = d.tenant_id AND t.status = 'active'
            )
        ORDER BY d.due_at, d.tenant_id, d.source_id
        LIMIT p_limit
        FOR UPDATE OF d SKIP LOCKED
    ) AS due
    WHERE s.tenant_id = due.tenant_id AND s.source_id = due.source_id
    RETURNING s.tenant_id, s.source_id
$$;
COMMENT ON FUNCTION claim_data_sources IS
    'Leases sources of active tenants that are due and that nobody works on, the longest due first';
REVOKE ALL ON FUNCTION claim_data_sources FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_data_sources TO leo_worker;
ALTER FUNCTION claim_data_sources OWNER TO leo_source_claimer;

CREATE FUNCTION observe_data_sources()
RETURNS TABLE (healthy bigint, degraded bigint, failing bigint, unknown bigint, stale bigint, lag_seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        count(*) FILTER (WHERE d.health = 'healthy'),
        count(*) FILTER (WHERE d.health = 'degraded'),
        count(*) FILTER (WHERE d.health = 'failing'),
        count(*) FILTER (WHERE d.health = 'unknown'),
        count(*) FILTER (
            WHERE coalesce(d.last_success_at, d.created_at) + d.stale_after_seconds * interval '1 second'
                < statement_timestamp()
        ),
        coalesce(
            max(greatest(extract(epoch FROM statement_timestamp() - d.synced_until)::double precision, 0))
                FILTER (WHERE d.due_at IS NOT NULL),
            0
        )
    FROM public.data_sources AS d
    WHERE d.status = 'active'
        AND EXISTS (SELECT FROM public.tenant AS t WHERE t.tenant_id = d.tenant_id AND t.status = 'active')
$$;
COMMENT ON FUNCTION observe_data_sources IS
    'How many active sources of all tenants are in each state of health, how many are stale, and the longest lag';
REVOKE ALL ON FUNCTION observe_data_sources FROM PUBLIC;
GRANT EXECUTE ON FUNCTION observe_data_sources TO leo_worker;
ALTER FUNCTION observe_data_sources OWNER TO leo_source_claimer;

GRANT SELECT (
    tenant_id, source_id, status, due_at, lease_until, health, last_success_at, created_at, stale_after_seconds,
    synced_until
), UPDATE (lease_owner, lease_until) ON data_sources TO leo_source_claimer;
CREATE POLICY source_claimer_select ON data_sources FOR SELECT TO leo_source_claimer USING (true);
CREATE POLICY source_claimer_update ON data_sources FOR UPDATE TO leo_source_claimer USING (true) WITH CHECK (true);
GRANT SELECT (tenant_id, status) ON tenant TO leo_source_claimer;
CREATE POLICY source_claimer_policy ON tenant FOR SELECT TO leo_source_claimer USING (true);

REVOKE CREATE ON SCHEMA public FROM leo_source_claimer;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP POLICY source_claimer_policy ON tenant;
REVOKE ALL ON tenant FROM leo_source_claimer;
DROP POLICY source_claimer_update ON data_sources;
DROP POLICY source_claimer_select ON data_sources;
REVOKE ALL ON data_sources FROM leo_source_claimer;
DROP FUNCTION observe_data_sources;
DROP FUNCTION claim_data_sources;
REVOKE DELETE ON data_sources FROM leo_app;
ALTER TABLE data_sources
    DROP COLUMN last_run,
    DROP COLUMN deleted_count,
    DROP COLUMN suppressed_count,
    DROP COLUMN rejected_count,
    DROP COLUMN read_count,
    DROP COLUMN synced_until,
    DROP COLUMN failures,
    DROP COLUMN lease_until,
    DROP COLUMN lease_owner,
    DROP COLUMN requested_at,
    DROP COLUMN due_at,
    DROP COLUMN stale_after_seconds,
    DROP COLUMN secret,
    DROP COLUMN mapping;
COMMENT ON COLUMN data_sources.source_type IS 'Kind of source, e.g. arangodb or csv';
COMMENT ON COLUMN data_sources.ingested_count IS 'Rows taken in so far';
