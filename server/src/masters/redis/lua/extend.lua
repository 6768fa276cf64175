-- Votes for leases that are there already, or says why not: for each as if it had come alone, one
-- after the other. Source: docs/protocol.md, "Extend"; many in one call: docs/adr/0011.
-- KEYS  1 state   2... a lock each, no two of them with one floor field
-- ARGV  1 run   2 cfg   3 lo   4 hi   5 skew (microseconds)
--       6... a floor field each, then each: lease, nonce (zeros: unary), ballot, ttl (ms), token,
--       '=' and new metadata (empty: they stay)
-- Reply {time, each...}: 'OK seen info_ballot' | {code, seen, ...}: LOST first | ABSENT
--       | NOTVOTING incident | MISFIT | LATE | AHEAD | error of a refused write
local call, sub, count = redis.call, string.sub, #KEYS - 1
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = call('HMGET', KEYS[1], 'run', 'cfg', 'q', 'pb', unpack(ARGV, 6, 5 + count))
local t = call('TIME')
local now, now_number = t[1] .. sub('00000' .. t[2], -6), t[1] * 1000000 + t[2]
local locks = call('MGET', unpack(KEYS, 2))
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
  local field = ARGV[5 + i]
  local eff = st[4 + i] or '0'
  local floor_number = tonumber(eff)
  local eff_number = floor_number
  if base_number > floor_number then eff, eff_number = base, base_number end
  if code then return {code, eff, incident} end

  local ballot, ttl, token = ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local ballot_number, key, lock = tonumber(ballot), KEYS[1 + i], locks[i]
  if ballot_number > now_number + tonumber(ARGV[5]) then return {'AHEAD', eff} end

  if not lock then
    -- MGET sees no value of another type.
    if call('EXISTS', key) == 1 then return {'LOST', eff, ''} end
    return {'ABSENT', eff}
  end
  if sub(lock, 1, 3) ~= 'HF1' or #lock < 128 then return {'LOST', eff, ''} end
  local old, first = sub(lock, 68, 83), sub(lock, 52, 67)
  if sub(lock, 4, 35) ~= ARGV[at] then return {'LOST', higher(eff, old), ''} end
  local newest = sub(lock, 84, 99)
  if first ~= token and tonumber(first) > tonumber(token) then
    return {'LOST', higher(eff, old), first}
  end

  -- The nonce changes hands once, from a session that came by acquire to one that re-attached
  -- (docs/adr/0002); any other foreign touch makes it nobody's.
  local nonce, own = sub(lock, 36, 51), ARGV[at + 1]
  if nonce ~= own then
    local handover = sub(own, 1, 1) == 'r' and sub(nonce, 1, 1) == 'a'
    nonce = handover and own or '0000000000000000'
  end
  local info, info_ballot, metadata = sub(lock, 126), sub(lock, 100, 115), ARGV[at + 5]
  if metadata ~= '' and ballot_number > tonumber(info_ballot) then
    info = sub(info, 1, 3 + tonumber(sub(info, 1, 3))) .. sub(metadata, 2)
    info_ballot = ballot
  end
  -- Expiry never shrinks. What is left is at most the stored figure, so it need not be asked for.
  local padded, stored = sub('000000000' .. ttl, -10), sub(lock, 116, 125)
  if padded ~= stored and tonumber(ttl) < tonumber(stored) then
    ttl = math.max(tonumber(ttl), call('PTTL', key))
    padded = sub('000000000' .. ttl, -10)
  end

  -- Mostly the last one that touched the bucket was this lock's.
  local old_number = old == st[4 + i] and floor_number or tonumber(old)
  local highest, highest_number = old, old_number
  if ballot_number > old_number then highest, highest_number = ballot, ballot_number end
  local done = redis.pcall('SET', key, sub(lock, 1, 35) .. nonce .. first .. highest
    .. (newest == token and token or higher(newest, token)) .. info_ballot .. padded .. info,
    'PX', ttl)
  if done.err then return done end

  if ballot_number > old_number and ballot_number > floor_number then
    raised[#raised + 1] = field
    raised[#raised + 1] = ballot
  end
  if highest_number > eff_number then eff = highest end
  return 'OK ' .. eff .. ' ' .. info_ballot
end

local replies = {now}
for i = 1, count do replies[1 + i] = vote(i, count + 6 * i) end
if raised[1] then call('HSET', KEYS[1], unpack(raised)) end
return replies
