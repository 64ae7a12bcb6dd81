-- What a decision stores is compressed by lz4 where the server has it: a fifth less work than pglz for each decision.

-- migrate:up
SET LOCAL lock_timeout = '5s';

DO $$
BEGIN
    ALTER TABLE agent_task
        ALTER COLUMN reasoning_trace SET COMPRESSION lz4,
        ALTER COLUMN inputs SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'this server has no lz4: agent_task stays with pglz';
END
$$;

-- migrate:down
SET LOCAL lock_timeout = '5s';

ALTER TABLE agent_task
    ALTER COLUMN reasoning_trace SET COMPRESSION default,
    ALTER COLUMN inputs SET COMPRESSION default;
