#!lua flags=allow-oom
-- KEYS 1 generation 2 gone 3 events 4 components 5 counts 6-13 state zsets, then hash, history, silence per item
-- ARGV 1 msgpack: generation items (id born rev epoch total state since heard hash event history silence) states
-- OUT  OK taken | GENERATION stored
-- KEEPS per component the higher (epoch, rev) wins and totals never fall; what is put back is said as `recovered`
local m = cmsgpack.unpack(ARGV[1])
local generation = redis.call('GET', KEYS[1])
if generation ~= m.generation then return {'GENERATION', generation or ''} end
local taken = 0
local function wrong(key, kind) local t = redis.call('TYPE', key).ok return t ~= 'none' and t ~= kind end
for n, item in ipairs(m.items) do
  local hash, history, silence = KEYS[11 + 3 * n], KEYS[12 + 3 * n], KEYS[13 + 3 * n]
  local unusable = wrong(hash, 'hash') or wrong(history, 'stream') -- its commits are refused and told
  local there = unusable and {} or redis.call('HMGET', hash, 'epoch', 'rev', 'total_heartbeats', 'folded', 'born')
  local epoch, rev = tonumber(there[1] or -1), tonumber(there[2] or -1)
  local gone = tonumber(redis.call('ZSCORE', KEYS[2], item.id) or -1)
  if unusable or gone >= item.born then
    -- forgotten meanwhile: it stays so
  elseif item.epoch > epoch or (item.epoch == epoch and item.rev > rev) then
    local event = redis.call('XADD', KEYS[3], '*', unpack(item.event))
    redis.pcall('XADD', history, event, unpack(item.history))
    redis.call('DEL', silence)
    if #item.silence > 0 then
      redis.call('HSET', silence, unpack(item.silence, 2))
      redis.call('PEXPIREAT', silence, item.silence[1])
    end
    redis.call('HSET', hash, unpack(item.hash))
    for i = 6, 13 do if i ~= item.state then redis.call('ZREM', KEYS[i], item.id) end end
    redis.call('ZADD', KEYS[item.state], item.since, item.id)
    redis.call('ZADD', KEYS[4], item.heard, item.id)
    taken = taken + 1
  end
  if there[5] == string.format('%.0f', item.born) and gone < item.born then
    if tonumber(there[3] or 0) > item.total then -- a total and its mark belong together
      redis.call('HSET', hash, 'total_heartbeats', there[3], 'folded', there[4] or '')
    elseif item.total > tonumber(there[3] or 0) then
      redis.call('HSET', hash, unpack(item.busy))
    end
  end
end
for i = 6, 13 do redis.call('HSET', KEYS[5], m.states[i - 5], redis.call('ZCARD', KEYS[i])) end
return {'OK', taken}
