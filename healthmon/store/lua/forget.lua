#!lua flags=allow-oom
-- KEYS 1 leader 2 generation 3 events 4 gone 5 components 6 counts 7-14 state zsets 15 hash 16 history 17 silence
-- ARGV 1 msgpack: lease generation id born gone_ms kept_ms event alert states channel
-- OUT  OK event-id | GONE | FENCED value | GENERATION stored
-- KEEPS nothing of the component is left but its tombstone and its event; a repeat adds nothing
local m = cmsgpack.unpack(ARGV[1])
local generation, held = redis.call('GET', KEYS[2]), redis.call('GET', KEYS[1])
if generation ~= m.generation then return {'GENERATION', generation or ''} end
if held ~= m.lease then return {'FENCED', held or ''} end
local kind = redis.call('TYPE', KEYS[15]).ok
if kind == 'none' or (kind == 'hash' and redis.call('HGET', KEYS[15], 'born') ~= m.born) then return {'GONE'} end
redis.call('ZADD', KEYS[4], m.gone_ms, m.id)
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', '(' .. m.kept_ms)
local event = redis.call('XADD', KEYS[3], '*', unpack(m.event))
redis.call('DEL', KEYS[15], KEYS[16], KEYS[17])
redis.call('ZREM', KEYS[5], m.id)
for i = 7, 14 do
  redis.call('ZREM', KEYS[i], m.id)
  redis.call('HSET', KEYS[6], m.states[i - 6], redis.call('ZCARD', KEYS[i]))
end
if m.alert ~= '' and m.channel ~= '' then
  redis.pcall('PUBLISH', m.channel, string.sub(m.alert, 1, -3) .. ',"stream_id":"' .. event .. '"}}')
end
return {'OK', event}
