-- What is asked of a PostgreSQL that is a source. Names and types of its columns stand in the texts as :marks, which
-- are replaced by quoted identifiers, and by names of types that this source told.

-- name: column_types
-- The columns of a table or view, by its name as SQL writes it ($1), and their types.
select attname as name, format_type(atttypid, null) as type
from pg_attribute
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped

-- name: settled
-- Whether everything up to a time ($1) had been visible when the source was last asked ($2), given that no transaction
-- takes longer than a number of seconds ($3); else from when on to read again; and the present.
select coalesce(
           $1::text::timestamptz <= $2::text::timestamptz - $3::bigint * interval '1 second', false
       ) as is_settled,
       least(
           $1::text::timestamptz, $2::text::timestamptz - $3::bigint * interval '1 second'
       )::timestamptz::text as earliest,
       now()::text as present

-- name: first_rows
-- The first rows in the order of their changes, at most $1.
select to_jsonb(source) as document, source.:updated::text as updated, source.:key::text as key
from :relation as source
where source.:updated :not_ahead
order by source.:updated, source.:key
limit $1

-- name: rows_from
-- Rows from a time of change on ($2).
select to_jsonb(source) as document, source.:updated::text as updated, source.:key::text as key
from :relation as source
where source.:updated >= $2::text:::updated_type and source.:updated :not_ahead
order by source.:updated, source.:key
limit $1

-- name: rows_after
-- Rows after the one of a time of change ($2) and a key ($3).
select to_jsonb(source) as document, source.:updated::text as updated, source.:key::text as key
from :relation as source
where (source.:updated, source.:key) > ($2::text:::updated_type, $3::text:::key_type)
      and source.:updated :not_ahead
order by source.:updated, source.:key
limit $1
