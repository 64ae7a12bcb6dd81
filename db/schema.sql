-- Written by `make migrate` from db/migrations, without partitions: they repeat their parents.
--
-- PostgreSQL database dump
--



SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: public; Type: SCHEMA; Schema: -; Owner: leo_owner
--

-- *not* creating schema, since initdb creates it


ALTER SCHEMA public OWNER TO leo_owner;

--
-- Name: citext; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;


--
-- Name: EXTENSION citext; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION citext IS 'data type for case-insensitive character strings';


--
-- Name: pgcrypto; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;


--
-- Name: EXTENSION pgcrypto; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION pgcrypto IS 'cryptographic functions';


--
-- Name: vector; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;


--
-- Name: EXTENSION vector; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION vector IS 'vector data type and ivfflat and hnsw access methods';


--
-- Name: begin_erasure(uuid, text, text[]); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.begin_erasure(p_tenant uuid, p_profile_id text, p_names text[]) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    words constant text := '(erased)';
    touched bigint;
    counts jsonb := '{"cdp_profiles": 1}';
BEGIN
    UPDATE public.cdp_profiles AS p
    SET ext_id = NULL, identities = '[]', primary_email = NULL, mobile_number = NULL, living_location = NULL,
        latitude = NULL, longitude = NULL, job_titles = '[]', interests = '[]', data_labels = '[]', segments = '[]',
        evaluated_segments = '[]', segment_labels = NULL, portfolio_snapshot = '{}', portfolio_risk_score = NULL,
        raw_attributes = '{}', channel_addresses = '{}', language = NULL, time_zone = NULL,
        interest_embedding = NULL, interest_embedding_model = NULL, field_times = '{}', source_updated_at = NULL,
        suppression = p_names, erased_at = now()
    WHERE p.tenant_id = p_tenant AND p.profile_id = p_profile_id;
    UPDATE public.consent_management AS c
    SET status = 'withdrawn', withdrawn_at = coalesce(c.withdrawn_at, now()), legal_basis = words, source = words,
        expires_at = NULL
    WHERE c.tenant_id = p_tenant AND c.profile_id = p_profile_id;
    GET DIAGNOSTICS touched = ROW_COUNT;
    counts := counts || jsonb_build_object('consent_management', touched);
    UPDATE public.alert_rules AS r
    SET status = 'DISABLED', note = '', runtime = NULL
    WHERE r.profile_id = p_profile_id AND r.tenant_id = p_tenant;
    GET DIAGNOSTICS touched = ROW_COUNT;
    counts := counts || jsonb_build_object('alert_rules', touched);
    UPDATE public.embedding_job AS j
    SET status = 'cancelled', last_error = NULL, input_sha256 = NULL
    WHERE j.tenant_id = p_tenant AND j.entity_type = 'profile' AND j.entity_id = p_profile_id;
    GET DIAGNOSTICS touched = ROW_COUNT;
    counts := counts || jsonb_build_object('embedding_job', touched);
    -- Receipts that wait for their delivery, which by now has lost the provider's id.
    UPDATE public.agent_task AS t
    SET inputs = '{"erased": true}', status = 'cancelled'
    WHERE t.queue = 'receipts' AND t.status = 'pending' AND t.tenant_id = p_tenant
        AND t.inputs -> 'message_ids' ?| ARRAY(
            SELECT d.provider_message_id
            FROM public.delivery_log AS d
            WHERE d.profile_id = p_profile_id AND d.tenant_id = p_tenant AND d.provider_message_id IS NOT NULL
        );
    RETURN counts;
END
$$;


ALTER FUNCTION public.begin_erasure(p_tenant uuid, p_profile_id text, p_names text[]) OWNER TO leo_owner;

--
-- Name: FUNCTION begin_erasure(p_tenant uuid, p_profile_id text, p_names text[]); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.begin_erasure(p_tenant uuid, p_profile_id text, p_names text[]) IS 'Makes an anonymous stub of a profile that is locked; how many rows of each table';


