-- Plans of dispatches, and the deliveries that workers carry out.

-- name: find_dispatch_target
-- What a dispatch refers to, one row: the marketing event ($2), whether the profile exists ($3, null for a
-- snapshot), and the snapshot's size ($4, null for a profile). $1 tenant.
SELECT
    definition.campaign_id,
    definition.status AS marketing_event_status,
    EXISTS (
        SELECT FROM cdp_profiles WHERE tenant_id = $1 AND profile_id = $3 AND erased_at IS NULL
    ) AS profile_exists,
    (SELECT member_count FROM segment_snapshot WHERE tenant_id = $1 AND snapshot_id = $4) AS member_count
FROM (VALUES (1)) AS one (row)
LEFT JOIN marketing_event AS definition
    ON definition.tenant_id = $1 AND definition.marketing_event_id = $2;

-- name: freeze_profile
-- Freezes an audience of one, unless it is frozen already. $1 tenant, $2 snapshot, $3 segment name, $4 segment
-- version, $5 reason, $6 hash of the audience, $7 profile.
WITH frozen AS (
    INSERT INTO segment_snapshot (
        tenant_id, snapshot_id, segment_name, segment_version, snapshot_reason, audience_sha256, member_count
    )
    VALUES ($1, $2, $3, $4, $5, $6, 1)
    ON CONFLICT (tenant_id, snapshot_id) DO NOTHING
    RETURNING snapshot_id
)
INSERT INTO segment_snapshot_member (tenant_id, snapshot_id, profile_id)
SELECT $1, frozen.snapshot_id, $7 FROM frozen
ON CONFLICT (tenant_id, snapshot_id, profile_id) DO NOTHING;

-- name: insert_plan
-- Plans a dispatch; a row comes back when it is new. $1 tenant, $2 task, $3 campaign, $4 marketing event,
-- $5 snapshot, $6 profile or null, $7 the caller's id, $8 as of when members are decided, $9 fingerprint of the
-- body, $10 reason, $11 inputs.
INSERT INTO agent_task (
    tenant_id, task_id, agent_name, task_type, campaign_id, marketing_event_id, snapshot_id, profile_id,
    source_event_id, event_type, occurred_at, decided_at, input_sha256, reasoning_summary, inputs, status, queue,
    due_at
)
VALUES ($1, $2, 'dispatch', 'plan', $3, $4, $5, $6, $7, 'dispatch', $8, $8, $9, $10, $11, 'pending', 'dispatch', $8)
ON CONFLICT (tenant_id, task_id) DO NOTHING
RETURNING task_id;

-- name: find_plan
-- A plan with what it has come to. $1 tenant, $2 task.
SELECT
    plan.task_id,
    plan.status,
    plan.marketing_event_id,
    plan.snapshot_id,
    plan.input_sha256,
    plan.occurred_at,
    plan.result,
    (plan.inputs ->> 'valid_until')::timestamptz AS valid_until,
    snapshot.member_count
FROM agent_task AS plan
JOIN segment_snapshot AS snapshot ON snapshot.tenant_id = $1 AND snapshot.snapshot_id = plan.snapshot_id
WHERE plan.tenant_id = $1 AND plan.task_id = $2 AND plan.task_type = 'plan' AND plan.queue = 'dispatch'
    AND plan.parent_task_id IS NULL;

-- name: count_plan
-- How many members of a plan have been decided, and to how many something is sent. $1 tenant, $2 plan.
SELECT
    count(*) AS decided_count,
    count(*) FILTER (WHERE outcome = 'send') AS send_count
FROM agent_task
WHERE tenant_id = $1 AND parent_task_id = $2 AND task_type = 'execute';

-- name: claim_tasks
-- Leases due tasks of a queue, of any tenant, oldest first. $1 queue, $2 how many, $3 for how long, $4 by whom,
-- $5 due from when on.
SELECT tenant_id, task_id, attempts, due_at FROM claim_tasks($1, $2, $3, $4, $5);

