-- Brings a lease that a quorum has just voted for to a master that did not.
-- Source: docs/protocol.md, "Proof-repair".
-- KEYS  1 lock   2 state
-- ARGV  1 run   2 cfg   3 floor field   4 lo   5 hi   6 skew (microseconds)
--       7 lease   8 nonce   9 proven ballot   10 ttl (ms)   11 token   12 info ballot   13 info
-- Reply {code, time, seen, ...}: REPAIRED | REFUSED | NOTVOTING incident | MISFIT | LATE | AHEAD
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = redis.call('HMGET', KEYS[2], 'run', 'cfg', 'q', 'pb', ARGV[3])
local t = redis.call('TIME')
local now = t[1] .. string.sub('00000' .. t[2], -6)
local floor = st[5] or '0'
local eff = higher(floor, st[4] or '0')
-- Never in quarantine: a repair planted there would be counted after the adoption.
if st[1] ~= ARGV[1] then return {'NOTVOTING', now, eff, ''} end
if st[2] ~= ARGV[2] then return {'MISFIT', now, eff} end
if st[3] then return {'NOTVOTING', now, eff, st[3]} end

local ballot, ttl, token = ARGV[9], tonumber(ARGV[10]), ARGV[11]
if tonumber(now) < tonumber(ARGV[4]) or tonumber(now) > tonumber(ARGV[5]) then
  return {'LATE', now, eff}
end
if tonumber(ballot) > tonumber(now) + tonumber(ARGV[6]) then return {'AHEAD', now, eff} end

local lock = redis.pcall('GET', KEYS[1])
if type(lock) == 'table' then
  if string.sub(lock.err, 1, 9) ~= 'WRONGTYPE' then return lock end
  return {'REFUSED', now, eff}
end

local nonce, first, info_ballot, info = ARGV[8], token, ARGV[12], ARGV[13]
local highest, tok = ballot, token
if lock then
  if string.sub(lock, 1, 3) ~= 'HF1' or #lock < 128 then return {'REFUSED', now, eff} end
  local old = string.sub(lock, 68, 83)
  if string.sub(lock, 4, 35) == ARGV[7] then
    first = string.sub(lock, 52, 67)
    if tonumber(first) > tonumber(token) then return {'REFUSED', now, higher(eff, old)} end
    local was = string.sub(lock, 36, 51)
    if was ~= nonce then
      local handover = string.sub(nonce, 1, 1) == 'r' and string.sub(was, 1, 1) == 'a'
      nonce = handover and nonce or '0000000000000000'
    end
    highest, tok = higher(ballot, old), higher(string.sub(lock, 84, 99), token)
    local old_info_ballot = string.sub(lock, 100, 115)
    if tonumber(info_ballot) <= tonumber(old_info_ballot) then
      info_ballot, info = old_info_ballot, string.sub(lock, 126)
    end
    if ttl < tonumber(string.sub(lock, 116, 125)) then
      ttl = math.max(ttl, redis.call('PTTL', KEYS[1]))
    end
  else
    -- Overwrites a contender that provably cannot win, and nobody else.
    if tonumber(old) >= tonumber(ballot) or tonumber(eff) >= tonumber(ballot) then
      return {'REFUSED', now, higher(eff, old)}
    end
  end
elseif tonumber(eff) >= tonumber(ballot) then
  return {'REFUSED', now, eff}
end

redis.call('SET', KEYS[1], 'HF1' .. ARGV[7] .. nonce .. first .. highest .. tok .. info_ballot
  .. string.format('%010d', ttl) .. info, 'PX', ttl)
if highest == ballot and tonumber(ballot) > tonumber(floor) then
  redis.call('HSET', KEYS[2], ARGV[3], ballot)
end
return {'REPAIRED', now, higher(eff, highest)}
