-- migrate:up
SET LOCAL lock_timeout = '5s';

-- What becomes of deliveries travels as one JSON document, and is recorded in one round trip: one that takes up a few
-- at a time paid more for its round trips than for its rows.

-- Facts are an object of columns, arrays of the same length, or null; ends of tasks an array of groups, each with the
-- claim, status and holder that its tasks have in common. Whoever holds something back keeps those
-- out of the way who let it go on, before anything is read (a VOLATILE function takes a snapshot for each statement).
-- Plans are kept for a session; made while the tables are still small, they must not be scans.
CREATE FUNCTION record_results(of_tenant uuid, facts jsonb, ends jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    batch jsonb;
    ids text[];
    dues timestamptz[];
    holder text;
BEGIN
    PERFORM set_config('app.current_tenant_id', of_tenant::text, true);
    IF EXISTS (SELECT FROM jsonb_array_elements(ends) AS element WHERE element ->> 'held_by' IS NOT NULL) THEN
        PERFORM pg_advisory_xact_lock_shared(4713, hashtext(of_tenant::text));
    END IF;

    IF facts IS NOT NULL THEN
        INSERT INTO delivery_log (
            tenant_id, delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id,
            channel, delivery_status, reason, provider_message_id, provider_response, sent_at, series
        )
        SELECT
            of_tenant, given.delivery_key, given.attempt::int, given.task_id, given.marketing_event_id,
            given.campaign_id, given.profile_id, given.snapshot_id, given.channel, given.delivery_status, given.reason,
            given.provider_message_id, nullif(given.provider_response, 'null'), given.sent_at::timestamptz,
            given.series::int
        FROM ROWS FROM (
            jsonb_array_elements_text(facts -> 'delivery_key'),
            jsonb_array_elements_text(facts -> 'attempt'),
            jsonb_array_elements_text(facts -> 'task_id'),
            jsonb_array_elements_text(facts -> 'marketing_event_id'),
            jsonb_array_elements_text(facts -> 'campaign_id'),
            jsonb_array_elements_text(facts -> 'profile_id'),
            jsonb_array_elements_text(facts -> 'snapshot_id'),
            jsonb_array_elements_text(facts -> 'channel'),
            jsonb_array_elements_text(facts -> 'delivery_status'),
            jsonb_array_elements_text(facts -> 'reason'),
            jsonb_array_elements_text(facts -> 'provider_message_id'),
            jsonb_array_elements(facts -> 'provider_response'),
            jsonb_array_elements_text(facts -> 'sent_at'),
            jsonb_array_elements_text(facts -> 'series')
        ) WITH ORDINALITY AS given (
            delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel,
            delivery_status, reason, provider_message_id, provider_response, sent_at, series, position
        )
        WHERE NOT EXISTS (
            SELECT
            FROM delivery_log AS known
            WHERE
                known.task_id = given.task_id
                AND known.tenant_id = of_tenant
                AND known.delivery_key = given.delivery_key
                AND known.series = given.series::int
                AND known.attempt = given.attempt::int
                AND known.delivery_status = given.delivery_status
                AND (given.delivery_status <> 'deferred' OR known.reason IS NOT DISTINCT FROM given.reason)
            OFFSET 0
        )
        ORDER BY given.task_id, given.position;
    END IF;

    -- Looked up by key: joined with the tasks, the planner would now and then begin with all that is pending. It must
    -- not see either that only such tasks are meant, or it looks through the index of those instead.
    FOR batch IN SELECT element FROM jsonb_array_elements(ends) AS element
    LOOP
        ids := ARRAY(SELECT jsonb_array_elements_text(batch -> 'task_id'));
        dues := ARRAY(SELECT jsonb_array_elements_text(batch -> 'due_at')::timestamptz);
        holder := batch ->> 'held_by';
        IF holder IS NULL THEN
            UPDATE agent_task
            SET status = batch ->> 'status',
                due_at = coalesce(dues[array_position(ids, agent_task.task_id)], agent_task.due_at),
                held_by = NULL,
                lease_until = CASE batch ->> 'status' WHEN 'pending' THEN NULL ELSE agent_task.lease_until END
            WHERE
                agent_task.tenant_id = of_tenant
                AND agent_task.task_id = ANY(ids)
                AND agent_task.lease_owner = batch ->> 'owner'
                AND coalesce(agent_task.status, '') = 'pending';
        ELSE
            UPDATE agent_task
            SET (due_at, held_by, lease_until) = (
                SELECT
                    CASE WHEN still.holds THEN dues[array_position(ids, agent_task.task_id)] ELSE now() END,
                    CASE WHEN still.holds THEN holder END,
                    NULL::timestamptz
                FROM (
                    SELECT CASE holder
                        WHEN 'tenant' THEN (SELECT tenant.status <> 'active' FROM tenant WHERE tenant.tenant_id = of_tenant)
                        WHEN 'campaign' THEN (
                            SELECT campaign.status = 'paused'
                            FROM campaign
                            WHERE campaign.tenant_id = of_tenant AND campaign.campaign_id = agent_task.campaign_id
                        )
                        ELSE (
                            SELECT plan.status = 'paused'
                            FROM agent_task AS plan
                            WHERE plan.tenant_id = of_tenant AND plan.task_id = agent_task.parent_task_id
                        )
                    END
                ) AS still (holds)
            )
            WHERE
                agent_task.tenant_id = of_tenant
                AND agent_task.task_id = ANY(ids)
                AND agent_task.lease_owner = batch ->> 'owner'
                AND coalesce(agent_task.status, '') = 'pending';
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION record_results IS
    'Records what became of deliveries of a tenant: facts that are not there yet, ends of tasks, and what is held back';
REVOKE ALL ON FUNCTION record_results FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record_results TO leo_worker;

-- A claim that a crash of PostgreSQL takes back has done nothing: whatever its holder recorded afterwards stands behind
-- it in the write-ahead log, and is gone with it. So nobody waits for the disk.
GRANT CREATE ON SCHEMA public TO leo_task_claimer;
SET LOCAL ROLE leo_task_claimer;
CREATE OR REPLACE FUNCTION claim_tasks(
    p_queue text, p_limit integer, p_lease interval, p_owner text, p_since timestamptz DEFAULT '-infinity'
) RETURNS TABLE (tenant_id uuid, task_id text, attempts integer, due_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
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
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM leo_task_claimer;

-- Lists of deliveries by where they stand: what a status ends, from the rows that ended there; what is under way, from the
-- tasks that are not done. Neither depends on how much has been sent.
DROP INDEX delivery_log_trouble;
CREATE INDEX delivery_log_status ON delivery_log (delivery_status, tenant_id, delivery_id)
    WHERE delivery_status NOT IN ('queued', 'sending', 'deferred');
CREATE INDEX agent_task_open ON agent_task (outcome, tenant_id) WHERE status = 'pending' AND outcome = 'send';

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP INDEX agent_task_open;
DROP INDEX delivery_log_status;
CREATE INDEX delivery_log_trouble ON delivery_log (delivery_status, tenant_id, delivery_id)
    WHERE delivery_status IN ('unknown', 'suppressed', 'cancelled', 'expired', 'failed', 'bounced');

GRANT CREATE ON SCHEMA public TO leo_task_claimer;
SET LOCAL ROLE leo_task_claimer;
CREATE OR REPLACE FUNCTION claim_tasks(
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
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM leo_task_claimer;

DROP FUNCTION record_results;