-- name: extend_lease
-- Keeps a claimed plan, or a part of one, for longer; a row comes back while the claim still holds, the whole is
-- neither paused nor called off, and neither its campaign is paused nor the tenant suspended. $1 tenant, $2 task,
-- $3 by whom, $4 for how long from now.
UPDATE agent_task
SET lease_until = now() + $4::interval
WHERE
    tenant_id = $1
    AND task_id = $2
    AND lease_owner = $3
    AND status = 'pending'
    AND NOT EXISTS (
        SELECT
        FROM agent_task AS whole
        WHERE whole.tenant_id = $1 AND whole.task_id = agent_task.parent_task_id AND whole.status <> 'pending'
        OFFSET 0
    )
    AND NOT EXISTS (
        SELECT
        FROM campaign
        WHERE campaign.tenant_id = $1 AND campaign.campaign_id = agent_task.campaign_id AND campaign.status = 'paused'
        OFFSET 0
    )
    AND EXISTS (SELECT FROM tenant WHERE tenant.tenant_id = $1 AND tenant.status = 'active' OFFSET 0)
RETURNING task_id;

-- name: load_claimed_plan
-- A plan, or a part of one, that this claim still holds: the members after `after`, up to `through` where there is an
-- end. $1 tenant, $2 task, $3 by whom.
SELECT
    claimed.task_id,
    coalesce(whole.task_id, claimed.task_id) AS plan_task_id,
    coalesce(whole.status, claimed.status) AS plan_status,
    claimed.marketing_event_id,
    claimed.snapshot_id,
    claimed.occurred_at,
    snapshot.member_count,
    coalesce(claimed.inputs ->> 'after', '') AS after,
    claimed.inputs ->> 'through' AS through
FROM agent_task AS claimed
LEFT JOIN agent_task AS whole ON whole.tenant_id = $1 AND whole.task_id = claimed.parent_task_id
JOIN segment_snapshot AS snapshot ON snapshot.tenant_id = $1 AND snapshot.snapshot_id = claimed.snapshot_id
WHERE
    claimed.tenant_id = $1 AND claimed.task_id = $2 AND claimed.lease_owner = $3 AND claimed.status = 'pending';

-- name: split_plan
-- Divides the audience of a plan among tasks that are leased one by one: ranges of members of about the same size.
-- $1 tenant, $2 plan, $3 members of a part.
WITH part AS (
    SELECT numbered.part, max(numbered.profile_id) AS through
    FROM (
        SELECT member.profile_id, (row_number() OVER (ORDER BY member.profile_id) - 1) / $3::bigint AS part
        FROM segment_snapshot_member AS member
        WHERE
            member.tenant_id = $1
            AND member.snapshot_id = (SELECT snapshot_id FROM agent_task WHERE tenant_id = $1 AND task_id = $2)
    ) AS numbered
    GROUP BY numbered.part
)
INSERT INTO agent_task (
    tenant_id, task_id, agent_name, task_type, campaign_id, marketing_event_id, snapshot_id, parent_task_id,
    occurred_at, decided_at, inputs, status, queue, due_at
)
SELECT
    $1, leo_key_id('dispatch_part', $1, $2, part.part::text), 'dispatch', 'plan', whole.campaign_id,
    whole.marketing_event_id, whole.snapshot_id, $2, whole.occurred_at, whole.decided_at,
    jsonb_build_object(
        'part', part.part,
        'of', count(*) OVER (),
        'after', coalesce(lag(part.through) OVER (ORDER BY part.part), ''),
        'through', part.through
    ),
    'pending', 'dispatch', now()
FROM part
JOIN agent_task AS whole ON whole.tenant_id = $1 AND whole.task_id = $2
ORDER BY part.part;

