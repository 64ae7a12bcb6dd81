-- name: deliveries
-- What became of every decision to send.
SELECT
    task.task_id,
    task.status AS task_status,
    task.queue AS channel,
    delivery.delivery_key,
    delivery.delivery_status,
    delivery.reason
FROM agent_task AS task
LEFT JOIN delivery_current AS delivery ON delivery.tenant_id = task.tenant_id AND delivery.task_id = task.task_id
WHERE task.outcome = 'send';

-- name: pending
-- How many decisions to send are not carried out.
SELECT count(*) FROM agent_task WHERE outcome = 'send' AND status = 'pending';
