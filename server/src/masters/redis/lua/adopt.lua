-- Ends the quarantine of exactly this incident. Source: docs/protocol.md, "Quarantine and adoption".
-- KEYS  1 state
-- ARGV  1 run   2 cfg   3 incident   4 p_base   5 skew (microseconds)
-- Reply {'OBSERVED', time, p_base, standing, incident or configuration} | {'AHEAD', time, p_base}
local st = redis.call('HMGET', KEYS[1], 'run', 'cfg', 'q', 'pb', 'cfgtext')
local t = redis.call('TIME')
local now = t[1] .. string.sub('00000' .. t[2], -6)
local base = st[4] or '0'
if st[1] ~= ARGV[1] then return {'OBSERVED', now, base, 'QUARANTINED', ''} end
if st[2] ~= ARGV[2] then return {'OBSERVED', now, base, 'MISFIT', st[5] or ''} end
if not st[3] then return {'OBSERVED', now, base, 'VOTING', ''} end
if st[3] ~= ARGV[3] then return {'OBSERVED', now, base, 'QUARANTINED', st[3]} end
if tonumber(ARGV[4]) > tonumber(now) + tonumber(ARGV[5]) then return {'AHEAD', now, base} end
if tonumber(ARGV[4]) > tonumber(base) then base = ARGV[4] end
redis.call('HSET', KEYS[1], 'pb', base)
redis.call('HDEL', KEYS[1], 'q')
return {'OBSERVED', now, base, 'VOTING', ''}
