-- The limiter. All times are microseconds of the server's clock, the only clock that is asked.
--
-- KEYS    for each credential two: its slots, its state
--   slots  sorted set: one member for each request that may still count in a window of the API,
--          scored with the time from which it cannot
--   state  hash: opened (when the count began to be known), next (earliest time of the next
--          grant: grants are evenly spaced, for bursts would repeat every window), frozen (until)
-- ARGV[1]  verb; the rest belongs to the verb
--
-- reserve  limit window spacing hold longest token
--          -> {credential's number from 1, microseconds until the slot} or
--             {0, microseconds until it is worth asking again}: nothing is reserved then
-- settle   window token arrived_before   -> 0
--          moves the end of a request that is known to have arrived by now
-- drop     token                          -> 0     gives a slot back that was not used
-- freeze   microseconds                   -> microseconds until the thaw
-- open     window ago                     -> 1 if it was closed
--          says that nothing was sent during the last `ago` microseconds
-- look     limit                          -> {used, frozen for, opens in}

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local verb = ARGV[1]

local function field(key, name)
  return tonumber(redis.call('HGET', key, name) or 0)
end

-- When the credential's next request may be sent. An unknown history counts as a full window.
local function earliest(slots, state, limit, window)
  local opened = redis.call('HGET', state, 'opened')
  if not opened then
    opened = now + window
    redis.call('HSET', state, 'opened', opened)
  end
  redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
  local start = math.max(now, tonumber(opened), field(state, 'next'), field(state, 'frozen'))
  local used = redis.call('ZCARD', slots)
  if used >= limit then
    -- So many must have ended that the new one is the limit's last.
    local last = redis.call('ZRANGE', slots, used - limit, used - limit, 'WITHSCORES')
    start = math.max(start, tonumber(last[2]))
  end
  return start
end

if verb == 'reserve' then
  local limit, window, spacing = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
  local hold, longest, token = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
  local best, start = 0, nil
  for i = 1, #KEYS / 2 do
    local at = earliest(KEYS[2 * i - 1], KEYS[2 * i], limit, window)
    if start == nil or at < start then
      best, start = i, at
    end
  end
  if start - now > longest then
    return {0, start - now}
  end
  local slots, state = KEYS[2 * best - 1], KEYS[2 * best]
  redis.call('ZADD', slots, start + hold + window, token)
  redis.call('HSET', state, 'next', start + spacing)
  local alive = math.ceil((start - now + hold + window) / 1000000) + 60
  redis.call('EXPIRE', slots, alive)
  return {best, start - now}
elseif verb == 'settle' then
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[3])
  return 0
elseif verb == 'drop' then
  redis.call('ZREM', KEYS[1], ARGV[2])
  return 0
elseif verb == 'freeze' then
  local frozen = math.max(field(KEYS[2], 'frozen'), now + tonumber(ARGV[2]))
  redis.call('HSET', KEYS[2], 'frozen', frozen)
  return frozen - now
elseif verb == 'open' then
  local opens = math.max(now, now + tonumber(ARGV[2]) - tonumber(ARGV[3]))
  return redis.call('HSETNX', KEYS[2], 'opened', opens)
elseif verb == 'look' then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  local opened = tonumber(redis.call('HGET', KEYS[2], 'opened') or now)
  return {
    redis.call('ZCARD', KEYS[1]),
    math.max(0, field(KEYS[2], 'frozen') - now),
    math.max(0, opened - now),
  }
end
return redis.error_reply('unknown verb ' .. verb)
