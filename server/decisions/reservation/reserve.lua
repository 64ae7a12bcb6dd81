-- Reserves, for each event of a batch and in its order, at most one candidate of one profile, in event time.
--
-- KEYS[1]   the epoch key: "<epoch>:<run_id>", written when the epoch began.
-- KEYS[2…]  for each event, its profile's sends: a sorted set, score = event time in microseconds, member =
--           status (c confirmed, p pending) | stamp, 13 digits of ms | task, 32 | campaign, 16 | event, 16 | channel, 16
--           | topic, 16, and for a pending one | hold, 8, since several servers may try to record a decision at once.
--           The stamp of a pending send is the end of its lease; that of a confirmed one, until when it must stay.
--           The member "~" has the time from which on the set is complete.
-- ARGV[1]   epoch   ARGV[2]  lease, ms   ARGV[3]  time to live of a set, ms   ARGV[4]  lateness that is kept, us
-- ARGV[5]   how long a confirmed send must stay, ms
-- ARGV[6]   JSON [[candidate, …], [event, …]]. A candidate is what it asks for, told once for all events:
--           [scopes, [[kind, campaign, event, channel, topic, window us, maximum], …]]; its scopes are
--           campaign .. event .. channel .. topic, as in a member. An event is
--           [event time us, task, longest window us, hold, [number of a candidate from 0, …], [send, …]], best
--           candidate first; the sends are those that PostgreSQL has since event time - longest window, each
--           [event time us, task .. scopes], and fill the set where it is not complete that far back.
--
-- Returns one answer for each event: "X" a pending send whose lease has run out would decide; else a letter for each
-- candidate that was asked: "h" held, "o" cooldown, "k" capped. Returns {"E"} alone when the epoch is another one, or
-- Redis has restarted since.
local ANY = '----------------'
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('GET', KEYS[1]) ~= ARGV[1] .. ':' .. run_id then return { 'E' } end

local lease_ms, ttl_ms, lateness, settled_ms = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease_end = string.format('%013.0f', now_ms + lease_ms)
local stays_until = string.format('%013.0f', now_ms + settled_ms)

local function whole(number) return string.format('%.0f', number) end

-- The sends that a window around `at` can reach: not those of the task itself, and tries of one send count once.
local function sends_near(key, at, task, longest)
  local near = redis.call('ZRANGEBYSCORE', key, '(' .. whole(at - longest), '(' .. whole(at + longest), 'WITHSCORES')
  local sends, known = {}, {}
  for position = 1, #near, 2 do
    local member, score = near[position], near[position + 1]
    local is_of_task = string.sub(member, 15, 46) == task
    if member ~= '~' and not is_of_task then
      local send = score .. string.sub(member, 15, 110)
      local same = known[send]
      if not same then
        same = { at = tonumber(score), member = member }
        known[send] = same
        sends[#sends + 1] = same
      elseif string.sub(same.member, 1, 1) == 'p' then
        same.member = member -- its lease ends later: members of a score are in order
      end
    end
  end
  return sends
end

local function matches(limit, member)
  return (limit[2] == ANY or limit[2] == string.sub(member, 47, 62))
    and (limit[3] == ANY or limit[3] == string.sub(member, 63, 78))
    and (limit[4] == ANY or limit[4] == string.sub(member, 79, 94))
    and (limit[5] == ANY or limit[5] == string.sub(member, 95, 110))
end

-- Whether one more send at `at` breaks the limit, and whether an expired pending send has a part in it.
local function broken(limit, at, sends)
  local window, maximum, times, expired = limit[6], limit[7], {}, false
  for _, send in ipairs(sends) do
    if math.abs(send.at - at) < window and matches(limit, send.member) then
      times[#times + 1] = send.at
      if string.sub(send.member, 1, 1) == 'p' and tonumber(string.sub(send.member, 2, 14)) < now_ms then
        expired = true
      end
    end
  end
  for first = 1, #times - maximum + 1 do
    if math.max(times[first + maximum - 1], at) - math.min(times[first], at) < window then return true, expired end
  end
  return false, false
end

-- What no window and no kept lateness can reach is forgotten, and said to be: memory stays bounded.
local function trim(key, longest)
  local complete_from = tonumber(redis.call('ZSCORE', key, '~'))
  local newest = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  local keep_from = tonumber(newest[2]) - longest - lateness
  if keep_from <= complete_from then return end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. whole(keep_from))) do
    if string.sub(member, 1, 1) == 'c' and tonumber(string.sub(member, 2, 14)) < now_ms then
      redis.call('ZREM', key, member)
    end
  end
  redis.call('ZADD', key, whole(keep_from), '~')
end

-- From now on the set is complete from `from` on: `sends` are all that was committed when they were loaded, and what
-- was reserved since is in the set.
local function fill(key, from, sends)
  if #sends > 0 then
    local known = {}
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      local task = string.sub(member, 15, 46)
      known[task] = known[task] or {}
      table.insert(known[task], member)
    end
    for _, send in ipairs(sends) do
      for _, earlier in ipairs(known[string.sub(send[2], 1, 32)] or {}) do redis.call('ZREM', key, earlier) end
      redis.call('ZADD', key, whole(send[1]), 'c' .. stays_until .. send[2])
    end
  end
  redis.call('ZADD', key, whole(from), '~')
  redis.call('PEXPIRE', key, ttl_ms)
end

local function reserve(key, at, task, longest, hold, asked, candidates)
  local sends, verdicts = sends_near(key, at, task, longest), ''
  for _, number in ipairs(asked) do
    local candidate, verdict = candidates[number + 1], 'h'
    for _, limit in ipairs(candidate[2]) do
      local is_broken, expired = broken(limit, at, sends)
      if is_broken and expired then return 'X' end
      if is_broken then
        verdict = limit[1]
        break
      end
    end
    verdicts = verdicts .. verdict
    if verdict == 'h' then
      redis.call('ZADD', key, whole(at), 'p' .. lease_end .. task .. candidate[1] .. hold)
      redis.call('PEXPIRE', key, ttl_ms)
      break
    end
  end
  return verdicts
end

local request = cjson.decode(ARGV[6])
local candidates, answers, grown = request[1], {}, {}
for position, event in ipairs(request[2]) do
  local key, at, longest = KEYS[position + 1], event[1], event[3]
  local complete_from = tonumber(redis.call('ZSCORE', key, '~') or math.huge)
  if complete_from > at - longest then fill(key, at - longest, event[6]) end
  answers[position] = reserve(key, at, event[2], longest, event[4], event[5], candidates)
  -- Not before it is worth it: trimming costs more than a reservation.
  if at - complete_from > 2 * longest + lateness then grown[key] = longest end
end
-- Only now: a late event of the same batch may need what an earlier one makes old.
for key, longest in pairs(grown) do trim(key, longest) end
return answers
