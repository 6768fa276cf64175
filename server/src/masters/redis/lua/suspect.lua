-- This master's clock stepped: back into quarantine, for every replica.
-- Source: docs/protocol.md, "Clocks".
-- KEYS  1 state
-- ARGV  1 run   2 cfg   3 incident
-- Reply {'OBSERVED', time, p_base, standing, incident or configuration}
local st = redis.call('HMGET', KEYS[1], 'run', 'cfg', 'q', 'pb', 'cfgtext')
local t = redis.call('TIME')
local now = t[1] .. string.sub('00000' .. t[2], -6)
local base = st[4] or '0'
if st[1] ~= ARGV[1] then return {'OBSERVED', now, base, 'QUARANTINED', ''} end
if st[2] ~= ARGV[2] then return {'OBSERVED', now, base, 'MISFIT', st[5] or ''} end
if not st[3] then redis.call('HSET', KEYS[1], 'q', ARGV[3]) end
return {'OBSERVED', now, base, 'QUARANTINED', st[3] or ARGV[3]}
