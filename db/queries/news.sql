-- News: taken in, and searched. Policies show a tenant its own news and the global ones.

-- name: allow_global_news
-- Lets the open transaction write global news and their jobs. The caller's scope was checked before.
SELECT set_config('app.global_news', 'on', TRUE);

-- name: instruments_version
-- Changes with every change of the active instruments that news can be linked with: the global ones, and those of the
-- tenant $1 where it is given.
SELECT count(*) || ':' || coalesce(
    sum(hashtextextended(concat_ws(E'\x01', symbol, instrument_name, metadata::text, tenant_id::text), 0)::numeric), 0
)
FROM instruments
WHERE status = 'active' AND (tenant_id = $1 OR tenant_id IS NULL);

-- name: list_named
-- The active instruments that news can be linked with, and what they are called. $1 tenant, or NULL for the global
-- ones alone.
SELECT
    symbol,
    instrument_name,
    CASE WHEN jsonb_typeof(metadata -> 'aliases') = 'array' THEN metadata -> 'aliases' ELSE '[]' END AS aliases,
    metadata -> 'cashtag_only' = 'true' AS cashtag_only
FROM instruments
WHERE status = 'active' AND (tenant_id = $1 OR tenant_id IS NULL);

-- name: insert_news
-- Inserts news that are not there yet, each with the job that embeds it; answers those. $1 tenant or NULL, $2 hashes,
-- $3 titles, $4 texts, $5 publishers, $6 URLs, $7 languages, $8 times, $9 symbols (a JSON list each), $10 sentiments,
-- $11 details.
WITH stored AS (
    INSERT INTO news_feed (
        tenant_id, content_sha256, title, content, source_name, source_url, language, published_at, related_symbols,
        sentiment_score, metadata
    )
    SELECT
        $1, n.content_sha256, n.title, n.content, nullif(n.source_name, ''), nullif(n.source_url, ''),
        nullif(n.language, ''), n.published_at, ARRAY(SELECT jsonb_array_elements_text(n.related_symbols)),
        n.sentiment_score, n.metadata
    FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::jsonb[],
        $10::numeric[], $11::jsonb[]
    ) AS n (
        content_sha256, title, content, source_name, source_url, language, published_at, related_symbols,
        sentiment_score, metadata
    )
    ORDER BY n.content_sha256
    ON CONFLICT (content_sha256, tenant_id) DO NOTHING
    RETURNING news_id, content_sha256, related_symbols
),
queued AS (
    INSERT INTO embedding_job (tenant_id, entity_type, entity_id)
    SELECT $1::uuid, 'news', news_id::text FROM stored
)
SELECT news_id, content_sha256, related_symbols FROM stored;

-- name: find_news
-- News by their hashes $2, of the tenant $1 or, where it is NULL, global ones.
SELECT news_id, content_sha256, related_symbols
FROM news_feed
WHERE content_sha256 = ANY($2::text[]) AND (tenant_id = $1 OR $1::uuid IS NULL AND tenant_id IS NULL);

-- name: prepare_search
-- For the open transaction: plans for the values at hand, and a vector index that goes on until it has found enough
-- rows of this tenant among those of all others. $1 how many candidates the index keeps at a time, $2 how many entries
-- it visits at most.
SELECT
    set_config('plan_cache_mode', 'force_custom_plan', TRUE),
    set_config('hnsw.iterative_scan', 'strict_order', TRUE),
    set_config('hnsw.ef_search', $1, TRUE),
    set_config('hnsw.max_scan_tuples', $2, TRUE),
    set_config('hnsw.scan_mem_multiplier', '8', TRUE);

-- name: search_text
-- The news that hold the words $2, the best first. $1 tenant; $3 symbols, $4 and $5 first and last time, $6 and $7 least
-- and highest sentiment, NULL where any is right; $8 how many.
SELECT news_id, content_sha256, tenant_id IS NULL AS shared
FROM news_feed
WHERE search_document @@ websearch_to_tsquery('simple', leo_search_text($2))
    AND (tenant_id = $1 OR tenant_id IS NULL)
    AND ($3::text[] IS NULL OR related_symbols && $3)
    AND ($4::timestamptz IS NULL OR published_at >= $4)
    AND ($5::timestamptz IS NULL OR published_at < $5)
    AND ($6::numeric IS NULL OR sentiment_score >= $6)
    AND ($7::numeric IS NULL OR sentiment_score <= $7)
