-- Shows a resource, and whether this master may vote. Writes nothing.
-- KEYS  1 lock   2 state
-- ARGV  1 run   2 cfg   3 floor field
-- Reply {'READ', time, seen, standing, incident or configuration, pttl, lock}
--       standing: VOTING | QUARANTINED | MISFIT; pttl -2: nothing there; lock '': not ours
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = redis.call('HMGET', KEYS[2], 'run', 'cfg', 'q', 'pb', ARGV[3], 'cfgtext')
local t = redis.call('TIME')
local now = t[1] .. string.sub('00000' .. t[2], -6)
local seen = higher(st[5] or '0', st[4] or '0')
local standing, detail = 'VOTING', ''
if st[1] ~= ARGV[1] then
  standing = 'QUARANTINED'
elseif st[2] ~= ARGV[2] then
  standing, detail = 'MISFIT', st[6] or ''
elseif st[3] then
  standing, detail = 'QUARANTINED', st[3]
end

local lock = redis.pcall('GET', KEYS[1])
if not lock then return {'READ', now, seen, standing, detail, -2, ''} end
local pttl = redis.call('PTTL', KEYS[1])
if type(lock) == 'table' or string.sub(lock, 1, 3) ~= 'HF1' or #lock < 128 then
  return {'READ', now, seen, standing, detail, pttl, ''}
end
return {'READ', now, higher(seen, string.sub(lock, 68, 83)), standing, detail, pttl, lock}
