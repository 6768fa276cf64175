-- Votes for a lease, or says why not. Source: docs/protocol.md, "Acquire".
-- KEYS  1 lock   2 state
-- ARGV  1 run   2 cfg   3 floor field   4 lo   5 hi   6 skew (microseconds)
--       7 lease   8 nonce   9 ballot   10 ttl (ms)   11 info   12 channel
-- Reply 'OK time seen info_ballot listeners', or {code, time, seen, ...}: HELD pttl lock | FOREIGN pttl
--       | STALE | NOTVOTING incident | MISFIT | LATE | AHEAD
-- Ballots stay strings: Lua prints numbers of 16 digits wrongly. tonumber() is for comparing, and costs:
-- what is compared is called ..._number. One string is cheaper to make and to read than a table.
local call, sub = redis.call, string.sub
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = call('HMGET', KEYS[2], 'run', 'cfg', 'q', 'pb', ARGV[3])
local t = call('TIME')
local now, now_number = t[1] .. sub('00000' .. t[2], -6), t[1] * 1000000 + t[2]
local eff = st[5] or '0'
local floor_number, eff_number = tonumber(eff), tonumber(st[4] or '0')
if eff_number > floor_number then eff = st[4] else eff_number = floor_number end
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
  return {'FOREIGN', now, eff, call('PTTL', KEYS[1])}
end

local nonce, first, info, info_ballot = ARGV[8], ballot, ARGV[11], ballot
if lock then
  if sub(lock, 1, 3) ~= 'HF1' or #lock < 128 then
    return {'FOREIGN', now, eff, call('PTTL', KEYS[1])}
  end
  local old = sub(lock, 68, 83)
  first = sub(lock, 52, 67)
  -- A lease that was revoked (revoke.lua) is held until it expires, against itself too.
  if sub(lock, 4, 35) ~= ARGV[7] or first == '9007199254740991' then
    return {'HELD', now, higher(eff, old), call('PTTL', KEYS[1]), lock}
  end
  if ballot_number < tonumber(old) then return {'STALE', now, higher(eff, old)} end
  if sub(lock, 36, 51) ~= nonce then nonce = '0000000000000000' end
  local old_info_ballot = sub(lock, 100, 115)
  if ballot_number <= tonumber(old_info_ballot) then
    info_ballot, info = old_info_ballot, sub(lock, 126)
  end
  -- Expiry never shrinks. What is left is at most the stored figure, so it need not be asked for.
  if ttl < tonumber(sub(lock, 116, 125)) then ttl = math.max(ttl, call('PTTL', KEYS[1])) end
elseif ballot_number <= eff_number then
  return {'STALE', now, eff}
end

call('SET', KEYS[1], 'HF1' .. ARGV[7] .. nonce .. first .. ballot .. ballot .. info_ballot
  .. sub('000000000' .. ttl, -10) .. info, 'PX', ttl)
if ballot_number > floor_number then call('HSET', KEYS[2], ARGV[3], ballot) end
if ballot_number > eff_number then eff = ballot end
local listeners = call('PUBSUB', 'NUMSUB', ARGV[12])[2]
return 'OK ' .. now .. ' ' .. eff .. ' ' .. info_ballot .. ' ' .. listeners
