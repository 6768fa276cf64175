-- Votes for a lease, or says why not. Source: docs/protocol.md, "Acquire".
-- KEYS  1 lock   2 state
-- ARGV  1 run   2 cfg   3 floor field   4 lo   5 hi   6 skew (microseconds)
--       7 lease   8 nonce   9 ballot   10 ttl (ms)   11 info   12 channel
-- Reply {code, time, seen, ...}: OK info_ballot listeners | HELD pttl lock | FOREIGN pttl | STALE
--       | NOTVOTING incident | MISFIT | LATE | AHEAD
-- Ballots stay strings: Lua prints numbers of 16 digits wrongly. tonumber() is for comparing.
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
  return {'FOREIGN', now, eff, redis.call('PTTL', KEYS[1])}
end

local nonce, first, info, info_ballot = ARGV[8], ballot, ARGV[11], ballot
if lock then
  if string.sub(lock, 1, 3) ~= 'HF1' or #lock < 128 then
    return {'FOREIGN', now, eff, redis.call('PTTL', KEYS[1])}
  end
  local old = string.sub(lock, 68, 83)
  first = string.sub(lock, 52, 67)
  -- A lease that was revoked (revoke.lua) is held until it expires, against itself too.
  if string.sub(lock, 4, 35) ~= ARGV[7] or first == '9007199254740991' then
    return {'HELD', now, higher(eff, old), redis.call('PTTL', KEYS[1]), lock}
  end
  if tonumber(ballot) < tonumber(old) then return {'STALE', now, higher(eff, old)} end
  if string.sub(lock, 36, 51) ~= nonce then nonce = '0000000000000000' end
  local old_info_ballot = string.sub(lock, 100, 115)
  if tonumber(ballot) <= tonumber(old_info_ballot) then
    info_ballot, info = old_info_ballot, string.sub(lock, 126)
  end
  -- Expiry never shrinks. What is left is at most the stored figure, so it need not be asked for.
  if ttl < tonumber(string.sub(lock, 116, 125)) then
    ttl = math.max(ttl, redis.call('PTTL', KEYS[1]))
  end
elseif tonumber(ballot) <= tonumber(eff) then
  return {'STALE', now, eff}
end

redis.call('SET', KEYS[1], 'HF1' .. ARGV[7] .. nonce .. first .. ballot .. ballot .. info_ballot
  .. string.format('%010d', ttl) .. info, 'PX', ttl)
if tonumber(ballot) > tonumber(floor) then redis.call('HSET', KEYS[2], ARGV[3], ballot) end
local listeners = redis.call('PUBSUB', 'NUMSUB', ARGV[12])[2]
return {'OK', now, higher(eff, ballot), info_ballot, listeners}
