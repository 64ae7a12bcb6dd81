-- Fills a profile's sends from what PostgreSQL has committed, so that the set is complete from a time on.
--
-- KEYS[1]   the epoch key   KEYS[2…]  the sends of each profile (see reserve.lua)
-- ARGV[1]   epoch   ARGV[2]  time to live, ms   ARGV[3]  how long a confirmed send must stay, ms
-- ARGV[4…]  for each profile, JSON [complete from us, [[event time us, task .. scopes], …]]
--
-- Returns the number of profiles that were filled; 0 when the epoch is another one.
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('GET', KEYS[1]) ~= ARGV[1] .. ':' .. run_id then return 0 end
local clock = redis.call('TIME')
local stamp = string.format('%013.0f', clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[3]))

for position = 4, #ARGV do
  local key, content = KEYS[position - 2], cjson.decode(ARGV[position])
  local known = {}
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    local task = string.sub(member, 15, 46)
    known[task] = known[task] or {}
    table.insert(known[task], member)
  end
  for _, send in ipairs(content[2]) do
    for _, earlier in ipairs(known[string.sub(send[2], 1, 32)] or {}) do
      redis.call('ZREM', key, earlier)
    end
    redis.call('ZADD', key, string.format('%.0f', send[1]), 'c' .. stamp .. send[2])
  end
  local complete_from = tonumber(redis.call('ZSCORE', key, '~') or math.huge)
  redis.call('ZADD', key, string.format('%.0f', math.min(complete_from, content[1])), '~')
  redis.call('PEXPIRE', key, ARGV[2])
end
return #ARGV - 3
