-- What the alert engine needs: rules with their note and last firing, a way to notice changed rules, and the narrow
-- functions by which the owner of a shard works for all tenants.

-- migrate:up
SET LOCAL lock_timeout = '5s';

ALTER TABLE alert_rules
    ADD COLUMN own_instrument boolean NOT NULL DEFAULT false,
    ADD COLUMN note text NOT NULL DEFAULT '',
    ADD COLUMN last_fired_price_nanos bigint,
    ADD COLUMN changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
COMMENT ON COLUMN alert_rules.own_instrument IS 'Whether the symbol is the tenant''s own instrument, else a global one';
COMMENT ON COLUMN alert_rules.note IS 'Words for the message';
COMMENT ON COLUMN alert_rules.last_fired_price_nanos IS 'Price of the tick that it last fired at, in 1e-9 units';
COMMENT ON COLUMN alert_rules.changed_xid IS 'Transaction that changed it last: an owner asks for what it has not seen';

CREATE FUNCTION note_rule_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.changed_xid := pg_current_xact_id();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION note_rule_change IS 'Keeps changed_xid of alert_rules';
CREATE TRIGGER note_change BEFORE INSERT OR UPDATE ON alert_rules
    FOR EACH ROW EXECUTE FUNCTION note_rule_change();
CREATE INDEX alert_rules_changed ON alert_rules (changed_xid);

CREATE SEQUENCE alert_shard_epoch AS bigint;
COMMENT ON SEQUENCE alert_shard_epoch IS 'Each taking of alert shards gets its number; the highest one writes their prices';
GRANT USAGE ON SEQUENCE alert_shard_epoch TO leo_app;

-- ---------------------------------------------------------------------------------------------------------
-- Rules for the engine: what it compares, and no more
-- ---------------------------------------------------------------------------------------------------------

DROP FUNCTION load_alert_rules;
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

-- A transaction that p_since did not see may have an older number than ones that it saw; below its xmin all were seen.
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

REVOKE ALL ON FUNCTION load_alert_rules, changed_alert_rules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION load_alert_rules, changed_alert_rules TO leo_app;
GRANT CREATE ON SCHEMA public TO leo_rule_loader, leo_alert_keeper;
ALTER FUNCTION load_alert_rules OWNER TO leo_rule_loader;
ALTER FUNCTION changed_alert_rules OWNER TO leo_rule_loader;

-- ---------------------------------------------------------------------------------------------------------
-- Price state and firings of every tenant
-- ---------------------------------------------------------------------------------------------------------

-- Waits for writers that hold a row; after it, writes with an older epoch match no row.
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

REVOKE ALL ON FUNCTION claim_market_shards, fire_alert_rules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_market_shards, fire_alert_rules TO leo_app;
ALTER FUNCTION claim_market_shards OWNER TO leo_alert_keeper;
ALTER FUNCTION fire_alert_rules OWNER TO leo_alert_keeper;
REVOKE CREATE ON SCHEMA public FROM leo_rule_loader, leo_alert_keeper;

GRANT SELECT (tenant_id, symbol, price_nanos, observed_at, state, epoch), UPDATE (epoch)
    ON market_snapshot TO leo_alert_keeper;
CREATE POLICY alert_keeper_policy ON market_snapshot TO leo_alert_keeper USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE (status, last_triggered_at, last_fired_price_nanos) ON alert_rules TO leo_alert_keeper;
CREATE POLICY alert_keeper_policy ON alert_rules TO leo_alert_keeper USING (true) WITH CHECK (true);
GRANT SELECT (tenant_id, task_id, queue), INSERT (
    tenant_id, task_id, agent_name, task_type, profile_id, source_event_id, event_type, occurred_at,
    reasoning_summary, inputs, status, queue, due_at
) ON agent_task TO leo_alert_keeper;
CREATE POLICY alert_keeper_insert ON agent_task FOR INSERT TO leo_alert_keeper WITH CHECK (queue = 'alerts');
CREATE POLICY alert_keeper_select ON agent_task FOR SELECT TO leo_alert_keeper USING (queue = 'alerts');

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP POLICY alert_keeper_select ON agent_task;
DROP POLICY alert_keeper_insert ON agent_task;
DROP POLICY alert_keeper_policy ON alert_rules;
DROP POLICY alert_keeper_policy ON market_snapshot;
REVOKE ALL ON agent_task, alert_rules, market_snapshot FROM leo_alert_keeper;
DROP FUNCTION fire_alert_rules;
DROP FUNCTION claim_market_shards;
DROP FUNCTION changed_alert_rules;
DROP FUNCTION load_alert_rules;
DROP SEQUENCE alert_shard_epoch;
DROP INDEX alert_rules_changed;
DROP TRIGGER note_change ON alert_rules;
DROP FUNCTION note_rule_change;
ALTER TABLE alert_rules
    DROP COLUMN changed_xid,
    DROP COLUMN last_fired_price_nanos,
    DROP COLUMN note,
    DROP COLUMN own_instrument;

CREATE FUNCTION load_alert_rules(
    p_shard integer,
    p_after_tenant_id uuid DEFAULT '00000000-0000-0000-0000-000000000000',
    p_after_rule_id text DEFAULT '',
    p_limit integer DEFAULT 10000
) RETURNS TABLE (
    tenant_id uuid,
    rule_id text,
    profile_id text,
    symbol text,
    condition_logic jsonb,
    marketing_event_id text,
    cooldown_seconds bigint,
    rearm boolean,
    expires_at timestamptz,
    generation bigint,
    last_triggered_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
    SELECT
        r.tenant_id, r.rule_id, r.profile_id, r.symbol, r.condition_logic, r.marketing_event_id,
        r.cooldown_seconds, r.rearm, r.expires_at, r.generation, r.last_triggered_at
    FROM public.alert_rules AS r
    WHERE r.shard = p_shard
        AND r.status = 'ACTIVE'
        AND (r.tenant_id, r.rule_id) > (p_after_tenant_id, p_after_rule_id)
    ORDER BY r.tenant_id, r.rule_id
    LIMIT p_limit
$$;
COMMENT ON FUNCTION load_alert_rules IS
    'One page of the active rules of a shard (0 to 63), of every tenant, after the last row of the page before';
REVOKE ALL ON FUNCTION load_alert_rules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION load_alert_rules TO leo_app;
GRANT CREATE ON SCHEMA public TO leo_rule_loader;
ALTER FUNCTION load_alert_rules OWNER TO leo_rule_loader;
REVOKE CREATE ON SCHEMA public FROM leo_rule_loader;
