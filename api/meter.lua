-- Counts one request of a key, and the bytes that it brings.
-- KEYS: the key's requests, the key's bytes.
-- ARGV: requests in a second, or 0 for any number; most bytes in a day, or 0; the request's bytes;
--       1 to count it as a request, 0 for bytes alone.
-- Returns: which limit stops it (0 none, 1 requests, 2 bytes), how many requests may follow at
-- once, and after how many microseconds a retry may help.
local rate, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local size, is_request = tonumber(ARGV[3]), ARGV[4] == "1"
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]

-- The time at which the key will have used up nothing: each request moves it on by its share of a
-- second, and it may lie at most a second ahead (the generic cell rate algorithm). One that lies
-- far ahead was written before the clock was set back, and says nothing.
local left = 0
local even
if rate > 0 and is_request then
  local share = 1000000 / rate
  even = tonumber(redis.call("GET", KEYS[1]) or 0)
  if even < now or even > now + 2000000 then
    even = now
  end
  even = even + share
  local ahead = even - now
  if ahead > 1000000 + 0.5 then
    return {1, 0, math.ceil(ahead - 1000000)}
  end
  left = math.floor((1000000 - ahead) / share + 0.001)
end

if most_bytes > 0 and size > 0 then
  local day = math.floor(time[1] / 86400)
  local key = KEYS[2] .. ":" .. day
  local used = tonumber(redis.call("GET", key) or 0)
  if used + size > most_bytes then
    return {2, left, (day + 1) * 86400 * 1000000 - now}
  end
  redis.call("SET", key, string.format("%.0f", used + size), "EX", 2 * 86400)
end

if even then
  redis.call("SET", KEYS[1], string.format("%.0f", even), "PX", 2000)
end
return {0, left, 0}
