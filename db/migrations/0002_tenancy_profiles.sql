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
COMMENT ON TABLE tenant IS 'Root of the system: a company or workspace, the boundary of isolation; anchored in Keycloak';
COMMENT ON COLUMN tenant.tenant_name IS 'Human-readable name, unique in its realm';
COMMENT ON COLUMN tenant.keycloak_realm IS 'Keycloak realm that signs this tenant''s tokens';
COMMENT ON COLUMN tenant.keycloak_client_id IS 'OIDC client whose tokens speak for this tenant';
COMMENT ON COLUMN tenant.metadata IS
    'Limits, default caps and quiet hours, branding; channel_credentials hold ciphertext from store_credential';
COMMENT ON COLUMN tenant.definitions_version IS
    'Raised by trigger with every change of a definition, so that a stale rule bundle is noticed';
COMMENT ON COLUMN tenant.status IS 'active, suspended or archived; only an active tenant resolves';

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
COMMENT ON TABLE data_sources IS 'Where data originates, how often it is synchronised, and how well that goes';
COMMENT ON COLUMN data_sources.source_id IS 'Id of the source within its tenant';
COMMENT ON COLUMN data_sources.source_name IS 'Human-readable name';
COMMENT ON COLUMN data_sources.source_type IS 'Kind of source, e.g. arangodb or csv';
COMMENT ON COLUMN data_sources.connection IS 'How to reach it; no secrets';
COMMENT ON COLUMN data_sources.sync_frequency_seconds IS
    'Seconds between two synchronisations; NULL: only on request';
COMMENT ON COLUMN data_sources.sync_cursor IS 'How far the last synchronisation came: where the next one goes on';
COMMENT ON COLUMN data_sources.last_sync_at IS 'When a synchronisation last ran';
COMMENT ON COLUMN data_sources.last_success_at IS 'When one last succeeded';
COMMENT ON COLUMN data_sources.last_error IS 'What went wrong last; NULL after a success';
COMMENT ON COLUMN data_sources.ingested_count IS 'Rows taken in so far';
COMMENT ON COLUMN data_sources.health IS 'unknown, healthy, degraded or failing';
COMMENT ON COLUMN data_sources.status IS 'active or paused';

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
COMMENT ON TABLE cdp_profiles IS 'The unified snapshot of a customer: not a user, and evaluated anew rather than edited';
COMMENT ON COLUMN cdp_profiles.profile_id IS
    'The source''s id; must not itself be personal, since append-only rows keep it';
COMMENT ON COLUMN cdp_profiles.ext_id IS 'Id in the CRM or ERP, by which the sync upserts';
COMMENT ON COLUMN cdp_profiles.identities IS 'All known ids, e.g. ["email:a@b.com", "crm:123"]';
COMMENT ON COLUMN cdp_profiles.primary_email IS 'E-mail address, compared without case';
COMMENT ON COLUMN cdp_profiles.mobile_number IS 'Telephone number, E.164';
COMMENT ON COLUMN cdp_profiles.living_location IS 'Place of living, in words';
COMMENT ON COLUMN cdp_profiles.latitude IS 'Degrees north, -90 to 90';
COMMENT ON COLUMN cdp_profiles.longitude IS 'Degrees east, -180 to 180';
COMMENT ON COLUMN cdp_profiles.job_titles IS 'Array of titles';
COMMENT ON COLUMN cdp_profiles.interests IS 'Array of interests';
COMMENT ON COLUMN cdp_profiles.data_labels IS 'Array of classification labels';
COMMENT ON COLUMN cdp_profiles.segments IS 'Array of the names of the segments that the profile is in now';
COMMENT ON COLUMN cdp_profiles.segment_snapshots IS
    'Array of the ids of the snapshots that ever held the profile; only grows, at its end';
COMMENT ON COLUMN cdp_profiles.portfolio_snapshot IS 'Current holdings: cash and positions';
COMMENT ON COLUMN cdp_profiles.portfolio_risk_score IS 'Risk tolerance, 0.00 to 1.00';
COMMENT ON COLUMN cdp_profiles.raw_attributes IS 'Whatever else the sources know';
COMMENT ON COLUMN cdp_profiles.channel_addresses IS
    'Channel to address, or to a list of addresses; e-mail falls back to primary_email';
COMMENT ON COLUMN cdp_profiles.language IS 'Preferred language, BCP 47';
COMMENT ON COLUMN cdp_profiles.time_zone IS 'IANA time zone, for quiet hours';
COMMENT ON COLUMN cdp_profiles.interest_embedding IS 'Semantic summary of the interests, 1,536 dimensions';
COMMENT ON COLUMN cdp_profiles.source_updated_at IS 'When the source last changed the profile';
COMMENT ON COLUMN cdp_profiles.erased_at IS 'When erase_profile redacted the profile; NULL: it did not';

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
COMMENT ON TABLE consent_management IS 'What a customer agreed to, per channel: overrides campaigns, agents and rules';
COMMENT ON COLUMN consent_management.profile_id IS 'Whose consent';
COMMENT ON COLUMN consent_management.channel IS 'For which channel, lower case';
COMMENT ON COLUMN consent_management.status IS 'granted or withdrawn';
COMMENT ON COLUMN consent_management.legal_basis IS 'Legal ground, e.g. consent or contract (GDPR art. 6)';
COMMENT ON COLUMN consent_management.source IS 'Where it was given or withdrawn';
COMMENT ON COLUMN consent_management.granted_at IS 'When it was granted';
COMMENT ON COLUMN consent_management.withdrawn_at IS 'When it was withdrawn';
COMMENT ON COLUMN consent_management.expires_at IS 'Until when it holds; NULL: no end';

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP TABLE consent_management;
DROP TABLE cdp_profiles;
DROP FUNCTION prevent_snapshot_removal;
DROP TABLE data_sources;
DROP TABLE tenant;
DROP FUNCTION guard_tenant_metadata;
