-- People who are removed, and how they are kept from being brought back.

-- name: has_erased
-- Whether anybody of a tenant ($1) was erased: one look into a small index.
SELECT EXISTS (SELECT FROM cdp_profiles WHERE tenant_id = $1 AND erased_at IS NOT NULL);

-- name: find_erased
-- Which of these profiles ($2) of a tenant ($1) were erased.
SELECT profile_id
FROM cdp_profiles
WHERE tenant_id = $1 AND profile_id = ANY($2::text[]) AND erased_at IS NOT NULL;

-- name: find_suppressed
-- Which of these hashes ($2) of names are those of erased people of a tenant ($1), and whose. Looked up one by one: an
-- index of arrays takes the product of both sides for a long list that is asked for at once.
SELECT erased.profile_id, hashed.name
FROM unnest($2::text[]) AS hashed (name)
CROSS JOIN LATERAL (
    SELECT profile_id
    FROM cdp_profiles
    WHERE tenant_id = $1 AND erased_at IS NOT NULL AND suppression @> ARRAY[hashed.name]
    OFFSET 0
) AS erased;

-- name: erase_profile
-- Begins or goes on with the erasure of a profile ($1): who asked ($2), why ($3), the hashes of the person's names ($4),
-- how many rows of each table at a time ($5). No row where nothing is stored of such a person. Each call is a
-- transaction of its own.
SELECT task_id, erased_at, complete, counts FROM erase_profile($1, $2, $3, $4::text[], $5);

-- name: readmit_profile
-- Lets an erased person ($1) come back: who asked ($2), why ($3). False where no such profile was erased.
SELECT readmit_profile($1, $2, $3);

-- name: claim_erasures
-- Leases erasures that were begun and are not complete, of any tenant. $1 how many, $2 lease, $3 who claims.
SELECT tenant_id, task_id FROM claim_tasks('erasures', $1, $2, $3);

-- name: load_erasure
-- The profile of an erasure. $1 tenant, $2 task.
SELECT profile_id FROM agent_task WHERE tenant_id = $1 AND task_id = $2;
