-- What is remembered after answers of a provider: `report` of rules.py over the hash KEYS[1].
-- ARGV: succeeded (0 or 1), failed, pause, threshold of failures, open_for (microseconds). Answers now, and
-- open_until before and after.
local succeeded, failed, pause = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3])
local threshold, open_for = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local names = {'paused_until', 'failures', 'opened', 'open_until', 'probe_until'}
local stored = redis.call('HMGET', KEYS[1], unpack(names))
local state = {}
for position, name in ipairs(names) do
  state[name] = tonumber(stored[position] or '0')
end
local before = state.open_until

if now >= state.open_until then
  if succeeded then
    state.failures, state.opened, state.open_until, state.probe_until = 0, 0, 0, 0
  end
  if failed > 0 then
    state.failures = state.failures + failed
    if state.open_until > 0 or state.failures >= threshold then
      state.open_until = now + open_for * 2 ^ math.min(state.opened, 5)
      state.opened = state.opened + 1
      state.probe_until = 0
    end
  end
end
if pause > 0 then
  state.paused_until = math.max(state.paused_until, now + pause)
end

local fields, last = {}, now
for _, name in ipairs(names) do
  fields[#fields + 1] = name
  fields[#fields + 1] = string.format('%.0f', state[name])
  last = math.max(last, state[name])
end
redis.call('HSET', KEYS[1], unpack(fields))
local lasting = math.ceil((last - now) / 1000) + 3600000
if redis.call('PTTL', KEYS[1]) < lasting then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', lasting))
end
return {now, before, state.open_until}
