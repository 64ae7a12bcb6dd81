-- Tenants, as the admin role sees them: all of them. `channel_credentials` never leave the database by this road.

-- name: insert_tenant
-- A new tenant; no row when its realm already has the client or the name.
-- $1 name, $2 realm, $3 client, $4 metadata.
insert into tenant (tenant_name, keycloak_realm, keycloak_client_id, metadata)
values ($1, $2, $3, $4::jsonb)
on conflict do nothing
returning tenant_id, tenant_name, keycloak_realm, keycloak_client_id,
          metadata - 'channel_credentials' as metadata, definitions_version, status, created_at, updated_at

-- name: get_tenant
-- One tenant by its id ($1).
select tenant_id, tenant_name, keycloak_realm, keycloak_client_id,
       metadata - 'channel_credentials' as metadata, definitions_version, status, created_at, updated_at
from tenant
where tenant_id = $1

-- name: get_tenant_of_client
-- The tenant of a realm ($1) and client ($2).
select tenant_id, tenant_name, keycloak_realm, keycloak_client_id,
       metadata - 'channel_credentials' as metadata, definitions_version, status, created_at, updated_at
from tenant
where keycloak_realm = $1 and keycloak_client_id = $2

-- name: list_tenants
-- Tenants after an id ($1), at most $2.
select tenant_id, tenant_name, keycloak_realm, keycloak_client_id,
       metadata - 'channel_credentials' as metadata, definitions_version, status, created_at, updated_at
from tenant
where tenant_id > $1
order by tenant_id
limit $2

-- name: update_tenant
-- Changes what is given: $2 name and $3 status where not null, $4 keys of metadata. An update that changes nothing
-- writes nothing and returns no row.
update tenant
set tenant_name = coalesce($2, tenant_name),
    status = coalesce($3, status),
    metadata = metadata || $4::jsonb
where tenant_id = $1
  and (tenant_name, status, metadata)
      is distinct from (coalesce($2, tenant_name), coalesce($3, status), metadata || $4::jsonb)
returning tenant_id, tenant_name, keycloak_realm, keycloak_client_id,
          metadata - 'channel_credentials' as metadata, definitions_version, status, created_at, updated_at
