-- Begins an epoch on this Redis.
--
-- KEYS[1]  the epoch key   ARGV[1]  epoch
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. run_id)
return 1
