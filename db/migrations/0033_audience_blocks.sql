-- An audience is hashed and written in blocks, so that a freeze of any size needs the memory of one.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- The cast makes the body as immutable as the function says: only then is it written into the query that calls it.
CREATE OR REPLACE FUNCTION leo_audience_member(profile_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN octet_length(profile_id)::text || ':' || profile_id;

CREATE FUNCTION leo_audience_block(place bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (place - 1) / 10000;
COMMENT ON FUNCTION leo_audience_block IS
    'Which block of an audience the member at this place is in, counted from 1 in code-point order: 10,000 each';

CREATE FUNCTION leo_audience_of_blocks(digests text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE coalesce(cardinality(digests), 0)
    WHEN 0 THEN leo_audience_digest('')
    WHEN 1 THEN digests[1]
    ELSE leo_audience_digest('blocks:' || array_to_string(digests, ''))
END;
COMMENT ON FUNCTION leo_audience_of_blocks IS
    'The hash of an audience from those of its blocks: that of a single one, else over "blocks:" and all of them';

CREATE OR REPLACE FUNCTION leo_audience_sha256(profile_ids text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
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
COMMENT ON FUNCTION leo_audience_sha256 IS
    'Hash of the distinct members in code-point order, in blocks of 10,000: lower-case hex SHA-256';

-- A statement of its own for each block: the rows whose foreign key is still to be checked are those of one block.
CREATE FUNCTION leo_freeze_members(p_tenant_id uuid, p_snapshot_id text, p_profile_ids text[]) RETURNS bigint
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    written bigint;
BEGIN
    INSERT INTO segment_snapshot_member (tenant_id, snapshot_id, profile_id)
    SELECT p_tenant_id, p_snapshot_id, unnest(p_profile_ids);
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;
COMMENT ON FUNCTION leo_freeze_members IS
    'Writes members of a snapshot with the caller''s rights; how many';

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP FUNCTION leo_freeze_members;

CREATE OR REPLACE FUNCTION leo_audience_sha256(profile_ids text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT public.leo_audience_digest(string_agg(public.leo_audience_member(profile_id), '' ORDER BY profile_id))
    FROM (SELECT DISTINCT member COLLATE "C" AS profile_id FROM unnest(profile_ids) AS member) AS audience
$$;
COMMENT ON FUNCTION leo_audience_sha256 IS
    'Lower-case hex SHA-256 over the distinct members in code-point order, each as <length in bytes>:<UTF-8 bytes>';

DROP FUNCTION leo_audience_of_blocks;
DROP FUNCTION leo_audience_block;

CREATE OR REPLACE FUNCTION leo_audience_member(profile_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN octet_length(profile_id) || ':' || profile_id;
