-- Experiments on marketing events: what decisions draw from, what counts for them, and what may still be changed.

-- migrate:up
SET LOCAL lock_timeout = '5s';

CREATE FUNCTION leo_sound_variants(variants jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*) BETWEEN 1 AND 10
        AND count(DISTINCT variant ->> 'name') = count(*)
        AND bool_and(coalesce(
            jsonb_typeof(variant -> 'name') = 'string'
            AND variant ->> 'name' NOT IN ('', 'holdout')
            AND jsonb_typeof(variant -> 'weight') = 'number'
            AND variant ->> 'weight' ~ '^[0-9]{1,7}$'
            AND jsonb_typeof(variant -> 'template_name') IN ('string', 'null')
            AND variant ->> 'template_name' IS DISTINCT FROM '',
            false
        ))
        AND bool_or(variant ->> 'weight' <> '0')
    FROM jsonb_array_elements(variants) AS listed (variant)
$$;
COMMENT ON FUNCTION leo_sound_variants IS
    'Whether decisions can draw from these: 1 to 10 variants, names of their own, whole weights that are not all 0';

-- An experiment of before was about no marketing event: nothing was drawn from it.
UPDATE activation_experiments SET status = 'completed' WHERE status IN ('running', 'paused');

ALTER TABLE activation_experiments
    ADD COLUMN event_name text COLLATE "C" CHECK (event_name <> ''),
    ADD COLUMN status_changed_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN settled_until timestamptz,
    ADD COLUMN settled_counts jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settled_counts) = 'object'),
    ADD CONSTRAINT activation_experiments_decidable CHECK (
        status NOT IN ('running', 'paused')
        OR (
            campaign_id IS NOT NULL
            AND event_name IS NOT NULL
            AND leo_sound_variants(variants)
            AND (allocation = 'fixed' OR conversion_event_type IS NOT NULL)
        )
    );
COMMENT ON COLUMN activation_experiments.campaign_id IS 'Campaign of the marketing event under test';
COMMENT ON COLUMN activation_experiments.event_name IS
    'Name of the marketing event under test, in its campaign: a changed definition goes on with the experiment';
COMMENT ON COLUMN activation_experiments.variants IS
    'Array of {"name", "weight", "template_name"}; without a template the marketing event''s own is sent';
COMMENT ON COLUMN activation_experiments.start_at IS 'In force from this event time on; NULL: no bound';
COMMENT ON COLUMN activation_experiments.end_at IS 'No longer in force from this event time on; NULL: no bound';
COMMENT ON COLUMN activation_experiments.variant_counts IS
    'For each variant, and for the holdout, {"exposures", "conversions"} in profiles';
COMMENT ON COLUMN activation_experiments.status_changed_at IS 'Since when it has its status';
COMMENT ON COLUMN activation_experiments.settled_until IS
    'Exposures recorded before are counted for good in settled_counts; NULL: none yet';
COMMENT ON COLUMN activation_experiments.settled_counts IS 'As variant_counts, of the exposures before settled_until';

CREATE UNIQUE INDEX activation_experiments_running ON activation_experiments (campaign_id, event_name, tenant_id)
    WHERE status = 'running';

CREATE FUNCTION keep_experiment_comparable() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.status <> OLD.status THEN
        NEW.status_changed_at := now();
    END IF;
    IF OLD.status = 'draft' THEN
        RETURN NEW;
    END IF;
    IF NEW.status <> 'draft'
        AND (
            OLD.status <> 'completed'
            OR (NEW.status, NEW.variants, NEW.holdout_fraction, NEW.start_at, NEW.end_at) IS NOT DISTINCT FROM
               (OLD.status, OLD.variants, OLD.holdout_fraction, OLD.start_at, OLD.end_at)
        )
        AND (NEW.campaign_id, NEW.event_name, NEW.allocation, NEW.seed, NEW.attribution_window_seconds)
            IS NOT DISTINCT FROM
            (OLD.campaign_id, OLD.event_name, OLD.allocation, OLD.seed, OLD.attribution_window_seconds)
        AND NEW.conversion_event_type IS NOT DISTINCT FROM OLD.conversion_event_type
        AND NOT EXISTS (
            SELECT before ->> 'name', before ->> 'template_name'
            FROM jsonb_array_elements(OLD.variants) AS old_variant (before)
            EXCEPT
            SELECT after ->> 'name', after ->> 'template_name'
            FROM jsonb_array_elements(NEW.variants) AS new_variant (after)
        )
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'what an experiment has measured would no longer be comparable'
        USING ERRCODE = 'LE006',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME,
            CONSTRAINT = TG_NAME,
            HINT = 'Change weights, add a variant, or complete this experiment and begin another one.';
END
$$;
COMMENT ON FUNCTION keep_experiment_comparable IS
    'Refuses changes of what an experiment measures once it left draft, and a way back out of completed (LE006)';

CREATE TRIGGER comparable BEFORE UPDATE OF
    campaign_id, event_name, allocation, variants, seed, conversion_event_type, attribution_window_seconds, status
ON activation_experiments
    FOR EACH ROW EXECUTE FUNCTION keep_experiment_comparable();

GRANT UPDATE (settled_until, settled_counts) ON activation_experiments TO leo_worker;

