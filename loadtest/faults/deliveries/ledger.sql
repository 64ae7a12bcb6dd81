-- What the drill reads to hold the ledger of acknowledgements against, as the servers' role in its tenant's context.

-- name: decisions
-- Every decision that is recorded.
SELECT task_id, source_event_id, outcome, reason_code
FROM agent_task
WHERE task_type = 'execute';

-- name: unknown
-- Deliveries of which nobody can say whether they were sent, with the reason.
SELECT delivery_key, reason
FROM delivery_current
WHERE delivery_status = 'unknown';

-- name: sent
-- When each message was recorded as sent.
SELECT created_at
FROM delivery_log
WHERE delivery_status = 'sent'
ORDER BY created_at;
