-- Ticks are committed by one statement, and what is written of a price stands in columns of its own.

-- migrate:up
SET LOCAL lock_timeout = '5s';

ALTER TABLE market_snapshot
    ADD COLUMN previous_price_nanos bigint,
    ADD COLUMN feed text NOT NULL DEFAULT '',
    ADD COLUMN sequence bigint NOT NULL DEFAULT 0,
    ADD COLUMN volume_micros bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN market_snapshot.previous_price_nanos IS 'The price before, in 1e-9 units; NULL where there was none';
COMMENT ON COLUMN market_snapshot.feed IS 'The feed that the last tick came from; empty for none';
COMMENT ON COLUMN market_snapshot.sequence IS 'Place of the last tick in its feed; 0 for none';
COMMENT ON COLUMN market_snapshot.volume_micros IS 'Volume of the day so far, in 1e-6 units';

-- The owner sees no row of any tenant while row-level security is forced on it.
ALTER TABLE market_snapshot NO FORCE ROW LEVEL SECURITY;
UPDATE market_snapshot
SET
    previous_price_nanos = (state ->> 'previous_price_nanos')::bigint,
    feed = coalesce(state ->> 'feed', ''),
    sequence = coalesce((state ->> 'sequence')::bigint, 0),
    volume_micros = least(coalesce((state ->> 'volume_micros')::numeric, 0), 9223372036854775807)::bigint;
ALTER TABLE market_snapshot FORCE ROW LEVEL SECURITY;

GRANT CREATE ON SCHEMA public TO leo_alert_keeper, leo_rule_loader;
GRANT SELECT (previous_price_nanos, feed, sequence, volume_micros) ON market_snapshot TO leo_alert_keeper;

