-- Receipts that name a person and a time instead of messages.

-- migrate:up
SET LOCAL lock_timeout = '5s';

CREATE INDEX delivery_log_recipient ON delivery_log (destination, tenant_id, created_at)
    WHERE channel = 'facebook' AND delivery_status = 'sending';
COMMENT ON INDEX delivery_log_recipient IS
    'The last messages to a person: Messenger reports up to when all of them were read';

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP INDEX delivery_log_recipient;
