-- Look-alikes: profiles whose vectors are near to one. All statements of a search run in one transaction of a tenant.

-- name: prepare_search
-- For the open transaction: plans for the values at hand, and a vector index that goes on until it has found enough
-- rows of this tenant among those of all others. $1 how many candidates the index keeps at a time, $2 how many entries
-- it visits at most. Sorting is what the index spares: without it the planner, which knows little of what a search
-- costs, would rather sort everybody where there are thousands.
SELECT
    set_config('plan_cache_mode', 'force_custom_plan', TRUE),
    set_config('enable_sort', 'off', TRUE),
    set_config('hnsw.iterative_scan', 'strict_order', TRUE),
    set_config('hnsw.ef_search', $1, TRUE),
    set_config('hnsw.max_scan_tuples', $2, TRUE),
    set_config('hnsw.scan_mem_multiplier', '8', TRUE);

-- name: vector_of_profile
-- The vector of a profile and its model; no row where the tenant ($1) has no such profile ($2), or it was erased.
SELECT interest_embedding AS vector, interest_embedding_model AS model
FROM cdp_profiles
WHERE tenant_id = $1 AND profile_id = $2 AND erased_at IS NULL;

-- name: vector_of_segment
-- The mean of the vectors of a model ($3) of up to $4 members of a segment ($2, a JSON list of its name), and how many
-- they were. $1 tenant.
SELECT avg(member.interest_embedding) AS vector, count(*) AS members
FROM (
    SELECT interest_embedding
    FROM cdp_profiles
    WHERE tenant_id = $1
        AND segments @> $2::jsonb
        AND interest_embedding_model = $3
        AND erased_at IS NULL
    LIMIT $4
) AS member;

-- name: count_compared
-- Of the first $3 profiles of a tenant ($1): how many there are, and how many have a vector of the model $2.
SELECT count(*) AS profiles, count(*) FILTER (WHERE compared) AS compared
FROM (
    SELECT interest_embedding_model = $2 AS compared FROM cdp_profiles WHERE tenant_id = $1 LIMIT $3
) AS looked_at;

-- name: nearest_of_few
-- The profiles of a tenant ($1) whose vectors of the model $2 are nearest to $3, without the profile $4 and without
-- the members of the segment $5 (a JSON list of its name), NULL where nobody is left out; $6 how many. Compares all.
WITH compared AS MATERIALIZED (
    SELECT profile_id, interest_embedding
    FROM cdp_profiles
    WHERE tenant_id = $1
        AND interest_embedding_model = $2
        AND erased_at IS NULL
        AND ($4::text IS NULL OR profile_id <> $4)
        AND ($5::jsonb IS NULL OR NOT segments @> $5)
)
SELECT profile_id, 1 - (interest_embedding <=> $3::vector) AS similarity
FROM compared
ORDER BY interest_embedding <=> $3::vector, profile_id
LIMIT $6;

-- name: nearest_of_many
-- The same by the index: the $7 nearest by the signs of their vectors, which stand among the jobs that made those, and of
-- them the nearest. It is not exact.
WITH compared AS MATERIALIZED (
    SELECT p.profile_id, p.interest_embedding
    FROM embedding_job AS j
    JOIN cdp_profiles AS p ON p.tenant_id = j.tenant_id AND p.profile_id = j.entity_id
    WHERE j.tenant_id = $1
        AND j.entity_type = 'profile_vector'
        AND p.tenant_id = $1
        AND p.interest_embedding_model = $2
        AND p.erased_at IS NULL
        AND ($4::text IS NULL OR p.profile_id <> $4)
        AND ($5::jsonb IS NULL OR NOT p.segments @> $5)
    ORDER BY j.vector_signs <~> binary_quantize($3::vector)::bit(1536)
    LIMIT $7
)
SELECT profile_id, 1 - (interest_embedding <=> $3::vector) AS similarity
FROM compared
ORDER BY interest_embedding <=> $3::vector, profile_id
LIMIT $6;
