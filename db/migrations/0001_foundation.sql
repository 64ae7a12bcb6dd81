-- Functions that the tables lean on: deterministic ids, and the triggers' guards.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- ---------------------------------------------------------------------------------------------------------
-- Deterministic ids. server/platform/ids.py holds the same in Python; a property test compares the two.
-- ---------------------------------------------------------------------------------------------------------

-- Each part travels with its length in bytes, so no two lists of parts give the same bytes.
CREATE FUNCTION leo_key_id(kind text, tenant_id uuid, VARIADIC parts text[] DEFAULT '{}') RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
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
COMMENT ON FUNCTION leo_key_id IS
    'Lower-case hex SHA-256 over kind, tenant and parts, each as <length in bytes>:<UTF-8 bytes>';

-- The text form of jsonb is canonical: sorted keys, one spacing, plain decimals.
CREATE FUNCTION leo_content_id(kind text, tenant_id uuid, content jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN public.leo_key_id(kind, tenant_id, content::text);
END
$$;
COMMENT ON FUNCTION leo_content_id IS 'leo_key_id over the canonical JSON of a document';

CREATE FUNCTION leo_audience_sha256(profile_ids text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT encode(sha256(convert_to(
        coalesce(string_agg(octet_length(profile_id) || ':' || profile_id, '' ORDER BY profile_id), ''), 'UTF8'
    )), 'hex')
    FROM (SELECT DISTINCT member COLLATE "C" AS profile_id FROM unnest(profile_ids) AS member) AS audience
$$;
COMMENT ON FUNCTION leo_audience_sha256 IS
    'Lower-case hex SHA-256 over the distinct members in code-point order, each as <length in bytes>:<UTF-8 bytes>';

CREATE FUNCTION leo_symbol_shard(symbol text) RETURNS smallint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN get_byte(sha256(convert_to(symbol, 'UTF8')), 0) & 63;
END
$$;
COMMENT ON FUNCTION leo_symbol_shard IS 'Shard of a symbol, 0 to 63: the low six bits of its first SHA-256 byte';

-- ---------------------------------------------------------------------------------------------------------
-- Triggers' guards
-- ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION update_timestamp() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION update_timestamp IS 'Keeps updated_at of a mutable table';

CREATE FUNCTION refuse_rewrite() RETURNS trigger
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
COMMENT ON FUNCTION refuse_rewrite IS
    'Statement trigger of append-only tables: refuses UPDATE, DELETE and TRUNCATE (LE001), redaction by leo_eraser aside';

-- ---------------------------------------------------------------------------------------------------------
-- What every tenant table gets. A partition needs each of these itself: access by its name skips the parent's.
-- ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION leo_isolate(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
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
$$;
COMMENT ON FUNCTION leo_isolate IS
    'Enables and forces row-level security on a tenant table or partition; without a tenant in context it shows no row';

CREATE FUNCTION leo_append_only(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s'
        ' FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite()',
        target
    );
END
$$;
COMMENT ON FUNCTION leo_append_only IS 'Makes a table or partition append-only';

CREATE FUNCTION leo_mutable(target regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER set_updated_at BEFORE UPDATE ON %s'
        ' FOR EACH ROW EXECUTE FUNCTION public.update_timestamp()',
        target
    );
END
$$;
COMMENT ON FUNCTION leo_mutable IS 'Lets update_timestamp() keep updated_at of a table and its partitions';

REVOKE ALL ON FUNCTION leo_isolate, leo_append_only, leo_mutable FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leo_isolate, leo_append_only TO leo_partition_maker;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP FUNCTION leo_mutable;
DROP FUNCTION leo_append_only;
DROP FUNCTION leo_isolate;
DROP FUNCTION refuse_rewrite;
DROP FUNCTION update_timestamp;
DROP FUNCTION leo_symbol_shard;
DROP FUNCTION leo_audience_sha256;
DROP FUNCTION leo_content_id;
DROP FUNCTION leo_key_id;
