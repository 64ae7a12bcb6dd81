-- Rules of every kind: what a rule remembers between ticks, what is kept of the past of a symbol, rules that fire again
-- and again, rules that end by themselves, and instruments whose calendar changed.

-- migrate:up
SET LOCAL lock_timeout = '5s';

ALTER TABLE alert_rules ADD COLUMN runtime jsonb CHECK (jsonb_typeof(runtime) = 'object');
COMMENT ON COLUMN alert_rules.runtime IS
    'Where it is on its way to the next firing: since when it holds, or that it has fired; NULL: armed';
COMMENT ON COLUMN alert_rules.rearm IS 'Whether it goes on, as its next generation, after it has fired';
COMMENT ON COLUMN alert_rules.cooldown_seconds IS
    'Least seconds between a firing and the next time that it is armed, by the times of ticks';
COMMENT ON COLUMN alert_rules.expires_at IS 'It does not fire from then on; NULL: no end';
CREATE INDEX alert_rules_expiring ON alert_rules (expires_at) WHERE status = 'ACTIVE' AND expires_at IS NOT NULL;

-- The owner of a shard knows what it wrote into runtime: only what others change is to be read again.
DROP TRIGGER note_change ON alert_rules;
CREATE TRIGGER note_change
    BEFORE INSERT OR UPDATE OF
        status, generation, condition_logic, symbol, own_instrument, rearm, cooldown_seconds, expires_at
    ON alert_rules
    FOR EACH ROW EXECUTE FUNCTION note_rule_change();

ALTER TABLE market_snapshot
    ADD COLUMN history jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(history) = 'object');
COMMENT ON COLUMN market_snapshot.state IS 'What the alert engine writes at every commit: previous price, place in the feed';
COMMENT ON COLUMN market_snapshot.history IS
    'What it writes where it changed: high and low of the day, those of days before, the last 24 hours, windows';

CREATE INDEX instruments_updated ON instruments (updated_at);

