-- Erasure in full: in batches, with an audit, against writers that run at the same moment, and with a list of those who
-- are not to be brought back.

-- migrate:up
SET LOCAL lock_timeout = '5s';

ALTER TABLE cdp_profiles ADD COLUMN suppression text[];
COMMENT ON COLUMN cdp_profiles.suppression IS
    'Keyed hashes of the names of an erased person, by which nobody brings the person back; NULL: of nobody';
CREATE INDEX cdp_profiles_erased ON cdp_profiles (tenant_id, profile_id) WHERE erased_at IS NOT NULL;
CREATE INDEX cdp_profiles_suppression ON cdp_profiles USING gin (suppression) WITH (fastupdate = off)
    WHERE erased_at IS NOT NULL;

GRANT CREATE ON SCHEMA public TO leo_eraser;
GRANT SELECT (
    suppression, primary_email, mobile_number, ext_id, channel_addresses, identities
), INSERT (tenant_id, profile_id), UPDATE (
    ext_id, evaluated_segments, segment_labels, field_times, interest_embedding_model, source_updated_at, suppression
) ON cdp_profiles TO leo_eraser;
GRANT SELECT (channel, status, expires_at), UPDATE (legal_basis, expires_at) ON consent_management TO leo_eraser;
GRANT SELECT (
    task_id, agent_name, reason_code, created_at, inputs, result, queue, outcome, input_sha256
), INSERT (
    tenant_id, task_id, agent_name, task_type, profile_id, event_type, reasoning_summary, inputs, result, status,
    queue, due_at, decided_at
), UPDATE (input_sha256, due_at) ON agent_task TO leo_eraser;
GRANT SELECT (
    delivery_id, delivery_key, attempt, series, task_id, marketing_event_id, campaign_id, snapshot_id, channel,
    delivery_status, created_at, destination, reason, subject, body, provider_message_id, provider_response
), INSERT (
    tenant_id, delivery_key, attempt, series, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel,
    delivery_status, reason
) ON delivery_log TO leo_eraser;
GRANT SELECT (occurred_at, attributes, entity_type, entity_id, sentiment_val), UPDATE (
    entity_type, entity_id, sentiment_val
) ON behavioral_events TO leo_eraser;
GRANT SELECT (occurred_at, metadata) ON activation_outcomes TO leo_eraser;
GRANT SELECT (status, note, runtime), UPDATE (note, runtime) ON alert_rules TO leo_eraser;

GRANT UPDATE (input_sha256) ON embedding_job TO leo_eraser;

