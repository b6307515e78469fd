#!lua flags=allow-oom
-- KEYS 1 leader    ARGV 1 my lease value 2 hint channel
-- OUT  OK | LOST value
-- KEEPS a clean stop leaves no lease behind, and takes nobody else's
local held = redis.call('GET', KEYS[1])
if held ~= ARGV[1] then return {'LOST', held or ''} end
redis.call('DEL', KEYS[1])
redis.pcall('SPUBLISH', ARGV[2], 'released')
return {'OK'}
