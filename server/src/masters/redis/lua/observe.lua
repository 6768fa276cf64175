-- May this process vote? If nobody has asked since it started or lost its memory: not yet, and this
-- is the incident. Source: docs/protocol.md, "Quarantine and adoption".
-- KEYS  1 state
-- ARGV  1 run   2 cfg   3 incident   4 protocol version   5 configuration in words
-- Reply {'OBSERVED', time, p_base, standing, incident or configuration}
local st = redis.call('HMGET', KEYS[1], 'run', 'cfg', 'q', 'pb', 'cfgtext')
local t = redis.call('TIME')
local now = t[1] .. string.sub('00000' .. t[2], -6)
local base = st[4] or '0'
if st[2] and st[2] ~= ARGV[2] then return {'OBSERVED', now, base, 'MISFIT', st[5] or ''} end
if st[1] == ARGV[1] then
  if st[3] then return {'OBSERVED', now, base, 'QUARANTINED', st[3]} end
  return {'OBSERVED', now, base, 'VOTING', ''}
end
-- The first observer wins; the base and the floors stay.
redis.call('HSET', KEYS[1], 'run', ARGV[1], 'q', ARGV[3], 'cfg', ARGV[2], 'v', ARGV[4],
  'cfgtext', ARGV[5])
return {'OBSERVED', now, base, 'QUARANTINED', ARGV[3]}
