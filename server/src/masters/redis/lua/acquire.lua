-- Votes for leases, or says why not: for each as if it had come alone, one after the other.
-- Source: docs/protocol.md, "Acquire"; many in one call: docs/adr/0011.
-- KEYS  1 state   2... a lock each, no two of them with one floor field
-- ARGV  1 run   2 cfg   3 lo   4 hi   5 skew (microseconds)
--       6 channel of all who listen   7 how many of them the asker is
--       8... a floor field each, then a channel each, then each: ballot, ttl (ms), record to be
-- Reply {time, each...}: 'OK seen info_ballot listeners' (0 if only the asker listens to anything)
--       | {code, seen, ...}: HELD pttl lock | FOREIGN pttl | STALE | NOTVOTING incident | MISFIT | LATE
--       | AHEAD | error of a refused write
-- Ballots stay strings: Lua prints numbers of 16 digits wrongly. tonumber() is for comparing, and costs:
-- what is compared is called ..._number. One string is cheaper to make and to read than a table.
local call, sub, count = redis.call, string.sub, #KEYS - 1
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = call('HMGET', KEYS[1], 'run', 'cfg', 'q', 'pb', unpack(ARGV, 8, 7 + count))
local t = call('TIME')
local now, now_number = t[1] .. sub('00000' .. t[2], -6), t[1] * 1000000 + t[2]
local locks = call('MGET', unpack(KEYS, 2))
-- nil: not counted yet. false: there is nobody but the asker.
local listeners
local base = st[4] or '0'
local base_number = tonumber(base)

local code, incident
if st[1] ~= ARGV[1] then
  code, incident = 'NOTVOTING', ''
elseif st[2] ~= ARGV[2] then
  code = 'MISFIT'
elseif st[3] then
  code, incident = 'NOTVOTING', st[3]
elseif now_number < tonumber(ARGV[3]) or now_number > tonumber(ARGV[4]) then
  code = 'LATE'
end

local raised = {}

local function vote(i, at)
  local field = ARGV[7 + i]
  local eff = st[4 + i] or '0'
  local floor_number = tonumber(eff)
  local eff_number = floor_number
  if base_number > floor_number then eff, eff_number = base, base_number end
  if code then return {code, eff, incident} end

  local ballot, ttl, record = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local ballot_number, key, lock = tonumber(ballot), KEYS[1 + i], locks[i]
  if ballot_number > now_number + tonumber(ARGV[5]) then return {'AHEAD', eff} end

  local info_ballot, done = ballot, nil
  if lock then
    if sub(lock, 1, 3) ~= 'HF1' or #lock < 128 then return {'FOREIGN', eff, call('PTTL', key)} end
    local old, nonce, first = sub(lock, 68, 83), sub(record, 36, 51), sub(lock, 52, 67)
    -- A lease that was revoked (revoke.lua) is held until it expires, against itself too.
    if sub(lock, 4, 35) ~= sub(record, 4, 35) or first == '9007199254740991' then
      return {'HELD', higher(eff, old), call('PTTL', key), lock}
    end
    if ballot_number < tonumber(old) then return {'STALE', higher(eff, old)} end
    if sub(lock, 36, 51) ~= nonce then nonce = '0000000000000000' end
    local info, old_info_ballot = sub(record, 126), sub(lock, 100, 115)
    if ballot_number <= tonumber(old_info_ballot) then
      info_ballot, info = old_info_ballot, sub(lock, 126)
    end
    -- Expiry never shrinks. What is left is at most the stored figure, so it need not be asked for.
    if tonumber(ttl) < tonumber(sub(lock, 116, 125)) then
      ttl = math.max(tonumber(ttl), call('PTTL', key))
    end
    done = redis.pcall('SET', key, sub(record, 1, 35) .. nonce .. first .. ballot .. ballot
      .. info_ballot .. sub('000000000' .. ttl, -10) .. info, 'PX', ttl)
  elseif ballot_number > eff_number then
    -- MGET sees no value of another type; NX does.
    done = redis.pcall('SET', key, record, 'PX', ttl, 'NX')
  elseif call('EXISTS', key) == 0 then
    return {'STALE', eff}
  end
  if not done then return {'FOREIGN', eff, call('PTTL', key)} end
  if done.err then return done end

  if ballot_number > floor_number then
    raised[#raised + 1] = field
    raised[#raised + 1] = ballot
  end
  if ballot_number > eff_number then eff = ballot end
  if listeners == nil then
    listeners = call('PUBSUB', 'NUMSUB', ARGV[6])[2] > tonumber(ARGV[7])
      and call('PUBSUB', 'NUMSUB', unpack(ARGV, 8 + count, 7 + 2 * count))
  end
  return 'OK ' .. eff .. ' ' .. info_ballot .. ' ' .. (listeners and listeners[2 * i] or '0')
end

local replies = {now}
for i = 1, count do replies[1 + i] = vote(i, 5 + 2 * count + 3 * i) end
if raised[1] then call('HSET', KEYS[1], unpack(raised)) end
return replies
