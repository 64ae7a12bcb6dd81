-- Alert rules, the prices that they wait for, and what fired.

-- name: find_instruments
-- Which of these symbols are active instruments, the tenant's own or global ones, with their calendars. $1 tenant, $2
-- symbols.
SELECT symbol, tenant_id IS NOT NULL AS own_instrument, metadata -> 'calendar' AS calendar
FROM instruments
WHERE symbol = ANY ($2::text[]) AND status = 'active' AND (tenant_id = $1 OR tenant_id IS NULL);

-- name: lock_alert_rules
-- Holds the rules of these ids that exist, in the order of their ids. $1 tenant, $2 rule ids.
SELECT rule_id, status, generation, note, source, rearm, cooldown_seconds, expires_at
FROM alert_rules
WHERE tenant_id = $1 AND rule_id = ANY ($2::text[])
ORDER BY rule_id
FOR UPDATE;

-- name: put_alert_rules
-- Makes rules active, but for those of people who were erased, which are not answered; one that was not active gets its
-- next generation, and remembers nothing. $1 tenant, then as columns,
-- by rule id: $2 rule ids, $3 profiles, $4 symbols, $5 whether own instruments, $6 logic, $7 sources, $8 notes,
-- $9 whether they re-arm, $10 seconds of their cooldown, $11 when they end.
INSERT INTO alert_rules AS r (
    tenant_id, rule_id, profile_id, symbol, own_instrument, condition_logic, source, note, rearm, cooldown_seconds,
    expires_at
)
SELECT
    $1, rule_id, profile_id, symbol, own_instrument, condition_logic, source, note, rearm, cooldown_seconds, expires_at
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::boolean[], $6::jsonb[], $7::text[], $8::text[], $9::boolean[],
    $10::bigint[], $11::timestamptz[]
) AS given (
    rule_id, profile_id, symbol, own_instrument, condition_logic, source, note, rearm, cooldown_seconds, expires_at
)
WHERE NOT EXISTS (
    SELECT
    FROM cdp_profiles AS erased
    WHERE erased.tenant_id = $1 AND erased.profile_id = given.profile_id AND erased.erased_at IS NOT NULL
)
ORDER BY rule_id
ON CONFLICT (tenant_id, rule_id) DO UPDATE
SET
    status = 'ACTIVE',
    generation = r.generation + (r.status <> 'ACTIVE')::integer,
    runtime = CASE WHEN r.status = 'ACTIVE' THEN r.runtime END,
    source = excluded.source,
    note = excluded.note,
    rearm = excluded.rearm,
    cooldown_seconds = excluded.cooldown_seconds,
    expires_at = excluded.expires_at
RETURNING r.rule_id, r.generation;

-- name: list_alert_rules
-- Rules by id; one whose time is over is EXPIRED also before a worker has noted it. $1 tenant, $2 the id to go on after, $3 profile or null, $4 symbol or null, $5 status or null,
-- $6 how many.
SELECT
    rule_id, profile_id, symbol, own_instrument, condition_logic, source, note, rearm, cooldown_seconds, expires_at,
    CASE WHEN status = 'ACTIVE' AND expires_at <= statement_timestamp() THEN 'EXPIRED' ELSE status END AS status,
    generation, runtime, last_triggered_at, last_fired_price_nanos, created_at
FROM alert_rules
WHERE
    tenant_id = $1
    AND rule_id > $2
    AND ($3::text IS NULL OR profile_id = $3)
    AND ($4::text IS NULL OR symbol = $4)
    AND (
        $5::text IS NULL
        OR $5 = CASE WHEN status = 'ACTIVE' AND expires_at <= statement_timestamp() THEN 'EXPIRED' ELSE status END
    )
ORDER BY rule_id
LIMIT $6;

-- name: disable_alert_rule
-- Stops a rule and answers it; one that is stopped already stays as it is. $1 tenant, $2 rule id.
WITH stopped AS (
    UPDATE alert_rules
    SET status = 'DISABLED', runtime = NULL
    WHERE tenant_id = $1 AND rule_id = $2 AND status <> 'DISABLED'
    RETURNING *
),
found AS (
    SELECT * FROM stopped
    UNION ALL
    SELECT * FROM alert_rules
    WHERE tenant_id = $1 AND rule_id = $2 AND status = 'DISABLED' AND NOT EXISTS (SELECT FROM stopped)
)
SELECT
    rule_id, profile_id, symbol, own_instrument, condition_logic, source, note, rearm, cooldown_seconds, expires_at,
    status, generation, runtime, last_triggered_at, last_fired_price_nanos, created_at
FROM found;

-- name: current_snapshot
-- Which transactions are over, as text.
SELECT pg_current_snapshot()::text;

-- name: load_rules
-- One page of the active rules of a shard, of every tenant. $1 shard, $2 tenant and $3 rule id to go on after, $4 how
-- many.
SELECT tenant_id, rule_id, symbol, own_instrument, operator, direction, price_nanos, generation, active, details
FROM load_alert_rules($1, $2, $3, $4);

-- name: changed_rules
-- Rules of these shards that changed since a snapshot, and the snapshot to ask from the next time; one row without a
-- rule where nothing changed. $1 shards, $2 the snapshot, $3 a transaction of the caller's own, which is left out, or
-- null.
SELECT
    now_seen.snapshot::text AS snapshot,
    c.tenant_id, c.rule_id, c.symbol, c.own_instrument, c.operator, c.direction, c.price_nanos, c.generation, c.active,
    c.details