ORDER BY
    ts_rank_cd(search_document, websearch_to_tsquery('simple', leo_search_text($2))) DESC,
    published_at DESC,
    news_id DESC
LIMIT $8;

-- name: count_searched
-- How many news with a vector of the model $2 pass the filters, counted up to $8. $1 tenant, $3 to $7 as above.
SELECT count(*)
FROM (
    SELECT
    FROM news_feed
    WHERE embedding_model = $2
        AND (tenant_id = $1 OR tenant_id IS NULL)
        AND ($3::text[] IS NULL OR related_symbols && $3)
        AND ($4::timestamptz IS NULL OR published_at >= $4)
        AND ($5::timestamptz IS NULL OR published_at < $5)
        AND ($6::numeric IS NULL OR sentiment_score >= $6)
        AND ($7::numeric IS NULL OR sentiment_score <= $7)
    LIMIT $8
) AS passing;

-- name: search_few
-- The news whose vectors of the model $2 are nearest to $9, by comparing all that pass: for few of them. $1 tenant, $3
-- to $7 as above, $8 how many.
WITH passing AS MATERIALIZED (
    SELECT news_id, content_sha256, tenant_id IS NULL AS shared, content_embedding
    FROM news_feed
    WHERE embedding_model = $2
        AND (tenant_id = $1 OR tenant_id IS NULL)
        AND ($3::text[] IS NULL OR related_symbols && $3)
        AND ($4::timestamptz IS NULL OR published_at >= $4)
        AND ($5::timestamptz IS NULL OR published_at < $5)
        AND ($6::numeric IS NULL OR sentiment_score >= $6)
        AND ($7::numeric IS NULL OR sentiment_score <= $7)
)
SELECT news_id, content_sha256, shared
FROM passing
ORDER BY content_embedding <=> $9::vector
LIMIT $8;

-- name: search_many
-- The same by the vector index, which is not exact: for more than can be compared one by one.
SELECT news_id, content_sha256, tenant_id IS NULL AS shared
FROM news_feed
WHERE embedding_model = $2
    AND (tenant_id = $1 OR tenant_id IS NULL)
    AND ($3::text[] IS NULL OR related_symbols && $3)
    AND ($4::timestamptz IS NULL OR published_at >= $4)
    AND ($5::timestamptz IS NULL OR published_at < $5)
    AND ($6::numeric IS NULL OR sentiment_score >= $6)
    AND ($7::numeric IS NULL OR sentiment_score <= $7)
ORDER BY content_embedding <=> $9::vector
LIMIT $8;

-- name: search_newest
-- The newest news that pass. $1 tenant; $2 symbols, $3 to $6 as $4 to $7 above; $7 how many.
SELECT news_id, content_sha256, tenant_id IS NULL AS shared
FROM news_feed
WHERE (tenant_id = $1 OR tenant_id IS NULL)
    AND ($2::text[] IS NULL OR related_symbols && $2)
    AND ($3::timestamptz IS NULL OR published_at >= $3)
    AND ($4::timestamptz IS NULL OR published_at < $4)
    AND ($5::numeric IS NULL OR sentiment_score >= $5)
    AND ($6::numeric IS NULL OR sentiment_score <= $6)
ORDER BY published_at DESC, news_id DESC
LIMIT $7;

-- name: load_news
-- News by id ($2), of the tenant $1 and global ones; long texts cut after $3 characters.
SELECT
    news_id, tenant_id IS NULL AS shared, title, left(content, $3) AS content, source_name, source_url, language,
    published_at, sentiment_score, related_symbols, metadata
FROM news_feed
WHERE news_id = ANY($2::bigint[]) AND (tenant_id = $1 OR tenant_id IS NULL);
