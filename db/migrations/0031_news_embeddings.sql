-- News for everybody beside those of a tenant, search by words without their accents, the newest news of a symbol,
-- and the queue of texts to embed.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- ---------------------------------------------------------------------------------------------------------
-- News
-- ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION leo_search_text(p_text text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT translate(
        regexp_replace(normalize(p_text, NFKD), '[\u0300-\u036f]', '', 'g'), 'đĐøØłŁħĦıŧŦ', 'dDoOlLhHitT'
    )
$$;
COMMENT ON FUNCTION leo_search_text IS
    'The text in its compatibility form and without diacritics: what full-text search compares';

CREATE FUNCTION leo_symbol_days(p_symbols text[], p_at timestamptz) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(symbol || '@' || floor(extract(epoch FROM p_at) / 86400)::bigint), '{}')
    FROM unnest(p_symbols) AS symbol
$$;
COMMENT ON FUNCTION leo_symbol_days IS 'Each symbol with the number of the UTC day: what news_feed.symbol_days holds';

CREATE FUNCTION leo_symbol_days_until(p_symbol text, p_at timestamptz, p_days integer) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(p_symbol || '@' || (floor(extract(epoch FROM p_at) / 86400)::bigint - back))
    FROM generate_series(0, p_days - 1) AS back
$$;
COMMENT ON FUNCTION leo_symbol_days_until IS
    'The symbol on each of p_days UTC days, the last of which holds p_at: for symbol_days && …';

ALTER TABLE news_feed
    DROP CONSTRAINT news_feed_pkey,
    ALTER COLUMN tenant_id DROP NOT NULL,
    ADD CONSTRAINT news_feed_news UNIQUE NULLS NOT DISTINCT (news_id, tenant_id),
    ADD COLUMN embedding_model text,
    ADD COLUMN symbol_days text[] GENERATED ALWAYS AS (leo_symbol_days(related_symbols, published_at)) STORED,
    DROP COLUMN search_document,
    ADD COLUMN search_document tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', leo_search_text(title)), 'A')
        || setweight(to_tsvector('simple', leo_search_text(content)), 'B')
    ) STORED;
COMMENT ON TABLE news_feed IS
    'Market news, enriched for search and for decisions; a row without a tenant is global';
COMMENT ON COLUMN news_feed.content_sha256 IS
    'Hash of source and URL, or of source and text where there is no URL: the same news once';
COMMENT ON COLUMN news_feed.embedding_model IS 'Model of content_embedding: vectors of different models do not compare';
COMMENT ON COLUMN news_feed.symbol_days IS
    'Each related symbol with the UTC day, e.g. "AAPL@20778": finds the newest news of a symbol';
COMMENT ON COLUMN news_feed.search_document IS 'For full-text search, any language, without diacritics';

DROP INDEX news_feed_content;
CREATE UNIQUE INDEX news_feed_content ON news_feed (content_sha256, tenant_id) NULLS NOT DISTINCT;
CREATE INDEX news_feed_search ON news_feed USING gin (search_document);
CREATE INDEX news_feed_symbol_days ON news_feed USING gin (symbol_days);
CREATE INDEX news_feed_tenant ON news_feed (tenant_id, published_at);

CREATE POLICY global_read ON news_feed FOR SELECT
    USING (
        tenant_id IS NULL
        AND (SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid) IS NOT NULL
    );
CREATE POLICY global_news ON news_feed TO leo_app, leo_worker
    USING (tenant_id IS NULL AND (SELECT current_setting('app.global_news', true)) = 'on')
    WITH CHECK (tenant_id IS NULL AND (SELECT current_setting('app.global_news', true)) = 'on');

-- ---------------------------------------------------------------------------------------------------------
-- The queue of texts to embed
-- ---------------------------------------------------------------------------------------------------------

ALTER TABLE embedding_job
    DROP CONSTRAINT embedding_job_pkey,
    ALTER COLUMN tenant_id DROP NOT NULL,
    ADD CONSTRAINT embedding_job_entity UNIQUE NULLS NOT DISTINCT (tenant_id, entity_type, entity_id);
COMMENT ON TABLE embedding_job IS
    'Queue of texts to embed: one job for each thing that has an embedding. Those of global news have no tenant';
COMMENT ON COLUMN embedding_job.status IS
    'pending, completed, failed (dead until somebody requeues it) or cancelled';