FROM (SELECT pg_current_snapshot() AS snapshot) AS now_seen
LEFT JOIN LATERAL changed_alert_rules($1::integer[], $2::text::pg_snapshot, $3::text::xid8) AS c ON TRUE;

-- name: changed_instruments
-- Instruments of these shards, of every tenant, that were changed since then, each with the database's time now; one row
-- without an instrument where nothing changed. $1 shards, $2 time.
SELECT asked.at AS asked_at, c.tenant_id, c.symbol, c.active, c.calendar, c.updated_at
FROM (SELECT transaction_timestamp() AS at) AS asked
LEFT JOIN LATERAL changed_instruments($1::integer[], $2) AS c ON TRUE;

-- name: next_epoch
-- The number of a new taking of shards.
SELECT nextval('alert_shard_epoch');

-- name: claim_prices
-- Takes the prices of these shards over, of every tenant. $1 shards, $2 epoch.
SELECT
    tenant_id, symbol, price_nanos, previous_price_nanos, observed_at, feed, sequence, volume_micros, history
FROM claim_market_shards($1::integer[], $2);

-- name: commit_ticks
-- A transaction of its own: writes what became of ticks, unless rules were changed by others. Answers one row with the
-- snapshot that was looked at and the transaction, both null where rules were changed and nothing was written, then one
-- for each firing that was claimed. $1 the caller's tenant, $2 the tenant whose instruments these are, or null; $3
-- shards, $4 the snapshot to look from, or null, $5 the last transaction of this process, or null.
-- Prices, as columns: $6 symbols, $7 epochs, $8 prices, $9 previous prices,
-- $10 microseconds since 1970, $11 feeds, $12 sequences, $13 volumes, $14 prices of 24 hours ago (0 for what is not
-- known), $15 histories, null where they are as they were.
-- Firings, of every tenant, as columns: $16 tenants, $17 rule ids, $18 generations, $19 prices, $20 previous prices,
-- $21 times, $22 whether first after a restart, $23 further evidence or null; $24 how long the server has before a
-- worker takes up the tasks.
-- Rules that remember something else, as columns: $25 tenants, $26 rule ids, $27 generations, $28 runtimes.
SELECT
    seen, xid, tenant_id, rule_id, generation, profile_id, task_id, source_event_id, fired_at, attributes, silence_id
FROM commit_ticks(
    $1, $2, $3::integer[], $4::text::pg_snapshot, $5::text::xid8,
    $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::bigint[],
    $13::bigint[], $14::bigint[], $15::jsonb[],
    $16::uuid[], $17::text[], $18::bigint[], $19::bigint[], $20::bigint[], $21::timestamptz[], $22::boolean[],
    $23::jsonb[], $24::interval,
    $25::uuid[], $26::text[], $27::bigint[], $28::jsonb[]
);

-- name: expire_rules
-- Ends active rules, of every tenant, whose time is over. $1 how many at most.
SELECT expire_alert_rules($1);

-- name: list_members
-- The processes that share the shards, the first to come first, each with its address, the shards that it holds, and
-- whether it is the one that asks. $1 class of the locks.
SELECT
    a.pid,
    substr(a.application_name, 8) AS address,
    a.pid = pg_backend_pid() AS is_self,
    coalesce(array_agg(l.objid::bigint) FILTER (WHERE l.objid IS NOT NULL), '{}') AS shards
FROM pg_stat_activity AS a
LEFT JOIN pg_locks AS l
    ON l.pid = a.pid
    AND l.locktype = 'advisory'
    AND l.database = a.datid
    AND l.classid::bigint = $1::bigint
    AND l.granted
WHERE a.datname = current_database() AND a.application_name LIKE 'alerts@%'
GROUP BY a.pid, a.application_name, a.backend_start
ORDER BY a.backend_start, a.pid;

-- name: lock_shards
-- Takes the locks of these shards for the session, as far as they are free. $1 class of the locks, $2 shards.
SELECT shard
FROM unnest($2::integer[]) AS shard
WHERE pg_try_advisory_lock($1::integer, shard);

-- name: unlock_shards
-- Gives the locks of these shards back. $1 class of the locks, $2 shards.
SELECT pg_advisory_unlock($1::integer, shard)
FROM unnest($2::integer[]) AS shard;

-- name: claim_firings
-- Leases firings that no server has decided, of any tenant. $1 how many, $2 lease, $3 who claims.
SELECT tenant_id, task_id
FROM claim_tasks('alerts', $1, $2, $3);

-- name: load_firings
-- What claimed firings ask for. $1 tenant, $2 task ids, $3 who claimed them.
SELECT task_id, source_event_id, profile_id, occurred_at, inputs AS attributes
FROM agent_task
WHERE tenant_id = $1 AND task_id = ANY ($2::text[]) AND lease_owner = $3 AND status = 'pending'
ORDER BY occurred_at, task_id;

-- name: end_firings
-- Records what became of firings. $1 tenant, then as columns, by id: $2 task ids, $3 statuses, $4 results.
UPDATE agent_task AS t
SET status = ended.status, result = coalesce(t.result, ended.result)
FROM unnest($2::text[], $3::text[], $4::jsonb[]) AS ended (task_id, status, result)
WHERE t.tenant_id = $1 AND t.task_id = ended.task_id AND t.status = 'pending';
