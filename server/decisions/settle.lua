-- Ends pending sends: confirmed once their decision is recorded, released when it will never be.
--
-- KEYS[1…]  for each send, its profile's sends (see reserve.lua)
-- ARGV[1]   how long a confirmed send must stay, ms
-- ARGV[2…]  for each send, JSON [event time us, task, is recorded]
--
-- Returns how many were still there.
local clock = redis.call('TIME')
local stamp = string.format('%013.0f', clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[1]))
local settled = 0
for position = 2, #ARGV do
  local key, send = KEYS[position - 1], cjson.decode(ARGV[position])
  local at = string.format('%.0f', send[1])
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, at, at)) do
    if string.sub(member, 1, 1) == 'p' and string.sub(member, 15, 46) == send[2] then
      redis.call('ZREM', key, member)
      if send[3] then redis.call('ZADD', key, at, 'c' .. stamp .. string.sub(member, 15)) end
      settled = settled + 1
    end
  end
end
return settled
