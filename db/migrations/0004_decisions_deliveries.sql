-- What was chosen, for whom, and what happened: frozen audiences, decisions, deliveries, behaviour, outcomes.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- Secondary indexes here lead with their selective column: with two indexes that both lead with the tenant, the
-- first key check on a fresh table keeps a plan on the wrong one for the whole session.

CREATE TABLE segment_snapshot (
    tenant_id uuid NOT NULL,
    snapshot_id text COLLATE "C" NOT NULL CHECK (snapshot_id <> ''),
    segment_name text COLLATE "C" NOT NULL,
    segment_version text COLLATE "C" NOT NULL,
    snapshot_reason text NOT NULL DEFAULT '',
    audience_sha256 text COLLATE "C" NOT NULL,
    member_count bigint NOT NULL CHECK (member_count >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, snapshot_id)
)
WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
SELECT leo_append_only('segment_snapshot');
COMMENT ON TABLE segment_snapshot IS 'An audience, frozen when it was activated; immutable, and without its members';
COMMENT ON COLUMN segment_snapshot.snapshot_id IS
    'Hash over segment, version and audience: an unchanged audience keeps its id';
COMMENT ON COLUMN segment_snapshot.segment_name IS 'Segment that was frozen';
COMMENT ON COLUMN segment_snapshot.segment_version IS 'Hash of the segment''s condition';
COMMENT ON COLUMN segment_snapshot.snapshot_reason IS 'Why it was frozen first';
COMMENT ON COLUMN segment_snapshot.audience_sha256 IS 'Hash over the sorted members';
COMMENT ON COLUMN segment_snapshot.member_count IS 'Number of members';

CREATE INDEX segment_snapshot_segment ON segment_snapshot (segment_name, tenant_id, created_at);

CREATE TABLE segment_snapshot_member (
    tenant_id uuid NOT NULL,
    snapshot_id text COLLATE "C" NOT NULL,
    profile_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, snapshot_id, profile_id),
    FOREIGN KEY (tenant_id, snapshot_id) REFERENCES segment_snapshot
)
WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
SELECT leo_append_only('segment_snapshot_member');
COMMENT ON TABLE segment_snapshot_member IS 'Who was in a snapshot: the source of truth for audits and attribution';
COMMENT ON COLUMN segment_snapshot_member.snapshot_id IS 'Snapshot';
COMMENT ON COLUMN segment_snapshot_member.profile_id IS 'Member';

CREATE TABLE agent_task (
    tenant_id uuid NOT NULL,
    task_id text COLLATE "C" NOT NULL CHECK (task_id <> ''),
    agent_name text NOT NULL,
    task_type text NOT NULL CHECK (task_type IN ('plan', 'execute', 'evaluate')),
    campaign_id text COLLATE "C",
    marketing_event_id text COLLATE "C",
    snapshot_id text COLLATE "C",
    profile_id text COLLATE "C",
    parent_task_id text COLLATE "C",
    source_event_id text COLLATE "C",
    event_type text COLLATE "C",
    occurred_at timestamptz,
    decided_at timestamptz,
    input_sha256 text COLLATE "C",
    rule_bundle_id text COLLATE "C",
    outcome text CHECK (outcome IN ('send', 'suppressed')),
    reason_code text COLLATE "C",
    reasoning_summary text,
    reasoning_trace jsonb,
    inputs jsonb NOT NULL DEFAULT '{}',
    result jsonb,
    output_sha256 text COLLATE "C",
    related_news_id bigint,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'completed', 'failed', 'cancelled')),
    queue text COLLATE "C",
    due_at timestamptz,
    lease_owner text,
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, task_id),
    CONSTRAINT agent_task_occurred_at CHECK (
        occurred_at >= '1990-01-01 00:00:00+00' AND occurred_at <= now() + interval '1 day'
    )
)
WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);
SELECT leo_mutable('agent_task');
COMMENT ON TABLE agent_task IS 'The flight recorder: every decision, why it was made, and the work that follows from it';
COMMENT ON COLUMN agent_task.task_id IS 'Deterministic id, from the source event for decisions';
COMMENT ON COLUMN agent_task.agent_name IS 'Who decided: rules, or a model''s agent';
COMMENT ON COLUMN agent_task.task_type IS 'plan, execute or evaluate';
COMMENT ON COLUMN agent_task.campaign_id IS 'Campaign of the selected marketing event';
COMMENT ON COLUMN agent_task.marketing_event_id IS 'Selected marketing event';
COMMENT ON COLUMN agent_task.snapshot_id IS 'Audience that the decision froze';
COMMENT ON COLUMN agent_task.profile_id IS 'Whom it is about; NULL for plans';
COMMENT ON COLUMN agent_task.parent_task_id IS 'Plan that this task carries out';
COMMENT ON COLUMN agent_task.source_event_id IS 'The caller''s id of the event';
COMMENT ON COLUMN agent_task.event_type IS 'Type of the event';
COMMENT ON COLUMN agent_task.occurred_at IS 'When the event happened: cooldowns count in this time';
COMMENT ON COLUMN agent_task.decided_at IS 'The clock that the decision saw';
COMMENT ON COLUMN agent_task.input_sha256 IS
    'Fingerprint of the event''s body: the same id with another body is refused';
