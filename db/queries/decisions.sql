-- name: begin_recording
-- Begins the recording of decisions that PostgreSQL reserves, in the open transaction: takes the shared lock that holds
-- the reservation epoch still, makes the planner prefer indexes, and answers the epoch.
SELECT begin_recording();

-- name: current_epoch
-- The reservation epoch now, without any lock.
SELECT last_value FROM reservation_epoch;

-- name: change_epoch
-- Ends epoch $1, once every transaction that records under it has ended, and answers the epoch in force then.
-- $2 says whether Redis is to reserve. Nothing changes when another process ended epoch $1 before.
SELECT change_epoch($1, $2);

-- name: load_decisions
-- All that decides on events of any number of tenants, one row for each event in their order: the reservation epoch,
-- the definitions' version, the decision that the event already has, the profile, its current consents, its sends.
-- $1 a JSON list with an object for each tenant: tenant_id, profile_columns (the columns of the profile that conditions
-- read: the others stay at home), and as lists of equal length profile_id, task_id and, where sends are needed,
-- sends_from, the event time from which on. A transaction of its own; the function is in migration 0018.
SELECT * FROM load_decisions($1::jsonb);

-- name: find_erased
-- Which of these profiles were erased. $1 tenant, $2 profile ids.
SELECT profile_id
FROM cdp_profiles
WHERE tenant_id = $1 AND profile_id = ANY($2::text[]) AND erased_at IS NOT NULL;

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
sent_template AS (
    SELECT template_name FROM active_event
    UNION
    SELECT variant ->> 'template_name'
    FROM activation_experiments AS experiment, jsonb_array_elements(experiment.variants) AS variant
    WHERE experiment.tenant_id = $1 AND experiment.status = 'running'
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
        ),
        -- Of every name and channel with a template that needs anything, all languages: which one a profile gets
        -- depends on which there are.
        'templates', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                'template_name', template.template_name,
                'channel', template.channel,
                'language', template.language,
                'required', template.required_variables
            ) ORDER BY template.template_name, template.channel, template.language), '[]')
            FROM message_templates AS template
            WHERE
                template.tenant_id = $1
                AND template.status = 'active'
                AND template.template_name IN (SELECT template_name FROM sent_template)
                AND EXISTS (
                    SELECT
                    FROM message_templates AS needing
                    WHERE
                        needing.tenant_id = $1
                        AND needing.template_name = template.template_name
                        AND needing.channel = template.channel
                        AND needing.status = 'active'
                        AND needing.required_variables <> '[]'
                )
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

-- name: record_decisions
-- Records decisions of any number of tenants: the task first, and only for tasks that were new their behavioural event
-- and the queued delivery, with the snapshot that freezes the audience and its member. Answers the tasks that were there
-- before. Refuses with LE007 where another epoch is in force than $2. Of people who were erased since it was decided
-- nothing personal is kept.
-- $1 decided at, $2 the epoch that was reserved in, $3 a JSON list with an object for each tenant, in the order of their
-- ids: tenant_id, rule_bundle_id, the columns of the tasks as lists of equal length, sorted by task_id, as sends the
-- columns of the deliveries, and as outputs those of what decisions share. The functions are in migrations 0040 and
-- 0037.
SELECT recorded AS task_id FROM record_and_redact_decisions($1, $2, $3::jsonb) AS recorded;

-- name: get_decision
-- One decision with all that it recorded. $1 tenant, $2 task id.
SELECT
    task_id, source_event_id, profile_id, event_type, occurred_at, decided_at, input_sha256, rule_bundle_id,
    outcome, reason_code, reasoning_summary, reasoning_trace, inputs, result, output_sha256, marketing_event_id,
    snapshot_id
FROM agent_task
WHERE tenant_id = $1 AND task_id = $2 AND task_type = 'execute';
