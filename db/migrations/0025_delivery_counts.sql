-- Deliveries by time, for counting: rows come in the order of time, so a summary of each part of the table finds a day.

-- migrate:up
SET LOCAL lock_timeout = '5s';

CREATE INDEX delivery_log_created ON delivery_log USING brin (created_at)
    WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON INDEX delivery_log_created IS 'Days of the log: counts where Redis holds none, and repairs of those that it holds';

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP INDEX delivery_log_created;