COMMENT ON COLUMN agent_task.rule_bundle_id IS 'Rule bundle that the decision used: the plan task that stores it';
COMMENT ON COLUMN agent_task.outcome IS 'send or suppressed; NULL while open';
COMMENT ON COLUMN agent_task.reason_code IS 'Why, as data';
COMMENT ON COLUMN agent_task.reasoning_summary IS 'Why, in words; written once';
COMMENT ON COLUMN agent_task.reasoning_trace IS
    'Every candidate with its reason, or the model''s steps; written once';
COMMENT ON COLUMN agent_task.inputs IS 'Everything that the decision may have used, for replay';
COMMENT ON COLUMN agent_task.result IS 'What came of it; written once';
COMMENT ON COLUMN agent_task.output_sha256 IS 'Fingerprint of the result; written once';
COMMENT ON COLUMN agent_task.related_news_id IS 'News item behind the decision';
COMMENT ON COLUMN agent_task.status IS 'pending, completed, failed or cancelled';
COMMENT ON COLUMN agent_task.queue IS 'Work queue; for sends the first channel''s name';
COMMENT ON COLUMN agent_task.due_at IS 'Not to be claimed before';
COMMENT ON COLUMN agent_task.lease_owner IS 'Worker that claimed it';
COMMENT ON COLUMN agent_task.lease_until IS 'When another may claim it';
COMMENT ON COLUMN agent_task.attempts IS 'Claims so far';

-- A task is claimable from due_at on, or from the end of the lease that somebody let run out. A claim moves the
-- entry to the end of its lease, so tasks in flight are not met again by the next claim.
CREATE INDEX agent_task_claimable ON agent_task (queue, (greatest(due_at, lease_until)))
    WHERE status = 'pending';
CREATE INDEX agent_task_sends ON agent_task (profile_id, tenant_id, occurred_at) WHERE outcome = 'send';
CREATE INDEX agent_task_profile ON agent_task (profile_id, tenant_id, created_at);
CREATE INDEX agent_task_parent ON agent_task (parent_task_id, tenant_id) WHERE parent_task_id IS NOT NULL;

CREATE FUNCTION refuse_task_rewrite() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF current_user = 'leo_eraser' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'what a task has recorded does not change'
        USING ERRCODE = 'LE003',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME,
            CONSTRAINT = TG_NAME,
            HINT = 'Only status, due_at, lease_owner, lease_until and attempts change; reasoning and result are written once.';
END
$$;
COMMENT ON FUNCTION refuse_task_rewrite IS
    'Refuses changes of a recorded decision (LE003), redaction by leo_eraser aside';