--
-- Name: begin_recording(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.begin_recording() RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(4711, 1);
    PERFORM set_config('enable_seqscan', 'off', true);
    RETURN (SELECT last_value FROM reservation_epoch);
END
$$;


ALTER FUNCTION public.begin_recording() OWNER TO leo_owner;

--
-- Name: FUNCTION begin_recording(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.begin_recording() IS 'Holds the reservation epoch still until the transaction ends, and answers it';


--
-- Name: bump_definitions_version(); Type: FUNCTION; Schema: public; Owner: leo_definition_versioner
--

CREATE FUNCTION public.bump_definitions_version() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    unseen constant text[] := ARRAY[
        'updated_at', 'embedding', 'exposure_count', 'conversion_count', 'variant_counts', 'settled_until',
        'settled_counts'
    ];
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (SELECT n.tenant_id FROM new_rows AS n);
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (SELECT o.tenant_id FROM old_rows AS o);
    ELSE
        UPDATE public.tenant SET definitions_version = definitions_version + 1
        WHERE tenant_id IN (
            SELECT (changed.definition ->> 'tenant_id')::uuid
            FROM (
                SELECT to_jsonb(n) - unseen FROM new_rows AS n
                EXCEPT
                SELECT to_jsonb(o) - unseen FROM old_rows AS o
            ) AS changed (definition)
        );
    END IF;
    RETURN NULL;
END
$$;


ALTER FUNCTION public.bump_definitions_version() OWNER TO leo_definition_versioner;

--
-- Name: FUNCTION bump_definitions_version(); Type: COMMENT; Schema: public; Owner: leo_definition_versioner
--

COMMENT ON FUNCTION public.bump_definitions_version() IS 'Statement trigger: a changed definition raises its tenant''s version';


--
-- Name: cancel_erased_tasks(uuid, text); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.cancel_erased_tasks(p_tenant uuid, p_profile_id text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    tasks constant text[] := ARRAY(
        SELECT t.task_id
        FROM public.agent_task AS t
        WHERE t.profile_id = p_profile_id
            AND t.tenant_id = p_tenant
            AND t.status IN ('pending', 'paused')
            AND t.agent_name <> 'eraser'
        ORDER BY t.task_id
        FOR UPDATE
    );
BEGIN
    INSERT INTO public.delivery_log (
        tenant_id, delivery_key, attempt, series, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id,
        channel, delivery_status, reason
    )
    SELECT
        p_tenant, stands.delivery_key, stands.attempt, stands.series, stands.task_id, stands.marketing_event_id,
        stands.campaign_id, p_profile_id, stands.snapshot_id, stands.channel,
        CASE stands.delivery_status WHEN 'sending' THEN 'unknown' ELSE 'cancelled' END, 'PROFILE_ERASED'
    FROM (
        SELECT DISTINCT ON (log.delivery_key) log.*
        FROM (
            SELECT
                d.delivery_key, d.attempt, d.series, d.task_id, d.marketing_event_id, d.campaign_id, d.snapshot_id,
                d.channel, d.delivery_status, d.delivery_id
            FROM public.delivery_log AS d
            WHERE d.task_id = ANY (tasks) AND d.tenant_id = p_tenant
        ) AS log
        ORDER BY
            log.delivery_key, public.leo_delivery_standing(log.series, log.delivery_status) DESC, log.attempt DESC,
            log.delivery_id DESC
    ) AS stands
    WHERE stands.delivery_status IN ('queued', 'deferred', 'sending')
    ORDER BY stands.delivery_key;
    UPDATE public.agent_task AS t
    SET status = 'cancelled'
    WHERE t.tenant_id = p_tenant AND t.task_id = ANY (tasks);
    RETURN cardinality(tasks);
END
$$;


ALTER FUNCTION public.cancel_erased_tasks(p_tenant uuid, p_profile_id text) OWNER TO leo_owner;

--
-- Name: FUNCTION cancel_erased_tasks(p_tenant uuid, p_profile_id text); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.cancel_erased_tasks(p_tenant uuid, p_profile_id text) IS 'Ends what is still to be done for a profile: its deliveries are cancelled, or unknown where a provider has one';


--
-- Name: change_epoch(bigint, boolean); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.change_epoch(expected bigint, redis_reserves boolean) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    current_epoch bigint;
BEGIN
    PERFORM wait_for_recorders();
    SELECT last_value INTO current_epoch FROM reservation_epoch;
    IF current_epoch <> expected THEN
        RETURN current_epoch;
    END IF;
    LOOP
        current_epoch := nextval('reservation_epoch');
        EXIT WHEN (current_epoch % 2 = 1) = redis_reserves;
    END LOOP;
    RETURN current_epoch;
END
$$;


ALTER FUNCTION public.change_epoch(expected bigint, redis_reserves boolean) OWNER TO leo_owner;

--
-- Name: FUNCTION change_epoch(expected bigint, redis_reserves boolean); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.change_epoch(expected bigint, redis_reserves boolean) IS 'Ends the expected epoch once nobody records in it, and answers the one in force';


--
-- Name: changed_alert_rules(integer[], pg_snapshot, xid8); Type: FUNCTION; Schema: public; Owner: leo_rule_loader
--

CREATE FUNCTION public.changed_alert_rules(p_shards integer[], p_since pg_snapshot, p_own xid8) RETURNS TABLE(tenant_id uuid, rule_id text, symbol text, own_instrument boolean, operator text, direction text, price_nanos bigint, generation bigint, active boolean, details jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
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


ALTER FUNCTION public.changed_alert_rules(p_shards integer[], p_since pg_snapshot, p_own xid8) OWNER TO leo_rule_loader;

--
-- Name: FUNCTION changed_alert_rules(p_shards integer[], p_since pg_snapshot, p_own xid8); Type: COMMENT; Schema: public; Owner: leo_rule_loader
--

COMMENT ON FUNCTION public.changed_alert_rules(p_shards integer[], p_since pg_snapshot, p_own xid8) IS 'The rules of these shards, of every tenant, that were changed by transactions which p_since did not see, but for the transaction p_own';


--
-- Name: changed_instruments(integer[], timestamp with time zone); Type: FUNCTION; Schema: public; Owner: leo_rule_loader
--

CREATE FUNCTION public.changed_instruments(p_shards integer[], p_since timestamp with time zone) RETURNS TABLE(tenant_id uuid, symbol text, active boolean, calendar jsonb, updated_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
    SELECT i.tenant_id, i.symbol, i.status = 'active', i.metadata -> 'calendar', i.updated_at
    FROM public.instruments AS i
    WHERE i.updated_at >= p_since AND public.leo_symbol_shard(i.symbol) = ANY (p_shards)
    ORDER BY i.updated_at
$$;


ALTER FUNCTION public.changed_instruments(p_shards integer[], p_since timestamp with time zone) OWNER TO leo_rule_loader;

--
-- Name: FUNCTION changed_instruments(p_shards integer[], p_since timestamp with time zone); Type: COMMENT; Schema: public; Owner: leo_rule_loader
--

COMMENT ON FUNCTION public.changed_instruments(p_shards integer[], p_since timestamp with time zone) IS 'Instruments of these shards, of every tenant, that were changed since then';


--
-- Name: claim_data_sources(integer, interval, text); Type: FUNCTION; Schema: public; Owner: leo_source_claimer
--

CREATE FUNCTION public.claim_data_sources(p_limit integer, p_lease interval, p_owner text) RETURNS TABLE(tenant_id uuid, source_id text)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    UPDATE public.data_sources AS s
    SET lease_owner = p_owner,
        lease_until = statement_timestamp() + p_lease
    FROM (
        SELECT
            d.tenant_id,
            d.source_id
        FROM public.data_sources AS d
        WHERE d.status = 'active'
            AND d.due_at <= statement_timestamp()
            AND (d.lease_until IS NULL OR d.lease_until <= statement_timestamp())
            AND EXISTS (
                SELECT FROM public.tenant AS t WHERE t.tenant_id = d.tenant_id AND t.status = 'active'
            )
        ORDER BY d.due_at, d.tenant_id, d.source_id
        LIMIT p_limit
        FOR UPDATE OF d SKIP LOCKED
    ) AS due
    WHERE s.tenant_id = due.tenant_id AND s.source_id = due.source_id
    RETURNING s.tenant_id, s.source_id
$$;


ALTER FUNCTION public.claim_data_sources(p_limit integer, p_lease interval, p_owner text) OWNER TO leo_source_claimer;

--
-- Name: FUNCTION claim_data_sources(p_limit integer, p_lease interval, p_owner text); Type: COMMENT; Schema: public; Owner: leo_source_claimer
--

COMMENT ON FUNCTION public.claim_data_sources(p_limit integer, p_lease interval, p_owner text) IS 'Leases sources of active tenants that are due and that nobody works on, the longest due first';


--
-- Name: claim_embedding_jobs(text, integer, interval, text); Type: FUNCTION; Schema: public; Owner: leo_task_claimer
--

CREATE FUNCTION public.claim_embedding_jobs(p_entity_type text, p_limit integer, p_lease interval, p_owner text) RETURNS TABLE(tenant_id uuid, entity_id text, attempts integer)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
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


ALTER FUNCTION public.claim_embedding_jobs(p_entity_type text, p_limit integer, p_lease interval, p_owner text) OWNER TO leo_task_claimer;

--
-- Name: FUNCTION claim_embedding_jobs(p_entity_type text, p_limit integer, p_lease interval, p_owner text); Type: COMMENT; Schema: public; Owner: leo_task_claimer
--

COMMENT ON FUNCTION public.claim_embedding_jobs(p_entity_type text, p_limit integer, p_lease interval, p_owner text) IS 'Leases up to p_limit pending and due jobs of one kind, of any tenant and of none, those that wait longest first';


--
-- Name: claim_market_shards(integer[], bigint); Type: FUNCTION; Schema: public; Owner: leo_alert_keeper
--

CREATE FUNCTION public.claim_market_shards(p_shards integer[], p_epoch bigint) RETURNS TABLE(tenant_id uuid, symbol text, price_nanos bigint, previous_price_nanos bigint, observed_at timestamp with time zone, feed text, sequence bigint, volume_micros bigint, history jsonb)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION public.claim_market_shards(p_shards integer[], p_epoch bigint) OWNER TO leo_alert_keeper;

--
-- Name: FUNCTION claim_market_shards(p_shards integer[], p_epoch bigint); Type: COMMENT; Schema: public; Owner: leo_alert_keeper
--

COMMENT ON FUNCTION public.claim_market_shards(p_shards integer[], p_epoch bigint) IS 'Marks the prices of these shards, of every tenant, as those of a new owner, and answers them';


--
-- Name: claim_tasks(text, integer, interval, text, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: leo_task_claimer
--

CREATE FUNCTION public.claim_tasks(p_queue text, p_limit integer, p_lease interval, p_owner text, p_since timestamp with time zone DEFAULT '-infinity'::timestamp with time zone) RETURNS TABLE(tenant_id uuid, task_id text, attempts integer, due_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN QUERY
    WITH ready AS MATERIALIZED (
        SELECT t.tenant_id, t.task_id
        FROM public.agent_task AS t
        WHERE t.queue = p_queue
            AND t.status = 'pending'
            AND greatest(t.due_at, t.lease_until) BETWEEN p_since AND statement_timestamp()
        ORDER BY greatest(t.due_at, t.lease_until)
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE public.agent_task AS claimed
    SET lease_owner = p_owner,
        lease_until = statement_timestamp() + p_lease,
        attempts = claimed.attempts + 1
    FROM ready
    WHERE claimed.tenant_id = ready.tenant_id AND claimed.task_id = ready.task_id
    RETURNING claimed.tenant_id, claimed.task_id, claimed.attempts, claimed.due_at;
END
$$;


ALTER FUNCTION public.claim_tasks(p_queue text, p_limit integer, p_lease interval, p_owner text, p_since timestamp with time zone) OWNER TO leo_task_claimer;

--
-- Name: FUNCTION claim_tasks(p_queue text, p_limit integer, p_lease interval, p_owner text, p_since timestamp with time zone); Type: COMMENT; Schema: public; Owner: leo_task_claimer
--

COMMENT ON FUNCTION public.claim_tasks(p_queue text, p_limit integer, p_lease interval, p_owner text, p_since timestamp with time zone) IS 'Leases up to p_limit pending and due tasks of a queue, of any tenant, oldest first. p_since is the caller''s low-water mark: it skips what was due before, and with it the dead entries at the front of the index';


--
-- Name: commit_ticks(uuid, uuid, integer[], pg_snapshot, xid8, text[], bigint[], bigint[], bigint[], bigint[], text[], bigint[], bigint[], bigint[], jsonb[], uuid[], text[], bigint[], bigint[], bigint[], timestamp with time zone[], boolean[], jsonb[], interval, uuid[], text[], bigint[], jsonb[]); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.commit_ticks(p_caller uuid, p_tenant_id uuid, p_shards integer[], p_seen pg_snapshot, p_own xid8, p_symbols text[], p_epochs bigint[], p_prices bigint[], p_previous bigint[], p_observed_us bigint[], p_feeds text[], p_sequences bigint[], p_volumes bigint[], p_days_ago bigint[], p_histories jsonb[], p_hit_tenants uuid[], p_hit_rules text[], p_hit_generations bigint[], p_hit_prices bigint[], p_hit_previous bigint[], p_hit_times timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval, p_watch_tenants uuid[], p_watch_rules text[], p_watch_generations bigint[], p_runtimes jsonb[]) RETURNS TABLE(seen text, xid text, tenant_id uuid, rule_id text, generation bigint, profile_id text, task_id text, source_event_id text, fired_at timestamp with time zone, attributes jsonb, silence_id text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
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


ALTER FUNCTION public.commit_ticks(p_caller uuid, p_tenant_id uuid, p_shards integer[], p_seen pg_snapshot, p_own xid8, p_symbols text[], p_epochs bigint[], p_prices bigint[], p_previous bigint[], p_observed_us bigint[], p_feeds text[], p_sequences bigint[], p_volumes bigint[], p_days_ago bigint[], p_histories jsonb[], p_hit_tenants uuid[], p_hit_rules text[], p_hit_generations bigint[], p_hit_prices bigint[], p_hit_previous bigint[], p_hit_times timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval, p_watch_tenants uuid[], p_watch_rules text[], p_watch_generations bigint[], p_runtimes jsonb[]) OWNER TO leo_owner;

--
-- Name: FUNCTION commit_ticks(p_caller uuid, p_tenant_id uuid, p_shards integer[], p_seen pg_snapshot, p_own xid8, p_symbols text[], p_epochs bigint[], p_prices bigint[], p_previous bigint[], p_observed_us bigint[], p_feeds text[], p_sequences bigint[], p_volumes bigint[], p_days_ago bigint[], p_histories jsonb[], p_hit_tenants uuid[], p_hit_rules text[], p_hit_generations bigint[], p_hit_prices bigint[], p_hit_previous bigint[], p_hit_times timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval, p_watch_tenants uuid[], p_watch_rules text[], p_watch_generations bigint[], p_runtimes jsonb[]); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.commit_ticks(p_caller uuid, p_tenant_id uuid, p_shards integer[], p_seen pg_snapshot, p_own xid8, p_symbols text[], p_epochs bigint[], p_prices bigint[], p_previous bigint[], p_observed_us bigint[], p_feeds text[], p_sequences bigint[], p_volumes bigint[], p_days_ago bigint[], p_histories jsonb[], p_hit_tenants uuid[], p_hit_rules text[], p_hit_generations bigint[], p_hit_prices bigint[], p_hit_previous bigint[], p_hit_times timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval, p_watch_tenants uuid[], p_watch_rules text[], p_watch_generations bigint[], p_runtimes jsonb[]) IS 'Writes what became of ticks: prices, firings, what rules remember. The first row holds the snapshot that was looked at and the transaction; the others the firings that were claimed. Where rules of these shards were changed by others since p_seen, nothing is written and that row is empty; p_seen NULL does not ask. LE008 where another epoch wrote one of the prices';


--
-- Name: detach_month(date, integer); Type: FUNCTION; Schema: public; Owner: leo_partition_maker
--

CREATE FUNCTION public.detach_month(p_month date, p_kept_months integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET lock_timeout TO '100ms'
    AS $$
DECLARE
    first_day constant date := date_trunc('month', p_month)::date;
    partition constant text := 'behavioral_events_' || to_char(first_day, 'YYYY_MM');
    detached constant text := partition || '_detached';
BEGIN
    PERFORM public.refuse_kept_month(first_day, p_kept_months);
    -- One session at a time, as in ensure_month; writers do not wait for this lock.
    LOCK TABLE public.behavioral_events IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('public.' || detached) IS NOT NULL OR NOT EXISTS (
        SELECT FROM pg_inherits
        WHERE inhparent = 'public.behavioral_events'::regclass AND inhrelid = to_regclass('public.' || partition)
    ) THEN
        RETURN false;
    END IF;
    -- Vacuum of the month is waited for here, while nobody waits for us.
    EXECUTE format('LOCK TABLE public.%I IN SHARE UPDATE EXCLUSIVE MODE', partition);
    EXECUTE format('ALTER TABLE public.behavioral_events DETACH PARTITION public.%I', partition);
    EXECUTE format('ALTER TABLE public.%I RENAME TO %I', partition, detached);
    RETURN true;
END
$$;


ALTER FUNCTION public.detach_month(p_month date, p_kept_months integer) OWNER TO leo_partition_maker;

--
-- Name: FUNCTION detach_month(p_month date, p_kept_months integer); Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON FUNCTION public.detach_month(p_month date, p_kept_months integer) IS 'Takes a month out of behavioral_events that is older than the present one and so many before it; its table stays as behavioral_events_<year>_<month>_detached. False when there is no such month, or its table is still there';


--
-- Name: drop_detached_month(date, integer); Type: FUNCTION; Schema: public; Owner: leo_partition_maker
--

CREATE FUNCTION public.drop_detached_month(p_month date, p_kept_months integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET lock_timeout TO '100ms'
    AS $$
DECLARE
    first_day constant date := date_trunc('month', p_month)::date;
    detached constant text := 'behavioral_events_' || to_char(first_day, 'YYYY_MM') || '_detached';
BEGIN
    PERFORM public.refuse_kept_month(first_day, p_kept_months);
    IF to_regclass('public.' || detached) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE public.%I', detached);
    RETURN true;
END
$$;


ALTER FUNCTION public.drop_detached_month(p_month date, p_kept_months integer) OWNER TO leo_partition_maker;

--
-- Name: FUNCTION drop_detached_month(p_month date, p_kept_months integer); Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON FUNCTION public.drop_detached_month(p_month date, p_kept_months integer) IS 'Drops the table of a month that detach_month took out; false when there is none';


--
-- Name: due_queues(); Type: FUNCTION; Schema: public; Owner: leo_task_claimer
--

CREATE FUNCTION public.due_queues() RETURNS TABLE(queue text, due_since timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
    WITH RECURSIVE queues (queue) AS (
        SELECT min(t.queue) FROM public.agent_task AS t WHERE t.status = 'pending'
        UNION ALL
        SELECT (SELECT min(t.queue) FROM public.agent_task AS t WHERE t.status = 'pending' AND t.queue > q.queue)
        FROM queues AS q
        WHERE q.queue IS NOT NULL
    )
    SELECT q.queue, first_task.due_since
    FROM queues AS q
    CROSS JOIN LATERAL (
        SELECT greatest(t.due_at, t.lease_until) AS due_since
        FROM public.agent_task AS t
        WHERE t.queue = q.queue
            AND t.status = 'pending'
            AND greatest(t.due_at, t.lease_until) <= statement_timestamp()
        ORDER BY greatest(t.due_at, t.lease_until)
        LIMIT 1
    ) AS first_task
$$;


ALTER FUNCTION public.due_queues() OWNER TO leo_task_claimer;

--
-- Name: FUNCTION due_queues(); Type: COMMENT; Schema: public; Owner: leo_task_claimer
--

COMMENT ON FUNCTION public.due_queues() IS 'The queues that hold claimable tasks, and since when the oldest of each waits';


--
-- Name: ensure_month(date); Type: FUNCTION; Schema: public; Owner: leo_partition_maker
--

CREATE FUNCTION public.ensure_month(p_month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
DECLARE
    first_day constant date := date_trunc('month', p_month)::date;
    last_month constant date := date_trunc('month', now() + interval '1 day' + interval '3 months')::date;
    partition constant text := 'behavioral_events_' || to_char(first_day, 'YYYY_MM');
BEGIN
    IF p_month IS NULL OR first_day < '1990-01-01' OR first_day > last_month THEN
        RAISE EXCEPTION 'no month of events before 1990, nor more than three months ahead'
            USING ERRCODE = 'datetime_field_overflow';
    END IF;
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- One session at a time; writers of events do not wait for this lock. It also makes the catalogue current,
    -- which an advisory lock would not: another session may have made the month while this one waited.
    LOCK TABLE public.behavioral_events IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'CREATE TABLE public.%I (LIKE public.behavioral_events'
        ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE)'
        ' WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02)',
        partition
    );
    PERFORM public.leo_isolate(('public.' || partition)::regclass);
    PERFORM public.leo_append_only(('public.' || partition)::regclass);
    EXECUTE format(
        'ALTER TABLE public.behavioral_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        partition, first_day::timestamptz, (first_day + interval '1 month')::timestamptz
    );
    RETURN true;
END
$$;


ALTER FUNCTION public.ensure_month(p_month date) OWNER TO leo_partition_maker;

--
-- Name: FUNCTION ensure_month(p_month date); Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON FUNCTION public.ensure_month(p_month date) IS 'Makes the partition of behavioral_events (UTC month) that holds a day, isolated and append-only like its parent; true when it was missing. From 1990 to three months ahead';


--
-- Name: erase_profile(text, text, text, text[], integer); Type: FUNCTION; Schema: public; Owner: leo_eraser
--

CREATE FUNCTION public.erase_profile(p_profile_id text, p_asked_by text, p_reason text, p_names text[], p_rows integer) RETURNS TABLE(task_id text, erased_at timestamp with time zone, complete boolean, counts jsonb)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    tenant constant uuid := nullif(current_setting('app.current_tenant_id', true), '')::uuid;
    audit text;
    erased timestamptz;
    now_counts jsonb;
    ended boolean;
BEGIN
    IF coalesce(p_rows, 0) < 1 OR coalesce(p_reason, '') = '' OR coalesce(p_asked_by, '') = '' THEN
        RAISE EXCEPTION 'an erasure names who asked, why, and how many rows at a time'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF tenant IS NULL OR p_profile_id IS NULL THEN
        RETURN;
    END IF;
    audit := public.leo_key_id('erasure', tenant, p_profile_id);
    SELECT p.erased_at INTO erased
    FROM public.cdp_profiles AS p
    WHERE p.tenant_id = tenant AND p.profile_id = p_profile_id;
    IF erased IS NULL THEN
        -- Tasks first, as whoever ends a delivery takes them.
        PERFORM public.cancel_erased_tasks(tenant, p_profile_id);
        INSERT INTO public.cdp_profiles (tenant_id, profile_id)
        SELECT tenant, p_profile_id
        WHERE EXISTS (
            SELECT FROM public.agent_task AS t WHERE t.profile_id = p_profile_id AND t.tenant_id = tenant
        ) OR EXISTS (
            SELECT FROM public.behavioral_events AS e WHERE e.profile_id = p_profile_id AND e.tenant_id = tenant
        )
        ON CONFLICT DO NOTHING;
        SELECT p.erased_at INTO erased
        FROM public.cdp_profiles AS p
        WHERE p.tenant_id = tenant AND p.profile_id = p_profile_id
        FOR UPDATE;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        IF erased IS NULL THEN
            now_counts := public.begin_erasure(tenant, p_profile_id, p_names);
            INSERT INTO public.agent_task (
                tenant_id, task_id, agent_name, task_type, profile_id, event_type, reasoning_summary, inputs, result,
                status, queue, due_at, decided_at
            )
            VALUES (
                tenant, audit, 'eraser', 'evaluate', p_profile_id, 'profile.erased', p_reason,
                jsonb_build_object('asked_by', p_asked_by), now_counts, 'pending', 'erasures',
                now() + interval '1 minute', now()
            );
        END IF;
        -- Whoever was first has begun; what this call took of the tasks it gives back before it waits for writers, who
        -- may be waiting for it.
        RETURN QUERY SELECT audit, coalesce(erased, now()), false, coalesce(now_counts, '{}');
        RETURN;
    END IF;
    PERFORM public.leo_await_writers(ARRAY[
        'public.agent_task', 'public.delivery_log', 'public.behavioral_events', 'public.activation_outcomes',
        'public.alert_rules', 'public.segment_snapshot'
    ]::regclass[]);
    PERFORM public.cancel_erased_tasks(tenant, p_profile_id);
    now_counts := public.redact_rows(tenant, p_profile_id, p_rows);
    ended := NOT EXISTS (SELECT FROM jsonb_each_text(now_counts) AS c WHERE c.value::bigint >= p_rows);
    UPDATE public.agent_task AS t
    SET result = t.result || (
            SELECT jsonb_object_agg(c.key, c.value::bigint + coalesce((t.result ->> c.key)::bigint, 0))
            FROM jsonb_each_text(now_counts) AS c
        ),
        status = CASE WHEN ended THEN 'completed' ELSE t.status END,
        due_at = now() + interval '1 minute'
    WHERE t.tenant_id = tenant AND t.task_id = audit
    RETURNING t.result INTO now_counts;
    RETURN QUERY SELECT audit, erased, ended, now_counts;
END
$$;


ALTER FUNCTION public.erase_profile(p_profile_id text, p_asked_by text, p_reason text, p_names text[], p_rows integer) OWNER TO leo_eraser;

--
-- Name: FUNCTION erase_profile(p_profile_id text, p_asked_by text, p_reason text, p_names text[], p_rows integer); Type: COMMENT; Schema: public; Owner: leo_eraser
--

COMMENT ON FUNCTION public.erase_profile(p_profile_id text, p_asked_by text, p_reason text, p_names text[], p_rows integer) IS 'Redacts what is personal about one profile of the tenant in context. The first call makes the profile a stub, cancels what is pending and records who asked, and why; each further one, in a transaction of its own, redacts about so many rows of each table, until it is complete. No row when there is no such profile';


--
-- Name: expire_alert_rules(integer); Type: FUNCTION; Schema: public; Owner: leo_alert_keeper
--

CREATE FUNCTION public.expire_alert_rules(p_limit integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
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


ALTER FUNCTION public.expire_alert_rules(p_limit integer) OWNER TO leo_alert_keeper;

--
-- Name: FUNCTION expire_alert_rules(p_limit integer); Type: COMMENT; Schema: public; Owner: leo_alert_keeper
--

COMMENT ON FUNCTION public.expire_alert_rules(p_limit integer) IS 'Ends up to p_limit active rules, of every tenant, whose expires_at is past; answers how many';


--
-- Name: fire_alert_rules(uuid[], text[], bigint[], bigint[], bigint[], timestamp with time zone[], boolean[], jsonb[], interval); Type: FUNCTION; Schema: public; Owner: leo_alert_keeper
--

CREATE FUNCTION public.fire_alert_rules(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_prices bigint[], p_previous bigint[], p_fired_at timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval) RETURNS TABLE(tenant_id uuid, rule_id text, generation bigint, profile_id text, task_id text, source_event_id text, fired_at timestamp with time zone, attributes jsonb, silence_id text)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
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


ALTER FUNCTION public.fire_alert_rules(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_prices bigint[], p_previous bigint[], p_fired_at timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval) OWNER TO leo_alert_keeper;

--
-- Name: FUNCTION fire_alert_rules(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_prices bigint[], p_previous bigint[], p_fired_at timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval); Type: COMMENT; Schema: public; Owner: leo_alert_keeper
--

COMMENT ON FUNCTION public.fire_alert_rules(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_prices bigint[], p_previous bigint[], p_fired_at timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval) IS 'Claims firings: each rule that is active in the earliest generation named for it becomes TRIGGERED, or, where it re-arms, goes on after the latest one; a task of queue ''alerts'' records each firing with the news beside it. The task is pending, due after p_grace, and asks for a decision, or, where a silence is in force, it is SILENCED. Answers those that were claimed';


--
-- Name: forget_receipts(text[]); Type: FUNCTION; Schema: public; Owner: leo_eraser
--

CREATE FUNCTION public.forget_receipts(p_task_ids text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    UPDATE public.agent_task AS t
    SET inputs = '{}'
    WHERE t.tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid)
        AND t.task_id = ANY (p_task_ids) AND t.queue = 'receipts' AND t.status <> 'pending'
$$;


ALTER FUNCTION public.forget_receipts(p_task_ids text[]) OWNER TO leo_eraser;

--
-- Name: FUNCTION forget_receipts(p_task_ids text[]); Type: COMMENT; Schema: public; Owner: leo_eraser
--

COMMENT ON FUNCTION public.forget_receipts(p_task_ids text[]) IS 'Empties receipts that were kept aside and have ended: a provider''s id of a message may hold a number';


--
-- Name: gather_digest(uuid, text[], text); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.gather_digest(p_tenant uuid, p_task_ids text[], p_owner text) RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    alerts record;
    held_until timestamptz;
BEGIN
    FOR alerts IN
        SELECT
            hashtextextended(jsonb_build_array(p_tenant, profile_id, queue, marketing_event_id, due_us)::text, 4714) AS lock,
            profile_id, queue, marketing_event_id, due_us
        FROM (
            SELECT DISTINCT mine.profile_id, mine.queue, mine.marketing_event_id, mine.result ->> 'due_us' AS due_us
            FROM agent_task AS mine
            WHERE mine.tenant_id = p_tenant AND mine.task_id = ANY(p_task_ids)
        ) AS given
        ORDER BY lock
    LOOP
        PERFORM pg_advisory_xact_lock(alerts.lock);
        SELECT max(mine.lease_until) INTO held_until
        FROM agent_task AS mine
        WHERE
            mine.tenant_id = p_tenant
            AND mine.task_id = ANY(p_task_ids)
            AND mine.lease_owner = p_owner
            AND mine.status = 'pending'
            AND mine.profile_id = alerts.profile_id
            AND mine.queue = alerts.queue
            AND mine.marketing_event_id = alerts.marketing_event_id
            AND mine.result ->> 'due_us' = alerts.due_us;
        CONTINUE WHEN held_until IS NULL;
        RETURN QUERY
        WITH sibling AS (
            SELECT task.task_id
            FROM agent_task AS task
            WHERE
                task.profile_id = alerts.profile_id
                AND task.tenant_id = p_tenant
                AND task.outcome = 'send'
                AND task.status = 'pending'
                AND task.event_type = 'alert.fired'
                AND task.queue = alerts.queue
                AND task.marketing_event_id = alerts.marketing_event_id
                AND task.result ->> 'due_us' = alerts.due_us
                AND task.due_at <= clock_timestamp()
                AND (task.lease_owner = p_owner OR NOT EXISTS (
                    SELECT
                    FROM delivery_log AS begun
                    WHERE
                        begun.task_id = task.task_id
                        AND begun.tenant_id = p_tenant
                        AND begun.delivery_status = 'sending'
                        AND begun.provider_response ->> 'claim' = task.lease_owner
                        AND task.lease_until > clock_timestamp()
                        AND NOT EXISTS (
                            SELECT
                            FROM delivery_log AS answer
                            WHERE
                                answer.task_id = begun.task_id
                                AND answer.tenant_id = p_tenant
                                AND answer.delivery_key = begun.delivery_key
                                AND answer.series = begun.series
                                AND answer.attempt = begun.attempt
                                AND answer.delivery_status <> 'sending'
                        )
                ))
            ORDER BY task.task_id
            -- One that is being claimed at this moment is waited for, or it would go out alone.
            FOR NO KEY UPDATE OF task
        )
        UPDATE agent_task AS task
        SET lease_owner = p_owner, lease_until = held_until
        FROM sibling
        WHERE task.tenant_id = p_tenant AND task.task_id = sibling.task_id
        RETURNING task.task_id;
    END LOOP;
END
$$;


ALTER FUNCTION public.gather_digest(p_tenant uuid, p_task_ids text[], p_owner text) OWNER TO leo_owner;

--
-- Name: FUNCTION gather_digest(p_tenant uuid, p_task_ids text[], p_owner text); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.gather_digest(p_tenant uuid, p_task_ids text[], p_owner text) IS 'Takes over the pending alerts of the same profile, queue, marketing event and due time as these tasks; all that the caller now owns of them comes back';


--
-- Name: guard_tenant_metadata(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.guard_tenant_metadata() RETURNS trigger
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


ALTER FUNCTION public.guard_tenant_metadata() OWNER TO leo_owner;

--
-- Name: FUNCTION guard_tenant_metadata(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.guard_tenant_metadata() IS 'Keeps stored channel credentials whatever a writer other than store_credential sends; bumps definitions_version';


--
-- Name: keep_experiment_comparable(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.keep_experiment_comparable() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF NEW.status <> OLD.status THEN
        NEW.status_changed_at := now();
    END IF;
    IF OLD.status = 'draft' THEN
        RETURN NEW;
    END IF;
    IF NEW.status <> 'draft'
        AND (
            OLD.status <> 'completed'
            OR (NEW.status, NEW.variants, NEW.holdout_fraction, NEW.start_at, NEW.end_at) IS NOT DISTINCT FROM
               (OLD.status, OLD.variants, OLD.holdout_fraction, OLD.start_at, OLD.end_at)
        )
        AND (NEW.campaign_id, NEW.event_name, NEW.allocation, NEW.seed, NEW.attribution_window_seconds)
            IS NOT DISTINCT FROM
            (OLD.campaign_id, OLD.event_name, OLD.allocation, OLD.seed, OLD.attribution_window_seconds)
        AND NEW.conversion_event_type IS NOT DISTINCT FROM OLD.conversion_event_type
        AND NOT EXISTS (
            SELECT before ->> 'name', before ->> 'template_name'
            FROM jsonb_array_elements(OLD.variants) AS old_variant (before)
            EXCEPT
            SELECT after ->> 'name', after ->> 'template_name'
            FROM jsonb_array_elements(NEW.variants) AS new_variant (after)
        )
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'what an experiment has measured would no longer be comparable'
        USING ERRCODE = 'LE006',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME,
            CONSTRAINT = TG_NAME,
            HINT = 'Change weights, add a variant, or complete this experiment and begin another one.';
END
$$;


ALTER FUNCTION public.keep_experiment_comparable() OWNER TO leo_owner;

--
-- Name: FUNCTION keep_experiment_comparable(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.keep_experiment_comparable() IS 'Refuses changes of what an experiment measures once it left draft, and a way back out of completed (LE006)';


--
-- Name: keep_vector_signs(); Type: FUNCTION; Schema: public; Owner: leo_task_claimer
--

CREATE FUNCTION public.keep_vector_signs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    IF NEW.interest_embedding IS NULL THEN
        UPDATE public.embedding_job
        SET vector_signs = NULL
        WHERE tenant_id = NEW.tenant_id AND entity_type = 'profile_vector' AND entity_id = NEW.profile_id;
    ELSE
        INSERT INTO public.embedding_job (tenant_id, entity_type, entity_id, status, vector_signs)
        VALUES (
            NEW.tenant_id, 'profile_vector', NEW.profile_id, 'completed',
            binary_quantize(NEW.interest_embedding)::bit(1536)
        )
        ON CONFLICT (tenant_id, entity_type, entity_id) DO UPDATE SET vector_signs = EXCLUDED.vector_signs;
    END IF;
    RETURN NULL;
END
$$;


ALTER FUNCTION public.keep_vector_signs() OWNER TO leo_task_claimer;

--
-- Name: FUNCTION keep_vector_signs(); Type: COMMENT; Schema: public; Owner: leo_task_claimer
--

COMMENT ON FUNCTION public.keep_vector_signs() IS 'Keeps embedding_job.vector_signs what the vector of the profile is';


--
-- Name: leo_append_only(regclass); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_append_only(target regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s'
        ' FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite()',
        target
    );
END
$$;


ALTER FUNCTION public.leo_append_only(target regclass) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_append_only(target regclass); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_append_only(target regclass) IS 'Makes a table or partition append-only';


--
-- Name: leo_audience_block(bigint); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_audience_block(place bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((place - 1) / 10000);


ALTER FUNCTION public.leo_audience_block(place bigint) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_audience_block(place bigint); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_audience_block(place bigint) IS 'Which block of an audience the member at this place is in, counted from 1 in code-point order: 10,000 each';


--
-- Name: leo_audience_digest(text); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_audience_digest(members text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN encode(sha256(convert_to(COALESCE(members, ''::text), 'UTF8'::name)), 'hex'::text);


ALTER FUNCTION public.leo_audience_digest(members text) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_audience_digest(members text); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_audience_digest(members text) IS 'Lower-case hex SHA-256 over what all members add, in code-point order; NULL stands for an audience of nobody';


--
-- Name: leo_audience_member(text); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_audience_member(profile_id text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((octet_length(profile_id))::text || ':'::text) || profile_id);


ALTER FUNCTION public.leo_audience_member(profile_id text) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_audience_member(profile_id text); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_audience_member(profile_id text) IS 'What one member adds to the hash of an audience: <length in bytes>:<UTF-8 bytes>';


--
-- Name: leo_audience_of_blocks(text[]); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_audience_of_blocks(digests text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE COALESCE(cardinality(digests), 0) WHEN 0 THEN public.leo_audience_digest(''::text) WHEN 1 THEN (digests)[1] ELSE public.leo_audience_digest(('blocks:'::text || array_to_string(digests, ''::text))) END;


ALTER FUNCTION public.leo_audience_of_blocks(digests text[]) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_audience_of_blocks(digests text[]); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_audience_of_blocks(digests text[]) IS 'The hash of an audience from those of its blocks: that of a single one, else over "blocks:" and all of them';


--
-- Name: leo_audience_sha256(text[]); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_audience_sha256(profile_ids text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT public.leo_audience_of_blocks(array_agg(digest ORDER BY block))
    FROM (
        SELECT
            block,
            public.leo_audience_digest(
                string_agg(public.leo_audience_member(profile_id), '' ORDER BY profile_id)
            ) AS digest
        FROM (
            SELECT
                profile_id,
                public.leo_audience_block(row_number() OVER (ORDER BY profile_id)) AS block
            FROM (SELECT DISTINCT member COLLATE "C" AS profile_id FROM unnest(profile_ids) AS member) AS audience
        ) AS placed
        GROUP BY block
    ) AS blocks
$$;


ALTER FUNCTION public.leo_audience_sha256(profile_ids text[]) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_audience_sha256(profile_ids text[]); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_audience_sha256(profile_ids text[]) IS 'Hash of the distinct members in code-point order, in blocks of 10,000: lower-case hex SHA-256';


--
-- Name: leo_await_writers(regclass[]); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_await_writers(p_tables regclass[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    writers constant text[] := ARRAY(
        SELECT DISTINCT l.virtualtransaction
        FROM pg_locks AS l
        WHERE l.locktype = 'relation'
            AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
            AND l.relation = ANY (p_tables)
            AND l.mode = 'RowExclusiveLock'
            AND l.granted
            AND l.pid <> pg_backend_pid()
    );
BEGIN
    WHILE EXISTS (
        SELECT FROM pg_locks AS l WHERE l.locktype = 'virtualxid' AND l.virtualtransaction = ANY (writers)
    ) LOOP
        PERFORM pg_sleep(0.005);
    END LOOP;
END
$$;


ALTER FUNCTION public.leo_await_writers(p_tables regclass[]) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_await_writers(p_tables regclass[]); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_await_writers(p_tables regclass[]) IS 'Waits until every transaction has ended that writes one of these tables now';


--
-- Name: leo_content_id(text, uuid, jsonb); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_content_id(kind text, tenant_id uuid, content jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN public.leo_key_id(kind, tenant_id, content::text);
END
$$;


ALTER FUNCTION public.leo_content_id(kind text, tenant_id uuid, content jsonb) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_content_id(kind text, tenant_id uuid, content jsonb); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_content_id(kind text, tenant_id uuid, content jsonb) IS 'leo_key_id over the canonical JSON of a document';


--
-- Name: leo_delivery_rank(text); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_delivery_rank(delivery_status text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE delivery_status
        WHEN 'queued' THEN 0
        WHEN 'sending' THEN 1
        WHEN 'deferred' THEN 1
        WHEN 'unknown' THEN 2
        WHEN 'suppressed' THEN 3
        WHEN 'cancelled' THEN 4
        WHEN 'expired' THEN 5
        WHEN 'failed' THEN 6
        WHEN 'sent' THEN 7
        WHEN 'delivered' THEN 8
        WHEN 'bounced' THEN 9
        WHEN 'read' THEN 10
    END
$$;


ALTER FUNCTION public.leo_delivery_rank(delivery_status text) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_delivery_rank(delivery_status text); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_delivery_rank(delivery_status text) IS 'How far a delivery has come: the row of the highest rank is its status';


--
-- Name: leo_delivery_standing(integer, text); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_delivery_standing(series integer, delivery_status text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE
        WHEN leo_delivery_rank(delivery_status) >= 7 THEN 1000000000000 + leo_delivery_rank(delivery_status)
        ELSE series::bigint * 16 + leo_delivery_rank(delivery_status)
    END
$$;


ALTER FUNCTION public.leo_delivery_standing(series integer, delivery_status text) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_delivery_standing(series integer, delivery_status text); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_delivery_standing(series integer, delivery_status text) IS 'How far a delivery has come over its series of attempts: the row of the highest standing is its status';


--
-- Name: leo_freeze_members(uuid, text, text[]); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_freeze_members(p_tenant_id uuid, p_snapshot_id text, p_profile_ids text[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    at_once CONSTANT integer := 500;
BEGIN
    FOR place IN 1 .. cardinality(p_profile_ids) BY at_once LOOP
        INSERT INTO segment_snapshot_member (tenant_id, snapshot_id, profile_id)
        SELECT p_tenant_id, p_snapshot_id, unnest(p_profile_ids[place : place + at_once - 1]);
        PERFORM leo_give_way();
    END LOOP;
    RETURN cardinality(p_profile_ids);
END
$$;


ALTER FUNCTION public.leo_freeze_members(p_tenant_id uuid, p_snapshot_id text, p_profile_ids text[]) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_freeze_members(p_tenant_id uuid, p_snapshot_id text, p_profile_ids text[]); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_freeze_members(p_tenant_id uuid, p_snapshot_id text, p_profile_ids text[]) IS 'Writes members of a snapshot with the caller''s rights; how many';


--
-- Name: leo_give_way(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_give_way() RETURNS boolean
    LANGUAGE plpgsql COST 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    rested timestamptz := coalesce(
        nullif(current_setting('leo.rested_at', TRUE), ''), transaction_timestamp()::text
    )::timestamptz;
    worked interval := clock_timestamp() - rested;
BEGIN
    IF worked < interval '4 ms' OR clock_timestamp() > transaction_timestamp() + interval '1 minute' THEN
        RETURN TRUE;
    END IF;
    PERFORM pg_stat_clear_snapshot();
    IF EXISTS (
        SELECT FROM pg_stat_activity
        WHERE
            pid <> pg_backend_pid()
            AND (state = 'active' OR state_change > clock_timestamp() - interval '20 ms')
    ) THEN
        PERFORM pg_sleep_for(least(worked, interval '10 ms'));
    END IF;
    PERFORM set_config('leo.rested_at', clock_timestamp()::text, TRUE);
    RETURN TRUE;
END
$$;


ALTER FUNCTION public.leo_give_way() OWNER TO leo_owner;

--
-- Name: FUNCTION leo_give_way(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_give_way() IS 'Called often by long statements: while other sessions of this role are at work, rests as long as it worked, 10 ms at most; not after the transaction''s first minute. Always true';


--
-- Name: leo_isolate(regclass); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_isolate(target regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target);
    EXECUTE format(
        $policy$
        CREATE POLICY tenant_isolation ON %s
            USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid))
            WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid))
        $policy$,
        target
    );
END
$_$;


ALTER FUNCTION public.leo_isolate(target regclass) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_isolate(target regclass); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_isolate(target regclass) IS 'Enables and forces row-level security on a tenant table or partition; without a tenant in context it shows no row';


--
-- Name: leo_key_id(text, uuid, text[]); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_key_id(kind text, tenant_id uuid, VARIADIC parts text[] DEFAULT '{}'::text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    material text := '';
    part text;
BEGIN
    FOREACH part IN ARRAY ARRAY[kind, tenant_id::text] || parts
    LOOP
        IF part IS NULL THEN
            RAISE EXCEPTION 'an id has no part that is null' USING ERRCODE = 'null_value_not_allowed';
        END IF;
        material := material || octet_length(part) || ':' || part;
    END LOOP;
    RETURN encode(sha256(convert_to(material, 'UTF8')), 'hex');
END
$$;


ALTER FUNCTION public.leo_key_id(kind text, tenant_id uuid, VARIADIC parts text[]) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_key_id(kind text, tenant_id uuid, VARIADIC parts text[]); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_key_id(kind text, tenant_id uuid, VARIADIC parts text[]) IS 'Lower-case hex SHA-256 over kind, tenant and parts, each as <length in bytes>:<UTF-8 bytes>';


--
-- Name: leo_mutable(regclass); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_mutable(target regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER set_updated_at BEFORE UPDATE ON %s'
        ' FOR EACH ROW EXECUTE FUNCTION public.update_timestamp()',
        target
    );
END
$$;


ALTER FUNCTION public.leo_mutable(target regclass) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_mutable(target regclass); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_mutable(target regclass) IS 'Lets update_timestamp() keep updated_at of a table and its partitions';


--
-- Name: leo_relevant_news(uuid, text, timestamp with time zone, integer); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_relevant_news(p_tenant_id uuid, p_symbol text, p_at timestamp with time zone, p_limit integer) RETURNS TABLE(news_id bigint, title text, source_name text, source_url text, published_at timestamp with time zone, sentiment_score numeric)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
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


ALTER FUNCTION public.leo_relevant_news(p_tenant_id uuid, p_symbol text, p_at timestamp with time zone, p_limit integer) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_relevant_news(p_tenant_id uuid, p_symbol text, p_at timestamp with time zone, p_limit integer); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_relevant_news(p_tenant_id uuid, p_symbol text, p_at timestamp with time zone, p_limit integer) IS 'The newest news about a symbol that a tenant may see, its own and global ones, of the 7 UTC days that end with p_at';


--
-- Name: leo_search_text(text); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_search_text(p_text text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT translate(
        regexp_replace(normalize(p_text, NFKD), '[\u0300-\u036f]', '', 'g'), 'đĐøØłŁħĦıŧŦ', 'dDoOlLhHitT'
    )
$$;


ALTER FUNCTION public.leo_search_text(p_text text) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_search_text(p_text text); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_search_text(p_text text) IS 'The text in its compatibility form and without diacritics: what full-text search compares';


--
-- Name: leo_sound_variants(jsonb); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_sound_variants(variants jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    SELECT count(*) BETWEEN 1 AND 10
        AND count(DISTINCT variant ->> 'name') = count(*)
        AND bool_and(coalesce(
            jsonb_typeof(variant -> 'name') = 'string'
            AND variant ->> 'name' NOT IN ('', 'holdout')
            AND jsonb_typeof(variant -> 'weight') = 'number'
            AND variant ->> 'weight' ~ '^[0-9]{1,7}$'
            AND jsonb_typeof(variant -> 'template_name') IN ('string', 'null')
            AND variant ->> 'template_name' IS DISTINCT FROM '',
            false
        ))
        AND bool_or(variant ->> 'weight' <> '0')
    FROM jsonb_array_elements(variants) AS listed (variant)
$_$;


ALTER FUNCTION public.leo_sound_variants(variants jsonb) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_sound_variants(variants jsonb); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_sound_variants(variants jsonb) IS 'Whether decisions can draw from these: 1 to 10 variants, names of their own, whole weights that are not all 0';


--
-- Name: leo_symbol_days(text[], timestamp with time zone); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_symbol_days(p_symbols text[], p_at timestamp with time zone) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT coalesce(array_agg(symbol || '@' || floor(extract(epoch FROM p_at) / 86400)::bigint), '{}')
    FROM unnest(p_symbols) AS symbol
$$;


ALTER FUNCTION public.leo_symbol_days(p_symbols text[], p_at timestamp with time zone) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_symbol_days(p_symbols text[], p_at timestamp with time zone); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_symbol_days(p_symbols text[], p_at timestamp with time zone) IS 'Each symbol with the number of the UTC day: what news_feed.symbol_days holds';


--
-- Name: leo_symbol_days_until(text, timestamp with time zone, integer); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_symbol_days_until(p_symbol text, p_at timestamp with time zone, p_days integer) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT array_agg(p_symbol || '@' || (floor(extract(epoch FROM p_at) / 86400)::bigint - back))
    FROM generate_series(0, p_days - 1) AS back
$$;


ALTER FUNCTION public.leo_symbol_days_until(p_symbol text, p_at timestamp with time zone, p_days integer) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_symbol_days_until(p_symbol text, p_at timestamp with time zone, p_days integer); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_symbol_days_until(p_symbol text, p_at timestamp with time zone, p_days integer) IS 'The symbol on each of p_days UTC days, the last of which holds p_at: for symbol_days && …';


--
-- Name: leo_symbol_shard(text); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.leo_symbol_shard(symbol text) RETURNS smallint
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN get_byte(sha256(convert_to(symbol, 'UTF8')), 0) & 63;
END
$$;


ALTER FUNCTION public.leo_symbol_shard(symbol text) OWNER TO leo_owner;

--
-- Name: FUNCTION leo_symbol_shard(symbol text); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.leo_symbol_shard(symbol text) IS 'Shard of a symbol, 0 to 63: the low six bits of its first SHA-256 byte';


--
-- Name: list_tenants(); Type: FUNCTION; Schema: public; Owner: leo_tenant_lister
--

CREATE FUNCTION public.list_tenants() RETURNS TABLE(tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT t.tenant_id FROM public.tenant AS t WHERE t.status = 'active' ORDER BY t.tenant_id
$$;


ALTER FUNCTION public.list_tenants() OWNER TO leo_tenant_lister;

--
-- Name: FUNCTION list_tenants(); Type: COMMENT; Schema: public; Owner: leo_tenant_lister
--

COMMENT ON FUNCTION public.list_tenants() IS 'The ids of all active tenants, for work that visits each';


--
-- Name: load_alert_rules(integer, uuid, text, integer); Type: FUNCTION; Schema: public; Owner: leo_rule_loader
--

CREATE FUNCTION public.load_alert_rules(p_shard integer, p_after_tenant_id uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid, p_after_rule_id text DEFAULT ''::text, p_limit integer DEFAULT 10000) RETURNS TABLE(tenant_id uuid, rule_id text, symbol text, own_instrument boolean, operator text, direction text, price_nanos bigint, generation bigint, active boolean, details jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
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


ALTER FUNCTION public.load_alert_rules(p_shard integer, p_after_tenant_id uuid, p_after_rule_id text, p_limit integer) OWNER TO leo_rule_loader;

--
-- Name: FUNCTION load_alert_rules(p_shard integer, p_after_tenant_id uuid, p_after_rule_id text, p_limit integer); Type: COMMENT; Schema: public; Owner: leo_rule_loader
--

COMMENT ON FUNCTION public.load_alert_rules(p_shard integer, p_after_tenant_id uuid, p_after_rule_id text, p_limit integer) IS 'One page of the active rules of a shard (0 to 63), of every tenant, after the last row of the page before';


--
-- Name: load_decisions(jsonb); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.load_decisions(batches jsonb) RETURNS TABLE(epoch bigint, definitions_version bigint, task_id text, source_event_id text, input_sha256 text, outcome text, reason_code text, reasoning_summary text, reasoning_trace jsonb, marketing_event_id text, result jsonb, decided_at timestamp with time zone, profile_id text, has_email boolean, has_mobile_number boolean, channel_addresses jsonb, segments jsonb, raw_attributes jsonb, time_zone text, ext_id text, identities jsonb, primary_email public.citext, mobile_number text, living_location text, latitude double precision, longitude double precision, job_titles jsonb, interests jsonb, data_labels jsonb, portfolio_snapshot jsonb, portfolio_risk_score numeric, source_updated_at timestamp with time zone, created_at timestamp with time zone, language text, consented text[], sends jsonb)
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
DECLARE
    the_epoch bigint;
    batch jsonb;
    of_tenant uuid;
    wanted_columns text[];
BEGIN
    PERFORM pg_advisory_xact_lock_shared(4711, 1);
    SELECT last_value INTO the_epoch FROM reservation_epoch;
    FOR batch IN SELECT element FROM jsonb_array_elements(batches) AS element
    LOOP
        of_tenant := batch ->> 'tenant_id';
        wanted_columns := ARRAY(SELECT jsonb_array_elements_text(batch -> 'profile_columns'));
        PERFORM set_config('app.current_tenant_id', of_tenant::text, true);
        RETURN QUERY
        SELECT
            the_epoch,
            (SELECT tenant.definitions_version FROM tenant WHERE tenant.tenant_id = of_tenant),
            task.task_id,
            task.source_event_id,
            task.input_sha256,
            task.outcome,
            task.reason_code,
            task.reasoning_summary,
            task.reasoning_trace,
            task.marketing_event_id,
            task.result,
            task.decided_at,
            profile.profile_id,
            profile.primary_email IS NOT NULL,
            profile.mobile_number IS NOT NULL,
            profile.channel_addresses,
            profile.segments,
            profile.raw_attributes,
            profile.time_zone,
            CASE WHEN 'ext_id' = ANY(wanted_columns) THEN profile.ext_id END,
            CASE WHEN 'identities' = ANY(wanted_columns) THEN profile.identities END,
            CASE WHEN 'primary_email' = ANY(wanted_columns) THEN profile.primary_email END,
            CASE WHEN 'mobile_number' = ANY(wanted_columns) THEN profile.mobile_number END,
            CASE WHEN 'living_location' = ANY(wanted_columns) THEN profile.living_location END,
            CASE WHEN 'latitude' = ANY(wanted_columns) THEN profile.latitude END,
            CASE WHEN 'longitude' = ANY(wanted_columns) THEN profile.longitude END,
            CASE WHEN 'job_titles' = ANY(wanted_columns) THEN profile.job_titles END,
            CASE WHEN 'interests' = ANY(wanted_columns) THEN profile.interests END,
            CASE WHEN 'data_labels' = ANY(wanted_columns) THEN profile.data_labels END,
            CASE WHEN 'portfolio_snapshot' = ANY(wanted_columns) THEN profile.portfolio_snapshot END,
            CASE WHEN 'portfolio_risk_score' = ANY(wanted_columns) THEN profile.portfolio_risk_score END,
            CASE WHEN 'source_updated_at' = ANY(wanted_columns) THEN profile.source_updated_at END,
            CASE WHEN 'created_at' = ANY(wanted_columns) THEN profile.created_at END,
            CASE WHEN 'language' = ANY(wanted_columns) THEN profile.language END,
            consent.channels,
            sent.sends
        FROM ROWS FROM (
            jsonb_array_elements_text(batch -> 'profile_id'),
            jsonb_array_elements_text(batch -> 'task_id'),
            jsonb_array_elements_text(batch -> 'sends_from')
        ) WITH ORDINALITY AS wanted (profile_id, task_id, sends_from, position)
        LEFT JOIN LATERAL (
            SELECT * FROM cdp_profiles
            WHERE
                cdp_profiles.tenant_id = of_tenant
                AND cdp_profiles.profile_id = wanted.profile_id
                AND cdp_profiles.erased_at IS NULL
            LIMIT 1
        ) AS profile ON TRUE
        LEFT JOIN LATERAL (
            SELECT * FROM agent_task
            WHERE agent_task.tenant_id = of_tenant AND agent_task.task_id = wanted.task_id
            LIMIT 1
        ) AS task ON TRUE
        LEFT JOIN LATERAL (
            SELECT array_agg(consent_management.channel) AS channels
            FROM consent_management
            WHERE
                consent_management.tenant_id = of_tenant
                AND consent_management.profile_id = wanted.profile_id
                AND consent_management.status = 'granted'
                AND (consent_management.expires_at IS NULL OR consent_management.expires_at > now())
        ) AS consent ON TRUE
        LEFT JOIN LATERAL (
            SELECT jsonb_agg(jsonb_build_array(
                (extract(epoch FROM send.occurred_at) * 1000000)::bigint,
                send.task_id, send.campaign_id, definition.event_name, send.queue, definition.topic
            )) AS sends
            FROM (
                SELECT * FROM agent_task
                WHERE
                    agent_task.profile_id = wanted.profile_id
                    AND agent_task.tenant_id = of_tenant
                    AND agent_task.outcome = 'send'
                    AND agent_task.occurred_at > wanted.sends_from::timestamptz
                OFFSET 0
            ) AS send
            JOIN marketing_event AS definition
                ON definition.tenant_id = of_tenant AND definition.marketing_event_id = send.marketing_event_id
        ) AS sent ON TRUE
        ORDER BY wanted.position;
    END LOOP;
END
$$;


ALTER FUNCTION public.load_decisions(batches jsonb) OWNER TO leo_owner;

--
-- Name: FUNCTION load_decisions(batches jsonb); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.load_decisions(batches jsonb) IS 'All that decides on events of any number of tenants, a row for each event, and the reservation epoch in force';


--
-- Name: note_rule_change(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.note_rule_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.changed_xid := pg_current_xact_id();
    RETURN NEW;
END
$$;


ALTER FUNCTION public.note_rule_change() OWNER TO leo_owner;

--
-- Name: FUNCTION note_rule_change(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.note_rule_change() IS 'Keeps changed_xid of alert_rules';


--
-- Name: note_rule_runtimes(uuid[], text[], bigint[], jsonb[]); Type: FUNCTION; Schema: public; Owner: leo_alert_keeper
--

CREATE FUNCTION public.note_rule_runtimes(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_runtimes jsonb[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
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


ALTER FUNCTION public.note_rule_runtimes(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_runtimes jsonb[]) OWNER TO leo_alert_keeper;

--
-- Name: FUNCTION note_rule_runtimes(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_runtimes jsonb[]); Type: COMMENT; Schema: public; Owner: leo_alert_keeper
--

COMMENT ON FUNCTION public.note_rule_runtimes(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_runtimes jsonb[]) IS 'Writes what rules remember until the next tick, where they are active in the named generation';


--
-- Name: observe_data_sources(); Type: FUNCTION; Schema: public; Owner: leo_source_claimer
--

CREATE FUNCTION public.observe_data_sources() RETURNS TABLE(healthy bigint, degraded bigint, failing bigint, unknown bigint, stale bigint, lag_seconds double precision)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT
        count(*) FILTER (WHERE d.health = 'healthy'),
        count(*) FILTER (WHERE d.health = 'degraded'),
        count(*) FILTER (WHERE d.health = 'failing'),
        count(*) FILTER (WHERE d.health = 'unknown'),
        count(*) FILTER (
            WHERE coalesce(d.last_success_at, d.created_at) + d.stale_after_seconds * interval '1 second'
                < statement_timestamp()
        ),
        coalesce(
            max(greatest(extract(epoch FROM statement_timestamp() - d.synced_until)::double precision, 0))
                FILTER (WHERE d.due_at IS NOT NULL),
            0
        )
    FROM public.data_sources AS d
    WHERE d.status = 'active'
        AND EXISTS (SELECT FROM public.tenant AS t WHERE t.tenant_id = d.tenant_id AND t.status = 'active')
$$;


ALTER FUNCTION public.observe_data_sources() OWNER TO leo_source_claimer;

--
-- Name: FUNCTION observe_data_sources(); Type: COMMENT; Schema: public; Owner: leo_source_claimer
--

COMMENT ON FUNCTION public.observe_data_sources() IS 'How many active sources of all tenants are in each state of health, how many are stale, and the longest lag';


--
-- Name: prevent_snapshot_removal(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.prevent_snapshot_removal() RETURNS trigger
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


ALTER FUNCTION public.prevent_snapshot_removal() OWNER TO leo_owner;

--
-- Name: FUNCTION prevent_snapshot_removal(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.prevent_snapshot_removal() IS 'Refuses to remove, change or reorder entries of cdp_profiles.segment_snapshots (LE004)';


--
-- Name: queue_active_profiles(timestamp with time zone, timestamp with time zone, interval); Type: FUNCTION; Schema: public; Owner: leo_task_claimer
--

CREATE FUNCTION public.queue_active_profiles(p_since timestamp with time zone, p_until timestamp with time zone, p_every interval) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_custom_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    queued bigint;
BEGIN
    -- Jobs that are left as they are must not be locked: there are many, and workers end them meanwhile.
    INSERT INTO public.embedding_job AS j (tenant_id, entity_type, entity_id)
    SELECT p.tenant_id, 'profile', p.profile_id
    FROM (
        SELECT DISTINCT e.tenant_id, e.profile_id
        FROM public.behavioral_events AS e
        WHERE
            e.created_at >= p_since AND e.created_at < p_until
            AND e.event_type NOT IN ('segment.entered', 'segment.left')
    ) AS active
    JOIN public.cdp_profiles AS p
        ON p.tenant_id = active.tenant_id AND p.profile_id = active.profile_id AND p.erased_at IS NULL
    LEFT JOIN public.embedding_job AS known
        ON known.tenant_id = p.tenant_id AND known.entity_type = 'profile' AND known.entity_id = p.profile_id
    WHERE known.entity_id IS NULL OR known.status = 'completed' AND known.updated_at < now() - p_every
    ORDER BY p.tenant_id, p.profile_id
    ON CONFLICT (tenant_id, entity_type, entity_id) DO UPDATE
    SET status = 'pending', due_at = now(), attempts = 0, lease_owner = NULL, lease_until = NULL, last_error = NULL
    WHERE j.status = 'completed';
    GET DIAGNOSTICS queued = ROW_COUNT;
    RETURN queued;
END
$$;


ALTER FUNCTION public.queue_active_profiles(p_since timestamp with time zone, p_until timestamp with time zone, p_every interval) OWNER TO leo_task_claimer;

--
-- Name: FUNCTION queue_active_profiles(p_since timestamp with time zone, p_until timestamp with time zone, p_every interval); Type: COMMENT; Schema: public; Owner: leo_task_claimer
--

COMMENT ON FUNCTION public.queue_active_profiles(p_since timestamp with time zone, p_until timestamp with time zone, p_every interval) IS 'Queues profiles of all tenants with events recorded from one moment until before another for a new vector, those embedded within an interval aside; answers how many. Moves between segments are no behaviour';


--
-- Name: queue_changed_profiles(); Type: FUNCTION; Schema: public; Owner: leo_task_claimer
--

CREATE FUNCTION public.queue_changed_profiles() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION public.queue_changed_profiles() OWNER TO leo_task_claimer;

--
-- Name: FUNCTION queue_changed_profiles(); Type: COMMENT; Schema: public; Owner: leo_task_claimer
--

COMMENT ON FUNCTION public.queue_changed_profiles() IS 'Statement trigger: profiles whose titles or interests changed wait for a new vector';


--
-- Name: queue_new_profiles(); Type: FUNCTION; Schema: public; Owner: leo_task_claimer
--

CREATE FUNCTION public.queue_new_profiles() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION public.queue_new_profiles() OWNER TO leo_task_claimer;

--
-- Name: FUNCTION queue_new_profiles(); Type: COMMENT; Schema: public; Owner: leo_task_claimer
--

COMMENT ON FUNCTION public.queue_new_profiles() IS 'Statement trigger: new profiles with titles or interests wait for a vector';


--
-- Name: readmit_profile(text, text, text); Type: FUNCTION; Schema: public; Owner: leo_eraser
--

CREATE FUNCTION public.readmit_profile(p_profile_id text, p_asked_by text, p_reason text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    tenant constant uuid := nullif(current_setting('app.current_tenant_id', true), '')::uuid;
BEGIN
    IF coalesce(p_reason, '') = '' OR coalesce(p_asked_by, '') = '' THEN
        RAISE EXCEPTION 'a readmission names who asked, and why' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE public.cdp_profiles AS p
    SET suppression = NULL
    WHERE p.tenant_id = tenant AND p.profile_id = p_profile_id AND p.erased_at IS NOT NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO public.agent_task (
        tenant_id, task_id, agent_name, task_type, profile_id, event_type, reasoning_summary, inputs, status, decided_at
    )
    VALUES (
        tenant, public.leo_key_id('readmission', tenant, p_profile_id, now()::text), 'eraser', 'evaluate', p_profile_id,
        'profile.readmitted', p_reason, jsonb_build_object('asked_by', p_asked_by), 'completed', now()
    )
    ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;


ALTER FUNCTION public.readmit_profile(p_profile_id text, p_asked_by text, p_reason text) OWNER TO leo_eraser;

--
-- Name: FUNCTION readmit_profile(p_profile_id text, p_asked_by text, p_reason text); Type: COMMENT; Schema: public; Owner: leo_eraser
--

COMMENT ON FUNCTION public.readmit_profile(p_profile_id text, p_asked_by text, p_reason text) IS 'Takes an erased person off the list of those who are not brought back, and records who asked, and why; the stub stays erased. False when there is no such stub';


--
-- Name: record_and_redact_decisions(timestamp with time zone, bigint, jsonb); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.record_and_redact_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    batch jsonb;
BEGIN
    RETURN QUERY SELECT record_decisions(recorded_at, reserved_in, batches);
    FOR batch IN SELECT element FROM jsonb_array_elements(batches) AS element
    LOOP
        PERFORM set_config('app.current_tenant_id', batch ->> 'tenant_id', true);
        IF EXISTS (
            SELECT FROM cdp_profiles WHERE tenant_id = (batch ->> 'tenant_id')::uuid AND erased_at IS NOT NULL
        ) THEN
            PERFORM redact_erased(ARRAY(SELECT jsonb_array_elements_text(batch -> 'profile_id')));
        END IF;
    END LOOP;
END
$$;


ALTER FUNCTION public.record_and_redact_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) OWNER TO leo_owner;

--
-- Name: FUNCTION record_and_redact_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.record_and_redact_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) IS 'record_decisions, and what it recorded of people who were erased meanwhile is redacted in the same transaction';


--
-- Name: record_and_redact_results(uuid, jsonb, jsonb); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.record_and_redact_results(of_tenant uuid, facts jsonb, ends jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
BEGIN
    PERFORM record_results(of_tenant, facts, ends);
    IF facts IS NOT NULL AND EXISTS (
        SELECT FROM cdp_profiles WHERE tenant_id = of_tenant AND erased_at IS NOT NULL
    ) THEN
        PERFORM redact_erased(ARRAY(SELECT jsonb_array_elements_text(facts -> 'profile_id')));
    END IF;
END
$$;


ALTER FUNCTION public.record_and_redact_results(of_tenant uuid, facts jsonb, ends jsonb) OWNER TO leo_owner;

--
-- Name: FUNCTION record_and_redact_results(of_tenant uuid, facts jsonb, ends jsonb); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.record_and_redact_results(of_tenant uuid, facts jsonb, ends jsonb) IS 'record_results, and what it recorded of people who were erased meanwhile is redacted in the same transaction';


--
-- Name: record_decisions(timestamp with time zone, bigint, jsonb); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.record_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
DECLARE
    batch jsonb;
    sends jsonb;
    of_tenant uuid;
    -- What decisions of one output share: told and parsed once, and taken by its number, which counts from 1.
    outcomes text[];
    reason_codes text[];
    reasoning_traces jsonb[];
    results jsonb[];
    output_hashes text[];
    campaign_ids text[];
    marketing_event_ids text[];
    channels text[];
    due_times timestamptz[];
    experiment_ids text[];
    variants text[];
    new_tasks text[];
    known_tasks text[];
BEGIN
    PERFORM pg_advisory_xact_lock_shared(4711, 1);
    IF (SELECT last_value FROM reservation_epoch) <> reserved_in THEN
        RAISE EXCEPTION 'the epoch of these reservations has ended' USING ERRCODE = 'LE007';
    END IF;
    FOR batch IN SELECT element FROM jsonb_array_elements(batches) AS element
    LOOP
        of_tenant := batch ->> 'tenant_id';
        sends := batch -> 'sends';
        SELECT *
        INTO
            outcomes, reason_codes, reasoning_traces, results, output_hashes, campaign_ids, marketing_event_ids,
            channels, due_times, experiment_ids, variants
        FROM jsonb_to_record(batch -> 'outputs') AS listed (
            outcome text[], reason_code text[], reasoning_trace jsonb[], result jsonb[], output_sha256 text[],
            campaign_id text[], marketing_event_id text[], channel text[], due_at timestamptz[],
            experiment_id text[], variant text[]
        );
        PERFORM set_config('app.current_tenant_id', of_tenant::text, true);

        IF sends -> 'task_id' <> '[]' THEN
            WITH new_snapshot AS (
                INSERT INTO segment_snapshot (
                    tenant_id, snapshot_id, segment_name, segment_version, snapshot_reason, audience_sha256, member_count
                )
                SELECT DISTINCT ON (given.snapshot_id)
                    of_tenant, given.snapshot_id, given.segment_name, given.segment_version, 'decision for one profile',
                    given.audience_sha256, 1
                FROM ROWS FROM (
                    jsonb_array_elements_text(sends -> 'snapshot_id'),
                    jsonb_array_elements_text(sends -> 'segment_name'),
                    jsonb_array_elements_text(sends -> 'segment_version'),
                    jsonb_array_elements_text(sends -> 'audience_sha256')
                ) AS given (snapshot_id, segment_name, segment_version, audience_sha256)
                WHERE given.audience_sha256 IS NOT NULL
                ORDER BY given.snapshot_id
                ON CONFLICT (tenant_id, snapshot_id) DO NOTHING
                RETURNING snapshot_id
            )
            INSERT INTO segment_snapshot_member (tenant_id, snapshot_id, profile_id)
            SELECT DISTINCT ON (given.snapshot_id) of_tenant, given.snapshot_id, given.profile_id
            FROM ROWS FROM (
                jsonb_array_elements_text(sends -> 'snapshot_id'),
                jsonb_array_elements_text(sends -> 'profile_id')
            ) AS given (snapshot_id, profile_id)
            JOIN new_snapshot USING (snapshot_id)
            ORDER BY given.snapshot_id
            ON CONFLICT (tenant_id, snapshot_id, profile_id) DO NOTHING;
        END IF;

        -- Tasks come sorted by their ids: so writers take their locks in one order, and nothing this wide is sorted.
        WITH new_task AS (
            INSERT INTO agent_task (
                tenant_id, task_id, agent_name, task_type, campaign_id, marketing_event_id, snapshot_id, profile_id,
                parent_task_id, source_event_id, event_type, occurred_at, decided_at, input_sha256, rule_bundle_id,
                outcome, reason_code, reasoning_summary, reasoning_trace, inputs, result, output_sha256, status,
                queue, due_at, experiment_id, variant
            )
            SELECT
                of_tenant, given.task_id, 'rule_engine', 'execute', campaign_ids[given.output],
                marketing_event_ids[given.output], given.snapshot_id, given.profile_id, given.parent_task_id,
                given.source_event_id, given.event_type, given.occurred_at::timestamptz, recorded_at,
                given.input_sha256, batch ->> 'rule_bundle_id', outcomes[given.output], reason_codes[given.output],
                given.reasoning_summary, reasoning_traces[given.output], given.inputs, results[given.output],
                output_hashes[given.output],
                CASE outcomes[given.output] WHEN 'send' THEN 'pending' ELSE 'completed' END,
                channels[given.output], due_times[given.output], experiment_ids[given.output],
                variants[given.output]
            FROM (
                SELECT listed.*, listed.output_number::integer AS output
                FROM ROWS FROM (
                    jsonb_array_elements_text(batch -> 'task_id'),
                    jsonb_array_elements_text(batch -> 'profile_id'),
                    jsonb_array_elements_text(batch -> 'source_event_id'),
                    jsonb_array_elements_text(batch -> 'event_type'),
                    jsonb_array_elements_text(batch -> 'occurred_at'),
                    jsonb_array_elements_text(batch -> 'input_sha256'),
                    jsonb_array_elements_text(batch -> 'reasoning_summary'),
                    jsonb_array_elements(batch -> 'inputs'),
                    jsonb_array_elements_text(batch -> 'snapshot_id'),
                    jsonb_array_elements_text(batch -> 'parent_task_id'),
                    jsonb_array_elements_text(batch -> 'output')
                ) AS listed (
                    task_id, profile_id, source_event_id, event_type, occurred_at, input_sha256, reasoning_summary,
                    inputs, snapshot_id, parent_task_id, output_number
                )
                OFFSET 0
            ) AS given
            ON CONFLICT (tenant_id, task_id) DO NOTHING
            RETURNING task_id
        )
        SELECT array_agg(new_task.task_id) INTO new_tasks FROM new_task;
        known_tasks := '{}';
        -- Nearly never: another server, or an earlier try, recorded some of them meanwhile.
        IF cardinality(new_tasks) IS DISTINCT FROM jsonb_array_length(batch -> 'task_id') THEN
            known_tasks := ARRAY(
                SELECT jsonb_array_elements_text(batch -> 'task_id')
                EXCEPT
                SELECT unnest(new_tasks)
            );
            RETURN QUERY SELECT unnest(known_tasks);
        END IF;

        INSERT INTO behavioral_events (
            tenant_id, event_key, profile_id, source_event_id, event_type, attributes, occurred_at
        )
        SELECT
            of_tenant, given.event_key, given.profile_id, given.source_event_id, given.event_type, given.attributes,
            given.occurred_at::timestamptz
        FROM ROWS FROM (
            jsonb_array_elements_text(batch -> 'task_id'),
            jsonb_array_elements_text(batch -> 'event_key'),
            jsonb_array_elements_text(batch -> 'profile_id'),
            jsonb_array_elements_text(batch -> 'source_event_id'),
            jsonb_array_elements_text(batch -> 'event_type'),
            jsonb_array_elements(batch -> 'attributes'),
            jsonb_array_elements_text(batch -> 'occurred_at')
        ) AS given (task_id, event_key, profile_id, source_event_id, event_type, attributes, occurred_at)
        WHERE given.event_key IS NOT NULL AND given.task_id <> ALL(known_tasks)
        ORDER BY given.event_key
        ON CONFLICT DO NOTHING;

        IF sends -> 'task_id' <> '[]' THEN
            INSERT INTO delivery_log (
                tenant_id, delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id,
                channel, delivery_status
            )
            SELECT
                of_tenant, given.delivery_key, 0, given.task_id, given.marketing_event_id, given.campaign_id,
                given.profile_id, given.snapshot_id, given.channel, 'queued'
            FROM ROWS FROM (
                jsonb_array_elements_text(sends -> 'delivery_key'),
                jsonb_array_elements_text(sends -> 'task_id'),
                jsonb_array_elements_text(sends -> 'marketing_event_id'),
                jsonb_array_elements_text(sends -> 'campaign_id'),
                jsonb_array_elements_text(sends -> 'profile_id'),
                jsonb_array_elements_text(sends -> 'snapshot_id'),
                jsonb_array_elements_text(sends -> 'channel')
            ) AS given (delivery_key, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel)
            WHERE given.task_id <> ALL(known_tasks);
        END IF;
    END LOOP;
END
$$;


ALTER FUNCTION public.record_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) OWNER TO leo_owner;

--
-- Name: FUNCTION record_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.record_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) IS 'Records decisions of any number of tenants with all that belongs to them; answers the tasks that were there before';


--
-- Name: record_results(uuid, jsonb, jsonb); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.record_results(of_tenant uuid, facts jsonb, ends jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
DECLARE
    batch jsonb;
    ids text[];
    dues timestamptz[];
    holder text;
BEGIN
    PERFORM set_config('app.current_tenant_id', of_tenant::text, true);
    IF EXISTS (SELECT FROM jsonb_array_elements(ends) AS element WHERE element ->> 'held_by' IS NOT NULL) THEN
        PERFORM pg_advisory_xact_lock_shared(4713, hashtext(of_tenant::text));
    END IF;

    IF facts IS NOT NULL THEN
        INSERT INTO delivery_log (
            tenant_id, delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id,
            channel, delivery_status, reason, provider_message_id, provider_response, sent_at, series
        )
        SELECT
            of_tenant, given.delivery_key, given.attempt::int, given.task_id, given.marketing_event_id,
            given.campaign_id, given.profile_id, given.snapshot_id, given.channel, given.delivery_status, given.reason,
            given.provider_message_id, nullif(given.provider_response, 'null'), given.sent_at::timestamptz,
            given.series::int
        FROM ROWS FROM (
            jsonb_array_elements_text(facts -> 'delivery_key'),
            jsonb_array_elements_text(facts -> 'attempt'),
            jsonb_array_elements_text(facts -> 'task_id'),
            jsonb_array_elements_text(facts -> 'marketing_event_id'),
            jsonb_array_elements_text(facts -> 'campaign_id'),
            jsonb_array_elements_text(facts -> 'profile_id'),
            jsonb_array_elements_text(facts -> 'snapshot_id'),
            jsonb_array_elements_text(facts -> 'channel'),
            jsonb_array_elements_text(facts -> 'delivery_status'),
            jsonb_array_elements_text(facts -> 'reason'),
            jsonb_array_elements_text(facts -> 'provider_message_id'),
            jsonb_array_elements(facts -> 'provider_response'),
            jsonb_array_elements_text(facts -> 'sent_at'),
            jsonb_array_elements_text(facts -> 'series')
        ) WITH ORDINALITY AS given (
            delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel,
            delivery_status, reason, provider_message_id, provider_response, sent_at, series, position
        )
        WHERE NOT EXISTS (
            SELECT
            FROM delivery_log AS known
            WHERE
                known.task_id = given.task_id
                AND known.tenant_id = of_tenant
                AND known.delivery_key = given.delivery_key
                AND known.series = given.series::int
                AND known.attempt = given.attempt::int
                AND known.delivery_status = given.delivery_status
                AND (given.delivery_status <> 'deferred' OR known.reason IS NOT DISTINCT FROM given.reason)
            OFFSET 0
        )
        ORDER BY given.task_id, given.position;
    END IF;

    -- Looked up by key: joined with the tasks, the planner would now and then begin with all that is pending. It must
    -- not see either that only such tasks are meant, or it looks through the index of those instead.
    FOR batch IN SELECT element FROM jsonb_array_elements(ends) AS element
    LOOP
        ids := ARRAY(SELECT jsonb_array_elements_text(batch -> 'task_id'));
        dues := ARRAY(SELECT jsonb_array_elements_text(batch -> 'due_at')::timestamptz);
        holder := batch ->> 'held_by';
        IF holder IS NULL THEN
            UPDATE agent_task
            SET status = batch ->> 'status',
                due_at = coalesce(dues[array_position(ids, agent_task.task_id)], agent_task.due_at),
                held_by = NULL,
                lease_until = CASE batch ->> 'status' WHEN 'pending' THEN NULL ELSE agent_task.lease_until END
            WHERE
                agent_task.tenant_id = of_tenant
                AND agent_task.task_id = ANY(ids)
                AND agent_task.lease_owner = batch ->> 'owner'
                AND coalesce(agent_task.status, '') = 'pending';
        ELSE
            UPDATE agent_task
            SET (due_at, held_by, lease_until) = (
                SELECT
                    CASE WHEN still.holds THEN dues[array_position(ids, agent_task.task_id)] ELSE now() END,
                    CASE WHEN still.holds THEN holder END,
                    NULL::timestamptz
                FROM (
                    SELECT CASE holder
                        WHEN 'tenant' THEN (SELECT tenant.status <> 'active' FROM tenant WHERE tenant.tenant_id = of_tenant)
                        WHEN 'campaign' THEN (
                            SELECT campaign.status = 'paused'
                            FROM campaign
                            WHERE campaign.tenant_id = of_tenant AND campaign.campaign_id = agent_task.campaign_id
                        )
                        ELSE (
                            SELECT plan.status = 'paused'
                            FROM agent_task AS plan
                            WHERE plan.tenant_id = of_tenant AND plan.task_id = agent_task.parent_task_id
                        )
                    END
                ) AS still (holds)
            )
            WHERE
                agent_task.tenant_id = of_tenant
                AND agent_task.task_id = ANY(ids)
                AND agent_task.lease_owner = batch ->> 'owner'
                AND coalesce(agent_task.status, '') = 'pending';
        END IF;
    END LOOP;
END
$$;


ALTER FUNCTION public.record_results(of_tenant uuid, facts jsonb, ends jsonb) OWNER TO leo_owner;

--
-- Name: FUNCTION record_results(of_tenant uuid, facts jsonb, ends jsonb); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.record_results(of_tenant uuid, facts jsonb, ends jsonb) IS 'Records what became of deliveries of a tenant: facts that are not there yet, ends of tasks, and what is held back';


--
-- Name: redact_erased(text[]); Type: FUNCTION; Schema: public; Owner: leo_eraser
--

CREATE FUNCTION public.redact_erased(p_profile_ids text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    tenant constant uuid := nullif(current_setting('app.current_tenant_id', true), '')::uuid;
    erased text;
BEGIN
    FOR erased IN
        SELECT p.profile_id
        FROM public.cdp_profiles AS p
        WHERE p.tenant_id = tenant AND p.profile_id = ANY (p_profile_ids) AND p.erased_at IS NOT NULL
        ORDER BY p.profile_id
    LOOP
        PERFORM public.cancel_erased_tasks(tenant, erased);
        PERFORM public.redact_rows(tenant, erased, 10000);
    END LOOP;
END
$$;


ALTER FUNCTION public.redact_erased(p_profile_ids text[]) OWNER TO leo_eraser;

--
-- Name: FUNCTION redact_erased(p_profile_ids text[]); Type: COMMENT; Schema: public; Owner: leo_eraser
--

COMMENT ON FUNCTION public.redact_erased(p_profile_ids text[]) IS 'Redacts what was just written of those of these profiles that were erased meanwhile, in the transaction that wrote it';


--
-- Name: redact_rows(uuid, text, integer); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.redact_rows(p_tenant uuid, p_profile_id text, p_rows integer) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $_$
DECLARE
    stone constant jsonb := '{"erased": true}';
    words constant text := '(erased)';
    until timestamptz;
    redacted bigint;
    counts jsonb := '{}';
BEGIN
    SELECT max(open.created_at) INTO until FROM (
        SELECT t.created_at
        FROM public.agent_task AS t
        WHERE t.profile_id = p_profile_id AND t.tenant_id = p_tenant
            AND t.inputs <> stone AND t.agent_name <> 'eraser' AND t.reason_code IS DISTINCT FROM 'PROFILE_ERASED'
        ORDER BY t.created_at
        LIMIT p_rows
    ) AS open;
    UPDATE public.agent_task AS t
    SET inputs = stone, reasoning_summary = words, reasoning_trace = stone, result = stone,
        input_sha256 = CASE WHEN t.input_sha256 IS NOT NULL THEN words END
    WHERE t.profile_id = p_profile_id AND t.tenant_id = p_tenant AND t.created_at <= until
        AND t.inputs <> stone AND t.agent_name <> 'eraser' AND t.reason_code IS DISTINCT FROM 'PROFILE_ERASED';
    GET DIAGNOSTICS redacted = ROW_COUNT;
    counts := counts || jsonb_build_object('agent_task', redacted);

    SELECT max(open.created_at) INTO until FROM (
        SELECT d.created_at
        FROM public.delivery_log AS d
        WHERE d.profile_id = p_profile_id AND d.tenant_id = p_tenant
            AND (d.destination <> words OR d.subject <> words OR d.body <> words OR d.provider_response <> stone
                OR d.provider_message_id <> words OR d.reason !~ '^([A-Z0-9_]{1,80}|\(erased\))$')
        ORDER BY d.created_at
        LIMIT p_rows
    ) AS open;
    -- A row of a sending keeps a provider's id out: a receipt that finds it by our reference would bring one along.
    UPDATE public.delivery_log AS d
    SET destination = CASE WHEN d.destination IS NOT NULL THEN words END,
        subject = CASE WHEN d.subject IS NOT NULL THEN words END,
        body = CASE WHEN d.body IS NOT NULL THEN words END,
        reason = CASE WHEN d.reason ~ '^[A-Z0-9_]{1,80}$' THEN d.reason WHEN d.reason IS NOT NULL THEN words END,
        provider_message_id = CASE
            WHEN d.provider_message_id IS NOT NULL OR d.delivery_status = 'sending' THEN words
        END,
        provider_response = CASE WHEN d.provider_response IS NOT NULL THEN stone END
    WHERE d.profile_id = p_profile_id AND d.tenant_id = p_tenant AND d.created_at <= until
        AND (d.destination <> words OR d.subject <> words OR d.body <> words OR d.provider_response <> stone
            OR d.provider_message_id <> words OR d.reason !~ '^([A-Z0-9_]{1,80}|\(erased\))$');
    GET DIAGNOSTICS redacted = ROW_COUNT;
    counts := counts || jsonb_build_object('delivery_log', redacted);

    SELECT max(open.occurred_at) INTO until FROM (
        SELECT e.occurred_at
        FROM public.behavioral_events AS e
        WHERE e.profile_id = p_profile_id AND e.tenant_id = p_tenant
            AND (e.attributes <> stone OR e.entity_type IS NOT NULL OR e.entity_id IS NOT NULL
                OR e.sentiment_val IS NOT NULL)
        ORDER BY e.occurred_at
        LIMIT p_rows
    ) AS open;
    UPDATE public.behavioral_events AS e
    SET attributes = stone, entity_type = NULL, entity_id = NULL, sentiment_val = NULL
    WHERE e.profile_id = p_profile_id AND e.tenant_id = p_tenant AND e.occurred_at <= until
        AND (e.attributes <> stone OR e.entity_type IS NOT NULL OR e.entity_id IS NOT NULL
            OR e.sentiment_val IS NOT NULL);
    GET DIAGNOSTICS redacted = ROW_COUNT;
    counts := counts || jsonb_build_object('behavioral_events', redacted);

    SELECT max(open.occurred_at) INTO until FROM (
        SELECT o.occurred_at
        FROM public.activation_outcomes AS o
        WHERE o.profile_id = p_profile_id AND o.tenant_id = p_tenant AND o.metadata <> stone
        ORDER BY o.occurred_at
        LIMIT p_rows
    ) AS open;
    UPDATE public.activation_outcomes AS o
    SET metadata = stone
    WHERE o.profile_id = p_profile_id AND o.tenant_id = p_tenant AND o.occurred_at <= until AND o.metadata <> stone;
    GET DIAGNOSTICS redacted = ROW_COUNT;
    counts := counts || jsonb_build_object('activation_outcomes', redacted);

    -- Those that were put while the profile became a stub.
    UPDATE public.alert_rules AS r
    SET status = 'DISABLED', note = '', runtime = NULL
    WHERE r.profile_id = p_profile_id AND r.tenant_id = p_tenant
        AND (r.status <> 'DISABLED' OR r.note <> '' OR r.runtime IS NOT NULL);
    GET DIAGNOSTICS redacted = ROW_COUNT;
    RETURN counts || jsonb_build_object('alert_rules', redacted);
END
$_$;


ALTER FUNCTION public.redact_rows(p_tenant uuid, p_profile_id text, p_rows integer) OWNER TO leo_owner;

--
-- Name: FUNCTION redact_rows(p_tenant uuid, p_profile_id text, p_rows integer); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.redact_rows(p_tenant uuid, p_profile_id text, p_rows integer) IS 'Replaces what is personal in the next rows of a profile, about so many of each table; how many of each it were';


--
-- Name: refuse_kept_month(date, integer); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.refuse_kept_month(p_month date, p_kept_months integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
DECLARE
    -- Vectors of interests are made of the last 90 days: whoever calls, three months stay.
    fewest constant int := 3;
    oldest_kept constant date := (date_trunc('month', now()) - make_interval(months => p_kept_months))::date;
BEGIN
    IF p_month IS NULL OR p_kept_months IS NULL OR p_kept_months < fewest OR p_month >= oldest_kept THEN
        RAISE EXCEPTION 'only months before the % kept ones can go, and at least % are kept', p_kept_months, fewest
            USING ERRCODE = 'datetime_field_overflow';
    END IF;
END
$$;


ALTER FUNCTION public.refuse_kept_month(p_month date, p_kept_months integer) OWNER TO leo_owner;

--
-- Name: FUNCTION refuse_kept_month(p_month date, p_kept_months integer); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.refuse_kept_month(p_month date, p_kept_months integer) IS 'Raises an error for a month (its first day) that is not older than the present one and so many before it';


--
-- Name: refuse_rewrite(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.refuse_rewrite() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_user = 'leo_eraser' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'LE001',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME,
            CONSTRAINT = TG_NAME,
            HINT = 'A correction is a new row.';
END
$$;


ALTER FUNCTION public.refuse_rewrite() OWNER TO leo_owner;

--
-- Name: FUNCTION refuse_rewrite(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.refuse_rewrite() IS 'Statement trigger of append-only tables: refuses UPDATE, DELETE and TRUNCATE (LE001), redaction by leo_eraser aside';


--
-- Name: refuse_second_audience(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.refuse_second_audience() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    -- Two writers of one name wait for each other here, so neither can miss the other's row.
    PERFORM pg_advisory_xact_lock(
        hashtextextended('campaign.audience:' || NEW.tenant_id || ':' || (NEW.audience ->> 'name'), 0)
    );
    IF EXISTS (
        SELECT
        FROM campaign AS other
        WHERE other.tenant_id = NEW.tenant_id
            AND other.campaign_id <> NEW.campaign_id
            AND other.status = 'active'
            AND other.audience ->> 'name' = NEW.audience ->> 'name'
            AND other.audience ->> 'version' <> NEW.audience ->> 'version'
    ) THEN
        RAISE EXCEPTION 'another active campaign defines the segment of this name differently'
            USING ERRCODE = 'LE005',
                SCHEMA = TG_TABLE_SCHEMA,
                TABLE = TG_TABLE_NAME,
                COLUMN = 'audience',
                CONSTRAINT = TG_NAME,
                HINT = 'Use the same condition, another name, or pause the other campaign.';
    END IF;
    RETURN NULL;
END
$$;


ALTER FUNCTION public.refuse_second_audience() OWNER TO leo_owner;

--
-- Name: FUNCTION refuse_second_audience(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.refuse_second_audience() IS 'Refuses two active definitions of one segment name within a tenant (LE005)';


--
-- Name: refuse_task_rewrite(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.refuse_task_rewrite() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF current_user = 'leo_eraser' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'what a task has recorded does not change'
        USING ERRCODE = 'LE003',
            SCHEMA = TG_TABLE_SCHEMA,
            TABLE = TG_TABLE_NAME,
            CONSTRAINT = TG_NAME,
            HINT = 'Only status, due_at, lease_owner, lease_until and attempts change; reasoning and result are written once.';
END
$$;


ALTER FUNCTION public.refuse_task_rewrite() OWNER TO leo_owner;

--
-- Name: FUNCTION refuse_task_rewrite(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.refuse_task_rewrite() IS 'Refuses changes of a recorded decision (LE003), redaction by leo_eraser aside';


--
-- Name: release_held_deliveries(); Type: FUNCTION; Schema: public; Owner: leo_task_claimer
--

CREATE FUNCTION public.release_held_deliveries() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    -- Whoever is about to hold a delivery back shares this lock, and looks again when they have it.
    PERFORM pg_advisory_xact_lock(4713, hashtext(NEW.tenant_id::text));
    IF TG_TABLE_NAME = 'campaign' THEN
        UPDATE public.agent_task SET due_at = statement_timestamp(), held_by = NULL
        WHERE campaign_id = NEW.campaign_id AND tenant_id = NEW.tenant_id AND held_by = 'campaign';
    ELSE
        UPDATE public.agent_task SET due_at = statement_timestamp(), held_by = NULL
        WHERE tenant_id = NEW.tenant_id AND held_by = 'tenant';
    END IF;
    RETURN NULL;
END
$$;


ALTER FUNCTION public.release_held_deliveries() OWNER TO leo_task_claimer;

--
-- Name: FUNCTION release_held_deliveries(); Type: COMMENT; Schema: public; Owner: leo_task_claimer
--

COMMENT ON FUNCTION public.release_held_deliveries() IS 'Makes deliveries due that a campaign or a tenant held back, once it does so no more';


--
-- Name: require_consent(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.require_consent() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_material TO 'off'
    AS $$
DECLARE
    refused record;
BEGIN
    SELECT i.delivery_key, i.channel INTO refused
    FROM inserted AS i
    WHERE i.delivery_status IN ('queued', 'sending')
        AND NOT EXISTS (
            SELECT
            FROM public.consent_management AS c
            WHERE c.tenant_id = i.tenant_id
                AND c.profile_id = i.profile_id
                AND c.channel = i.channel
                AND c.status = 'granted'
                AND (c.expires_at IS NULL OR c.expires_at > now())
        )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no current consent for channel %', refused.channel
            USING ERRCODE = 'LE002',
                SCHEMA = TG_TABLE_SCHEMA,
                TABLE = TG_TABLE_NAME,
                CONSTRAINT = 'delivery_log_consent',
                DETAIL = format('delivery_key=%s', refused.delivery_key),
                HINT = 'Record the delivery as suppressed.';
    END IF;
    RETURN NULL;
END
$$;


ALTER FUNCTION public.require_consent() OWNER TO leo_owner;

--
-- Name: FUNCTION require_consent(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.require_consent() IS 'Refuses queued and sending deliveries without a current consent (LE002, constraint delivery_log_consent)';


--
-- Name: resolve_tenant(text, text); Type: FUNCTION; Schema: public; Owner: leo_tenant_resolver
--

CREATE FUNCTION public.resolve_tenant(p_realm text, p_client text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT t.tenant_id
    FROM public.tenant AS t
    WHERE t.keycloak_realm = p_realm AND t.keycloak_client_id = p_client AND t.status = 'active'
$$;


ALTER FUNCTION public.resolve_tenant(p_realm text, p_client text) OWNER TO leo_tenant_resolver;

--
-- Name: FUNCTION resolve_tenant(p_realm text, p_client text); Type: COMMENT; Schema: public; Owner: leo_tenant_resolver
--

COMMENT ON FUNCTION public.resolve_tenant(p_realm text, p_client text) IS 'The active tenant of a realm and client, or NULL: asked before there is a context';


--
-- Name: store_credential(uuid, text, jsonb); Type: FUNCTION; Schema: public; Owner: leo_credential_writer
--

CREATE FUNCTION public.store_credential(p_tenant_id uuid, p_channel text, p_ciphertext jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE public.tenant AS t
    SET metadata = t.metadata || jsonb_build_object(
        'channel_credentials',
        CASE
            WHEN p_ciphertext IS NULL THEN coalesce(t.metadata -> 'channel_credentials', '{}') - p_channel
            ELSE coalesce(t.metadata -> 'channel_credentials', '{}') || jsonb_build_object(p_channel, p_ciphertext)
        END
    )
    WHERE t.tenant_id = p_tenant_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the tenant is not the one in context' USING ERRCODE = 'no_data_found';
    END IF;
END
$$;


ALTER FUNCTION public.store_credential(p_tenant_id uuid, p_channel text, p_ciphertext jsonb) OWNER TO leo_credential_writer;

--
-- Name: FUNCTION store_credential(p_tenant_id uuid, p_channel text, p_ciphertext jsonb); Type: COMMENT; Schema: public; Owner: leo_credential_writer
--

COMMENT ON FUNCTION public.store_credential(p_tenant_id uuid, p_channel text, p_ciphertext jsonb) IS 'Writes a channel''s encrypted credentials to tenant.metadata (NULL removes them), for the tenant in context only';


--
-- Name: tenants_with_firings(uuid[], pg_snapshot); Type: FUNCTION; Schema: public; Owner: leo_alert_keeper
--

CREATE FUNCTION public.tenants_with_firings(p_tenant_ids uuid[], p_since pg_snapshot) RETURNS TABLE(tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
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


ALTER FUNCTION public.tenants_with_firings(p_tenant_ids uuid[], p_since pg_snapshot) OWNER TO leo_alert_keeper;

--
-- Name: FUNCTION tenants_with_firings(p_tenant_ids uuid[], p_since pg_snapshot); Type: COMMENT; Schema: public; Owner: leo_alert_keeper
--

COMMENT ON FUNCTION public.tenants_with_firings(p_tenant_ids uuid[], p_since pg_snapshot) IS 'Which of these tenants have firings of transactions that p_since did not see';


--
-- Name: unite_segments(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.unite_segments() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    labels jsonb := NEW.segments;
BEGIN
    IF NEW.erased_at IS NOT NULL THEN
        NEW.evaluated_segments := '[]';
    ELSIF NEW.segments = OLD.segments THEN
        labels := coalesce(OLD.segment_labels, OLD.segments);
    END IF;
    NEW.segment_labels := CASE WHEN NEW.evaluated_segments <> '[]' THEN labels END;
    NEW.segments := labels || coalesce(
        (
            SELECT jsonb_agg(name ORDER BY name COLLATE "C")
            FROM jsonb_array_elements_text(NEW.evaluated_segments) AS name
            WHERE NOT labels @> to_jsonb(name)
        ),
        '[]'
    );
    RETURN NEW;
END
$$;


ALTER FUNCTION public.unite_segments() OWNER TO leo_owner;

--
-- Name: FUNCTION unite_segments(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.unite_segments() IS 'Keeps cdp_profiles.segments what its labels and its evaluated segments are together';


--
-- Name: update_timestamp(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.update_timestamp() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;


ALTER FUNCTION public.update_timestamp() OWNER TO leo_owner;

--
-- Name: FUNCTION update_timestamp(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.update_timestamp() IS 'Keeps updated_at of a mutable table';


--
-- Name: wait_for_recorders(); Type: FUNCTION; Schema: public; Owner: leo_owner
--

CREATE FUNCTION public.wait_for_recorders() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(4711, 1);
END
$$;


ALTER FUNCTION public.wait_for_recorders() OWNER TO leo_owner;

--
-- Name: FUNCTION wait_for_recorders(); Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON FUNCTION public.wait_for_recorders() IS 'Waits for every transaction that records decisions, and holds new ones back until this one ends';


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: activation_experiments; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.activation_experiments (
    tenant_id uuid NOT NULL,
    experiment_id text NOT NULL COLLATE pg_catalog."C",
    experiment_name text NOT NULL,
    campaign_id text COLLATE pg_catalog."C",
    allocation text DEFAULT 'fixed'::text NOT NULL,
    variants jsonb DEFAULT '[]'::jsonb NOT NULL,
    holdout_fraction numeric(5,4) DEFAULT 0 NOT NULL,
    seed bigint DEFAULT 0 NOT NULL,
    conversion_event_type text,
    attribution_window_seconds bigint DEFAULT 604800 NOT NULL,
    exposure_count bigint DEFAULT 0 NOT NULL,
    conversion_count bigint DEFAULT 0 NOT NULL,
    variant_counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    start_at timestamp with time zone,
    end_at timestamp with time zone,
    status text DEFAULT 'draft'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    event_name text COLLATE pg_catalog."C",
    status_changed_at timestamp with time zone DEFAULT now() NOT NULL,
    settled_until timestamp with time zone,
    settled_counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT activation_experiments_allocation_check CHECK ((allocation = ANY (ARRAY['fixed'::text, 'thompson'::text]))),
    CONSTRAINT activation_experiments_attribution_window_seconds_check CHECK ((attribution_window_seconds > 0)),
    CONSTRAINT activation_experiments_conversion_count_check CHECK ((conversion_count >= 0)),
    CONSTRAINT activation_experiments_decidable CHECK (((status <> ALL (ARRAY['running'::text, 'paused'::text])) OR ((campaign_id IS NOT NULL) AND (event_name IS NOT NULL) AND public.leo_sound_variants(variants) AND ((allocation = 'fixed'::text) OR (conversion_event_type IS NOT NULL))))),
    CONSTRAINT activation_experiments_event_name_check CHECK ((event_name <> ''::text)),
    CONSTRAINT activation_experiments_experiment_id_check CHECK ((experiment_id <> ''::text)),
    CONSTRAINT activation_experiments_experiment_name_check CHECK ((experiment_name <> ''::text)),
    CONSTRAINT activation_experiments_exposure_count_check CHECK ((exposure_count >= 0)),
    CONSTRAINT activation_experiments_holdout_fraction_check CHECK (((holdout_fraction >= (0)::numeric) AND (holdout_fraction < (1)::numeric))),
    CONSTRAINT activation_experiments_period CHECK ((end_at > start_at)),
    CONSTRAINT activation_experiments_settled_counts_check CHECK ((jsonb_typeof(settled_counts) = 'object'::text)),
    CONSTRAINT activation_experiments_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'running'::text, 'paused'::text, 'completed'::text]))),
    CONSTRAINT activation_experiments_variant_counts_check CHECK ((jsonb_typeof(variant_counts) = 'object'::text)),
    CONSTRAINT activation_experiments_variants_check CHECK ((jsonb_typeof(variants) = 'array'::text))
);

ALTER TABLE ONLY public.activation_experiments FORCE ROW LEVEL SECURITY;


ALTER TABLE public.activation_experiments OWNER TO leo_owner;

--
-- Name: TABLE activation_experiments; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.activation_experiments IS 'How well activation decisions work: A/B, multi-variant and bandit tests';


--
-- Name: COLUMN activation_experiments.experiment_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.experiment_id IS 'Id of the experiment within its tenant';


--
-- Name: COLUMN activation_experiments.experiment_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.experiment_name IS 'Human-readable name';


--
-- Name: COLUMN activation_experiments.campaign_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.campaign_id IS 'Campaign of the marketing event under test';


--
-- Name: COLUMN activation_experiments.allocation; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.allocation IS 'fixed weights, or thompson sampling';


--
-- Name: COLUMN activation_experiments.variants; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.variants IS 'Array of {"name", "weight", "template_name"}; without a template the marketing event''s own is sent';


--
-- Name: COLUMN activation_experiments.holdout_fraction; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.holdout_fraction IS 'Share that gets nothing, 0 to 1';


--
-- Name: COLUMN activation_experiments.seed; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.seed IS 'Seed of the assignment, so that it can be computed again';


--
-- Name: COLUMN activation_experiments.conversion_event_type; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.conversion_event_type IS 'Behavioural event that counts as a conversion';


--
-- Name: COLUMN activation_experiments.attribution_window_seconds; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.attribution_window_seconds IS 'Seconds after a delivery in which a conversion counts';


--
-- Name: COLUMN activation_experiments.exposure_count; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.exposure_count IS 'Exposures so far, derived by a job';


--
-- Name: COLUMN activation_experiments.conversion_count; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.conversion_count IS 'Conversions so far, derived by a job';


--
-- Name: COLUMN activation_experiments.variant_counts; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.variant_counts IS 'For each variant, and for the holdout, {"exposures", "conversions"} in profiles';


--
-- Name: COLUMN activation_experiments.start_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.start_at IS 'In force from this event time on; NULL: no bound';


--
-- Name: COLUMN activation_experiments.end_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.end_at IS 'No longer in force from this event time on; NULL: no bound';


--
-- Name: COLUMN activation_experiments.status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.status IS 'draft, running, paused or completed';


--
-- Name: COLUMN activation_experiments.event_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.event_name IS 'Name of the marketing event under test, in its campaign: a changed definition goes on with the experiment';


--
-- Name: COLUMN activation_experiments.status_changed_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.status_changed_at IS 'Since when it has its status';


--
-- Name: COLUMN activation_experiments.settled_until; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.settled_until IS 'Exposures recorded before are counted for good in settled_counts; NULL: none yet';


--
-- Name: COLUMN activation_experiments.settled_counts; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_experiments.settled_counts IS 'As variant_counts, of the exposures before settled_until';


--
-- Name: activation_outcomes; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.activation_outcomes (
    tenant_id uuid NOT NULL,
    outcome_id text NOT NULL COLLATE pg_catalog."C",
    delivery_id bigint NOT NULL,
    task_id text NOT NULL COLLATE pg_catalog."C",
    profile_id text NOT NULL COLLATE pg_catalog."C",
    event_key text COLLATE pg_catalog."C",
    outcome_type text NOT NULL,
    outcome_value numeric,
    occurred_at timestamp with time zone NOT NULL,
    experiment_id text COLLATE pg_catalog."C",
    variant text,
    attribution_model text NOT NULL,
    attribution_weight numeric DEFAULT 1 NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT activation_outcomes_attribution_model_check CHECK ((attribution_model <> ''::text)),
    CONSTRAINT activation_outcomes_attribution_weight_check CHECK (((attribution_weight >= (0)::numeric) AND (attribution_weight <= (1)::numeric))),
    CONSTRAINT activation_outcomes_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT activation_outcomes_outcome_id_check CHECK ((outcome_id <> ''::text)),
    CONSTRAINT activation_outcomes_outcome_type_check CHECK ((outcome_type <> ''::text))
)
WITH (autovacuum_vacuum_insert_scale_factor='0.05', autovacuum_analyze_scale_factor='0.02');

ALTER TABLE ONLY public.activation_outcomes FORCE ROW LEVEL SECURITY;


ALTER TABLE public.activation_outcomes OWNER TO leo_owner;

--
-- Name: TABLE activation_outcomes; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.activation_outcomes IS 'Interpreted attribution: which delivery led to which result';


--
-- Name: COLUMN activation_outcomes.outcome_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.outcome_id IS 'Hash over delivery, event and model';


--
-- Name: COLUMN activation_outcomes.delivery_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.delivery_id IS 'Row of the delivery that gets the credit';


--
-- Name: COLUMN activation_outcomes.task_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.task_id IS 'Decision behind it';


--
-- Name: COLUMN activation_outcomes.profile_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.profile_id IS 'Who';


--
-- Name: COLUMN activation_outcomes.event_key; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.event_key IS 'Behavioural event that is the outcome; NULL: none';


--
-- Name: COLUMN activation_outcomes.outcome_type; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.outcome_type IS 'What happened, e.g. conversion';


--
-- Name: COLUMN activation_outcomes.outcome_value; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.outcome_value IS 'Its worth, in the tenant''s currency';


--
-- Name: COLUMN activation_outcomes.occurred_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.occurred_at IS 'When';


--
-- Name: COLUMN activation_outcomes.experiment_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.experiment_id IS 'Experiment it counts for';


--
-- Name: COLUMN activation_outcomes.variant; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.variant IS 'Arm it counts for';


--
-- Name: COLUMN activation_outcomes.attribution_model; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.attribution_model IS 'Rule that gave the credit, e.g. last_touch';


--
-- Name: COLUMN activation_outcomes.attribution_weight; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.attribution_weight IS 'Share of the credit, 0 to 1';


--
-- Name: COLUMN activation_outcomes.metadata; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.activation_outcomes.metadata IS 'Details of the attribution';


--
-- Name: agent_task; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.agent_task (
    tenant_id uuid NOT NULL,
    task_id text NOT NULL COLLATE pg_catalog."C",
    agent_name text NOT NULL,
    task_type text NOT NULL,
    campaign_id text COLLATE pg_catalog."C",
    marketing_event_id text COLLATE pg_catalog."C",
    snapshot_id text COLLATE pg_catalog."C",
    profile_id text COLLATE pg_catalog."C",
    parent_task_id text COLLATE pg_catalog."C",
    source_event_id text COLLATE pg_catalog."C",
    event_type text COLLATE pg_catalog."C",
    occurred_at timestamp with time zone,
    decided_at timestamp with time zone,
    input_sha256 text COLLATE pg_catalog."C",
    rule_bundle_id text COLLATE pg_catalog."C",
    outcome text,
    reason_code text COLLATE pg_catalog."C",
    reasoning_summary text,
    reasoning_trace jsonb,
    inputs jsonb DEFAULT '{}'::jsonb NOT NULL,
    result jsonb,
    output_sha256 text COLLATE pg_catalog."C",
    related_news_id bigint,
    status text DEFAULT 'pending'::text NOT NULL,
    queue text COLLATE pg_catalog."C",
    due_at timestamp with time zone,
    lease_owner text,
    lease_until timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    experiment_id text COLLATE pg_catalog."C",
    variant text COLLATE pg_catalog."C",
    held_by text,
    recorded_xid xid8,
    CONSTRAINT agent_task_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT agent_task_held_by_check CHECK ((held_by = ANY (ARRAY['campaign'::text, 'dispatch'::text, 'tenant'::text]))),
    CONSTRAINT agent_task_occurred_at CHECK (((occurred_at >= '1990-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at <= (now() + '1 day'::interval)))),
    CONSTRAINT agent_task_outcome_check CHECK ((outcome = ANY (ARRAY['send'::text, 'suppressed'::text]))),
    CONSTRAINT agent_task_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'paused'::text, 'completed'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT agent_task_task_id_check CHECK ((task_id <> ''::text)),
    CONSTRAINT agent_task_task_type_check CHECK ((task_type = ANY (ARRAY['plan'::text, 'execute'::text, 'evaluate'::text]))),
    CONSTRAINT agent_task_variant CHECK (((experiment_id IS NULL) = (variant IS NULL)))
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_insert_scale_factor='0.05', autovacuum_analyze_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');
ALTER TABLE ONLY public.agent_task ALTER COLUMN reasoning_trace SET COMPRESSION lz4;
ALTER TABLE ONLY public.agent_task ALTER COLUMN inputs SET COMPRESSION lz4;

ALTER TABLE ONLY public.agent_task FORCE ROW LEVEL SECURITY;


ALTER TABLE public.agent_task OWNER TO leo_owner;

--
-- Name: TABLE agent_task; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.agent_task IS 'The flight recorder: every decision, why it was made, and the work that follows from it';


--
-- Name: COLUMN agent_task.task_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.task_id IS 'Deterministic id, from the source event for decisions';


--
-- Name: COLUMN agent_task.agent_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.agent_name IS 'Who decided: rules, or a model''s agent';


--
-- Name: COLUMN agent_task.task_type; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.task_type IS 'plan, execute or evaluate';


--
-- Name: COLUMN agent_task.campaign_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.campaign_id IS 'Campaign of the selected marketing event';


--
-- Name: COLUMN agent_task.marketing_event_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.marketing_event_id IS 'Selected marketing event';


--
-- Name: COLUMN agent_task.snapshot_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.snapshot_id IS 'Audience that the decision froze';


--
-- Name: COLUMN agent_task.profile_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.profile_id IS 'Whom it is about; NULL for plans';


--
-- Name: COLUMN agent_task.parent_task_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.parent_task_id IS 'Plan that this task carries out';


--
-- Name: COLUMN agent_task.source_event_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.source_event_id IS 'The caller''s id of the event';


--
-- Name: COLUMN agent_task.event_type; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.event_type IS 'Type of the event';


--
-- Name: COLUMN agent_task.occurred_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.occurred_at IS 'When the event happened: cooldowns count in this time';


--
-- Name: COLUMN agent_task.decided_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.decided_at IS 'The clock that the decision saw';


--
-- Name: COLUMN agent_task.input_sha256; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.input_sha256 IS 'Fingerprint of the event''s body: the same id with another body is refused';


--
-- Name: COLUMN agent_task.rule_bundle_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.rule_bundle_id IS 'Rule bundle that the decision used: the plan task that stores it';


--
-- Name: COLUMN agent_task.outcome; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.outcome IS 'send or suppressed; NULL while open';


--
-- Name: COLUMN agent_task.reason_code; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.reason_code IS 'Why, as data';


--
-- Name: COLUMN agent_task.reasoning_summary; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.reasoning_summary IS 'Why, in words; written once';


--
-- Name: COLUMN agent_task.reasoning_trace; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.reasoning_trace IS 'Every candidate with its reason, or the model''s steps; written once';


--
-- Name: COLUMN agent_task.inputs; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.inputs IS 'Everything that the decision may have used, for replay';


--
-- Name: COLUMN agent_task.result; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.result IS 'What came of it; written once';


--
-- Name: COLUMN agent_task.output_sha256; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.output_sha256 IS 'Fingerprint of the result; written once';


--
-- Name: COLUMN agent_task.related_news_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.related_news_id IS 'News item behind the decision';


--
-- Name: COLUMN agent_task.status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.status IS 'pending, paused (dispatches only), completed, failed or cancelled';


--
-- Name: COLUMN agent_task.queue; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.queue IS 'Work queue; for sends the first channel''s name';


--
-- Name: COLUMN agent_task.due_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.due_at IS 'Not to be claimed before';


--
-- Name: COLUMN agent_task.lease_owner; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.lease_owner IS 'Worker that claimed it';


--
-- Name: COLUMN agent_task.lease_until; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.lease_until IS 'When another may claim it';


--
-- Name: COLUMN agent_task.attempts; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.attempts IS 'Claims so far';


--
-- Name: COLUMN agent_task.experiment_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.experiment_id IS 'Experiment that the decision counts for; NULL: none';


--
-- Name: COLUMN agent_task.variant; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.variant IS 'What it sent, or holdout for what it held back';


--
-- Name: COLUMN agent_task.held_by; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.held_by IS 'What holds the delivery back that was due: a paused campaign or dispatch, or a suspended tenant';


--
-- Name: COLUMN agent_task.recorded_xid; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.agent_task.recorded_xid IS 'Transaction that recorded a firing: whoever watches asks for those that it has not seen; NULL for other tasks';


--
-- Name: alert_rules; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.alert_rules (
    tenant_id uuid NOT NULL,
    rule_id text NOT NULL COLLATE pg_catalog."C",
    profile_id text NOT NULL COLLATE pg_catalog."C",
    symbol text NOT NULL COLLATE pg_catalog."C",
    shard smallint GENERATED ALWAYS AS (public.leo_symbol_shard(symbol)) STORED,
    condition_logic jsonb NOT NULL,
    source text NOT NULL,
    marketing_event_id text COLLATE pg_catalog."C",
    cooldown_seconds bigint DEFAULT 0 NOT NULL,
    rearm boolean DEFAULT false NOT NULL,
    expires_at timestamp with time zone,
    generation bigint DEFAULT 1 NOT NULL,
    last_triggered_at timestamp with time zone,
    status text DEFAULT 'ACTIVE'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    own_instrument boolean DEFAULT false NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    last_fired_price_nanos bigint,
    changed_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    runtime jsonb,
    CONSTRAINT alert_rules_condition_logic_check CHECK ((jsonb_typeof(condition_logic) = 'object'::text)),
    CONSTRAINT alert_rules_cooldown_seconds_check CHECK ((cooldown_seconds >= 0)),
    CONSTRAINT alert_rules_generation_check CHECK ((generation > 0)),
    CONSTRAINT alert_rules_rule_id_check CHECK ((rule_id <> ''::text)),
    CONSTRAINT alert_rules_runtime_check CHECK ((jsonb_typeof(runtime) = 'object'::text)),
    CONSTRAINT alert_rules_source_check CHECK ((source = ANY (ARRAY['USER_MANUAL'::text, 'AI_AGENT'::text]))),
    CONSTRAINT alert_rules_status_check CHECK ((status = ANY (ARRAY['ACTIVE'::text, 'TRIGGERED'::text, 'EXPIRED'::text, 'DISABLED'::text]))),
    CONSTRAINT alert_rules_symbol_check CHECK ((symbol <> ''::text))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.05', autovacuum_analyze_scale_factor='0.02');

ALTER TABLE ONLY public.alert_rules FORCE ROW LEVEL SECURITY;


ALTER TABLE public.alert_rules OWNER TO leo_owner;

--
-- Name: TABLE alert_rules; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.alert_rules IS 'Monitoring rules of users and agents';


--
-- Name: COLUMN alert_rules.rule_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.rule_id IS 'Hash over owner, symbol and logic';


--
-- Name: COLUMN alert_rules.profile_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.profile_id IS 'Who is alerted';


--
-- Name: COLUMN alert_rules.symbol; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.symbol IS 'Symbol that is watched';


--
-- Name: COLUMN alert_rules.shard; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.shard IS 'Shard of the symbol, 0 to 63';


--
-- Name: COLUMN alert_rules.condition_logic; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.condition_logic IS 'e.g. {"operator": ">", "value": 150}';


--
-- Name: COLUMN alert_rules.source; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.source IS 'USER_MANUAL or AI_AGENT';


--
-- Name: COLUMN alert_rules.marketing_event_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.marketing_event_id IS 'What is sent when it fires';


--
-- Name: COLUMN alert_rules.cooldown_seconds; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.cooldown_seconds IS 'Least seconds between a firing and the next time that it is armed, by the times of ticks';


--
-- Name: COLUMN alert_rules.rearm; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.rearm IS 'Whether it goes on, as its next generation, after it has fired';


--
-- Name: COLUMN alert_rules.expires_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.expires_at IS 'It does not fire from then on; NULL: no end';


--
-- Name: COLUMN alert_rules.generation; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.generation IS 'Raised when the rule is put again; a firing is claimed once per generation';


--
-- Name: COLUMN alert_rules.last_triggered_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.last_triggered_at IS 'When it last fired';


--
-- Name: COLUMN alert_rules.status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.status IS 'ACTIVE, TRIGGERED, EXPIRED or DISABLED';


--
-- Name: COLUMN alert_rules.own_instrument; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.own_instrument IS 'Whether the symbol is the tenant''s own instrument, else a global one';


--
-- Name: COLUMN alert_rules.note; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.note IS 'Words for the message';


--
-- Name: COLUMN alert_rules.last_fired_price_nanos; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.last_fired_price_nanos IS 'Price of the tick that it last fired at, in 1e-9 units';


--
-- Name: COLUMN alert_rules.changed_xid; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.changed_xid IS 'Transaction that changed it last: an owner asks for what it has not seen';


--
-- Name: COLUMN alert_rules.runtime; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.alert_rules.runtime IS 'Where it is on its way to the next firing: since when it holds, or that it has fired; NULL: armed';


--
-- Name: alert_shard_epoch; Type: SEQUENCE; Schema: public; Owner: leo_owner
--

CREATE SEQUENCE public.alert_shard_epoch
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER SEQUENCE public.alert_shard_epoch OWNER TO leo_owner;

--
-- Name: SEQUENCE alert_shard_epoch; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON SEQUENCE public.alert_shard_epoch IS 'Each taking of alert shards gets its number; the highest one writes their prices';


--
-- Name: behavioral_events; Type: TABLE; Schema: public; Owner: leo_partition_maker
--

CREATE TABLE public.behavioral_events (
    tenant_id uuid NOT NULL,
    event_key text NOT NULL COLLATE pg_catalog."C",
    profile_id text NOT NULL COLLATE pg_catalog."C",
    source_event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL COLLATE pg_catalog."C",
    entity_type text,
    entity_id text COLLATE pg_catalog."C",
    sentiment_val integer,
    attributes jsonb DEFAULT '{}'::jsonb NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT behavioral_events_attributes_check CHECK ((jsonb_typeof(attributes) = 'object'::text)),
    CONSTRAINT behavioral_events_event_key_check CHECK ((event_key <> ''::text)),
    CONSTRAINT behavioral_events_event_type_check CHECK ((event_type <> ''::text)),
    CONSTRAINT behavioral_events_occurred_at CHECK (((occurred_at >= '1990-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at <= (now() + '1 day'::interval)))),
    CONSTRAINT behavioral_events_sentiment_val_check CHECK ((sentiment_val = ANY (ARRAY['-1'::integer, 0, 1])))
)
PARTITION BY RANGE (occurred_at);

ALTER TABLE ONLY public.behavioral_events FORCE ROW LEVEL SECURITY;


ALTER TABLE public.behavioral_events OWNER TO leo_partition_maker;

--
-- Name: TABLE behavioral_events; Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON TABLE public.behavioral_events IS 'What customers did: raw facts, one partition for each UTC month';


--
-- Name: COLUMN behavioral_events.event_key; Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON COLUMN public.behavioral_events.event_key IS 'Hash of the source''s event id';


--
-- Name: COLUMN behavioral_events.profile_id; Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON COLUMN public.behavioral_events.profile_id IS 'Who';


--
-- Name: COLUMN behavioral_events.source_event_id; Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON COLUMN public.behavioral_events.source_event_id IS 'The caller''s id of the event';


--
-- Name: COLUMN behavioral_events.event_type; Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON COLUMN public.behavioral_events.event_type IS 'What, e.g. VIEW, CLICK or purchase';


--
-- Name: COLUMN behavioral_events.entity_type; Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON COLUMN public.behavioral_events.entity_type IS 'What kind of thing it was done to, e.g. NEWS or CAMPAIGN';


--
-- Name: COLUMN behavioral_events.entity_id; Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON COLUMN public.behavioral_events.entity_id IS 'Which thing';


--
-- Name: COLUMN behavioral_events.sentiment_val; Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON COLUMN public.behavioral_events.sentiment_val IS '-1 negative, 0 neutral, 1 positive';


--
-- Name: COLUMN behavioral_events.attributes; Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON COLUMN public.behavioral_events.attributes IS 'Details of the event';


--
-- Name: COLUMN behavioral_events.occurred_at; Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON COLUMN public.behavioral_events.occurred_at IS 'When it happened: 1990 to one day ahead';


--
-- Name: campaign; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.campaign (
    tenant_id uuid NOT NULL,
    campaign_id text NOT NULL COLLATE pg_catalog."C",
    campaign_code text NOT NULL COLLATE pg_catalog."C",
    campaign_name text NOT NULL,
    objective text NOT NULL,
    status text DEFAULT 'draft'::text NOT NULL,
    start_at timestamp with time zone,
    end_at timestamp with time zone,
    audience jsonb,
    frequency_caps jsonb DEFAULT '[]'::jsonb NOT NULL,
    quiet_hours jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT campaign_audience_check CHECK ((audience ?& ARRAY['name'::text, 'condition'::text, 'version'::text])),
    CONSTRAINT campaign_campaign_code_check CHECK ((campaign_code <> ''::text)),
    CONSTRAINT campaign_campaign_id_check CHECK ((campaign_id <> ''::text)),
    CONSTRAINT campaign_campaign_name_check CHECK ((campaign_name <> ''::text)),
    CONSTRAINT campaign_frequency_caps_check CHECK ((jsonb_typeof(frequency_caps) = 'array'::text)),
    CONSTRAINT campaign_period CHECK ((end_at > start_at)),
    CONSTRAINT campaign_quiet_hours_check CHECK ((jsonb_typeof(quiet_hours) = 'object'::text)),
    CONSTRAINT campaign_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'active'::text, 'paused'::text, 'completed'::text])))
);

ALTER TABLE ONLY public.campaign FORCE ROW LEVEL SECURITY;


ALTER TABLE public.campaign OWNER TO leo_owner;

--
-- Name: TABLE campaign; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.campaign IS 'Business intent: why activation exists. Sends nothing itself';


--
-- Name: COLUMN campaign.campaign_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.campaign.campaign_id IS 'Id of the campaign within its tenant';


--
-- Name: COLUMN campaign.campaign_code; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.campaign.campaign_code IS 'Business code, e.g. SUMMER-2026, unique per tenant';


--
-- Name: COLUMN campaign.campaign_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.campaign.campaign_name IS 'Human-readable name';


--
-- Name: COLUMN campaign.objective; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.campaign.objective IS 'What it is for, e.g. AWARENESS or CONVERSION';


--
-- Name: COLUMN campaign.status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.campaign.status IS 'draft, active, paused or completed';


--
-- Name: COLUMN campaign.start_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.campaign.start_at IS 'Not before; NULL: no bound';


--
-- Name: COLUMN campaign.end_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.campaign.end_at IS 'Not from then on; NULL: no bound';


--
-- Name: COLUMN campaign.audience; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.campaign.audience IS 'Named segment: {"name", "condition", "version"}, version being the hash of the condition; NULL: everybody';


--
-- Name: COLUMN campaign.frequency_caps; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.campaign.frequency_caps IS 'Array of caps on sends per window';


--
-- Name: COLUMN campaign.quiet_hours; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.campaign.quiet_hours IS 'When nothing is sent, in the profile''s time zone; NULL: the tenant''s default';


--
-- Name: cdp_profiles; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.cdp_profiles (
    tenant_id uuid NOT NULL,
    profile_id text NOT NULL COLLATE pg_catalog."C",
    ext_id text COLLATE pg_catalog."C",
    identities jsonb DEFAULT '[]'::jsonb NOT NULL,
    primary_email public.citext,
    mobile_number text,
    living_location text,
    latitude double precision,
    longitude double precision,
    job_titles jsonb DEFAULT '[]'::jsonb NOT NULL,
    interests jsonb DEFAULT '[]'::jsonb NOT NULL,
    data_labels jsonb DEFAULT '[]'::jsonb NOT NULL,
    segments jsonb DEFAULT '[]'::jsonb NOT NULL,
    segment_snapshots jsonb DEFAULT '[]'::jsonb NOT NULL,
    portfolio_snapshot jsonb DEFAULT '{}'::jsonb NOT NULL,
    portfolio_risk_score numeric(3,2),
    raw_attributes jsonb DEFAULT '{}'::jsonb NOT NULL,
    channel_addresses jsonb DEFAULT '{}'::jsonb NOT NULL,
    language text,
    time_zone text,
    interest_embedding public.vector(1536),
    source_updated_at timestamp with time zone,
    erased_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    interest_embedding_model text,
    field_times jsonb DEFAULT '{}'::jsonb NOT NULL,
    evaluated_segments jsonb DEFAULT '[]'::jsonb NOT NULL,
    segment_labels jsonb,
    suppression text[],
    CONSTRAINT cdp_profiles_channel_addresses_check CHECK ((jsonb_typeof(channel_addresses) = 'object'::text)),
    CONSTRAINT cdp_profiles_data_labels_check CHECK ((jsonb_typeof(data_labels) = 'array'::text)),
    CONSTRAINT cdp_profiles_evaluated_segments_check CHECK ((jsonb_typeof(evaluated_segments) = 'array'::text)),
    CONSTRAINT cdp_profiles_field_times_check CHECK ((jsonb_typeof(field_times) = 'object'::text)),
    CONSTRAINT cdp_profiles_identities_check CHECK ((jsonb_typeof(identities) = 'array'::text)),
    CONSTRAINT cdp_profiles_interests_check CHECK ((jsonb_typeof(interests) = 'array'::text)),
    CONSTRAINT cdp_profiles_job_titles_check CHECK ((jsonb_typeof(job_titles) = 'array'::text)),
    CONSTRAINT cdp_profiles_latitude_check CHECK (((latitude >= ('-90'::integer)::double precision) AND (latitude <= (90)::double precision))),
    CONSTRAINT cdp_profiles_longitude_check CHECK (((longitude >= ('-180'::integer)::double precision) AND (longitude <= (180)::double precision))),
    CONSTRAINT cdp_profiles_portfolio_risk_score_check CHECK (((portfolio_risk_score >= (0)::numeric) AND (portfolio_risk_score <= (1)::numeric))),
    CONSTRAINT cdp_profiles_portfolio_snapshot_check CHECK ((jsonb_typeof(portfolio_snapshot) = 'object'::text)),
    CONSTRAINT cdp_profiles_profile_id_check CHECK ((profile_id <> ''::text)),
    CONSTRAINT cdp_profiles_raw_attributes_check CHECK ((jsonb_typeof(raw_attributes) = 'object'::text)),
    CONSTRAINT cdp_profiles_segment_labels_check CHECK ((jsonb_typeof(segment_labels) = 'array'::text)),
    CONSTRAINT cdp_profiles_segment_snapshots_check CHECK ((jsonb_typeof(segment_snapshots) = 'array'::text)),
    CONSTRAINT cdp_profiles_segments_check CHECK ((jsonb_typeof(segments) = 'array'::text))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_analyze_scale_factor='0.02');

ALTER TABLE ONLY public.cdp_profiles FORCE ROW LEVEL SECURITY;


ALTER TABLE public.cdp_profiles OWNER TO leo_owner;

--
-- Name: TABLE cdp_profiles; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.cdp_profiles IS 'The unified snapshot of a customer: not a user, and evaluated anew rather than edited';


--
-- Name: COLUMN cdp_profiles.profile_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.profile_id IS 'The source''s id; must not itself be personal, since append-only rows keep it';


--
-- Name: COLUMN cdp_profiles.ext_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.ext_id IS 'Id in the CRM or ERP, by which the sync upserts';


--
-- Name: COLUMN cdp_profiles.identities; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.identities IS 'All known ids, e.g. ["email:a@b.com", "crm:123"]';


--
-- Name: COLUMN cdp_profiles.primary_email; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.primary_email IS 'E-mail address, compared without case';


--
-- Name: COLUMN cdp_profiles.mobile_number; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.mobile_number IS 'Telephone number, E.164';


--
-- Name: COLUMN cdp_profiles.living_location; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.living_location IS 'Place of living, in words';


--
-- Name: COLUMN cdp_profiles.latitude; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.latitude IS 'Degrees north, -90 to 90';


--
-- Name: COLUMN cdp_profiles.longitude; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.longitude IS 'Degrees east, -180 to 180';


--
-- Name: COLUMN cdp_profiles.job_titles; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.job_titles IS 'Array of titles';


--
-- Name: COLUMN cdp_profiles.interests; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.interests IS 'Array of interests';


--
-- Name: COLUMN cdp_profiles.data_labels; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.data_labels IS 'Array of classification labels';


--
-- Name: COLUMN cdp_profiles.segments; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.segments IS 'Array of the labels of the profile, then of the named segments that it was last found in: what rules read';


--
-- Name: COLUMN cdp_profiles.segment_snapshots; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.segment_snapshots IS 'Array of the ids of the snapshots that ever held the profile; only grows, at its end';


--
-- Name: COLUMN cdp_profiles.portfolio_snapshot; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.portfolio_snapshot IS 'Current holdings: cash and positions';


--
-- Name: COLUMN cdp_profiles.portfolio_risk_score; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.portfolio_risk_score IS 'Risk tolerance, 0.00 to 1.00';


--
-- Name: COLUMN cdp_profiles.raw_attributes; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.raw_attributes IS 'Whatever else the sources know';


--
-- Name: COLUMN cdp_profiles.channel_addresses; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.channel_addresses IS 'Channel to address, or to a list of addresses; e-mail falls back to primary_email';


--
-- Name: COLUMN cdp_profiles.language; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.language IS 'Preferred language, BCP 47';


--
-- Name: COLUMN cdp_profiles.time_zone; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.time_zone IS 'IANA time zone, for quiet hours';


--
-- Name: COLUMN cdp_profiles.interest_embedding; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.interest_embedding IS 'Semantic summary of the interests, 1,536 dimensions';


--
-- Name: COLUMN cdp_profiles.source_updated_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.source_updated_at IS 'When the source last changed the profile';


--
-- Name: COLUMN cdp_profiles.erased_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.erased_at IS 'When erase_profile redacted the profile; NULL: it did not';


--
-- Name: COLUMN cdp_profiles.interest_embedding_model; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.interest_embedding_model IS 'Model of interest_embedding: vectors of different models do not compare';


--
-- Name: COLUMN cdp_profiles.field_times; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.field_times IS 'Source times of fields, in microseconds since 1970, where they differ from the time of most ("", else source_updated_at)';


--
-- Name: COLUMN cdp_profiles.evaluated_segments; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.evaluated_segments IS 'Array of the names of the named segments that the profile was last found in, in code-point order';


--
-- Name: COLUMN cdp_profiles.segment_labels; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.segment_labels IS 'The labels among segments, as sources bring them; NULL: all of segments are labels';


--
-- Name: COLUMN cdp_profiles.suppression; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.cdp_profiles.suppression IS 'Keyed hashes of the names of an erased person, by which nobody brings the person back; NULL: of nobody';


--
-- Name: consent_management; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.consent_management (
    tenant_id uuid NOT NULL,
    profile_id text NOT NULL COLLATE pg_catalog."C",
    channel text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL,
    legal_basis text NOT NULL,
    source text NOT NULL,
    granted_at timestamp with time zone NOT NULL,
    withdrawn_at timestamp with time zone,
    expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    stated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT consent_management_channel_check CHECK ((channel <> ''::text)),
    CONSTRAINT consent_management_legal_basis_check CHECK ((legal_basis <> ''::text)),
    CONSTRAINT consent_management_source_check CHECK ((source <> ''::text)),
    CONSTRAINT consent_management_status_check CHECK ((status = ANY (ARRAY['granted'::text, 'withdrawn'::text])))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.05', autovacuum_analyze_scale_factor='0.02');

ALTER TABLE ONLY public.consent_management FORCE ROW LEVEL SECURITY;


ALTER TABLE public.consent_management OWNER TO leo_owner;

--
-- Name: TABLE consent_management; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.consent_management IS 'What a customer agreed to, per channel: overrides campaigns, agents and rules';


--
-- Name: COLUMN consent_management.profile_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.consent_management.profile_id IS 'Whose consent';


--
-- Name: COLUMN consent_management.channel; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.consent_management.channel IS 'For which channel, lower case';


--
-- Name: COLUMN consent_management.status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.consent_management.status IS 'granted or withdrawn';


--
-- Name: COLUMN consent_management.legal_basis; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.consent_management.legal_basis IS 'Legal ground, e.g. consent or contract (GDPR art. 6)';


--
-- Name: COLUMN consent_management.source; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.consent_management.source IS 'Where it was given or withdrawn';


--
-- Name: COLUMN consent_management.granted_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.consent_management.granted_at IS 'When it was granted';


--
-- Name: COLUMN consent_management.withdrawn_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.consent_management.withdrawn_at IS 'When it was withdrawn';


--
-- Name: COLUMN consent_management.expires_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.consent_management.expires_at IS 'Until when it holds; NULL: no end';


--
-- Name: COLUMN consent_management.stated_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.consent_management.stated_at IS 'When the customer last said so: of two statements the later counts';


--
-- Name: data_sources; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.data_sources (
    tenant_id uuid NOT NULL,
    source_id text NOT NULL COLLATE pg_catalog."C",
    source_name text NOT NULL,
    source_type text NOT NULL,
    connection jsonb DEFAULT '{}'::jsonb NOT NULL,
    sync_frequency_seconds bigint,
    sync_cursor jsonb DEFAULT '{}'::jsonb NOT NULL,
    last_sync_at timestamp with time zone,
    last_success_at timestamp with time zone,
    last_error text,
    ingested_count bigint DEFAULT 0 NOT NULL,
    health text DEFAULT 'unknown'::text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    mapping jsonb DEFAULT '{}'::jsonb NOT NULL,
    secret jsonb,
    stale_after_seconds bigint,
    due_at timestamp with time zone,
    requested_at timestamp with time zone,
    lease_owner text,
    lease_until timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    synced_until timestamp with time zone,
    read_count bigint DEFAULT 0 NOT NULL,
    rejected_count bigint DEFAULT 0 NOT NULL,
    suppressed_count bigint DEFAULT 0 NOT NULL,
    deleted_count bigint DEFAULT 0 NOT NULL,
    last_run jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT data_sources_connection_check CHECK ((jsonb_typeof(connection) = 'object'::text)),
    CONSTRAINT data_sources_deleted_count_check CHECK ((deleted_count >= 0)),
    CONSTRAINT data_sources_failures_check CHECK ((failures >= 0)),
    CONSTRAINT data_sources_health_check CHECK ((health = ANY (ARRAY['unknown'::text, 'healthy'::text, 'degraded'::text, 'failing'::text]))),
    CONSTRAINT data_sources_ingested_count_check CHECK ((ingested_count >= 0)),
    CONSTRAINT data_sources_last_run_check CHECK ((jsonb_typeof(last_run) = 'object'::text)),
    CONSTRAINT data_sources_mapping_check CHECK ((jsonb_typeof(mapping) = 'object'::text)),
    CONSTRAINT data_sources_read_count_check CHECK ((read_count >= 0)),
    CONSTRAINT data_sources_rejected_count_check CHECK ((rejected_count >= 0)),
    CONSTRAINT data_sources_secret_check CHECK ((jsonb_typeof(secret) = 'object'::text)),
    CONSTRAINT data_sources_source_name_check CHECK ((source_name <> ''::text)),
    CONSTRAINT data_sources_source_type_check CHECK ((source_type <> ''::text)),
    CONSTRAINT data_sources_stale_after_seconds_check CHECK ((stale_after_seconds > 0)),
    CONSTRAINT data_sources_status_check CHECK ((status = ANY (ARRAY['active'::text, 'paused'::text]))),
    CONSTRAINT data_sources_suppressed_count_check CHECK ((suppressed_count >= 0)),
    CONSTRAINT data_sources_sync_cursor_check CHECK ((jsonb_typeof(sync_cursor) = 'object'::text)),
    CONSTRAINT data_sources_sync_frequency_seconds_check CHECK ((sync_frequency_seconds > 0))
);

ALTER TABLE ONLY public.data_sources FORCE ROW LEVEL SECURITY;


ALTER TABLE public.data_sources OWNER TO leo_owner;

--
-- Name: TABLE data_sources; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.data_sources IS 'Where data originates, how often it is synchronised, and how well that goes';


--
-- Name: COLUMN data_sources.source_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.source_id IS 'Id of the source within its tenant';


--
-- Name: COLUMN data_sources.source_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.source_name IS 'Human-readable name';


--
-- Name: COLUMN data_sources.source_type; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.source_type IS 'Kind of source: arangodb, postgresql or file';


--
-- Name: COLUMN data_sources.connection; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.connection IS 'How to reach it; no secrets';


--
-- Name: COLUMN data_sources.sync_frequency_seconds; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.sync_frequency_seconds IS 'Seconds between two synchronisations; NULL: only on request';


--
-- Name: COLUMN data_sources.sync_cursor; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.sync_cursor IS 'How far the last synchronisation came: where the next one goes on';


--
-- Name: COLUMN data_sources.last_sync_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.last_sync_at IS 'When a synchronisation last ran';


--
-- Name: COLUMN data_sources.last_success_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.last_success_at IS 'When one last succeeded';


--
-- Name: COLUMN data_sources.last_error; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.last_error IS 'What went wrong last; NULL after a success';


--
-- Name: COLUMN data_sources.ingested_count; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.ingested_count IS 'Documents so far that created or changed a profile';


--
-- Name: COLUMN data_sources.health; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.health IS 'unknown, healthy, degraded or failing';


--
-- Name: COLUMN data_sources.status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.status IS 'active or paused';


--
-- Name: COLUMN data_sources.mapping; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.mapping IS 'How a document becomes a profile: the mapping language of leo import';


--
-- Name: COLUMN data_sources.secret; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.secret IS 'The password, encrypted; bound to tenant and source';


--
-- Name: COLUMN data_sources.stale_after_seconds; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.stale_after_seconds IS 'After so long without a success the source is stale; NULL: never';


--
-- Name: COLUMN data_sources.due_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.due_at IS 'When it is synchronised next; NULL: only on request';


--
-- Name: COLUMN data_sources.requested_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.requested_at IS 'When a synchronisation was last asked for';


--
-- Name: COLUMN data_sources.lease_owner; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.lease_owner IS 'The run that works on it; every page is fenced by it';


--
-- Name: COLUMN data_sources.lease_until; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.lease_until IS 'When another run may take over; each page moves it on';


--
-- Name: COLUMN data_sources.failures; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.failures IS 'Runs that failed since the last success';


--
-- Name: COLUMN data_sources.synced_until; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.synced_until IS 'What the source knew until then has been taken in: the lag is its age';


--
-- Name: COLUMN data_sources.read_count; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.read_count IS 'Documents read so far';


--
-- Name: COLUMN data_sources.rejected_count; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.rejected_count IS 'Documents so far that were not good';


--
-- Name: COLUMN data_sources.suppressed_count; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.suppressed_count IS 'Documents so far of people who were erased';


--
-- Name: COLUMN data_sources.deleted_count; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.deleted_count IS 'Deletions so far that ended a profile''s consents';


--
-- Name: COLUMN data_sources.last_run; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.data_sources.last_run IS 'What the run that is under way, or the last one, came to, with reasons of rejects';


--
-- Name: delivery_log; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.delivery_log (
    tenant_id uuid NOT NULL,
    delivery_id bigint NOT NULL,
    delivery_key text NOT NULL COLLATE pg_catalog."C",
    attempt integer DEFAULT 1 NOT NULL,
    task_id text NOT NULL COLLATE pg_catalog."C",
    marketing_event_id text NOT NULL COLLATE pg_catalog."C",
    campaign_id text COLLATE pg_catalog."C",
    profile_id text NOT NULL COLLATE pg_catalog."C",
    snapshot_id text NOT NULL COLLATE pg_catalog."C",
    channel text NOT NULL COLLATE pg_catalog."C",
    destination text,
    delivery_status text NOT NULL,
    reason text,
    subject text,
    body text,
    provider_message_id text COLLATE pg_catalog."C",
    provider_response jsonb,
    sent_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    series integer DEFAULT 1 NOT NULL,
    CONSTRAINT delivery_log_attempt_check CHECK ((attempt >= 0)),
    CONSTRAINT delivery_log_channel_check CHECK ((channel <> ''::text)),
    CONSTRAINT delivery_log_delivery_key_check CHECK ((delivery_key <> ''::text)),
    CONSTRAINT delivery_log_delivery_status_check CHECK ((delivery_status = ANY (ARRAY['queued'::text, 'suppressed'::text, 'sending'::text, 'deferred'::text, 'sent'::text, 'delivered'::text, 'read'::text, 'bounced'::text, 'failed'::text, 'unknown'::text, 'cancelled'::text, 'expired'::text]))),
    CONSTRAINT delivery_log_series_check CHECK ((series > 0))
)
WITH (autovacuum_vacuum_insert_scale_factor='0.05', autovacuum_analyze_scale_factor='0.02');

ALTER TABLE ONLY public.delivery_log FORCE ROW LEVEL SECURITY;


ALTER TABLE public.delivery_log OWNER TO leo_owner;

--
-- Name: TABLE delivery_log; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.delivery_log IS 'The single truth about outbound messages: if it is not here, it did not happen';


--
-- Name: COLUMN delivery_log.delivery_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.delivery_id IS 'Order of appending';


--
-- Name: COLUMN delivery_log.delivery_key; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.delivery_key IS 'Hash over task and channel: all rows of one delivery';


--
-- Name: COLUMN delivery_log.attempt; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.attempt IS 'Counts up from 1';


--
-- Name: COLUMN delivery_log.task_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.task_id IS 'Decision behind the message';


--
-- Name: COLUMN delivery_log.marketing_event_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.marketing_event_id IS 'Definition that was sent';


--
-- Name: COLUMN delivery_log.campaign_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.campaign_id IS 'Its campaign';


--
-- Name: COLUMN delivery_log.profile_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.profile_id IS 'Recipient';


--
-- Name: COLUMN delivery_log.snapshot_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.snapshot_id IS 'Frozen audience that holds the recipient';


--
-- Name: COLUMN delivery_log.channel; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.channel IS 'Channel, lower case';


--
-- Name: COLUMN delivery_log.destination; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.destination IS 'Address that was used';


--
-- Name: COLUMN delivery_log.delivery_status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.delivery_status IS 'queued, sending, deferred, unknown, suppressed, cancelled, expired, failed, sent, delivered, bounced or read';


--
-- Name: COLUMN delivery_log.reason; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.reason IS 'Why suppressed, failed or cancelled';


--
-- Name: COLUMN delivery_log.subject; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.subject IS 'Subject as rendered';


--
-- Name: COLUMN delivery_log.body; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.body IS 'Body as rendered';


--
-- Name: COLUMN delivery_log.provider_message_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.provider_message_id IS 'The provider''s id of the message, by which its webhooks refer to it';


--
-- Name: COLUMN delivery_log.provider_response; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.provider_response IS 'The provider''s answer';


--
-- Name: COLUMN delivery_log.sent_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.sent_at IS 'When the provider accepted it';


--
-- Name: COLUMN delivery_log.series; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.delivery_log.series IS 'Series of attempts, from 1: a delivery that is queued again begins a new one';


--
-- Name: delivery_current; Type: VIEW; Schema: public; Owner: leo_owner
--

CREATE VIEW public.delivery_current WITH (security_invoker='true') AS
 SELECT DISTINCT ON (tenant_id, profile_id, task_id, delivery_key) tenant_id,
    delivery_id,
    delivery_key,
    attempt,
    task_id,
    marketing_event_id,
    campaign_id,
    profile_id,
    snapshot_id,
    channel,
    destination,
    delivery_status,
    reason,
    subject,
    body,
    provider_message_id,
    provider_response,
    sent_at,
    created_at,
    series
   FROM public.delivery_log
  ORDER BY tenant_id, profile_id, task_id, delivery_key, (public.leo_delivery_standing(series, delivery_status)) DESC, attempt DESC, delivery_id DESC;


ALTER VIEW public.delivery_current OWNER TO leo_owner;

--
-- Name: VIEW delivery_current; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON VIEW public.delivery_current IS 'One row for each delivery: the appended row of the highest standing; a status never goes backwards in a series';


--
-- Name: delivery_log_delivery_id_seq; Type: SEQUENCE; Schema: public; Owner: leo_owner
--

ALTER TABLE public.delivery_log ALTER COLUMN delivery_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.delivery_log_delivery_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: embedding_job; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.embedding_job (
    tenant_id uuid,
    entity_type text NOT NULL COLLATE pg_catalog."C",
    entity_id text NOT NULL COLLATE pg_catalog."C",
    input_sha256 text COLLATE pg_catalog."C",
    model text,
    status text DEFAULT 'pending'::text NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    lease_owner text,
    lease_until timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    vector_signs bit(1536),
    CONSTRAINT embedding_job_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT embedding_job_entity_id_check CHECK ((entity_id <> ''::text)),
    CONSTRAINT embedding_job_entity_type_check CHECK ((entity_type = ANY (ARRAY['profile'::text, 'marketing_event'::text, 'news'::text, 'profile_vector'::text]))),
    CONSTRAINT embedding_job_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.02', autovacuum_analyze_scale_factor='0.02');

ALTER TABLE ONLY public.embedding_job FORCE ROW LEVEL SECURITY;


ALTER TABLE public.embedding_job OWNER TO leo_owner;

--
-- Name: TABLE embedding_job; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.embedding_job IS 'Queue of texts to embed: one job for each thing that has an embedding. Those of global news have no tenant';


--
-- Name: COLUMN embedding_job.entity_type; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.embedding_job.entity_type IS 'profile, marketing_event or news; profile_vector is no job, but holds what a search finds the vector of a profile by';


--
-- Name: COLUMN embedding_job.entity_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.embedding_job.entity_id IS 'Which one';


--
-- Name: COLUMN embedding_job.input_sha256; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.embedding_job.input_sha256 IS 'Hash of the text that was embedded: unchanged text is not embedded again';


--
-- Name: COLUMN embedding_job.model; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.embedding_job.model IS 'Model that did it';


--
-- Name: COLUMN embedding_job.status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.embedding_job.status IS 'pending, completed, failed (dead until somebody requeues it) or cancelled';


--
-- Name: COLUMN embedding_job.due_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.embedding_job.due_at IS 'Not to be claimed before';


--
-- Name: COLUMN embedding_job.lease_owner; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.embedding_job.lease_owner IS 'Worker that claimed it';


--
-- Name: COLUMN embedding_job.lease_until; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.embedding_job.lease_until IS 'When another may claim it';


--
-- Name: COLUMN embedding_job.attempts; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.embedding_job.attempts IS 'Claims so far, less those that an outage of the model cut short';


--
-- Name: COLUMN embedding_job.last_error; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.embedding_job.last_error IS 'What went wrong last';


--
-- Name: COLUMN embedding_job.vector_signs; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.embedding_job.vector_signs IS 'Signs of the vector of a profile (profile_vector); NULL: it has none. A trigger of cdp_profiles keeps them';


--
-- Name: instruments; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.instruments (
    tenant_id uuid,
    symbol text NOT NULL COLLATE pg_catalog."C",
    instrument_name text NOT NULL,
    type text NOT NULL,
    currency text,
    exchange text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT instruments_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT instruments_status_check CHECK ((status = ANY (ARRAY['active'::text, 'inactive'::text]))),
    CONSTRAINT instruments_symbol_check CHECK ((symbol <> ''::text)),
    CONSTRAINT instruments_type_check CHECK ((type = ANY (ARRAY['STOCK'::text, 'CRYPTO'::text, 'FX'::text, 'INDEX'::text, 'FUND'::text, 'COMMODITY'::text])))
);

ALTER TABLE ONLY public.instruments FORCE ROW LEVEL SECURITY;


ALTER TABLE public.instruments OWNER TO leo_owner;

--
-- Name: TABLE instruments; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.instruments IS 'Tradable assets; a row without a tenant is global';


--
-- Name: COLUMN instruments.symbol; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.instruments.symbol IS 'Ticker, e.g. AAPL or BTC-USD';


--
-- Name: COLUMN instruments.instrument_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.instruments.instrument_name IS 'Human-readable name';


--
-- Name: COLUMN instruments.type; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.instruments.type IS 'STOCK, CRYPTO, FX, INDEX, FUND or COMMODITY';


--
-- Name: COLUMN instruments.currency; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.instruments.currency IS 'Currency of its prices, ISO 4217';


--
-- Name: COLUMN instruments.exchange; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.instruments.exchange IS 'Where it is traded';


--
-- Name: COLUMN instruments.metadata; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.instruments.metadata IS 'Other reference data';


--
-- Name: COLUMN instruments.status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.instruments.status IS 'active or inactive';


--
-- Name: market_snapshot; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.market_snapshot (
    tenant_id uuid,
    symbol text NOT NULL COLLATE pg_catalog."C",
    price_nanos bigint NOT NULL,
    price numeric GENERATED ALWAYS AS (((price_nanos)::numeric * 0.000000001)) STORED,
    change_percent numeric,
    epoch bigint DEFAULT 0 NOT NULL,
    observed_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    history jsonb DEFAULT '{}'::jsonb NOT NULL,
    previous_price_nanos bigint,
    feed text DEFAULT ''::text NOT NULL,
    sequence bigint DEFAULT 0 NOT NULL,
    volume_micros bigint DEFAULT 0 NOT NULL,
    CONSTRAINT market_snapshot_history_check CHECK ((jsonb_typeof(history) = 'object'::text)),
    CONSTRAINT market_snapshot_price_nanos_check CHECK ((price_nanos >= 0)),
    CONSTRAINT market_snapshot_symbol_check CHECK ((symbol <> ''::text))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY public.market_snapshot FORCE ROW LEVEL SECURITY;


ALTER TABLE public.market_snapshot OWNER TO leo_owner;

--
-- Name: TABLE market_snapshot; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.market_snapshot IS 'The current price of each symbol, and what the alert engine knows about it';


--
-- Name: COLUMN market_snapshot.symbol; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.market_snapshot.symbol IS 'Ticker';


--
-- Name: COLUMN market_snapshot.price_nanos; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.market_snapshot.price_nanos IS 'Price in 1e-9 units';


--
-- Name: COLUMN market_snapshot.price; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.market_snapshot.price IS 'The same as a decimal';


--
-- Name: COLUMN market_snapshot.change_percent; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.market_snapshot.change_percent IS 'Change over 24 h, percent';


--
-- Name: COLUMN market_snapshot.epoch; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.market_snapshot.epoch IS 'Epoch of the shard owner that wrote it: fences an owner that lost the shard';


--
-- Name: COLUMN market_snapshot.observed_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.market_snapshot.observed_at IS 'Time of the last tick';


--
-- Name: COLUMN market_snapshot.history; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.market_snapshot.history IS 'What it writes where it changed: high and low of the day, those of days before, the last 24 hours, windows';


--
-- Name: COLUMN market_snapshot.previous_price_nanos; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.market_snapshot.previous_price_nanos IS 'The price before, in 1e-9 units; NULL where there was none';


--
-- Name: COLUMN market_snapshot.feed; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.market_snapshot.feed IS 'The feed that the last tick came from; empty for none';


--
-- Name: COLUMN market_snapshot.sequence; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.market_snapshot.sequence IS 'Place of the last tick in its feed; 0 for none';


--
-- Name: COLUMN market_snapshot.volume_micros; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.market_snapshot.volume_micros IS 'Volume of the day so far, in 1e-6 units';


--
-- Name: marketing_event; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.marketing_event (
    tenant_id uuid NOT NULL,
    marketing_event_id text NOT NULL COLLATE pg_catalog."C",
    campaign_id text NOT NULL COLLATE pg_catalog."C",
    event_name text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL,
    event_channel text NOT NULL,
    channels jsonb DEFAULT '[]'::jsonb NOT NULL,
    trigger_event_type text,
    condition jsonb,
    template_name text NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    cooldown_seconds bigint DEFAULT 0 NOT NULL,
    start_at timestamp with time zone,
    end_at timestamp with time zone,
    description text DEFAULT ''::text NOT NULL,
    embedding public.vector(1536),
    status text DEFAULT 'planned'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    topic text COLLATE pg_catalog."C",
    valid_for_seconds bigint,
    receipt_seconds bigint,
    CONSTRAINT marketing_event_channels_check CHECK ((jsonb_typeof(channels) = 'array'::text)),
    CONSTRAINT marketing_event_cooldown_seconds_check CHECK ((cooldown_seconds >= 0)),
    CONSTRAINT marketing_event_event_channel_check CHECK ((event_channel <> ''::text)),
    CONSTRAINT marketing_event_event_name_check CHECK ((event_name <> ''::text)),
    CONSTRAINT marketing_event_event_type_check CHECK ((event_type = ANY (ARRAY['BROADCAST'::text, 'TRIGGER'::text, 'API'::text]))),
    CONSTRAINT marketing_event_first_channel CHECK (((channels ->> 0) = event_channel)),
    CONSTRAINT marketing_event_marketing_event_id_check CHECK ((marketing_event_id <> ''::text)),
    CONSTRAINT marketing_event_period CHECK ((end_at > start_at)),
    CONSTRAINT marketing_event_receipt_seconds_check CHECK ((receipt_seconds > 0)),
    CONSTRAINT marketing_event_status_check CHECK ((status = ANY (ARRAY['planned'::text, 'active'::text, 'cancelled'::text, 'superseded'::text]))),
    CONSTRAINT marketing_event_template_name_check CHECK ((template_name <> ''::text)),
    CONSTRAINT marketing_event_topic_check CHECK ((topic <> ''::text)),
    CONSTRAINT marketing_event_valid_for_seconds_check CHECK ((valid_for_seconds > 0))
)
PARTITION BY HASH (tenant_id);

ALTER TABLE ONLY public.marketing_event FORCE ROW LEVEL SECURITY;


ALTER TABLE public.marketing_event OWNER TO leo_owner;

--
-- Name: TABLE marketing_event; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.marketing_event IS 'What may happen: an action, its channels, timing and template. Content-addressed, never edited';


--
-- Name: COLUMN marketing_event.marketing_event_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.marketing_event_id IS 'Hash of the definition''s content';


--
-- Name: COLUMN marketing_event.campaign_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.campaign_id IS 'Campaign that it serves';


--
-- Name: COLUMN marketing_event.event_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.event_name IS 'Name, unique in its campaign among versions in use';


--
-- Name: COLUMN marketing_event.event_type; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.event_type IS 'BROADCAST, TRIGGER or API';


--
-- Name: COLUMN marketing_event.event_channel; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.event_channel IS 'First channel';


--
-- Name: COLUMN marketing_event.channels; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.channels IS 'Ordered channels: the first, then the fallbacks';


--
-- Name: COLUMN marketing_event.trigger_event_type; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.trigger_event_type IS 'Type of behavioural event that makes it a candidate; NULL: any, or dispatch only';


--
-- Name: COLUMN marketing_event.condition; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.condition IS 'Condition tree; NULL: always';


--
-- Name: COLUMN marketing_event.template_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.template_name IS 'Template, chosen per channel and language';


--
-- Name: COLUMN marketing_event.priority; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.priority IS 'The higher wins';


--
-- Name: COLUMN marketing_event.cooldown_seconds; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.cooldown_seconds IS 'Least seconds of event time between two sends to one profile';


--
-- Name: COLUMN marketing_event.start_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.start_at IS 'Not before; NULL: no bound';


--
-- Name: COLUMN marketing_event.end_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.end_at IS 'Not from then on; NULL: no bound';


--
-- Name: COLUMN marketing_event.description; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.description IS 'What it is, in words: the text that is embedded';


--
-- Name: COLUMN marketing_event.embedding; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.embedding IS 'Semantic vector of the description, 1,536 dimensions';


--
-- Name: COLUMN marketing_event.status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.status IS 'planned, active, cancelled or superseded (by a changed definition)';


--
-- Name: COLUMN marketing_event.topic; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.topic IS 'What it is about, for caps that count one topic; NULL: counted by none of them';


--
-- Name: COLUMN marketing_event.valid_for_seconds; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.valid_for_seconds IS 'How long after the event a message may still be sent; NULL: for ever';


--
-- Name: COLUMN marketing_event.receipt_seconds; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.marketing_event.receipt_seconds IS 'How long the provider''s receipt is waited for before the next channel is tried; NULL: not at all';


--
-- Name: message_templates; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.message_templates (
    tenant_id uuid NOT NULL,
    template_id uuid NOT NULL,
    template_name text NOT NULL COLLATE pg_catalog."C",
    channel text NOT NULL COLLATE pg_catalog."C",
    language text DEFAULT 'default'::text NOT NULL COLLATE pg_catalog."C",
    subject_template text,
    body_template text NOT NULL,
    template_engine text DEFAULT 'jinja2'::text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    version integer NOT NULL,
    status text DEFAULT 'draft'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    required_variables jsonb DEFAULT '[]'::jsonb NOT NULL,
    CONSTRAINT message_templates_channel_check CHECK ((channel <> ''::text)),
    CONSTRAINT message_templates_language_check CHECK ((language <> ''::text)),
    CONSTRAINT message_templates_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT message_templates_required_variables_check CHECK ((jsonb_typeof(required_variables) = 'array'::text)),
    CONSTRAINT message_templates_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'active'::text, 'superseded'::text]))),
    CONSTRAINT message_templates_template_engine_check CHECK ((template_engine = ANY (ARRAY['jinja2'::text, 'liquid'::text]))),
    CONSTRAINT message_templates_template_name_check CHECK ((template_name <> ''::text)),
    CONSTRAINT message_templates_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY public.message_templates FORCE ROW LEVEL SECURITY;


ALTER TABLE public.message_templates OWNER TO leo_owner;

--
-- Name: TABLE message_templates; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.message_templates IS 'Canonical message definitions: blueprints by channel and language, versioned';


--
-- Name: COLUMN message_templates.template_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.message_templates.template_id IS 'First 16 bytes of the hash of the content';


--
-- Name: COLUMN message_templates.template_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.message_templates.template_name IS 'Name that marketing events refer to';


--
-- Name: COLUMN message_templates.channel; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.message_templates.channel IS 'Channel that it is written for';


--
-- Name: COLUMN message_templates.language; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.message_templates.language IS 'BCP 47, or default';


--
-- Name: COLUMN message_templates.subject_template; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.message_templates.subject_template IS 'Subject, where the channel has one';


--
-- Name: COLUMN message_templates.body_template; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.message_templates.body_template IS 'Body';


--
-- Name: COLUMN message_templates.template_engine; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.message_templates.template_engine IS 'jinja2 or liquid';


--
-- Name: COLUMN message_templates.metadata; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.message_templates.metadata IS 'What the provider needs besides, e.g. its own template id';


--
-- Name: COLUMN message_templates.version; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.message_templates.version IS 'Counts up from 1';


--
-- Name: COLUMN message_templates.status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.message_templates.status IS 'draft, active or superseded; one active per name, channel and language';


--
-- Name: COLUMN message_templates.required_variables; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.message_templates.required_variables IS 'Paths of the variables that every message needs, e.g. ["event", "amount"]; derived from the texts when it is put';


--
-- Name: news_feed; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.news_feed (
    tenant_id uuid,
    news_id bigint NOT NULL,
    content_sha256 text NOT NULL COLLATE pg_catalog."C",
    title text NOT NULL,
    content text DEFAULT ''::text NOT NULL,
    source_name text,
    source_url text,
    language text,
    published_at timestamp with time zone NOT NULL,
    related_symbols text[] DEFAULT '{}'::text[] NOT NULL,
    sentiment_score numeric(3,2),
    content_embedding public.vector(1536),
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    embedding_model text,
    symbol_days text[] GENERATED ALWAYS AS (public.leo_symbol_days(related_symbols, published_at)) STORED,
    search_document tsvector GENERATED ALWAYS AS ((setweight(to_tsvector('simple'::regconfig, public.leo_search_text(title)), 'A'::"char") || setweight(to_tsvector('simple'::regconfig, public.leo_search_text(content)), 'B'::"char"))) STORED,
    CONSTRAINT news_feed_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT news_feed_sentiment_score_check CHECK (((sentiment_score >= (0)::numeric) AND (sentiment_score <= (1)::numeric)))
);

ALTER TABLE ONLY public.news_feed FORCE ROW LEVEL SECURITY;


ALTER TABLE public.news_feed OWNER TO leo_owner;

--
-- Name: TABLE news_feed; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.news_feed IS 'Market news, enriched for search and for decisions; a row without a tenant is global';


--
-- Name: COLUMN news_feed.news_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.news_id IS 'Order of ingestion';


--
-- Name: COLUMN news_feed.content_sha256; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.content_sha256 IS 'Hash of source and URL, or of source and text where there is no URL: the same news once';


--
-- Name: COLUMN news_feed.title; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.title IS 'Headline';


--
-- Name: COLUMN news_feed.content; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.content IS 'Text';


--
-- Name: COLUMN news_feed.source_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.source_name IS 'Publisher';


--
-- Name: COLUMN news_feed.source_url; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.source_url IS 'Where it was published';


--
-- Name: COLUMN news_feed.language; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.language IS 'BCP 47';


--
-- Name: COLUMN news_feed.published_at; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.published_at IS 'When it was published';


--
-- Name: COLUMN news_feed.related_symbols; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.related_symbols IS 'Symbols that it mentions';


--
-- Name: COLUMN news_feed.sentiment_score; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.sentiment_score IS '0.00 (bad) to 1.00 (good)';


--
-- Name: COLUMN news_feed.content_embedding; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.content_embedding IS 'Semantic vector, 1,536 dimensions';


--
-- Name: COLUMN news_feed.metadata; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.metadata IS 'Other details';


--
-- Name: COLUMN news_feed.embedding_model; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.embedding_model IS 'Model of content_embedding: vectors of different models do not compare';


--
-- Name: COLUMN news_feed.symbol_days; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.symbol_days IS 'Each related symbol with the UTC day, e.g. "AAPL@20778": finds the newest news of a symbol';


--
-- Name: COLUMN news_feed.search_document; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.news_feed.search_document IS 'For full-text search, any language, without diacritics';


--
-- Name: news_feed_news_id_seq; Type: SEQUENCE; Schema: public; Owner: leo_owner
--

ALTER TABLE public.news_feed ALTER COLUMN news_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.news_feed_news_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: reservation_epoch; Type: SEQUENCE; Schema: public; Owner: leo_owner
--

CREATE SEQUENCE public.reservation_epoch
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;


ALTER SEQUENCE public.reservation_epoch OWNER TO leo_owner;

--
-- Name: SEQUENCE reservation_epoch; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON SEQUENCE public.reservation_epoch IS 'Epoch of the reservations; odd while Redis holds them, even while PostgreSQL does';


--
-- Name: schema_migrations; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);


ALTER TABLE public.schema_migrations OWNER TO leo_owner;

--
-- Name: segment_snapshot; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.segment_snapshot (
    tenant_id uuid NOT NULL,
    snapshot_id text NOT NULL COLLATE pg_catalog."C",
    segment_name text NOT NULL COLLATE pg_catalog."C",
    segment_version text NOT NULL COLLATE pg_catalog."C",
    snapshot_reason text DEFAULT ''::text NOT NULL,
    audience_sha256 text NOT NULL COLLATE pg_catalog."C",
    member_count bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT segment_snapshot_member_count_check CHECK ((member_count >= 0)),
    CONSTRAINT segment_snapshot_snapshot_id_check CHECK ((snapshot_id <> ''::text))
)
WITH (autovacuum_vacuum_insert_scale_factor='0.05', autovacuum_analyze_scale_factor='0.02');

ALTER TABLE ONLY public.segment_snapshot FORCE ROW LEVEL SECURITY;


ALTER TABLE public.segment_snapshot OWNER TO leo_owner;

--
-- Name: TABLE segment_snapshot; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.segment_snapshot IS 'An audience, frozen when it was activated; immutable, and without its members';


--
-- Name: COLUMN segment_snapshot.snapshot_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.segment_snapshot.snapshot_id IS 'Hash over segment, version and audience: an unchanged audience keeps its id';


--
-- Name: COLUMN segment_snapshot.segment_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.segment_snapshot.segment_name IS 'Segment that was frozen';


--
-- Name: COLUMN segment_snapshot.segment_version; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.segment_snapshot.segment_version IS 'Hash of the segment''s condition';


--
-- Name: COLUMN segment_snapshot.snapshot_reason; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.segment_snapshot.snapshot_reason IS 'Why it was frozen first';


--
-- Name: COLUMN segment_snapshot.audience_sha256; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.segment_snapshot.audience_sha256 IS 'Hash over the sorted members';


--
-- Name: COLUMN segment_snapshot.member_count; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.segment_snapshot.member_count IS 'Number of members';


--
-- Name: segment_snapshot_member; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.segment_snapshot_member (
    tenant_id uuid NOT NULL,
    snapshot_id text NOT NULL COLLATE pg_catalog."C",
    profile_id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.05', autovacuum_analyze_scale_factor='0.02');

ALTER TABLE ONLY public.segment_snapshot_member FORCE ROW LEVEL SECURITY;


ALTER TABLE public.segment_snapshot_member OWNER TO leo_owner;

--
-- Name: TABLE segment_snapshot_member; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.segment_snapshot_member IS 'Who was in a snapshot: the source of truth for audits and attribution';


--
-- Name: COLUMN segment_snapshot_member.snapshot_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.segment_snapshot_member.snapshot_id IS 'Snapshot';


--
-- Name: COLUMN segment_snapshot_member.profile_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.segment_snapshot_member.profile_id IS 'Member';


--
-- Name: tenant; Type: TABLE; Schema: public; Owner: leo_owner
--

CREATE TABLE public.tenant (
    tenant_id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant_name text NOT NULL,
    keycloak_realm text NOT NULL,
    keycloak_client_id text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    definitions_version bigint DEFAULT 0 NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenant_keycloak_client_id_check CHECK ((keycloak_client_id <> ''::text)),
    CONSTRAINT tenant_keycloak_realm_check CHECK ((keycloak_realm <> ''::text)),
    CONSTRAINT tenant_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT tenant_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'archived'::text]))),
    CONSTRAINT tenant_tenant_name_check CHECK ((tenant_name <> ''::text))
);

ALTER TABLE ONLY public.tenant FORCE ROW LEVEL SECURITY;


ALTER TABLE public.tenant OWNER TO leo_owner;

--
-- Name: TABLE tenant; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON TABLE public.tenant IS 'Root of the system: a company or workspace, the boundary of isolation; anchored in Keycloak';


--
-- Name: COLUMN tenant.tenant_name; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.tenant.tenant_name IS 'Human-readable name, unique in its realm';


--
-- Name: COLUMN tenant.keycloak_realm; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.tenant.keycloak_realm IS 'Keycloak realm that signs this tenant''s tokens';


--
-- Name: COLUMN tenant.keycloak_client_id; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.tenant.keycloak_client_id IS 'OIDC client whose tokens speak for this tenant';


--
-- Name: COLUMN tenant.metadata; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.tenant.metadata IS 'Limits, default caps and quiet hours, branding; channel_credentials hold ciphertext from store_credential';


--
-- Name: COLUMN tenant.definitions_version; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.tenant.definitions_version IS 'Raised by trigger with every change of a definition, so that a stale rule bundle is noticed';


--
-- Name: COLUMN tenant.status; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON COLUMN public.tenant.status IS 'active, suspended or archived; only an active tenant resolves';


--
-- Name: activation_experiments activation_experiments_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.activation_experiments
    ADD CONSTRAINT activation_experiments_pkey PRIMARY KEY (tenant_id, experiment_id);


--
-- Name: activation_outcomes activation_outcomes_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.activation_outcomes
    ADD CONSTRAINT activation_outcomes_pkey PRIMARY KEY (tenant_id, outcome_id);


--
-- Name: agent_task agent_task_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.agent_task
    ADD CONSTRAINT agent_task_pkey PRIMARY KEY (tenant_id, task_id);


--
-- Name: alert_rules alert_rules_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.alert_rules
    ADD CONSTRAINT alert_rules_pkey PRIMARY KEY (tenant_id, rule_id);


--
-- Name: behavioral_events behavioral_events_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_partition_maker
--

ALTER TABLE ONLY public.behavioral_events
    ADD CONSTRAINT behavioral_events_pkey PRIMARY KEY (tenant_id, occurred_at, event_key);


--
-- Name: campaign campaign_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.campaign
    ADD CONSTRAINT campaign_pkey PRIMARY KEY (tenant_id, campaign_id);


--
-- Name: cdp_profiles cdp_profiles_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.cdp_profiles
    ADD CONSTRAINT cdp_profiles_pkey PRIMARY KEY (tenant_id, profile_id);


--
-- Name: consent_management consent_management_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.consent_management
    ADD CONSTRAINT consent_management_pkey PRIMARY KEY (tenant_id, profile_id, channel);


--
-- Name: data_sources data_sources_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.data_sources
    ADD CONSTRAINT data_sources_pkey PRIMARY KEY (tenant_id, source_id);


--
-- Name: delivery_log delivery_log_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.delivery_log
    ADD CONSTRAINT delivery_log_pkey PRIMARY KEY (tenant_id, delivery_id);


--
-- Name: embedding_job embedding_job_entity; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.embedding_job
    ADD CONSTRAINT embedding_job_entity UNIQUE NULLS NOT DISTINCT (tenant_id, entity_type, entity_id);


--
-- Name: instruments instruments_symbol; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.instruments
    ADD CONSTRAINT instruments_symbol UNIQUE NULLS NOT DISTINCT (tenant_id, symbol);


--
-- Name: market_snapshot market_snapshot_symbol; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.market_snapshot
    ADD CONSTRAINT market_snapshot_symbol UNIQUE NULLS NOT DISTINCT (tenant_id, symbol);


--
-- Name: marketing_event marketing_event_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.marketing_event
    ADD CONSTRAINT marketing_event_pkey PRIMARY KEY (tenant_id, marketing_event_id);


--
-- Name: message_templates message_templates_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.message_templates
    ADD CONSTRAINT message_templates_pkey PRIMARY KEY (tenant_id, template_id);


--
-- Name: news_feed news_feed_news; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.news_feed
    ADD CONSTRAINT news_feed_news UNIQUE NULLS NOT DISTINCT (news_id, tenant_id);


--
-- Name: schema_migrations schema_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);


--
-- Name: segment_snapshot_member segment_snapshot_member_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.segment_snapshot_member
    ADD CONSTRAINT segment_snapshot_member_pkey PRIMARY KEY (tenant_id, snapshot_id, profile_id);


--
-- Name: segment_snapshot segment_snapshot_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.segment_snapshot
    ADD CONSTRAINT segment_snapshot_pkey PRIMARY KEY (tenant_id, snapshot_id);


--
-- Name: tenant tenant_client; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.tenant
    ADD CONSTRAINT tenant_client UNIQUE (keycloak_realm, keycloak_client_id);


--
-- Name: tenant tenant_name_in_realm; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.tenant
    ADD CONSTRAINT tenant_name_in_realm UNIQUE (keycloak_realm, tenant_name);


--
-- Name: tenant tenant_pkey; Type: CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.tenant
    ADD CONSTRAINT tenant_pkey PRIMARY KEY (tenant_id);


--
-- Name: activation_experiments_running; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE UNIQUE INDEX activation_experiments_running ON public.activation_experiments USING btree (campaign_id, event_name, tenant_id) WHERE (status = 'running'::text);


--
-- Name: activation_outcomes_delivery; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX activation_outcomes_delivery ON public.activation_outcomes USING btree (delivery_id, tenant_id);


--
-- Name: activation_outcomes_experiment; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX activation_outcomes_experiment ON public.activation_outcomes USING btree (experiment_id, tenant_id, occurred_at) WHERE (experiment_id IS NOT NULL);


--
-- Name: activation_outcomes_profile; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX activation_outcomes_profile ON public.activation_outcomes USING btree (profile_id, tenant_id, occurred_at);


--
-- Name: agent_task_claimable; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX agent_task_claimable ON public.agent_task USING btree (queue, GREATEST(due_at, lease_until)) WHERE (status = 'pending'::text);


--
-- Name: agent_task_decided; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX agent_task_decided ON public.agent_task USING btree (decided_at, tenant_id) WHERE (rule_bundle_id IS NOT NULL);


--
-- Name: agent_task_experiment; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX agent_task_experiment ON public.agent_task USING btree (experiment_id, tenant_id, created_at) INCLUDE (variant, profile_id, occurred_at, task_id) WHERE (experiment_id IS NOT NULL);


--
-- Name: agent_task_firings; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX agent_task_firings ON public.agent_task USING btree (queue, tenant_id, recorded_xid, task_id) WHERE (recorded_xid IS NOT NULL);


--
-- Name: agent_task_held; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX agent_task_held ON public.agent_task USING btree (campaign_id, tenant_id) WHERE (held_by IS NOT NULL);


--
-- Name: agent_task_open; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX agent_task_open ON public.agent_task USING btree (outcome, tenant_id) WHERE ((status = 'pending'::text) AND (outcome = 'send'::text));


--
-- Name: agent_task_parent; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX agent_task_parent ON public.agent_task USING btree (parent_task_id, tenant_id) WHERE (parent_task_id IS NOT NULL);


--
-- Name: agent_task_profile; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX agent_task_profile ON public.agent_task USING btree (profile_id, tenant_id, created_at);


--
-- Name: agent_task_sends; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX agent_task_sends ON public.agent_task USING btree (profile_id, tenant_id, occurred_at) WHERE (outcome = 'send'::text);


--
-- Name: agent_task_silence_log; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX agent_task_silence_log ON public.agent_task USING btree (queue, tenant_id, created_at, task_id) WHERE (queue = 'silences'::text);


--
-- Name: agent_task_silences; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX agent_task_silences ON public.agent_task USING btree (queue, tenant_id, source_event_id, due_at) WHERE ((queue = 'silences'::text) AND (status = 'pending'::text));


--
-- Name: alert_rules_changed; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX alert_rules_changed ON public.alert_rules USING btree (changed_xid);


--
-- Name: alert_rules_expiring; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX alert_rules_expiring ON public.alert_rules USING btree (expires_at) WHERE ((status = 'ACTIVE'::text) AND (expires_at IS NOT NULL));


--
-- Name: alert_rules_profile; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX alert_rules_profile ON public.alert_rules USING btree (profile_id, tenant_id);


--
-- Name: alert_rules_shard; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX alert_rules_shard ON public.alert_rules USING btree (shard, tenant_id, rule_id) WHERE (status = 'ACTIVE'::text);


--
-- Name: behavioral_events_profile; Type: INDEX; Schema: public; Owner: leo_partition_maker
--

CREATE INDEX behavioral_events_profile ON ONLY public.behavioral_events USING btree (profile_id, tenant_id, occurred_at);


--
-- Name: behavioral_events_recorded; Type: INDEX; Schema: public; Owner: leo_partition_maker
--

CREATE INDEX behavioral_events_recorded ON ONLY public.behavioral_events USING brin (created_at) WITH (pages_per_range='32', autosummarize='on');


--
-- Name: INDEX behavioral_events_recorded; Type: COMMENT; Schema: public; Owner: leo_partition_maker
--

COMMENT ON INDEX public.behavioral_events_recorded IS 'What was recorded lately, of whatever time: who is to be embedded again';


--
-- Name: campaign_code; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE UNIQUE INDEX campaign_code ON public.campaign USING btree (campaign_code, tenant_id);


--
-- Name: cdp_profiles_attributes; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX cdp_profiles_attributes ON public.cdp_profiles USING gin (raw_attributes jsonb_path_ops);


--
-- Name: cdp_profiles_email; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX cdp_profiles_email ON public.cdp_profiles USING btree (primary_email, tenant_id) WHERE (primary_email IS NOT NULL);


--
-- Name: cdp_profiles_erased; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX cdp_profiles_erased ON public.cdp_profiles USING btree (tenant_id, profile_id) WHERE (erased_at IS NOT NULL);


--
-- Name: cdp_profiles_ext_id; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE UNIQUE INDEX cdp_profiles_ext_id ON public.cdp_profiles USING btree (ext_id, tenant_id);


--
-- Name: cdp_profiles_identities; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX cdp_profiles_identities ON public.cdp_profiles USING gin (identities);


--
-- Name: cdp_profiles_segments; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX cdp_profiles_segments ON public.cdp_profiles USING gin (segments);


--
-- Name: cdp_profiles_suppression; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX cdp_profiles_suppression ON public.cdp_profiles USING gin (suppression) WITH (fastupdate=off) WHERE (erased_at IS NOT NULL);


--
-- Name: delivery_log_created; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX delivery_log_created ON public.delivery_log USING brin (created_at) WITH (pages_per_range='32', autosummarize='on');


--
-- Name: INDEX delivery_log_created; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON INDEX public.delivery_log_created IS 'Days of the log: counts where Redis holds none, and repairs of those that it holds';


--
-- Name: delivery_log_definition; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX delivery_log_definition ON public.delivery_log USING btree (marketing_event_id, tenant_id, delivery_id) WHERE ((delivery_status = 'queued'::text) AND (series = 1));


--
-- Name: delivery_log_key; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX delivery_log_key ON public.delivery_log USING btree (delivery_key, tenant_id);


--
-- Name: delivery_log_profile; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX delivery_log_profile ON public.delivery_log USING btree (profile_id, tenant_id, created_at);


--
-- Name: delivery_log_provider_message; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX delivery_log_provider_message ON public.delivery_log USING btree (provider_message_id, tenant_id) WHERE (provider_message_id IS NOT NULL);


--
-- Name: delivery_log_queued_once; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE UNIQUE INDEX delivery_log_queued_once ON public.delivery_log USING btree (delivery_key, tenant_id, series) WHERE (delivery_status = 'queued'::text);


--
-- Name: delivery_log_receipt_once; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE UNIQUE INDEX delivery_log_receipt_once ON public.delivery_log USING btree (delivery_key, attempt, delivery_status, tenant_id) WHERE (delivery_status = ANY (ARRAY['delivered'::text, 'bounced'::text, 'read'::text]));


--
-- Name: delivery_log_recipient; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX delivery_log_recipient ON public.delivery_log USING btree (destination, tenant_id, created_at) WHERE ((channel = 'facebook'::text) AND (delivery_status = 'sending'::text));


--
-- Name: INDEX delivery_log_recipient; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON INDEX public.delivery_log_recipient IS 'The last messages to a person: Messenger reports up to when all of them were read';


--
-- Name: delivery_log_sending_once; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE UNIQUE INDEX delivery_log_sending_once ON public.delivery_log USING btree (delivery_key, attempt, tenant_id) WHERE (delivery_status = 'sending'::text);


--
-- Name: delivery_log_status; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX delivery_log_status ON public.delivery_log USING btree (delivery_status, tenant_id, delivery_id) WHERE (delivery_status <> ALL (ARRAY['queued'::text, 'sending'::text, 'deferred'::text]));


--
-- Name: delivery_log_task; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX delivery_log_task ON public.delivery_log USING btree (task_id, tenant_id);


--
-- Name: embedding_job_claimable; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX embedding_job_claimable ON public.embedding_job USING btree (entity_type, GREATEST(due_at, lease_until)) WHERE (status = 'pending'::text);


--
-- Name: embedding_job_failed; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX embedding_job_failed ON public.embedding_job USING btree (entity_id, tenant_id, entity_type) WHERE (status = 'failed'::text);


--
-- Name: INDEX embedding_job_failed; Type: COMMENT; Schema: public; Owner: leo_owner
--

COMMENT ON INDEX public.embedding_job_failed IS 'Dead jobs: they are few, and people look at them';


--
-- Name: embedding_job_vector_signs; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX embedding_job_vector_signs ON public.embedding_job USING hnsw (vector_signs public.bit_hamming_ops);


--
-- Name: instruments_updated; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX instruments_updated ON public.instruments USING btree (updated_at);


--
-- Name: marketing_event_current; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE UNIQUE INDEX marketing_event_current ON ONLY public.marketing_event USING btree (campaign_id, event_name, tenant_id) WHERE (status <> 'superseded'::text);


--
-- Name: marketing_event_embedding; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX marketing_event_embedding ON ONLY public.marketing_event USING hnsw (embedding public.vector_cosine_ops);


--
-- Name: message_templates_active; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE UNIQUE INDEX message_templates_active ON public.message_templates USING btree (template_name, channel, language, tenant_id) WHERE (status = 'active'::text);


--
-- Name: message_templates_version; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE UNIQUE INDEX message_templates_version ON public.message_templates USING btree (template_name, channel, language, version, tenant_id);


--
-- Name: news_feed_content; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE UNIQUE INDEX news_feed_content ON public.news_feed USING btree (content_sha256, tenant_id) NULLS NOT DISTINCT;


--
-- Name: news_feed_embedding; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX news_feed_embedding ON public.news_feed USING hnsw (content_embedding public.vector_cosine_ops);


--
-- Name: news_feed_published; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX news_feed_published ON public.news_feed USING btree (published_at, tenant_id);


--
-- Name: news_feed_search; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX news_feed_search ON public.news_feed USING gin (search_document);


--
-- Name: news_feed_symbol_days; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX news_feed_symbol_days ON public.news_feed USING gin (symbol_days) WITH (fastupdate=off);


--
-- Name: news_feed_symbols; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX news_feed_symbols ON public.news_feed USING gin (related_symbols);


--
-- Name: news_feed_tenant; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX news_feed_tenant ON public.news_feed USING btree (tenant_id, published_at);


--
-- Name: segment_snapshot_created; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX segment_snapshot_created ON public.segment_snapshot USING btree (created_at, tenant_id, snapshot_id);


--
-- Name: segment_snapshot_segment; Type: INDEX; Schema: public; Owner: leo_owner
--

CREATE INDEX segment_snapshot_segment ON public.segment_snapshot USING btree (segment_name, tenant_id, created_at);


--
-- Name: activation_outcomes append_only; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.activation_outcomes FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();


--
-- Name: behavioral_events append_only; Type: TRIGGER; Schema: public; Owner: leo_partition_maker
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.behavioral_events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();


--
-- Name: delivery_log append_only; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.delivery_log FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();


--
-- Name: segment_snapshot append_only; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.segment_snapshot FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();


--
-- Name: segment_snapshot_member append_only; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.segment_snapshot_member FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();


--
-- Name: activation_experiments bump_version_on_delete; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_delete AFTER DELETE ON public.activation_experiments REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: campaign bump_version_on_delete; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_delete AFTER DELETE ON public.campaign REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: marketing_event bump_version_on_delete; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_delete AFTER DELETE ON public.marketing_event REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: message_templates bump_version_on_delete; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_delete AFTER DELETE ON public.message_templates REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: activation_experiments bump_version_on_insert; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_insert AFTER INSERT ON public.activation_experiments REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: campaign bump_version_on_insert; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_insert AFTER INSERT ON public.campaign REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: marketing_event bump_version_on_insert; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_insert AFTER INSERT ON public.marketing_event REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: message_templates bump_version_on_insert; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_insert AFTER INSERT ON public.message_templates REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: activation_experiments bump_version_on_update; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_update AFTER UPDATE ON public.activation_experiments REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: campaign bump_version_on_update; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_update AFTER UPDATE ON public.campaign REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: marketing_event bump_version_on_update; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_update AFTER UPDATE ON public.marketing_event REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: message_templates bump_version_on_update; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER bump_version_on_update AFTER UPDATE ON public.message_templates REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.bump_definitions_version();


--
-- Name: activation_experiments comparable; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER comparable BEFORE UPDATE OF campaign_id, event_name, allocation, variants, seed, conversion_event_type, attribution_window_seconds, status ON public.activation_experiments FOR EACH ROW EXECUTE FUNCTION public.keep_experiment_comparable();


--
-- Name: delivery_log delivery_log_consent; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER delivery_log_consent AFTER INSERT ON public.delivery_log REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION public.require_consent();


--
-- Name: tenant guard_metadata; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER guard_metadata BEFORE INSERT OR UPDATE OF metadata, status ON public.tenant FOR EACH ROW EXECUTE FUNCTION public.guard_tenant_metadata();


--
-- Name: agent_task immutable_columns; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER immutable_columns BEFORE UPDATE OF tenant_id, task_id, agent_name, task_type, campaign_id, marketing_event_id, snapshot_id, profile_id, parent_task_id, source_event_id, event_type, occurred_at, decided_at, input_sha256, rule_bundle_id, outcome, reason_code, inputs, related_news_id, queue, created_at, experiment_id, variant ON public.agent_task FOR EACH ROW WHEN ((((((((((((((((((((((((old.tenant_id IS DISTINCT FROM new.tenant_id) OR (old.task_id IS DISTINCT FROM new.task_id)) OR (old.agent_name IS DISTINCT FROM new.agent_name)) OR (old.task_type IS DISTINCT FROM new.task_type)) OR (old.campaign_id IS DISTINCT FROM new.campaign_id)) OR (old.marketing_event_id IS DISTINCT FROM new.marketing_event_id)) OR (old.snapshot_id IS DISTINCT FROM new.snapshot_id)) OR (old.profile_id IS DISTINCT FROM new.profile_id)) OR (old.parent_task_id IS DISTINCT FROM new.parent_task_id)) OR (old.source_event_id IS DISTINCT FROM new.source_event_id)) OR (old.event_type IS DISTINCT FROM new.event_type)) OR (old.occurred_at IS DISTINCT FROM new.occurred_at)) OR (old.decided_at IS DISTINCT FROM new.decided_at)) OR (old.input_sha256 IS DISTINCT FROM new.input_sha256)) OR (old.rule_bundle_id IS DISTINCT FROM new.rule_bundle_id)) OR (old.outcome IS DISTINCT FROM new.outcome)) OR (old.reason_code IS DISTINCT FROM new.reason_code)) OR (old.inputs IS DISTINCT FROM new.inputs)) OR (old.related_news_id IS DISTINCT FROM new.related_news_id)) OR (old.queue IS DISTINCT FROM new.queue)) OR (old.created_at IS DISTINCT FROM new.created_at)) OR (old.experiment_id IS DISTINCT FROM new.experiment_id)) OR (old.variant IS DISTINCT FROM new.variant))) EXECUTE FUNCTION public.refuse_task_rewrite();


--
-- Name: agent_task immutable_xid; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER immutable_xid BEFORE UPDATE OF recorded_xid ON public.agent_task FOR EACH ROW WHEN ((old.recorded_xid IS DISTINCT FROM new.recorded_xid)) EXECUTE FUNCTION public.refuse_task_rewrite();


--
-- Name: cdp_profiles keep_vector_signs; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER keep_vector_signs AFTER UPDATE OF interest_embedding ON public.cdp_profiles FOR EACH ROW WHEN ((((old.interest_embedding OPERATOR(public.=) new.interest_embedding) IS NOT TRUE) AND ((old.interest_embedding IS NOT NULL) OR (new.interest_embedding IS NOT NULL)))) EXECUTE FUNCTION public.keep_vector_signs();


--
-- Name: cdp_profiles keep_vector_signs_of_new; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER keep_vector_signs_of_new AFTER INSERT ON public.cdp_profiles FOR EACH ROW WHEN ((new.interest_embedding IS NOT NULL)) EXECUTE FUNCTION public.keep_vector_signs();


--
-- Name: agent_task no_removal; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON public.agent_task FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();


--
-- Name: alert_rules note_change; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER note_change BEFORE INSERT OR UPDATE OF status, generation, condition_logic, symbol, own_instrument, rearm, cooldown_seconds, expires_at ON public.alert_rules FOR EACH ROW EXECUTE FUNCTION public.note_rule_change();


--
-- Name: campaign one_audience_per_name; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER one_audience_per_name AFTER INSERT OR UPDATE OF status, audience ON public.campaign FOR EACH ROW WHEN (((new.status = 'active'::text) AND (new.audience IS NOT NULL))) EXECUTE FUNCTION public.refuse_second_audience();


--
-- Name: cdp_profiles prevent_snapshot_removal; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER prevent_snapshot_removal BEFORE UPDATE OF segment_snapshots ON public.cdp_profiles FOR EACH ROW WHEN ((old.segment_snapshots IS DISTINCT FROM new.segment_snapshots)) EXECUTE FUNCTION public.prevent_snapshot_removal();


--
-- Name: cdp_profiles queue_changed_profiles; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER queue_changed_profiles AFTER UPDATE ON public.cdp_profiles REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.queue_changed_profiles();


--
-- Name: cdp_profiles queue_new_profiles; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER queue_new_profiles AFTER INSERT ON public.cdp_profiles REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.queue_new_profiles();


--
-- Name: campaign release_held_deliveries; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER release_held_deliveries AFTER UPDATE OF status ON public.campaign FOR EACH ROW WHEN (((old.status = 'paused'::text) AND (new.status <> 'paused'::text))) EXECUTE FUNCTION public.release_held_deliveries();


--
-- Name: tenant release_held_deliveries; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER release_held_deliveries AFTER UPDATE OF status ON public.tenant FOR EACH ROW WHEN (((old.status <> 'active'::text) AND (new.status = 'active'::text))) EXECUTE FUNCTION public.release_held_deliveries();


--
-- Name: activation_experiments set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.activation_experiments FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: agent_task set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.agent_task FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: alert_rules set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.alert_rules FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: campaign set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.campaign FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: cdp_profiles set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.cdp_profiles FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: consent_management set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.consent_management FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: data_sources set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.data_sources FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: embedding_job set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.embedding_job FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: instruments set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.instruments FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: market_snapshot set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.market_snapshot FOR EACH ROW WHEN ((new.updated_at <> now())) EXECUTE FUNCTION public.update_timestamp();


--
-- Name: marketing_event set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.marketing_event FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: message_templates set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.message_templates FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: news_feed set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.news_feed FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: tenant set_updated_at; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.tenant FOR EACH ROW EXECUTE FUNCTION public.update_timestamp();


--
-- Name: cdp_profiles unite_segments; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER unite_segments BEFORE UPDATE OF segments, evaluated_segments ON public.cdp_profiles FOR EACH ROW WHEN (((old.segments IS DISTINCT FROM new.segments) OR (old.evaluated_segments IS DISTINCT FROM new.evaluated_segments))) EXECUTE FUNCTION public.unite_segments();


--
-- Name: agent_task write_once_columns; Type: TRIGGER; Schema: public; Owner: leo_owner
--

CREATE TRIGGER write_once_columns BEFORE UPDATE OF reasoning_summary, reasoning_trace, result, output_sha256 ON public.agent_task FOR EACH ROW WHEN ((((old.reasoning_summary IS NOT NULL) AND (new.reasoning_summary IS DISTINCT FROM old.reasoning_summary)) OR ((old.reasoning_trace IS NOT NULL) AND (new.reasoning_trace IS DISTINCT FROM old.reasoning_trace)) OR ((old.result IS NOT NULL) AND (new.result IS DISTINCT FROM old.result)) OR ((old.output_sha256 IS NOT NULL) AND (new.output_sha256 IS DISTINCT FROM old.output_sha256)))) EXECUTE FUNCTION public.refuse_task_rewrite();


--
-- Name: activation_experiments activation_experiments_tenant_id_campaign_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.activation_experiments
    ADD CONSTRAINT activation_experiments_tenant_id_campaign_id_fkey FOREIGN KEY (tenant_id, campaign_id) REFERENCES public.campaign(tenant_id, campaign_id);


--
-- Name: activation_experiments activation_experiments_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.activation_experiments
    ADD CONSTRAINT activation_experiments_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenant(tenant_id);


--
-- Name: activation_outcomes activation_outcomes_tenant_id_delivery_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.activation_outcomes
    ADD CONSTRAINT activation_outcomes_tenant_id_delivery_id_fkey FOREIGN KEY (tenant_id, delivery_id) REFERENCES public.delivery_log(tenant_id, delivery_id);


--
-- Name: campaign campaign_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.campaign
    ADD CONSTRAINT campaign_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenant(tenant_id);


--
-- Name: cdp_profiles cdp_profiles_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.cdp_profiles
    ADD CONSTRAINT cdp_profiles_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenant(tenant_id);


--
-- Name: consent_management consent_management_tenant_id_profile_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.consent_management
    ADD CONSTRAINT consent_management_tenant_id_profile_id_fkey FOREIGN KEY (tenant_id, profile_id) REFERENCES public.cdp_profiles(tenant_id, profile_id);


--
-- Name: data_sources data_sources_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.data_sources
    ADD CONSTRAINT data_sources_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenant(tenant_id);


--
-- Name: delivery_log delivery_log_tenant_id_snapshot_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.delivery_log
    ADD CONSTRAINT delivery_log_tenant_id_snapshot_id_fkey FOREIGN KEY (tenant_id, snapshot_id) REFERENCES public.segment_snapshot(tenant_id, snapshot_id);


--
-- Name: delivery_log delivery_log_tenant_id_task_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.delivery_log
    ADD CONSTRAINT delivery_log_tenant_id_task_id_fkey FOREIGN KEY (tenant_id, task_id) REFERENCES public.agent_task(tenant_id, task_id);


--
-- Name: instruments instruments_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.instruments
    ADD CONSTRAINT instruments_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenant(tenant_id);


--
-- Name: marketing_event marketing_event_tenant_id_campaign_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE public.marketing_event
    ADD CONSTRAINT marketing_event_tenant_id_campaign_id_fkey FOREIGN KEY (tenant_id, campaign_id) REFERENCES public.campaign(tenant_id, campaign_id);


--
-- Name: message_templates message_templates_tenant_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.message_templates
    ADD CONSTRAINT message_templates_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenant(tenant_id);


--
-- Name: segment_snapshot_member segment_snapshot_member_tenant_id_snapshot_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: leo_owner
--

ALTER TABLE ONLY public.segment_snapshot_member
    ADD CONSTRAINT segment_snapshot_member_tenant_id_snapshot_id_fkey FOREIGN KEY (tenant_id, snapshot_id) REFERENCES public.segment_snapshot(tenant_id, snapshot_id);


--
-- Name: activation_experiments; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.activation_experiments ENABLE ROW LEVEL SECURITY;

--
-- Name: activation_outcomes; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.activation_outcomes ENABLE ROW LEVEL SECURITY;

--
-- Name: agent_task; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.agent_task ENABLE ROW LEVEL SECURITY;

--
-- Name: agent_task alert_keeper_insert; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY alert_keeper_insert ON public.agent_task FOR INSERT TO leo_alert_keeper WITH CHECK ((queue = 'alerts'::text));


--
-- Name: alert_rules alert_keeper_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY alert_keeper_policy ON public.alert_rules TO leo_alert_keeper USING (true) WITH CHECK (true);


--
-- Name: market_snapshot alert_keeper_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY alert_keeper_policy ON public.market_snapshot TO leo_alert_keeper USING (true) WITH CHECK (true);


--
-- Name: agent_task alert_keeper_select; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY alert_keeper_select ON public.agent_task FOR SELECT TO leo_alert_keeper USING ((queue = ANY (ARRAY['alerts'::text, 'silences'::text])));


--
-- Name: news_feed alert_keeper_select; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY alert_keeper_select ON public.news_feed FOR SELECT TO leo_alert_keeper USING (true);


--
-- Name: alert_rules; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.alert_rules ENABLE ROW LEVEL SECURITY;

--
-- Name: behavioral_events; Type: ROW SECURITY; Schema: public; Owner: leo_partition_maker
--

ALTER TABLE public.behavioral_events ENABLE ROW LEVEL SECURITY;

--
-- Name: campaign; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.campaign ENABLE ROW LEVEL SECURITY;

--
-- Name: cdp_profiles; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.cdp_profiles ENABLE ROW LEVEL SECURITY;

--
-- Name: consent_management; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.consent_management ENABLE ROW LEVEL SECURITY;

--
-- Name: tenant credential_writer_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY credential_writer_policy ON public.tenant FOR UPDATE TO leo_credential_writer USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: data_sources; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.data_sources ENABLE ROW LEVEL SECURITY;

--
-- Name: tenant definition_versioner_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY definition_versioner_policy ON public.tenant TO leo_definition_versioner USING (true) WITH CHECK (true);


--
-- Name: delivery_log; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.delivery_log ENABLE ROW LEVEL SECURITY;

--
-- Name: embedding_job; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.embedding_job ENABLE ROW LEVEL SECURITY;

--
-- Name: instruments global_admin; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY global_admin ON public.instruments TO leo_admin USING ((tenant_id IS NULL)) WITH CHECK ((tenant_id IS NULL));


--
-- Name: embedding_job global_news; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY global_news ON public.embedding_job TO leo_app, leo_worker USING (((tenant_id IS NULL) AND (( SELECT current_setting('app.global_news'::text, true) AS current_setting) = 'on'::text))) WITH CHECK (((tenant_id IS NULL) AND (( SELECT current_setting('app.global_news'::text, true) AS current_setting) = 'on'::text)));


--
-- Name: news_feed global_news; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY global_news ON public.news_feed TO leo_app, leo_worker USING (((tenant_id IS NULL) AND (( SELECT current_setting('app.global_news'::text, true) AS current_setting) = 'on'::text))) WITH CHECK (((tenant_id IS NULL) AND (( SELECT current_setting('app.global_news'::text, true) AS current_setting) = 'on'::text)));


--
-- Name: instruments global_read; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY global_read ON public.instruments FOR SELECT USING (((tenant_id IS NULL) AND (( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif") IS NOT NULL)));


--
-- Name: market_snapshot global_read; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY global_read ON public.market_snapshot FOR SELECT USING (((tenant_id IS NULL) AND (( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif") IS NOT NULL)));


--
-- Name: news_feed global_read; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY global_read ON public.news_feed FOR SELECT USING (((tenant_id IS NULL) AND (( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif") IS NOT NULL)));


--
-- Name: market_snapshot global_ticks; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY global_ticks ON public.market_snapshot TO leo_app USING (((tenant_id IS NULL) AND (( SELECT current_setting('app.global_ticks'::text, true) AS current_setting) = 'on'::text))) WITH CHECK (((tenant_id IS NULL) AND (( SELECT current_setting('app.global_ticks'::text, true) AS current_setting) = 'on'::text)));


--
-- Name: instruments; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.instruments ENABLE ROW LEVEL SECURITY;

--
-- Name: market_snapshot; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.market_snapshot ENABLE ROW LEVEL SECURITY;

--
-- Name: marketing_event; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.marketing_event ENABLE ROW LEVEL SECURITY;

--
-- Name: message_templates; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.message_templates ENABLE ROW LEVEL SECURITY;

--
-- Name: news_feed; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.news_feed ENABLE ROW LEVEL SECURITY;

--
-- Name: alert_rules rule_loader_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY rule_loader_policy ON public.alert_rules FOR SELECT TO leo_rule_loader USING (true);


--
-- Name: instruments rule_loader_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY rule_loader_policy ON public.instruments FOR SELECT TO leo_rule_loader USING (true);


--
-- Name: segment_snapshot; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.segment_snapshot ENABLE ROW LEVEL SECURITY;

--
-- Name: segment_snapshot_member; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.segment_snapshot_member ENABLE ROW LEVEL SECURITY;

--
-- Name: tenant source_claimer_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY source_claimer_policy ON public.tenant FOR SELECT TO leo_source_claimer USING (true);


--
-- Name: data_sources source_claimer_select; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY source_claimer_select ON public.data_sources FOR SELECT TO leo_source_claimer USING (true);


--
-- Name: data_sources source_claimer_update; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY source_claimer_update ON public.data_sources FOR UPDATE TO leo_source_claimer USING (true) WITH CHECK (true);


--
-- Name: embedding_job task_claimer_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY task_claimer_policy ON public.embedding_job TO leo_task_claimer USING (true) WITH CHECK (true);


--
-- Name: agent_task task_claimer_select; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY task_claimer_select ON public.agent_task FOR SELECT TO leo_task_claimer USING (true);


--
-- Name: behavioral_events task_claimer_select; Type: POLICY; Schema: public; Owner: leo_partition_maker
--

CREATE POLICY task_claimer_select ON public.behavioral_events FOR SELECT TO leo_task_claimer USING (true);


--
-- Name: cdp_profiles task_claimer_select; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY task_claimer_select ON public.cdp_profiles FOR SELECT TO leo_task_claimer USING (true);


--
-- Name: agent_task task_claimer_update; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY task_claimer_update ON public.agent_task FOR UPDATE TO leo_task_claimer USING (true) WITH CHECK (true);


--
-- Name: tenant; Type: ROW SECURITY; Schema: public; Owner: leo_owner
--

ALTER TABLE public.tenant ENABLE ROW LEVEL SECURITY;

--
-- Name: tenant tenant_admin_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_admin_policy ON public.tenant TO leo_admin USING (true) WITH CHECK (true);


--
-- Name: activation_experiments tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.activation_experiments USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: activation_outcomes tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.activation_outcomes USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: agent_task tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.agent_task USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: alert_rules tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.alert_rules USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: behavioral_events tenant_isolation; Type: POLICY; Schema: public; Owner: leo_partition_maker
--

CREATE POLICY tenant_isolation ON public.behavioral_events USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: campaign tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.campaign USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: cdp_profiles tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.cdp_profiles USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: consent_management tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.consent_management USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: data_sources tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.data_sources USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: delivery_log tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.delivery_log USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: embedding_job tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.embedding_job USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: instruments tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.instruments USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: market_snapshot tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.market_snapshot USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: marketing_event tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.marketing_event USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: message_templates tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.message_templates USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: news_feed tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.news_feed USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: segment_snapshot tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.segment_snapshot USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: segment_snapshot_member tenant_isolation; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_isolation ON public.segment_snapshot_member USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif"))) WITH CHECK ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: tenant tenant_lister_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_lister_policy ON public.tenant FOR SELECT TO leo_tenant_lister USING (true);


--
-- Name: tenant tenant_resolver_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_resolver_policy ON public.tenant FOR SELECT TO leo_tenant_resolver USING (true);


--
-- Name: tenant tenant_select_policy; Type: POLICY; Schema: public; Owner: leo_owner
--

CREATE POLICY tenant_select_policy ON public.tenant FOR SELECT USING ((tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant_id'::text, true), ''::text))::uuid AS "nullif")));


--
-- Name: SCHEMA public; Type: ACL; Schema: -; Owner: leo_owner
--

GRANT CREATE ON SCHEMA public TO leo_partition_maker;


--
-- Name: FUNCTION begin_erasure(p_tenant uuid, p_profile_id text, p_names text[]); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.begin_erasure(p_tenant uuid, p_profile_id text, p_names text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.begin_erasure(p_tenant uuid, p_profile_id text, p_names text[]) TO leo_eraser;


--
-- Name: FUNCTION begin_recording(); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.begin_recording() FROM PUBLIC;
GRANT ALL ON FUNCTION public.begin_recording() TO leo_app;
GRANT ALL ON FUNCTION public.begin_recording() TO leo_worker;


--
-- Name: FUNCTION bump_definitions_version(); Type: ACL; Schema: public; Owner: leo_definition_versioner
--

REVOKE ALL ON FUNCTION public.bump_definitions_version() FROM PUBLIC;


--
-- Name: FUNCTION cancel_erased_tasks(p_tenant uuid, p_profile_id text); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.cancel_erased_tasks(p_tenant uuid, p_profile_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancel_erased_tasks(p_tenant uuid, p_profile_id text) TO leo_eraser;


--
-- Name: FUNCTION change_epoch(expected bigint, redis_reserves boolean); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.change_epoch(expected bigint, redis_reserves boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.change_epoch(expected bigint, redis_reserves boolean) TO leo_app;
GRANT ALL ON FUNCTION public.change_epoch(expected bigint, redis_reserves boolean) TO leo_worker;


--
-- Name: FUNCTION changed_alert_rules(p_shards integer[], p_since pg_snapshot, p_own xid8); Type: ACL; Schema: public; Owner: leo_rule_loader
--

REVOKE ALL ON FUNCTION public.changed_alert_rules(p_shards integer[], p_since pg_snapshot, p_own xid8) FROM PUBLIC;
GRANT ALL ON FUNCTION public.changed_alert_rules(p_shards integer[], p_since pg_snapshot, p_own xid8) TO leo_app;


--
-- Name: FUNCTION changed_instruments(p_shards integer[], p_since timestamp with time zone); Type: ACL; Schema: public; Owner: leo_rule_loader
--

REVOKE ALL ON FUNCTION public.changed_instruments(p_shards integer[], p_since timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.changed_instruments(p_shards integer[], p_since timestamp with time zone) TO leo_app;


--
-- Name: FUNCTION claim_data_sources(p_limit integer, p_lease interval, p_owner text); Type: ACL; Schema: public; Owner: leo_source_claimer
--

REVOKE ALL ON FUNCTION public.claim_data_sources(p_limit integer, p_lease interval, p_owner text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_data_sources(p_limit integer, p_lease interval, p_owner text) TO leo_worker;


--
-- Name: FUNCTION claim_embedding_jobs(p_entity_type text, p_limit integer, p_lease interval, p_owner text); Type: ACL; Schema: public; Owner: leo_task_claimer
--

REVOKE ALL ON FUNCTION public.claim_embedding_jobs(p_entity_type text, p_limit integer, p_lease interval, p_owner text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_embedding_jobs(p_entity_type text, p_limit integer, p_lease interval, p_owner text) TO leo_worker;


--
-- Name: FUNCTION claim_market_shards(p_shards integer[], p_epoch bigint); Type: ACL; Schema: public; Owner: leo_alert_keeper
--

REVOKE ALL ON FUNCTION public.claim_market_shards(p_shards integer[], p_epoch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_market_shards(p_shards integer[], p_epoch bigint) TO leo_app;


--
-- Name: FUNCTION claim_tasks(p_queue text, p_limit integer, p_lease interval, p_owner text, p_since timestamp with time zone); Type: ACL; Schema: public; Owner: leo_task_claimer
--

REVOKE ALL ON FUNCTION public.claim_tasks(p_queue text, p_limit integer, p_lease interval, p_owner text, p_since timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_tasks(p_queue text, p_limit integer, p_lease interval, p_owner text, p_since timestamp with time zone) TO leo_worker;


--
-- Name: FUNCTION commit_ticks(p_caller uuid, p_tenant_id uuid, p_shards integer[], p_seen pg_snapshot, p_own xid8, p_symbols text[], p_epochs bigint[], p_prices bigint[], p_previous bigint[], p_observed_us bigint[], p_feeds text[], p_sequences bigint[], p_volumes bigint[], p_days_ago bigint[], p_histories jsonb[], p_hit_tenants uuid[], p_hit_rules text[], p_hit_generations bigint[], p_hit_prices bigint[], p_hit_previous bigint[], p_hit_times timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval, p_watch_tenants uuid[], p_watch_rules text[], p_watch_generations bigint[], p_runtimes jsonb[]); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.commit_ticks(p_caller uuid, p_tenant_id uuid, p_shards integer[], p_seen pg_snapshot, p_own xid8, p_symbols text[], p_epochs bigint[], p_prices bigint[], p_previous bigint[], p_observed_us bigint[], p_feeds text[], p_sequences bigint[], p_volumes bigint[], p_days_ago bigint[], p_histories jsonb[], p_hit_tenants uuid[], p_hit_rules text[], p_hit_generations bigint[], p_hit_prices bigint[], p_hit_previous bigint[], p_hit_times timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval, p_watch_tenants uuid[], p_watch_rules text[], p_watch_generations bigint[], p_runtimes jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.commit_ticks(p_caller uuid, p_tenant_id uuid, p_shards integer[], p_seen pg_snapshot, p_own xid8, p_symbols text[], p_epochs bigint[], p_prices bigint[], p_previous bigint[], p_observed_us bigint[], p_feeds text[], p_sequences bigint[], p_volumes bigint[], p_days_ago bigint[], p_histories jsonb[], p_hit_tenants uuid[], p_hit_rules text[], p_hit_generations bigint[], p_hit_prices bigint[], p_hit_previous bigint[], p_hit_times timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval, p_watch_tenants uuid[], p_watch_rules text[], p_watch_generations bigint[], p_runtimes jsonb[]) TO leo_app;


--
-- Name: FUNCTION detach_month(p_month date, p_kept_months integer); Type: ACL; Schema: public; Owner: leo_partition_maker
--

REVOKE ALL ON FUNCTION public.detach_month(p_month date, p_kept_months integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.detach_month(p_month date, p_kept_months integer) TO leo_worker;


--
-- Name: FUNCTION drop_detached_month(p_month date, p_kept_months integer); Type: ACL; Schema: public; Owner: leo_partition_maker
--

REVOKE ALL ON FUNCTION public.drop_detached_month(p_month date, p_kept_months integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.drop_detached_month(p_month date, p_kept_months integer) TO leo_worker;


--
-- Name: FUNCTION due_queues(); Type: ACL; Schema: public; Owner: leo_task_claimer
--

REVOKE ALL ON FUNCTION public.due_queues() FROM PUBLIC;
GRANT ALL ON FUNCTION public.due_queues() TO leo_app;
GRANT ALL ON FUNCTION public.due_queues() TO leo_worker;


--
-- Name: FUNCTION ensure_month(p_month date); Type: ACL; Schema: public; Owner: leo_partition_maker
--

REVOKE ALL ON FUNCTION public.ensure_month(p_month date) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ensure_month(p_month date) TO leo_app;
GRANT ALL ON FUNCTION public.ensure_month(p_month date) TO leo_worker;


--
-- Name: FUNCTION erase_profile(p_profile_id text, p_asked_by text, p_reason text, p_names text[], p_rows integer); Type: ACL; Schema: public; Owner: leo_eraser
--

REVOKE ALL ON FUNCTION public.erase_profile(p_profile_id text, p_asked_by text, p_reason text, p_names text[], p_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_profile(p_profile_id text, p_asked_by text, p_reason text, p_names text[], p_rows integer) TO leo_app;
GRANT ALL ON FUNCTION public.erase_profile(p_profile_id text, p_asked_by text, p_reason text, p_names text[], p_rows integer) TO leo_worker;


--
-- Name: FUNCTION expire_alert_rules(p_limit integer); Type: ACL; Schema: public; Owner: leo_alert_keeper
--

REVOKE ALL ON FUNCTION public.expire_alert_rules(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.expire_alert_rules(p_limit integer) TO leo_worker;


--
-- Name: FUNCTION fire_alert_rules(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_prices bigint[], p_previous bigint[], p_fired_at timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval); Type: ACL; Schema: public; Owner: leo_alert_keeper
--

REVOKE ALL ON FUNCTION public.fire_alert_rules(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_prices bigint[], p_previous bigint[], p_fired_at timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fire_alert_rules(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_prices bigint[], p_previous bigint[], p_fired_at timestamp with time zone[], p_after_restart boolean[], p_evidence jsonb[], p_grace interval) TO leo_app;


--
-- Name: FUNCTION forget_receipts(p_task_ids text[]); Type: ACL; Schema: public; Owner: leo_eraser
--

REVOKE ALL ON FUNCTION public.forget_receipts(p_task_ids text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.forget_receipts(p_task_ids text[]) TO leo_worker;


--
-- Name: FUNCTION gather_digest(p_tenant uuid, p_task_ids text[], p_owner text); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.gather_digest(p_tenant uuid, p_task_ids text[], p_owner text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.gather_digest(p_tenant uuid, p_task_ids text[], p_owner text) TO leo_worker;


--
-- Name: FUNCTION keep_vector_signs(); Type: ACL; Schema: public; Owner: leo_task_claimer
--

REVOKE ALL ON FUNCTION public.keep_vector_signs() FROM PUBLIC;


--
-- Name: FUNCTION leo_append_only(target regclass); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.leo_append_only(target regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION public.leo_append_only(target regclass) TO leo_partition_maker;


--
-- Name: FUNCTION leo_await_writers(p_tables regclass[]); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.leo_await_writers(p_tables regclass[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.leo_await_writers(p_tables regclass[]) TO leo_eraser;


--
-- Name: FUNCTION leo_give_way(); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.leo_give_way() FROM PUBLIC;
GRANT ALL ON FUNCTION public.leo_give_way() TO leo_app;


--
-- Name: FUNCTION leo_isolate(target regclass); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.leo_isolate(target regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION public.leo_isolate(target regclass) TO leo_partition_maker;


--
-- Name: FUNCTION leo_mutable(target regclass); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.leo_mutable(target regclass) FROM PUBLIC;


--
-- Name: FUNCTION leo_relevant_news(p_tenant_id uuid, p_symbol text, p_at timestamp with time zone, p_limit integer); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.leo_relevant_news(p_tenant_id uuid, p_symbol text, p_at timestamp with time zone, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.leo_relevant_news(p_tenant_id uuid, p_symbol text, p_at timestamp with time zone, p_limit integer) TO leo_app;
GRANT ALL ON FUNCTION public.leo_relevant_news(p_tenant_id uuid, p_symbol text, p_at timestamp with time zone, p_limit integer) TO leo_worker;
GRANT ALL ON FUNCTION public.leo_relevant_news(p_tenant_id uuid, p_symbol text, p_at timestamp with time zone, p_limit integer) TO leo_alert_keeper;


--
-- Name: FUNCTION list_tenants(); Type: ACL; Schema: public; Owner: leo_tenant_lister
--

REVOKE ALL ON FUNCTION public.list_tenants() FROM PUBLIC;
GRANT ALL ON FUNCTION public.list_tenants() TO leo_app;
GRANT ALL ON FUNCTION public.list_tenants() TO leo_worker;


--
-- Name: FUNCTION load_alert_rules(p_shard integer, p_after_tenant_id uuid, p_after_rule_id text, p_limit integer); Type: ACL; Schema: public; Owner: leo_rule_loader
--

REVOKE ALL ON FUNCTION public.load_alert_rules(p_shard integer, p_after_tenant_id uuid, p_after_rule_id text, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.load_alert_rules(p_shard integer, p_after_tenant_id uuid, p_after_rule_id text, p_limit integer) TO leo_app;


--
-- Name: FUNCTION load_decisions(batches jsonb); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.load_decisions(batches jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.load_decisions(batches jsonb) TO leo_app;
GRANT ALL ON FUNCTION public.load_decisions(batches jsonb) TO leo_worker;


--
-- Name: FUNCTION note_rule_runtimes(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_runtimes jsonb[]); Type: ACL; Schema: public; Owner: leo_alert_keeper
--

REVOKE ALL ON FUNCTION public.note_rule_runtimes(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_runtimes jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_rule_runtimes(p_tenant_ids uuid[], p_rule_ids text[], p_generations bigint[], p_runtimes jsonb[]) TO leo_app;


--
-- Name: FUNCTION observe_data_sources(); Type: ACL; Schema: public; Owner: leo_source_claimer
--

REVOKE ALL ON FUNCTION public.observe_data_sources() FROM PUBLIC;
GRANT ALL ON FUNCTION public.observe_data_sources() TO leo_worker;


--
-- Name: FUNCTION queue_active_profiles(p_since timestamp with time zone, p_until timestamp with time zone, p_every interval); Type: ACL; Schema: public; Owner: leo_task_claimer
--

REVOKE ALL ON FUNCTION public.queue_active_profiles(p_since timestamp with time zone, p_until timestamp with time zone, p_every interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.queue_active_profiles(p_since timestamp with time zone, p_until timestamp with time zone, p_every interval) TO leo_worker;


--
-- Name: FUNCTION queue_changed_profiles(); Type: ACL; Schema: public; Owner: leo_task_claimer
--

REVOKE ALL ON FUNCTION public.queue_changed_profiles() FROM PUBLIC;


--
-- Name: FUNCTION queue_new_profiles(); Type: ACL; Schema: public; Owner: leo_task_claimer
--

REVOKE ALL ON FUNCTION public.queue_new_profiles() FROM PUBLIC;


--
-- Name: FUNCTION readmit_profile(p_profile_id text, p_asked_by text, p_reason text); Type: ACL; Schema: public; Owner: leo_eraser
--

REVOKE ALL ON FUNCTION public.readmit_profile(p_profile_id text, p_asked_by text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.readmit_profile(p_profile_id text, p_asked_by text, p_reason text) TO leo_app;


--
-- Name: FUNCTION record_and_redact_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.record_and_redact_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_and_redact_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) TO leo_app;
GRANT ALL ON FUNCTION public.record_and_redact_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) TO leo_worker;


--
-- Name: FUNCTION record_and_redact_results(of_tenant uuid, facts jsonb, ends jsonb); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.record_and_redact_results(of_tenant uuid, facts jsonb, ends jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_and_redact_results(of_tenant uuid, facts jsonb, ends jsonb) TO leo_worker;


--
-- Name: FUNCTION record_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.record_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) TO leo_app;
GRANT ALL ON FUNCTION public.record_decisions(recorded_at timestamp with time zone, reserved_in bigint, batches jsonb) TO leo_worker;


--
-- Name: FUNCTION record_results(of_tenant uuid, facts jsonb, ends jsonb); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.record_results(of_tenant uuid, facts jsonb, ends jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.record_results(of_tenant uuid, facts jsonb, ends jsonb) TO leo_worker;


--
-- Name: FUNCTION redact_erased(p_profile_ids text[]); Type: ACL; Schema: public; Owner: leo_eraser
--

REVOKE ALL ON FUNCTION public.redact_erased(p_profile_ids text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.redact_erased(p_profile_ids text[]) TO leo_app;
GRANT ALL ON FUNCTION public.redact_erased(p_profile_ids text[]) TO leo_worker;


--
-- Name: FUNCTION redact_rows(p_tenant uuid, p_profile_id text, p_rows integer); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.redact_rows(p_tenant uuid, p_profile_id text, p_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.redact_rows(p_tenant uuid, p_profile_id text, p_rows integer) TO leo_eraser;


--
-- Name: FUNCTION refuse_kept_month(p_month date, p_kept_months integer); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.refuse_kept_month(p_month date, p_kept_months integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refuse_kept_month(p_month date, p_kept_months integer) TO leo_partition_maker;


--
-- Name: FUNCTION release_held_deliveries(); Type: ACL; Schema: public; Owner: leo_task_claimer
--

REVOKE ALL ON FUNCTION public.release_held_deliveries() FROM PUBLIC;


--
-- Name: FUNCTION resolve_tenant(p_realm text, p_client text); Type: ACL; Schema: public; Owner: leo_tenant_resolver
--

REVOKE ALL ON FUNCTION public.resolve_tenant(p_realm text, p_client text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.resolve_tenant(p_realm text, p_client text) TO leo_app;


--
-- Name: FUNCTION store_credential(p_tenant_id uuid, p_channel text, p_ciphertext jsonb); Type: ACL; Schema: public; Owner: leo_credential_writer
--

REVOKE ALL ON FUNCTION public.store_credential(p_tenant_id uuid, p_channel text, p_ciphertext jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.store_credential(p_tenant_id uuid, p_channel text, p_ciphertext jsonb) TO leo_app;
GRANT ALL ON FUNCTION public.store_credential(p_tenant_id uuid, p_channel text, p_ciphertext jsonb) TO leo_worker;
GRANT ALL ON FUNCTION public.store_credential(p_tenant_id uuid, p_channel text, p_ciphertext jsonb) TO leo_admin;


--
-- Name: FUNCTION tenants_with_firings(p_tenant_ids uuid[], p_since pg_snapshot); Type: ACL; Schema: public; Owner: leo_alert_keeper
--

REVOKE ALL ON FUNCTION public.tenants_with_firings(p_tenant_ids uuid[], p_since pg_snapshot) FROM PUBLIC;
GRANT ALL ON FUNCTION public.tenants_with_firings(p_tenant_ids uuid[], p_since pg_snapshot) TO leo_app;


--
-- Name: FUNCTION wait_for_recorders(); Type: ACL; Schema: public; Owner: leo_owner
--

REVOKE ALL ON FUNCTION public.wait_for_recorders() FROM PUBLIC;
GRANT ALL ON FUNCTION public.wait_for_recorders() TO leo_app;
GRANT ALL ON FUNCTION public.wait_for_recorders() TO leo_worker;


--
-- Name: TABLE activation_experiments; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.activation_experiments TO leo_app;
GRANT SELECT ON TABLE public.activation_experiments TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.activation_experiments TO leo_proof;


--
-- Name: COLUMN activation_experiments.exposure_count; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(exposure_count) ON TABLE public.activation_experiments TO leo_worker;


--
-- Name: COLUMN activation_experiments.conversion_count; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(conversion_count) ON TABLE public.activation_experiments TO leo_worker;


--
-- Name: COLUMN activation_experiments.variant_counts; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(variant_counts) ON TABLE public.activation_experiments TO leo_worker;


--
-- Name: COLUMN activation_experiments.updated_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(updated_at) ON TABLE public.activation_experiments TO leo_worker;


--
-- Name: COLUMN activation_experiments.settled_until; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(settled_until) ON TABLE public.activation_experiments TO leo_worker;


--
-- Name: COLUMN activation_experiments.settled_counts; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(settled_counts) ON TABLE public.activation_experiments TO leo_worker;


--
-- Name: TABLE activation_outcomes; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT ON TABLE public.activation_outcomes TO leo_app;
GRANT SELECT,INSERT ON TABLE public.activation_outcomes TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.activation_outcomes TO leo_proof;


--
-- Name: COLUMN activation_outcomes.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(tenant_id) ON TABLE public.activation_outcomes TO leo_eraser;


--
-- Name: COLUMN activation_outcomes.profile_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(profile_id) ON TABLE public.activation_outcomes TO leo_eraser;


--
-- Name: COLUMN activation_outcomes.occurred_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(occurred_at) ON TABLE public.activation_outcomes TO leo_eraser;


--
-- Name: COLUMN activation_outcomes.metadata; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(metadata),UPDATE(metadata) ON TABLE public.activation_outcomes TO leo_eraser;


--
-- Name: TABLE agent_task; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT ON TABLE public.agent_task TO leo_app;
GRANT SELECT,INSERT ON TABLE public.agent_task TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.agent_task TO leo_proof;


--
-- Name: COLUMN agent_task.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(tenant_id) ON TABLE public.agent_task TO leo_task_claimer;
GRANT SELECT(tenant_id),INSERT(tenant_id) ON TABLE public.agent_task TO leo_eraser;
GRANT SELECT(tenant_id),INSERT(tenant_id) ON TABLE public.agent_task TO leo_alert_keeper;


--
-- Name: COLUMN agent_task.task_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(task_id) ON TABLE public.agent_task TO leo_task_claimer;
GRANT SELECT(task_id),INSERT(task_id) ON TABLE public.agent_task TO leo_alert_keeper;
GRANT SELECT(task_id),INSERT(task_id) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.agent_name; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(agent_name) ON TABLE public.agent_task TO leo_alert_keeper;
GRANT SELECT(agent_name),INSERT(agent_name) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.task_type; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(task_type) ON TABLE public.agent_task TO leo_alert_keeper;
GRANT INSERT(task_type) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.campaign_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(campaign_id) ON TABLE public.agent_task TO leo_task_claimer;


--
-- Name: COLUMN agent_task.profile_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(profile_id),INSERT(profile_id) ON TABLE public.agent_task TO leo_eraser;
GRANT INSERT(profile_id) ON TABLE public.agent_task TO leo_alert_keeper;


--
-- Name: COLUMN agent_task.source_event_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(source_event_id),INSERT(source_event_id) ON TABLE public.agent_task TO leo_alert_keeper;


--
-- Name: COLUMN agent_task.event_type; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(event_type) ON TABLE public.agent_task TO leo_alert_keeper;
GRANT INSERT(event_type) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.occurred_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(occurred_at) ON TABLE public.agent_task TO leo_alert_keeper;


--
-- Name: COLUMN agent_task.decided_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(decided_at) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.input_sha256; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(input_sha256),UPDATE(input_sha256) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.outcome; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(outcome) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.reason_code; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(reason_code) ON TABLE public.agent_task TO leo_alert_keeper;
GRANT SELECT(reason_code) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.reasoning_summary; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(reasoning_summary) ON TABLE public.agent_task TO leo_app;
GRANT UPDATE(reasoning_summary) ON TABLE public.agent_task TO leo_worker;
GRANT INSERT(reasoning_summary),UPDATE(reasoning_summary) ON TABLE public.agent_task TO leo_eraser;
GRANT INSERT(reasoning_summary) ON TABLE public.agent_task TO leo_alert_keeper;


--
-- Name: COLUMN agent_task.reasoning_trace; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(reasoning_trace) ON TABLE public.agent_task TO leo_app;
GRANT UPDATE(reasoning_trace) ON TABLE public.agent_task TO leo_worker;
GRANT UPDATE(reasoning_trace) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.inputs; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(inputs),INSERT(inputs),UPDATE(inputs) ON TABLE public.agent_task TO leo_eraser;
GRANT INSERT(inputs) ON TABLE public.agent_task TO leo_alert_keeper;


--
-- Name: COLUMN agent_task.result; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(result) ON TABLE public.agent_task TO leo_app;
GRANT UPDATE(result) ON TABLE public.agent_task TO leo_worker;
GRANT SELECT(result),INSERT(result),UPDATE(result) ON TABLE public.agent_task TO leo_eraser;
GRANT INSERT(result) ON TABLE public.agent_task TO leo_alert_keeper;


--
-- Name: COLUMN agent_task.output_sha256; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(output_sha256) ON TABLE public.agent_task TO leo_app;
GRANT UPDATE(output_sha256) ON TABLE public.agent_task TO leo_worker;


--
-- Name: COLUMN agent_task.related_news_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(related_news_id) ON TABLE public.agent_task TO leo_alert_keeper;


--
-- Name: COLUMN agent_task.status; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(status) ON TABLE public.agent_task TO leo_app;
GRANT UPDATE(status) ON TABLE public.agent_task TO leo_worker;
GRANT SELECT(status) ON TABLE public.agent_task TO leo_task_claimer;
GRANT SELECT(status),INSERT(status),UPDATE(status) ON TABLE public.agent_task TO leo_eraser;
GRANT SELECT(status),INSERT(status) ON TABLE public.agent_task TO leo_alert_keeper;


--
-- Name: COLUMN agent_task.queue; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(queue) ON TABLE public.agent_task TO leo_task_claimer;
GRANT SELECT(queue),INSERT(queue) ON TABLE public.agent_task TO leo_alert_keeper;
GRANT SELECT(queue),INSERT(queue) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.due_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(due_at) ON TABLE public.agent_task TO leo_app;
GRANT UPDATE(due_at) ON TABLE public.agent_task TO leo_worker;
GRANT SELECT(due_at),UPDATE(due_at) ON TABLE public.agent_task TO leo_task_claimer;
GRANT SELECT(due_at),INSERT(due_at) ON TABLE public.agent_task TO leo_alert_keeper;
GRANT INSERT(due_at),UPDATE(due_at) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.lease_owner; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(lease_owner) ON TABLE public.agent_task TO leo_app;
GRANT UPDATE(lease_owner) ON TABLE public.agent_task TO leo_worker;
GRANT UPDATE(lease_owner) ON TABLE public.agent_task TO leo_task_claimer;


--
-- Name: COLUMN agent_task.lease_until; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(lease_until) ON TABLE public.agent_task TO leo_app;
GRANT UPDATE(lease_until) ON TABLE public.agent_task TO leo_worker;
GRANT SELECT(lease_until),UPDATE(lease_until) ON TABLE public.agent_task TO leo_task_claimer;


--
-- Name: COLUMN agent_task.attempts; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(attempts) ON TABLE public.agent_task TO leo_app;
GRANT UPDATE(attempts) ON TABLE public.agent_task TO leo_worker;
GRANT SELECT(attempts),UPDATE(attempts) ON TABLE public.agent_task TO leo_task_claimer;


--
-- Name: COLUMN agent_task.created_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(created_at) ON TABLE public.agent_task TO leo_eraser;


--
-- Name: COLUMN agent_task.updated_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(updated_at) ON TABLE public.agent_task TO leo_app;
GRANT UPDATE(updated_at) ON TABLE public.agent_task TO leo_worker;


--
-- Name: COLUMN agent_task.held_by; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(held_by) ON TABLE public.agent_task TO leo_app;
GRANT UPDATE(held_by) ON TABLE public.agent_task TO leo_worker;
GRANT SELECT(held_by),UPDATE(held_by) ON TABLE public.agent_task TO leo_task_claimer;


--
-- Name: COLUMN agent_task.recorded_xid; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(recorded_xid),INSERT(recorded_xid) ON TABLE public.agent_task TO leo_alert_keeper;


--
-- Name: TABLE alert_rules; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.alert_rules TO leo_app;
GRANT SELECT ON TABLE public.alert_rules TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.alert_rules TO leo_proof;
GRANT SELECT ON TABLE public.alert_rules TO leo_rule_loader;
GRANT SELECT ON TABLE public.alert_rules TO leo_alert_keeper;


--
-- Name: COLUMN alert_rules.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(tenant_id) ON TABLE public.alert_rules TO leo_eraser;


--
-- Name: COLUMN alert_rules.profile_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(profile_id) ON TABLE public.alert_rules TO leo_eraser;


--
-- Name: COLUMN alert_rules.generation; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(generation) ON TABLE public.alert_rules TO leo_alert_keeper;


--
-- Name: COLUMN alert_rules.last_triggered_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(last_triggered_at) ON TABLE public.alert_rules TO leo_alert_keeper;


--
-- Name: COLUMN alert_rules.status; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(status),UPDATE(status) ON TABLE public.alert_rules TO leo_eraser;
GRANT UPDATE(status) ON TABLE public.alert_rules TO leo_alert_keeper;


--
-- Name: COLUMN alert_rules.note; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(note),UPDATE(note) ON TABLE public.alert_rules TO leo_eraser;


--
-- Name: COLUMN alert_rules.last_fired_price_nanos; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(last_fired_price_nanos) ON TABLE public.alert_rules TO leo_alert_keeper;


--
-- Name: COLUMN alert_rules.runtime; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(runtime) ON TABLE public.alert_rules TO leo_alert_keeper;
GRANT SELECT(runtime),UPDATE(runtime) ON TABLE public.alert_rules TO leo_eraser;


--
-- Name: SEQUENCE alert_shard_epoch; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT USAGE ON SEQUENCE public.alert_shard_epoch TO leo_app;


--
-- Name: TABLE behavioral_events; Type: ACL; Schema: public; Owner: leo_partition_maker
--

GRANT SELECT,INSERT ON TABLE public.behavioral_events TO leo_app;
GRANT SELECT,INSERT ON TABLE public.behavioral_events TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.behavioral_events TO leo_proof;


--
-- Name: COLUMN behavioral_events.tenant_id; Type: ACL; Schema: public; Owner: leo_partition_maker
--

GRANT SELECT(tenant_id) ON TABLE public.behavioral_events TO leo_eraser;
GRANT SELECT(tenant_id) ON TABLE public.behavioral_events TO leo_task_claimer;


--
-- Name: COLUMN behavioral_events.profile_id; Type: ACL; Schema: public; Owner: leo_partition_maker
--

GRANT SELECT(profile_id) ON TABLE public.behavioral_events TO leo_eraser;
GRANT SELECT(profile_id) ON TABLE public.behavioral_events TO leo_task_claimer;


--
-- Name: COLUMN behavioral_events.event_type; Type: ACL; Schema: public; Owner: leo_partition_maker
--

GRANT SELECT(event_type) ON TABLE public.behavioral_events TO leo_task_claimer;


--
-- Name: COLUMN behavioral_events.entity_type; Type: ACL; Schema: public; Owner: leo_partition_maker
--

GRANT SELECT(entity_type),UPDATE(entity_type) ON TABLE public.behavioral_events TO leo_eraser;


--
-- Name: COLUMN behavioral_events.entity_id; Type: ACL; Schema: public; Owner: leo_partition_maker
--

GRANT SELECT(entity_id),UPDATE(entity_id) ON TABLE public.behavioral_events TO leo_eraser;


--
-- Name: COLUMN behavioral_events.sentiment_val; Type: ACL; Schema: public; Owner: leo_partition_maker
--

GRANT SELECT(sentiment_val),UPDATE(sentiment_val) ON TABLE public.behavioral_events TO leo_eraser;


--
-- Name: COLUMN behavioral_events.attributes; Type: ACL; Schema: public; Owner: leo_partition_maker
--

GRANT SELECT(attributes),UPDATE(attributes) ON TABLE public.behavioral_events TO leo_eraser;


--
-- Name: COLUMN behavioral_events.occurred_at; Type: ACL; Schema: public; Owner: leo_partition_maker
--

GRANT SELECT(occurred_at) ON TABLE public.behavioral_events TO leo_eraser;


--
-- Name: COLUMN behavioral_events.created_at; Type: ACL; Schema: public; Owner: leo_partition_maker
--

GRANT SELECT(created_at) ON TABLE public.behavioral_events TO leo_task_claimer;


--
-- Name: TABLE campaign; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.campaign TO leo_app;
GRANT SELECT ON TABLE public.campaign TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.campaign TO leo_proof;


--
-- Name: TABLE cdp_profiles; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT ON TABLE public.cdp_profiles TO leo_app;
GRANT SELECT,INSERT ON TABLE public.cdp_profiles TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.cdp_profiles TO leo_proof;


--
-- Name: COLUMN cdp_profiles.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(tenant_id),INSERT(tenant_id) ON TABLE public.cdp_profiles TO leo_eraser;
GRANT SELECT(tenant_id) ON TABLE public.cdp_profiles TO leo_task_claimer;


--
-- Name: COLUMN cdp_profiles.profile_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(profile_id),INSERT(profile_id) ON TABLE public.cdp_profiles TO leo_eraser;
GRANT SELECT(profile_id) ON TABLE public.cdp_profiles TO leo_task_claimer;


--
-- Name: COLUMN cdp_profiles.ext_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(ext_id) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(ext_id) ON TABLE public.cdp_profiles TO leo_worker;
GRANT SELECT(ext_id),UPDATE(ext_id) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.identities; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(identities) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(identities) ON TABLE public.cdp_profiles TO leo_worker;
GRANT SELECT(identities),UPDATE(identities) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.primary_email; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(primary_email) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(primary_email) ON TABLE public.cdp_profiles TO leo_worker;
GRANT SELECT(primary_email),UPDATE(primary_email) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.mobile_number; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(mobile_number) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(mobile_number) ON TABLE public.cdp_profiles TO leo_worker;
GRANT SELECT(mobile_number),UPDATE(mobile_number) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.living_location; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(living_location) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(living_location) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(living_location) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.latitude; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(latitude) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(latitude) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(latitude) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.longitude; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(longitude) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(longitude) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(longitude) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.job_titles; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(job_titles) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(job_titles) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(job_titles) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.interests; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(interests) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(interests) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(interests) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.data_labels; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(data_labels) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(data_labels) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(data_labels) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.segments; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(segments) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(segments) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(segments) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.segment_snapshots; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(segment_snapshots) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(segment_snapshots) ON TABLE public.cdp_profiles TO leo_worker;
GRANT SELECT(segment_snapshots) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.portfolio_snapshot; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(portfolio_snapshot) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(portfolio_snapshot) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(portfolio_snapshot) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.portfolio_risk_score; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(portfolio_risk_score) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(portfolio_risk_score) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(portfolio_risk_score) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.raw_attributes; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(raw_attributes) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(raw_attributes) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(raw_attributes) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.channel_addresses; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(channel_addresses) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(channel_addresses) ON TABLE public.cdp_profiles TO leo_worker;
GRANT SELECT(channel_addresses),UPDATE(channel_addresses) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.language; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(language) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(language) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(language) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.time_zone; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(time_zone) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(time_zone) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(time_zone) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.interest_embedding; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(interest_embedding) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(interest_embedding) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(interest_embedding) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.source_updated_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(source_updated_at) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(source_updated_at) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(source_updated_at) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.erased_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(erased_at),UPDATE(erased_at) ON TABLE public.cdp_profiles TO leo_eraser;
GRANT SELECT(erased_at) ON TABLE public.cdp_profiles TO leo_task_claimer;


--
-- Name: COLUMN cdp_profiles.updated_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(updated_at) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(updated_at) ON TABLE public.cdp_profiles TO leo_worker;


--
-- Name: COLUMN cdp_profiles.interest_embedding_model; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(interest_embedding_model) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(interest_embedding_model) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(interest_embedding_model) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.field_times; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(field_times) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(field_times) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(field_times) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.evaluated_segments; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(evaluated_segments) ON TABLE public.cdp_profiles TO leo_app;
GRANT UPDATE(evaluated_segments) ON TABLE public.cdp_profiles TO leo_worker;
GRANT UPDATE(evaluated_segments) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.segment_labels; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(segment_labels) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: COLUMN cdp_profiles.suppression; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(suppression),UPDATE(suppression) ON TABLE public.cdp_profiles TO leo_eraser;


--
-- Name: TABLE consent_management; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.consent_management TO leo_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.consent_management TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.consent_management TO leo_proof;


--
-- Name: COLUMN consent_management.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(tenant_id) ON TABLE public.consent_management TO leo_eraser;


--
-- Name: COLUMN consent_management.profile_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(profile_id) ON TABLE public.consent_management TO leo_eraser;


--
-- Name: COLUMN consent_management.channel; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(channel) ON TABLE public.consent_management TO leo_eraser;


--
-- Name: COLUMN consent_management.status; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(status),UPDATE(status) ON TABLE public.consent_management TO leo_eraser;


--
-- Name: COLUMN consent_management.legal_basis; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(legal_basis) ON TABLE public.consent_management TO leo_eraser;


--
-- Name: COLUMN consent_management.source; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(source) ON TABLE public.consent_management TO leo_eraser;


--
-- Name: COLUMN consent_management.withdrawn_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(withdrawn_at),UPDATE(withdrawn_at) ON TABLE public.consent_management TO leo_eraser;


--
-- Name: COLUMN consent_management.expires_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(expires_at),UPDATE(expires_at) ON TABLE public.consent_management TO leo_eraser;


--
-- Name: TABLE data_sources; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.data_sources TO leo_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.data_sources TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.data_sources TO leo_proof;


--
-- Name: COLUMN data_sources.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(tenant_id) ON TABLE public.data_sources TO leo_source_claimer;


--
-- Name: COLUMN data_sources.source_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(source_id) ON TABLE public.data_sources TO leo_source_claimer;


--
-- Name: COLUMN data_sources.last_success_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(last_success_at) ON TABLE public.data_sources TO leo_source_claimer;


--
-- Name: COLUMN data_sources.health; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(health) ON TABLE public.data_sources TO leo_source_claimer;


--
-- Name: COLUMN data_sources.status; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(status) ON TABLE public.data_sources TO leo_source_claimer;


--
-- Name: COLUMN data_sources.created_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(created_at) ON TABLE public.data_sources TO leo_source_claimer;


--
-- Name: COLUMN data_sources.stale_after_seconds; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(stale_after_seconds) ON TABLE public.data_sources TO leo_source_claimer;


--
-- Name: COLUMN data_sources.due_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(due_at) ON TABLE public.data_sources TO leo_source_claimer;


--
-- Name: COLUMN data_sources.lease_owner; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(lease_owner) ON TABLE public.data_sources TO leo_source_claimer;


--
-- Name: COLUMN data_sources.lease_until; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(lease_until),UPDATE(lease_until) ON TABLE public.data_sources TO leo_source_claimer;


--
-- Name: COLUMN data_sources.synced_until; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(synced_until) ON TABLE public.data_sources TO leo_source_claimer;


--
-- Name: TABLE delivery_log; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT ON TABLE public.delivery_log TO leo_app;
GRANT SELECT,INSERT ON TABLE public.delivery_log TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.delivery_log TO leo_proof;


--
-- Name: COLUMN delivery_log.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(tenant_id),INSERT(tenant_id) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.delivery_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(delivery_id) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.delivery_key; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(delivery_key),INSERT(delivery_key) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.attempt; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(attempt),INSERT(attempt) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.task_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(task_id),INSERT(task_id) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.marketing_event_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(marketing_event_id),INSERT(marketing_event_id) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.campaign_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(campaign_id),INSERT(campaign_id) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.profile_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(profile_id),INSERT(profile_id) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.snapshot_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(snapshot_id),INSERT(snapshot_id) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.channel; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(channel),INSERT(channel) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.destination; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(destination),UPDATE(destination) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.delivery_status; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(delivery_status),INSERT(delivery_status) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.reason; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(reason),INSERT(reason),UPDATE(reason) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.subject; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(subject),UPDATE(subject) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.body; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(body),UPDATE(body) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.provider_message_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(provider_message_id),UPDATE(provider_message_id) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.provider_response; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(provider_response),UPDATE(provider_response) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.created_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(created_at) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: COLUMN delivery_log.series; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(series),INSERT(series) ON TABLE public.delivery_log TO leo_eraser;


--
-- Name: TABLE delivery_current; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT ON TABLE public.delivery_current TO leo_app;
GRANT SELECT ON TABLE public.delivery_current TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.delivery_current TO leo_proof;


--
-- Name: TABLE embedding_job; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.embedding_job TO leo_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.embedding_job TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.embedding_job TO leo_proof;
GRANT SELECT ON TABLE public.embedding_job TO leo_task_claimer;


--
-- Name: COLUMN embedding_job.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(tenant_id) ON TABLE public.embedding_job TO leo_eraser;
GRANT INSERT(tenant_id) ON TABLE public.embedding_job TO leo_task_claimer;


--
-- Name: COLUMN embedding_job.entity_type; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(entity_type) ON TABLE public.embedding_job TO leo_eraser;
GRANT INSERT(entity_type) ON TABLE public.embedding_job TO leo_task_claimer;


--
-- Name: COLUMN embedding_job.entity_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(entity_id) ON TABLE public.embedding_job TO leo_eraser;
GRANT INSERT(entity_id) ON TABLE public.embedding_job TO leo_task_claimer;


--
-- Name: COLUMN embedding_job.input_sha256; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(input_sha256) ON TABLE public.embedding_job TO leo_eraser;


--
-- Name: COLUMN embedding_job.status; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(status) ON TABLE public.embedding_job TO leo_eraser;
GRANT INSERT(status),UPDATE(status) ON TABLE public.embedding_job TO leo_task_claimer;


--
-- Name: COLUMN embedding_job.due_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(due_at) ON TABLE public.embedding_job TO leo_task_claimer;


--
-- Name: COLUMN embedding_job.lease_owner; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(lease_owner) ON TABLE public.embedding_job TO leo_task_claimer;


--
-- Name: COLUMN embedding_job.lease_until; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(lease_until) ON TABLE public.embedding_job TO leo_task_claimer;


--
-- Name: COLUMN embedding_job.attempts; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(attempts) ON TABLE public.embedding_job TO leo_task_claimer;


--
-- Name: COLUMN embedding_job.last_error; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(last_error) ON TABLE public.embedding_job TO leo_eraser;
GRANT UPDATE(last_error) ON TABLE public.embedding_job TO leo_task_claimer;


--
-- Name: COLUMN embedding_job.vector_signs; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(vector_signs),UPDATE(vector_signs) ON TABLE public.embedding_job TO leo_task_claimer;


--
-- Name: TABLE instruments; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.instruments TO leo_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.instruments TO leo_admin;
GRANT SELECT ON TABLE public.instruments TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.instruments TO leo_proof;


--
-- Name: COLUMN instruments.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(tenant_id) ON TABLE public.instruments TO leo_rule_loader;


--
-- Name: COLUMN instruments.symbol; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(symbol) ON TABLE public.instruments TO leo_rule_loader;


--
-- Name: COLUMN instruments.metadata; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(metadata) ON TABLE public.instruments TO leo_rule_loader;


--
-- Name: COLUMN instruments.status; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(status) ON TABLE public.instruments TO leo_rule_loader;


--
-- Name: COLUMN instruments.updated_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(updated_at) ON TABLE public.instruments TO leo_rule_loader;


--
-- Name: TABLE market_snapshot; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.market_snapshot TO leo_app;
GRANT SELECT ON TABLE public.market_snapshot TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.market_snapshot TO leo_proof;


--
-- Name: COLUMN market_snapshot.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(tenant_id) ON TABLE public.market_snapshot TO leo_alert_keeper;


--
-- Name: COLUMN market_snapshot.symbol; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(symbol) ON TABLE public.market_snapshot TO leo_alert_keeper;


--
-- Name: COLUMN market_snapshot.price_nanos; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(price_nanos) ON TABLE public.market_snapshot TO leo_alert_keeper;


--
-- Name: COLUMN market_snapshot.epoch; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(epoch),UPDATE(epoch) ON TABLE public.market_snapshot TO leo_alert_keeper;


--
-- Name: COLUMN market_snapshot.observed_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(observed_at) ON TABLE public.market_snapshot TO leo_alert_keeper;


--
-- Name: COLUMN market_snapshot.history; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(history) ON TABLE public.market_snapshot TO leo_alert_keeper;


--
-- Name: COLUMN market_snapshot.previous_price_nanos; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(previous_price_nanos) ON TABLE public.market_snapshot TO leo_alert_keeper;


--
-- Name: COLUMN market_snapshot.feed; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(feed) ON TABLE public.market_snapshot TO leo_alert_keeper;


--
-- Name: COLUMN market_snapshot.sequence; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(sequence) ON TABLE public.market_snapshot TO leo_alert_keeper;


--
-- Name: COLUMN market_snapshot.volume_micros; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(volume_micros) ON TABLE public.market_snapshot TO leo_alert_keeper;


--
-- Name: TABLE marketing_event; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.marketing_event TO leo_app;
GRANT SELECT ON TABLE public.marketing_event TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.marketing_event TO leo_proof;


--
-- Name: COLUMN marketing_event.embedding; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(embedding) ON TABLE public.marketing_event TO leo_worker;


--
-- Name: COLUMN marketing_event.updated_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT UPDATE(updated_at) ON TABLE public.marketing_event TO leo_worker;


--
-- Name: TABLE message_templates; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.message_templates TO leo_app;
GRANT SELECT ON TABLE public.message_templates TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.message_templates TO leo_proof;


--
-- Name: TABLE news_feed; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.news_feed TO leo_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.news_feed TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.news_feed TO leo_proof;


--
-- Name: COLUMN news_feed.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(tenant_id) ON TABLE public.news_feed TO leo_alert_keeper;


--
-- Name: COLUMN news_feed.news_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(news_id) ON TABLE public.news_feed TO leo_alert_keeper;


--
-- Name: COLUMN news_feed.title; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(title) ON TABLE public.news_feed TO leo_alert_keeper;


--
-- Name: COLUMN news_feed.source_name; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(source_name) ON TABLE public.news_feed TO leo_alert_keeper;


--
-- Name: COLUMN news_feed.source_url; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(source_url) ON TABLE public.news_feed TO leo_alert_keeper;


--
-- Name: COLUMN news_feed.published_at; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(published_at) ON TABLE public.news_feed TO leo_alert_keeper;


--
-- Name: COLUMN news_feed.sentiment_score; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(sentiment_score) ON TABLE public.news_feed TO leo_alert_keeper;


--
-- Name: COLUMN news_feed.symbol_days; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(symbol_days) ON TABLE public.news_feed TO leo_alert_keeper;


--
-- Name: SEQUENCE reservation_epoch; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,USAGE ON SEQUENCE public.reservation_epoch TO leo_app;
GRANT SELECT,USAGE ON SEQUENCE public.reservation_epoch TO leo_worker;


--
-- Name: TABLE segment_snapshot; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT ON TABLE public.segment_snapshot TO leo_app;
GRANT SELECT,INSERT ON TABLE public.segment_snapshot TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.segment_snapshot TO leo_proof;


--
-- Name: TABLE segment_snapshot_member; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT,INSERT ON TABLE public.segment_snapshot_member TO leo_app;
GRANT SELECT,INSERT ON TABLE public.segment_snapshot_member TO leo_worker;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.segment_snapshot_member TO leo_proof;


--
-- Name: TABLE tenant; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT ON TABLE public.tenant TO leo_app;
GRANT SELECT ON TABLE public.tenant TO leo_worker;
GRANT SELECT ON TABLE public.tenant TO leo_admin;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.tenant TO leo_proof;


--
-- Name: COLUMN tenant.tenant_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(tenant_id) ON TABLE public.tenant TO leo_admin;
GRANT SELECT(tenant_id) ON TABLE public.tenant TO leo_tenant_resolver;
GRANT SELECT(tenant_id) ON TABLE public.tenant TO leo_tenant_lister;
GRANT SELECT(tenant_id) ON TABLE public.tenant TO leo_credential_writer;
GRANT SELECT(tenant_id) ON TABLE public.tenant TO leo_definition_versioner;
GRANT SELECT(tenant_id) ON TABLE public.tenant TO leo_source_claimer;


--
-- Name: COLUMN tenant.tenant_name; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(tenant_name),UPDATE(tenant_name) ON TABLE public.tenant TO leo_admin;


--
-- Name: COLUMN tenant.keycloak_realm; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(keycloak_realm),UPDATE(keycloak_realm) ON TABLE public.tenant TO leo_admin;
GRANT SELECT(keycloak_realm) ON TABLE public.tenant TO leo_tenant_resolver;


--
-- Name: COLUMN tenant.keycloak_client_id; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(keycloak_client_id),UPDATE(keycloak_client_id) ON TABLE public.tenant TO leo_admin;
GRANT SELECT(keycloak_client_id) ON TABLE public.tenant TO leo_tenant_resolver;


--
-- Name: COLUMN tenant.metadata; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(metadata),UPDATE(metadata) ON TABLE public.tenant TO leo_admin;
GRANT SELECT(metadata),UPDATE(metadata) ON TABLE public.tenant TO leo_credential_writer;


--
-- Name: COLUMN tenant.definitions_version; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT SELECT(definitions_version),UPDATE(definitions_version) ON TABLE public.tenant TO leo_definition_versioner;


--
-- Name: COLUMN tenant.status; Type: ACL; Schema: public; Owner: leo_owner
--

GRANT INSERT(status),UPDATE(status) ON TABLE public.tenant TO leo_admin;
GRANT SELECT(status) ON TABLE public.tenant TO leo_tenant_resolver;
GRANT SELECT(status) ON TABLE public.tenant TO leo_tenant_lister;
GRANT SELECT(status) ON TABLE public.tenant TO leo_source_claimer;


--
-- PostgreSQL database dump complete
--
