#!lua flags=allow-oom
-- KEYS 1 leader    ARGV 1 my lease value 2 ttl_ms 3 my alive channel
-- OUT  OK subscribers of my alive channel | LOST value
-- KEEPS only the holder of exactly this lease prolongs it
local held = redis.call('GET', KEYS[1])
if held ~= ARGV[1] then return {'LOST', held or ''} end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'OK', redis.call('PUBSUB', 'SHARDNUMSUB', ARGV[3])[2]}
