-- name: begin_recording
-- Begins the recording of decisions in the open transaction: takes the shared lock that holds the reservation
-- epoch still, makes the planner prefer indexes, and answers the epoch. Odd: Redis reserves; even: PostgreSQL does.
SELECT begin_recording();

-- name: current_epoch
-- The reservation epoch now, without any lock.
SELECT last_value FROM reservation_epoch;

-- name: change_epoch
-- Ends epoch $1, once every transaction that records under it has ended, and answers the epoch in force then.
-- $2 says whether Redis is to reserve. Nothing changes when another process ended epoch $1 before.
SELECT change_epoch($1, $2);

-- name: wait_for_recorders
-- Waits until no transaction records decisions, and holds new ones back until this one ends.
SELECT wait_for_recorders();

-- name: load_state
-- All that decides on events, one row for each in their order: the definitions' version, the decision that the
-- event already has, the profile, its current consents. $1 tenant, $2 profile ids, $3 task ids, $4 the columns of
-- the profile that conditions read: the others stay at home.
SELECT
    (SELECT definitions_version FROM tenant WHERE tenant_id = $1) AS definitions_version,
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
    profile.primary_email IS NOT NULL AS has_email,
    profile.mobile_number IS NOT NULL AS has_mobile_number,
    profile.channel_addresses,
    profile.segments,
    profile.raw_attributes,
    profile.time_zone,
    CASE WHEN 'ext_id' = ANY($4::text[]) THEN profile.ext_id END AS ext_id,
    CASE WHEN 'identities' = ANY($4::text[]) THEN profile.identities END AS identities,
    CASE WHEN 'primary_email' = ANY($4::text[]) THEN profile.primary_email END AS primary_email,
    CASE WHEN 'mobile_number' = ANY($4::text[]) THEN profile.mobile_number END AS mobile_number,
    CASE WHEN 'living_location' = ANY($4::text[]) THEN profile.living_location END AS living_location,
    CASE WHEN 'latitude' = ANY($4::text[]) THEN profile.latitude END AS latitude,
    CASE WHEN 'longitude' = ANY($4::text[]) THEN profile.longitude END AS longitude,
    CASE WHEN 'job_titles' = ANY($4::text[]) THEN profile.job_titles END AS job_titles,
    CASE WHEN 'interests' = ANY($4::text[]) THEN profile.interests END AS interests,
    CASE WHEN 'data_labels' = ANY($4::text[]) THEN profile.data_labels END AS data_labels,
    CASE WHEN 'portfolio_snapshot' = ANY($4::text[]) THEN profile.portfolio_snapshot END AS portfolio_snapshot,
    CASE WHEN 'portfolio_risk_score' = ANY($4::text[]) THEN profile.portfolio_risk_score END AS portfolio_risk_score,
    CASE WHEN 'source_updated_at' = ANY($4::text[]) THEN profile.source_updated_at END AS source_updated_at,
    CASE WHEN 'created_at' = ANY($4::text[]) THEN profile.created_at END AS created_at,
    CASE WHEN 'language' = ANY($4::text[]) THEN profile.language END AS language,
    consent.channels AS consented
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS wanted (profile_id, task_id, position)
LEFT JOIN LATERAL (
    SELECT * FROM cdp_profiles WHERE tenant_id = $1 AND profile_id = wanted.profile_id AND erased_at IS NULL LIMIT 1
) AS profile ON TRUE
LEFT JOIN LATERAL (
    SELECT * FROM agent_task WHERE tenant_id = $1 AND task_id = wanted.task_id LIMIT 1
) AS task ON TRUE
LEFT JOIN LATERAL (
    SELECT array_agg(channel) AS channels
    FROM consent_management
    WHERE
        tenant_id = $1
        AND profile_id = wanted.profile_id
        AND status = 'granted'
        AND (expires_at IS NULL OR expires_at > now())
) AS consent ON TRUE
ORDER BY wanted.position;

-- name: load_past_events
-- Past events of profiles in spans of time, ordered by profile; a span without a beginning means only the last
-- event before its end. $1 tenant, $2 profile ids, $3 event types, $4 beginnings, $5 ends (exclusive).
SELECT wanted.profile_id, event.event_type, event.occurred_at, event.attributes
FROM unnest($2::text[]) AS wanted (profile_id)
CROSS JOIN unnest($3::text[], $4::timestamptz[], $5::timestamptz[]) AS span (event_type, starts_at, ends_at)
CROSS JOIN LATERAL (
    SELECT behavioral_events.event_type, behavioral_events.occurred_at, behavioral_events.attributes
    FROM behavioral_events
    WHERE
        behavioral_events.profile_id = wanted.profile_id
        AND behavioral_events.tenant_id = $1
        AND behavioral_events.event_type = span.event_type
        AND behavioral_events.occurred_at >= coalesce(span.starts_at, '-infinity')
        AND behavioral_events.occurred_at < span.ends_at
    ORDER BY behavioral_events.occurred_at DESC
    LIMIT CASE WHEN span.starts_at IS NULL THEN 1 END
) AS event
ORDER BY wanted.profile_id;