-- name: count_parts
-- Into how many parts a plan is divided, and how many of them are not done. $1 tenant, $2 plan.
SELECT count(*) AS part_count, count(*) FILTER (WHERE part.status = 'pending') AS open_count
FROM (
    SELECT (inputs ->> 'of')::bigint AS part_count
    FROM agent_task
    WHERE tenant_id = $1 AND task_id = leo_key_id('dispatch_part', $1, $2, '0')
) AS first
CROSS JOIN LATERAL generate_series(0, first.part_count - 1) AS number
CROSS JOIN LATERAL (
    SELECT status
    FROM agent_task
    WHERE tenant_id = $1 AND task_id = leo_key_id('dispatch_part', $1, $2, number::text)
    LIMIT 1
) AS part;

-- name: lock_whole_plan
-- Where a plan stands, which is held for the transaction. $1 tenant, $2 plan.
SELECT status FROM agent_task WHERE tenant_id = $1 AND task_id = $2 FOR NO KEY UPDATE;

-- name: leave_plan
-- Gives a claimed plan, or a part of one, back: to be looked at again after a time ($4) at the latest where it is held
-- back, and at once where the whole was called off or goes on already. $1 tenant, $2 task, $3 by whom.
UPDATE agent_task
SET lease_until = NULL,
    due_at = CASE WHEN holder.held_by IS NULL THEN now() ELSE now() + $4::interval END,
    held_by = holder.held_by
FROM (
    SELECT
        claimed.task_id,
        CASE
            WHEN tenant.status <> 'active' THEN 'tenant'
            WHEN campaign.status = 'paused' THEN 'campaign'
            WHEN whole.status = 'paused' THEN 'dispatch'
        END AS held_by
    FROM agent_task AS claimed
    JOIN tenant ON tenant.tenant_id = $1
    LEFT JOIN campaign ON campaign.tenant_id = $1 AND campaign.campaign_id = claimed.campaign_id
    LEFT JOIN agent_task AS whole ON whole.tenant_id = $1 AND whole.task_id = claimed.parent_task_id
    WHERE claimed.tenant_id = $1 AND claimed.task_id = $2
) AS holder
WHERE
    agent_task.tenant_id = $1
    AND agent_task.task_id = holder.task_id
    AND agent_task.lease_owner = $3
    AND agent_task.status = 'pending';

-- name: put_off_plan
-- Gives a claimed plan, or a part of one, back, to be looked at again after a time ($4) at the latest: the parts of a plan
-- are under way, and the last one ends it, or members could not be decided for the moment. $1 tenant, $2 plan, $3 by
-- whom.
UPDATE agent_task
SET lease_until = NULL,
    due_at = now() + $4::interval
WHERE tenant_id = $1 AND task_id = $2 AND lease_owner = $3 AND status = 'pending';

-- name: list_members
-- The next members of a frozen audience, in the order of their ids. $1 tenant, $2 snapshot, $3 after which
-- profile, $4 how many, $5 up to which profile, or null.
SELECT profile_id
FROM segment_snapshot_member
WHERE tenant_id = $1 AND snapshot_id = $2 AND profile_id > $3 AND ($5::text IS NULL OR profile_id <= $5)
ORDER BY profile_id
LIMIT $4;

-- name: end_plan
-- Ends a plan, or a part of one, that this claim still holds. $1 tenant, $2 task, $3 by whom, or null for whoever,
-- $4 completed, failed or cancelled, $5 result.
UPDATE agent_task
SET status = $4,
    held_by = NULL,
    result = coalesce(result, $5)
WHERE tenant_id = $1 AND task_id = $2 AND ($3::text IS NULL OR lease_owner = $3) AND status = 'pending'
RETURNING task_id;