-- Both triggers name their columns, so that claims and status changes do not pay for them.
CREATE TRIGGER immutable_columns
    BEFORE UPDATE OF
        tenant_id, task_id, agent_name, task_type, campaign_id, marketing_event_id, snapshot_id, profile_id,
        parent_task_id, source_event_id, event_type, occurred_at, decided_at, input_sha256, rule_bundle_id,
        outcome, reason_code, inputs, related_news_id, queue, created_at
    ON agent_task
    FOR EACH ROW
    WHEN (
        (
            OLD.tenant_id, OLD.task_id, OLD.agent_name, OLD.task_type, OLD.campaign_id, OLD.marketing_event_id,
            OLD.snapshot_id, OLD.profile_id, OLD.parent_task_id, OLD.source_event_id, OLD.event_type,
            OLD.occurred_at, OLD.decided_at, OLD.input_sha256, OLD.rule_bundle_id, OLD.outcome, OLD.reason_code,
            OLD.inputs, OLD.related_news_id, OLD.queue, OLD.created_at
        ) IS DISTINCT FROM (
            NEW.tenant_id, NEW.task_id, NEW.agent_name, NEW.task_type, NEW.campaign_id, NEW.marketing_event_id,
            NEW.snapshot_id, NEW.profile_id, NEW.parent_task_id, NEW.source_event_id, NEW.event_type,
            NEW.occurred_at, NEW.decided_at, NEW.input_sha256, NEW.rule_bundle_id, NEW.outcome, NEW.reason_code,
            NEW.inputs, NEW.related_news_id, NEW.queue, NEW.created_at
        )
    )
    EXECUTE FUNCTION refuse_task_rewrite();

CREATE TRIGGER write_once_columns
    BEFORE UPDATE OF reasoning_summary, reasoning_trace, result, output_sha256 ON agent_task
    FOR EACH ROW
    WHEN (
        (OLD.reasoning_summary IS NOT NULL AND NEW.reasoning_summary IS DISTINCT FROM OLD.reasoning_summary)
        OR (OLD.reasoning_trace IS NOT NULL AND NEW.reasoning_trace IS DISTINCT FROM OLD.reasoning_trace)
        OR (OLD.result IS NOT NULL AND NEW.result IS DISTINCT FROM OLD.result)
        OR (OLD.output_sha256 IS NOT NULL AND NEW.output_sha256 IS DISTINCT FROM OLD.output_sha256)
    )
    EXECUTE FUNCTION refuse_task_rewrite();

CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON agent_task
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

CREATE TABLE delivery_log (
    tenant_id uuid NOT NULL,
    delivery_id bigint GENERATED ALWAYS AS IDENTITY,
    delivery_key text COLLATE "C" NOT NULL CHECK (delivery_key <> ''),
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    task_id text COLLATE "C" NOT NULL,
    marketing_event_id text COLLATE "C" NOT NULL,
    campaign_id text COLLATE "C",
    profile_id text COLLATE "C" NOT NULL,
    snapshot_id text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL CHECK (channel <> ''),
    destination text,
    delivery_status text NOT NULL CHECK (
        delivery_status IN (
            'queued', 'suppressed', 'sending', 'sent', 'delivered',
            'read', 'bounced', 'failed', 'unknown', 'cancelled'
        )
    ),
    reason text,
    subject text,
    body text,
    provider_message_id text COLLATE "C",
    provider_response jsonb,
    sent_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, delivery_id),
    FOREIGN KEY (tenant_id, task_id) REFERENCES agent_task,
    FOREIGN KEY (tenant_id, snapshot_id) REFERENCES segment_snapshot
)
WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
SELECT leo_append_only('delivery_log');
COMMENT ON TABLE delivery_log IS 'The single truth about outbound messages: if it is not here, it did not happen';
COMMENT ON COLUMN delivery_log.delivery_id IS 'Order of appending';
COMMENT ON COLUMN delivery_log.delivery_key IS 'Hash over task and channel: all rows of one delivery';
COMMENT ON COLUMN delivery_log.attempt IS 'Counts up from 1';
COMMENT ON COLUMN delivery_log.task_id IS 'Decision behind the message';
COMMENT ON COLUMN delivery_log.marketing_event_id IS 'Definition that was sent';
COMMENT ON COLUMN delivery_log.campaign_id IS 'Its campaign';
COMMENT ON COLUMN delivery_log.profile_id IS 'Recipient';
COMMENT ON COLUMN delivery_log.snapshot_id IS 'Frozen audience that holds the recipient';
COMMENT ON COLUMN delivery_log.channel IS 'Channel, lower case';
COMMENT ON COLUMN delivery_log.destination IS 'Address that was used';
COMMENT ON COLUMN delivery_log.delivery_status IS
    'queued, suppressed, sending, sent, delivered, read, bounced, failed, unknown or cancelled';
COMMENT ON COLUMN delivery_log.reason IS 'Why suppressed, failed or cancelled';
COMMENT ON COLUMN delivery_log.subject IS 'Subject as rendered';
COMMENT ON COLUMN delivery_log.body IS 'Body as rendered';
COMMENT ON COLUMN delivery_log.provider_message_id IS
    'The provider''s id of the message, by which its webhooks refer to it';
