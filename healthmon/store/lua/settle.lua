#!lua flags=allow-oom
-- KEYS 1 leader 2 events 3 alerts firing 4 alerts dead
-- ARGV 1 my lease value 2 group 3 packed {done: event ids, set: [incident, record, ...], over: incidents,
--      dead: [[field, value, ...], ...]} 4 dead letters kept
-- OUT  OK | LOST value
-- KEEPS an event is acknowledged together with what is known of its delivery, and by the leader alone
local held = redis.call('GET', KEYS[1])
if held ~= ARGV[1] then return {'LOST', held or ''} end
local m = cmsgpack.unpack(ARGV[3])
for i = 1, #m.set, 2 do redis.call('HSET', KEYS[3], m.set[i], m.set[i + 1]) end
for _, incident in ipairs(m.over) do redis.call('HDEL', KEYS[3], incident) end
for _, letter in ipairs(m.dead) do
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[4], '*', unpack(letter))
end
for _, id in ipairs(m.done) do redis.call('XACK', KEYS[2], ARGV[2], id) end
return {'OK'}
