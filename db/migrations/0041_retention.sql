-- Old months of behavioural events go: detached first, which writers notice for a moment at most, and dropped apart.

-- migrate:up
SET LOCAL lock_timeout = '5s';

CREATE FUNCTION refuse_kept_month(p_month date, p_kept_months int) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    -- Vectors of interests are made of the last 90 days: whoever calls, three months stay.
    fewest constant int := 3;
    oldest_kept constant date := (date_trunc('month', now()) - make_interval(months => p_kept_months))::date;
BEGIN
    IF p_month IS NULL OR p_kept_months IS NULL OR p_kept_months < fewest OR p_month >= oldest_kept THEN
        RAISE EXCEPTION 'only months before the % kept ones can go, and at least % are kept', p_kept_months, fewest
            USING ERRCODE = 'datetime_field_overflow';
    END IF;
END
$$;
COMMENT ON FUNCTION refuse_kept_month IS
    'Raises an error for a month (its first day) that is not older than the present one and so many before it';
REVOKE ALL ON FUNCTION refuse_kept_month FROM PUBLIC;
GRANT EXECUTE ON FUNCTION refuse_kept_month TO leo_partition_maker;

-- DETACH … CONCURRENTLY can not run in a function. The plain one needs the parent for itself for some milliseconds;
-- while it waits for that, everybody else waits behind it. So it waits for a tenth of a second and gives up: the
-- caller comes again. The new name lets ensure_month make the month anew, should a late event need it.
CREATE FUNCTION detach_month(p_month date, p_kept_months int) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '100ms'
AS $$
DECLARE
    first_day constant date := date_trunc('month', p_month)::date;
    partition constant text := 'behavioral_events_' || to_char(first_day, 'YYYY_MM');
    detached constant text := partition || '_detached';
BEGIN
    PERFORM public.refuse_kept_month(first_day, p_kept_months);
    -- One session at a time, as in ensure_month; writers do not wait for this lock.
    LOCK TABLE public.behavioral_events IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('public.' || detached) IS NOT NULL OR NOT EXISTS (
        SELECT FROM pg_inherits
        WHERE inhparent = 'public.behavioral_events'::regclass AND inhrelid = to_regclass('public.' || partition)
    ) THEN
        RETURN false;
    END IF;
    -- Vacuum of the month is waited for here, while nobody waits for us.
    EXECUTE format('LOCK TABLE public.%I IN SHARE UPDATE EXCLUSIVE MODE', partition);
    EXECUTE format('ALTER TABLE public.behavioral_events DETACH PARTITION public.%I', partition);
    EXECUTE format('ALTER TABLE public.%I RENAME TO %I', partition, detached);
    RETURN true;
END
$$;
COMMENT ON FUNCTION detach_month IS
    'Takes a month out of behavioral_events that is older than the present one and so many before it; its table stays '
    'as behavioral_events_<year>_<month>_detached. False when there is no such month, or its table is still there';
REVOKE ALL ON FUNCTION detach_month FROM PUBLIC;
GRANT EXECUTE ON FUNCTION detach_month TO leo_worker;

CREATE FUNCTION drop_detached_month(p_month date, p_kept_months int) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '100ms'
AS $$
DECLARE
    first_day constant date := date_trunc('month', p_month)::date;
    detached constant text := 'behavioral_events_' || to_char(first_day, 'YYYY_MM') || '_detached';
BEGIN
    PERFORM public.refuse_kept_month(first_day, p_kept_months);
    IF to_regclass('public.' || detached) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE public.%I', detached);
    RETURN true;
END
$$;
COMMENT ON FUNCTION drop_detached_month IS
    'Drops the table of a month that detach_month took out; false when there is none';
REVOKE ALL ON FUNCTION drop_detached_month FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_detached_month TO leo_worker;

ALTER FUNCTION detach_month OWNER TO leo_partition_maker;
ALTER FUNCTION drop_detached_month OWNER TO leo_partition_maker;

-- migrate:down
SET LOCAL lock_timeout = '5s';

DROP FUNCTION drop_detached_month;
DROP FUNCTION detach_month;
DROP FUNCTION refuse_kept_month;
