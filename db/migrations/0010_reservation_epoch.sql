-- The reservation epoch: who reserves cooldowns and caps now. Odd: Redis; even: PostgreSQL.

-- migrate:up
SET LOCAL lock_timeout = '5s';

-- A sequence is not undone by a rollback and is seen by everybody at once: what an epoch needs.
CREATE SEQUENCE reservation_epoch AS bigint MINVALUE 0 START 0;
SELECT setval('reservation_epoch', 0, true);
COMMENT ON SEQUENCE reservation_epoch IS 'Epoch of the reservations; odd while Redis holds them, even while PostgreSQL does';

-- The shared lock comes first: from then until the transaction ends, the epoch that is read cannot end.
-- Plans of these short statements are kept for a session; made while a table is still small, they must not be scans.
CREATE FUNCTION begin_recording() RETURNS bigint
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(4711, 1);
    PERFORM set_config('enable_seqscan', 'off', true);
    RETURN (SELECT last_value FROM reservation_epoch);
END
$$;
COMMENT ON FUNCTION begin_recording IS 'Holds the reservation epoch still until the transaction ends, and answers it';

CREATE FUNCTION wait_for_recorders() RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(4711, 1);
END
$$;
COMMENT ON FUNCTION wait_for_recorders IS 'Waits for every transaction that records decisions, and holds new ones back until this one ends';

CREATE FUNCTION change_epoch(expected bigint, redis_reserves boolean) RETURNS bigint
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    current_epoch bigint;
BEGIN
    PERFORM wait_for_recorders();
    SELECT last_value INTO current_epoch FROM reservation_epoch;
    IF current_epoch <> expected THEN
        RETURN current_epoch;
    END IF;
    LOOP
        current_epoch := nextval('reservation_epoch');
        EXIT WHEN (current_epoch % 2 = 1) = redis_reserves;
    END LOOP;
    RETURN current_epoch;
END
$$;
COMMENT ON FUNCTION change_epoch IS 'Ends the expected epoch once nobody records in it, and answers the one in force';

GRANT SELECT, USAGE ON SEQUENCE reservation_epoch TO leo_app, leo_worker;
REVOKE ALL ON FUNCTION begin_recording, wait_for_recorders, change_epoch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_recording, wait_for_recorders, change_epoch TO leo_app, leo_worker;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP FUNCTION change_epoch;
DROP FUNCTION wait_for_recorders;
DROP FUNCTION begin_recording;
DROP SEQUENCE reservation_epoch;
