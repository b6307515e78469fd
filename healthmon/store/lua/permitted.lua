#!lua flags=allow-oom,no-writes
-- KEYS every key that the commands touch    ARGV 1 msgpack: a list of commands, each a list of words
-- OUT  the commands that this user may not run, each as one line
-- KEEPS nothing is run: what is denied is known before it is needed, not in the middle of a commit
local denied = {}
for _, command in ipairs(cmsgpack.unpack(ARGV[1])) do
  if not redis.acl_check_cmd(unpack(command)) then denied[#denied + 1] = table.concat(command, ' ', 1, math.min(3, #command)) end
end
return denied
