-- Sources of customers' data, inside the tenant's transaction but for the first two.

-- name: claim_data_sources
-- Leases at most $1 due sources of any tenants, for a time ($2), in the name of a run ($3).
select tenant_id, source_id from claim_data_sources($1, $2, $3)

-- name: observe_data_sources
-- How many sources of all tenants are in which state, and the longest lag.
select healthy, degraded, failing, unknown, stale, lag_seconds from observe_data_sources()

-- name: list_tenants
-- The ids of all active tenants.
select tenant_id from list_tenants()

-- name: lock_source
-- One source ($2) of a tenant ($1), locked until the transaction ends.
select *, secret is not null as has_password,
       coalesce(lease_until > statement_timestamp(), false) as is_running
from data_sources
where tenant_id = $1 and source_id = $2
for update

-- name: get_source
-- One source ($2) of a tenant ($1).
select *, secret is not null as has_password,
       coalesce(lease_until > statement_timestamp(), false) as is_running
from data_sources
where tenant_id = $1 and source_id = $2

-- name: list_sources
-- Sources of a tenant ($1) after an id ($2), at most $3.
select *, secret is not null as has_password,
       coalesce(lease_until > statement_timestamp(), false) as is_running
from data_sources
where tenant_id = $1 and source_id > $2
order by source_id
limit $3

-- name: lock_sources
-- Lets those who add sources to a tenant ($1) wait for each other until the transaction ends. A statement of its own: the
-- next one then counts also what the last of them committed.
select pg_advisory_xact_lock(hashtextextended('data_sources:' || $1::uuid, 0))

-- name: insert_source
-- A new source, due at once where it has a frequency ($7); none where there is one already, or the tenant has $11.
insert into data_sources (
    tenant_id, source_id, source_name, source_type, connection, mapping, sync_frequency_seconds, stale_after_seconds,
    status, secret, due_at
)
select
    $1, $2, $3, $4, $5, $6, $7, $8, case when $9 then 'paused' else 'active' end, $10,
    case when $7::bigint is not null then statement_timestamp() end
where (select count(*) from data_sources where tenant_id = $1) < $11
on conflict (tenant_id, source_id) do nothing
returning source_id

-- name: update_source
-- Another definition of a source. Where it reads something else ($11), it begins from nothing, and a run that works on
-- it is fenced out; else it is due as its new frequency says.
update data_sources
set source_name = $3,
    source_type = $4,
    connection = $5,
    mapping = $6,
    sync_frequency_seconds = $7,
    stale_after_seconds = $8,
    status = case when $9 then 'paused' else 'active' end,
    secret = $10,
    sync_cursor = case when $11 then '{}' else sync_cursor end,
    synced_until = case when $11 then null else synced_until end,
    lease_owner = case when $11 then null else lease_owner end,
    lease_until = case when $11 then null else lease_until end,
    due_at = case
        when $7::bigint is null then null
        when $11 then statement_timestamp()
        else least(due_at, statement_timestamp() + $7 * interval '1 second')
    end
where tenant_id = $1 and source_id = $2

-- name: set_source_status
-- Pauses ($3) a source, which fences out a run that works on it, or lets it go on, at once where it has a frequency.
update data_sources
set status = case when $3 then 'paused' else 'active' end,
    lease_owner = case when $3 then null else lease_owner end,
    lease_until = case when $3 then null else lease_until end,
    due_at = case
        when $3 or sync_frequency_seconds is null then due_at
        else least(due_at, statement_timestamp())
    end
where tenant_id = $1 and source_id = $2 and (status = 'paused') <> $3

-- name: request_sync
-- Makes a source due at once; one that is being worked on is due again when that ends.
update data_sources
set requested_at = statement_timestamp(),
    due_at = least(due_at, statement_timestamp())
where tenant_id = $1 and source_id = $2

-- name: delete_source
-- Removes a source; the profiles that it brought stay.
delete from data_sources where tenant_id = $1 and source_id = $2 returning source_id

-- name: begin_run
-- A run ($3) begins on a source that it has leased: what it needs, or nothing where the lease is another's.
update data_sources
set last_sync_at = statement_timestamp(),
    last_run = '{}'
where tenant_id = $1 and source_id = $2 and lease_owner = $3 and status = 'active'
returning *, secret is not null as has_password, true as is_running

-- name: write_page
-- What a page came to, with the cursor behind it ($4), where the lease is still the run's ($3); the lease goes on ($5).
update data_sources
set sync_cursor = $4,
    lease_until = statement_timestamp() + $5::interval,
    synced_until = $6,
    read_count = read_count + $7,
    ingested_count = ingested_count + $8,
    rejected_count = rejected_count + $9,
    suppressed_count = suppressed_count + $10,
    deleted_count = deleted_count + $11,
    last_run = $12
where tenant_id = $1 and source_id = $2 and lease_owner = $3 and status = 'active'
returning source_id

-- name: end_run
-- A run ends: the lease is given back, and the source due again after $8 seconds (null: only on request), counted from
-- the beginning of the run; at once where that was asked for meanwhile.
update data_sources
set lease_owner = null,
    lease_until = null,
    health = $4,
    failures = $5,
    last_error = $6,
    last_success_at = case when $7 then statement_timestamp() else last_success_at end,
    synced_until = case when $7 then greatest(synced_until, last_sync_at) else synced_until end,
    due_at = case
        when requested_at > last_sync_at then statement_timestamp()
        when $7 then last_sync_at + $8::double precision * interval '1 second'
        else statement_timestamp() + $8::double precision * interval '1 second'
    end
where tenant_id = $1 and source_id = $2 and lease_owner = $3

-- name: leave_run
-- A run stops between two pages: another one may go on at once.
update data_sources
set lease_owner = null,
    lease_until = null
where tenant_id = $1 and source_id = $2 and lease_owner = $3

-- name: store_secret
-- Another ciphertext of the same password.
update data_sources set secret = $3 where tenant_id = $1 and source_id = $2

-- name: known_ext_ids
-- External ids of a tenant ($1) after one ($2), at most $4, that begin with a text ($5), of profiles that hold some
-- attributes ($3) and that their source has not deleted.
select ext_id as name
from cdp_profiles
where tenant_id = $1 and ext_id > $2 and starts_with(ext_id, $5)
      and raw_attributes @> $3 and not raw_attributes ? 'deleted_at_source'
order by ext_id
limit $4

-- name: known_profile_ids
-- The same for their own ids.
select profile_id as name
from cdp_profiles
where tenant_id = $1 and profile_id > $2 and starts_with(profile_id, $5)
      and raw_attributes @> $3 and not raw_attributes ? 'deleted_at_source'
order by profile_id
limit $4