DROP FUNCTION load_alert_rules;
DROP FUNCTION changed_alert_rules;
DROP FUNCTION claim_market_shards;
DROP FUNCTION fire_alert_rules;
CREATE FUNCTION load_alert_rules(
    p_shard integer,
    p_after_tenant_id uuid DEFAULT '00000000-0000-0000-0000-000000000000',
    p_after_rule_id text DEFAULT '',
    p_limit integer DEFAULT 10000
) RETURNS TABLE (
    tenant_id uuid,
    rule_id text,
    symbol text,
    own_instrument boolean,
    operator text,
    direction text,
    price_nanos bigint,
    generation bigint,
    active boolean,
    details jsonb
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
    SELECT
        r.tenant_id, r.rule_id, r.symbol, r.own_instrument, r.condition_logic ->> 'operator',
        r.condition_logic ->> 'direction', (r.condition_logic ->> 'price_nanos')::bigint, r.generation, true,
        CASE
            WHEN r.rearm OR r.expires_at IS NOT NULL OR r.runtime IS NOT NULL
                OR r.condition_logic - '{operator,direction,price_nanos}'::text[] <> '{}'
            THEN jsonb_build_object(
                'logic', r.condition_logic,
                'rearm', r.rearm,
                'cooldown_seconds', r.cooldown_seconds,
                'expires_at_us', (extract(epoch FROM r.expires_at) * 1000000)::bigint,
                'runtime', r.runtime
            )
        END
    FROM public.alert_rules AS r
    WHERE r.shard = p_shard
        AND r.status = 'ACTIVE'
        AND (r.tenant_id, r.rule_id) > (p_after_tenant_id, p_after_rule_id)
    ORDER BY r.tenant_id, r.rule_id
    LIMIT p_limit
$$;
COMMENT ON FUNCTION load_alert_rules IS
    'One page of the active rules of a shard (0 to 63), of every tenant, after the last row of the page before';

CREATE FUNCTION changed_alert_rules(p_shards integer[], p_since pg_snapshot) RETURNS TABLE (
    tenant_id uuid,
    rule_id text,
    symbol text,
    own_instrument boolean,
    operator text,
    direction text,
    price_nanos bigint,
    generation bigint,
    active boolean,
    details jsonb
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
    SELECT
        r.tenant_id, r.rule_id, r.symbol, r.own_instrument, r.condition_logic ->> 'operator',
        r.condition_logic ->> 'direction', (r.condition_logic ->> 'price_nanos')::bigint, r.generation,
        r.status = 'ACTIVE',
        CASE
            WHEN r.rearm OR r.expires_at IS NOT NULL OR r.runtime IS NOT NULL
                OR r.condition_logic - '{operator,direction,price_nanos}'::text[] <> '{}'
            THEN jsonb_build_object(
                'logic', r.condition_logic,
                'rearm', r.rearm,
                'cooldown_seconds', r.cooldown_seconds,
                'expires_at_us', (extract(epoch FROM r.expires_at) * 1000000)::bigint,
                'runtime', r.runtime
            )
        END
    FROM public.alert_rules AS r
    WHERE r.changed_xid >= pg_snapshot_xmin(p_since)
        AND NOT pg_visible_in_snapshot(r.changed_xid, p_since)
        AND r.shard = ANY (p_shards)
$$;
COMMENT ON FUNCTION changed_alert_rules IS
    'The rules of these shards, of every tenant, that were changed by transactions which p_since did not see';

CREATE FUNCTION changed_instruments(p_shards integer[], p_since timestamptz) RETURNS TABLE (
    tenant_id uuid,
    symbol text,
    active boolean,
    calendar jsonb,
    updated_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT i.tenant_id, i.symbol, i.status = 'active', i.metadata -> 'calendar', i.updated_at
    FROM public.instruments AS i
    WHERE i.updated_at >= p_since AND public.leo_symbol_shard(i.symbol) = ANY (p_shards)
    ORDER BY i.updated_at
$$;
COMMENT ON FUNCTION changed_instruments IS 'Instruments of these shards, of every tenant, that were changed since then';

CREATE FUNCTION claim_market_shards(p_shards integer[], p_epoch bigint) RETURNS TABLE (
    tenant_id uuid,
    symbol text,
    price_nanos bigint,
    observed_at timestamptz,
    state jsonb,
    history jsonb
)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE public.market_snapshot AS m
    SET epoch = p_epoch
    FROM (
        SELECT s.tenant_id, s.symbol
        FROM public.market_snapshot AS s
        WHERE public.leo_symbol_shard(s.symbol) = ANY (p_shards) AND s.epoch < p_epoch
        ORDER BY s.symbol, s.tenant_id
        FOR UPDATE
    ) AS held
    WHERE m.symbol = held.symbol AND m.tenant_id IS NOT DISTINCT FROM held.tenant_id
    RETURNING m.tenant_id, m.symbol, m.price_nanos, m.observed_at, m.state, m.history
$$;
COMMENT ON FUNCTION claim_market_shards IS
    'Marks the prices of these shards, of every tenant, as those of a new owner, and answers them';

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

CREATE FUNCTION note_rule_runtimes(
    p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_runtimes jsonb[]
) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    WITH given AS MATERIALIZED (
        SELECT * FROM unnest(p_tenant_ids, p_rule_ids, p_generations, p_runtimes)
            AS g(tenant_id, rule_id, generation, runtime)
    ),
    held AS MATERIALIZED (
        SELECT r.tenant_id, r.rule_id, g.runtime
        FROM given AS g
        JOIN public.alert_rules AS r ON r.tenant_id = g.tenant_id AND r.rule_id = g.rule_id
        WHERE r.status = 'ACTIVE' AND r.generation = g.generation
        ORDER BY r.tenant_id, r.rule_id
        FOR UPDATE OF r
    )
    UPDATE public.alert_rules AS r
    SET runtime = h.runtime
    FROM held AS h
    WHERE r.tenant_id = h.tenant_id AND r.rule_id = h.rule_id
$$;
COMMENT ON FUNCTION note_rule_runtimes IS
    'Writes what rules remember until the next tick, where they are active in the named generation';

CREATE FUNCTION expire_alert_rules(p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    WITH due AS MATERIALIZED (
        SELECT r.tenant_id, r.rule_id
        FROM public.alert_rules AS r
        WHERE r.status = 'ACTIVE' AND r.expires_at <= statement_timestamp()
        ORDER BY r.expires_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ),
    expired AS (
        UPDATE public.alert_rules AS r
        SET status = 'EXPIRED', runtime = NULL
        FROM due AS d
        WHERE r.tenant_id = d.tenant_id AND r.rule_id = d.rule_id
        RETURNING 1
    )
    SELECT count(*) FROM expired
$$;
COMMENT ON FUNCTION expire_alert_rules IS
    'Ends up to p_limit active rules, of every tenant, whose expires_at is past; answers how many';

REVOKE ALL ON FUNCTION load_alert_rules, changed_alert_rules, changed_instruments, claim_market_shards,
    fire_alert_rules, note_rule_runtimes, expire_alert_rules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION load_alert_rules, changed_alert_rules, changed_instruments, claim_market_shards,
    fire_alert_rules, note_rule_runtimes TO leo_app;
GRANT EXECUTE ON FUNCTION expire_alert_rules TO leo_worker;
GRANT CREATE ON SCHEMA public TO leo_rule_loader, leo_alert_keeper;
ALTER FUNCTION load_alert_rules OWNER TO leo_rule_loader;
ALTER FUNCTION changed_alert_rules OWNER TO leo_rule_loader;
ALTER FUNCTION changed_instruments OWNER TO leo_rule_loader;
ALTER FUNCTION claim_market_shards OWNER TO leo_alert_keeper;
ALTER FUNCTION fire_alert_rules OWNER TO leo_alert_keeper;
ALTER FUNCTION note_rule_runtimes OWNER TO leo_alert_keeper;
ALTER FUNCTION expire_alert_rules OWNER TO leo_alert_keeper;
REVOKE CREATE ON SCHEMA public FROM leo_rule_loader, leo_alert_keeper;

GRANT SELECT (tenant_id, symbol, status, metadata, updated_at) ON instruments TO leo_rule_loader;
CREATE POLICY rule_loader_policy ON instruments FOR SELECT TO leo_rule_loader USING (true);
GRANT SELECT (history) ON market_snapshot TO leo_alert_keeper;
GRANT UPDATE (generation, runtime) ON alert_rules TO leo_alert_keeper;

-- migrate:down
SET LOCAL lock_timeout = '5s';

REVOKE UPDATE (generation, runtime) ON alert_rules FROM leo_alert_keeper;
REVOKE SELECT (history) ON market_snapshot FROM leo_alert_keeper;
DROP POLICY rule_loader_policy ON instruments;
REVOKE ALL ON instruments FROM leo_rule_loader;
DROP FUNCTION expire_alert_rules;
DROP FUNCTION note_rule_runtimes;
DROP FUNCTION fire_alert_rules;
DROP FUNCTION claim_market_shards;
DROP FUNCTION changed_instruments;
DROP FUNCTION changed_alert_rules;
DROP FUNCTION load_alert_rules;
DROP INDEX instruments_updated;
ALTER TABLE market_snapshot DROP COLUMN history;
COMMENT ON COLUMN market_snapshot.state IS 'The alert engine''s previous prices and windows';
DROP TRIGGER note_change ON alert_rules;
CREATE TRIGGER note_change BEFORE INSERT OR UPDATE ON alert_rules
    FOR EACH ROW EXECUTE FUNCTION note_rule_change();
DROP INDEX alert_rules_expiring;
COMMENT ON COLUMN alert_rules.expires_at IS 'Not from then on; NULL: no end';
COMMENT ON COLUMN alert_rules.cooldown_seconds IS 'Least seconds between two firings';
COMMENT ON COLUMN alert_rules.rearm IS 'Whether it may fire again';
ALTER TABLE alert_rules DROP COLUMN runtime;

CREATE FUNCTION load_alert_rules(
    p_shard integer,
    p_after_tenant_id uuid DEFAULT '00000000-0000-0000-0000-000000000000',
    p_after_rule_id text DEFAULT '',
    p_limit integer DEFAULT 10000
) RETURNS TABLE (
    tenant_id uuid,
    rule_id text,
    symbol text,
    own_instrument boolean,
    operator text,
    direction text,
    price_nanos bigint,
    generation bigint,
    active boolean
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
    SELECT
        r.tenant_id, r.rule_id, r.symbol, r.own_instrument, r.condition_logic ->> 'operator',
        r.condition_logic ->> 'direction', (r.condition_logic ->> 'price_nanos')::bigint, r.generation, true
    FROM public.alert_rules AS r
    WHERE r.shard = p_shard
        AND r.status = 'ACTIVE'
        AND (r.tenant_id, r.rule_id) > (p_after_tenant_id, p_after_rule_id)
    ORDER BY r.tenant_id, r.rule_id
    LIMIT p_limit
$$;
COMMENT ON FUNCTION load_alert_rules IS
    'One page of the active rules of a shard (0 to 63), of every tenant, after the last row of the page before';

CREATE FUNCTION changed_alert_rules(p_shards integer[], p_since pg_snapshot) RETURNS TABLE (
    tenant_id uuid,
    rule_id text,
    symbol text,
    own_instrument boolean,
    operator text,
    direction text,
    price_nanos bigint,
    generation bigint,
    active boolean
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
    SELECT
        r.tenant_id, r.rule_id, r.symbol, r.own_instrument, r.condition_logic ->> 'operator',
        r.condition_logic ->> 'direction', (r.condition_logic ->> 'price_nanos')::bigint, r.generation,
        r.status = 'ACTIVE'
    FROM public.alert_rules AS r
    WHERE r.changed_xid >= pg_snapshot_xmin(p_since)
        AND NOT pg_visible_in_snapshot(r.changed_xid, p_since)
        AND r.shard = ANY (p_shards)
$$;
COMMENT ON FUNCTION changed_alert_rules IS
    'The rules of these shards, of every tenant, that were changed by transactions which p_since did not see';

CREATE FUNCTION claim_market_shards(p_shards integer[], p_epoch bigint) RETURNS TABLE (
    tenant_id uuid,
    symbol text,
    price_nanos bigint,
    observed_at timestamptz,
    state jsonb
)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE public.market_snapshot AS m
    SET epoch = p_epoch
    FROM (
        SELECT s.tenant_id, s.symbol
        FROM public.market_snapshot AS s
        WHERE public.leo_symbol_shard(s.symbol) = ANY (p_shards) AND s.epoch < p_epoch
        ORDER BY s.symbol, s.tenant_id
        FOR UPDATE
    ) AS held
    WHERE m.symbol = held.symbol AND m.tenant_id IS NOT DISTINCT FROM held.tenant_id
    RETURNING m.tenant_id, m.symbol, m.price_nanos, m.observed_at, m.state
$$;
COMMENT ON FUNCTION claim_market_shards IS
    'Marks the prices of these shards, of every tenant, as those of a new owner, and answers them';

CREATE FUNCTION fire_alert_rules(
    p_tenant_ids uuid[],
    p_rule_ids text[],
    p_generations bigint[],
    p_prices bigint[],
    p_previous bigint[],
    p_fired_at timestamptz[],
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
        SELECT * FROM unnest(p_tenant_ids, p_rule_ids, p_generations, p_prices, p_previous, p_fired_at)
            AS w(tenant_id, rule_id, generation, price_nanos, previous_price_nanos, fired_at)
    ),
    held AS MATERIALIZED (
        SELECT r.tenant_id, r.rule_id, w.price_nanos, w.previous_price_nanos, w.fired_at
        FROM wanted AS w
        JOIN public.alert_rules AS r ON r.tenant_id = w.tenant_id AND r.rule_id = w.rule_id
        WHERE r.status = 'ACTIVE' AND r.generation = w.generation
        ORDER BY r.tenant_id, r.rule_id
        FOR UPDATE OF r
    ),
    fired AS (
        UPDATE public.alert_rules AS r
        SET status = 'TRIGGERED', last_triggered_at = h.fired_at, last_fired_price_nanos = h.price_nanos
        FROM held AS h
        WHERE r.tenant_id = h.tenant_id AND r.rule_id = h.rule_id
        RETURNING r.*, h.previous_price_nanos
    ),
    described AS MATERIALIZED (
        SELECT
            f.tenant_id, f.rule_id, f.generation, f.profile_id,
            public.leo_key_id('alert_firing', f.tenant_id, f.rule_id, f.generation::text) AS task_id,
            'alert:' || f.rule_id || ':' || f.generation AS source_event_id,
            f.last_triggered_at AS fired_at,
            f.symbol || ' is ' || trim_scale(f.last_fired_price_nanos * 0.000000001) AS summary,
            jsonb_build_object(
                'rule_id', f.rule_id,
                'generation', f.generation,
                'symbol', f.symbol,
                'operator', f.condition_logic ->> 'operator',
                'direction', f.condition_logic ->> 'direction',
                'threshold', trim_scale((f.condition_logic ->> 'price_nanos')::bigint * 0.000000001),
                'threshold_nanos', (f.condition_logic ->> 'price_nanos')::bigint,
                'price', trim_scale(f.last_fired_price_nanos * 0.000000001),
                'price_nanos', f.last_fired_price_nanos,
                'previous_price', trim_scale(f.previous_price_nanos * 0.000000001),
                'previous_price_nanos', f.previous_price_nanos,
                'note', f.note,
                'source', f.source
            ) AS attributes
        FROM fired AS f
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
    'Claims firings: each rule that is active in the named generation becomes TRIGGERED, and a pending task of queue '
    '''alerts'', due after p_grace, asks for its decision. Answers those that were claimed';

REVOKE ALL ON FUNCTION load_alert_rules, changed_alert_rules, claim_market_shards, fire_alert_rules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION load_alert_rules, changed_alert_rules, claim_market_shards, fire_alert_rules TO leo_app;
GRANT CREATE ON SCHEMA public TO leo_rule_loader, leo_alert_keeper;
ALTER FUNCTION load_alert_rules OWNER TO leo_rule_loader;
ALTER FUNCTION changed_alert_rules OWNER TO leo_rule_loader;
ALTER FUNCTION claim_market_shards OWNER TO leo_alert_keeper;
ALTER FUNCTION fire_alert_rules OWNER TO leo_alert_keeper;
REVOKE CREATE ON SCHEMA public FROM leo_rule_loader, leo_alert_keeper;
