-- Who: tenants, the sources of their data, their customers, and what those customers agreed to.

-- migrate:up
SET LOCAL lock_timeout = '5s';

CREATE TABLE tenant (
    tenant_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_name text NOT NULL CHECK (tenant_name <> ''),
    keycloak_realm text NOT NULL CHECK (keycloak_realm <> ''),
    keycloak_client_id text NOT NULL CHECK (keycloak_client_id <> ''),
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    definitions_version bigint NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'archived')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenant_client UNIQUE (keycloak_realm, keycloak_client_id),
    CONSTRAINT tenant_name_in_realm UNIQUE (keycloak_realm, tenant_name)
);
SELECT leo_mutable('tenant');

-- Everything in metadata but the credentials belongs to the definitions (caps, quiet hours, defaults).
CREATE FUNCTION guard_tenant_metadata() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    stored jsonb := CASE TG_OP WHEN 'UPDATE' THEN OLD.metadata -> 'channel_credentials' END;
BEGIN
    IF current_user <> 'leo_credential_writer' THEN
        NEW.metadata := NEW.metadata - 'channel_credentials';
        IF stored IS NOT NULL THEN
            NEW.metadata := NEW.metadata || jsonb_build_object('channel_credentials', stored);
        END IF;
    END IF;
    IF TG_OP = 'UPDATE' AND (
        NEW.metadata - 'channel_credentials' IS DISTINCT FROM OLD.metadata - 'channel_credentials'
        OR NEW.status IS DISTINCT FROM OLD.status
    ) THEN
        NEW.definitions_version := NEW.definitions_version + 1;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION guard_tenant_metadata IS
    'Keeps stored channel credentials whatever a writer other than store_credential sends; bumps definitions_version';

CREATE TRIGGER guard_metadata BEFORE INSERT OR UPDATE OF metadata, status ON tenant
    FOR EACH ROW EXECUTE FUNCTION guard_tenant_metadata();

CREATE TABLE data_sources (
    tenant_id uuid NOT NULL REFERENCES tenant,
    source_id text COLLATE "C" NOT NULL,
    source_name text NOT NULL CHECK (source_name <> ''),
    source_type text NOT NULL CHECK (source_type <> ''),
    connection jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(connection) = 'object'),
    sync_frequency_seconds bigint CHECK (sync_frequency_seconds > 0),
    sync_cursor jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(sync_cursor) = 'object'),
    last_sync_at timestamptz,
    last_success_at timestamptz,
    last_error text,
    ingested_count bigint NOT NULL DEFAULT 0 CHECK (ingested_count >= 0),
    health text NOT NULL DEFAULT 'unknown' CHECK (health IN ('unknown', 'healthy', 'degraded', 'failing')),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, source_id)
);
SELECT leo_mutable('data_sources');

CREATE TABLE cdp_profiles (
    tenant_id uuid NOT NULL REFERENCES tenant,
    profile_id text COLLATE "C" NOT NULL CHECK (profile_id <> ''),
    ext_id text COLLATE "C",
    identities jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(identities) = 'array'),
    primary_email citext,
    mobile_number text,
    living_location text,
    latitude double precision CHECK (latitude BETWEEN -90 AND 90),
    longitude double precision CHECK (longitude BETWEEN -180 AND 180),
    job_titles jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(job_titles) = 'array'),
    interests jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(interests) = 'array'),
    data_labels jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(data_labels) = 'array'),
    segments jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(segments) = 'array'),
    segment_snapshots jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(segment_snapshots) = 'array'),
    portfolio_snapshot jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(portfolio_snapshot) = 'object'),
    portfolio_risk_score numeric(3, 2) CHECK (portfolio_risk_score BETWEEN 0 AND 1),
    raw_attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(raw_attributes) = 'object'),
    channel_addresses jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(channel_addresses) = 'object'),
    language text,
    time_zone text,
    interest_embedding vector(1536),
    source_updated_at timestamptz,
    erased_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, profile_id)
)
-- Room on each page keeps appends to segment_snapshots off the indexes: an update that is not HOT pays
-- 2.7 ms for its entry in the vector index.
WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02
);
SELECT leo_mutable('cdp_profiles');

CREATE UNIQUE INDEX cdp_profiles_ext_id ON cdp_profiles (ext_id, tenant_id);
CREATE INDEX cdp_profiles_email ON cdp_profiles (primary_email, tenant_id) WHERE primary_email IS NOT NULL;
CREATE INDEX cdp_profiles_identities ON cdp_profiles USING gin (identities);
CREATE INDEX cdp_profiles_segments ON cdp_profiles USING gin (segments);
CREATE INDEX cdp_profiles_attributes ON cdp_profiles USING gin (raw_attributes jsonb_path_ops);
CREATE INDEX cdp_profiles_interest ON cdp_profiles USING hnsw (interest_embedding vector_cosine_ops);

-- The text form of a jsonb array is canonical, so "grew at the end" is "starts with the old text, then a comma".
CREATE FUNCTION prevent_snapshot_removal() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    kept text := left(OLD.segment_snapshots::text, -1);
    grown text := NEW.segment_snapshots::text;
BEGIN
    IF kept <> '[' AND NOT starts_with(grown, kept || ',') THEN
        RAISE EXCEPTION 'segment_snapshots of a profile only grows at its end'
            USING ERRCODE = 'LE004',
                SCHEMA = TG_TABLE_SCHEMA,
                TABLE = TG_TABLE_NAME,
                COLUMN = 'segment_snapshots',
                CONSTRAINT = TG_NAME,
                HINT = 'Append the new snapshot ids to the stored array.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION prevent_snapshot_removal IS
    'Refuses to remove, change or reorder entries of cdp_profiles.segment_snapshots (LE004)';

CREATE TRIGGER prevent_snapshot_removal BEFORE UPDATE OF segment_snapshots ON cdp_profiles
    FOR EACH ROW WHEN (OLD.segment_snapshots IS DISTINCT FROM NEW.segment_snapshots)
    EXECUTE FUNCTION prevent_snapshot_removal();

CREATE TABLE consent_management (
    tenant_id uuid NOT NULL,
    profile_id text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL CHECK (channel <> ''),
    status text NOT NULL CHECK (status IN ('granted', 'withdrawn')),
    legal_basis text NOT NULL CHECK (legal_basis <> ''),
    source text NOT NULL CHECK (source <> ''),
    granted_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, profile_id, channel),
    FOREIGN KEY (tenant_id, profile_id) REFERENCES cdp_profiles
)
WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
SELECT leo_mutable('consent_management');

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP TABLE consent_management;
DROP TABLE cdp_profiles;
DROP FUNCTION prevent_snapshot_removal;
DROP TABLE data_sources;
DROP TABLE tenant;
DROP FUNCTION guard_tenant_metadata;