DROP FUNCTION claim_market_shards;
ALTER TABLE market_snapshot DROP COLUMN state;
CREATE FUNCTION claim_market_shards(p_shards integer[], p_epoch bigint) RETURNS TABLE (
    tenant_id uuid, symbol text, price_nanos bigint, previous_price_nanos bigint, observed_at timestamptz, feed text,
    sequence bigint, volume_micros bigint, history jsonb
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
    RETURNING
        m.tenant_id, m.symbol, m.price_nanos, m.previous_price_nanos, m.observed_at, m.feed, m.sequence,
        m.volume_micros, m.history
$$;
COMMENT ON FUNCTION claim_market_shards IS
    'Marks the prices of these shards, of every tenant, as those of a new owner, and answers them';
REVOKE ALL ON FUNCTION claim_market_shards FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_market_shards TO leo_app;
ALTER FUNCTION claim_market_shards OWNER TO leo_alert_keeper;

-- Ten thousand prices are written at once: their statement says when, and no function is called for each.
DROP TRIGGER set_updated_at ON market_snapshot;
CREATE TRIGGER set_updated_at BEFORE UPDATE ON market_snapshot
    FOR EACH ROW
    WHEN (NEW.updated_at <> now())
    EXECUTE FUNCTION update_timestamp();

DROP FUNCTION changed_alert_rules;
CREATE FUNCTION changed_alert_rules(p_shards integer[], p_since pg_snapshot, p_own xid8) RETURNS TABLE (
    tenant_id uuid, rule_id text, symbol text, own_instrument boolean, operator text, direction text,
    price_nanos bigint, generation bigint, active boolean, details jsonb
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
        AND r.changed_xid IS DISTINCT FROM p_own
        AND r.shard = ANY (p_shards)
$$;
COMMENT ON FUNCTION changed_alert_rules IS
    'The rules of these shards, of every tenant, that were changed by transactions which p_since did not see, but for the transaction p_own';
REVOKE ALL ON FUNCTION changed_alert_rules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION changed_alert_rules TO leo_app;
ALTER FUNCTION changed_alert_rules OWNER TO leo_rule_loader;

REVOKE CREATE ON SCHEMA public FROM leo_alert_keeper, leo_rule_loader;

-- A transaction of its own for whoever calls it outside of one: contexts are set for that long.
CREATE FUNCTION commit_ticks(
    p_caller uuid, p_tenant_id uuid, p_shards integer[], p_seen pg_snapshot, p_own xid8,
    p_symbols text[], p_epochs bigint[], p_prices bigint[], p_previous bigint[],
    p_observed_us bigint[], p_feeds text[], p_sequences bigint[], p_volumes bigint[], p_days_ago bigint[],
    p_histories jsonb[],
    p_hit_tenants uuid[], p_hit_rules text[], p_hit_generations bigint[], p_hit_prices bigint[],
    p_hit_previous bigint[], p_hit_times timestamptz[], p_after_restart boolean[], p_evidence jsonb[],
    p_grace interval,
    p_watch_tenants uuid[], p_watch_rules text[], p_watch_generations bigint[], p_runtimes jsonb[]
) RETURNS TABLE (
    seen text, xid text, tenant_id uuid, rule_id text, generation bigint, profile_id text, task_id text,
    source_event_id text, fired_at timestamptz, attributes jsonb, silence_id text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Arrays of any length make the same plan, and making it would be a fifth of a call with one tick.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    changed boolean;
    written bigint;
BEGIN
    IF p_seen IS NOT NULL THEN
        SELECT pg_current_snapshot()::text, EXISTS (SELECT FROM public.changed_alert_rules(p_shards, p_seen, p_own))
        INTO seen, changed;
        IF changed THEN
            seen := NULL;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;
    PERFORM set_config('app.current_tenant_id', p_caller::text, true);
    IF p_tenant_id IS NULL THEN
        PERFORM set_config('app.global_ticks', 'on', true);
    END IF;
    -- An INSERT also where all rows are there: it needs no plan that goes wrong when there are more of them. Rows are
    -- changed in the order of their symbols, as claim_market_shards does: neither waits for the other in a circle.
    INSERT INTO public.market_snapshot AS m (
        tenant_id, symbol, epoch, price_nanos, previous_price_nanos, observed_at, feed, sequence, volume_micros,
        change_percent, history
    )
    SELECT
        p_tenant_id, given.symbol, given.epoch, given.price_nanos, nullif(given.previous_nanos, 0),
        timestamptz 'epoch' + given.observed_us * interval '1 microsecond', given.feed, given.sequence,
        given.volume_micros,
        round((given.price_nanos - given.day_ago_nanos) * 100.0 / nullif(given.day_ago_nanos, 0), 6),
        coalesce(given.history, '{}')
    FROM unnest(
        p_symbols, p_epochs, p_prices, p_previous, p_observed_us, p_feeds, p_sequences, p_volumes, p_days_ago,
        p_histories
    ) AS given (
        symbol, epoch, price_nanos, previous_nanos, observed_us, feed, sequence, volume_micros, day_ago_nanos, history
    )
    ORDER BY given.symbol COLLATE "C"
    ON CONFLICT ON CONSTRAINT market_snapshot_symbol DO UPDATE
    SET
        price_nanos = excluded.price_nanos,
        previous_price_nanos = excluded.previous_price_nanos,
        observed_at = excluded.observed_at,
        feed = excluded.feed,
        sequence = excluded.sequence,
        volume_micros = excluded.volume_micros,
        change_percent = excluded.change_percent,
        history = CASE WHEN excluded.history = '{}' THEN m.history ELSE excluded.history END,
        updated_at = now()
    WHERE m.epoch = excluded.epoch;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written <> cardinality(p_symbols) THEN
        RAISE EXCEPTION 'another epoch wrote these prices' USING ERRCODE = 'LE008';
    END IF;
    xid := pg_current_xact_id()::text;
    RETURN NEXT;
    IF p_hit_rules <> '{}' THEN
        RETURN QUERY
        SELECT
            NULL, NULL, f.tenant_id, f.rule_id, f.generation, f.profile_id, f.task_id, f.source_event_id, f.fired_at,
            f.attributes, f.silence_id
        FROM public.fire_alert_rules(
            p_hit_tenants, p_hit_rules, p_hit_generations, p_hit_prices, p_hit_previous, p_hit_times, p_after_restart,
            p_evidence, p_grace
        ) AS f;
    END IF;
    IF p_watch_rules <> '{}' THEN
        PERFORM public.note_rule_runtimes(p_watch_tenants, p_watch_rules, p_watch_generations, p_runtimes);
    END IF;
END
$$;
COMMENT ON FUNCTION commit_ticks IS
    'Writes what became of ticks: prices, firings, what rules remember. The first row holds the snapshot that was looked at and the transaction; the others the firings that were claimed. Where rules of these shards were changed by others since p_seen, nothing is written and that row is empty; p_seen NULL does not ask. LE008 where another epoch wrote one of the prices';
REVOKE ALL ON FUNCTION commit_ticks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION commit_ticks TO leo_app;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP FUNCTION commit_ticks;

GRANT CREATE ON SCHEMA public TO leo_alert_keeper, leo_rule_loader;

DROP FUNCTION changed_alert_rules;
CREATE FUNCTION changed_alert_rules(p_shards integer[], p_since pg_snapshot) RETURNS TABLE (
    tenant_id uuid, rule_id text, symbol text, own_instrument boolean, operator text, direction text,
    price_nanos bigint, generation bigint, active boolean, details jsonb
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
REVOKE ALL ON FUNCTION changed_alert_rules FROM PUBLIC;
GRANT EXECUTE ON FUNCTION changed_alert_rules TO leo_app;
ALTER FUNCTION changed_alert_rules OWNER TO leo_rule_loader;

DROP TRIGGER set_updated_at ON market_snapshot;
SELECT leo_mutable('market_snapshot');

DROP FUNCTION claim_market_shards;
ALTER TABLE market_snapshot
    ADD COLUMN state jsonb NOT NULL DEFAULT '{}'
    CONSTRAINT market_snapshot_state_check CHECK (jsonb_typeof(state) = 'object');
COMMENT ON COLUMN market_snapshot.state IS 'What the alert engine writes at every commit: previous price, place in the feed';
ALTER TABLE market_snapshot NO FORCE ROW LEVEL SECURITY;
UPDATE market_snapshot
SET state = jsonb_build_object(
    'previous_price_nanos', previous_price_nanos, 'feed', feed, 'sequence', sequence, 'volume_micros', volume_micros
);
ALTER TABLE market_snapshot FORCE ROW LEVEL SECURITY;
ALTER TABLE market_snapshot
    DROP COLUMN previous_price_nanos,
    DROP COLUMN feed,
    DROP COLUMN sequence,
    DROP COLUMN volume_micros;
GRANT SELECT (state) ON market_snapshot TO leo_alert_keeper;
CREATE FUNCTION claim_market_shards(p_shards integer[], p_epoch bigint) RETURNS TABLE (
    tenant_id uuid, symbol text, price_nanos bigint, observed_at timestamptz, state jsonb, history jsonb
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
REVOKE ALL ON FUNCTION claim_market_shards FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_market_shards TO leo_app;
ALTER FUNCTION claim_market_shards OWNER TO leo_alert_keeper;

REVOKE CREATE ON SCHEMA public FROM leo_alert_keeper, leo_rule_loader;
