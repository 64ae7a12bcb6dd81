-- A decision recorded alone: what a batch has nothing of is not started, and what its outputs share is read at once.
-- Every statement that is started costs some 15 us before it sees a row, and a lone decision paid for seventeen.

-- migrate:up
SET LOCAL lock_timeout = '5s';

CREATE OR REPLACE FUNCTION record_decisions(recorded_at timestamptz, reserved_in bigint, batches jsonb) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    batch jsonb;
    sends jsonb;
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
        SELECT *
        INTO
            outcomes, reason_codes, reasoning_traces, results, output_hashes, campaign_ids, marketing_event_ids,
            channels, due_times, experiment_ids, variants
        FROM jsonb_to_record(batch -> 'outputs') AS listed (
            outcome text[], reason_code text[], reasoning_trace jsonb[], result jsonb[], output_sha256 text[],
            campaign_id text[], marketing_event_id text[], channel text[], due_at timestamptz[],
            experiment_id text[], variant text[]
        );
        PERFORM set_config('app.current_tenant_id', of_tenant::text, true);

        IF sends -> 'task_id' <> '[]' THEN
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
        END IF;

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
        known_tasks := '{}';
        -- Nearly never: another server, or an earlier try, recorded some of them meanwhile.
        IF cardinality(new_tasks) IS DISTINCT FROM jsonb_array_length(batch -> 'task_id') THEN
            known_tasks := ARRAY(
                SELECT jsonb_array_elements_text(batch -> 'task_id')
                EXCEPT
                SELECT unnest(new_tasks)
            );
            RETURN QUERY SELECT unnest(known_tasks);
        END IF;

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

        IF sends -> 'task_id' <> '[]' THEN
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
        END IF;
    END LOOP;
END
$$;

-- migrate:down
SET LOCAL lock_timeout = '5s';

CREATE OR REPLACE FUNCTION record_decisions(recorded_at timestamptz, reserved_in bigint, batches jsonb) RETURNS SETOF text
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
