-- How many messages of an account may be sent now: `admit` of rules.py over the hash KEYS[1].
-- ARGV: version, wanted, interval, burst, probe_for (microseconds). Answers now, granted, reason, first_at, interval,
-- troubled; reason is empty when all are granted.
local version, wanted = tonumber(ARGV[1]), tonumber(ARGV[2])
local interval, burst, probe_for = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local stored = redis.call(
  'HMGET', KEYS[1], 'version', 'earliest', 'line_end', 'paused_until', 'failures', 'opened', 'open_until', 'probe_until')
local names = {'version', 'earliest', 'line_end', 'paused_until', 'failures', 'opened', 'open_until', 'probe_until'}
local state = {}
for position, name in ipairs(names) do
  state[name] = tonumber(stored[position] or '0')
end

local function answer(granted, reason, first_at, apart, troubled)
  local fields, last = {}, now
  for _, name in ipairs(names) do
    fields[#fields + 1] = name
    fields[#fields + 1] = string.format('%.0f', state[name])
    last = math.max(last, state[name])
  end
  redis.call('HSET', KEYS[1], unpack(fields))
  -- An hour after nothing of it matters any more, it is forgotten.
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((last - now) / 1000) + 3600000))
  return {now, granted, reason, first_at, apart, troubled and 1 or 0}
end

local function in_line(not_before, count)
  local first_at = math.max(state.line_end, not_before)
  state.line_end = first_at + count * interval
  return first_at
end

if version > state.version then
  state.version = version
  state.failures, state.opened, state.open_until, state.probe_until = 0, 0, 0, 0
end
local troubled = state.failures > 0 or state.open_until > 0
if now < state.paused_until then
  return answer(0, 'PROVIDER_ASKED_TO_WAIT', in_line(state.paused_until, wanted), interval, troubled)
end
if now < state.open_until then
  return answer(0, 'CIRCUIT_OPEN', state.open_until, 0, troubled)
end
-- Most probes are answered soon: whoever waits for one looks again after a second.
if now < state.probe_until then
  return answer(0, 'CIRCUIT_OPEN', math.min(state.probe_until, now + 1000000), 0, troubled)
end
local half_open = state.open_until > 0
local earliest = math.max(state.earliest, now)
local fitting = math.max(0, math.floor((now + burst * interval - earliest) / interval))
local granted = math.min(wanted, fitting)
if half_open then
  granted = math.min(granted, 1)
end
state.earliest = earliest + granted * interval
if half_open and granted > 0 then
  state.probe_until = now + probe_for
  local reason = wanted > 1 and 'CIRCUIT_OPEN' or ''
  return answer(granted, reason, math.min(state.probe_until, now + 1000000), 0, troubled)
end
if granted == wanted then
  return answer(granted, '', 0, 0, troubled)
end
local first_at = in_line(state.earliest - (burst - 1) * interval, wanted - granted)
return answer(granted, 'RATE_LIMITED', first_at, interval, troubled)
