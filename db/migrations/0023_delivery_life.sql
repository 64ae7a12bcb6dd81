-- The whole life of a delivery: series of attempts, expiry, receipts, and work that is held back.

-- migrate:up
SET LOCAL lock_timeout = '5s';

ALTER TABLE marketing_event
    ADD COLUMN valid_for_seconds bigint CHECK (valid_for_seconds > 0),
    ADD COLUMN receipt_seconds bigint CHECK (receipt_seconds > 0);
COMMENT ON COLUMN marketing_event.valid_for_seconds IS
    'How long after the event a message may still be sent; NULL: for ever';
COMMENT ON COLUMN marketing_event.receipt_seconds IS
    'How long the provider''s receipt is waited for before the next channel is tried; NULL: not at all';

-- A delivery that failed may be queued again: a new series of attempts. Their numbers go on.
ALTER TABLE delivery_log
    ADD COLUMN series integer NOT NULL DEFAULT 1 CHECK (series > 0),
    DROP CONSTRAINT delivery_log_delivery_status_check,
    ADD CONSTRAINT delivery_log_delivery_status_check CHECK (
        delivery_status IN (
            'queued', 'suppressed', 'sending', 'deferred', 'sent', 'delivered',
            'read', 'bounced', 'failed', 'unknown', 'cancelled', 'expired'
        )
    );
COMMENT ON COLUMN delivery_log.series IS 'Series of attempts, from 1: a delivery that is queued again begins a new one';
COMMENT ON COLUMN delivery_log.delivery_status IS
    'queued, sending, deferred, unknown, suppressed, cancelled, expired, failed, sent, delivered, bounced or read';

DROP INDEX delivery_log_queued_once;
CREATE UNIQUE INDEX delivery_log_queued_once ON delivery_log (delivery_key, tenant_id, series)
    WHERE delivery_status = 'queued';
-- A provider may tell the same thing to two processes at once.
CREATE UNIQUE INDEX delivery_log_receipt_once ON delivery_log (delivery_key, attempt, delivery_status, tenant_id)
    WHERE delivery_status IN ('delivered', 'bounced', 'read');
-- Lists for people: what a marketing event sent, and what did not arrive.
CREATE INDEX delivery_log_definition ON delivery_log (marketing_event_id, tenant_id, delivery_id)
    WHERE delivery_status = 'queued' AND series = 1;
CREATE INDEX delivery_log_trouble ON delivery_log (delivery_status, tenant_id, delivery_id)
    WHERE delivery_status IN ('unknown', 'suppressed', 'cancelled', 'expired', 'failed', 'bounced');

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
        WHEN 'expired' THEN 5
        WHEN 'failed' THEN 6
        WHEN 'sent' THEN 7
        WHEN 'delivered' THEN 8
        WHEN 'bounced' THEN 9
        WHEN 'read' THEN 10
    END
$$;

