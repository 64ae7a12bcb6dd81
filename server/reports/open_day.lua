-- The counters of a day together with the state up to which they count, for one caller to compare alone for a while; a
-- day that is not there, or belongs to an earlier state, begins here, empty and incomplete.
-- KEYS: the state, the day. ARGV: the epoch of the state, a new version, when the day expires, what time it is (both in
-- seconds since 1970), for how many seconds a complete day and an incomplete one is left to a caller.
-- Returns the state and the day's fields and values; nothing when the state is of another epoch, or the day was given
-- to somebody else.
local state = redis.call('GET', KEYS[1])
if not state or cjson.decode(state).epoch ~= ARGV[1] then
    return nil
end
if redis.call('HGET', KEYS[2], '_epoch') ~= ARGV[1] then
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[2], '_epoch', ARGV[1], '_version', ARGV[2])
    redis.call('EXPIREAT', KEYS[2], ARGV[3])
end
local pause = redis.call('HEXISTS', KEYS[2], '_complete') == 1 and ARGV[5] or ARGV[6]
local opened = redis.call('HGET', KEYS[2], '_opened')
if opened and tonumber(opened) + tonumber(pause) > tonumber(ARGV[4]) then
    return nil
end
redis.call('HSET', KEYS[2], '_opened', ARGV[4])
return {state, redis.call('HGETALL', KEYS[2])}
