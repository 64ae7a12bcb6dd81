-- A delivery that the provider could not take for the moment: tried again later, and visible meanwhile.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- Attempt 0 is the time before the first attempt: what is queued, or held back before anything was sent.
ALTER TABLE delivery_log
    DROP CONSTRAINT delivery_log_delivery_status_check,
    DROP CONSTRAINT delivery_log_attempt_check,
    ADD CONSTRAINT delivery_log_delivery_status_check CHECK (
        delivery_status IN (
            'queued', 'suppressed', 'sending', 'deferred', 'sent', 'delivered',
            'read', 'bounced', 'failed', 'unknown', 'cancelled'
        )
    ),
    ADD CONSTRAINT delivery_log_attempt_check CHECK (attempt >= 0);

-- Equal ranks are settled by the attempt, then by the order of the rows: each attempt is sending, then deferred.
CREATE OR REPLACE FUNCTION leo_delivery_rank(delivery_status text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE delivery_status
        WHEN 'queued' THEN 0
        WHEN 'sending' THEN 1
        WHEN 'deferred' THEN 1
        WHEN 'unknown' THEN 2
        WHEN 'suppressed' THEN 3
        WHEN 'cancelled' THEN 4
        WHEN 'failed' THEN 5
        WHEN 'sent' THEN 6
        WHEN 'delivered' THEN 7
        WHEN 'bounced' THEN 8
        WHEN 'read' THEN 9
    END
$$;

-- migrate:down
SET LOCAL lock_timeout = '5s';

CREATE OR REPLACE FUNCTION leo_delivery_rank(delivery_status text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE delivery_status
        WHEN 'queued' THEN 0
        WHEN 'sending' THEN 1
        WHEN 'unknown' THEN 2
        WHEN 'suppressed' THEN 3
        WHEN 'cancelled' THEN 4
        WHEN 'failed' THEN 5
        WHEN 'sent' THEN 6
        WHEN 'delivered' THEN 7
        WHEN 'bounced' THEN 8
        WHEN 'read' THEN 9
    END
$$;

-- Rows are never taken back, so those that only the newer schema knows stay; new ones are refused.
ALTER TABLE delivery_log
    DROP CONSTRAINT delivery_log_delivery_status_check,
    DROP CONSTRAINT delivery_log_attempt_check,
    ADD CONSTRAINT delivery_log_delivery_status_check CHECK (
        delivery_status IN (
            'queued', 'suppressed', 'sending', 'sent', 'delivered',
            'read', 'bounced', 'failed', 'unknown', 'cancelled'
        )
    ) NOT VALID,
    ADD CONSTRAINT delivery_log_attempt_check CHECK (attempt > 0) NOT VALID;

DO $validate$
DECLARE
    rule text;
BEGIN
    FOREACH rule IN ARRAY ARRAY['delivery_log_delivery_status_check', 'delivery_log_attempt_check']
    LOOP
        BEGIN
            EXECUTE format('ALTER TABLE delivery_log VALIDATE CONSTRAINT %I', rule);
        EXCEPTION WHEN check_violation THEN
            RAISE NOTICE '% is kept for new rows only', rule;
        END;
    END LOOP;
END
$validate$;
