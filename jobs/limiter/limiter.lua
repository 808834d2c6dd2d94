-- The limiter. All times are microseconds of the server's clock, the only clock that is asked.
--
-- KEYS    for each credential two: its slots, its state
--   slots  sorted set: one member for each request that may still count in a window of the API,
--          scored with the time from which it cannot
--   state  hash: seen (the time when it was last asked), opened (when the count began to be known),
--          server (whose count it is), next (earliest time of the next grant: grants are evenly
--          spaced, for bursts would repeat every window), frozen (until), cut (percent of the limit
--          left unused), eased (until), urgent (when urgent work was last granted a slot), bulk
--          (earliest time of the next grant to other work while urgent work keeps coming)
-- ARGV[1]  verb; the rest belongs to the verb
--
-- reserve  limit window hold longest token ready urgent share [number token ago]...
--          -> {credential's number from 1, microseconds until the slot} or
--             {0, microseconds until it is worth asking again}: nothing is reserved then
--          the slot is no sooner than in `ready` microseconds; urgent is 1 or 0; for a window after
--          urgent work the rest leaves so many percent of the limit to it. What follows tells of
--          earlier requests of the credential of that number that they had arrived by then, and
--          sooner than was assumed
-- settle   window ago token              -> 0
--          says that a request had arrived `ago` microseconds ago (or, below 0, will have)
-- drop     token                         -> 0     gives a slot back that was not used
-- freeze   microseconds easing           -> microseconds until the thaw
--          after it a little of the limit stays unused for so long: the API counts otherwise than
--          we do, or somebody else uses the key
-- allow    window token                  -> 1 if a request that has this slot may be sent, else 0
-- open     window ago                    -> 1 if it was closed
--          says that nothing was sent during the last `ago` microseconds
-- look     limit window                  -> {used, frozen for, opens in, free in}
--          the last is when urgent work could be granted a slot

local CUT, MOST_CUT = 2, 20
-- A clock that is set back by less is waited for.
local STEP = 1000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local verb = ARGV[1]

local function field(key, name)
  return tonumber(redis.call('HGET', key, name) or 0)
end

-- A server that restarts may bring back an old copy of the count, without what was sent since.
local function server()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
end

local function opened(state)
  local told = redis.call('HMGET', state, 'opened', 'server')
  return told[2] == server() and tonumber(told[1]) or nil
end

local function open(state, at)
  redis.call('HSET', state, 'opened', at, 'server', server())
  return at
end

-- What was counted by a clock that was set back lies in its future, and tells nothing any more:
-- the history is unknown, but for what was left of a freeze.
local function forget(slots, state, seen)
  redis.call('DEL', slots)
  redis.call('HDEL', state, 'opened', 'next', 'urgent', 'bulk')
  for _, name in ipairs({'frozen', 'eased'}) do
    redis.call('HSET', state, name, now + math.max(0, field(state, name) - seen))
  end
end

-- How many requests may be in a window now.
local function allowed(state, limit)
  if field(state, 'eased') <= now then
    return limit
  end
  return math.max(1, limit - math.ceil(limit * field(state, 'cut') / 100))
end

-- When the credential's next request may be sent. An unknown history counts as a full window.
local function earliest(slots, state, limit, window, ready, urgent)
  local known = opened(state) or open(state, now + window)
  redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
  local start = math.max(now + ready, known, field(state, 'next'), field(state, 'frozen'))
  local used = redis.call('ZCARD', slots)
  if used >= limit then
    -- So many must have ended that the new one is the limit's last.
    local last = redis.call('ZRANGE', slots, used - limit, used - limit, 'WITHSCORES')
    start = math.max(start, tonumber(last[2]))
  end
  if not urgent and field(state, 'urgent') > now - window then
    start = math.max(start, field(state, 'bulk'))
  end
  return start
end

for i = 1, #KEYS, 2 do
  local slots, state = KEYS[i], KEYS[i + 1]
  local seen = field(state, 'seen')
  if now < seen - STEP then
    forget(slots, state, seen)
  end
  redis.call('HSET', state, 'seen', now)
end

if verb == 'reserve' then
  local limit, window, hold = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
  local longest, token = tonumber(ARGV[5]), ARGV[6]
  local ready, urgent, share = tonumber(ARGV[7]), ARGV[8] == '1', tonumber(ARGV[9])
  for i = 10, #ARGV, 3 do
    -- Only what is still counted: a slot that has ended must not come back.
    local until_ = now + window - tonumber(ARGV[i + 2])
    redis.call('ZADD', KEYS[2 * tonumber(ARGV[i]) - 1], 'XX', until_, ARGV[i + 1])
  end
  local best, start = 0, nil
  for i = 1, #KEYS / 2 do
    local slots, state = KEYS[2 * i - 1], KEYS[2 * i]
    local at = earliest(slots, state, allowed(state, limit), window, ready, urgent)
    if start == nil or at < start then
      best, start = i, at
    end
  end
  if start - now > longest then
    return {0, start - now}
  end
  local slots, state = KEYS[2 * best - 1], KEYS[2 * best]
  redis.call('ZADD', slots, start + hold + window, token)
  local spacing = math.floor(window / allowed(state, limit))
  redis.call('HSET', state, 'next', start + spacing)
  if urgent then
    redis.call('HSET', state, 'urgent', start)
  else
    redis.call('HSET', state, 'bulk', start + math.ceil(spacing * 100 / (100 - share)))
  end
  local alive = math.ceil((start - now + hold + window) / 1000000) + 60
  redis.call('EXPIRE', slots, alive)
  return {best, start - now}
elseif verb == 'settle' then
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]) - tonumber(ARGV[3]), ARGV[4])
  return 0
elseif verb == 'drop' then
  redis.call('ZREM', KEYS[1], ARGV[2])
  return 0
elseif verb == 'freeze' then
  local state = KEYS[2]
  if field(state, 'frozen') <= now then
    local cut = field(state, 'eased') > now and field(state, 'cut') or 0
    redis.call('HSET', state, 'cut', math.min(cut + CUT, MOST_CUT))
  end
  local frozen = math.max(field(state, 'frozen'), now + tonumber(ARGV[2]))
  redis.call('HSET', state, 'frozen', frozen, 'eased', frozen + tonumber(ARGV[3]))
  return frozen - now
elseif verb == 'allow' then
  -- Its slot must count for a window from now on: it may be forgotten, or of a clock that was set.
  local ends = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[3]) or 0)
  return ends >= now + tonumber(ARGV[2]) and field(KEYS[2], 'frozen') <= now and 1 or 0
elseif verb == 'open' then
  if opened(KEYS[2]) then
    return 0
  end
  open(KEYS[2], math.max(now, now + tonumber(ARGV[2]) - tonumber(ARGV[3])))
  return 1
elseif verb == 'look' then
  local limit, window = tonumber(ARGV[2]), tonumber(ARGV[3])
  local free = earliest(KEYS[1], KEYS[2], allowed(KEYS[2], limit), window, 0, true)
  return {
    redis.call('ZCARD', KEYS[1]),
    math.max(0, field(KEYS[2], 'frozen') - now),
    math.max(0, opened(KEYS[2]) - now),
    free - now,
  }
end
return redis.error_reply('unknown verb ' .. verb)
