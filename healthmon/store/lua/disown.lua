#!lua flags=allow-oom
-- KEYS 1 owner    ARGV 1 the lease that I hold
-- OUT  OK | LOST lease
-- KEEPS a clean end leaves no lease behind, and takes nobody else's
local held = redis.call('GET', KEYS[1])
if held ~= ARGV[1] then return {'LOST', held or ''} end
redis.call('DEL', KEYS[1])
return {'OK'}
