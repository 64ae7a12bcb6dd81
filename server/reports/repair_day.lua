-- Adds differences to the counters of a day, which are complete from then on.
-- KEYS: the day. ARGV: the version that the differences were found in, the new version, then fields and differences.
-- Returns 0 when somebody else repaired the day meanwhile, or it went: nothing was added.
if redis.call('HGET', KEYS[1], '_version') ~= ARGV[1] then
    return 0
end
for i = 3, #ARGV, 2 do
    if redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) == 0 then
        redis.call('HDEL', KEYS[1], ARGV[i])
    end
end
redis.call('HSET', KEYS[1], '_version', ARGV[2], '_complete', '1')
return 1
