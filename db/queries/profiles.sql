-- Profiles and consents. A patch is a JSON object that holds the columns to change, and only those.

-- name: lock_profiles
-- The stored profiles of the patches ($2 ids, $3 patches) of a tenant ($1), locked in the order of their ids, so that
-- two batches can not wait for each other in a circle. `merged_octets` is the size of the merged raw_attributes.
select stored.profile_id,
       stored.erased_at is not null as erased,
       stored.source_updated_at,
       octet_length((stored.raw_attributes || coalesce(patch.document -> 'raw_attributes', '{}'))::text)
           as merged_octets
from cdp_profiles as stored
join unnest($2::text[], $3::jsonb[]) as patch (profile_id, document) on patch.profile_id = stored.profile_id
where stored.tenant_id = $1
order by stored.profile_id
for no key update of stored

-- name: holders_of_ext_ids
-- Which profiles of a tenant ($1) have these external ids ($2).
select ext_id, profile_id from cdp_profiles where tenant_id = $1 and ext_id = any($2::text[])

-- name: insert_profiles
-- Inserts profiles ($2 ids, $3 patches) of a tenant ($1); returns the ids that were inserted. One that is missing has
-- been inserted by somebody else, or its external id has been taken.
insert into cdp_profiles (
    tenant_id, profile_id, ext_id, identities, primary_email, mobile_number, living_location, latitude, longitude,
    job_titles, interests, data_labels, segments, portfolio_snapshot, portfolio_risk_score, raw_attributes,
    channel_addresses, language, time_zone, source_updated_at
)
select $1,
       patch.profile_id,
       patch.document ->> 'ext_id',
       coalesce(patch.document -> 'identities', '[]'),
       (patch.document ->> 'primary_email')::citext,
       patch.document ->> 'mobile_number',
       patch.document ->> 'living_location',
       (patch.document ->> 'latitude')::double precision,
       (patch.document ->> 'longitude')::double precision,
       coalesce(patch.document -> 'job_titles', '[]'),
       coalesce(patch.document -> 'interests', '[]'),
       coalesce(patch.document -> 'data_labels', '[]'),
       coalesce(patch.document -> 'segments', '[]'),
       coalesce(patch.document -> 'portfolio_snapshot', '{}'),
       (patch.document ->> 'portfolio_risk_score')::numeric,
       coalesce(patch.document -> 'raw_attributes', '{}'),
       jsonb_strip_nulls(coalesce(patch.document -> 'channel_addresses', '{}')),
       patch.document ->> 'language',
       patch.document ->> 'time_zone',
       (patch.document ->> 'source_updated_at')::timestamptz
from unnest($2::text[], $3::jsonb[]) as patch (profile_id, document)
order by patch.profile_id collate "C"
on conflict do nothing
returning profile_id

-- name: update_profiles
-- Applies patches ($2 ids, $3 patches, $4 whether raw_attributes are replaced) to locked profiles of a tenant ($1);
-- returns the ids of the rows that it changed. Rows that would stay the same are not written.
with merged as (
    select stored.profile_id,
           case when patch.document ? 'ext_id' then patch.document ->> 'ext_id' else stored.ext_id end as ext_id,
           coalesce(patch.document -> 'identities', stored.identities) as identities,
           case when patch.document ? 'primary_email' then patch.document ->> 'primary_email'
                else stored.primary_email::text end as primary_email,
           case when patch.document ? 'mobile_number' then patch.document ->> 'mobile_number'
                else stored.mobile_number end as mobile_number,
           case when patch.document ? 'living_location' then patch.document ->> 'living_location'
                else stored.living_location end as living_location,
           case when patch.document ? 'latitude' then (patch.document ->> 'latitude')::double precision
                else stored.latitude end as latitude,
           case when patch.document ? 'longitude' then (patch.document ->> 'longitude')::double precision
                else stored.longitude end as longitude,
           coalesce(patch.document -> 'job_titles', stored.job_titles) as job_titles,
           coalesce(patch.document -> 'interests', stored.interests) as interests,
           coalesce(patch.document -> 'data_labels', stored.data_labels) as data_labels,
           coalesce(patch.document -> 'segments', stored.segments) as segments,
           coalesce(patch.document -> 'portfolio_snapshot', stored.portfolio_snapshot) as portfolio_snapshot,
           case when patch.document ? 'portfolio_risk_score'
                then (patch.document ->> 'portfolio_risk_score')::numeric
                else stored.portfolio_risk_score end as portfolio_risk_score,
           case when patch.replace_raw_attributes and patch.document ? 'raw_attributes'
                then patch.document -> 'raw_attributes'
                else stored.raw_attributes || coalesce(patch.document -> 'raw_attributes', '{}') end
               as raw_attributes,
           jsonb_strip_nulls(stored.channel_addresses || coalesce(patch.document -> 'channel_addresses', '{}'))
               as channel_addresses,
           case when patch.document ? 'language' then patch.document ->> 'language'
                else stored.language end as language,
           case when patch.document ? 'time_zone' then patch.document ->> 'time_zone'
                else stored.time_zone end as time_zone,
           coalesce((patch.document ->> 'source_updated_at')::timestamptz, stored.source_updated_at)
               as source_updated_at
    from cdp_profiles as stored
    join unnest($2::text[], $3::jsonb[], $4::boolean[]) as patch (profile_id, document, replace_raw_attributes)
         on patch.profile_id = stored.profile_id
    where stored.tenant_id = $1
)
update cdp_profiles as stored
set ext_id = merged.ext_id,
    identities = merged.identities,
    primary_email = merged.primary_email::citext,
    mobile_number = merged.mobile_number,
    living_location = merged.living_location,
    latitude = merged.latitude,
    longitude = merged.longitude,
    job_titles = merged.job_titles,
    interests = merged.interests,
    data_labels = merged.data_labels,
    segments = merged.segments,
    portfolio_snapshot = merged.portfolio_snapshot,
    portfolio_risk_score = merged.portfolio_risk_score,
    raw_attributes = merged.raw_attributes,
    channel_addresses = merged.channel_addresses,
    language = merged.language,
    time_zone = merged.time_zone,
    source_updated_at = merged.source_updated_at
