-- Which variables a template cannot do without, so that a decision can ask for them before it selects. And alerts that
-- quiet hours held back become one message.

-- migrate:up
SET LOCAL lock_timeout = '5s';

ALTER TABLE message_templates
    ADD COLUMN required_variables jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(required_variables) = 'array');
COMMENT ON COLUMN message_templates.required_variables IS
    'Paths of the variables that every message needs, e.g. ["event", "amount"]; derived from the texts when it is put';

-- A worker asks for this within the transaction that records what it is about to send. Whoever comes first gets all
-- deliveries of a group, those too that another worker has claimed, unless it is sending them; the other one finds that
-- they are no longer its own.
CREATE FUNCTION gather_digest(p_tenant uuid, p_task_ids text[], p_owner text) RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    alerts record;
    held_until timestamptz;
BEGIN
    FOR alerts IN
        SELECT
            hashtextextended(jsonb_build_array(p_tenant, profile_id, queue, marketing_event_id, due_us)::text, 4714) AS lock,
            profile_id, queue, marketing_event_id, due_us
        FROM (
            SELECT DISTINCT mine.profile_id, mine.queue, mine.marketing_event_id, mine.result ->> 'due_us' AS due_us
            FROM agent_task AS mine
            WHERE mine.tenant_id = p_tenant AND mine.task_id = ANY(p_task_ids)
        ) AS given
        ORDER BY lock
    LOOP
        PERFORM pg_advisory_xact_lock(alerts.lock);
        SELECT max(mine.lease_until) INTO held_until
        FROM agent_task AS mine
        WHERE
            mine.tenant_id = p_tenant
            AND mine.task_id = ANY(p_task_ids)
            AND mine.lease_owner = p_owner
            AND mine.status = 'pending'
            AND mine.profile_id = alerts.profile_id
            AND mine.queue = alerts.queue
            AND mine.marketing_event_id = alerts.marketing_event_id
            AND mine.result ->> 'due_us' = alerts.due_us;
        CONTINUE WHEN held_until IS NULL;
        RETURN QUERY
        WITH sibling AS (
            SELECT task.task_id
            FROM agent_task AS task
            WHERE
                task.profile_id = alerts.profile_id
                AND task.tenant_id = p_tenant
                AND task.outcome = 'send'
                AND task.status = 'pending'
                AND task.event_type = 'alert.fired'
                AND task.queue = alerts.queue
                AND task.marketing_event_id = alerts.marketing_event_id
                AND task.result ->> 'due_us' = alerts.due_us
                AND task.due_at <= clock_timestamp()
                AND (task.lease_owner = p_owner OR NOT EXISTS (
                    SELECT
                    FROM delivery_log AS begun
                    WHERE
                        begun.task_id = task.task_id
                        AND begun.tenant_id = p_tenant
                        AND begun.delivery_status = 'sending'
                        AND begun.provider_response ->> 'claim' = task.lease_owner
                        AND task.lease_until > clock_timestamp()
                        AND NOT EXISTS (
                            SELECT
                            FROM delivery_log AS answer
                            WHERE
                                answer.task_id = begun.task_id
                                AND answer.tenant_id = p_tenant
                                AND answer.delivery_key = begun.delivery_key
                                AND answer.series = begun.series
                                AND answer.attempt = begun.attempt
                                AND answer.delivery_status <> 'sending'
                        )
                ))
            ORDER BY task.task_id
            -- One that is being claimed at this moment is waited for, or it would go out alone.
            FOR NO KEY UPDATE OF task
        )
        UPDATE agent_task AS task
        SET lease_owner = p_owner, lease_until = held_until
        FROM sibling
        WHERE task.tenant_id = p_tenant AND task.task_id = sibling.task_id
        RETURNING task.task_id;
    END LOOP;
END
$$;
COMMENT ON FUNCTION gather_digest IS
    'Takes over the pending alerts of the same profile, queue, marketing event and due time as these tasks; all that the '
    'caller now owns of them comes back';
REVOKE ALL ON FUNCTION gather_digest FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gather_digest TO leo_worker;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP FUNCTION gather_digest;

ALTER TABLE message_templates DROP COLUMN required_variables;
