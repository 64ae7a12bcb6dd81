-- Ends pending sends: confirmed once their decision is recorded, released when it will never be.
--
-- KEYS[1…]  for each send, its profile's sends (see reserve.lua)
-- ARGV[1]   how long a confirmed send must stay, ms   ARGV[2]  time to live of a set, ms   ARGV[3]  hold
-- ARGV[4]   JSON: for each send [event time us, task, scopes]; the scopes (see reserve.lua) are empty when
--           it is not recorded: then this hold is released, and those of other tries stay. A recorded one ends all
--           tries, and is written even where nothing is pending any more.
--
-- Returns how many were confirmed.
local clock = redis.call('TIME')
local stamp = string.format('%013.0f', clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[1]))
local confirmed = 0
for position, send in ipairs(cjson.decode(ARGV[4])) do
  local key = KEYS[position]
  local at = string.format('%.0f', send[1])
  local is_recorded = send[3] ~= ''
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, at, at)) do
    local is_own = string.sub(member, 1, 1) == 'p' and string.sub(member, 111, 118) == ARGV[3]
    if string.sub(member, 15, 46) == send[2] and (is_own or is_recorded) then redis.call('ZREM', key, member) end
  end
  if is_recorded then
    redis.call('ZADD', key, at, 'c' .. stamp .. send[2] .. send[3])
    redis.call('PEXPIRE', key, ARGV[2])
    confirmed = confirmed + 1
  end
end
return confirmed