-- name: load_deliveries
-- All that it takes to send what this claim still holds: the decision, the profile as it is now, its consents
-- now, the definitions now, and every fact about its deliveries. The template is the one of the variant that an
-- experiment drew, where one did. $1 tenant, $2 tasks, $3 by whom.
SELECT
    task.task_id,
    task.profile_id,
    task.campaign_id,
    task.marketing_event_id,
    task.snapshot_id,
    task.inputs -> 'event' AS event,
    CASE
        WHEN task.event_type = 'alert.fired'
            AND (task.result ->> 'due_us')::bigint > (extract(epoch FROM task.decided_at) * 1000000)::bigint
        THEN (task.result ->> 'due_us')::bigint
    END AS held_until_us,
    task.result -> 'channels' AS channels,
    definition.event_name,
    coalesce(task.result #>> '{arm,template_name}', definition.template_name) AS template_name,
    definition.status AS marketing_event_status,
    campaign.campaign_name,
    campaign.campaign_code,
    campaign.status AS campaign_status,
    tenant.tenant_name,
    tenant.status AS tenant_status,
    tenant.definitions_version,
    plan.status AS plan_status,
    definition.receipt_seconds,
    least(
        coalesce(task.occurred_at, task.created_at) + make_interval(secs => definition.valid_for_seconds),
        (plan.inputs ->> 'valid_until')::timestamptz
    ) AS valid_until,
    profile.ext_id,
    profile.primary_email::text,
    profile.mobile_number,
    profile.living_location,
    profile.job_titles,
    profile.interests,
    profile.segments,
    profile.raw_attributes,
    profile.channel_addresses,
    profile.language,
    profile.time_zone,
    consent.channels AS consented,
    log.facts
FROM unnest($2::text[]) AS wanted (task_id)
CROSS JOIN LATERAL (
    SELECT * FROM agent_task
    WHERE tenant_id = $1 AND agent_task.task_id = wanted.task_id AND lease_owner = $3 AND status = 'pending'
    LIMIT 1
) AS task
LEFT JOIN LATERAL (
    SELECT * FROM cdp_profiles WHERE tenant_id = $1 AND profile_id = task.profile_id LIMIT 1
) AS profile ON TRUE
LEFT JOIN LATERAL (
    SELECT array_agg(channel) AS channels
    FROM consent_management
    WHERE
        tenant_id = $1
        AND profile_id = task.profile_id
        AND status = 'granted'
        AND (expires_at IS NULL OR expires_at > now())
) AS consent ON TRUE
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(channel, attempt, delivery_status, series, sent_at)) AS facts
    FROM delivery_log
    WHERE tenant_id = $1 AND delivery_log.task_id = task.task_id
) AS log ON TRUE
LEFT JOIN LATERAL (
    SELECT status, inputs FROM agent_task WHERE tenant_id = $1 AND agent_task.task_id = task.parent_task_id LIMIT 1
) AS plan ON TRUE
LEFT JOIN LATERAL (
    SELECT * FROM marketing_event
    WHERE tenant_id = $1 AND marketing_event_id = task.marketing_event_id
    LIMIT 1
) AS definition ON TRUE
LEFT JOIN LATERAL (
    SELECT * FROM campaign WHERE tenant_id = $1 AND campaign_id = definition.campaign_id LIMIT 1
) AS campaign ON TRUE
LEFT JOIN LATERAL (SELECT * FROM tenant WHERE tenant_id = $1 LIMIT 1) AS tenant ON TRUE;

-- name: gather_digest
-- Takes over the alerts that belong into one message with these, and answers all that are now held of them; of these
-- themselves those are missing that another worker took. Locks each group until the transaction ends. $1 tenant,
-- $2 tasks, $3 by whom.
SELECT gather_digest AS task_id FROM gather_digest($1, $2::text[], $3);

-- name: load_templates
-- The active templates of these names, in every channel and language. $1 tenant, $2 names.
SELECT
    template_id,
    template_name,
    channel,
    language,
    subject_template,
    body_template,
    template_engine,
    metadata,
    coalesce(metadata ->> 'content_type', 'text/plain') AS content_type
FROM message_templates
WHERE tenant_id = $1 AND template_name = ANY($2::text[]) AND status = 'active';

-- name: insert_sending
-- Records that messages are about to be sent; only those that come back may be. One that does not has been begun
-- by another claimant of the same attempt. $1 tenant; the arrays have one element for each message.
INSERT INTO delivery_log (
    tenant_id, delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel,
    destination, delivery_status, subject, body, provider_response, series
)
SELECT
    $1, delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel,
    destination, 'sending', subject, body,
    jsonb_strip_nulls(jsonb_build_object('claim', claim, 'content_type', content_type, 'data', data::jsonb)),
    series
