-- Profiles, consents and events. New profiles and events are written in bulk (server/platform/bulk_writer.py).

-- name: lock_profiles
-- Those of these profiles ($2) that a tenant ($1) has, locked in the order of their ids, so that two batches can not wait
-- for each other in a circle. `segments` are the labels alone, without what was evaluated; `newest` is the newest source
-- time, in microseconds since 1970.
select profile_id, erased_at is not null as erased, ext_id, primary_email::text as primary_email, mobile_number,
       living_location, portfolio_risk_score::double precision as portfolio_risk_score, language, time_zone, latitude,
       longitude, identities, job_titles, interests, data_labels, coalesce(segment_labels, segments) as segments,
       portfolio_snapshot, raw_attributes, channel_addresses, field_times,
       (extract(epoch from source_updated_at) * 1000000)::bigint as newest
from cdp_profiles
where tenant_id = $1 and profile_id = any($2::text[])
order by profile_id
for no key update

-- name: holders_of_ext_ids
-- Which profiles of a tenant ($1) have these external ids ($2).
select ext_id, profile_id from cdp_profiles where tenant_id = $1 and ext_id = any($2::text[])

-- name: holders_of_identities
-- Which profiles of a tenant ($1) have these identities ($2), with their external ids.
select identity, holder.profile_id, holder.ext_id
from unnest($2::text[]) as identity
cross join lateral (
    select profile_id, ext_id
    from cdp_profiles
    where tenant_id = $1 and identities ? identity
) as holder

-- name: update_profiles
-- Writes the columns that documents ($3) hold to locked profiles ($2) of a tenant ($1), their times ($4, null: as they
-- are) and the newest source time ($5, microseconds since 1970). A column that no document names is written as it is
-- stored, byte for byte: only so the update of a row whose indexed columns stay the same spares the indexes.
update cdp_profiles as stored
set ext_id = case when given.document ? 'ext_id' then given.document ->> 'ext_id' else stored.ext_id end,
    identities = coalesce(given.document -> 'identities', stored.identities),
    primary_email = case when given.document ? 'primary_email' then (given.document ->> 'primary_email')::citext
                         else stored.primary_email end,
    mobile_number = case when given.document ? 'mobile_number' then given.document ->> 'mobile_number'
                         else stored.mobile_number end,
    living_location = case when given.document ? 'living_location' then given.document ->> 'living_location'
                           else stored.living_location end,
    latitude = case when given.document ? 'latitude' then (given.document ->> 'latitude')::double precision
                    else stored.latitude end,
    longitude = case when given.document ? 'longitude' then (given.document ->> 'longitude')::double precision
                     else stored.longitude end,
    job_titles = coalesce(given.document -> 'job_titles', stored.job_titles),
    interests = coalesce(given.document -> 'interests', stored.interests),
    data_labels = coalesce(given.document -> 'data_labels', stored.data_labels),
    segments = coalesce(given.document -> 'segments', stored.segments),
    portfolio_snapshot = coalesce(given.document -> 'portfolio_snapshot', stored.portfolio_snapshot),
    portfolio_risk_score = case when given.document ? 'portfolio_risk_score'
                                then (given.document ->> 'portfolio_risk_score')::numeric
                                else stored.portfolio_risk_score end,
    raw_attributes = coalesce(given.document -> 'raw_attributes', stored.raw_attributes),
    channel_addresses = coalesce(given.document -> 'channel_addresses', stored.channel_addresses),
    language = case when given.document ? 'language' then given.document ->> 'language' else stored.language end,
    time_zone = case when given.document ? 'time_zone' then given.document ->> 'time_zone' else stored.time_zone end,
    field_times = coalesce(given.times, stored.field_times),
    source_updated_at = timestamptz 'epoch' + given.newest * interval '1 microsecond'
from unnest($2::text[], $3::jsonb[], $4::jsonb[], $5::bigint[]) as given (profile_id, document, times, newest)
where stored.tenant_id = $1 and stored.profile_id = given.profile_id

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
-- Inserts or replaces consents of a tenant ($1), those without a time of their own ($9) as of $2, and tells what became
-- of each: created, updated, unchanged or stale. Of two statements the later counts, of the same time the withdrawal. A
-- consent that stays granted keeps the time of its grant. One that says the same later only moves its time, and a same
-- one without a time of its own writes nothing.
with given as (
    select profile_id, channel, status, legal_basis, source, expires_at, coalesce(own_time, $2::timestamptz) as stated_at,
           own_time is not null as has_own_time
    from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[])
         as item (profile_id, channel, status, legal_basis, source, expires_at, own_time)
), known as (
    select given.*, stored.stated_at as known_at,
           (stored.status, stored.legal_basis, stored.source, stored.expires_at)
               is not distinct from (given.status, given.legal_basis, given.source, given.expires_at) as alike
    from given
    left join consent_management as stored
         on stored.tenant_id = $1 and stored.profile_id = given.profile_id and stored.channel = given.channel
), written as (
    insert into consent_management as stored (
        tenant_id, profile_id, channel, status, legal_basis, source, granted_at, withdrawn_at, expires_at, stated_at
    )
    select $1, profile_id, channel, status, legal_basis, source, stated_at,
           case when status = 'withdrawn' then stated_at end,
           expires_at, stated_at
    from known
    where not alike or has_own_time and stated_at > known_at
    order by profile_id collate "C", channel collate "C"
    on conflict (tenant_id, profile_id, channel) do update
    set status = excluded.status,
        legal_basis = excluded.legal_basis,
        source = excluded.source,
        granted_at = case when stored.status = 'withdrawn' and excluded.status = 'granted' then excluded.granted_at
                          else stored.granted_at end,
        withdrawn_at = case when stored.status = excluded.status then stored.withdrawn_at
                            else excluded.withdrawn_at end,
        expires_at = excluded.expires_at,
        stated_at = excluded.stated_at
    where (
        stored.stated_at, stored.status collate "C", stored.legal_basis collate "C", stored.source collate "C",
        coalesce(stored.expires_at, 'infinity')
    ) < (
        excluded.stated_at, excluded.status collate "C", excluded.legal_basis collate "C",
        excluded.source collate "C", coalesce(excluded.expires_at, 'infinity')
    )
    returning profile_id, channel, xmax = 0 as created
)
select known.profile_id, known.channel,
       case when written.created then 'created'
            when known.alike then 'unchanged'
            when written.profile_id is null then 'stale'
            else 'updated' end as outcome
from known
left join written using (profile_id, channel)

-- name: end_consents
-- Withdraws what profiles ($2) of a tenant ($1) had granted up to a moment each ($3), in the name of a source each ($4).
-- Whoever ends consents has locked the profiles.
update consent_management as stored
set status = 'withdrawn',
    source = given.source,
    withdrawn_at = given.ended_at,
    expires_at = null,
    stated_at = given.ended_at
from unnest($2::text[], $3::timestamptz[], $4::text[]) as given (profile_id, ended_at, source)
where stored.tenant_id = $1
      and stored.profile_id = given.profile_id
      and stored.status = 'granted'
      and stored.stated_at <= given.ended_at

-- name: list_consents
-- All consents of a profile ($2) of a tenant ($1), by channel.
select profile_id, channel, status, legal_basis, source, granted_at, withdrawn_at, expires_at, stated_at
from consent_management
where tenant_id = $1 and profile_id = $2
order by channel
