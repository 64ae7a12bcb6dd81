-- What runs around a migration.

-- name: lock_migrations
-- Wait until no other process migrates this database, then keep others out for as long as the session lasts.
select pg_advisory_lock(hashtextextended('leo migrations', 0))