FROM unnest(
    $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::int[]
) AS given (
    delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel,
    destination, subject, body, claim, content_type, data, series
)
ORDER BY delivery_key
ON CONFLICT (delivery_key, attempt, tenant_id) WHERE delivery_status = 'sending' DO NOTHING
RETURNING delivery_key;

-- name: load_sending
-- What a claim had recorded when the answer to its commit was lost. $1 tenant, $2 tasks, $3 by whom.
SELECT log.delivery_key, log.attempt
FROM unnest($2::text[]) AS wanted (task_id)
CROSS JOIN LATERAL (
    SELECT * FROM delivery_log
    WHERE
        tenant_id = $1
        AND delivery_log.task_id = wanted.task_id
        AND delivery_status = 'sending'
        AND provider_response ->> 'claim' = $3
    OFFSET 0
) AS log;

-- name: record_results
-- Records what became of deliveries, and moves their tasks on as long as the claim still holds them: ended, due again
-- later, or held back; what was let go on meanwhile is due at once. A fact that is there already is left alone, so that
-- it may be recorded again after a lost commit; one delivery may be deferred again for another reason. Facts of one task
-- keep their order. Of people who were erased meanwhile nothing personal is kept. $1 tenant, $2 facts, an object of
-- columns or null, $3 ends of tasks, an array of objects.
SELECT record_and_redact_results($1, $2::jsonb, $3::jsonb);

-- name: remove_dead_addresses
-- Takes addresses from a profile that a provider says exist no more; those that were added since stay. $1 tenant,
-- $2 profile, $3 channel, $4 the addresses.
UPDATE cdp_profiles
SET channel_addresses = coalesce(
    jsonb_set(
        channel_addresses,
        ARRAY[$3],
        (
            SELECT jsonb_agg(listed.address ORDER BY listed.position)
            FROM jsonb_array_elements_text(
                CASE jsonb_typeof(channel_addresses -> $3)
                    WHEN 'array' THEN channel_addresses -> $3
                    ELSE jsonb_build_array(channel_addresses -> $3)
                END
            ) WITH ORDINALITY AS listed (address, position)
            WHERE btrim(listed.address) <> ALL($4::text[])
        )
    ),
    channel_addresses - $3
)
WHERE tenant_id = $1 AND profile_id = $2 AND channel_addresses ? $3;

-- name: share_holding
-- Keeps whoever lets deliveries of the tenant go on out of the way until the transaction ends, so that what is held
-- back now is seen by them. $1 tenant.
SELECT pg_advisory_xact_lock_shared(4713, hashtext($1::uuid::text));

-- name: find_deliveries
-- The deliveries of a task as they stand now, the last one first. $1 tenant, $2 task, $3 one delivery only, or null.
SELECT
    first.delivery_id AS position,
    current.delivery_key, current.task_id, task.parent_task_id AS plan_task_id, current.marketing_event_id, current.campaign_id,
    current.profile_id, current.snapshot_id, current.channel, current.delivery_status AS status, current.reason,
    current.attempt, current.series, current.provider_message_id, current.created_at AS changed_at,
    CASE task.status WHEN 'pending' THEN task.due_at END AS due_at,
    first.created_at AS queued_at
FROM delivery_current AS current
JOIN agent_task AS task ON task.tenant_id = $1 AND task.task_id = current.task_id
JOIN LATERAL (
    SELECT delivery_id, created_at
    FROM delivery_log
    WHERE tenant_id = $1 AND delivery_log.task_id = current.task_id AND delivery_key = current.delivery_key
    ORDER BY delivery_id
    LIMIT 1
) AS first ON TRUE
WHERE current.tenant_id = $1 AND current.task_id = $2 AND ($3::text IS NULL OR current.delivery_key = $3)
ORDER BY first.delivery_id DESC;