GRANT CREATE ON SCHEMA public TO leo_definition_versioner;
SET LOCAL ROLE leo_definition_versioner;
CREATE OR REPLACE FUNCTION bump_definitions_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unseen constant text[] := ARRAY[
        'updated_at', 'embedding', 'exposure_count', 'conversion_count', 'variant_counts', 'settled_until',
        'settled_counts'
    ];
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (SELECT n.tenant_id FROM new_rows AS n);
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (SELECT o.tenant_id FROM old_rows AS o);
    ELSE
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (
            SELECT (changed.definition ->> 'tenant_id')::uuid
            FROM (
                SELECT to_jsonb(n) - unseen FROM new_rows AS n
                EXCEPT
                SELECT to_jsonb(o) - unseen FROM old_rows AS o
            ) AS changed (definition)
        );
    END IF;
    RETURN NULL;
END
$$;
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM leo_definition_versioner;

ALTER TABLE agent_task
    ADD COLUMN experiment_id text COLLATE "C",
    ADD COLUMN variant text COLLATE "C",
    ADD CONSTRAINT agent_task_variant CHECK ((experiment_id IS NULL) = (variant IS NULL));
COMMENT ON COLUMN agent_task.experiment_id IS 'Experiment that the decision counts for; NULL: none';
COMMENT ON COLUMN agent_task.variant IS 'What it sent, or holdout for what it held back';

-- What the counters are derived from; rows without an experiment are not in it.
CREATE INDEX agent_task_experiment ON agent_task (experiment_id, tenant_id, created_at)
    INCLUDE (variant, profile_id, occurred_at, task_id)
    WHERE experiment_id IS NOT NULL;

DROP TRIGGER immutable_columns ON agent_task;
CREATE TRIGGER immutable_columns
    BEFORE UPDATE OF
        tenant_id, task_id, agent_name, task_type, campaign_id, marketing_event_id, snapshot_id, profile_id,
        parent_task_id, source_event_id, event_type, occurred_at, decided_at, input_sha256, rule_bundle_id,
        outcome, reason_code, inputs, related_news_id, queue, created_at, experiment_id, variant
    ON agent_task
    FOR EACH ROW
    WHEN (
        (
            OLD.tenant_id, OLD.task_id, OLD.agent_name, OLD.task_type, OLD.campaign_id, OLD.marketing_event_id,
            OLD.snapshot_id, OLD.profile_id, OLD.parent_task_id, OLD.source_event_id, OLD.event_type,
            OLD.occurred_at, OLD.decided_at, OLD.input_sha256, OLD.rule_bundle_id, OLD.outcome, OLD.reason_code,
            OLD.inputs, OLD.related_news_id, OLD.queue, OLD.created_at, OLD.experiment_id, OLD.variant
        ) IS DISTINCT FROM (
            NEW.tenant_id, NEW.task_id, NEW.agent_name, NEW.task_type, NEW.campaign_id, NEW.marketing_event_id,
            NEW.snapshot_id, NEW.profile_id, NEW.parent_task_id, NEW.source_event_id, NEW.event_type,
            NEW.occurred_at, NEW.decided_at, NEW.input_sha256, NEW.rule_bundle_id, NEW.outcome, NEW.reason_code,
            NEW.inputs, NEW.related_news_id, NEW.queue, NEW.created_at, NEW.experiment_id, NEW.variant
        )
    )
    EXECUTE FUNCTION refuse_task_rewrite();

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP TRIGGER immutable_columns ON agent_task;
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

ALTER TABLE agent_task DROP CONSTRAINT agent_task_variant, DROP COLUMN experiment_id, DROP COLUMN variant;

GRANT CREATE ON SCHEMA public TO leo_definition_versioner;
SET LOCAL ROLE leo_definition_versioner;
CREATE OR REPLACE FUNCTION bump_definitions_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unseen constant text[] := ARRAY[
        'updated_at', 'embedding', 'exposure_count', 'conversion_count', 'variant_counts'
    ];
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (SELECT n.tenant_id FROM new_rows AS n);
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (SELECT o.tenant_id FROM old_rows AS o);
    ELSE
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (
            SELECT (changed.definition ->> 'tenant_id')::uuid
            FROM (
                SELECT to_jsonb(n) - unseen FROM new_rows AS n
                EXCEPT
                SELECT to_jsonb(o) - unseen FROM old_rows AS o
            ) AS changed (definition)
        );
    END IF;
    RETURN NULL;
END
$$;
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM leo_definition_versioner;

DROP TRIGGER comparable ON activation_experiments;
DROP FUNCTION keep_experiment_comparable;
DROP INDEX activation_experiments_running;
ALTER TABLE activation_experiments
    DROP CONSTRAINT activation_experiments_decidable,
    DROP COLUMN event_name,
    DROP COLUMN status_changed_at,
    DROP COLUMN settled_until,
    DROP COLUMN settled_counts;
DROP FUNCTION leo_sound_variants;
COMMENT ON COLUMN activation_experiments.campaign_id IS 'Campaign under test; NULL: all';
COMMENT ON COLUMN activation_experiments.variants IS 'Array of arms with names and weights';
COMMENT ON COLUMN activation_experiments.start_at IS 'Not before; NULL: no bound';
COMMENT ON COLUMN activation_experiments.end_at IS 'Not from then on; NULL: no bound';
COMMENT ON COLUMN activation_experiments.variant_counts IS 'The same for each variant';
