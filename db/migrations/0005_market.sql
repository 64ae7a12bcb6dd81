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
COMMENT ON TABLE instruments IS 'Tradable assets; a row without a tenant is global';
COMMENT ON COLUMN instruments.symbol IS 'Ticker, e.g. AAPL or BTC-USD';
COMMENT ON COLUMN instruments.instrument_name IS 'Human-readable name';
COMMENT ON COLUMN instruments.type IS 'STOCK, CRYPTO, FX, INDEX, FUND or COMMODITY';
COMMENT ON COLUMN instruments.currency IS 'Currency of its prices, ISO 4217';
COMMENT ON COLUMN instruments.exchange IS 'Where it is traded';
COMMENT ON COLUMN instruments.metadata IS 'Other reference data';
COMMENT ON COLUMN instruments.status IS 'active or inactive';

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
COMMENT ON TABLE market_snapshot IS 'The current price of each symbol, and what the alert engine knows about it';
COMMENT ON COLUMN market_snapshot.symbol IS 'Ticker';
COMMENT ON COLUMN market_snapshot.price_nanos IS 'Price in 1e-9 units';
COMMENT ON COLUMN market_snapshot.price IS 'The same as a decimal';
COMMENT ON COLUMN market_snapshot.change_percent IS 'Change over 24 h, percent';
COMMENT ON COLUMN market_snapshot.state IS 'The alert engine''s previous prices and windows';
COMMENT ON COLUMN market_snapshot.epoch IS
    'Epoch of the shard owner that wrote it: fences an owner that lost the shard';
COMMENT ON COLUMN market_snapshot.observed_at IS 'Time of the last tick';

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
COMMENT ON TABLE alert_rules IS 'Monitoring rules of users and agents';
COMMENT ON COLUMN alert_rules.rule_id IS 'Hash over owner, symbol and logic';
COMMENT ON COLUMN alert_rules.profile_id IS 'Who is alerted';
COMMENT ON COLUMN alert_rules.symbol IS 'Symbol that is watched';
COMMENT ON COLUMN alert_rules.shard IS 'Shard of the symbol, 0 to 63';
COMMENT ON COLUMN alert_rules.condition_logic IS 'e.g. {"operator": ">", "value": 150}';
COMMENT ON COLUMN alert_rules.source IS 'USER_MANUAL or AI_AGENT';
COMMENT ON COLUMN alert_rules.marketing_event_id IS 'What is sent when it fires';
COMMENT ON COLUMN alert_rules.cooldown_seconds IS 'Least seconds between two firings';
COMMENT ON COLUMN alert_rules.rearm IS 'Whether it may fire again';
COMMENT ON COLUMN alert_rules.expires_at IS 'Not from then on; NULL: no end';
COMMENT ON COLUMN alert_rules.generation IS
    'Raised when the rule is put again; a firing is claimed once per generation';
COMMENT ON COLUMN alert_rules.last_triggered_at IS 'When it last fired';
COMMENT ON COLUMN alert_rules.status IS 'ACTIVE, TRIGGERED, EXPIRED or DISABLED';

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
COMMENT ON TABLE news_feed IS 'Market news, enriched for search and for decisions';
COMMENT ON COLUMN news_feed.news_id IS 'Order of ingestion';
COMMENT ON COLUMN news_feed.content_sha256 IS 'Hash of the content: the same news once';
COMMENT ON COLUMN news_feed.title IS 'Headline';
COMMENT ON COLUMN news_feed.content IS 'Text';
COMMENT ON COLUMN news_feed.source_name IS 'Publisher';
COMMENT ON COLUMN news_feed.source_url IS 'Where it was published';
COMMENT ON COLUMN news_feed.language IS 'BCP 47';
COMMENT ON COLUMN news_feed.published_at IS 'When it was published';
COMMENT ON COLUMN news_feed.related_symbols IS 'Symbols that it mentions';
COMMENT ON COLUMN news_feed.sentiment_score IS '0.00 (bad) to 1.00 (good)';
COMMENT ON COLUMN news_feed.content_embedding IS 'Semantic vector, 1,536 dimensions';
COMMENT ON COLUMN news_feed.search_document IS 'For full-text search, any language';
COMMENT ON COLUMN news_feed.metadata IS 'Other details';

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
COMMENT ON TABLE embedding_job IS 'Queue of texts to embed: one job for each thing that has an embedding';
COMMENT ON COLUMN embedding_job.entity_type IS 'profile, marketing_event or news';
COMMENT ON COLUMN embedding_job.entity_id IS 'Which one';
COMMENT ON COLUMN embedding_job.input_sha256 IS
    'Hash of the text that was embedded: unchanged text is not embedded again';
COMMENT ON COLUMN embedding_job.model IS 'Model that did it';
COMMENT ON COLUMN embedding_job.status IS 'pending, completed, failed or cancelled';
COMMENT ON COLUMN embedding_job.due_at IS 'Not to be claimed before';
COMMENT ON COLUMN embedding_job.lease_owner IS 'Worker that claimed it';
COMMENT ON COLUMN embedding_job.lease_until IS 'When another may claim it';
COMMENT ON COLUMN embedding_job.attempts IS 'Claims so far';
COMMENT ON COLUMN embedding_job.last_error IS 'What went wrong last';

CREATE INDEX embedding_job_claimable ON embedding_job ((greatest(due_at, lease_until)), tenant_id)
    WHERE status = 'pending';

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP TABLE embedding_job;
DROP TABLE news_feed;
DROP TABLE alert_rules;
DROP TABLE market_snapshot;
DROP TABLE instruments;
