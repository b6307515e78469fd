#!lua flags=allow-oom
-- KEYS 1 leader 2 generation 3 cursor 4 heartbeats 5 events
-- ARGV 1 msgpack: lease generation era event read ('' = whatever there is)
-- OUT  OK last-id era event-id | MORE | FENCED value | GENERATION stored
-- KEEPS a stream whose ids ran ahead of the clock takes entries at the right time again; marks of the old era stay below
local m = cmsgpack.unpack(ARGV[1])
local generation, held = redis.call('GET', KEYS[2]), redis.call('GET', KEYS[1])
if generation ~= m.generation then return {'GENERATION', generation or ''} end
if held ~= m.lease then return {'FENCED', held or ''} end
local last = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)[1]
if m.read ~= '' and last and last[1] ~= m.read then return {'MORE'} end -- to be folded before it is trimmed
local time = redis.call('TIME')
local now = string.format('%.0f-0', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', KEYS[3], 'era', m.era, 'heartbeats', m.era .. ':' .. now)
local event = redis.call('XADD', KEYS[5], '*', unpack(m.event))
redis.call('XTRIM', KEYS[4], 'MAXLEN', 0)
redis.call('XSETID', KEYS[4], now)
return {'OK', now, m.era, event}
