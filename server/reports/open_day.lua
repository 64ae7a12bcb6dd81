-- The counters of a day together with the state up to which they count; a day that is not there, or belongs to an earlier
-- state, begins here, empty and incomplete.
-- KEYS: the state, the day. ARGV: the epoch of the state, a new version, when the day expires (seconds since 1970).
-- Returns the state and the day's fields and values; nothing when the state is of another epoch.
local state = redis.call('GET', KEYS[1])
if not state or cjson.decode(state).epoch ~= ARGV[1] then
    return nil
end
if redis.call('HGET', KEYS[2], '_epoch') ~= ARGV[1] then
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[2], '_epoch', ARGV[1], '_version', ARGV[2])
    redis.call('EXPIREAT', KEYS[2], ARGV[3])
end
return {state, redis.call('HGETALL', KEYS[2])}
