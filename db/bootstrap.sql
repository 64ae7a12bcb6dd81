-- What a superuser does once: the roles of the cluster, then the extensions and marks of one database.
--
-- Plain SQL and idempotent: send the whole file as one simple query, once to every database that LEO uses.
-- LOGIN roles get no password here; whoever runs the database sets one for each role that it serves.

-- ---------------------------------------------------------------------------------------------------------
-- Roles (one set for the cluster)
-- ---------------------------------------------------------------------------------------------------------

DO $roles$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT *
        FROM (VALUES
            -- Migrations own the objects; nothing that serves logs in with this role.
            ('leo_owner', 'LOGIN', 'Owns the objects of LEO; runs the migrations'),
            ('leo_app', 'LOGIN', 'The gRPC and HTTP servers'),
            ('leo_worker', 'LOGIN', 'The background workers'),
            ('leo_admin', 'LOGIN', 'Creates and changes tenants and global instruments'),
            ('leo_proof', 'LOGIN BYPASSRLS', 'Proofs in tests and data migrations; no service has it'),
            -- One owner for each narrow SECURITY DEFINER function; nobody logs in with these.
            ('leo_eraser', 'NOLOGIN', 'Owns erase_profile: the only role that may redact append-only rows'),
            ('leo_tenant_resolver', 'NOLOGIN', 'Owns resolve_tenant'),
            ('leo_tenant_lister', 'NOLOGIN', 'Owns list_tenants'),
            ('leo_task_claimer', 'NOLOGIN', 'Owns claim_tasks, due_queues and the queue of texts to embed'),
            ('leo_source_claimer', 'NOLOGIN', 'Owns claim_data_sources and observe_data_sources'),
            ('leo_rule_loader', 'NOLOGIN', 'Owns load_alert_rules and changed_alert_rules'),
            ('leo_alert_keeper', 'NOLOGIN', 'Owns claim_market_shards, fire_alert_rules and other functions of alerts'),
            ('leo_credential_writer', 'NOLOGIN', 'Owns store_credential'),
            ('leo_definition_versioner', 'NOLOGIN', 'Owns bump_definitions_version'),
            ('leo_partition_maker', 'NOLOGIN', 'Owns ensure_month, behavioral_events and its partitions')
        ) AS role_list (role_name, attributes, description)
    LOOP
        BEGIN
            EXECUTE format(
                'CREATE ROLE %I %s NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION',
                wanted.role_name, wanted.attributes
            );
            EXECUTE format('COMMENT ON ROLE %I IS %L', wanted.role_name, wanted.description);
        EXCEPTION
            -- Another database of this cluster has been bootstrapped, or is being so at this moment.
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
END
$roles$;

-- A migration hands each narrow function over to its owner, which takes the SET option. Nothing is inherited,
-- so the owner of the tables stays bound by row-level security like everybody else.
DO $memberships$
DECLARE
    function_owner text;
BEGIN
    FOREACH function_owner IN ARRAY ARRAY[
        'leo_eraser', 'leo_tenant_resolver', 'leo_tenant_lister', 'leo_task_claimer',
        'leo_source_claimer', 'leo_rule_loader', 'leo_alert_keeper', 'leo_credential_writer',
        'leo_definition_versioner'
    ]
    LOOP
        EXECUTE format('GRANT %I TO leo_owner WITH INHERIT FALSE, SET TRUE', function_owner);
    END LOOP;
    -- Migrations alter behavioral_events and drop its old months, which takes the rights of its owner.
    GRANT leo_partition_maker TO leo_owner WITH INHERIT TRUE, SET TRUE;
END
$memberships$;

-- ---------------------------------------------------------------------------------------------------------
-- This database: who may enter, who may create
-- ---------------------------------------------------------------------------------------------------------

DO $database$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO leo_owner', current_database());
    -- TEMPORARY: the bulk writer copies into session temp tables.
    EXECUTE format(
        'GRANT CONNECT, TEMPORARY ON DATABASE %I TO leo_app, leo_worker, leo_admin, leo_proof',
        current_database()
    );
END
$database$;

-- As owner of the schema, leo_owner can lend CREATE to a function's owner while it hands the function over,
-- and can drop what those roles own.
ALTER SCHEMA public OWNER TO leo_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- ---------------------------------------------------------------------------------------------------------
-- Extensions
-- ---------------------------------------------------------------------------------------------------------

CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE EXTENSION IF NOT EXISTS vector;

DO $optional_extensions$
DECLARE
    extension text;
BEGIN
    FOREACH extension IN ARRAY ARRAY['postgis', 'age']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = extension) THEN
            RAISE NOTICE 'extension % is not installed on this host; what needs it says so', extension;
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I', extension);
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE 'extension % could not be created: %', extension, SQLERRM;
        END;
    END LOOP;
END
$optional_extensions$;

-- ---------------------------------------------------------------------------------------------------------
-- Leakproof marks
-- ---------------------------------------------------------------------------------------------------------

-- Below a row-level policy PostgreSQL uses an index only for operators that cannot tell anything about the
-- rows that the policy hides. Without the mark these operators scan the table: 14 ms against 0.3 ms.
-- They compare values and raise no error that contains one, so the mark is true for the types used here.
DO $leakproof$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        -- jsonb @>, <@, ?, ?|, ?&
        'pg_catalog.jsonb_contains(jsonb,jsonb)', 'pg_catalog.jsonb_contained(jsonb,jsonb)',
        'pg_catalog.jsonb_exists(jsonb,text)', 'pg_catalog.jsonb_exists_any(jsonb,text[])',
        'pg_catalog.jsonb_exists_all(jsonb,text[])',
        -- citext =, <>, <, <=, >, >=
        'public.citext_eq(public.citext,public.citext)', 'public.citext_ne(public.citext,public.citext)',
        'public.citext_lt(public.citext,public.citext)', 'public.citext_le(public.citext,public.citext)',
        'public.citext_gt(public.citext,public.citext)', 'public.citext_ge(public.citext,public.citext)',
        -- tsvector @@ tsquery, both ways round
        'pg_catalog.ts_match_vq(tsvector,tsquery)', 'pg_catalog.ts_match_qv(tsquery,tsvector)',
        -- array @>, &&
        'pg_catalog.arraycontains(anyarray,anyarray)', 'pg_catalog.arrayoverlap(anyarray,anyarray)'
    ]
    LOOP
        BEGIN
            EXECUTE format('ALTER FUNCTION %s LEAKPROOF', signature);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE '% stays without LEAKPROOF: queries that filter by it will be slow', signature;
        END;
    END LOOP;
END
$leakproof$;
