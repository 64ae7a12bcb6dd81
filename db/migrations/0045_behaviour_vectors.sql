-- What customers do makes their vectors anew, at a bounded rate: found afterwards, at no cost for whoever records it.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- Rows are appended, so blocks are in the order of this time: the index is a few pages, whatever the table holds.
CREATE INDEX behavioral_events_recorded ON behavioral_events
    USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON INDEX behavioral_events_recorded IS 'What was recorded lately, of whatever time: who is to be embedded again';

GRANT CREATE ON SCHEMA public TO leo_task_claimer;

CREATE FUNCTION queue_active_profiles(p_since timestamptz, p_until timestamptz, p_every interval)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
-- Of a month that grows, statistics are always behind: they take the last minutes for a third of it.
SET enable_seqscan = off
AS $$
DECLARE
    queued bigint;
BEGIN
    -- Jobs that are left as they are must not be locked: there are many, and workers end them meanwhile.
    INSERT INTO public.embedding_job AS j (tenant_id, entity_type, entity_id)
    SELECT p.tenant_id, 'profile', p.profile_id
    FROM (
        SELECT DISTINCT e.tenant_id, e.profile_id
        FROM public.behavioral_events AS e
        WHERE
            e.created_at >= p_since AND e.created_at < p_until
            AND e.event_type NOT IN ('segment.entered', 'segment.left')
    ) AS active
    JOIN public.cdp_profiles AS p
        ON p.tenant_id = active.tenant_id AND p.profile_id = active.profile_id AND p.erased_at IS NULL
    LEFT JOIN public.embedding_job AS known
        ON known.tenant_id = p.tenant_id AND known.entity_type = 'profile' AND known.entity_id = p.profile_id
    WHERE known.entity_id IS NULL OR known.status = 'completed' AND known.updated_at < now() - p_every
    ORDER BY p.tenant_id, p.profile_id
    ON CONFLICT (tenant_id, entity_type, entity_id) DO UPDATE
    SET status = 'pending', due_at = now(), attempts = 0, lease_owner = NULL, lease_until = NULL, last_error = NULL
    WHERE j.status = 'completed';
    GET DIAGNOSTICS queued = ROW_COUNT;
    RETURN queued;
END
$$;
COMMENT ON FUNCTION queue_active_profiles IS
    'Queues profiles of all tenants with events recorded from one moment until before another for a new vector, '
    'those embedded within an interval aside; answers how many. Moves between segments are no behaviour';
REVOKE ALL ON FUNCTION queue_active_profiles FROM PUBLIC;
GRANT EXECUTE ON FUNCTION queue_active_profiles TO leo_worker;
ALTER FUNCTION queue_active_profiles OWNER TO leo_task_claimer;
REVOKE CREATE ON SCHEMA public FROM leo_task_claimer;

GRANT SELECT (tenant_id, profile_id, event_type, created_at) ON behavioral_events TO leo_task_claimer;
GRANT SELECT (tenant_id, profile_id, erased_at) ON cdp_profiles TO leo_task_claimer;
CREATE POLICY task_claimer_select ON behavioral_events FOR SELECT TO leo_task_claimer USING (true);
CREATE POLICY task_claimer_select ON cdp_profiles FOR SELECT TO leo_task_claimer USING (true);

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP POLICY task_claimer_select ON cdp_profiles;
DROP POLICY task_claimer_select ON behavioral_events;
REVOKE SELECT (tenant_id, profile_id, erased_at) ON cdp_profiles FROM leo_task_claimer;
REVOKE SELECT (tenant_id, profile_id, event_type, created_at) ON behavioral_events FROM leo_task_claimer;
DROP FUNCTION queue_active_profiles;
DROP INDEX behavioral_events_recorded;