-- What the provider took counts more than any later series.
CREATE FUNCTION leo_delivery_standing(series integer, delivery_status text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN leo_delivery_rank(delivery_status) >= 7 THEN 1000000000000 + leo_delivery_rank(delivery_status)
        ELSE series::bigint * 16 + leo_delivery_rank(delivery_status)
    END
$$;
COMMENT ON FUNCTION leo_delivery_standing IS
    'How far a delivery has come over its series of attempts: the row of the highest standing is its status';

CREATE OR REPLACE VIEW delivery_current WITH (security_invoker = true) AS
SELECT DISTINCT ON (tenant_id, profile_id, task_id, delivery_key) *
FROM delivery_log
ORDER BY
    tenant_id, profile_id, task_id, delivery_key,
    leo_delivery_standing(series, delivery_status) DESC, attempt DESC, delivery_id DESC;
COMMENT ON VIEW delivery_current IS
    'One row for each delivery: the appended row of the highest standing; a status never goes backwards in a series';

-- A dispatch may pause; what is held back is known by who holds it, so that it is woken when it may go on.
ALTER TABLE agent_task
    ADD COLUMN held_by text CHECK (held_by IN ('campaign', 'dispatch', 'tenant')),
    DROP CONSTRAINT agent_task_status_check,
    ADD CONSTRAINT agent_task_status_check CHECK (
        status IN ('pending', 'paused', 'completed', 'failed', 'cancelled')
    );
COMMENT ON COLUMN agent_task.held_by IS 'What holds the delivery back that was due: a paused campaign or dispatch, or a suspended tenant';
COMMENT ON COLUMN agent_task.status IS 'pending, paused (dispatches only), completed, failed or cancelled';
CREATE INDEX agent_task_held ON agent_task (campaign_id, tenant_id) WHERE held_by IS NOT NULL;
GRANT UPDATE (held_by) ON agent_task TO leo_app, leo_worker;
GRANT SELECT (campaign_id, held_by), UPDATE (due_at, held_by) ON agent_task TO leo_task_claimer;

GRANT CREATE ON SCHEMA public TO leo_task_claimer;
CREATE FUNCTION release_held_deliveries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Whoever is about to hold a delivery back shares this lock, and looks again when they have it.
    PERFORM pg_advisory_xact_lock(4713, hashtext(NEW.tenant_id::text));
    IF TG_TABLE_NAME = 'campaign' THEN
        UPDATE public.agent_task SET due_at = statement_timestamp(), held_by = NULL
        WHERE campaign_id = NEW.campaign_id AND tenant_id = NEW.tenant_id AND held_by = 'campaign';
    ELSE
        UPDATE public.agent_task SET due_at = statement_timestamp(), held_by = NULL
        WHERE tenant_id = NEW.tenant_id AND held_by = 'tenant';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION release_held_deliveries IS
    'Makes deliveries due that a campaign or a tenant held back, once it does so no more';
CREATE TRIGGER release_held_deliveries AFTER UPDATE OF status ON campaign
    FOR EACH ROW WHEN (OLD.status = 'paused' AND NEW.status <> 'paused')
    EXECUTE FUNCTION release_held_deliveries();
CREATE TRIGGER release_held_deliveries AFTER UPDATE OF status ON tenant
    FOR EACH ROW WHEN (OLD.status <> 'active' AND NEW.status = 'active')
    EXECUTE FUNCTION release_held_deliveries();
REVOKE ALL ON FUNCTION release_held_deliveries FROM PUBLIC;
ALTER FUNCTION release_held_deliveries OWNER TO leo_task_claimer;
REVOKE CREATE ON SCHEMA public FROM leo_task_claimer;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP TRIGGER release_held_deliveries ON tenant;
DROP TRIGGER release_held_deliveries ON campaign;
DROP FUNCTION release_held_deliveries;
REVOKE SELECT (campaign_id, held_by), UPDATE (due_at, held_by) ON agent_task FROM leo_task_claimer;

-- A dispatch that pauses goes on: the older schema knows no other way to keep it.
UPDATE agent_task SET status = 'pending' WHERE status = 'paused';
ALTER TABLE agent_task
    DROP COLUMN held_by,
    DROP CONSTRAINT agent_task_status_check,
    ADD CONSTRAINT agent_task_status_check CHECK (status IN ('pending', 'completed', 'failed', 'cancelled'));
COMMENT ON COLUMN agent_task.status IS 'pending, completed, failed or cancelled';

DROP VIEW delivery_current;
DROP FUNCTION leo_delivery_standing;
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

DROP INDEX delivery_log_trouble;
DROP INDEX delivery_log_definition;
DROP INDEX delivery_log_receipt_once;
DROP INDEX delivery_log_queued_once;
-- Rows are never taken back, so those of later series stay, outside of the index.
CREATE UNIQUE INDEX delivery_log_queued_once ON delivery_log (delivery_key, tenant_id)
    WHERE delivery_status = 'queued' AND reason IS DISTINCT FROM 'REQUEUED';
ALTER TABLE delivery_log
    DROP COLUMN series,
    DROP CONSTRAINT delivery_log_delivery_status_check,
    ADD CONSTRAINT delivery_log_delivery_status_check CHECK (
        delivery_status IN (
            'queued', 'suppressed', 'sending', 'deferred', 'sent', 'delivered',
            'read', 'bounced', 'failed', 'unknown', 'cancelled'
        )
    ) NOT VALID;
COMMENT ON COLUMN delivery_log.delivery_status IS
    'queued, suppressed, sending, sent, delivered, read, bounced, failed, unknown or cancelled';
CREATE VIEW delivery_current WITH (security_invoker = true) AS
SELECT DISTINCT ON (tenant_id, profile_id, task_id, delivery_key) *
FROM delivery_log
ORDER BY
    tenant_id, profile_id, task_id, delivery_key,
    leo_delivery_rank(delivery_status) DESC, attempt DESC, delivery_id DESC;
COMMENT ON VIEW delivery_current IS
    'One row for each delivery: the appended row of the highest rank; a status never goes backwards';
GRANT SELECT ON delivery_current TO leo_app, leo_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery_current TO leo_proof;

DO $validate$
BEGIN
    ALTER TABLE delivery_log VALIDATE CONSTRAINT delivery_log_delivery_status_check;
EXCEPTION WHEN check_violation THEN
    RAISE NOTICE 'delivery_log_delivery_status_check is kept for new rows only';
END
$validate$;

ALTER TABLE marketing_event DROP COLUMN receipt_seconds, DROP COLUMN valid_for_seconds;