-- name: find_task_of_delivery
-- The decision that a delivery belongs to. $1 tenant, $2 delivery.
SELECT task_id FROM delivery_log WHERE tenant_id = $1 AND delivery_key = $2 AND delivery_status = 'queued' LIMIT 1;

-- name: list_records
-- Everything that was recorded about the deliveries of a task, oldest first. $1 tenant, $2 task, $3 one delivery
-- only, or null.
SELECT
    delivery_id, delivery_key, channel, delivery_status AS status, attempt, series, reason, destination, subject, body,
    provider_message_id, provider_response, created_at AS recorded_at
FROM delivery_log
WHERE tenant_id = $1 AND task_id = $2 AND ($3::text IS NULL OR delivery_key = $3)
ORDER BY delivery_id;

-- name: list_deliveries
-- Deliveries in the order in which they were queued, as they stand now. $1 tenant, $2 after which row, $3 how
-- many; filters or null: $4 campaign, $5 marketing event, $6 status.
SELECT
    queued.delivery_id AS position,
    queued.delivery_key, queued.task_id, task.parent_task_id AS plan_task_id, queued.marketing_event_id, queued.campaign_id,
    queued.profile_id, queued.snapshot_id, queued.channel, current.delivery_status AS status, current.reason,
    current.attempt, current.series, current.provider_message_id, current.created_at AS changed_at,
    CASE task.status WHEN 'pending' THEN task.due_at END AS due_at,
    queued.created_at AS queued_at
FROM delivery_log AS queued
JOIN agent_task AS task ON task.tenant_id = $1 AND task.task_id = queued.task_id
JOIN LATERAL (
    SELECT *
    FROM delivery_log AS fact
    WHERE
        fact.tenant_id = $1
        AND fact.task_id = queued.task_id
        AND fact.delivery_key = queued.delivery_key
    ORDER BY leo_delivery_standing(fact.series, fact.delivery_status) DESC, fact.attempt DESC, fact.delivery_id DESC
    LIMIT 1
) AS current ON TRUE
WHERE
    queued.tenant_id = $1
    AND queued.delivery_id > $2
    AND queued.delivery_status = 'queued'
    AND queued.series = 1
    AND ($4::text IS NULL OR queued.campaign_id = $4)
    AND ($5::text IS NULL OR queued.marketing_event_id = $5)
    AND ($6::text IS NULL OR current.delivery_status = $6)
ORDER BY queued.delivery_id
LIMIT $3;

-- name: list_deliveries_of_profile
-- As list_deliveries, from the index of one profile ($7).
SELECT
    queued.delivery_id AS position,
    queued.delivery_key, queued.task_id, task.parent_task_id AS plan_task_id, queued.marketing_event_id, queued.campaign_id,
    queued.profile_id, queued.snapshot_id, queued.channel, current.delivery_status AS status, current.reason,
    current.attempt, current.series, current.provider_message_id, current.created_at AS changed_at,
    CASE task.status WHEN 'pending' THEN task.due_at END AS due_at,
    queued.created_at AS queued_at
FROM (
    SELECT * FROM delivery_log WHERE profile_id = $7 AND tenant_id = $1 AND delivery_status = 'queued' AND series = 1 OFFSET 0
) AS queued
JOIN agent_task AS task ON task.tenant_id = $1 AND task.task_id = queued.task_id
JOIN LATERAL (
    SELECT *
    FROM delivery_log AS fact
    WHERE
        fact.tenant_id = $1
        AND fact.task_id = queued.task_id
        AND fact.delivery_key = queued.delivery_key
    ORDER BY leo_delivery_standing(fact.series, fact.delivery_status) DESC, fact.attempt DESC, fact.delivery_id DESC
    LIMIT 1
) AS current ON TRUE
WHERE
    queued.delivery_id > $2
    AND ($4::text IS NULL OR queued.campaign_id = $4)
    AND ($5::text IS NULL OR queued.marketing_event_id = $5)
    AND ($6::text IS NULL OR current.delivery_status = $6)
    AND ($8::text IS NULL OR task.parent_task_id = $8)
