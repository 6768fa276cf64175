-- The operator's word that this master is brand new: it votes at once.
-- KEYS  1 state
-- ARGV  1 run   2 cfg   3 p_base   4 protocol version   5 configuration in words
--       6 skew (microseconds)
-- Reply 1 done | 0 there is a state already | -1 p_base is not within the skew of TIME
local st = redis.call('HMGET', KEYS[1], 'run', 'cfg')
if st[1] or st[2] then return 0 end
local t = redis.call('TIME')
local now = tonumber(t[1] .. string.sub('00000' .. t[2], -6))
if math.abs(tonumber(ARGV[3]) - now) > tonumber(ARGV[6]) then return -1 end
redis.call('HSET', KEYS[1], 'run', ARGV[1], 'cfg', ARGV[2], 'pb', ARGV[3], 'v', ARGV[4],
  'cfgtext', ARGV[5])
return 1
