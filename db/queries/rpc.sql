-- What the gRPC shell itself asks, before a call has a tenant.

-- name: resolve_tenant
-- The active tenant that a token's realm ($1) and client ($2) belong to; null when there is none.
select resolve_tenant($1, $2)
