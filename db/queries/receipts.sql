-- What providers report about messages that they took.

-- name: record_receipts
-- Appends receipts to the deliveries that they are about: found by the provider's id of the message, else by our own
-- reference, which the provider gave back, since the id may never have arrived. A message that was about several
-- deliveries has one id, and its receipt is a row for each. The same receipt twice is one row.
-- One that comes after the next channel was begun says so: the recipient got two. A delivery that bounced and waits
-- for its receipt is due at once. What belongs to no delivery is kept aside, where it has an id for that.
-- $1 tenant; for each receipt: $2 ids that the message may have, with line feeds between them, $3 channel, $4 our
-- reference or its beginning, or null, $5 status, $6 reason or null, $7 the provider's words as JSON, $8 task that
-- keeps it aside, or null, $9 that task's inputs. $10 when what is kept aside is looked at again, from now.
WITH given AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[]
    ) WITH ORDINALITY AS given (
        message_ids, channel, reference, status, reason, response, task_id, inputs, position
    )
),
matched AS MATERIALIZED (
    SELECT given.position, given.status, given.reason AS given_reason, given.response, given.message_ids, log.*
    FROM given
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (delivery_key) *
        FROM (
            SELECT 0 AS way, by_id.* FROM (
                SELECT *
                FROM delivery_log
                WHERE
                    provider_message_id = ANY(string_to_array(given.message_ids, E'\n'))
                    AND tenant_id = $1
                    AND channel = given.channel
                OFFSET 0
            ) AS by_id
            UNION ALL
            SELECT 1 AS way, by_reference.* FROM (
                SELECT *
                FROM delivery_log
                WHERE
                    delivery_key >= given.reference
                    AND delivery_key < given.reference || 'g'
                    AND tenant_id = $1
                    AND channel = given.channel
                    AND delivery_status = 'sending'
                OFFSET 0
            ) AS by_reference
        ) AS candidate
        ORDER BY delivery_key, way, attempt DESC, delivery_id
    ) AS log
),
told AS MATERIALIZED (
    SELECT
        matched.*,
        EXISTS (
            SELECT
            FROM delivery_log AS next
            WHERE
                next.task_id = matched.task_id
                AND next.tenant_id = $1
                AND next.delivery_status = 'queued'
                AND next.channel <> matched.channel
                AND next.delivery_id > matched.delivery_id
            OFFSET 0
        ) AS late
    FROM matched
),
recorded AS (
    INSERT INTO delivery_log (
        tenant_id, delivery_key, attempt, series, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id,
        channel, delivery_status, reason, provider_message_id, provider_response, sent_at
    )
    SELECT
        $1, delivery_key, attempt, series, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id,
        channel, status, coalesce(given_reason, CASE WHEN late THEN 'LATE_RECEIPT' END),
        coalesce(provider_message_id, split_part(message_ids, E'\n', 1)), response::jsonb, sent_at
    FROM told
    ORDER BY delivery_key, attempt, status, position
    ON CONFLICT (delivery_key, attempt, delivery_status, tenant_id)
        WHERE delivery_status IN ('delivered', 'bounced', 'read')
        DO NOTHING
    RETURNING task_id, delivery_key, delivery_status
),
woken AS (
    UPDATE agent_task
    SET due_at = statement_timestamp()
    WHERE tenant_id = $1 AND task_id IN (
        SELECT waiting.task_id
        FROM agent_task AS waiting
        WHERE
            waiting.tenant_id = $1
            AND waiting.task_id IN (
                SELECT recorded.task_id
                FROM recorded
                JOIN told USING (delivery_key)
                WHERE recorded.delivery_status = 'bounced' AND NOT told.late
            )
            AND waiting.status = 'pending'
            AND waiting.due_at > statement_timestamp()
        ORDER BY waiting.task_id
        FOR NO KEY UPDATE SKIP LOCKED
    )
),
aside AS (
    INSERT INTO agent_task (
        tenant_id, task_id, agent_name, task_type, event_type, inputs, status, queue, due_at
    )
    SELECT
        $1, task_id, 'receipts', 'evaluate', 'receipt', inputs::jsonb, 'pending', 'receipts',
        statement_timestamp() + $10::interval
    FROM given
    WHERE task_id IS NOT NULL AND position NOT IN (SELECT position FROM matched)
    ORDER BY task_id
    ON CONFLICT (tenant_id, task_id) DO NOTHING
    RETURNING task_id
)
SELECT
    (SELECT count(*) FROM recorded) AS recorded,
    (SELECT count(*) FROM matched) AS matched,
    (SELECT count(*) FROM aside) AS kept_aside,
    ARRAY(SELECT position - 1 FROM matched) AS matched_positions;

