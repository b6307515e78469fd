#!lua flags=allow-oom
-- KEYS 1 owner
-- ARGV 1 the lease that I hold ('' = none) 2 my name 3 ttl_ms 4 why I refuse restarts ('' = I do not)
--      5 the highest epoch that I know of this component
-- OUT  OWNED lease | HELD lease pttl
-- KEEPS one owner at a time; only the holder of exactly this lease prolongs or changes it; epochs of a component rise
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return {'HELD', held, redis.call('PTTL', KEYS[1])} end
local epoch = held and string.match(held, '^[^|]*|(%d+)')
if not epoch then
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2] -- two owners may follow each other within a millisecond
  epoch = string.format('%.0f', math.max(now, tonumber(ARGV[5]) + 1))
end
local lease = ARGV[2] .. '|' .. epoch
if ARGV[4] ~= '' then lease = lease .. '|' .. ARGV[4] end
redis.call('SET', KEYS[1], lease, 'PX', ARGV[3])
return {'OWNED', lease}
