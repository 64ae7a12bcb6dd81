-- What a superuser does to prepare a database: for the embedded stack, tests and benchmarks. No server runs these.

-- name: database_exists
-- Whether the cluster has a database of this name.
select exists (select from pg_database where datname = $1)

-- name: create_database_statement
-- The statement that creates a database, its name quoted. Text, since CREATE DATABASE takes no parameters.
select format('create database %I', $1::text)

-- name: own_database_statement
-- The statement that gives the current database to the owner of the schema, who then may create in it.
select format('alter database %I owner to leo_owner', current_database())

-- name: role_password_statement
-- The statement that lets a role log in with a password: $1 the role, $2 the password.
select format('alter role %I login password %L', $1::text, $2::text)

-- name: ensure_tenant
-- Register a tenant under the embedded issuer's realm unless it is there: $1 the realm, $2 its client id and
-- name. Run as the admin role.
insert into tenant (tenant_id, tenant_name, keycloak_realm, keycloak_client_id)
values (gen_random_uuid(), $2, $1, $2)
on conflict do nothing

-- name: partitions
-- Every partition, as a schema-qualified and quoted name.
select format('%I.%I', n.nspname, c.relname) as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relispartition and c.relkind = 'r'
order by 1
