-- Votes for a lease that is there already, or says why not. Source: docs/protocol.md, "Extend".
-- KEYS  1 lock   2 state
-- ARGV  1 run   2 cfg   3 floor field   4 lo   5 hi   6 skew (microseconds)
--       7 lease   8 nonce (zeros: unary)   9 ballot   10 ttl (ms)   11 token
--       12 metadata given ('1')   13 metadata
-- Reply 'OK time seen info_ballot', or {code, time, seen, ...}: LOST first | ABSENT
--       | NOTVOTING incident | MISFIT | LATE | AHEAD
local call, sub = redis.call, string.sub
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = call('HMGET', KEYS[2], 'run', 'cfg', 'q', 'pb', ARGV[3])
local t = call('TIME')
local now, now_number = t[1] .. sub('00000' .. t[2], -6), t[1] * 1000000 + t[2]
local eff = st[5] or '0'
local floor_number = tonumber(eff)
eff = higher(eff, st[4] or '0')
if st[1] ~= ARGV[1] then return {'NOTVOTING', now, eff, ''} end
if st[2] ~= ARGV[2] then return {'MISFIT', now, eff} end
if st[3] then return {'NOTVOTING', now, eff, st[3]} end

local ballot, ballot_number, ttl = ARGV[9], tonumber(ARGV[9]), tonumber(ARGV[10])
if now_number < tonumber(ARGV[4]) or now_number > tonumber(ARGV[5]) then
  return {'LATE', now, eff}
end
if ballot_number > now_number + tonumber(ARGV[6]) then return {'AHEAD', now, eff} end

local lock = redis.pcall('GET', KEYS[1])
if type(lock) == 'table' then
  if sub(lock.err, 1, 9) ~= 'WRONGTYPE' then return lock end
  return {'LOST', now, eff, ''}
end
if not lock then return {'ABSENT', now, eff} end
if sub(lock, 1, 3) ~= 'HF1' or #lock < 128 then return {'LOST', now, eff, ''} end
local old, first = sub(lock, 68, 83), sub(lock, 52, 67)
if sub(lock, 4, 35) ~= ARGV[7] then return {'LOST', now, higher(eff, old), ''} end
if tonumber(first) > tonumber(ARGV[11]) then return {'LOST', now, higher(eff, old), first} end

-- The nonce changes hands once, from a session that came by acquire to one that re-attached
-- (docs/adr/0002); any other foreign touch makes it nobody's.
local nonce = sub(lock, 36, 51)
if nonce ~= ARGV[8] then
  local handover = sub(ARGV[8], 1, 1) == 'r' and sub(nonce, 1, 1) == 'a'
  nonce = handover and ARGV[8] or '0000000000000000'
end
local info, info_ballot = sub(lock, 126), sub(lock, 100, 115)
if ARGV[12] == '1' and ballot_number > tonumber(info_ballot) then
  info = sub(info, 1, 3 + tonumber(sub(info, 1, 3))) .. ARGV[13]
  info_ballot = ballot
end
-- Expiry never shrinks. What is left is at most the stored figure, so it need not be asked for.
if ttl < tonumber(sub(lock, 116, 125)) then
  ttl = math.max(ttl, call('PTTL', KEYS[1]))
end

local old_number = tonumber(old)
local highest = ballot_number > old_number and ballot or old
call('SET', KEYS[1], 'HF1' .. ARGV[7] .. nonce .. first .. highest
  .. higher(sub(lock, 84, 99), ARGV[11]) .. info_ballot
  .. sub('000000000' .. ttl, -10) .. info, 'PX', ttl)
if ballot_number > old_number and ballot_number > floor_number then
  call('HSET', KEYS[2], ARGV[3], ballot)
end
return 'OK ' .. now .. ' ' .. higher(eff, highest) .. ' ' .. info_ballot
