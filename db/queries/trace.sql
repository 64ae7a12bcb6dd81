-- The chain from behaviour to message, for people who ask why.

-- name: keep_plan
-- Lets the open transaction plan get_journey once for a connection, whatever its parameters: each part is a lookup by
-- key in any case, and planning over all months of events takes ten times as long as reading.
SELECT set_config('plan_cache_mode', 'force_generic_plan', TRUE);

-- name: get_journey
-- One page of a profile's journey, newest decision first: event, decision, snapshot, definition, template and all
-- rows of the delivery log, one row for each decision. Without a decision it answers one row, which says whether the
-- profile is known. Each part is looked up by its key from the decision, so the cost follows the page, not the
-- tables. Decisions of one commit follow each other by the time of their events.
-- $1 tenant, $2 profile, $3 to $5 the decision to go on after (recorded at, happened at, id), $6 how many.
WITH decision AS MATERIALIZED (
    SELECT
        *,
        coalesce(occurred_at, created_at) AS happened_at,
        -- Here, since below it would be a leaky function that keeps the lookup off the index.
        CASE WHEN source_event_id IS NOT NULL THEN leo_key_id('event', $1, source_event_id) END AS event_key
    FROM agent_task
    WHERE
        profile_id = $2
        AND tenant_id = $1
        AND created_at <= $3
        AND (created_at, coalesce(occurred_at, created_at), task_id) < ($3, $4, $5::text)
        AND outcome IS NOT NULL
    ORDER BY created_at DESC, happened_at DESC, task_id DESC
    LIMIT $6
)
SELECT
    EXISTS (SELECT FROM cdp_profiles WHERE tenant_id = $1 AND profile_id = $2) AS profile_known,
    decision.task_id,
    decision.parent_task_id,
    decision.agent_name,
    decision.outcome,
    decision.reason_code,
    decision.reasoning_summary,
    decision.reasoning_trace -> 'candidates' AS candidates,
    decision.rule_bundle_id,
    decision.decided_at,
    decision.due_at,
    decision.status,
    decision.created_at,
    decision.happened_at,
    decision.inputs = '{"erased": true}' AS erased,
    event.source_event_id,
    event.event_type,
    event.occurred_at,
    event.attributes,
    snapshot.snapshot_id,
    snapshot.segment_name,
    snapshot.segment_version,
    snapshot.snapshot_reason,
    snapshot.audience_sha256,
    snapshot.member_count,
    snapshot.created_at AS snapshot_created_at,
    member.profile_id IS NOT NULL AS is_member,
    definition.marketing_event_id,
    definition.event_name,
    definition.campaign_id,
    definition.channels,
    definition.template_name,
    template.versions AS templates,
    delivery.entries AS deliveries
FROM (SELECT) AS always
LEFT JOIN decision ON TRUE
LEFT JOIN LATERAL (
    SELECT source_event_id, event_type, occurred_at, attributes
    FROM behavioral_events
    WHERE
        tenant_id = $1
        AND occurred_at = decision.occurred_at
        AND event_key = decision.event_key
    LIMIT 1
) AS event ON TRUE
LEFT JOIN LATERAL (
    SELECT *
    FROM segment_snapshot
    WHERE tenant_id = $1 AND snapshot_id = decision.snapshot_id
    LIMIT 1
) AS snapshot ON TRUE
LEFT JOIN LATERAL (
    SELECT profile_id
    FROM segment_snapshot_member
    WHERE tenant_id = $1 AND snapshot_id = snapshot.snapshot_id AND profile_id = $2
    LIMIT 1
) AS member ON TRUE
LEFT JOIN LATERAL (
    SELECT *
    FROM marketing_event
    WHERE tenant_id = $1 AND marketing_event_id = decision.marketing_event_id
    LIMIT 1
) AS definition ON TRUE
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
        'template_id', template_id,
        'channel', channel,
        'language', language,
        'version', version
    ) ORDER BY channel, language) AS versions
    FROM message_templates
    WHERE
        tenant_id = $1
        AND template_name = definition.template_name
        AND status = 'active'
        AND definition.channels ? channel
) AS template ON TRUE
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
        'delivery_id', delivery_id,
        'delivery_key', delivery_key,
        'attempt', attempt,
        'channel', channel,
        'status', delivery_status,
        'destination', destination,
        'reason', reason,
        'provider_message_id', provider_message_id,
        'sent_at', sent_at,
        'recorded_at', created_at
    ) ORDER BY delivery_id) AS entries
    FROM delivery_log
    WHERE tenant_id = $1 AND task_id = decision.task_id
) AS delivery ON TRUE
ORDER BY decision.created_at DESC, decision.happened_at DESC, decision.task_id DESC;

-- name: explain_delivery
-- A delivery as it stands, and what surrounds it. $1 tenant, $2 delivery.
SELECT
    current.delivery_key,
    current.channel,
    current.delivery_status AS status,
    current.reason,
    current.attempt,
    current.created_at AS changed_at,
    waiting.since AS waiting_since,
    current.sent_at,
    (current.provider_response ->> 'retry_after_seconds')::float8 AS retry_after_seconds,
    task.status AS task_status,
    task.due_at,
    task.lease_until,
    task.decided_at,
    to_timestamp((task.result ->> 'due_us')::float8 / 1e6) AS decided_due_at,
    task.reasoning_summary AS why,
    tenant.status AS tenant_status,
    current.campaign_id,
    campaign.status AS campaign_status,
    plan.status AS plan_status,
    next.channel AS next_channel,
    profile.time_zone,
    digest.message_count AS digest_count
FROM (
    SELECT *
    FROM delivery_log
    WHERE delivery_key = $2 AND tenant_id = $1
    ORDER BY leo_delivery_standing(series, delivery_status) DESC, attempt DESC, delivery_id DESC
    LIMIT 1
) AS current
JOIN agent_task AS task ON task.tenant_id = $1 AND task.task_id = current.task_id
JOIN tenant ON tenant.tenant_id = $1
LEFT JOIN agent_task AS plan ON plan.tenant_id = $1 AND plan.task_id = task.parent_task_id
LEFT JOIN campaign ON campaign.tenant_id = $1 AND campaign.campaign_id = current.campaign_id
LEFT JOIN cdp_profiles AS profile ON profile.tenant_id = $1 AND profile.profile_id = current.profile_id
CROSS JOIN LATERAL (
    SELECT min(same.created_at) AS since
    FROM delivery_log AS same
    WHERE
        same.tenant_id = $1
        AND same.task_id = current.task_id
        AND same.delivery_key = current.delivery_key
        AND same.series = current.series
        AND same.delivery_status = current.delivery_status
        AND same.reason IS NOT DISTINCT FROM current.reason
) AS waiting
LEFT JOIN LATERAL (
    SELECT later.channel
    FROM delivery_log AS later
    WHERE
        later.tenant_id = $1
        AND later.task_id = current.task_id
        AND later.delivery_key <> current.delivery_key
        AND later.delivery_status = 'queued'
        AND later.reason IN ('FALLBACK', 'NO_RECEIPT')
        AND later.delivery_id > current.delivery_id
    ORDER BY later.delivery_id
    LIMIT 1
) AS next ON TRUE
LEFT JOIN LATERAL (
    SELECT (sent.provider_response #>> '{digest,count}')::integer AS message_count
    FROM delivery_log AS sent
    WHERE
        sent.tenant_id = $1
        AND sent.task_id = current.task_id
        AND sent.delivery_key = current.delivery_key
        AND sent.delivery_status = 'sent'
    LIMIT 1
) AS digest ON TRUE;
