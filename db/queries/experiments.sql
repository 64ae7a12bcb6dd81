-- Experiments: their definitions, and the counters that a job derives.

-- name: put_experiment
-- Inserts a draft, or changes an experiment, whatever its status; no row when it is stored like this already.
insert into activation_experiments as stored (
    tenant_id, experiment_id, experiment_name, campaign_id, event_name, allocation, variants, holdout_fraction, seed,
    conversion_event_type, attribution_window_seconds, start_at, end_at
)
values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, $11, $12, $13)
on conflict (tenant_id, experiment_id) do update
set experiment_name = excluded.experiment_name,
    campaign_id = excluded.campaign_id,
    event_name = excluded.event_name,
    allocation = excluded.allocation,
    variants = excluded.variants,
    holdout_fraction = excluded.holdout_fraction,
    seed = excluded.seed,
    conversion_event_type = excluded.conversion_event_type,
    attribution_window_seconds = excluded.attribution_window_seconds,
    start_at = excluded.start_at,
    end_at = excluded.end_at
where (
    stored.experiment_name, stored.campaign_id, stored.event_name, stored.allocation, stored.variants,
    stored.holdout_fraction, stored.seed, stored.conversion_event_type, stored.attribution_window_seconds,
    stored.start_at, stored.end_at
) is distinct from (
    excluded.experiment_name, excluded.campaign_id, excluded.event_name, excluded.allocation, excluded.variants,
    excluded.holdout_fraction, excluded.seed, excluded.conversion_event_type, excluded.attribution_window_seconds,
    excluded.start_at, excluded.end_at
)
returning experiment_id, experiment_name, campaign_id, event_name, allocation, variants, holdout_fraction, seed,
          conversion_event_type, attribution_window_seconds, start_at, end_at, status, variant_counts,
          status_changed_at, created_at, updated_at

-- name: get_experiment
-- One experiment by tenant ($1) and id ($2).
select experiment_id, experiment_name, campaign_id, event_name, allocation, variants, holdout_fraction, seed,
       conversion_event_type, attribution_window_seconds, start_at, end_at, status, variant_counts,
       status_changed_at, created_at, updated_at
from activation_experiments
where tenant_id = $1 and experiment_id = $2

-- name: list_experiments
-- Experiments of a tenant ($1) after an id ($2), of one campaign ($3) and one status ($4) where given, at most $5.
select experiment_id, experiment_name, campaign_id, event_name, allocation, variants, holdout_fraction, seed,
       conversion_event_type, attribution_window_seconds, start_at, end_at, status, variant_counts,
       status_changed_at, created_at, updated_at
from activation_experiments
where tenant_id = $1
  and experiment_id > $2
  and ($3::text is null or campaign_id = $3)
  and ($4::text is null or status = $4)
order by experiment_id
limit $5

-- name: set_experiment_status
-- Gives an experiment ($2) another status ($3); no row when there is none, or it has this status.
update activation_experiments
set status = $3
where tenant_id = $1 and experiment_id = $2 and status <> $3
returning experiment_id, experiment_name, campaign_id, event_name, allocation, variants, holdout_fraction, seed,
          conversion_event_type, attribution_window_seconds, start_at, end_at, status, variant_counts,
          status_changed_at, created_at, updated_at

-- name: event_under_test
-- The channels of the marketing event in use of a campaign ($2) and name ($3).
select channels
from marketing_event
where tenant_id = $1 and campaign_id = $2 and event_name = $3 and status in ('planned', 'active')

-- name: variant_templates
-- The templates that the variants of the experiment send that runs on a campaign ($2) and marketing event ($3).
select distinct variant ->> 'template_name' as template_name
from activation_experiments, jsonb_array_elements(variants) as listed (variant)
where tenant_id = $1 and campaign_id = $2 and event_name = $3 and status = 'running'
  and variant ->> 'template_name' is not null
order by 1

-- name: list_counted_tenants
-- Every active tenant.
select tenant_id from list_tenants()

-- name: list_measured
-- Experiments of a tenant ($1) whose counters may still change: those that run, and those that ended, until everything
-- that was recorded up to then (and by decisions under way) is settled.
select experiment_id
from activation_experiments
where tenant_id = $1
  and (
      status = 'running'
      or (
          status in ('paused', 'completed')
          and (settled_until is null or settled_until < status_changed_at + interval '1 hour')
      )
  )
order by experiment_id

-- name: claim_measured
-- An experiment ($2) for this transaction to count alone; no row when another transaction is counting it.
select experiment_id, conversion_event_type, make_interval(secs => attribution_window_seconds) as attribution_window,
       settled_until, settled_counts, variant_counts
from activation_experiments
where tenant_id = $1
  and experiment_id = $2
  and pg_try_advisory_xact_lock(hashtextextended('experiment ' || $1::uuid || ' ' || $2::text, 0))

-- name: count_exposures
-- For each variant of an experiment ($2), and the holdout, the profiles that it reached first since $3, and those of
-- them that had an event of type $5 within $6 after the first time; the part that was recorded before $4 is settled.
-- A profile that it had reached before $3 is counted already. $1 tenant.
with reached as (
    select distinct on (variant, profile_id) variant, profile_id, occurred_at, created_at
    from agent_task
    where experiment_id = $2 and tenant_id = $1 and created_at >= coalesce($3::timestamptz, '-infinity')
    order by variant, profile_id, created_at, occurred_at, task_id
),
first as (
    select *
    from reached
    where not exists (
        select
        from agent_task as earlier
        where earlier.profile_id = reached.profile_id
          and earlier.tenant_id = $1
          and earlier.created_at < $3
          and earlier.experiment_id = $2
          and earlier.variant = reached.variant
    )
)
select
    variant,
    created_at < $4::timestamptz as settled,
    count(*) as exposures,
    count(*) filter (where exists (
        select
        from behavioral_events as conversion
        where conversion.profile_id = first.profile_id
          and conversion.tenant_id = $1
          and conversion.event_type = $5
          and conversion.occurred_at > first.occurred_at
          and conversion.occurred_at <= first.occurred_at + $6::interval
    )) as conversions
from first
group by 1, 2

-- name: write_counts
-- Stores counters of an experiment ($2): $3 until when they are settled, $4 the settled ones, $5 all, $6 and $7 their
-- sums without the holdout. Writes nothing when they are stored like this already.
update activation_experiments
set settled_until = $3,
    settled_counts = $4::jsonb,
    variant_counts = $5::jsonb,
    exposure_count = $6,
    conversion_count = $7
where tenant_id = $1
  and experiment_id = $2
  and (settled_until, settled_counts, variant_counts) is distinct from ($3::timestamptz, $4::jsonb, $5::jsonb)
