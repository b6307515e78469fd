#!lua flags=allow-oom
-- KEYS 1 leader 2 generation 3 cursor 4 components, then a hash per item
-- ARGV 1 msgpack: lease generation items (id born heard hash) cursor
-- OUT  OK | FENCED value | GENERATION stored
-- KEEPS totals and their marks move together; a component that was forgotten is not written again
local m = cmsgpack.unpack(ARGV[1])
local generation, held = redis.call('GET', KEYS[2]), redis.call('GET', KEYS[1])
if generation ~= m.generation then return {'GENERATION', generation or ''} end
if held ~= m.lease then return {'FENCED', held or ''} end
for n, item in ipairs(m.items) do
  local hash = KEYS[4 + n]
  if redis.call('TYPE', hash).ok == 'hash' and redis.call('HGET', hash, 'born') == item.born then
    if #item.hash > 0 then redis.call('HSET', hash, unpack(item.hash)) end
    redis.call('ZADD', KEYS[4], item.heard, item.id)
  end
end
if #m.cursor > 0 then redis.call('HSET', KEYS[3], unpack(m.cursor)) end
return {'OK'}
