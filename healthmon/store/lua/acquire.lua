#!lua flags=allow-oom
-- KEYS 1 leader 2 epoch 3 generation 4 events 5 cursor
-- ARGV 1 replica 2 incarnation 3 ttl_ms 4 floor 5 known generation ('' = none) 6 lease value seen dead ('' = none)
--      7 alive channel root 8 hot channel 9 a new generation 10 may found (1/0) 11 reason 12 now, RFC 3339
--      13 era of my marks
-- OUT  LEADER epoch event-id generation founded era | HELD value pttl | GENERATION stored | WAIT
-- KEEPS one holder; epochs never repeat, also when the key was lost (floor); a living holder is never robbed
local function subscribers(channel) return redis.call('PUBSUB', 'SHARDNUMSUB', channel)[2] end
local generation, founded = redis.call('GET', KEYS[3]), 0
if not generation then
  if ARGV[10] == '0' and subscribers(ARGV[8]) > 0 then return {'WAIT'} end
elseif ARGV[5] ~= '' and generation ~= ARGV[5] then
  return {'GENERATION', generation}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('GET', KEYS[1])
local stolen = 0
if held then
  local holder = string.match(held, '^(.*)|%d+$') or ''
  local before = tonumber(redis.call('HGET', KEYS[5], 'stolen_ms') or 0)
  if held ~= ARGV[6] or subscribers(ARGV[7] .. holder) > 0 or subscribers(ARGV[7] .. ARGV[1] .. '|' .. ARGV[2]) == 0
    or now - before < tonumber(ARGV[3]) then
    return {'HELD', held, redis.call('PTTL', KEYS[1])}
  end
  stolen = now
end
if not generation then
  generation, founded = ARGV[9], 1
  redis.call('SET', KEYS[3], generation)
  redis.call('HSET', KEYS[5], 'era', math.max(tonumber(redis.call('HGET', KEYS[5], 'era') or 0), tonumber(ARGV[13])))
end
local epoch = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, now, tonumber(ARGV[4]) + 1)
local text = string.format('%.0f', epoch)
local event = redis.call('XADD', KEYS[4], '*', 'type', 'leader', 'replica', ARGV[1], 'epoch', text,
  'reason', ARGV[11], 'at', ARGV[12], 'set', cjson.encode({generation = generation, incarnation = ARGV[2]}))
redis.call('SET', KEYS[2], text)
if stolen > 0 then redis.call('HSET', KEYS[5], 'stolen_ms', string.format('%.0f', stolen)) end
redis.call('SET', KEYS[1], ARGV[1] .. '|' .. ARGV[2] .. '|' .. text, 'PX', ARGV[3])
return {'LEADER', text, event, generation, founded, redis.call('HGET', KEYS[5], 'era') or '0'}