COMMENT ON COLUMN delivery_log.provider_response IS 'The provider''s answer';
COMMENT ON COLUMN delivery_log.sent_at IS 'When the provider accepted it';

CREATE UNIQUE INDEX delivery_log_queued_once ON delivery_log (delivery_key, tenant_id)
    WHERE delivery_status = 'queued';
CREATE UNIQUE INDEX delivery_log_sending_once ON delivery_log (delivery_key, attempt, tenant_id)
    WHERE delivery_status = 'sending';
CREATE INDEX delivery_log_key ON delivery_log (delivery_key, tenant_id);
CREATE INDEX delivery_log_task ON delivery_log (task_id, tenant_id);
CREATE INDEX delivery_log_profile ON delivery_log (profile_id, tenant_id, created_at);
CREATE INDEX delivery_log_provider_message ON delivery_log (provider_message_id, tenant_id)
    WHERE provider_message_id IS NOT NULL;

-- One pass over the statement's rows. It runs as the writer, below row-level security: a consent that the
-- writer cannot see counts as missing. The settings pin one primary-key lookup for each row, whatever the
-- statistics of a fresh table say.
CREATE FUNCTION require_consent() RETURNS trigger
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_material = off
AS $$
DECLARE
    refused record;
BEGIN
    SELECT i.delivery_key, i.channel INTO refused
    FROM inserted AS i
    WHERE i.delivery_status IN ('queued', 'sending')
        AND NOT EXISTS (
            SELECT
            FROM public.consent_management AS c
            WHERE c.tenant_id = i.tenant_id
                AND c.profile_id = i.profile_id
                AND c.channel = i.channel
                AND c.status = 'granted'
                AND (c.expires_at IS NULL OR c.expires_at > now())
        )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no current consent for channel %', refused.channel
            USING ERRCODE = 'LE002',
                SCHEMA = TG_TABLE_SCHEMA,
                TABLE = TG_TABLE_NAME,
                CONSTRAINT = 'delivery_log_consent',
                DETAIL = format('delivery_key=%s', refused.delivery_key),
                HINT = 'Record the delivery as suppressed.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION require_consent IS
    'Refuses queued and sending deliveries without a current consent (LE002, constraint delivery_log_consent)';

CREATE TRIGGER delivery_log_consent AFTER INSERT ON delivery_log
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION require_consent();

CREATE FUNCTION leo_delivery_rank(delivery_status text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE delivery_status
        WHEN 'queued' THEN 0
        WHEN 'sending' THEN 1
        WHEN 'unknown' THEN 2
        WHEN 'suppressed' THEN 3
        WHEN 'cancelled' THEN 4
        WHEN 'failed' THEN 5
        WHEN 'sent' THEN 6
        WHEN 'delivered' THEN 7
        WHEN 'bounced' THEN 8
        WHEN 'read' THEN 9
    END
$$;
COMMENT ON FUNCTION leo_delivery_rank IS 'How far a delivery has come: the row of the highest rank is its status';

-- Task and profile follow from the delivery key; naming them lets a filter on either reach the index.
CREATE VIEW delivery_current WITH (security_invoker = true) AS
SELECT DISTINCT ON (tenant_id, profile_id, task_id, delivery_key) *
FROM delivery_log
ORDER BY
    tenant_id, profile_id, task_id, delivery_key,
    leo_delivery_rank(delivery_status) DESC, attempt DESC, delivery_id DESC;
COMMENT ON VIEW delivery_current IS
    'One row for each delivery: the appended row of the highest rank; a status never goes backwards';

-- ensure_month makes the partitions; there is no default one, and nothing references this table.
CREATE TABLE behavioral_events (
    tenant_id uuid NOT NULL,
    event_key text COLLATE "C" NOT NULL CHECK (event_key <> ''),
    profile_id text COLLATE "C" NOT NULL,
    source_event_id text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL CHECK (event_type <> ''),
    entity_type text,
    entity_id text COLLATE "C",
    sentiment_val integer CHECK (sentiment_val IN (-1, 0, 1)),
    attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, occurred_at, event_key),
    CONSTRAINT behavioral_events_occurred_at CHECK (
        occurred_at >= '1990-01-01 00:00:00+00' AND occurred_at <= now() + interval '1 day'
    )
) PARTITION BY RANGE (occurred_at);
SELECT leo_append_only('behavioral_events');
COMMENT ON TABLE behavioral_events IS 'What customers did: raw facts, one partition for each UTC month';
COMMENT ON COLUMN behavioral_events.event_key IS 'Hash of the source''s event id';
COMMENT ON COLUMN behavioral_events.profile_id IS 'Who';
COMMENT ON COLUMN behavioral_events.source_event_id IS 'The caller''s id of the event';
COMMENT ON COLUMN behavioral_events.event_type IS 'What, e.g. VIEW, CLICK or purchase';
COMMENT ON COLUMN behavioral_events.entity_type IS 'What kind of thing it was done to, e.g. NEWS or CAMPAIGN';
COMMENT ON COLUMN behavioral_events.entity_id IS 'Which thing';
COMMENT ON COLUMN behavioral_events.sentiment_val IS '-1 negative, 0 neutral, 1 positive';
COMMENT ON COLUMN behavioral_events.attributes IS 'Details of the event';
COMMENT ON COLUMN behavioral_events.occurred_at IS 'When it happened: 1990 to one day ahead';

