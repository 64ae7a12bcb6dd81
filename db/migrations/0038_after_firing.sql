-- What happens after a rule fired: silences, the news beside a firing, and firings in the order of their commits.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- ---------------------------------------------------------------------------------------------------------
-- Firings in an order that a watcher can go on from
-- ---------------------------------------------------------------------------------------------------------

ALTER TABLE agent_task ADD COLUMN recorded_xid xid8;
COMMENT ON COLUMN agent_task.recorded_xid IS
    'Transaction that recorded a firing: whoever watches asks for those that it has not seen; NULL for other tasks';

CREATE TRIGGER immutable_xid BEFORE UPDATE OF recorded_xid ON agent_task
    FOR EACH ROW
    WHEN (OLD.recorded_xid IS DISTINCT FROM NEW.recorded_xid)
    EXECUTE FUNCTION refuse_task_rewrite();

-- The queue comes first, although it is the same in all entries: no two indexes of a table lead with the tenant.
CREATE INDEX agent_task_firings ON agent_task (queue, tenant_id, recorded_xid, task_id)
    WHERE recorded_xid IS NOT NULL;
-- What a firing asks is as large as what is silenced now; the history is for people.
CREATE INDEX agent_task_silences ON agent_task (queue, tenant_id, source_event_id, due_at)
    WHERE queue = 'silences' AND status = 'pending';
CREATE INDEX agent_task_silence_log ON agent_task (queue, tenant_id, created_at, task_id) WHERE queue = 'silences';

DROP POLICY alert_keeper_select ON agent_task;
CREATE POLICY alert_keeper_select ON agent_task FOR SELECT TO leo_alert_keeper
    USING (queue IN ('alerts', 'silences'));
GRANT SELECT (status, source_event_id, due_at, recorded_xid),
    INSERT (reason_code, result, related_news_id, recorded_xid)
    ON agent_task TO leo_alert_keeper;

GRANT CREATE ON SCHEMA public TO leo_alert_keeper;