ORDER BY queued.delivery_id
LIMIT $3;

-- name: list_deliveries_of_plan
-- As list_deliveries, from the index of one plan ($7).
SELECT
    queued.delivery_id AS position,
    queued.delivery_key, queued.task_id, task.parent_task_id AS plan_task_id, queued.marketing_event_id, queued.campaign_id,
    queued.profile_id, queued.snapshot_id, queued.channel, current.delivery_status AS status, current.reason,
    current.attempt, current.series, current.provider_message_id, current.created_at AS changed_at,
    CASE task.status WHEN 'pending' THEN task.due_at END AS due_at,
    queued.created_at AS queued_at
FROM (
    SELECT * FROM agent_task WHERE parent_task_id = $7 AND tenant_id = $1 AND outcome = 'send' OFFSET 0
) AS task
JOIN delivery_log AS queued
    ON queued.task_id = task.task_id AND queued.tenant_id = $1 AND queued.delivery_status = 'queued'
    AND queued.series = 1
JOIN LATERAL (
    SELECT *
    FROM delivery_log AS fact
    WHERE
        fact.tenant_id = $1
        AND fact.task_id = queued.task_id
        AND fact.delivery_key = queued.delivery_key
    ORDER BY leo_delivery_standing(fact.series, fact.delivery_status) DESC, fact.attempt DESC, fact.delivery_id DESC
    LIMIT 1
) AS current ON TRUE
WHERE
    queued.delivery_id > $2
    AND ($4::text IS NULL OR queued.campaign_id = $4)
    AND ($5::text IS NULL OR queued.marketing_event_id = $5)
    AND ($6::text IS NULL OR current.delivery_status = $6)
ORDER BY queued.delivery_id
LIMIT $3;

-- name: list_deliveries_of_definition
-- As list_deliveries, from the index of each definition of one campaign ($4), or of one definition ($5).
SELECT
    queued.delivery_id AS position,
    queued.delivery_key, queued.task_id, task.parent_task_id AS plan_task_id, queued.marketing_event_id, queued.campaign_id,
    queued.profile_id, queued.snapshot_id, queued.channel, current.delivery_status AS status, current.reason,
    current.attempt, current.series, current.provider_message_id, current.created_at AS changed_at,
    CASE task.status WHEN 'pending' THEN task.due_at END AS due_at,
    queued.created_at AS queued_at
FROM (
    SELECT marketing_event_id
    FROM marketing_event
    WHERE
        tenant_id = $1
        AND ($4::text IS NULL OR campaign_id = $4)
        AND ($5::text IS NULL OR marketing_event_id = $5)
) AS definition
CROSS JOIN LATERAL (
    SELECT log.*
    FROM delivery_log AS log
    CROSS JOIN LATERAL (
        SELECT delivery_status
        FROM delivery_log AS fact
        WHERE fact.tenant_id = $1 AND fact.task_id = log.task_id AND fact.delivery_key = log.delivery_key
        ORDER BY leo_delivery_standing(fact.series, fact.delivery_status) DESC
        LIMIT 1
    ) AS now
    WHERE
        log.marketing_event_id = definition.marketing_event_id
        AND log.tenant_id = $1
        AND log.delivery_id > $2
        AND log.delivery_status = 'queued'
        AND log.series = 1
        AND ($6::text IS NULL OR now.delivery_status = $6)
    ORDER BY log.delivery_id
    LIMIT $3
) AS queued
JOIN agent_task AS task ON task.tenant_id = $1 AND task.task_id = queued.task_id
JOIN LATERAL (
    SELECT *
    FROM delivery_log AS fact
    WHERE
        fact.tenant_id = $1
        AND fact.task_id = queued.task_id
        AND fact.delivery_key = queued.delivery_key
    ORDER BY leo_delivery_standing(fact.series, fact.delivery_status) DESC, fact.attempt DESC, fact.delivery_id DESC
    LIMIT 1
) AS current ON TRUE
ORDER BY queued.delivery_id
LIMIT $3;

