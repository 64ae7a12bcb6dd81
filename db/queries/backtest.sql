-- name: find_campaign
-- A campaign as rule bundles have it. $1 tenant, $2 campaign.
SELECT jsonb_build_object(
    'campaign_id', campaign_id,
    'audience', audience,
    'frequency_caps', frequency_caps,
    'quiet_hours', quiet_hours
)
FROM campaign
WHERE tenant_id = $1 AND campaign_id = $2;

-- name: count_decisions
-- How many decisions were made in a span, counted up to a bound. $1 tenant, $2 since, $3 until, $4 the bound.
SELECT count(*)
FROM (
    SELECT FROM agent_task
    WHERE tenant_id = $1 AND rule_bundle_id IS NOT NULL AND decided_at >= $2 AND decided_at < $3
    LIMIT $4
) AS found;

-- name: count_events
-- How many events happened in a span, counted up to a bound. $1 tenant, $2 since, $3 until, $4 the bound.
SELECT count(*)
FROM (
    SELECT FROM behavioral_events
    WHERE tenant_id = $1 AND occurred_at >= $2 AND occurred_at < $3
    LIMIT $4
) AS found;

-- name: decided_events
-- The events of the decisions that were made in a span, profile by profile in event time.
-- $1 tenant, $2 since, $3 until.
SELECT
    task_id, profile_id, source_event_id, event_type, occurred_at, input_sha256, rule_bundle_id, inputs, reason_code,
    marketing_event_id, NULL::jsonb AS attributes
FROM agent_task
WHERE tenant_id = $1 AND rule_bundle_id IS NOT NULL AND decided_at >= $2 AND decided_at < $3
ORDER BY profile_id, occurred_at, task_id;

-- name: past_events
-- The events that happened in a span, each with its decision where it has one, profile by profile in event time.
-- $1 tenant, $2 since, $3 until.
SELECT
    task.task_id, event.profile_id, event.source_event_id, event.event_type, event.occurred_at, task.input_sha256,
    task.rule_bundle_id, task.inputs, task.reason_code, task.marketing_event_id, event.attributes
FROM behavioral_events AS event
LEFT JOIN agent_task AS task
    ON
        task.tenant_id = $1
        AND task.task_id = leo_key_id('task', $1, event.source_event_id)
        AND task.rule_bundle_id IS NOT NULL
WHERE event.tenant_id = $1 AND event.occurred_at >= $2 AND event.occurred_at < $3
ORDER BY event.profile_id, event.occurred_at, event.event_key;

-- name: profiles_now
-- Profiles as they are, with everything that conditions may read, and their current consents.
-- $1 tenant, $2 profile ids.
SELECT
    profile.profile_id, profile.ext_id, profile.identities, profile.primary_email::text, profile.mobile_number,
    profile.living_location, profile.latitude, profile.longitude, profile.job_titles, profile.interests,
    profile.data_labels, profile.portfolio_snapshot, profile.portfolio_risk_score, profile.source_updated_at,
    profile.created_at, profile.language, profile.time_zone, profile.segments, profile.raw_attributes,
    profile.channel_addresses, profile.primary_email IS NOT NULL AS has_email,
    profile.mobile_number IS NOT NULL AS has_mobile_number, consent.channels AS consented
FROM cdp_profiles AS profile
LEFT JOIN LATERAL (
    SELECT array_agg(channel) AS channels
    FROM consent_management
    WHERE
        tenant_id = $1
        AND profile_id = profile.profile_id
        AND status = 'granted'
        AND (expires_at IS NULL OR expires_at > now())
) AS consent ON TRUE
WHERE profile.tenant_id = $1 AND profile.profile_id = ANY($2::text[]) AND profile.erased_at IS NULL;

-- name: sends_of
-- The sends of profiles from a time on, with what limits count them by, and what tells whether a span holds them.
-- $1 tenant, $2 profile ids, $3 for each the earliest event time.
SELECT
    task.profile_id, task.task_id, task.occurred_at, task.decided_at, task.parent_task_id, task.campaign_id,
    definition.event_name, definition.topic, task.queue AS channel
FROM unnest($2::text[], $3::timestamptz[]) AS wanted (profile_id, occurred_from)
CROSS JOIN LATERAL (
    SELECT * FROM agent_task
    WHERE
        agent_task.profile_id = wanted.profile_id
        AND agent_task.tenant_id = $1
        AND agent_task.outcome = 'send'
        AND agent_task.occurred_at > wanted.occurred_from
    OFFSET 0
) AS task
JOIN marketing_event AS definition
    ON definition.tenant_id = $1 AND definition.marketing_event_id = task.marketing_event_id;
