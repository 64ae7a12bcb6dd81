-- The queue of texts to embed. Statements run in the context of the tenant of their jobs, or, for global news, in a
-- transaction that may write those.

-- name: claim
-- Leases pending and due jobs of any tenant. $1 kind, $2 how many, $3 for how long, $4 for whom.
SELECT tenant_id, entity_id, attempts FROM claim_embedding_jobs($1, $2, $3, $4);

-- name: queue_active_profiles
-- Queues profiles of all tenants with events that were recorded from $1 until before $2, those aside that were embedded
-- within $3.
SELECT queue_active_profiles($1, $2, $3);

-- name: allow_global_news
-- Lets the open transaction write global news and their jobs.
SELECT set_config('app.global_news', 'on', TRUE);

-- name: load_news
-- The texts of news. $1 tenant or NULL, $2 ids.
SELECT n.news_id::text AS entity_id, n.title, n.content, j.input_sha256
FROM news_feed AS n
JOIN embedding_job AS j
    ON (j.tenant_id = $1 OR $1 IS NULL AND j.tenant_id IS NULL) AND j.entity_type = 'news' AND j.entity_id = n.news_id::text
WHERE (n.tenant_id = $1 OR $1::uuid IS NULL AND n.tenant_id IS NULL) AND n.news_id = ANY($2::text[]::bigint[]);

-- name: load_profiles
-- Titles, interests and the last 200 events of 90 days of profiles that are not erased. $1 tenant, $2 ids.
SELECT
    p.profile_id AS entity_id,
    p.job_titles,
    p.interests,
    ARRAY(
        SELECT concat_ws(' ', e.event_type, e.entity_type, e.entity_id)
        FROM behavioral_events AS e
        WHERE e.tenant_id = $1 AND e.profile_id = p.profile_id AND e.occurred_at > now() - interval '90 days'
        ORDER BY e.occurred_at DESC
        LIMIT 200
    ) AS behaviour,
    j.input_sha256
FROM cdp_profiles AS p
JOIN embedding_job AS j
    ON j.tenant_id = p.tenant_id AND j.entity_type = 'profile' AND j.entity_id = p.profile_id
WHERE p.tenant_id = $1 AND p.profile_id = ANY($2::text[]) AND p.erased_at IS NULL;

-- name: lock_profiles
-- Locks profiles before their jobs, in the order in which whoever changes profiles does. $1 tenant, $2 ids.
SELECT profile_id FROM cdp_profiles WHERE tenant_id = $1 AND profile_id = ANY($2::text[])
ORDER BY profile_id
FOR NO KEY UPDATE;

-- name: end_jobs
-- Ends jobs or puts them off, where the claim still holds; answers which. $1 tenant or NULL, $2 kind, $3 owner,
-- $4 ids, $5 attempts of the claims, $6 hashes of what was embedded, $7 errors, $8 whether nobody tries again, $9
-- waits before the next try, $10 model.
UPDATE embedding_job AS j
SET status = CASE WHEN e.error IS NULL THEN 'completed' WHEN e.dead THEN 'failed' ELSE 'pending' END,
    input_sha256 = CASE WHEN e.error IS NULL THEN e.input_sha256 ELSE j.input_sha256 END,
    model = CASE WHEN e.error IS NULL THEN $10 ELSE j.model END,
    last_error = e.error,
    due_at = CASE WHEN e.error IS NULL OR e.dead THEN j.due_at ELSE now() + e.wait END,
    lease_owner = NULL,
    lease_until = NULL
FROM unnest($4::text[], $5::int[], $6::text[], $7::text[], $8::bool[], $9::interval[])
    AS e (entity_id, attempt, input_sha256, error, dead, wait)
WHERE (j.tenant_id = $1 OR $1::uuid IS NULL AND j.tenant_id IS NULL)
    AND j.entity_type = $2
    AND j.entity_id = e.entity_id
    AND j.status = 'pending'
    AND j.lease_owner = $3
    AND j.attempts = e.attempt
RETURNING j.entity_id;

-- name: write_news_vector
-- Stores a vector. $1 tenant or NULL, $2 id, $3 vector, $4 model.
UPDATE news_feed
SET content_embedding = $3, embedding_model = $4
WHERE (tenant_id = $1 OR $1::uuid IS NULL AND tenant_id IS NULL) AND news_id = $2::text::bigint;

-- name: write_profile_vector
-- Stores a vector, or removes it where there is nothing to embed. $1 tenant, $2 id, $3 vector, $4 model.
UPDATE cdp_profiles
SET interest_embedding = $3, interest_embedding_model = CASE WHEN $3::vector IS NOT NULL THEN $4 END
WHERE tenant_id = $1
    AND profile_id = $2
    AND erased_at IS NULL
    AND ($3::vector IS NOT NULL OR interest_embedding IS NOT NULL);

-- name: release
-- Gives claimed jobs back as if they had not been claimed, for later. $1 tenant or NULL, $2 kind, $3 owner, $4 ids,
-- $5 attempts of the claims, $6 the wait, $7 why.
UPDATE embedding_job AS j
SET attempts = j.attempts - 1, due_at = now() + $6, lease_owner = NULL, lease_until = NULL, last_error = $7
FROM unnest($4::text[], $5::int[]) AS e (entity_id, attempt)
WHERE (j.tenant_id = $1 OR $1::uuid IS NULL AND j.tenant_id IS NULL)
    AND j.entity_type = $2
    AND j.entity_id = e.entity_id
    AND j.status = 'pending'
    AND j.lease_owner = $3
    AND j.attempts = e.attempt;

-- name: count_jobs
-- How many jobs of a tenant ($1) there are, by kind, status and model; of one model ($2) unless it is empty.
SELECT entity_type, status, model, count(*) AS jobs, min(due_at) AS oldest_due_at
FROM embedding_job
WHERE tenant_id = $1 AND entity_type <> 'profile_vector' AND ($2 = '' OR model = $2)
GROUP BY entity_type, status, model
ORDER BY entity_type, status, model;

-- name: list_failed
-- Dead jobs of a tenant ($1) after an id ($2) and kind ($3), at most $4.
SELECT entity_type, entity_id, attempts, last_error, updated_at
FROM embedding_job
WHERE tenant_id = $1 AND status = 'failed' AND (entity_id, entity_type) > ($2, $3)
ORDER BY entity_id, entity_type
LIMIT $4;

-- name: requeue_failed
-- Makes dead jobs of a tenant ($1) pending again: of one kind ($2) where given, and these ids ($3) where given. Their
-- attempts begin anew.
UPDATE embedding_job
SET status = 'pending', due_at = now(), attempts = 0, last_error = NULL, lease_owner = NULL, lease_until = NULL
WHERE tenant_id = $1
    AND status = 'failed'
    AND ($2::text IS NULL OR entity_type = $2)
    AND (cardinality($3::text[]) = 0 OR entity_id = ANY($3));

-- name: requeue_other_models
-- Makes the jobs of a tenant ($1), of one kind ($2) where given, pending again whose vectors another model than $3 made.
UPDATE embedding_job
SET status = 'pending', due_at = now(), attempts = 0, last_error = NULL, lease_owner = NULL, lease_until = NULL
WHERE tenant_id = $1
    AND status = 'completed'
    AND ($2::text IS NULL OR entity_type = $2)
    AND model <> $3;
