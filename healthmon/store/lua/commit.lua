#!lua flags=allow-oom
-- KEYS 1 leader 2 generation 3 cursor 4 guard 5 events 6 rejected 7 control 8 heartbeats 9 restarts 10 blind
--      11 components 12 counts 13-20 state zsets as in keys.STATES, then a hash and a history per change, then silences
-- ARGV 1 msgpack: lease generation commit changes rejected counted blind guard cursor trims capped budget channel
-- OUT  OK outcome (event-id, then id,why of each refused) | FENCED value | GENERATION stored | WRONGTYPE key
-- KEEPS a deposed leader writes nothing; state, history, indexes and event move together; a repeat adds nothing
local m = cmsgpack.unpack(ARGV[1])
local generation, held = redis.call('GET', KEYS[2]), redis.call('GET', KEYS[1])
if generation ~= m.generation then return {'GENERATION', generation or ''} end
local function wrong(key, kind) local t = redis.call('TYPE', key).ok return t ~= 'none' and t ~= kind end
if wrong(KEYS[3], 'hash') then return {'WRONGTYPE', KEYS[3]} end
local was = redis.call('HMGET', KEYS[3], 'commit', 'outcome', 'pending', 'pending_from')
if was[1] == m.commit then return {'OK', was[2]} end
if held ~= m.lease then return {'FENCED', held or ''} end
for i = 4, 20 do
  local kind = (i == 4 or i == 12) and 'hash' or (i <= 10 and 'stream' or 'zset')
  if wrong(KEYS[i], kind) then return {'WRONGTYPE', KEYS[i]} end
end
local last = (redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)[1] or {'0-0'})[1]
local there, refused, told = {}, {}, {}
if was[3] == m.commit then -- an earlier try of this commit broke off: what it appended is not appended again
  for _, entry in ipairs(redis.call('XRANGE', KEYS[5], '(' .. was[4], '+')) do
    local e = {} for i = 1, #entry[2], 2 do e[entry[2][i]] = entry[2][i + 1] end
    there[(e.id or '') .. '/' .. (e.born or '') .. '/' .. (e.rev or e.guard or '')] = entry[1]
  end
elseif #m.changes + #m.guard > 0 then redis.call('HSET', KEYS[3], 'pending', m.commit, 'pending_from', last) end
local function append(event, name, alert)
  last = there[name] or redis.call('XADD', KEYS[5], '*', unpack(event))
  if alert ~= '' then told[#told + 1] = string.sub(alert, 1, -3) .. ',"stream_id":"' .. last .. '"}}' end
end
local function silence(key, until_ms, ...) -- said anew, or no more; it ends by itself
  if key then redis.call('DEL', KEYS[key]) end
  if until_ms then redis.call('HSET', KEYS[key], ...) redis.call('PEXPIREAT', KEYS[key], until_ms) end
end
for n, c in ipairs(m.changes) do
  local hash, history = KEYS[19 + 2 * n], KEYS[20 + 2 * n]
  if wrong(hash, 'hash') or wrong(history, 'stream') then
    refused[#refused + 1] = {c.id, 'WRONGTYPE'}
  else
    local now = redis.call('HMGET', hash, 'born', 'rev', 'state')
    local as_left = (now[1] or '') == c.born and (now[2] or '0') == c.rev and (now[3] or '') == c.from
    local written = was[3] == m.commit and now[1] == c.after[1] and now[2] == c.after[2]
    local spent = c.budgeted and not written and (redis.call('ZCARD', KEYS[19]) >= m.budget[1]
      or #redis.call('XRANGE', KEYS[9], m.budget[3], '+', 'COUNT', m.budget[2]) >= m.budget[2])
    if spent or (not as_left and not written) then
      refused[#refused + 1] = {c.id, as_left and 'BUDGET' or 'CONFLICT'}
    else
      for i, event in ipairs(c.events) do
        append(event, c.names[i], c.alerts[i])
        if #c.history[i] > 0 then -- under the event's id, which is refused where an earlier try wrote it
          redis.pcall('XADD', history, 'MAXLEN', '~', m.capped[1], last, unpack(c.history[i]))
        end
      end
      if #c.restart > 0 then redis.pcall('XADD', KEYS[9], last, unpack(c.restart)) end -- under the event's id too
      silence(unpack(c.silence))
      redis.call('HSET', hash, unpack(c.hash))
      for i = 13, 20 do if i ~= c.state then redis.call('ZREM', KEYS[i], c.id) end end
      redis.call('ZADD', KEYS[c.state], c.since, c.id) redis.call('ZADD', KEYS[11], c.heard, c.id)
    end
  end
end
for _, g in ipairs(m.guard) do append(g.event, g.name, g.alert) redis.call('HSET', KEYS[4], unpack(g.fields)) end
for i = 13, #m.changes > 0 and 20 or 0 do redis.call('HSET', KEYS[12], m.states[i - 12], redis.call('ZCARD', KEYS[i])) end
for _, entry in ipairs(m.rejected) do redis.call('XADD', KEYS[6], 'MAXLEN', '~', m.capped[2], '*', unpack(entry)) end
for reason, count in pairs(m.counted) do redis.call('HINCRBY', KEYS[4], 'rejected:' .. reason, count) end
for _, s in ipairs(m.blind) do redis.call('XADD', KEYS[10], '*', 'from_ms', s[1], 'to_ms', s[2]) end
for i, minid in pairs(m.trims) do redis.call('XTRIM', KEYS[tonumber(i)], 'MINID', '~', minid) end
local outcome = last
for _, r in ipairs(refused) do outcome = outcome .. ' ' .. r[1] .. ',' .. r[2] end
local applied = #refused == 0 and m.cursor or {}
for _, part in ipairs({'commit', m.commit, 'outcome', outcome}) do applied[#applied + 1] = part end
redis.call('HSET', KEYS[3], unpack(applied)) -- at once: a repeat of what was applied moves no cursor
for _, alert in ipairs(m.channel ~= '' and told or {}) do redis.pcall('PUBLISH', m.channel, alert) end
return {'OK', outcome}
