-- What the demo counts and checks at its end, as the servers' role in the context of its tenant.

-- name: decisions
-- Decisions by outcome and reason.
SELECT outcome, reason_code, count(*) AS number
FROM agent_task
WHERE task_type = 'execute'
GROUP BY outcome, reason_code
ORDER BY outcome, number DESC, reason_code;

-- name: candidates
-- Candidates of all decisions by reason: every marketing event that was considered, the losers too.
SELECT candidate ->> 'reason' AS reason_code, count(*) AS number
FROM agent_task, jsonb_array_elements(reasoning_trace -> 'candidates') AS candidate
WHERE task_type = 'execute'
GROUP BY 1
ORDER BY number DESC, 1;

-- name: deliveries
-- Deliveries by where they stand.
SELECT delivery_status, count(*) AS number
FROM delivery_current
GROUP BY delivery_status
ORDER BY number DESC, delivery_status;

-- name: alerts
-- Alert rules and how many of them fired, by symbol.
SELECT symbol, count(*) AS rules, count(*) FILTER (WHERE status = 'TRIGGERED') AS fired
FROM alert_rules
GROUP BY symbol
ORDER BY symbol;

-- name: orphans
-- What must not be, by kind: deliveries without their decision, without a frozen audience that holds the customer,
-- or without consent; decisions to send without a delivery; alerts that fired without a decision on that very time
-- and price, and decisions on alerts that did not fire; tasks that wait although they are due.
SELECT
    (
        SELECT count(*) FROM delivery_log AS delivery
        WHERE NOT EXISTS (
            SELECT FROM agent_task AS task
            WHERE
                task.tenant_id = delivery.tenant_id AND task.task_id = delivery.task_id
                AND task.profile_id = delivery.profile_id AND task.outcome = 'send'
        )
    ) AS deliveries_without_task,
    (
        SELECT count(*) FROM delivery_log AS delivery
        WHERE NOT EXISTS (
            SELECT FROM segment_snapshot_member AS member
            WHERE
                member.tenant_id = delivery.tenant_id AND member.snapshot_id = delivery.snapshot_id
                AND member.profile_id = delivery.profile_id
        )
    ) AS deliveries_without_snapshot,
    (
        SELECT count(*) FROM delivery_log AS delivery
        WHERE NOT EXISTS (
            SELECT FROM consent_management AS consent
            WHERE
                consent.tenant_id = delivery.tenant_id AND consent.profile_id = delivery.profile_id
                AND consent.channel = delivery.channel AND consent.status = 'granted'
        )
    ) AS deliveries_without_consent,
    (
        SELECT count(*) FROM agent_task AS task
        WHERE
            task.outcome = 'send'
            AND NOT EXISTS (
                SELECT FROM delivery_log AS delivery
                WHERE delivery.tenant_id = task.tenant_id AND delivery.task_id = task.task_id
            )
    ) AS sends_without_delivery,
    (
        SELECT count(*) FROM alert_rules AS rule
        WHERE
            rule.status = 'TRIGGERED'
            AND NOT EXISTS (
                SELECT FROM agent_task AS task
                JOIN behavioral_events AS event
                    ON event.tenant_id = task.tenant_id AND event.profile_id = task.profile_id
                    AND event.occurred_at = task.occurred_at AND event.source_event_id = task.source_event_id
                WHERE
                    task.task_type = 'execute'
                    AND task.profile_id = rule.profile_id AND task.occurred_at = rule.last_triggered_at
                    AND task.source_event_id = 'alert:' || rule.rule_id || ':' || rule.generation
                    AND (event.attributes ->> 'price_nanos')::bigint = rule.last_fired_price_nanos
            )
    ) AS alerts_without_decision,
    (
        SELECT count(*) FROM agent_task AS task
        WHERE
            task.task_type = 'execute' AND task.event_type = 'alert.fired'
            AND NOT EXISTS (
                SELECT FROM alert_rules AS rule
                WHERE
                    rule.tenant_id = task.tenant_id AND rule.status = 'TRIGGERED'
                    AND task.source_event_id = 'alert:' || rule.rule_id || ':' || rule.generation
            )
    ) AS decisions_without_alert,
    (
        SELECT count(*) FROM agent_task WHERE status = 'pending' AND due_at <= now()
    ) AS tasks_past_due;

-- name: messages
-- Every message that was handed over: its last attempt, and where the delivery stands now.
SELECT DISTINCT ON (sending.delivery_key)
    sending.delivery_key,
    sending.destination,
    sending.subject,
    sending.body,
    current.delivery_status,
    current.provider_message_id
FROM delivery_log AS sending
JOIN delivery_current AS current
    ON current.tenant_id = sending.tenant_id AND current.delivery_key = sending.delivery_key
WHERE sending.delivery_status = 'sending'
ORDER BY sending.delivery_key, sending.attempt DESC;