-- name: load_market
-- Price and change of symbols as the tenant sees them: its own instrument before the global one.
-- $1 tenant, $2 symbols.
SELECT DISTINCT ON (symbol) symbol, price, change_percent
FROM market_snapshot
WHERE symbol = ANY($2::text[]) AND (tenant_id = $1 OR tenant_id IS NULL)
ORDER BY symbol, tenant_id NULLS LAST;

-- name: load_counters
-- The counters that Thompson sampling draws by. $1 tenant, $2 experiments.
SELECT experiment_id, variant_counts
FROM activation_experiments
WHERE tenant_id = $1 AND experiment_id = ANY($2::text[]);

-- name: load_bundle
-- The tenant's definitions in force as one canonical document, with its id and the version that it belongs to.
-- One statement, so that document and version come from one snapshot. $1 tenant.
WITH active_event AS (
    SELECT * FROM marketing_event WHERE tenant_id = $1 AND status = 'active'
),
document AS (
    SELECT jsonb_build_object(
        'tenant', (
            SELECT jsonb_build_object(
                'frequency_caps', coalesce(tenant.metadata -> 'frequency_caps', '[]'),
                'quiet_hours', tenant.metadata -> 'quiet_hours',
                'holdout', tenant.metadata -> 'holdout'
            )
            FROM tenant
            WHERE tenant.tenant_id = $1
        ),
        'campaigns', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                'campaign_id', campaign.campaign_id,
                'status', campaign.status,
                'start_at', campaign.start_at,
                'end_at', campaign.end_at,
                'audience', campaign.audience,
                'frequency_caps', campaign.frequency_caps,
                'quiet_hours', campaign.quiet_hours
            ) ORDER BY campaign.campaign_id), '[]')
            FROM campaign
            WHERE campaign.tenant_id = $1 AND campaign.campaign_id IN (SELECT campaign_id FROM active_event)
        ),
        'marketing_events', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                'marketing_event_id', active_event.marketing_event_id,
                'campaign_id', active_event.campaign_id,
                'event_name', active_event.event_name,
                'event_type', active_event.event_type,
                'trigger_event_type', active_event.trigger_event_type,
                'topic', active_event.topic,
                'channels', active_event.channels,
                'condition', active_event.condition,
                'template_name', active_event.template_name,
                'priority', active_event.priority,
                'cooldown_seconds', active_event.cooldown_seconds,
                'start_at', active_event.start_at,
                'end_at', active_event.end_at
            ) ORDER BY active_event.marketing_event_id), '[]')
            FROM active_event
        ),
        'experiments', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                'experiment_id', experiment.experiment_id,
                'campaign_id', experiment.campaign_id,
                'event_name', experiment.event_name,
                'allocation', experiment.allocation,
                'variants', experiment.variants,
                'holdout_fraction', experiment.holdout_fraction,
                'seed', experiment.seed,
                'start_at', experiment.start_at,
                'end_at', experiment.end_at
            ) ORDER BY experiment.experiment_id), '[]')
            FROM activation_experiments AS experiment
            JOIN active_event USING (campaign_id, event_name)
            WHERE experiment.tenant_id = $1 AND experiment.status = 'running'
        )
    ) AS content
)
SELECT
    (SELECT definitions_version FROM tenant WHERE tenant_id = $1) AS definitions_version,
    leo_content_id('rule_bundle', $1, document.content) AS bundle_id,
    document.content::text AS document
FROM document;

-- name: insert_bundle
-- Stores a rule bundle once, under its own hash, so that every decision can name what it was decided with.
-- $1 tenant, $2 bundle id, $3 document.
INSERT INTO agent_task (
    tenant_id, task_id, agent_name, task_type, reasoning_summary, inputs, status, decided_at
)
VALUES ($1, $2, 'rule_bundle', 'plan', 'the definitions in force', $3::jsonb, 'completed', now())
ON CONFLICT (tenant_id, task_id) DO NOTHING;

-- name: load_holders
-- The sends of each profile from a time on, with what their limits are counted by: the campaign, the marketing
-- event's name and topic, and the channel. $1 tenant, $2 profile ids, $3 for each the earliest event time.
SELECT
    wanted.profile_id,
    task.task_id,
    task.occurred_at,
    task.campaign_id,
    definition.event_name,
    definition.topic,
    task.queue AS channel
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

-- name: lock_profiles
-- Locks profiles for the rest of the transaction, in one order for everybody; used while Redis is away.
-- $1 tenant, $2 profile ids.
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text || '/' || wanted.profile_id, 7))
FROM (SELECT DISTINCT profile_id FROM unnest($2::text[]) AS given (profile_id) ORDER BY profile_id) AS wanted;

