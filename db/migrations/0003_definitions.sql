-- Why and what: campaigns, marketing events, templates, experiments.

-- migrate:up
SET LOCAL lock_timeout = '5s';

CREATE TABLE campaign (
    tenant_id uuid NOT NULL REFERENCES tenant,
    campaign_id text COLLATE "C" NOT NULL CHECK (campaign_id <> ''),
    campaign_code text COLLATE "C" NOT NULL CHECK (campaign_code <> ''),
    campaign_name text NOT NULL CHECK (campaign_name <> ''),
    objective text NOT NULL,
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'active', 'paused', 'completed')),
    start_at timestamptz,
    end_at timestamptz,
    audience jsonb CHECK (audience ?& ARRAY['name', 'condition', 'version']),
    frequency_caps jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(frequency_caps) = 'array'),
    quiet_hours jsonb CHECK (jsonb_typeof(quiet_hours) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, campaign_id),
    CONSTRAINT campaign_period CHECK (end_at > start_at)
);
SELECT leo_mutable('campaign');
COMMENT ON TABLE campaign IS 'Business intent: why activation exists. Sends nothing itself';
COMMENT ON COLUMN campaign.campaign_id IS 'Id of the campaign within its tenant';
COMMENT ON COLUMN campaign.campaign_code IS 'Business code, e.g. SUMMER-2026, unique per tenant';
COMMENT ON COLUMN campaign.campaign_name IS 'Human-readable name';
COMMENT ON COLUMN campaign.objective IS 'What it is for, e.g. AWARENESS or CONVERSION';
COMMENT ON COLUMN campaign.status IS 'draft, active, paused or completed';
COMMENT ON COLUMN campaign.start_at IS 'Not before; NULL: no bound';
COMMENT ON COLUMN campaign.end_at IS 'Not from then on; NULL: no bound';
COMMENT ON COLUMN campaign.audience IS
    'Named segment: {"name", "condition", "version"}, version being the hash of the condition; NULL: everybody';
COMMENT ON COLUMN campaign.frequency_caps IS 'Array of caps on sends per window';
COMMENT ON COLUMN campaign.quiet_hours IS
    'When nothing is sent, in the profile''s time zone; NULL: the tenant''s default';

CREATE UNIQUE INDEX campaign_code ON campaign (campaign_code, tenant_id);

-- Campaigns may share a named segment, but not under two meanings at once.
CREATE FUNCTION refuse_second_audience() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    -- Two writers of one name wait for each other here, so neither can miss the other's row.
    PERFORM pg_advisory_xact_lock(
        hashtextextended('campaign.audience:' || NEW.tenant_id || ':' || (NEW.audience ->> 'name'), 0)
    );
    IF EXISTS (
        SELECT
        FROM campaign AS other
        WHERE other.tenant_id = NEW.tenant_id
            AND other.campaign_id <> NEW.campaign_id
            AND other.status = 'active'
            AND other.audience ->> 'name' = NEW.audience ->> 'name'
            AND other.audience ->> 'version' <> NEW.audience ->> 'version'
    ) THEN
        RAISE EXCEPTION 'another active campaign defines the segment of this name differently'
            USING ERRCODE = 'LE005',
                SCHEMA = TG_TABLE_SCHEMA,
                TABLE = TG_TABLE_NAME,
                COLUMN = 'audience',
                CONSTRAINT = TG_NAME,
                HINT = 'Use the same condition, another name, or pause the other campaign.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION refuse_second_audience IS
    'Refuses two active definitions of one segment name within a tenant (LE005)';

CREATE TRIGGER one_audience_per_name AFTER INSERT OR UPDATE OF status, audience ON campaign
    FOR EACH ROW WHEN (NEW.status = 'active' AND NEW.audience IS NOT NULL)
    EXECUTE FUNCTION refuse_second_audience();

