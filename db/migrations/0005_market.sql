-- Outside knowledge: instruments and their prices, alert rules, news, and the queue of texts to embed.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- A row without a tenant is global: every tenant may read it.
CREATE TABLE instruments (
    tenant_id uuid REFERENCES tenant,
    symbol text COLLATE "C" NOT NULL CHECK (symbol <> ''),
    instrument_name text NOT NULL,
    type text NOT NULL CHECK (type IN ('STOCK', 'CRYPTO', 'FX', 'INDEX', 'FUND', 'COMMODITY')),
    currency text,
    exchange text,
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT instruments_symbol UNIQUE NULLS NOT DISTINCT (tenant_id, symbol)
);
SELECT leo_mutable('instruments');

CREATE TABLE market_snapshot (
    tenant_id uuid,
    symbol text COLLATE "C" NOT NULL CHECK (symbol <> ''),
    price_nanos bigint NOT NULL CHECK (price_nanos >= 0),
    price numeric GENERATED ALWAYS AS (price_nanos * 0.000000001) STORED,
    change_percent numeric,
    state jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(state) = 'object'),
    epoch bigint NOT NULL DEFAULT 0,
    observed_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT market_snapshot_symbol UNIQUE NULLS NOT DISTINCT (tenant_id, symbol)
)
-- Few rows, rewritten all the time: room for HOT updates, and vacuum by count.
WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);
SELECT leo_mutable('market_snapshot');

CREATE TABLE alert_rules (
    tenant_id uuid NOT NULL,
    rule_id text COLLATE "C" NOT NULL CHECK (rule_id <> ''),
    profile_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL CHECK (symbol <> ''),
    shard smallint GENERATED ALWAYS AS (leo_symbol_shard(symbol)) STORED,
    condition_logic jsonb NOT NULL CHECK (jsonb_typeof(condition_logic) = 'object'),
    source text NOT NULL CHECK (source IN ('USER_MANUAL', 'AI_AGENT')),
    marketing_event_id text COLLATE "C",
    cooldown_seconds bigint NOT NULL DEFAULT 0 CHECK (cooldown_seconds >= 0),
    rearm boolean NOT NULL DEFAULT false,
    expires_at timestamptz,
    generation bigint NOT NULL DEFAULT 1 CHECK (generation > 0),
    last_triggered_at timestamptz,
    status text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'TRIGGERED', 'EXPIRED', 'DISABLED')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, rule_id)
)
WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
SELECT leo_mutable('alert_rules');

CREATE INDEX alert_rules_profile ON alert_rules (profile_id, tenant_id);
CREATE INDEX alert_rules_shard ON alert_rules (shard, tenant_id, rule_id) WHERE status = 'ACTIVE';

CREATE TABLE news_feed (
    tenant_id uuid NOT NULL,
    news_id bigint GENERATED ALWAYS AS IDENTITY,
    content_sha256 text COLLATE "C" NOT NULL,
    title text NOT NULL,
    content text NOT NULL DEFAULT '',
    source_name text,
    source_url text,
    language text,
    published_at timestamptz NOT NULL,
    related_symbols text[] NOT NULL DEFAULT '{}',
    sentiment_score numeric(3, 2) CHECK (sentiment_score BETWEEN 0 AND 1),
    content_embedding vector(1536),
    search_document tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', content), 'B')
    ) STORED,
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, news_id)
);
SELECT leo_mutable('news_feed');

CREATE UNIQUE INDEX news_feed_content ON news_feed (content_sha256, tenant_id);
CREATE INDEX news_feed_published ON news_feed (published_at, tenant_id);
CREATE INDEX news_feed_search ON news_feed USING gin (search_document);
CREATE INDEX news_feed_symbols ON news_feed USING gin (related_symbols);
CREATE INDEX news_feed_embedding ON news_feed USING hnsw (content_embedding vector_cosine_ops);

CREATE TABLE embedding_job (
    tenant_id uuid NOT NULL,
    entity_type text COLLATE "C" NOT NULL CHECK (entity_type IN ('profile', 'marketing_event', 'news')),
    entity_id text COLLATE "C" NOT NULL CHECK (entity_id <> ''),
    input_sha256 text COLLATE "C",
    model text,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'completed', 'failed', 'cancelled')),
    due_at timestamptz NOT NULL DEFAULT now(),
    lease_owner text,
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, entity_type, entity_id)
)
WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
SELECT leo_mutable('embedding_job');

CREATE INDEX embedding_job_claimable ON embedding_job ((greatest(due_at, lease_until)), tenant_id)
    WHERE status = 'pending';

-- An alert process takes a new epoch with each shard that it wins; an older one can no longer write prices.
CREATE SEQUENCE alert_epoch;
COMMENT ON SEQUENCE alert_epoch IS 'Epoch of a shard''s owner: fences the writes of an owner that lost it';

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP SEQUENCE alert_epoch;
DROP TABLE embedding_job;
DROP TABLE news_feed;
DROP TABLE alert_rules;
DROP TABLE market_snapshot;
DROP TABLE instruments;
