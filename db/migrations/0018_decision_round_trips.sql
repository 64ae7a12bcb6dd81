-- Decisions of any number of tenants in two round trips: one call loads what they need, one records them.
--
-- Both calls are a transaction of their own, run with the caller's rights, and enter the context of each tenant in
-- turn. Between them Redis reserves, under the epoch that the first call answered; the second call refuses when that
-- epoch has ended. So when an epoch ends, what was reserved in it is committed, or never will be.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- The shared lock comes first: a change of the epoch that is under way is waited for, and whatever was recorded in
-- earlier epochs is committed before the statements of the loop take their snapshots. (A function that is VOLATILE
-- takes one for each statement.) Plans of these statements are kept for a session; made while a table is still small,
-- they must not be scans. And they are kept from the first call on: to plan again for each set of values costs a small
-- batch more than it can gain.
CREATE FUNCTION load_decisions(batches jsonb) RETURNS TABLE (
    epoch bigint,
    definitions_version bigint,
    task_id text,
    source_event_id text,
    input_sha256 text,
    outcome text,
    reason_code text,
    reasoning_summary text,
    reasoning_trace jsonb,
    marketing_event_id text,
    result jsonb,
    decided_at timestamptz,
    profile_id text,
    has_email boolean,
    has_mobile_number boolean,
    channel_addresses jsonb,
    segments jsonb,
    raw_attributes jsonb,
    time_zone text,
    ext_id text,
    identities jsonb,
    primary_email citext,
    mobile_number text,
    living_location text,
    latitude double precision,
    longitude double precision,
    job_titles jsonb,
    interests jsonb,
    data_labels jsonb,
    portfolio_snapshot jsonb,
    portfolio_risk_score numeric,
    source_updated_at timestamptz,
    created_at timestamptz,
    language text,
    consented text[],
    sends jsonb
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    the_epoch bigint;
    batch jsonb;
    of_tenant uuid;
    wanted_columns text[];
BEGIN
    PERFORM pg_advisory_xact_lock_shared(4711, 1);
    SELECT last_value INTO the_epoch FROM reservation_epoch;
    FOR batch IN SELECT element FROM jsonb_array_elements(batches) AS element
    LOOP
        of_tenant := batch ->> 'tenant_id';
        wanted_columns := ARRAY(SELECT jsonb_array_elements_text(batch -> 'profile_columns'));
        PERFORM set_config('app.current_tenant_id', of_tenant::text, true);
        RETURN QUERY
        SELECT
            the_epoch,
            (SELECT tenant.definitions_version FROM tenant WHERE tenant.tenant_id = of_tenant),
            task.task_id,
            task.source_event_id,
            task.input_sha256,
            task.outcome,
            task.reason_code,
            task.reasoning_summary,
            task.reasoning_trace,
            task.marketing_event_id,
            task.result,
            task.decided_at,
            profile.profile_id,
            profile.primary_email IS NOT NULL,
            profile.mobile_number IS NOT NULL,
            profile.channel_addresses,
            profile.segments,
            profile.raw_attributes,
            profile.time_zone,
            CASE WHEN 'ext_id' = ANY(wanted_columns) THEN profile.ext_id END,
            CASE WHEN 'identities' = ANY(wanted_columns) THEN profile.identities END,
            CASE WHEN 'primary_email' = ANY(wanted_columns) THEN profile.primary_email END,
            CASE WHEN 'mobile_number' = ANY(wanted_columns) THEN profile.mobile_number END,
            CASE WHEN 'living_location' = ANY(wanted_columns) THEN profile.living_location END,
            CASE WHEN 'latitude' = ANY(wanted_columns) THEN profile.latitude END,
            CASE WHEN 'longitude' = ANY(wanted_columns) THEN profile.longitude END,
            CASE WHEN 'job_titles' = ANY(wanted_columns) THEN profile.job_titles END,
            CASE WHEN 'interests' = ANY(wanted_columns) THEN profile.interests END,
            CASE WHEN 'data_labels' = ANY(wanted_columns) THEN profile.data_labels END,
            CASE WHEN 'portfolio_snapshot' = ANY(wanted_columns) THEN profile.portfolio_snapshot END,
            CASE WHEN 'portfolio_risk_score' = ANY(wanted_columns) THEN profile.portfolio_risk_score END,
            CASE WHEN 'source_updated_at' = ANY(wanted_columns) THEN profile.source_updated_at END,
            CASE WHEN 'created_at' = ANY(wanted_columns) THEN profile.created_at END,
            CASE WHEN 'language' = ANY(wanted_columns) THEN profile.language END,
            consent.channels,
            sent.sends
        FROM ROWS FROM (
            jsonb_array_elements_text(batch -> 'profile_id'),
            jsonb_array_elements_text(batch -> 'task_id'),
            jsonb_array_elements_text(batch -> 'sends_from')
        ) WITH ORDINALITY AS wanted (profile_id, task_id, sends_from, position)
        LEFT JOIN LATERAL (
            SELECT * FROM cdp_profiles
            WHERE
                cdp_profiles.tenant_id = of_tenant
                AND cdp_profiles.profile_id = wanted.profile_id
                AND cdp_profiles.erased_at IS NULL
            LIMIT 1
        ) AS profile ON TRUE
        LEFT JOIN LATERAL (
            SELECT * FROM agent_task
            WHERE agent_task.tenant_id = of_tenant AND agent_task.task_id = wanted.task_id
            LIMIT 1
        ) AS task ON TRUE
        LEFT JOIN LATERAL (
            SELECT array_agg(consent_management.channel) AS channels
            FROM consent_management
            WHERE
                consent_management.tenant_id = of_tenant
                AND consent_management.profile_id = wanted.profile_id
                AND consent_management.status = 'granted'
                AND (consent_management.expires_at IS NULL OR consent_management.expires_at > now())
        ) AS consent ON TRUE
        LEFT JOIN LATERAL (
            SELECT jsonb_agg(jsonb_build_array(
                (extract(epoch FROM send.occurred_at) * 1000000)::bigint,
                send.task_id, send.campaign_id, definition.event_name, send.queue, definition.topic
            )) AS sends
            FROM (
                SELECT * FROM agent_task
                WHERE
                    agent_task.profile_id = wanted.profile_id
                    AND agent_task.tenant_id = of_tenant
                    AND agent_task.outcome = 'send'
                    AND agent_task.occurred_at > wanted.sends_from::timestamptz
                OFFSET 0
            ) AS send
            JOIN marketing_event AS definition
                ON definition.tenant_id = of_tenant AND definition.marketing_event_id = send.marketing_event_id
        ) AS sent ON TRUE
        ORDER BY wanted.position;
    END LOOP;
END
$$;
COMMENT ON FUNCTION load_decisions IS
    'All that decides on events of any number of tenants, a row for each event, and the reservation epoch in force';

CREATE FUNCTION record_decisions(recorded_at timestamptz, reserved_in bigint, batches jsonb) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    batch jsonb;
    sends jsonb;
    outputs jsonb;
    of_tenant uuid;
    -- What decisions of one output share: told and parsed once, and taken by its number, which counts from 1.
    outcomes text[];
    reason_codes text[];
    reasoning_traces jsonb[];
    results jsonb[];
    output_hashes text[];
    campaign_ids text[];
    marketing_event_ids text[];
    channels text[];
    due_times timestamptz[];
    experiment_ids text[];
    variants text[];
    new_tasks text[];
    known_tasks text[];
BEGIN
    PERFORM pg_advisory_xact_lock_shared(4711, 1);
    IF (SELECT last_value FROM reservation_epoch) <> reserved_in THEN
        RAISE EXCEPTION 'the epoch of these reservations has ended' USING ERRCODE = 'LE007';
    END IF;
    FOR batch IN SELECT element FROM jsonb_array_elements(batches) AS element
    LOOP
        of_tenant := batch ->> 'tenant_id';
        sends := batch -> 'sends';
        outputs := batch -> 'outputs';
        outcomes := ARRAY(SELECT jsonb_array_elements_text(outputs -> 'outcome'));
        reason_codes := ARRAY(SELECT jsonb_array_elements_text(outputs -> 'reason_code'));
        reasoning_traces := ARRAY(SELECT jsonb_array_elements(outputs -> 'reasoning_trace'));
        results := ARRAY(SELECT jsonb_array_elements(outputs -> 'result'));
        output_hashes := ARRAY(SELECT jsonb_array_elements_text(outputs -> 'output_sha256'));
        campaign_ids := ARRAY(SELECT jsonb_array_elements_text(outputs -> 'campaign_id'));
        marketing_event_ids := ARRAY(SELECT jsonb_array_elements_text(outputs -> 'marketing_event_id'));
        channels := ARRAY(SELECT jsonb_array_elements_text(outputs -> 'channel'));
        due_times := ARRAY(SELECT jsonb_array_elements_text(outputs -> 'due_at')::timestamptz);
        experiment_ids := ARRAY(SELECT jsonb_array_elements_text(outputs -> 'experiment_id'));
        variants := ARRAY(SELECT jsonb_array_elements_text(outputs -> 'variant'));
        PERFORM set_config('app.current_tenant_id', of_tenant::text, true);

        WITH new_snapshot AS (
            INSERT INTO segment_snapshot (
                tenant_id, snapshot_id, segment_name, segment_version, snapshot_reason, audience_sha256, member_count
            )
            SELECT DISTINCT ON (given.snapshot_id)
                of_tenant, given.snapshot_id, given.segment_name, given.segment_version, 'decision for one profile',
                given.audience_sha256, 1
            FROM ROWS FROM (
                jsonb_array_elements_text(sends -> 'snapshot_id'),
                jsonb_array_elements_text(sends -> 'segment_name'),
                jsonb_array_elements_text(sends -> 'segment_version'),
                jsonb_array_elements_text(sends -> 'audience_sha256')
            ) AS given (snapshot_id, segment_name, segment_version, audience_sha256)
            WHERE given.audience_sha256 IS NOT NULL
            ORDER BY given.snapshot_id
            ON CONFLICT (tenant_id, snapshot_id) DO NOTHING
            RETURNING snapshot_id
        )
        INSERT INTO segment_snapshot_member (tenant_id, snapshot_id, profile_id)
        SELECT DISTINCT ON (given.snapshot_id) of_tenant, given.snapshot_id, given.profile_id
        FROM ROWS FROM (
            jsonb_array_elements_text(sends -> 'snapshot_id'),
            jsonb_array_elements_text(sends -> 'profile_id')
        ) AS given (snapshot_id, profile_id)
        JOIN new_snapshot USING (snapshot_id)
        ORDER BY given.snapshot_id
        ON CONFLICT (tenant_id, snapshot_id, profile_id) DO NOTHING;

        -- Tasks come sorted by their ids: so writers take their locks in one order, and nothing this wide is sorted.
        WITH new_task AS (
            INSERT INTO agent_task (
                tenant_id, task_id, agent_name, task_type, campaign_id, marketing_event_id, snapshot_id, profile_id,
                parent_task_id, source_event_id, event_type, occurred_at, decided_at, input_sha256, rule_bundle_id,
                outcome, reason_code, reasoning_summary, reasoning_trace, inputs, result, output_sha256, status,
                queue, due_at, experiment_id, variant
            )
            SELECT
                of_tenant, given.task_id, 'rule_engine', 'execute', campaign_ids[given.output],
                marketing_event_ids[given.output], given.snapshot_id, given.profile_id, given.parent_task_id,
                given.source_event_id, given.event_type, given.occurred_at::timestamptz, recorded_at,
                given.input_sha256, batch ->> 'rule_bundle_id', outcomes[given.output], reason_codes[given.output],
                given.reasoning_summary, reasoning_traces[given.output], given.inputs, results[given.output],
                output_hashes[given.output],
                CASE outcomes[given.output] WHEN 'send' THEN 'pending' ELSE 'completed' END,
                channels[given.output], due_times[given.output], experiment_ids[given.output],
                variants[given.output]
            FROM (
                SELECT listed.*, listed.output_number::integer AS output
                FROM ROWS FROM (
                    jsonb_array_elements_text(batch -> 'task_id'),
                    jsonb_array_elements_text(batch -> 'profile_id'),
                    jsonb_array_elements_text(batch -> 'source_event_id'),
                    jsonb_array_elements_text(batch -> 'event_type'),
                    jsonb_array_elements_text(batch -> 'occurred_at'),
                    jsonb_array_elements_text(batch -> 'input_sha256'),
                    jsonb_array_elements_text(batch -> 'reasoning_summary'),
                    jsonb_array_elements(batch -> 'inputs'),
                    jsonb_array_elements_text(batch -> 'snapshot_id'),
                    jsonb_array_elements_text(batch -> 'parent_task_id'),
                    jsonb_array_elements_text(batch -> 'output')
                ) AS listed (
                    task_id, profile_id, source_event_id, event_type, occurred_at, input_sha256, reasoning_summary,
                    inputs, snapshot_id, parent_task_id, output_number
                )
                OFFSET 0
            ) AS given
            ON CONFLICT (tenant_id, task_id) DO NOTHING
            RETURNING task_id
        )
        SELECT array_agg(new_task.task_id) INTO new_tasks FROM new_task;
        -- Nearly always none: another server, or an earlier try, recorded them meanwhile.
        known_tasks := ARRAY(
            SELECT given.task_id FROM jsonb_array_elements_text(batch -> 'task_id') AS given (task_id)
            WHERE cardinality(new_tasks) IS DISTINCT FROM jsonb_array_length(batch -> 'task_id')
            EXCEPT
            SELECT unnest(new_tasks)
        );

        INSERT INTO behavioral_events (
            tenant_id, event_key, profile_id, source_event_id, event_type, attributes, occurred_at
        )
        SELECT
            of_tenant, given.event_key, given.profile_id, given.source_event_id, given.event_type, given.attributes,
            given.occurred_at::timestamptz
        FROM ROWS FROM (
            jsonb_array_elements_text(batch -> 'task_id'),
            jsonb_array_elements_text(batch -> 'event_key'),
            jsonb_array_elements_text(batch -> 'profile_id'),
            jsonb_array_elements_text(batch -> 'source_event_id'),
            jsonb_array_elements_text(batch -> 'event_type'),
            jsonb_array_elements(batch -> 'attributes'),
            jsonb_array_elements_text(batch -> 'occurred_at')
        ) AS given (task_id, event_key, profile_id, source_event_id, event_type, attributes, occurred_at)
        WHERE given.event_key IS NOT NULL AND given.task_id <> ALL(known_tasks)
        ORDER BY given.event_key
        ON CONFLICT DO NOTHING;

        INSERT INTO delivery_log (
            tenant_id, delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id,
            channel, delivery_status
        )
        SELECT
            of_tenant, given.delivery_key, 0, given.task_id, given.marketing_event_id, given.campaign_id,
            given.profile_id, given.snapshot_id, given.channel, 'queued'
        FROM ROWS FROM (
            jsonb_array_elements_text(sends -> 'delivery_key'),
            jsonb_array_elements_text(sends -> 'task_id'),
            jsonb_array_elements_text(sends -> 'marketing_event_id'),
            jsonb_array_elements_text(sends -> 'campaign_id'),
            jsonb_array_elements_text(sends -> 'profile_id'),
            jsonb_array_elements_text(sends -> 'snapshot_id'),
            jsonb_array_elements_text(sends -> 'channel')
        ) AS given (delivery_key, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel)
        WHERE given.task_id <> ALL(known_tasks);

        RETURN QUERY SELECT unnest(known_tasks);
    END LOOP;
END
$$;
COMMENT ON FUNCTION record_decisions IS
    'Records decisions of any number of tenants with all that belongs to them; answers the tasks that were there before';

REVOKE ALL ON FUNCTION load_decisions, record_decisions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION load_decisions, record_decisions TO leo_app, leo_worker;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP FUNCTION record_decisions;
DROP FUNCTION load_decisions;