CREATE TABLE marketing_event (
    tenant_id uuid NOT NULL,
    marketing_event_id text COLLATE "C" NOT NULL CHECK (marketing_event_id <> ''),
    campaign_id text COLLATE "C" NOT NULL,
    event_name text COLLATE "C" NOT NULL CHECK (event_name <> ''),
    event_type text NOT NULL CHECK (event_type IN ('BROADCAST', 'TRIGGER', 'API')),
    event_channel text NOT NULL CHECK (event_channel <> ''),
    channels jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(channels) = 'array'),
    trigger_event_type text,
    condition jsonb,
    template_name text NOT NULL CHECK (template_name <> ''),
    priority integer NOT NULL DEFAULT 0,
    cooldown_seconds bigint NOT NULL DEFAULT 0 CHECK (cooldown_seconds >= 0),
    start_at timestamptz,
    end_at timestamptz,
    description text NOT NULL DEFAULT '',
    embedding vector(1536),
    status text NOT NULL DEFAULT 'planned' CHECK (status IN ('planned', 'active', 'cancelled', 'superseded')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, marketing_event_id),
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaign,
    CONSTRAINT marketing_event_period CHECK (end_at > start_at),
    CONSTRAINT marketing_event_first_channel CHECK (channels ->> 0 = event_channel)
) PARTITION BY HASH (tenant_id);

DO $partitions$
BEGIN
    FOR remainder IN 0..15
    LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF marketing_event FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
            'marketing_event_p' || lpad(remainder::text, 2, '0'), remainder
        );
    END LOOP;
END
$partitions$;
SELECT leo_mutable('marketing_event');
COMMENT ON TABLE marketing_event IS 'What may happen: an action, its channels, timing and template. Content-addressed, never edited';
COMMENT ON COLUMN marketing_event.marketing_event_id IS 'Hash of the definition''s content';
COMMENT ON COLUMN marketing_event.campaign_id IS 'Campaign that it serves';
COMMENT ON COLUMN marketing_event.event_name IS 'Name, unique in its campaign among versions in use';
COMMENT ON COLUMN marketing_event.event_type IS 'BROADCAST, TRIGGER or API';
COMMENT ON COLUMN marketing_event.event_channel IS 'First channel';
COMMENT ON COLUMN marketing_event.channels IS 'Ordered channels: the first, then the fallbacks';
COMMENT ON COLUMN marketing_event.trigger_event_type IS
    'Type of behavioural event that makes it a candidate; NULL: any, or dispatch only';
COMMENT ON COLUMN marketing_event.condition IS 'Condition tree; NULL: always';
COMMENT ON COLUMN marketing_event.template_name IS 'Template, chosen per channel and language';
COMMENT ON COLUMN marketing_event.priority IS 'The higher wins';
COMMENT ON COLUMN marketing_event.cooldown_seconds IS
    'Least seconds of event time between two sends to one profile';
COMMENT ON COLUMN marketing_event.start_at IS 'Not before; NULL: no bound';
COMMENT ON COLUMN marketing_event.end_at IS 'Not from then on; NULL: no bound';
COMMENT ON COLUMN marketing_event.description IS 'What it is, in words: the text that is embedded';
COMMENT ON COLUMN marketing_event.embedding IS 'Semantic vector of the description, 1,536 dimensions';
COMMENT ON COLUMN marketing_event.status IS 'planned, active, cancelled or superseded (by a changed definition)';

CREATE UNIQUE INDEX marketing_event_current ON marketing_event (campaign_id, event_name, tenant_id)
    WHERE status <> 'superseded';
CREATE INDEX marketing_event_embedding ON marketing_event USING hnsw (embedding vector_cosine_ops);

CREATE TABLE message_templates (
    tenant_id uuid NOT NULL REFERENCES tenant,
    template_id uuid NOT NULL,
    template_name text COLLATE "C" NOT NULL CHECK (template_name <> ''),
    channel text COLLATE "C" NOT NULL CHECK (channel <> ''),
    language text COLLATE "C" NOT NULL DEFAULT 'default' CHECK (language <> ''),
    subject_template text,
    body_template text NOT NULL,
    template_engine text NOT NULL DEFAULT 'jinja2' CHECK (template_engine IN ('jinja2', 'liquid')),
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    version integer NOT NULL CHECK (version > 0),
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'active', 'superseded')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, template_id)
);
SELECT leo_mutable('message_templates');
COMMENT ON TABLE message_templates IS 'Canonical message definitions: blueprints by channel and language, versioned';
COMMENT ON COLUMN message_templates.template_id IS 'First 16 bytes of the hash of the content';
COMMENT ON COLUMN message_templates.template_name IS 'Name that marketing events refer to';
COMMENT ON COLUMN message_templates.channel IS 'Channel that it is written for';
COMMENT ON COLUMN message_templates.language IS 'BCP 47, or default';
COMMENT ON COLUMN message_templates.subject_template IS 'Subject, where the channel has one';
COMMENT ON COLUMN message_templates.body_template IS 'Body';
COMMENT ON COLUMN message_templates.template_engine IS 'jinja2 or liquid';
COMMENT ON COLUMN message_templates.metadata IS 'What the provider needs besides, e.g. its own template id';
COMMENT ON COLUMN message_templates.version IS 'Counts up from 1';
COMMENT ON COLUMN message_templates.status IS
    'draft, active or superseded; one active per name, channel and language';

