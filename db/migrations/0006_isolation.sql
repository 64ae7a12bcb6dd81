-- Who sees what: row-level security on every table, and the least that each role needs.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- ---------------------------------------------------------------------------------------------------------
-- Tenant isolation: every table but tenant, and each partition by itself
-- ---------------------------------------------------------------------------------------------------------

DO $isolate$
DECLARE
    target regclass;
BEGIN
    FOREACH target IN ARRAY ARRAY[
        'data_sources', 'cdp_profiles', 'consent_management', 'campaign', 'marketing_event', 'message_templates',
        'activation_experiments', 'segment_snapshot', 'segment_snapshot_member', 'agent_task', 'delivery_log',
        'behavioral_events', 'activation_outcomes', 'instruments', 'market_snapshot', 'alert_rules', 'news_feed',
        'embedding_job'
    ]::regclass[]
    LOOP
        PERFORM leo_isolate(target);
    END LOOP;
    FOR target IN
        SELECT inhrelid FROM pg_inherits
        WHERE inhparent IN ('marketing_event'::regclass, 'behavioral_events'::regclass)
    LOOP
        PERFORM leo_isolate(target);
    END LOOP;
END
$isolate$;

-- The root: a tenant reads its own row; only the admin role makes and changes rows.
ALTER TABLE tenant ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_select_policy ON tenant FOR SELECT
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid));
CREATE POLICY tenant_admin_policy ON tenant TO leo_admin USING (true) WITH CHECK (true);

-- Global rows: read within any set context; instruments are written by the admin role alone.
CREATE POLICY global_read ON instruments FOR SELECT
    USING (
        tenant_id IS NULL
        AND (SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid) IS NOT NULL
    );
CREATE POLICY global_admin ON instruments TO leo_admin
    USING (tenant_id IS NULL) WITH CHECK (tenant_id IS NULL);

-- Global prices: a server that has checked the caller's scope says so for one transaction (app.global_ticks).
CREATE POLICY global_read ON market_snapshot FOR SELECT
    USING (
        tenant_id IS NULL
        AND (SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid) IS NOT NULL
    );
CREATE POLICY global_ticks ON market_snapshot TO leo_app
    USING (tenant_id IS NULL AND (SELECT current_setting('app.global_ticks', true)) = 'on')
    WITH CHECK (tenant_id IS NULL AND (SELECT current_setting('app.global_ticks', true)) = 'on');

-- ---------------------------------------------------------------------------------------------------------
-- Grants. None on partitions, no DELETE and no TRUNCATE for anybody, no UPDATE on append-only tables.
-- ---------------------------------------------------------------------------------------------------------

-- Tenancy
GRANT SELECT ON tenant TO leo_app, leo_worker, leo_admin;
GRANT INSERT (tenant_id, tenant_name, keycloak_realm, keycloak_client_id, metadata, status) ON tenant TO leo_admin;
GRANT UPDATE (tenant_name, keycloak_realm, keycloak_client_id, metadata, status) ON tenant TO leo_admin;

-- Profiles: only erase_profile marks one as erased.
GRANT SELECT, INSERT ON cdp_profiles TO leo_app, leo_worker;
GRANT UPDATE (
    ext_id, identities, primary_email, mobile_number, living_location, latitude, longitude, job_titles, interests,
    data_labels, segments, segment_snapshots, portfolio_snapshot, portfolio_risk_score, raw_attributes,
    channel_addresses, language, time_zone, interest_embedding, source_updated_at, updated_at
) ON cdp_profiles TO leo_app, leo_worker;
GRANT SELECT, INSERT, UPDATE ON consent_management TO leo_app, leo_worker;
GRANT SELECT, INSERT, UPDATE ON data_sources TO leo_app, leo_worker;

-- Definitions: servers write them; workers read, and write what jobs derive.
GRANT SELECT, INSERT, UPDATE ON campaign, marketing_event, message_templates, activation_experiments TO leo_app;
GRANT SELECT ON campaign, marketing_event, message_templates, activation_experiments TO leo_worker;
GRANT UPDATE (embedding, updated_at) ON marketing_event TO leo_worker;
GRANT UPDATE (exposure_count, conversion_count, variant_counts, updated_at) ON activation_experiments TO leo_worker;

-- Decisions and facts
GRANT SELECT, INSERT ON agent_task TO leo_app, leo_worker;
GRANT UPDATE (
    status, due_at, lease_owner, lease_until, attempts,
    reasoning_summary, reasoning_trace, result, output_sha256, updated_at
) ON agent_task TO leo_app, leo_worker;
GRANT SELECT, INSERT
    ON segment_snapshot, segment_snapshot_member, delivery_log, behavioral_events, activation_outcomes
    TO leo_app, leo_worker;
GRANT SELECT ON delivery_current TO leo_app, leo_worker;

-- Market, alerts, news
GRANT SELECT, INSERT, UPDATE ON instruments TO leo_app, leo_admin;
GRANT SELECT ON instruments TO leo_worker;
GRANT SELECT, INSERT, UPDATE ON market_snapshot, alert_rules TO leo_app;
GRANT SELECT ON market_snapshot, alert_rules TO leo_worker;
GRANT SELECT, INSERT, UPDATE ON news_feed, embedding_job TO leo_app, leo_worker;

-- Proofs and data migrations see everything; the triggers bind them like everybody.
DO $proof$
DECLARE
    target regclass;
BEGIN
    FOR target IN
        SELECT oid
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'p', 'v')
            AND NOT relispartition
            AND relname <> 'schema_migrations'
            AND pg_has_role('leo_owner', relowner, 'USAGE')
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO leo_proof', target);
    END LOOP;
END
$proof$;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DO $open$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT format('DROP POLICY %I ON %s', polname, polrelid::regclass) AS statement
        FROM pg_policy
        WHERE pg_has_role('leo_owner', (SELECT relowner FROM pg_class WHERE oid = polrelid), 'USAGE')
    LOOP
        EXECUTE target.statement;
    END LOOP;
    FOR target IN
        SELECT
            oid::regclass AS name,
            relrowsecurity
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'p', 'v')
            AND relname <> 'schema_migrations'
            AND pg_has_role('leo_owner', relowner, 'USAGE')
    LOOP
        EXECUTE format(
            'REVOKE ALL ON %s FROM leo_app, leo_worker, leo_admin, leo_proof', target.name
        );
        IF target.relrowsecurity THEN
            EXECUTE format(
                'ALTER TABLE %s NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY', target.name
            );
        END IF;
    END LOOP;
END
$open$;