-- name: list_deliveries_at_status
-- Deliveries that stand at a status which ends an attempt ($6), in the order in which they came to it, from the index of
-- such rows. A row counts where it is the one that its delivery stands at; so many rows are looked at ($7), and the last
-- of them comes back in any case.
SELECT
    ended.delivery_id AS position,
    ended.delivery_key, ended.task_id, task.parent_task_id AS plan_task_id, ended.marketing_event_id, ended.campaign_id,
    ended.profile_id, ended.snapshot_id, ended.channel, current.delivery_status AS status, current.reason,
    current.attempt, current.series, current.provider_message_id, current.created_at AS changed_at,
    CASE task.status WHEN 'pending' THEN task.due_at END AS due_at,
    queued.created_at AS queued_at,
    current.delivery_id = ended.delivery_id AS stands,
    ended.number = $7 AS last
FROM (
    SELECT *, row_number() OVER (ORDER BY delivery_id) AS number
    FROM delivery_log
    WHERE
        tenant_id = $1
        AND delivery_id > $2
        AND delivery_status = $6
        AND delivery_status NOT IN ('queued', 'sending', 'deferred')
        AND ($4::text IS NULL OR campaign_id = $4)
        AND ($5::text IS NULL OR marketing_event_id = $5)
    ORDER BY delivery_id
    LIMIT $7
) AS ended
JOIN agent_task AS task ON task.tenant_id = $1 AND task.task_id = ended.task_id
JOIN LATERAL (
    SELECT *
    FROM delivery_log AS fact
    WHERE
        fact.tenant_id = $1
        AND fact.task_id = ended.task_id
        AND fact.delivery_key = ended.delivery_key
    ORDER BY leo_delivery_standing(fact.series, fact.delivery_status) DESC, fact.attempt DESC, fact.delivery_id DESC
    LIMIT 1
) AS current ON current.delivery_id = ended.delivery_id OR ended.number = $7
JOIN LATERAL (
    SELECT created_at
    FROM delivery_log AS first
    WHERE first.tenant_id = $1 AND first.task_id = ended.task_id AND first.delivery_key = ended.delivery_key
    ORDER BY first.delivery_id
    LIMIT 1
) AS queued ON TRUE
ORDER BY ended.delivery_id
LIMIT $3;

-- name: list_deliveries_under_way
-- As list_deliveries, from the index of the tasks that are not done: every delivery that is queued, being sent or
-- deferred belongs to one.
SELECT
    queued.delivery_id AS position,
    queued.delivery_key, queued.task_id, task.parent_task_id AS plan_task_id, queued.marketing_event_id, queued.campaign_id,
    queued.profile_id, queued.snapshot_id, queued.channel, current.delivery_status AS status, current.reason,
    current.attempt, current.series, current.provider_message_id, current.created_at AS changed_at,
    CASE task.status WHEN 'pending' THEN task.due_at END AS due_at,
    queued.created_at AS queued_at
FROM (
    SELECT * FROM agent_task WHERE outcome = 'send' AND tenant_id = $1 AND status = 'pending' OFFSET 0
) AS task
JOIN delivery_log AS queued
    ON queued.task_id = task.task_id AND queued.tenant_id = $1 AND queued.delivery_status = 'queued'
    AND queued.series = 1
JOIN LATERAL (
    SELECT *
    FROM delivery_log AS fact
    WHERE
        fact.tenant_id = $1
        AND fact.task_id = queued.task_id
        AND fact.delivery_key = queued.delivery_key
    ORDER BY leo_delivery_standing(fact.series, fact.delivery_status) DESC, fact.attempt DESC, fact.delivery_id DESC
    LIMIT 1
) AS current ON TRUE
WHERE
    queued.delivery_id > $2
    AND ($4::text IS NULL OR queued.campaign_id = $4)
    AND ($5::text IS NULL OR queued.marketing_event_id = $5)
    AND current.delivery_status = $6
ORDER BY queued.delivery_id
LIMIT $3;