COMMENT ON COLUMN embedding_job.attempts IS 'Claims so far, less those that an outage of the model cut short';

DROP INDEX embedding_job_claimable;
CREATE INDEX embedding_job_claimable ON embedding_job (entity_type, (greatest(due_at, lease_until)))
    WHERE status = 'pending';
CREATE INDEX embedding_job_failed ON embedding_job (entity_id, tenant_id, entity_type) WHERE status = 'failed';
COMMENT ON INDEX embedding_job_failed IS 'Dead jobs: they are few, and people look at them';

CREATE POLICY global_news ON embedding_job TO leo_app, leo_worker
    USING (tenant_id IS NULL AND (SELECT current_setting('app.global_news', true)) = 'on')
    WITH CHECK (tenant_id IS NULL AND (SELECT current_setting('app.global_news', true)) = 'on');

GRANT CREATE ON SCHEMA public TO leo_task_claimer;

-- Settings as those of claim_tasks: the queue goes from empty to millions within a session.
CREATE FUNCTION claim_embedding_jobs(p_entity_type text, p_limit integer, p_lease interval, p_owner text)
RETURNS TABLE (tenant_id uuid, entity_id text, attempts integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH ready AS MATERIALIZED (
        SELECT j.ctid AS place
        FROM public.embedding_job AS j
        WHERE j.entity_type = p_entity_type
            AND j.status = 'pending'
            AND greatest(j.due_at, j.lease_until) <= statement_timestamp()
        ORDER BY greatest(j.due_at, j.lease_until)
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE public.embedding_job AS claimed
    SET lease_owner = p_owner,
        lease_until = statement_timestamp() + p_lease,
        attempts = claimed.attempts + 1
    FROM ready
    WHERE claimed.ctid = ready.place
    RETURNING claimed.tenant_id, claimed.entity_id, claimed.attempts;
END
$$;
COMMENT ON FUNCTION claim_embedding_jobs IS
    'Leases up to p_limit pending and due jobs of one kind, of any tenant and of none, those that wait longest first';
REVOKE ALL ON FUNCTION claim_embedding_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_embedding_jobs TO leo_worker;
ALTER FUNCTION claim_embedding_jobs OWNER TO leo_task_claimer;

-- ---------------------------------------------------------------------------------------------------------
-- Profiles: what an embedding is made of has changed
-- ---------------------------------------------------------------------------------------------------------

ALTER TABLE cdp_profiles ADD COLUMN interest_embedding_model text;
COMMENT ON COLUMN cdp_profiles.interest_embedding_model IS
    'Model of interest_embedding: vectors of different models do not compare';
GRANT UPDATE (interest_embedding_model) ON cdp_profiles TO leo_app, leo_worker;

-- One statement for all new rows of a statement. A job that is waiting already stays as it is; one that a worker
-- holds loses its lease, so that what the worker makes of the old profile does not end it.
CREATE FUNCTION queue_new_profiles() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO public.embedding_job AS j (tenant_id, entity_type, entity_id)
    SELECT n.tenant_id, 'profile', n.profile_id
    FROM new_rows AS n
    WHERE n.erased_at IS NULL AND (n.job_titles <> '[]' OR n.interests <> '[]')
    ORDER BY n.tenant_id, n.profile_id
    ON CONFLICT (tenant_id, entity_type, entity_id) DO UPDATE
    SET status = 'pending', due_at = now(), attempts = 0, lease_owner = NULL, lease_until = NULL, last_error = NULL
    WHERE j.status <> 'pending' OR j.lease_until IS NOT NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION queue_new_profiles IS 'Statement trigger: new profiles with titles or interests wait for a vector';

-- It sees every updated row, at two microseconds each: a row trigger would cost nothing where titles and interests stay,
-- and several times as much where they change.
CREATE FUNCTION queue_changed_profiles() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO public.embedding_job AS j (tenant_id, entity_type, entity_id)
    SELECT n.tenant_id, 'profile', n.profile_id
    FROM new_rows AS n
    JOIN old_rows AS o ON o.profile_id = n.profile_id AND o.tenant_id = n.tenant_id
    WHERE n.erased_at IS NULL
        AND (n.job_titles IS DISTINCT FROM o.job_titles OR n.interests IS DISTINCT FROM o.interests)
    ORDER BY n.tenant_id, n.profile_id
    ON CONFLICT (tenant_id, entity_type, entity_id) DO UPDATE
    SET status = 'pending', due_at = now(), attempts = 0, lease_owner = NULL, lease_until = NULL, last_error = NULL
    WHERE j.status <> 'pending' OR j.lease_until IS NOT NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION queue_changed_profiles IS
    'Statement trigger: profiles whose titles or interests changed wait for a new vector';

REVOKE ALL ON FUNCTION queue_new_profiles, queue_changed_profiles FROM PUBLIC;
CREATE TRIGGER queue_new_profiles AFTER INSERT ON cdp_profiles REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION queue_new_profiles();
CREATE TRIGGER queue_changed_profiles AFTER UPDATE ON cdp_profiles
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION queue_changed_profiles();
ALTER FUNCTION queue_new_profiles OWNER TO leo_task_claimer;
ALTER FUNCTION queue_changed_profiles OWNER TO leo_task_claimer;
REVOKE CREATE ON SCHEMA public FROM leo_task_claimer;

GRANT SELECT, INSERT (tenant_id, entity_type, entity_id),
    UPDATE (status, due_at, attempts, lease_owner, lease_until, last_error)
    ON embedding_job TO leo_task_claimer;
CREATE POLICY task_claimer_policy ON embedding_job TO leo_task_claimer USING (true) WITH CHECK (true);

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP TRIGGER queue_changed_profiles ON cdp_profiles;
DROP TRIGGER queue_new_profiles ON cdp_profiles;
DROP FUNCTION queue_changed_profiles;
DROP FUNCTION queue_new_profiles;
ALTER TABLE cdp_profiles DROP COLUMN interest_embedding_model;

DROP POLICY task_claimer_policy ON embedding_job;
REVOKE ALL ON embedding_job FROM leo_task_claimer;
DROP FUNCTION claim_embedding_jobs;
DROP POLICY global_news ON embedding_job;
DROP POLICY global_news ON news_feed;
DROP POLICY global_read ON news_feed;

-- What has no tenant has no place in the tables as they were. Policies bind the owner as well, but for this moment.
ALTER TABLE embedding_job NO FORCE ROW LEVEL SECURITY;
ALTER TABLE news_feed NO FORCE ROW LEVEL SECURITY;
DELETE FROM embedding_job WHERE tenant_id IS NULL;
DELETE FROM news_feed WHERE tenant_id IS NULL;
ALTER TABLE embedding_job FORCE ROW LEVEL SECURITY;
ALTER TABLE news_feed FORCE ROW LEVEL SECURITY;

DROP INDEX embedding_job_failed;
DROP INDEX embedding_job_claimable;
CREATE INDEX embedding_job_claimable ON embedding_job ((greatest(due_at, lease_until)), tenant_id)
    WHERE status = 'pending';
ALTER TABLE embedding_job
    DROP CONSTRAINT embedding_job_entity,
    ALTER COLUMN tenant_id SET NOT NULL,
    ADD CONSTRAINT embedding_job_pkey PRIMARY KEY (tenant_id, entity_type, entity_id);
COMMENT ON TABLE embedding_job IS 'Queue of texts to embed: one job for each thing that has an embedding';
COMMENT ON COLUMN embedding_job.status IS 'pending, completed, failed or cancelled';
COMMENT ON COLUMN embedding_job.attempts IS 'Claims so far';

DROP INDEX news_feed_tenant;
DROP INDEX news_feed_symbol_days;
DROP INDEX news_feed_content;
ALTER TABLE news_feed
    DROP COLUMN search_document,
    DROP COLUMN symbol_days,
    DROP COLUMN embedding_model,
    DROP CONSTRAINT news_feed_news,
    ALTER COLUMN tenant_id SET NOT NULL,
    ADD CONSTRAINT news_feed_pkey PRIMARY KEY (tenant_id, news_id),
    ADD COLUMN search_document tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', content), 'B')
    ) STORED;
CREATE UNIQUE INDEX news_feed_content ON news_feed (content_sha256, tenant_id);
CREATE INDEX news_feed_search ON news_feed USING gin (search_document);
COMMENT ON TABLE news_feed IS 'Market news, enriched for search and for decisions';
COMMENT ON COLUMN news_feed.content_sha256 IS 'Hash of the content: the same news once';
COMMENT ON COLUMN news_feed.search_document IS 'For full-text search, any language';
DROP FUNCTION leo_symbol_days_until;
DROP FUNCTION leo_symbol_days;
DROP FUNCTION leo_search_text;
