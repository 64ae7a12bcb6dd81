-- Membership in named segments is evaluated, and kept apart from the labels that sources bring.

-- migrate:up
SET LOCAL lock_timeout = '5s';

ALTER TABLE cdp_profiles
    ADD COLUMN evaluated_segments jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(evaluated_segments) = 'array'),
    ADD COLUMN segment_labels jsonb CHECK (jsonb_typeof(segment_labels) = 'array');
COMMENT ON COLUMN cdp_profiles.evaluated_segments IS
    'Array of the names of the named segments that the profile was last found in, in code-point order';
COMMENT ON COLUMN cdp_profiles.segment_labels IS
    'The labels among segments, as sources bring them; NULL: all of segments are labels';
COMMENT ON COLUMN cdp_profiles.segments IS
    'Array of the labels of the profile, then of the named segments that it was last found in: what rules read';
GRANT UPDATE (evaluated_segments) ON cdp_profiles TO leo_app, leo_worker;

-- Whoever writes segments writes labels, whoever evaluates writes evaluated_segments; what rules read follows.
CREATE FUNCTION unite_segments() RETURNS trigger
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
COMMENT ON FUNCTION unite_segments IS
    'Keeps cdp_profiles.segments what its labels and its evaluated segments are together';

CREATE TRIGGER unite_segments BEFORE UPDATE OF segments, evaluated_segments ON cdp_profiles
    FOR EACH ROW WHEN (
        OLD.segments IS DISTINCT FROM NEW.segments OR OLD.evaluated_segments IS DISTINCT FROM NEW.evaluated_segments
    )
    EXECUTE FUNCTION unite_segments();

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP TRIGGER unite_segments ON cdp_profiles;
DROP FUNCTION unite_segments;
-- The owner is bound by policies as long as they are forced, and would see no rows.
ALTER TABLE cdp_profiles NO FORCE ROW LEVEL SECURITY;
UPDATE cdp_profiles SET segments = segment_labels WHERE segment_labels IS NOT NULL;
ALTER TABLE cdp_profiles FORCE ROW LEVEL SECURITY;
REVOKE UPDATE (evaluated_segments) ON cdp_profiles FROM leo_app, leo_worker;
ALTER TABLE cdp_profiles
    DROP COLUMN segment_labels,
    DROP COLUMN evaluated_segments;
COMMENT ON COLUMN cdp_profiles.segments IS 'Array of the names of the segments that the profile is in now';
