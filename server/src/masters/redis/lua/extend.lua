-- Votes for a lease that is there already, or says why not. Source: docs/protocol.md, "Extend".
-- KEYS  1 lock   2 state
-- ARGV  1 run   2 cfg   3 floor field   4 lo   5 hi   6 skew (microseconds)
--       7 lease   8 nonce (zeros: unary)   9 ballot   10 ttl (ms)   11 token
--       12 metadata given ('1')   13 metadata
-- Reply {code, time, seen, ...}: OK info_ballot | LOST first | ABSENT
--       | NOTVOTING incident | MISFIT | LATE | AHEAD
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = redis.call('HMGET', KEYS[2], 'run', 'cfg', 'q', 'pb', ARGV[3])
local t = redis.call('TIME')
local now = t[1] .. string.sub('00000' .. t[2], -6)
local floor = st[5] or '0'
local eff = higher(floor, st[4] or '0')
if st[1] ~= ARGV[1] then return {'NOTVOTING', now, eff, ''} end
if st[2] ~= ARGV[2] then return {'MISFIT', now, eff} end
if st[3] then return {'NOTVOTING', now, eff, st[3]} end

local ballot, ttl = ARGV[9], tonumber(ARGV[10])
if tonumber(now) < tonumber(ARGV[4]) or tonumber(now) > tonumber(ARGV[5]) then
  return {'LATE', now, eff}
end
if tonumber(ballot) > tonumber(now) + tonumber(ARGV[6]) then return {'AHEAD', now, eff} end

local lock = redis.pcall('GET', KEYS[1])
if type(lock) == 'table' then
  if string.sub(lock.err, 1, 9) ~= 'WRONGTYPE' then return lock end
  return {'LOST', now, eff, ''}
end
if not lock then return {'ABSENT', now, eff} end
if string.sub(lock, 1, 3) ~= 'HF1' or #lock < 128 then return {'LOST', now, eff, ''} end
local old, first = string.sub(lock, 68, 83), string.sub(lock, 52, 67)
if string.sub(lock, 4, 35) ~= ARGV[7] then return {'LOST', now, higher(eff, old), ''} end
if tonumber(first) > tonumber(ARGV[11]) then return {'LOST', now, higher(eff, old), first} end

-- The nonce changes hands once, from a session that came by acquire to one that re-attached
-- (docs/adr/0002); any other foreign touch makes it nobody's.
local nonce = string.sub(lock, 36, 51)
if nonce ~= ARGV[8] then
  local handover = string.sub(ARGV[8], 1, 1) == 'r' and string.sub(nonce, 1, 1) == 'a'
  nonce = handover and ARGV[8] or '0000000000000000'
end
local info, info_ballot = string.sub(lock, 126), string.sub(lock, 100, 115)
if ARGV[12] == '1' and tonumber(ballot) > tonumber(info_ballot) then
  info = string.sub(info, 1, 3 + tonumber(string.sub(info, 1, 3))) .. ARGV[13]
  info_ballot = ballot
end
-- Expiry never shrinks. What is left is at most the stored figure, so it need not be asked for.
if ttl < tonumber(string.sub(lock, 116, 125)) then
  ttl = math.max(ttl, redis.call('PTTL', KEYS[1]))
end

local highest = higher(ballot, old)
redis.call('SET', KEYS[1], 'HF1' .. ARGV[7] .. nonce .. first .. highest
  .. higher(string.sub(lock, 84, 99), ARGV[11]) .. info_ballot
  .. string.format('%010d', ttl) .. info, 'PX', ttl)
if tonumber(ballot) > tonumber(old) and tonumber(ballot) > tonumber(floor) then
  redis.call('HSET', KEYS[2], ARGV[3], ballot)
end
return {'OK', now, higher(eff, highest), info_ballot}