CREATE UNIQUE INDEX message_templates_version
    ON message_templates (template_name, channel, language, version, tenant_id);
CREATE UNIQUE INDEX message_templates_active
    ON message_templates (template_name, channel, language, tenant_id) WHERE status = 'active';

CREATE TABLE activation_experiments (
    tenant_id uuid NOT NULL REFERENCES tenant,
    experiment_id text COLLATE "C" NOT NULL CHECK (experiment_id <> ''),
    experiment_name text NOT NULL CHECK (experiment_name <> ''),
    campaign_id text COLLATE "C",
    allocation text NOT NULL DEFAULT 'fixed' CHECK (allocation IN ('fixed', 'thompson')),
    variants jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(variants) = 'array'),
    holdout_fraction numeric(5, 4) NOT NULL DEFAULT 0 CHECK (holdout_fraction >= 0 AND holdout_fraction < 1),
    seed bigint NOT NULL DEFAULT 0,
    conversion_event_type text,
    attribution_window_seconds bigint NOT NULL DEFAULT 604800 CHECK (attribution_window_seconds > 0),
    exposure_count bigint NOT NULL DEFAULT 0 CHECK (exposure_count >= 0),
    conversion_count bigint NOT NULL DEFAULT 0 CHECK (conversion_count >= 0),
    variant_counts jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(variant_counts) = 'object'),
    start_at timestamptz,
    end_at timestamptz,
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'running', 'paused', 'completed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, experiment_id),
    FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaign,
    CONSTRAINT activation_experiments_period CHECK (end_at > start_at)
);
SELECT leo_mutable('activation_experiments');
COMMENT ON TABLE activation_experiments IS 'How well activation decisions work: A/B, multi-variant and bandit tests';
COMMENT ON COLUMN activation_experiments.experiment_id IS 'Id of the experiment within its tenant';
COMMENT ON COLUMN activation_experiments.experiment_name IS 'Human-readable name';
COMMENT ON COLUMN activation_experiments.campaign_id IS 'Campaign under test; NULL: all';
COMMENT ON COLUMN activation_experiments.allocation IS 'fixed weights, or thompson sampling';
COMMENT ON COLUMN activation_experiments.variants IS 'Array of arms with names and weights';
COMMENT ON COLUMN activation_experiments.holdout_fraction IS 'Share that gets nothing, 0 to 1';
COMMENT ON COLUMN activation_experiments.seed IS 'Seed of the assignment, so that it can be computed again';
COMMENT ON COLUMN activation_experiments.conversion_event_type IS 'Behavioural event that counts as a conversion';
COMMENT ON COLUMN activation_experiments.attribution_window_seconds IS
    'Seconds after a delivery in which a conversion counts';
COMMENT ON COLUMN activation_experiments.exposure_count IS 'Exposures so far, derived by a job';
COMMENT ON COLUMN activation_experiments.conversion_count IS 'Conversions so far, derived by a job';
COMMENT ON COLUMN activation_experiments.variant_counts IS 'The same for each variant';
COMMENT ON COLUMN activation_experiments.start_at IS 'Not before; NULL: no bound';
COMMENT ON COLUMN activation_experiments.end_at IS 'Not from then on; NULL: no bound';
COMMENT ON COLUMN activation_experiments.status IS 'draft, running, paused or completed';

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP TABLE activation_experiments;
DROP TABLE message_templates;
DROP TABLE marketing_event;
DROP TABLE campaign;
DROP FUNCTION refuse_second_audience;