from merged
where stored.tenant_id = $1
  and stored.profile_id = merged.profile_id
  and (
      stored.ext_id, stored.identities, stored.primary_email::text, stored.mobile_number, stored.living_location,
      stored.latitude, stored.longitude, stored.job_titles, stored.interests, stored.data_labels, stored.segments,
      stored.portfolio_snapshot, stored.portfolio_risk_score, stored.raw_attributes, stored.channel_addresses,
      stored.language, stored.time_zone, stored.source_updated_at
  ) is distinct from (
      merged.ext_id, merged.identities, merged.primary_email, merged.mobile_number, merged.living_location,
      merged.latitude, merged.longitude, merged.job_titles, merged.interests, merged.data_labels, merged.segments,
      merged.portfolio_snapshot, merged.portfolio_risk_score, merged.raw_attributes, merged.channel_addresses,
      merged.language, merged.time_zone, merged.source_updated_at
  )
returning stored.profile_id

-- name: get_profile
-- One profile by tenant ($1) and id ($2).
select profile_id, ext_id, identities, primary_email::text as primary_email, mobile_number, living_location,
       latitude, longitude, job_titles, interests, data_labels, segments, segment_snapshots, portfolio_snapshot,
       portfolio_risk_score::double precision as portfolio_risk_score, raw_attributes, channel_addresses, language,
       time_zone, source_updated_at, created_at, updated_at, erased_at
from cdp_profiles
where tenant_id = $1 and profile_id = $2

-- name: share_profiles
-- Which of these profiles ($2) the tenant ($1) has, and whether they were erased; they stay until the transaction ends.
select profile_id, erased_at is not null as erased
from cdp_profiles
where tenant_id = $1 and profile_id = any($2::text[])
order by profile_id
for key share

-- name: put_consents
-- Inserts or replaces consents of a tenant ($1) at the time $2; returns the keys of those that changed. A consent that
-- stays granted keeps the time of its grant.
insert into consent_management as stored (
    tenant_id, profile_id, channel, status, legal_basis, source, granted_at, withdrawn_at, expires_at
)
select $1, given.profile_id, given.channel, given.status, given.legal_basis, given.source, $2::timestamptz,
       case when given.status = 'withdrawn' then $2::timestamptz end,
       given.expires_at
from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
     as given (profile_id, channel, status, legal_basis, source, expires_at)
order by given.profile_id collate "C", given.channel collate "C"
on conflict (tenant_id, profile_id, channel) do update
set status = excluded.status,
    legal_basis = excluded.legal_basis,
    source = excluded.source,
    granted_at = case when stored.status = 'withdrawn' and excluded.status = 'granted' then excluded.granted_at
                      else stored.granted_at end,
    withdrawn_at = case when stored.status = excluded.status then stored.withdrawn_at
                        else excluded.withdrawn_at end,
    expires_at = excluded.expires_at
where (stored.status, stored.legal_basis, stored.source, stored.expires_at)
      is distinct from (excluded.status, excluded.legal_basis, excluded.source, excluded.expires_at)
returning profile_id, channel, (xmax = 0) as created

-- name: list_consents
-- All consents of a profile ($2) of a tenant ($1), by channel.
select profile_id, channel, status, legal_basis, source, granted_at, withdrawn_at, expires_at
from consent_management
where tenant_id = $1 and profile_id = $2
order by channel
