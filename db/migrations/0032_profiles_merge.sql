-- Profiles and consents that arrive in any order: each field remembers the source's time.

-- migrate:up
SET LOCAL lock_timeout = '5s';

ALTER TABLE cdp_profiles
    ADD COLUMN field_times jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(field_times) = 'object');
COMMENT ON COLUMN cdp_profiles.field_times IS
    'Source times of fields, in microseconds since 1970, where they differ from the time of most ("", else source_updated_at)';
GRANT UPDATE (field_times) ON cdp_profiles TO leo_app, leo_worker;

ALTER TABLE consent_management ADD COLUMN stated_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN consent_management.stated_at IS 'When the customer last said so: of two statements the later counts';
-- The owner is bound by policies as long as they are forced, and would see no rows.
ALTER TABLE consent_management NO FORCE ROW LEVEL SECURITY;
UPDATE consent_management SET stated_at = greatest(granted_at, withdrawn_at);
ALTER TABLE consent_management FORCE ROW LEVEL SECURITY;

-- Each update of a profile that changes an indexed column pays for its place in this index: by the signs of the
-- embedding, a bit each, less than half of what whole numbers cost, and a sixteenth of the space. A search takes the
-- nearest by bits, a few times as many as it wants, and orders those by the embeddings themselves.
DROP INDEX cdp_profiles_interest;
CREATE INDEX cdp_profiles_interest ON cdp_profiles
    USING hnsw ((binary_quantize(interest_embedding)::bit(1536)) bit_hamming_ops);

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP INDEX cdp_profiles_interest;
CREATE INDEX cdp_profiles_interest ON cdp_profiles USING hnsw (interest_embedding vector_cosine_ops);
ALTER TABLE consent_management DROP COLUMN stated_at;
ALTER TABLE cdp_profiles DROP COLUMN field_times;
