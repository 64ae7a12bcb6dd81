-- The hash of an audience in two steps, so that a large one is hashed as it is read, without an array of its members.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- An SQL body that is bound now and has no settings of its own is written into the query that calls it.
CREATE FUNCTION leo_audience_member(profile_id text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN octet_length(profile_id) || ':' || profile_id;
COMMENT ON FUNCTION leo_audience_member IS
    'What one member adds to the hash of an audience: <length in bytes>:<UTF-8 bytes>';

CREATE FUNCTION leo_audience_digest(members text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN encode(sha256(convert_to(coalesce(members, ''), 'UTF8')), 'hex');
COMMENT ON FUNCTION leo_audience_digest IS
    'Lower-case hex SHA-256 over what all members add, in code-point order; NULL stands for an audience of nobody';

CREATE OR REPLACE FUNCTION leo_audience_sha256(profile_ids text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT public.leo_audience_digest(string_agg(public.leo_audience_member(profile_id), '' ORDER BY profile_id))
    FROM (SELECT DISTINCT member COLLATE "C" AS profile_id FROM unnest(profile_ids) AS member) AS audience
$$;

-- migrate:down
SET LOCAL lock_timeout = '5s';

CREATE OR REPLACE FUNCTION leo_audience_sha256(profile_ids text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT encode(sha256(convert_to(
        coalesce(string_agg(octet_length(profile_id) || ':' || profile_id, '' ORDER BY profile_id), ''), 'UTF8'
    )), 'hex')
    FROM (SELECT DISTINCT member COLLATE "C" AS profile_id FROM unnest(profile_ids) AS member) AS audience
$$;

DROP FUNCTION leo_audience_digest;
DROP FUNCTION leo_audience_member;
