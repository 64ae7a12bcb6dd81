-- What the connection pool itself asks. Nothing here reads a tenant's rows.

-- name: ensure_month
-- Creates the partition of behavioural events that holds $1, unless it is there.
select ensure_month($1::date)

-- name: role_powers
-- Why the role of this session must not serve, one row: may it bypass row-level security by its own attributes,
-- by a role that it can become, or as the owner of a table? An owner counts when the session's role inherits
-- from it, may SET ROLE to it, or may grant itself either.
with reachable as (
    select r.oid, r.rolname, r.rolsuper, r.rolbypassrls
    from pg_roles r
    where pg_has_role(session_user, r.oid, 'USAGE')
       or pg_has_role(session_user, r.oid, 'SET')
       or pg_has_role(session_user, r.oid, 'USAGE WITH ADMIN OPTION')
)
select session_user::text as role_name,
       (select rolsuper from pg_roles where rolname = session_user) as is_superuser,
       (select rolbypassrls from pg_roles where rolname = session_user) as bypasses_row_security,
       (select min(rolname::text) from reachable
         where rolname <> session_user and (rolsuper or rolbypassrls)) as powerful_role,
       (select min(c.relname::text) from pg_class c join reachable o on o.oid = c.relowner
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and o.rolname = session_user
       ) as owned_table,
       (select min(o.rolname::text) from pg_class c join reachable o on o.oid = c.relowner
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and o.rolname <> session_user
       ) as owning_role

-- name: vector_schema
-- The schema that holds the type `vector`; no row when the extension is not installed.
select n.nspname::text from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typname = 'vector'

-- name: ping
-- Answers 1 when the server can run statements.
select 1
