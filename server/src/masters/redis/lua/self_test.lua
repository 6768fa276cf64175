-- Tries every command that is needed, on keys that are needed, so that a missing permission is
-- found when a replica connects and not in the middle of a script (scripts are not rolled back).
-- KEYS  1 a lock key nobody uses   2 state
-- ARGV  1 a channel nobody listens to
-- Reply: for each command that does not work, which and why
local wrong = {}
local function try(command, ...)
  local result = redis.pcall(command, ...)
  if type(result) == 'table' and result.err then
    wrong[#wrong + 1] = command .. ': ' .. result.err
  end
end
try('TIME')
try('HMGET', KEYS[2], 'run', 'cfg')
try('HSET', KEYS[2], 'self-test', '1')
try('HDEL', KEYS[2], 'self-test')
try('SET', KEYS[1], 'x', 'PX', '1000')
try('SET', KEYS[1], 'x', 'KEEPTTL')
try('GET', KEYS[1])
try('MGET', KEYS[1])
try('EXISTS', KEYS[1])
try('PTTL', KEYS[1])
try('DEL', KEYS[1])
try('PUBLISH', ARGV[1], '')
try('PUBSUB', 'NUMSUB', ARGV[1])
try('SCAN', '0', 'COUNT', '1')
return wrong
