-- The catalogue: campaigns, marketing events, message templates, instruments.

-- name: lock_name
-- Lets the writers of one name wait for each other until the transaction ends. $1 the name, with its kind and tenant.
select pg_advisory_xact_lock(hashtextextended($1, 0))

-- name: put_campaign
-- Inserts a campaign or replaces its content; no row when it is stored like this already.
insert into campaign as stored (
    tenant_id, campaign_id, campaign_code, campaign_name, objective, status,
    start_at, end_at, audience, frequency_caps, quiet_hours
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10::jsonb, $11::jsonb)
on conflict (tenant_id, campaign_id) do update
set campaign_code = excluded.campaign_code,
    campaign_name = excluded.campaign_name,
    objective = excluded.objective,
    status = excluded.status,
    start_at = excluded.start_at,
    end_at = excluded.end_at,
    audience = excluded.audience,
    frequency_caps = excluded.frequency_caps,
    quiet_hours = excluded.quiet_hours
where (
    stored.campaign_code, stored.campaign_name, stored.objective, stored.status, stored.start_at, stored.end_at,
    stored.audience, stored.frequency_caps, stored.quiet_hours
) is distinct from (
    excluded.campaign_code, excluded.campaign_name, excluded.objective, excluded.status, excluded.start_at,
    excluded.end_at, excluded.audience, excluded.frequency_caps, excluded.quiet_hours
)
returning campaign_id, campaign_code, campaign_name, objective, status, start_at, end_at,
          audience, frequency_caps, quiet_hours, created_at, updated_at

-- name: get_campaign
-- One campaign by tenant ($1) and id ($2).
select campaign_id, campaign_code, campaign_name, objective, status, start_at, end_at,
       audience, frequency_caps, quiet_hours, created_at, updated_at
from campaign
where tenant_id = $1 and campaign_id = $2

-- name: list_campaigns
-- Campaigns of a tenant ($1) after an id ($2), of one status ($3) where given, at most $4.
select campaign_id, campaign_code, campaign_name, objective, status, start_at, end_at,
       audience, frequency_caps, quiet_hours, created_at, updated_at
from campaign
where tenant_id = $1 and campaign_id > $2 and ($3::text is null or status = $3)
order by campaign_id
limit $4

-- name: share_campaign
-- True when the tenant ($1) has the campaign ($2), which then stays until the transaction ends.
select true from campaign where tenant_id = $1 and campaign_id = $2 for key share

-- name: channels_without_template
-- Of the channels $3, those for which the tenant ($1) has no active template of the name $2, in their order.
select wanted.channel
from unnest($3::text[]) with ordinality as wanted (channel, place)
where not exists (
    select from message_templates as template
    where template.tenant_id = $1 and template.template_name = $2
      and template.channel = wanted.channel and template.status = 'active'
)
order by wanted.place

-- name: supersede_marketing_event
-- Takes the definition in use of a campaign ($2) and name ($3) out of use, unless it is the one of the id $4; returns
-- the id of what it took.
update marketing_event
set status = 'superseded'
where tenant_id = $1 and campaign_id = $2 and event_name = $3 and status <> 'superseded' and marketing_event_id <> $4
returning marketing_event_id

-- name: put_marketing_event
-- Inserts a definition, or brings its row back to the given status; no row when it has this status already.
insert into marketing_event as stored (
    tenant_id, marketing_event_id, campaign_id, event_name, event_type, event_channel, channels,
    trigger_event_type, topic, condition, template_name, priority, cooldown_seconds, start_at, end_at, description,
    status, valid_for_seconds, receipt_seconds
)
values (
    $1, $2, $3, $4, $5, $6::jsonb ->> 0, $6::jsonb, $7, $8, $9::jsonb, $10, $11, $12, $13, $14, $15, $16, $17, $18
)
on conflict (tenant_id, marketing_event_id) do update
set status = excluded.status
where stored.status <> excluded.status
returning marketing_event_id, campaign_id, event_name, event_type, channels, trigger_event_type, topic,
          valid_for_seconds, receipt_seconds, condition, template_name, priority, cooldown_seconds, start_at,
          end_at, description, status, created_at, updated_at

-- name: get_marketing_event
-- One marketing event by tenant ($1) and id ($2).
select marketing_event_id, campaign_id, event_name, event_type, channels, trigger_event_type, topic,
       valid_for_seconds, receipt_seconds, condition, template_name, priority, cooldown_seconds, start_at,
       end_at, description, status, created_at, updated_at
from marketing_event
where tenant_id = $1 and marketing_event_id = $2