-- Whoever writes a fact of a person looks, once it is written, whether the person was erased (redact_erased below). So
-- only those whose look came before the erasure was committed can leave something behind: they hold their lock on the
-- table by then, and are waited for here. Nobody waits for us meanwhile: nothing is held yet.
CREATE FUNCTION leo_await_writers(p_tables regclass[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    writers constant text[] := ARRAY(
        SELECT DISTINCT l.virtualtransaction
        FROM pg_locks AS l
        WHERE l.locktype = 'relation'
            AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
            AND l.relation = ANY (p_tables)
            AND l.mode = 'RowExclusiveLock'
            AND l.granted
            AND l.pid <> pg_backend_pid()
    );
BEGIN
    WHILE EXISTS (
        SELECT FROM pg_locks AS l WHERE l.locktype = 'virtualxid' AND l.virtualtransaction = ANY (writers)
    ) LOOP
        PERFORM pg_sleep(0.005);
    END LOOP;
END
$$;
COMMENT ON FUNCTION leo_await_writers IS 'Waits until every transaction has ended that writes one of these tables now';
REVOKE ALL ON FUNCTION leo_await_writers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leo_await_writers TO leo_eraser;

-- Nothing is sent to the person any more. What was handed to a provider, and has no answer, may have gone out.
CREATE FUNCTION cancel_erased_tasks(p_tenant uuid, p_profile_id text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    tasks constant text[] := ARRAY(
        SELECT t.task_id
        FROM public.agent_task AS t
        WHERE t.profile_id = p_profile_id
            AND t.tenant_id = p_tenant
            AND t.status IN ('pending', 'paused')
            AND t.agent_name <> 'eraser'
        ORDER BY t.task_id
        FOR UPDATE
    );
BEGIN
    INSERT INTO public.delivery_log (
        tenant_id, delivery_key, attempt, series, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id,
        channel, delivery_status, reason
    )
    SELECT
        p_tenant, stands.delivery_key, stands.attempt, stands.series, stands.task_id, stands.marketing_event_id,
        stands.campaign_id, p_profile_id, stands.snapshot_id, stands.channel,
        CASE stands.delivery_status WHEN 'sending' THEN 'unknown' ELSE 'cancelled' END, 'PROFILE_ERASED'
    FROM (
        SELECT DISTINCT ON (log.delivery_key) log.*
        FROM (
            SELECT
                d.delivery_key, d.attempt, d.series, d.task_id, d.marketing_event_id, d.campaign_id, d.snapshot_id,
                d.channel, d.delivery_status, d.delivery_id
            FROM public.delivery_log AS d
            WHERE d.task_id = ANY (tasks) AND d.tenant_id = p_tenant
        ) AS log
        ORDER BY
            log.delivery_key, public.leo_delivery_standing(log.series, log.delivery_status) DESC, log.attempt DESC,
            log.delivery_id DESC
    ) AS stands
    WHERE stands.delivery_status IN ('queued', 'deferred', 'sending')
    ORDER BY stands.delivery_key;
    UPDATE public.agent_task AS t
    SET status = 'cancelled'
    WHERE t.tenant_id = p_tenant AND t.task_id = ANY (tasks);
    RETURN cardinality(tasks);
END
$$;
COMMENT ON FUNCTION cancel_erased_tasks IS
    'Ends what is still to be done for a profile: its deliveries are cancelled, or unknown where a provider has one';
REVOKE ALL ON FUNCTION cancel_erased_tasks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cancel_erased_tasks TO leo_eraser;

-- A batch goes by time along the index of each table, and is as long as it has to be where many rows share their time.
CREATE FUNCTION redact_rows(p_tenant uuid, p_profile_id text, p_rows integer) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    stone constant jsonb := '{"erased": true}';
    words constant text := '(erased)';
    until timestamptz;
    redacted bigint;
    counts jsonb := '{}';
BEGIN
    SELECT max(open.created_at) INTO until FROM (
        SELECT t.created_at
        FROM public.agent_task AS t
        WHERE t.profile_id = p_profile_id AND t.tenant_id = p_tenant
            AND t.inputs <> stone AND t.agent_name <> 'eraser' AND t.reason_code IS DISTINCT FROM 'PROFILE_ERASED'
        ORDER BY t.created_at
        LIMIT p_rows
    ) AS open;
    UPDATE public.agent_task AS t
    SET inputs = stone, reasoning_summary = words, reasoning_trace = stone, result = stone,
        input_sha256 = CASE WHEN t.input_sha256 IS NOT NULL THEN words END
    WHERE t.profile_id = p_profile_id AND t.tenant_id = p_tenant AND t.created_at <= until
        AND t.inputs <> stone AND t.agent_name <> 'eraser' AND t.reason_code IS DISTINCT FROM 'PROFILE_ERASED';
    GET DIAGNOSTICS redacted = ROW_COUNT;
    counts := counts || jsonb_build_object('agent_task', redacted);

    SELECT max(open.created_at) INTO until FROM (
        SELECT d.created_at
        FROM public.delivery_log AS d
        WHERE d.profile_id = p_profile_id AND d.tenant_id = p_tenant
            AND (d.destination <> words OR d.subject <> words OR d.body <> words OR d.provider_response <> stone
                OR d.provider_message_id <> words OR d.reason !~ '^([A-Z0-9_]{1,80}|\(erased\))$')
        ORDER BY d.created_at
        LIMIT p_rows
    ) AS open;
    -- A row of a sending keeps a provider's id out: a receipt that finds it by our reference would bring one along.
    UPDATE public.delivery_log AS d
    SET destination = CASE WHEN d.destination IS NOT NULL THEN words END,
        subject = CASE WHEN d.subject IS NOT NULL THEN words END,
        body = CASE WHEN d.body IS NOT NULL THEN words END,
        reason = CASE WHEN d.reason ~ '^[A-Z0-9_]{1,80}$' THEN d.reason WHEN d.reason IS NOT NULL THEN words END,
        provider_message_id = CASE
            WHEN d.provider_message_id IS NOT NULL OR d.delivery_status = 'sending' THEN words
        END,
        provider_response = CASE WHEN d.provider_response IS NOT NULL THEN stone END
    WHERE d.profile_id = p_profile_id AND d.tenant_id = p_tenant AND d.created_at <= until
        AND (d.destination <> words OR d.subject <> words OR d.body <> words OR d.provider_response <> stone
            OR d.provider_message_id <> words OR d.reason !~ '^([A-Z0-9_]{1,80}|\(erased\))$');
    GET DIAGNOSTICS redacted = ROW_COUNT;
    counts := counts || jsonb_build_object('delivery_log', redacted);

    SELECT max(open.occurred_at) INTO until FROM (
        SELECT e.occurred_at
        FROM public.behavioral_events AS e
        WHERE e.profile_id = p_profile_id AND e.tenant_id = p_tenant
            AND (e.attributes <> stone OR e.entity_type IS NOT NULL OR e.entity_id IS NOT NULL
                OR e.sentiment_val IS NOT NULL)
        ORDER BY e.occurred_at
        LIMIT p_rows
    ) AS open;
    UPDATE public.behavioral_events AS e
    SET attributes = stone, entity_type = NULL, entity_id = NULL, sentiment_val = NULL
    WHERE e.profile_id = p_profile_id AND e.tenant_id = p_tenant AND e.occurred_at <= until
        AND (e.attributes <> stone OR e.entity_type IS NOT NULL OR e.entity_id IS NOT NULL
            OR e.sentiment_val IS NOT NULL);
    GET DIAGNOSTICS redacted = ROW_COUNT;
    counts := counts || jsonb_build_object('behavioral_events', redacted);

    SELECT max(open.occurred_at) INTO until FROM (
        SELECT o.occurred_at
        FROM public.activation_outcomes AS o
        WHERE o.profile_id = p_profile_id AND o.tenant_id = p_tenant AND o.metadata <> stone
        ORDER BY o.occurred_at
        LIMIT p_rows
    ) AS open;
    UPDATE public.activation_outcomes AS o
    SET metadata = stone
    WHERE o.profile_id = p_profile_id AND o.tenant_id = p_tenant AND o.occurred_at <= until AND o.metadata <> stone;
    GET DIAGNOSTICS redacted = ROW_COUNT;
    counts := counts || jsonb_build_object('activation_outcomes', redacted);

    -- Those that were put while the profile became a stub.
    UPDATE public.alert_rules AS r
    SET status = 'DISABLED', note = '', runtime = NULL
    WHERE r.profile_id = p_profile_id AND r.tenant_id = p_tenant
        AND (r.status <> 'DISABLED' OR r.note <> '' OR r.runtime IS NOT NULL);
    GET DIAGNOSTICS redacted = ROW_COUNT;
    RETURN counts || jsonb_build_object('alert_rules', redacted);
END
$$;
COMMENT ON FUNCTION redact_rows IS
    'Replaces what is personal in the next rows of a profile, about so many of each table; how many of each it were';
REVOKE ALL ON FUNCTION redact_rows FROM PUBLIC;
GRANT EXECUTE ON FUNCTION redact_rows TO leo_eraser;

-- What stands in rows that are few: the profile itself, its consents, rules and waiting vector.
CREATE FUNCTION begin_erasure(p_tenant uuid, p_profile_id text, p_names text[]) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    words constant text := '(erased)';
    touched bigint;
    counts jsonb := '{"cdp_profiles": 1}';
BEGIN
    UPDATE public.cdp_profiles AS p
    SET ext_id = NULL, identities = '[]', primary_email = NULL, mobile_number = NULL, living_location = NULL,
        latitude = NULL, longitude = NULL, job_titles = '[]', interests = '[]', data_labels = '[]', segments = '[]',
        evaluated_segments = '[]', segment_labels = NULL, portfolio_snapshot = '{}', portfolio_risk_score = NULL,
        raw_attributes = '{}', channel_addresses = '{}', language = NULL, time_zone = NULL,
        interest_embedding = NULL, interest_embedding_model = NULL, field_times = '{}', source_updated_at = NULL,
        suppression = p_names, erased_at = now()
    WHERE p.tenant_id = p_tenant AND p.profile_id = p_profile_id;
    UPDATE public.consent_management AS c
    SET status = 'withdrawn', withdrawn_at = coalesce(c.withdrawn_at, now()), legal_basis = words, source = words,
        expires_at = NULL
    WHERE c.tenant_id = p_tenant AND c.profile_id = p_profile_id;
    GET DIAGNOSTICS touched = ROW_COUNT;
    counts := counts || jsonb_build_object('consent_management', touched);
    UPDATE public.alert_rules AS r
    SET status = 'DISABLED', note = '', runtime = NULL
    WHERE r.profile_id = p_profile_id AND r.tenant_id = p_tenant;
    GET DIAGNOSTICS touched = ROW_COUNT;
    counts := counts || jsonb_build_object('alert_rules', touched);
    UPDATE public.embedding_job AS j
    SET status = 'cancelled', last_error = NULL, input_sha256 = NULL
    WHERE j.tenant_id = p_tenant AND j.entity_type = 'profile' AND j.entity_id = p_profile_id;
    GET DIAGNOSTICS touched = ROW_COUNT;
    counts := counts || jsonb_build_object('embedding_job', touched);
    -- Receipts that wait for their delivery, which by now has lost the provider's id.
    UPDATE public.agent_task AS t
    SET inputs = '{"erased": true}', status = 'cancelled'
    WHERE t.queue = 'receipts' AND t.status = 'pending' AND t.tenant_id = p_tenant
        AND t.inputs -> 'message_ids' ?| ARRAY(
            SELECT d.provider_message_id
            FROM public.delivery_log AS d
            WHERE d.profile_id = p_profile_id AND d.tenant_id = p_tenant AND d.provider_message_id IS NOT NULL
        );
    RETURN counts;
END
$$;
COMMENT ON FUNCTION begin_erasure IS 'Makes an anonymous stub of a profile that is locked; how many rows of each table';
REVOKE ALL ON FUNCTION begin_erasure FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_erasure TO leo_eraser;

DROP FUNCTION erase_profile(text);
CREATE FUNCTION erase_profile(
    p_profile_id text, p_asked_by text, p_reason text, p_names text[], p_rows integer
) RETURNS TABLE (task_id text, erased_at timestamptz, complete boolean, counts jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant constant uuid := nullif(current_setting('app.current_tenant_id', true), '')::uuid;
    audit text;
    erased timestamptz;
    now_counts jsonb;
    ended boolean;
BEGIN
    IF coalesce(p_rows, 0) < 1 OR coalesce(p_reason, '') = '' OR coalesce(p_asked_by, '') = '' THEN
        RAISE EXCEPTION 'an erasure names who asked, why, and how many rows at a time'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF tenant IS NULL OR p_profile_id IS NULL THEN
        RETURN;
    END IF;
    audit := public.leo_key_id('erasure', tenant, p_profile_id);
    SELECT p.erased_at INTO erased
    FROM public.cdp_profiles AS p
    WHERE p.tenant_id = tenant AND p.profile_id = p_profile_id;
    IF erased IS NULL THEN
        -- Tasks first, as whoever ends a delivery takes them.
        PERFORM public.cancel_erased_tasks(tenant, p_profile_id);
        INSERT INTO public.cdp_profiles (tenant_id, profile_id)
        SELECT tenant, p_profile_id
        WHERE EXISTS (
            SELECT FROM public.agent_task AS t WHERE t.profile_id = p_profile_id AND t.tenant_id = tenant
        ) OR EXISTS (
            SELECT FROM public.behavioral_events AS e WHERE e.profile_id = p_profile_id AND e.tenant_id = tenant
        )
        ON CONFLICT DO NOTHING;
        SELECT p.erased_at INTO erased
        FROM public.cdp_profiles AS p
        WHERE p.tenant_id = tenant AND p.profile_id = p_profile_id
        FOR UPDATE;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        IF erased IS NULL THEN
            now_counts := public.begin_erasure(tenant, p_profile_id, p_names);
            INSERT INTO public.agent_task (
                tenant_id, task_id, agent_name, task_type, profile_id, event_type, reasoning_summary, inputs, result,
                status, queue, due_at, decided_at
            )
            VALUES (
                tenant, audit, 'eraser', 'evaluate', p_profile_id, 'profile.erased', p_reason,
                jsonb_build_object('asked_by', p_asked_by), now_counts, 'pending', 'erasures',
                now() + interval '1 minute', now()
            );
        END IF;
        -- Whoever was first has begun; what this call took of the tasks it gives back before it waits for writers, who
        -- may be waiting for it.
        RETURN QUERY SELECT audit, coalesce(erased, now()), false, coalesce(now_counts, '{}');
        RETURN;
    END IF;
    PERFORM public.leo_await_writers(ARRAY[
        'public.agent_task', 'public.delivery_log', 'public.behavioral_events', 'public.activation_outcomes',
        'public.alert_rules', 'public.segment_snapshot'
    ]::regclass[]);
    PERFORM public.cancel_erased_tasks(tenant, p_profile_id);
    now_counts := public.redact_rows(tenant, p_profile_id, p_rows);
    ended := NOT EXISTS (SELECT FROM jsonb_each_text(now_counts) AS c WHERE c.value::bigint >= p_rows);
    UPDATE public.agent_task AS t
    SET result = t.result || (
            SELECT jsonb_object_agg(c.key, c.value::bigint + coalesce((t.result ->> c.key)::bigint, 0))
            FROM jsonb_each_text(now_counts) AS c
        ),
        status = CASE WHEN ended THEN 'completed' ELSE t.status END,
        due_at = now() + interval '1 minute'
    WHERE t.tenant_id = tenant AND t.task_id = audit
    RETURNING t.result INTO now_counts;
    RETURN QUERY SELECT audit, erased, ended, now_counts;
END
$$;
COMMENT ON FUNCTION erase_profile IS
    'Redacts what is personal about one profile of the tenant in context. The first call makes the profile a stub, '
    'cancels what is pending and records who asked, and why; each further one, in a transaction of its own, redacts '
    'about so many rows of each table, until it is complete. No row when there is no such profile';
REVOKE ALL ON FUNCTION erase_profile FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_profile TO leo_app, leo_worker;
ALTER FUNCTION erase_profile OWNER TO leo_eraser;

CREATE FUNCTION readmit_profile(p_profile_id text, p_asked_by text, p_reason text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant constant uuid := nullif(current_setting('app.current_tenant_id', true), '')::uuid;
BEGIN
    IF coalesce(p_reason, '') = '' OR coalesce(p_asked_by, '') = '' THEN
        RAISE EXCEPTION 'a readmission names who asked, and why' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE public.cdp_profiles AS p
    SET suppression = NULL
    WHERE p.tenant_id = tenant AND p.profile_id = p_profile_id AND p.erased_at IS NOT NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO public.agent_task (
        tenant_id, task_id, agent_name, task_type, profile_id, event_type, reasoning_summary, inputs, status, decided_at
    )
    VALUES (
        tenant, public.leo_key_id('readmission', tenant, p_profile_id, now()::text), 'eraser', 'evaluate', p_profile_id,
        'profile.readmitted', p_reason, jsonb_build_object('asked_by', p_asked_by), 'completed', now()
    )
    ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;
COMMENT ON FUNCTION readmit_profile IS
    'Takes an erased person off the list of those who are not brought back, and records who asked, and why; the stub '
    'stays erased. False when there is no such stub';
REVOKE ALL ON FUNCTION readmit_profile FROM PUBLIC;
GRANT EXECUTE ON FUNCTION readmit_profile TO leo_app;
ALTER FUNCTION readmit_profile OWNER TO leo_eraser;

CREATE FUNCTION redact_erased(p_profile_ids text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    tenant constant uuid := nullif(current_setting('app.current_tenant_id', true), '')::uuid;
    erased text;
BEGIN
    FOR erased IN
        SELECT p.profile_id
        FROM public.cdp_profiles AS p
        WHERE p.tenant_id = tenant AND p.profile_id = ANY (p_profile_ids) AND p.erased_at IS NOT NULL
        ORDER BY p.profile_id
    LOOP
        PERFORM public.cancel_erased_tasks(tenant, erased);
        PERFORM public.redact_rows(tenant, erased, 10000);
    END LOOP;
END
$$;
COMMENT ON FUNCTION redact_erased IS
    'Redacts what was just written of those of these profiles that were erased meanwhile, in the transaction that wrote it';
REVOKE ALL ON FUNCTION redact_erased FROM PUBLIC;
GRANT EXECUTE ON FUNCTION redact_erased TO leo_app, leo_worker;
ALTER FUNCTION redact_erased OWNER TO leo_eraser;

CREATE FUNCTION forget_receipts(p_task_ids text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE public.agent_task AS t
    SET inputs = '{}'
    WHERE t.tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid)
        AND t.task_id = ANY (p_task_ids) AND t.queue = 'receipts' AND t.status <> 'pending'
$$;
COMMENT ON FUNCTION forget_receipts IS
    'Empties receipts that were kept aside and have ended: a provider''s id of a message may hold a number';
REVOKE ALL ON FUNCTION forget_receipts FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_receipts TO leo_worker;
ALTER FUNCTION forget_receipts OWNER TO leo_eraser;

REVOKE CREATE ON SCHEMA public FROM leo_eraser;

-- Recorded, and then looked at: a person who was erased since the decision was loaded leaves nothing in it. Where nobody
-- of a tenant was erased, that is one look into an empty index.
CREATE FUNCTION record_and_redact_decisions(recorded_at timestamptz, reserved_in bigint, batches jsonb)
RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    batch jsonb;
BEGIN
    RETURN QUERY SELECT record_decisions(recorded_at, reserved_in, batches);
    FOR batch IN SELECT element FROM jsonb_array_elements(batches) AS element
    LOOP
        PERFORM set_config('app.current_tenant_id', batch ->> 'tenant_id', true);
        IF EXISTS (
            SELECT FROM cdp_profiles WHERE tenant_id = (batch ->> 'tenant_id')::uuid AND erased_at IS NOT NULL
        ) THEN
            PERFORM redact_erased(ARRAY(SELECT jsonb_array_elements_text(batch -> 'profile_id')));
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION record_and_redact_decisions IS
    'record_decisions, and what it recorded of people who were erased meanwhile is redacted in the same transaction';
REVOKE ALL ON FUNCTION record_and_redact_decisions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record_and_redact_decisions TO leo_app, leo_worker;

CREATE FUNCTION record_and_redact_results(of_tenant uuid, facts jsonb, ends jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
    PERFORM record_results(of_tenant, facts, ends);
    IF facts IS NOT NULL AND EXISTS (
        SELECT FROM cdp_profiles WHERE tenant_id = of_tenant AND erased_at IS NOT NULL
    ) THEN
        PERFORM redact_erased(ARRAY(SELECT jsonb_array_elements_text(facts -> 'profile_id')));
    END IF;
END
$$;
COMMENT ON FUNCTION record_and_redact_results IS
    'record_results, and what it recorded of people who were erased meanwhile is redacted in the same transaction';
REVOKE ALL ON FUNCTION record_and_redact_results FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record_and_redact_results TO leo_worker;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP FUNCTION record_and_redact_results;
DROP FUNCTION record_and_redact_decisions;
DROP FUNCTION forget_receipts;
DROP FUNCTION redact_erased;
DROP FUNCTION readmit_profile;
DROP FUNCTION erase_profile;
DROP FUNCTION begin_erasure;
DROP FUNCTION redact_rows;
DROP FUNCTION cancel_erased_tasks;
DROP FUNCTION leo_await_writers;
DROP INDEX cdp_profiles_suppression;
DROP INDEX cdp_profiles_erased;

REVOKE SELECT (
    primary_email, mobile_number, ext_id, channel_addresses, identities
), INSERT (tenant_id, profile_id), UPDATE (
    ext_id, evaluated_segments, segment_labels, field_times, interest_embedding_model, source_updated_at
) ON cdp_profiles FROM leo_eraser;
ALTER TABLE cdp_profiles DROP COLUMN suppression;
REVOKE SELECT (channel, status, expires_at), UPDATE (legal_basis, expires_at) ON consent_management FROM leo_eraser;
REVOKE SELECT (
    task_id, agent_name, reason_code, created_at, inputs, result, queue, outcome, input_sha256
), INSERT (
    tenant_id, task_id, agent_name, task_type, profile_id, event_type, reasoning_summary, inputs, result, status,
    queue, due_at, decided_at
), UPDATE (input_sha256, due_at) ON agent_task FROM leo_eraser;
REVOKE SELECT (
    delivery_id, delivery_key, attempt, series, task_id, marketing_event_id, campaign_id, snapshot_id, channel,
    delivery_status, created_at, destination, reason, subject, body, provider_message_id, provider_response
), INSERT (
    tenant_id, delivery_key, attempt, series, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel,
    delivery_status, reason
) ON delivery_log FROM leo_eraser;
REVOKE SELECT (occurred_at, attributes, entity_type, entity_id, sentiment_val), UPDATE (
    entity_type, entity_id, sentiment_val
) ON behavioral_events FROM leo_eraser;
REVOKE SELECT (occurred_at, metadata) ON activation_outcomes FROM leo_eraser;
REVOKE UPDATE (input_sha256) ON embedding_job FROM leo_eraser;
REVOKE SELECT (status, note, runtime), UPDATE (note, runtime) ON alert_rules FROM leo_eraser;

GRANT CREATE ON SCHEMA public TO leo_eraser;
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
REVOKE CREATE ON SCHEMA public FROM leo_eraser;
