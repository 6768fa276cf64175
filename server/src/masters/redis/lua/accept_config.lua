-- The operator's word that no replica of the old configuration runs and that its leases are over.
-- KEYS  1 state
-- ARGV  1 cfg   2 protocol version   3 configuration in words
-- Reply 1 done | 0 there is no state: nothing to change
if not redis.call('HMGET', KEYS[1], 'run')[1] then return 0 end
redis.call('HSET', KEYS[1], 'cfg', ARGV[1], 'v', ARGV[2], 'cfgtext', ARGV[3])
return 1
