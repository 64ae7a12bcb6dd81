-- Channel credentials: ciphertext in `tenant.metadata`, written by one narrow function only.

-- name: load_credentials
-- All credentials of a tenant, by channel; null where it has none. $1 tenant.
SELECT metadata -> 'channel_credentials' AS credentials FROM tenant WHERE tenant_id = $1;

-- name: lock_credential
-- Waits until nobody else changes this credential, and holds it until the transaction ends. $1 tenant, $2 channel.
SELECT pg_advisory_xact_lock(hashtextextended('channel_credential:' || $1::uuid || ':' || $2::text, 0));

-- name: store_credential
-- Replaces the credential of a channel; null removes it. $1 tenant, $2 channel, $3 the document.
SELECT store_credential($1, $2, $3);

-- name: list_tenants
-- Every active tenant.
SELECT tenant_id FROM list_tenants();