-- name: list_marketing_events
-- Marketing events of a tenant ($1) after an id ($2), of one campaign ($3) where given, of one status ($4) or else all
-- but superseded ones, at most $5.
select marketing_event_id, campaign_id, event_name, event_type, channels, trigger_event_type, topic,
       valid_for_seconds, receipt_seconds, condition, template_name, priority, cooldown_seconds, start_at,
       end_at, description, status, created_at, updated_at
from marketing_event
where tenant_id = $1
  and marketing_event_id > $2
  and ($3::text is null or campaign_id = $3)
  and (status = $4 or ($4::text is null and status <> 'superseded'))
order by marketing_event_id
limit $5

-- name: cancel_marketing_event
-- Takes a planned or active marketing event out of use; no row when it is neither.
update marketing_event
set status = 'cancelled'
where tenant_id = $1 and marketing_event_id = $2 and status in ('planned', 'active')
returning marketing_event_id, campaign_id, event_name, event_type, channels, trigger_event_type, topic,
          valid_for_seconds, receipt_seconds, condition, template_name, priority, cooldown_seconds, start_at,
          end_at, description, status, created_at, updated_at

-- name: supersede_message_template
-- Takes the version in use of a name ($2), channel ($3) and language ($4) out of use, unless it has the id $5.
update message_templates
set status = 'superseded'
where tenant_id = $1 and template_name = $2 and channel = $3 and language = $4
  and status = 'active' and template_id <> $5

-- name: put_message_template
-- Inserts a content as the next version, or brings its row to the given status; an active one does not go back to
-- draft. What its texts need is read anew each time ($11). No row when nothing changes.
insert into message_templates as stored (
    tenant_id, template_id, template_name, channel, language, subject_template, body_template,
    template_engine, metadata, status, required_variables, version
)
select $1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11::jsonb,
       1 + coalesce(max(earlier.version), 0)
from message_templates as earlier
where earlier.tenant_id = $1 and earlier.template_name = $3 and earlier.channel = $4 and earlier.language = $5
on conflict (tenant_id, template_id) do update
set status = case when stored.status = 'active' then 'active' else excluded.status end,
    required_variables = excluded.required_variables
where stored.status not in (excluded.status, 'active') or stored.required_variables <> excluded.required_variables
returning template_id, template_name, channel, language, subject_template, body_template, template_engine,
          metadata, required_variables, version, status, created_at, updated_at

-- name: get_message_template
-- One template version by tenant ($1) and id ($2).
select template_id, template_name, channel, language, subject_template, body_template, template_engine,
       metadata, required_variables, version, status, created_at, updated_at
from message_templates
where tenant_id = $1 and template_id = $2

-- name: list_message_templates
-- Template versions of a tenant ($1) after a key ($2 name, $3 channel, $4 language, $5 version), of one name ($6),
-- channel ($7) and status ($8) where given, at most $9.
select template_id, template_name, channel, language, subject_template, body_template, template_engine,
       metadata, required_variables, version, status, created_at, updated_at
from message_templates
where tenant_id = $1
  and (template_name, channel, language, version) > ($2, $3, $4, $5)
  and ($6::text is null or template_name = $6)
  and ($7::text is null or channel = $7)
  and ($8::text is null or status = $8)
order by template_name, channel, language, version
limit $9

-- name: put_instruments
-- Inserts instruments of a tenant ($1) or replaces their content; returns the symbols that were new or changed.
insert into instruments as stored (
    tenant_id, symbol, instrument_name, type, currency, exchange, metadata, status
)
select $1, given.symbol, given.instrument_name, given.type, given.currency, given.exchange, given.metadata, given.status
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::text[])
     as given (symbol, instrument_name, type, currency, exchange, metadata, status)
order by given.symbol collate "C"
on conflict (tenant_id, symbol) do update
set instrument_name = excluded.instrument_name,
    type = excluded.type,
    currency = excluded.currency,
    exchange = excluded.exchange,
    metadata = excluded.metadata,
    status = excluded.status
where (stored.instrument_name, stored.type, stored.currency, stored.exchange, stored.metadata, stored.status)
      is distinct from (
          excluded.instrument_name, excluded.type, excluded.currency, excluded.exchange, excluded.metadata,
          excluded.status
      )
returning symbol

-- name: list_instruments
-- Instruments of a tenant ($1) and global ones after a key ($2 symbol, $3 1 for global ones, 0 for the tenant's), of
-- one type ($4) where given, at most $5.
select symbol, instrument_name, type, currency, exchange, metadata, status, tenant_id is null as global
from instruments
where (tenant_id = $1 or tenant_id is null)
  and (symbol, (tenant_id is null)::int) > ($2, $3)
  and ($4::text is null or type = $4)
order by symbol, (tenant_id is null)::int
limit $5
