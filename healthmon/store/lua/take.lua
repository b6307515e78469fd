#!lua flags=allow-oom
-- KEYS 1 component hash 2 control
-- ARGV 1 id 2 rev 3 epoch 4 not_after_ms 5 name of the taker 6 token of this taking 7 born, of the component
-- OUT  OK policy restart_deadline now_ms | REFUSED why
-- KEEPS a claimed restart is executed once at most: by the first who takes it in time, while it is still wanted
--       (an order of an earlier leader stays good: a restart outlives the leader that claimed it)
local function kind(key) return redis.call('TYPE', key).ok end
if kind(KEYS[1]) ~= 'hash' then return {'REFUSED', 'no such component is stored'} end
local control = kind(KEYS[2])
if control ~= 'stream' and control ~= 'none' then return {'REFUSED', 'the control stream has a wrong type'} end
local is = redis.call('HMGET', KEYS[1], 'state', 'restart_rev', 'epoch', 'restart_taken', 'restart_token', 'policy',
  'restart_deadline', 'born')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ok = {'OK', is[6] or '', is[7] or '', string.format('%.0f', now)}
if is[1] ~= 'restarting' then return {'REFUSED', 'it is ' .. (is[1] or 'in no state') .. ' by now'} end
if is[2] ~= ARGV[2] or (ARGV[7] ~= '' and is[8] ~= ARGV[7]) then return {'REFUSED', 'another restart of it was claimed since'} end
if tonumber(is[3] or 0) < tonumber(ARGV[3]) then return {'REFUSED', 'this data does not hold its claim'} end
if (is[4] or '') ~= '' then -- the same taking asks again when the answer was lost on the way
  if is[4] == ARGV[5] and is[5] == ARGV[6] then return ok end
  return {'REFUSED', 'it was taken by ' .. is[4]}
end
if now >= tonumber(ARGV[4]) then
  return {'REFUSED', string.format('it came %.1f s too late', (now - tonumber(ARGV[4])) / 1000)}
end
redis.call('XADD', KEYS[2], '*', 'cmd', 'report', 'kind', 'restart', 'id', ARGV[1], 'rev', ARGV[2], 'taken', ARGV[5])
redis.call('HSET', KEYS[1], 'restart_taken', ARGV[5], 'restart_token', ARGV[6])
return ok