-- name: ensure_month
-- Creates the partition of behavioural events that holds $1, unless it is there.
SELECT ensure_month($1::date);

-- name: insert_decisions
-- Records decisions in one statement: the task first, and only for tasks that were new their behavioural event,
-- the snapshot that freezes the audience, its member, and the queued delivery. Answers the tasks that were new.
-- $1 tenant, $2 decided at, $3 rule bundle; the arrays have one element for each decision.
WITH given AS (
    SELECT *
    FROM unnest(
        $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::text[], $10::text[], $11::text[],
        $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[],
        $20::timestamptz[], $21::text[], $22::text[], $23::text[], $24::text[], $25::text[], $26::text[],
        $27::text[], $28::text[], $29::text[], $30::text[]
    ) AS given (
        task_id, profile_id, source_event_id, event_type, occurred_at, input_sha256, outcome, reason_code,
        reasoning_summary, reasoning_trace, inputs, result, output_sha256, campaign_id, marketing_event_id, channel,
        due_at, snapshot_id, segment_name, segment_version, audience_sha256, delivery_key, event_key,
        attributes, parent_task_id, experiment_id, variant
    )
),
new_snapshot AS (
    INSERT INTO segment_snapshot (
        tenant_id, snapshot_id, segment_name, segment_version, snapshot_reason, audience_sha256, member_count
    )
    SELECT DISTINCT ON (snapshot_id)
        $1, snapshot_id, segment_name, segment_version, 'decision for one profile', audience_sha256, 1
    FROM given
    WHERE audience_sha256 IS NOT NULL
    ORDER BY snapshot_id
    ON CONFLICT (tenant_id, snapshot_id) DO NOTHING
    RETURNING snapshot_id
),
new_member AS (
    INSERT INTO segment_snapshot_member (tenant_id, snapshot_id, profile_id)
    SELECT DISTINCT ON (given.snapshot_id) $1, given.snapshot_id, given.profile_id
    FROM given
    WHERE given.audience_sha256 IS NOT NULL AND given.snapshot_id IN (SELECT snapshot_id FROM new_snapshot)
    ORDER BY given.snapshot_id
    ON CONFLICT (tenant_id, snapshot_id, profile_id) DO NOTHING
),
new_task AS (
    INSERT INTO agent_task (
        tenant_id, task_id, agent_name, task_type, campaign_id, marketing_event_id, snapshot_id, profile_id,
        parent_task_id, source_event_id, event_type, occurred_at, decided_at, input_sha256, rule_bundle_id, outcome,
        reason_code, reasoning_summary, reasoning_trace, inputs, result, output_sha256, status, queue, due_at,
        experiment_id, variant
    )
    SELECT
        $1, task_id, 'rule_engine', 'execute', campaign_id, marketing_event_id, snapshot_id, profile_id,
        parent_task_id, source_event_id, event_type, occurred_at, $2, input_sha256, $3, outcome,
        reason_code, reasoning_summary, reasoning_trace::jsonb, inputs::jsonb, result::jsonb, output_sha256,
        CASE outcome WHEN 'send' THEN 'pending' ELSE 'completed' END, channel, due_at,
        experiment_id, variant
    FROM given
    ORDER BY task_id
    ON CONFLICT (tenant_id, task_id) DO NOTHING
    RETURNING task_id
),
new_event AS (
    INSERT INTO behavioral_events (
        tenant_id, event_key, profile_id, source_event_id, event_type, attributes, occurred_at
    )
    SELECT
        $1, given.event_key, given.profile_id, given.source_event_id, given.event_type,
        given.attributes::jsonb, given.occurred_at
    FROM given
    JOIN new_task USING (task_id)
    WHERE given.event_key IS NOT NULL
    ORDER BY given.event_key
    ON CONFLICT DO NOTHING
),
new_delivery AS (
    INSERT INTO delivery_log (
        tenant_id, delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel,
        delivery_status
    )
    SELECT
        $1, given.delivery_key, 0, given.task_id, given.marketing_event_id, given.campaign_id, given.profile_id,
        given.snapshot_id, given.channel, 'queued'
    FROM given
    JOIN new_task USING (task_id)
    WHERE given.outcome = 'send'
    ORDER BY given.delivery_key
)
SELECT task_id FROM new_task;

-- name: get_decision
-- One decision with all that it recorded. $1 tenant, $2 task id.
SELECT
    task_id, source_event_id, profile_id, event_type, occurred_at, decided_at, input_sha256, rule_bundle_id,
    outcome, reason_code, reasoning_summary, reasoning_trace, inputs, result, output_sha256, marketing_event_id,
    snapshot_id
FROM agent_task
WHERE tenant_id = $1 AND task_id = $2 AND task_type = 'execute';
