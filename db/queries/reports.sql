-- Counts of facts about deliveries.

-- name: list_reported_tenants
-- Every active tenant.
select tenant_id from list_tenants()

-- name: newest_fact
-- Id of the tenant's ($1) last fact that is visible; no row when there is none.
select delivery_id from delivery_log where tenant_id = $1 order by delivery_id desc limit 1

-- name: count_new_facts
-- Facts of a tenant ($1) after an id ($2) up to another one ($3), of the statuses $4.
select
    (created_at at time zone 'UTC')::date as day, campaign_id, marketing_event_id, channel,
    delivery_status as status, count(*) as facts
from delivery_log
where tenant_id = $1 and delivery_id > $2 and delivery_id <= $3 and delivery_status = any($4::text[])
group by 1, 2, 3, 4, 5

-- name: count_facts_of_days
-- Facts of a tenant ($1) recorded from $2 on and before $3, up to an id ($4) where given, of the statuses $5.
select
    (created_at at time zone 'UTC')::date as day, campaign_id, marketing_event_id, channel,
    delivery_status as status, count(*) as facts
from delivery_log
where
    tenant_id = $1
    and created_at >= $2
    and created_at < $3
    and ($4::bigint is null or delivery_id <= $4)
    and delivery_status = any($5::text[])
group by 1, 2, 3, 4, 5