-- name: record_watermarks
-- Messenger reports that a person got, or read, everything up to a time: appends that to the last of our messages to
-- that person, each where it is new. $1 tenant; for each report: $2 the person's page-scoped id, $3 until when,
-- $4 status; $5 how many messages at most. Messages of earlier weeks are left alone.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($2::text[], $3::timestamptz[], $4::text[]) AS given (destination, until, status)
),
recorded AS (
    INSERT INTO delivery_log (
        tenant_id, delivery_key, attempt, series, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id,
        channel, delivery_status, provider_message_id, provider_response, sent_at
    )
    SELECT DISTINCT ON (sent.delivery_key, sent.attempt, given.status)
        $1, sent.delivery_key, sent.attempt, sent.series, sent.task_id, sent.marketing_event_id, sent.campaign_id,
        sent.profile_id, sent.snapshot_id, sent.channel, given.status, sent.provider_message_id,
        jsonb_build_object('until', given.until), sent.sent_at
    FROM given
    CROSS JOIN LATERAL (
        SELECT *
        FROM delivery_log
        WHERE
            destination = given.destination
            AND tenant_id = $1
            AND channel = 'facebook'
            AND delivery_status = 'sending'
            AND created_at > given.until - interval '7 days'
            AND created_at <= given.until
        ORDER BY created_at DESC
        LIMIT $5
    ) AS sending
    CROSS JOIN LATERAL (
        SELECT *
        FROM delivery_log AS known
        WHERE
            known.delivery_key = sending.delivery_key
            AND known.tenant_id = $1
            AND known.attempt = sending.attempt
            AND known.delivery_status = 'sent'
        LIMIT 1
    ) AS sent
    ORDER BY sent.delivery_key, sent.attempt, given.status
    ON CONFLICT (delivery_key, attempt, delivery_status, tenant_id)
        WHERE delivery_status IN ('delivered', 'bounced', 'read')
        DO NOTHING
    RETURNING delivery_key
)
SELECT count(*) AS recorded FROM recorded;

-- name: claim_receipts
-- Leases receipts that were kept aside, of any tenant, oldest first. $1 how many, $2 for how long, $3 by whom.
SELECT tenant_id, task_id FROM claim_tasks('receipts', $1, $2, $3);

-- name: load_receipts
-- Receipts that a claim still holds. $1 tenant, $2 tasks, $3 by whom.
SELECT task_id, inputs, attempts
FROM agent_task
WHERE tenant_id = $1 AND task_id = ANY($2::text[]) AND lease_owner = $3 AND status = 'pending'
ORDER BY task_id;

-- name: settle_receipts
-- Ends receipts that were kept aside, or has them looked at again later, as long as the claim holds them. $1 tenant,
-- $2 by whom; for each: $3 task, $4 its result as JSON, or null for later, $5 when it is due again.
UPDATE agent_task
SET status = CASE WHEN given.result IS NULL THEN 'pending' ELSE 'completed' END,
    result = given.result::jsonb,
    due_at = coalesce(given.due_at, agent_task.due_at),
    lease_until = NULL
FROM (
    SELECT * FROM unnest($3::text[], $4::text[], $5::timestamptz[]) AS given (task_id, result, due_at)
    ORDER BY task_id
) AS given
WHERE
    agent_task.tenant_id = $1
    AND agent_task.task_id = given.task_id
    AND agent_task.lease_owner = $2
    AND agent_task.status = 'pending';

-- name: forget_receipts
-- Empties receipts that have ended: $1 their tasks. What they said stands in the log, or belongs to nobody.
SELECT forget_receipts($1::text[]);