-- A transaction that p_since did not see may have an older number than ones that it saw; below its xmin all were seen.
CREATE FUNCTION tenants_with_firings(p_tenant_ids uuid[], p_since pg_snapshot) RETURNS TABLE (tenant_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
    SELECT asked.tenant_id
    FROM unnest(p_tenant_ids) AS asked (tenant_id)
    WHERE EXISTS (
        SELECT
        FROM public.agent_task AS t
        WHERE t.queue = 'alerts'
            AND t.tenant_id = asked.tenant_id
            AND t.recorded_xid >= pg_snapshot_xmin(p_since)
            AND NOT pg_visible_in_snapshot(t.recorded_xid, p_since)
    )
$$;
COMMENT ON FUNCTION tenants_with_firings IS
    'Which of these tenants have firings of transactions that p_since did not see';
REVOKE ALL ON FUNCTION tenants_with_firings FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_firings TO leo_app;
ALTER FUNCTION tenants_with_firings OWNER TO leo_alert_keeper;

-- ---------------------------------------------------------------------------------------------------------
-- News beside a firing
-- ---------------------------------------------------------------------------------------------------------

-- Entries that wait in a list of their own would be read through by every firing.
ALTER INDEX news_feed_symbol_days SET (fastupdate = off);

CREATE FUNCTION leo_relevant_news(
    p_tenant_id uuid, p_symbol text, p_at timestamptz, p_limit integer
) RETURNS TABLE (
    news_id bigint,
    title text,
    source_name text,
    source_url text,
    published_at timestamptz,
    sentiment_score numeric
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT n.news_id, n.title, n.source_name, n.source_url, n.published_at, n.sentiment_score
    -- Apart, so that no plan walks through all news by their time to find those of a symbol. A symbol of a column brings
    -- that column's collation along, with which the index does not compare.
    FROM (
        SELECT f.tenant_id, f.news_id, f.title, f.source_name, f.source_url, f.published_at, f.sentiment_score
        FROM public.news_feed AS f
        WHERE f.symbol_days && public.leo_symbol_days_until(p_symbol COLLATE "default", p_at, 7)
        OFFSET 0
    ) AS n
    WHERE n.published_at <= p_at
        AND (n.tenant_id = p_tenant_id OR n.tenant_id IS NULL)
    ORDER BY n.published_at DESC, n.news_id DESC
    LIMIT p_limit
$$;
COMMENT ON FUNCTION leo_relevant_news IS
    'The newest news about a symbol that a tenant may see, its own and global ones, of the 7 UTC days that end with p_at';
REVOKE ALL ON FUNCTION leo_relevant_news FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leo_relevant_news TO leo_app, leo_worker, leo_alert_keeper;
GRANT SELECT (tenant_id, news_id, title, source_name, source_url, published_at, symbol_days, sentiment_score)
    ON news_feed TO leo_alert_keeper;
CREATE POLICY alert_keeper_select ON news_feed FOR SELECT TO leo_alert_keeper USING (true);

-- ---------------------------------------------------------------------------------------------------------
-- A firing with its evidence, or silenced
-- ---------------------------------------------------------------------------------------------------------

DROP FUNCTION fire_alert_rules;
CREATE FUNCTION fire_alert_rules(
    p_tenant_ids uuid[],
    p_rule_ids text[],
    p_generations bigint[],
    p_prices bigint[],
    p_previous bigint[],
    p_fired_at timestamptz[],
    p_after_restart boolean[],
    p_evidence jsonb[],
    p_grace interval
) RETURNS TABLE (
    tenant_id uuid,
    rule_id text,
    generation bigint,
    profile_id text,
    task_id text,
    source_event_id text,
    fired_at timestamptz,
    attributes jsonb,
    silence_id text
)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    WITH wanted AS MATERIALIZED (
        SELECT * FROM unnest(
            p_tenant_ids, p_rule_ids, p_generations, p_prices, p_previous, p_fired_at, p_after_restart, p_evidence
        ) AS w(
            tenant_id, rule_id, generation, price_nanos, previous_price_nanos, fired_at, after_restart, evidence
        )
    ),
    earliest AS MATERIALIZED (
        SELECT w.tenant_id, w.rule_id, min(w.generation) AS generation
        FROM wanted AS w
        GROUP BY w.tenant_id, w.rule_id
    ),
    held AS MATERIALIZED (
        SELECT r.tenant_id, r.rule_id, r.generation, r.rearm, r.expires_at
        FROM earliest AS e
        JOIN public.alert_rules AS r ON r.tenant_id = e.tenant_id AND r.rule_id = e.rule_id
        WHERE r.status = 'ACTIVE' AND r.generation = e.generation
        ORDER BY r.tenant_id, r.rule_id
        FOR UPDATE OF r
    ),
    claimed AS MATERIALIZED (
        SELECT w.*
        FROM wanted AS w
        JOIN held AS h ON h.tenant_id = w.tenant_id AND h.rule_id = w.rule_id
        WHERE (w.generation = h.generation OR h.rearm) AND (h.expires_at IS NULL OR w.fired_at < h.expires_at)
    ),
    latest AS (
        SELECT DISTINCT ON (c.tenant_id, c.rule_id) c.*
        FROM claimed AS c
        ORDER BY c.tenant_id, c.rule_id, c.generation DESC
    ),
    fired AS (
        UPDATE public.alert_rules AS r
        SET
            status = CASE WHEN r.rearm THEN 'ACTIVE' ELSE 'TRIGGERED' END,
            generation = l.generation + r.rearm::integer,
            last_triggered_at = l.fired_at,
            last_fired_price_nanos = l.price_nanos,
            runtime = NULL
        FROM latest AS l
        WHERE r.tenant_id = l.tenant_id AND r.rule_id = l.rule_id
        RETURNING r.*
    ),
    -- One look for each instrument and moment of a tenant, however many of its rules fire there.
    news AS MATERIALIZED (
        SELECT asked.tenant_id, asked.symbol, asked.fired_at, found.first_id, coalesce(found.items, '[]') AS items
        FROM (
            SELECT DISTINCT c.tenant_id, f.symbol, c.fired_at
            FROM claimed AS c
            JOIN fired AS f ON f.tenant_id = c.tenant_id AND f.rule_id = c.rule_id
        ) AS asked
        CROSS JOIN LATERAL (
            SELECT
                (array_agg(n.news_id ORDER BY n.published_at DESC, n.news_id DESC))[1] AS first_id,
                jsonb_agg(
                    jsonb_build_object(
                        'news_id', n.news_id,
                        'title', left(n.title, 200),
                        'source_name', n.source_name,
                        'source_url', CASE WHEN length(n.source_url) <= 500 THEN n.source_url END,
                        'published_at', to_char(n.published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                        'sentiment_score', n.sentiment_score
                    ) ORDER BY n.published_at DESC, n.news_id DESC
                ) AS items
            FROM public.leo_relevant_news(asked.tenant_id, asked.symbol, asked.fired_at, 3) AS n
        ) AS found
    ),
    described AS MATERIALIZED (
        SELECT
            c.tenant_id, c.rule_id, c.generation, f.profile_id, c.fired_at,
            public.leo_key_id('alert_firing', c.tenant_id, c.rule_id, c.generation::text) AS task_id,
            'alert:' || c.rule_id || ':' || c.generation AS source_event_id,
            f.symbol || ' is ' || trim_scale(c.price_nanos * 0.000000001) AS summary,
            jsonb_build_object(
                'rule_id', c.rule_id,
                'generation', c.generation,
                'symbol', f.symbol,
                'operator', f.condition_logic ->> 'operator',
                'direction', f.condition_logic ->> 'direction',
                'threshold', trim_scale((f.condition_logic ->> 'price_nanos')::bigint * 0.000000001),
                'threshold_nanos', (f.condition_logic ->> 'price_nanos')::bigint,
                'price', trim_scale(c.price_nanos * 0.000000001),
                'price_nanos', c.price_nanos,
                'previous_price', trim_scale(c.previous_price_nanos * 0.000000001),
                'previous_price_nanos', c.previous_price_nanos,
                'reference_price', trim_scale((c.evidence ->> 'reference_price_nanos')::bigint * 0.000000001),
                'after_restart', c.after_restart,
                'note', f.note,
                'source', f.source,
                'news', n.items
            ) || (f.condition_logic - '{operator,direction,price_nanos}'::text[]) || coalesce(c.evidence, '{}')
                AS attributes,
            n.first_id AS related_news_id,
            silence.task_id AS silence_id
        FROM claimed AS c
        JOIN fired AS f ON f.tenant_id = c.tenant_id AND f.rule_id = c.rule_id
        JOIN news AS n ON n.tenant_id = c.tenant_id AND n.symbol = f.symbol AND n.fired_at = c.fired_at
        LEFT JOIN LATERAL (
            SELECT s.task_id
            FROM public.agent_task AS s
            WHERE s.tenant_id = c.tenant_id
                AND s.queue = 'silences'
                AND s.status = 'pending'
                AND s.source_event_id IN ('rule:' || c.rule_id, 'symbol:' || f.symbol, 'profile:' || f.profile_id)
                AND s.due_at > statement_timestamp()
            ORDER BY s.due_at DESC, s.task_id
            LIMIT 1
        ) AS silence ON true
    ),
    intent AS (
        INSERT INTO public.agent_task (
            tenant_id, task_id, agent_name, task_type, profile_id, source_event_id, event_type, occurred_at,
            reasoning_summary, inputs, status, queue, due_at, reason_code, result, related_news_id, recorded_xid
        )
        SELECT
            d.tenant_id, d.task_id, 'alerts', 'evaluate', d.profile_id, d.source_event_id, 'alert.fired', d.fired_at,
            d.summary, d.attributes, CASE WHEN d.silence_id IS NULL THEN 'pending' ELSE 'completed' END, 'alerts',
            CASE WHEN d.silence_id IS NULL THEN statement_timestamp() + p_grace END,
            CASE WHEN d.silence_id IS NOT NULL THEN 'SILENCED' END,
            CASE WHEN d.silence_id IS NOT NULL THEN jsonb_build_object('silence_id', d.silence_id) END,
            d.related_news_id, pg_current_xact_id()
        FROM described AS d
        ORDER BY d.tenant_id, d.task_id
        ON CONFLICT (tenant_id, task_id) DO NOTHING
    )
    SELECT
        d.tenant_id, d.rule_id, d.generation, d.profile_id, d.task_id, d.source_event_id, d.fired_at, d.attributes,
        d.silence_id
    FROM described AS d
$$;
COMMENT ON FUNCTION fire_alert_rules IS
    'Claims firings: each rule that is active in the earliest generation named for it becomes TRIGGERED, or, where it '
    're-arms, goes on after the latest one; a task of queue ''alerts'' records each firing with the news beside it. The '
    'task is pending, due after p_grace, and asks for a decision, or, where a silence is in force, it is SILENCED. '
    'Answers those that were claimed';

REVOKE ALL ON FUNCTION fire_alert_rules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fire_alert_rules TO leo_app;
ALTER FUNCTION fire_alert_rules OWNER TO leo_alert_keeper;


REVOKE CREATE ON SCHEMA public FROM leo_alert_keeper;

-- migrate:down
SET LOCAL lock_timeout = '5s';

GRANT CREATE ON SCHEMA public TO leo_alert_keeper;

DROP FUNCTION fire_alert_rules;
CREATE FUNCTION fire_alert_rules(
    p_tenant_ids uuid[],
    p_rule_ids text[],
    p_generations bigint[],
    p_prices bigint[],
    p_previous bigint[],
    p_fired_at timestamptz[],
    p_after_restart boolean[],
    p_evidence jsonb[],
    p_grace interval
) RETURNS TABLE (
    tenant_id uuid,
    rule_id text,
    generation bigint,
    profile_id text,
    task_id text,
    source_event_id text,
    fired_at timestamptz,
    attributes jsonb
)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    WITH wanted AS MATERIALIZED (
        SELECT * FROM unnest(
            p_tenant_ids, p_rule_ids, p_generations, p_prices, p_previous, p_fired_at, p_after_restart, p_evidence
        ) AS w(
            tenant_id, rule_id, generation, price_nanos, previous_price_nanos, fired_at, after_restart, evidence
        )
    ),
    earliest AS MATERIALIZED (
        SELECT w.tenant_id, w.rule_id, min(w.generation) AS generation
        FROM wanted AS w
        GROUP BY w.tenant_id, w.rule_id
    ),
    held AS MATERIALIZED (
        SELECT r.tenant_id, r.rule_id, r.generation, r.rearm, r.expires_at
        FROM earliest AS e
        JOIN public.alert_rules AS r ON r.tenant_id = e.tenant_id AND r.rule_id = e.rule_id
        WHERE r.status = 'ACTIVE' AND r.generation = e.generation
        ORDER BY r.tenant_id, r.rule_id
        FOR UPDATE OF r
    ),
    claimed AS MATERIALIZED (
        SELECT w.*
        FROM wanted AS w
        JOIN held AS h ON h.tenant_id = w.tenant_id AND h.rule_id = w.rule_id
        WHERE (w.generation = h.generation OR h.rearm) AND (h.expires_at IS NULL OR w.fired_at < h.expires_at)
    ),
    latest AS (
        SELECT DISTINCT ON (c.tenant_id, c.rule_id) c.*
        FROM claimed AS c
        ORDER BY c.tenant_id, c.rule_id, c.generation DESC
    ),
    fired AS (
        UPDATE public.alert_rules AS r
        SET
            status = CASE WHEN r.rearm THEN 'ACTIVE' ELSE 'TRIGGERED' END,
            generation = l.generation + r.rearm::integer,
            last_triggered_at = l.fired_at,
            last_fired_price_nanos = l.price_nanos,
            runtime = NULL
        FROM latest AS l
        WHERE r.tenant_id = l.tenant_id AND r.rule_id = l.rule_id
        RETURNING r.*
    ),
    described AS MATERIALIZED (
        SELECT
            c.tenant_id, c.rule_id, c.generation, f.profile_id, c.fired_at,
            public.leo_key_id('alert_firing', c.tenant_id, c.rule_id, c.generation::text) AS task_id,
            'alert:' || c.rule_id || ':' || c.generation AS source_event_id,
            f.symbol || ' is ' || trim_scale(c.price_nanos * 0.000000001) AS summary,
            jsonb_build_object(
                'rule_id', c.rule_id,
                'generation', c.generation,
                'symbol', f.symbol,
                'operator', f.condition_logic ->> 'operator',
                'direction', f.condition_logic ->> 'direction',
                'threshold', trim_scale((f.condition_logic ->> 'price_nanos')::bigint * 0.000000001),
                'threshold_nanos', (f.condition_logic ->> 'price_nanos')::bigint,
                'price', trim_scale(c.price_nanos * 0.000000001),
                'price_nanos', c.price_nanos,
                'previous_price', trim_scale(c.previous_price_nanos * 0.000000001),
                'previous_price_nanos', c.previous_price_nanos,
                'reference_price', trim_scale((c.evidence ->> 'reference_price_nanos')::bigint * 0.000000001),
                'after_restart', c.after_restart,
                'note', f.note,
                'source', f.source
            ) || (f.condition_logic - '{operator,direction,price_nanos}'::text[]) || coalesce(c.evidence, '{}')
                AS attributes
        FROM claimed AS c
        JOIN fired AS f ON f.tenant_id = c.tenant_id AND f.rule_id = c.rule_id
    ),
    intent AS (
        INSERT INTO public.agent_task (
            tenant_id, task_id, agent_name, task_type, profile_id, source_event_id, event_type, occurred_at,
            reasoning_summary, inputs, status, queue, due_at
        )
        SELECT
            d.tenant_id, d.task_id, 'alerts', 'evaluate', d.profile_id, d.source_event_id, 'alert.fired', d.fired_at,
            d.summary, d.attributes, 'pending', 'alerts', statement_timestamp() + p_grace
        FROM described AS d
        ORDER BY d.tenant_id, d.task_id
        ON CONFLICT (tenant_id, task_id) DO NOTHING
    )
    SELECT
        d.tenant_id, d.rule_id, d.generation, d.profile_id, d.task_id, d.source_event_id, d.fired_at, d.attributes
    FROM described AS d
$$;
COMMENT ON FUNCTION fire_alert_rules IS
    'Claims firings: each rule that is active in the earliest generation named for it becomes TRIGGERED, or, where it '
    're-arms, goes on after the latest one; for each firing a pending task of queue ''alerts'', due after p_grace, asks '
    'for its decision. Answers those that were claimed';

REVOKE ALL ON FUNCTION fire_alert_rules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fire_alert_rules TO leo_app;
ALTER FUNCTION fire_alert_rules OWNER TO leo_alert_keeper;


REVOKE CREATE ON SCHEMA public FROM leo_alert_keeper;

DROP POLICY alert_keeper_select ON news_feed;
REVOKE ALL ON news_feed FROM leo_alert_keeper;
DROP FUNCTION leo_relevant_news;
ALTER INDEX news_feed_symbol_days RESET (fastupdate);
DROP FUNCTION tenants_with_firings;
REVOKE SELECT (status, source_event_id, due_at, recorded_xid),
    INSERT (reason_code, result, related_news_id, recorded_xid)
    ON agent_task FROM leo_alert_keeper;
DROP POLICY alert_keeper_select ON agent_task;
CREATE POLICY alert_keeper_select ON agent_task FOR SELECT TO leo_alert_keeper USING (queue = 'alerts');
DROP INDEX agent_task_silence_log;
DROP INDEX agent_task_silences;
DROP INDEX agent_task_firings;
DROP TRIGGER immutable_xid ON agent_task;
ALTER TABLE agent_task DROP COLUMN recorded_xid;
