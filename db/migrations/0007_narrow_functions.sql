-- The few things that reach across tenants, or past a role's own rights. Each is a SECURITY DEFINER function of
-- a role that nobody logs in with, and that has no more than the rights and the policy its function needs.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- A function's new owner needs CREATE on the schema at the moment of the hand-over; taken back at the end.
GRANT CREATE ON SCHEMA public TO
    leo_tenant_resolver, leo_tenant_lister, leo_task_claimer, leo_rule_loader,
    leo_credential_writer, leo_eraser, leo_definition_versioner;

-- ---------------------------------------------------------------------------------------------------------
-- Tenants
-- ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION resolve_tenant(p_realm text, p_client text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.tenant_id
    FROM public.tenant AS t
    WHERE t.keycloak_realm = p_realm AND t.keycloak_client_id = p_client AND t.status = 'active'
$$;
COMMENT ON FUNCTION resolve_tenant IS 'The active tenant of a realm and client, or NULL: asked before there is a context';
REVOKE ALL ON FUNCTION resolve_tenant FROM PUBLIC;
GRANT EXECUTE ON FUNCTION resolve_tenant TO leo_app;
ALTER FUNCTION resolve_tenant OWNER TO leo_tenant_resolver;
GRANT SELECT (tenant_id, keycloak_realm, keycloak_client_id, status) ON tenant TO leo_tenant_resolver;
CREATE POLICY tenant_resolver_policy ON tenant FOR SELECT TO leo_tenant_resolver USING (true);

CREATE FUNCTION list_tenants() RETURNS TABLE (tenant_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.tenant_id FROM public.tenant AS t WHERE t.status = 'active' ORDER BY t.tenant_id
$$;
COMMENT ON FUNCTION list_tenants IS 'The ids of all active tenants, for work that visits each';
REVOKE ALL ON FUNCTION list_tenants FROM PUBLIC;
GRANT EXECUTE ON FUNCTION list_tenants TO leo_app, leo_worker;
ALTER FUNCTION list_tenants OWNER TO leo_tenant_lister;
GRANT SELECT (tenant_id, status) ON tenant TO leo_tenant_lister;
CREATE POLICY tenant_lister_policy ON tenant FOR SELECT TO leo_tenant_lister USING (true);

CREATE FUNCTION store_credential(p_tenant_id uuid, p_channel text, p_ciphertext jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE public.tenant AS t
    SET metadata = t.metadata || jsonb_build_object(
        'channel_credentials',
        CASE
            WHEN p_ciphertext IS NULL THEN coalesce(t.metadata -> 'channel_credentials', '{}') - p_channel
            ELSE coalesce(t.metadata -> 'channel_credentials', '{}') || jsonb_build_object(p_channel, p_ciphertext)
        END
    )
    WHERE t.tenant_id = p_tenant_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the tenant is not the one in context' USING ERRCODE = 'no_data_found';
    END IF;
END
$$;
COMMENT ON FUNCTION store_credential IS
    'Writes a channel''s encrypted credentials to tenant.metadata (NULL removes them), for the tenant in context only';
REVOKE ALL ON FUNCTION store_credential FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store_credential TO leo_app, leo_worker, leo_admin;
ALTER FUNCTION store_credential OWNER TO leo_credential_writer;
GRANT SELECT (tenant_id, metadata), UPDATE (metadata) ON tenant TO leo_credential_writer;
CREATE POLICY credential_writer_policy ON tenant FOR UPDATE TO leo_credential_writer
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid))
    WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid));

-- ---------------------------------------------------------------------------------------------------------
-- tenant.definitions_version: goes up with every change that a compiled rule bundle could notice
-- ---------------------------------------------------------------------------------------------------------

-- Counters, embeddings and timestamps are written by jobs and mean nothing to a bundle.
CREATE FUNCTION bump_definitions_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unseen constant text[] := ARRAY[
        'updated_at', 'embedding', 'exposure_count', 'conversion_count', 'variant_counts'
    ];
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (SELECT n.tenant_id FROM new_rows AS n);
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (SELECT o.tenant_id FROM old_rows AS o);
    ELSE
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (
            SELECT (changed.definition ->> 'tenant_id')::uuid
            FROM (
                SELECT to_jsonb(n) - unseen FROM new_rows AS n
                EXCEPT
                SELECT to_jsonb(o) - unseen FROM old_rows AS o
            ) AS changed (definition)
        );
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION bump_definitions_version IS 'Statement trigger: a changed definition raises its tenant''s version';
REVOKE ALL ON FUNCTION bump_definitions_version FROM PUBLIC;

DO $triggers$
DECLARE
    definitions text;