CREATE INDEX behavioral_events_profile ON behavioral_events (profile_id, tenant_id, occurred_at);

CREATE TABLE activation_outcomes (
    tenant_id uuid NOT NULL,
    outcome_id text COLLATE "C" NOT NULL CHECK (outcome_id <> ''),
    delivery_id bigint NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    profile_id text COLLATE "C" NOT NULL,
    event_key text COLLATE "C",
    outcome_type text NOT NULL CHECK (outcome_type <> ''),
    outcome_value numeric,
    occurred_at timestamptz NOT NULL,
    experiment_id text COLLATE "C",
    variant text,
    attribution_model text NOT NULL CHECK (attribution_model <> ''),
    attribution_weight numeric NOT NULL DEFAULT 1 CHECK (attribution_weight BETWEEN 0 AND 1),
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, outcome_id),
    FOREIGN KEY (tenant_id, delivery_id) REFERENCES delivery_log
)
WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
SELECT leo_append_only('activation_outcomes');
COMMENT ON TABLE activation_outcomes IS 'Interpreted attribution: which delivery led to which result';
COMMENT ON COLUMN activation_outcomes.outcome_id IS 'Hash over delivery, event and model';
COMMENT ON COLUMN activation_outcomes.delivery_id IS 'Row of the delivery that gets the credit';
COMMENT ON COLUMN activation_outcomes.task_id IS 'Decision behind it';
COMMENT ON COLUMN activation_outcomes.profile_id IS 'Who';
COMMENT ON COLUMN activation_outcomes.event_key IS 'Behavioural event that is the outcome; NULL: none';
COMMENT ON COLUMN activation_outcomes.outcome_type IS 'What happened, e.g. conversion';
COMMENT ON COLUMN activation_outcomes.outcome_value IS 'Its worth, in the tenant''s currency';
COMMENT ON COLUMN activation_outcomes.occurred_at IS 'When';
COMMENT ON COLUMN activation_outcomes.experiment_id IS 'Experiment it counts for';
COMMENT ON COLUMN activation_outcomes.variant IS 'Arm it counts for';
COMMENT ON COLUMN activation_outcomes.attribution_model IS 'Rule that gave the credit, e.g. last_touch';
COMMENT ON COLUMN activation_outcomes.attribution_weight IS 'Share of the credit, 0 to 1';
COMMENT ON COLUMN activation_outcomes.metadata IS 'Details of the attribution';

CREATE INDEX activation_outcomes_delivery ON activation_outcomes (delivery_id, tenant_id);
CREATE INDEX activation_outcomes_profile ON activation_outcomes (profile_id, tenant_id, occurred_at);
CREATE INDEX activation_outcomes_experiment ON activation_outcomes (experiment_id, tenant_id, occurred_at)
    WHERE experiment_id IS NOT NULL;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP TABLE activation_outcomes;
DROP TABLE behavioral_events;
DROP VIEW delivery_current;
DROP FUNCTION leo_delivery_rank;
DROP TABLE delivery_log;
DROP FUNCTION require_consent;
DROP TABLE agent_task;
DROP FUNCTION refuse_task_rewrite;
DROP TABLE segment_snapshot_member;
DROP TABLE segment_snapshot;
