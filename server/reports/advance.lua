-- Adds what was counted to the days that are there, and moves the state on, all or nothing.
-- KEYS: the state, then days. ARGV: the state as it was read ('' for none), the new state, seconds until it expires, then
-- for each counter the position of its day in KEYS, its field, and what to add.
-- Returns 0 when somebody else moved the state on meanwhile: nothing was added.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
    return 0
end
for i = 4, #ARGV, 3 do
    local day = KEYS[tonumber(ARGV[i])]
    if redis.call('EXISTS', day) == 1 then
        redis.call('HINCRBY', day, ARGV[i + 1], ARGV[i + 2])
    end
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