BEGIN
    FOREACH definitions IN ARRAY ARRAY['campaign', 'marketing_event', 'message_templates', 'activation_experiments']
    LOOP
        EXECUTE format(
            'CREATE TRIGGER bump_version_on_insert AFTER INSERT ON %I REFERENCING NEW TABLE AS new_rows'
            ' FOR EACH STATEMENT EXECUTE FUNCTION bump_definitions_version()', definitions
        );
        EXECUTE format(
            'CREATE TRIGGER bump_version_on_update AFTER UPDATE ON %I'
            ' REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'
            ' FOR EACH STATEMENT EXECUTE FUNCTION bump_definitions_version()', definitions
        );
        EXECUTE format(
            'CREATE TRIGGER bump_version_on_delete AFTER DELETE ON %I REFERENCING OLD TABLE AS old_rows'
            ' FOR EACH STATEMENT EXECUTE FUNCTION bump_definitions_version()', definitions
        );
    END LOOP;
END
$triggers$;

ALTER FUNCTION bump_definitions_version OWNER TO leo_definition_versioner;
GRANT SELECT (tenant_id, definitions_version), UPDATE (definitions_version) ON tenant TO leo_definition_versioner;
CREATE POLICY definition_versioner_policy ON tenant TO leo_definition_versioner USING (true) WITH CHECK (true);

-- ---------------------------------------------------------------------------------------------------------
-- The work list
-- ---------------------------------------------------------------------------------------------------------

