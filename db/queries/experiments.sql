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