-- Settings instead of statistics: the list goes from empty to millions within a session, and a plan made on the
-- empty table must still be right then.
CREATE FUNCTION claim_tasks(
    p_queue text, p_limit integer, p_lease interval, p_owner text, p_since timestamptz DEFAULT '-infinity'
) RETURNS TABLE (tenant_id uuid, task_id text, attempts integer, due_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH ready AS MATERIALIZED (
        SELECT t.tenant_id, t.task_id
        FROM public.agent_task AS t
        WHERE t.queue = p_queue
            AND t.status = 'pending'
            AND greatest(t.due_at, t.lease_until) BETWEEN p_since AND statement_timestamp()
        ORDER BY greatest(t.due_at, t.lease_until)
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE public.agent_task AS claimed
    SET lease_owner = p_owner,
        lease_until = statement_timestamp() + p_lease,
        attempts = claimed.attempts + 1
    FROM ready
    WHERE claimed.tenant_id = ready.tenant_id AND claimed.task_id = ready.task_id
    RETURNING claimed.tenant_id, claimed.task_id, claimed.attempts, claimed.due_at;
END
$$;
COMMENT ON FUNCTION claim_tasks IS
    'Leases up to p_limit pending and due tasks of a queue, of any tenant, oldest first. p_since is the caller''s '
    'low-water mark: it skips what was due before, and with it the dead entries at the front of the index';
REVOKE ALL ON FUNCTION claim_tasks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_tasks TO leo_worker;
ALTER FUNCTION claim_tasks OWNER TO leo_task_claimer;

-- Jumps from queue to queue in the index, so its cost is the number of queues, not of tasks.
CREATE FUNCTION due_queues() RETURNS TABLE (queue text, due_since timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
    WITH RECURSIVE queues (queue) AS (
        SELECT min(t.queue) FROM public.agent_task AS t WHERE t.status = 'pending'
        UNION ALL
        SELECT (SELECT min(t.queue) FROM public.agent_task AS t WHERE t.status = 'pending' AND t.queue > q.queue)
        FROM queues AS q
        WHERE q.queue IS NOT NULL
    )
    SELECT q.queue, first_task.due_since
    FROM queues AS q
    CROSS JOIN LATERAL (
        SELECT greatest(t.due_at, t.lease_until) AS due_since
        FROM public.agent_task AS t
        WHERE t.queue = q.queue
            AND t.status = 'pending'
            AND greatest(t.due_at, t.lease_until) <= statement_timestamp()
        ORDER BY greatest(t.due_at, t.lease_until)
        LIMIT 1
    ) AS first_task
$$;
COMMENT ON FUNCTION due_queues IS 'The queues that hold claimable tasks, and since when the oldest of each waits';
REVOKE ALL ON FUNCTION due_queues FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_queues TO leo_app, leo_worker;
ALTER FUNCTION due_queues OWNER TO leo_task_claimer;

GRANT SELECT (tenant_id, task_id, queue, status, due_at, lease_until, attempts),
    UPDATE (lease_owner, lease_until, attempts) ON agent_task TO leo_task_claimer;
CREATE POLICY task_claimer_select ON agent_task FOR SELECT TO leo_task_claimer USING (true);
CREATE POLICY task_claimer_update ON agent_task FOR UPDATE TO leo_task_claimer USING (true) WITH CHECK (true);

-- ---------------------------------------------------------------------------------------------------------
-- Alert rules
-- ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION load_alert_rules(
    p_shard integer,
    p_after_tenant_id uuid DEFAULT '00000000-0000-0000-0000-000000000000',
    p_after_rule_id text DEFAULT '',
    p_limit integer DEFAULT 10000
) RETURNS TABLE (
    tenant_id uuid,
    rule_id text,
    profile_id text,
    symbol text,
    condition_logic jsonb,
    marketing_event_id text,
    cooldown_seconds bigint,
    rearm boolean,
    expires_at timestamptz,
    generation bigint,
    last_triggered_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
    SELECT
        r.tenant_id, r.rule_id, r.profile_id, r.symbol, r.condition_logic, r.marketing_event_id,
        r.cooldown_seconds, r.rearm, r.expires_at, r.generation, r.last_triggered_at
    FROM public.alert_rules AS r
    WHERE r.shard = p_shard
        AND r.status = 'ACTIVE'
        AND (r.tenant_id, r.rule_id) > (p_after_tenant_id, p_after_rule_id)
    ORDER BY r.tenant_id, r.rule_id
    LIMIT p_limit
$$;
COMMENT ON FUNCTION load_alert_rules IS
    'One page of the active rules of a shard (0 to 63), of every tenant, after the last row of the page before';
REVOKE ALL ON FUNCTION load_alert_rules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION load_alert_rules TO leo_app;
ALTER FUNCTION load_alert_rules OWNER TO leo_rule_loader;
GRANT SELECT ON alert_rules TO leo_rule_loader;
CREATE POLICY rule_loader_policy ON alert_rules FOR SELECT TO leo_rule_loader USING (true);

-- ---------------------------------------------------------------------------------------------------------
-- Erasure
-- ---------------------------------------------------------------------------------------------------------

-- Within the tenant in context, like everything: leo_eraser has no policy of its own. What a task holds becomes
-- an empty document rather than NULL, so that work in flight cannot write it again.
CREATE FUNCTION erase_profile(p_profile_id text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE cdp_profiles
    SET identities = '[]',
        primary_email = NULL,
        mobile_number = NULL,
        living_location = NULL,
        latitude = NULL,
        longitude = NULL,
        job_titles = '[]',
        interests = '[]',
        data_labels = '[]',
        segments = '[]',
        portfolio_snapshot = '{}',
        portfolio_risk_score = NULL,
        raw_attributes = '{}',
        channel_addresses = '{}',
        language = NULL,
        time_zone = NULL,
        interest_embedding = NULL,
        erased_at = coalesce(erased_at, now())
    WHERE profile_id = p_profile_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    UPDATE consent_management
    SET status = 'withdrawn',
        withdrawn_at = coalesce(withdrawn_at, now()),
        source = 'erasure'
    WHERE profile_id = p_profile_id;

    UPDATE agent_task
    SET inputs = '{}',
        reasoning_summary = '',
        reasoning_trace = '{}',
        result = '{}',
        status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status END
    WHERE profile_id = p_profile_id;

    UPDATE delivery_log
    SET destination = NULL,
        reason = NULL,
        subject = NULL,
        body = NULL,
        provider_message_id = NULL,
        provider_response = NULL
    WHERE profile_id = p_profile_id;

    UPDATE behavioral_events SET attributes = '{}' WHERE profile_id = p_profile_id;
    UPDATE activation_outcomes SET metadata = '{}' WHERE profile_id = p_profile_id;
    UPDATE alert_rules SET status = 'DISABLED' WHERE profile_id = p_profile_id;
    UPDATE embedding_job
    SET status = 'cancelled',
        last_error = NULL
    WHERE entity_type = 'profile' AND entity_id = p_profile_id;
    RETURN true;
END
$$;
COMMENT ON FUNCTION erase_profile IS
    'Redacts what is personal about one profile of the tenant in context, in every table; ids and times stay. '
    'Consents are withdrawn, pending tasks cancelled, alerts disabled. False when there is no such profile';
REVOKE ALL ON FUNCTION erase_profile FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_profile TO leo_app, leo_worker;
ALTER FUNCTION erase_profile OWNER TO leo_eraser;

GRANT SELECT (tenant_id, profile_id, erased_at, segment_snapshots), UPDATE (
    identities, primary_email, mobile_number, living_location, latitude, longitude, job_titles, interests,
    data_labels, segments, portfolio_snapshot, portfolio_risk_score, raw_attributes, channel_addresses, language,
    time_zone, interest_embedding, erased_at
) ON cdp_profiles TO leo_eraser;
GRANT SELECT (tenant_id, profile_id, withdrawn_at), UPDATE (status, withdrawn_at, source)
    ON consent_management TO leo_eraser;
GRANT SELECT (tenant_id, profile_id, status), UPDATE (inputs, reasoning_summary, reasoning_trace, result, status)
    ON agent_task TO leo_eraser;
GRANT SELECT (tenant_id, profile_id),
    UPDATE (destination, reason, subject, body, provider_message_id, provider_response)
    ON delivery_log TO leo_eraser;
GRANT SELECT (tenant_id, profile_id), UPDATE (attributes) ON behavioral_events TO leo_eraser;
GRANT SELECT (tenant_id, profile_id), UPDATE (metadata) ON activation_outcomes TO leo_eraser;
GRANT SELECT (tenant_id, profile_id), UPDATE (status) ON alert_rules TO leo_eraser;
GRANT SELECT (tenant_id, entity_type, entity_id), UPDATE (status, last_error) ON embedding_job TO leo_eraser;

-- ---------------------------------------------------------------------------------------------------------
-- Months of behavioral_events
-- ---------------------------------------------------------------------------------------------------------

-- Made apart and attached last: ATTACH does not stop writers of the other months, CREATE … PARTITION OF would.
CREATE FUNCTION ensure_month(p_month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    first_day constant date := date_trunc('month', p_month)::date;
    last_month constant date := date_trunc('month', now() + interval '1 day' + interval '3 months')::date;
    partition constant text := 'behavioral_events_' || to_char(first_day, 'YYYY_MM');
BEGIN
    IF p_month IS NULL OR first_day < '1990-01-01' OR first_day > last_month THEN
        RAISE EXCEPTION 'no month of events before 1990, nor more than three months ahead'
            USING ERRCODE = 'datetime_field_overflow';
    END IF;
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- One session at a time; writers of events do not wait for this lock. It also makes the catalogue current,
    -- which an advisory lock would not: another session may have made the month while this one waited.
    LOCK TABLE public.behavioral_events IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'CREATE TABLE public.%I (LIKE public.behavioral_events'
        ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE)'
        ' WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02)',
        partition
    );
    PERFORM public.leo_isolate(('public.' || partition)::regclass);
    PERFORM public.leo_append_only(('public.' || partition)::regclass);
    EXECUTE format(
        'ALTER TABLE public.behavioral_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        partition, first_day::timestamptz, (first_day + interval '1 month')::timestamptz
    );
    RETURN true;
END
$$;
COMMENT ON FUNCTION ensure_month IS
    'Makes the partition of behavioral_events (UTC month) that holds a day, isolated and append-only like its '
    'parent; true when it was missing. From 1990 to three months ahead';
REVOKE ALL ON FUNCTION ensure_month FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_month TO leo_app, leo_worker;

-- Only the owner of a table may attach to it, and it makes tables whenever it is called.
GRANT CREATE ON SCHEMA public TO leo_partition_maker;
ALTER FUNCTION ensure_month OWNER TO leo_partition_maker;
DO $owner$
DECLARE
    target regclass;
BEGIN
    FOR target IN SELECT relid FROM pg_partition_tree('behavioral_events')
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO leo_partition_maker', target);
    END LOOP;
END
$owner$;

REVOKE CREATE ON SCHEMA public FROM
    leo_tenant_resolver, leo_tenant_lister, leo_task_claimer, leo_rule_loader,
    leo_credential_writer, leo_eraser, leo_definition_versioner;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DO $owner$
DECLARE
    target regclass;
BEGIN
    FOR target IN SELECT relid FROM pg_partition_tree('behavioral_events')
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO leo_owner', target);
    END LOOP;
END
$owner$;
REVOKE CREATE ON SCHEMA public FROM leo_partition_maker;
DROP FUNCTION ensure_month;

DROP FUNCTION erase_profile;
REVOKE ALL ON cdp_profiles, consent_management, agent_task, delivery_log, behavioral_events, activation_outcomes,
    alert_rules, embedding_job FROM leo_eraser;

DROP POLICY rule_loader_policy ON alert_rules;
REVOKE ALL ON alert_rules FROM leo_rule_loader;
DROP FUNCTION load_alert_rules;

DROP POLICY task_claimer_update ON agent_task;
DROP POLICY task_claimer_select ON agent_task;
REVOKE ALL ON agent_task FROM leo_task_claimer;
DROP FUNCTION due_queues;
DROP FUNCTION claim_tasks;

DROP POLICY definition_versioner_policy ON tenant;
REVOKE ALL ON tenant FROM leo_definition_versioner;
DROP FUNCTION bump_definitions_version CASCADE;

DROP POLICY credential_writer_policy ON tenant;
REVOKE ALL ON tenant FROM leo_credential_writer;
DROP FUNCTION store_credential;

DROP POLICY tenant_lister_policy ON tenant;
REVOKE ALL ON tenant FROM leo_tenant_lister;
DROP FUNCTION list_tenants;

DROP POLICY tenant_resolver_policy ON tenant;
REVOKE ALL ON tenant FROM leo_tenant_resolver;
DROP FUNCTION resolve_tenant;
