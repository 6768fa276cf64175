-- Gives leases back: deletes each unless it has been granted anew since the token, and says so.
-- Source: docs/protocol.md, "Release"; many in one call: docs/adr/0011.
-- KEYS  1 state   2... a lock each, no two of them with one floor field
-- ARGV  1 run   2 cfg   3 channel of all who listen   4 how many of them the asker is
--       5... a floor field each, then a channel each, then each: lease, token, ballot ('0...': no
--       barrier), notice, how many of its listeners the asker is
-- Reply {'', each...}: 'code seen': DELETED | NEWER | OTHER | NOTHING | DROPPED
local call, sub, count = redis.call, string.sub, #KEYS - 1
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = call('HMGET', KEYS[1], 'run', 'cfg', 'pb', unpack(ARGV, 5, 4 + count))
local dropped = st[1] ~= ARGV[1] or st[2] ~= ARGV[2]
local locks = call('MGET', unpack(KEYS, 2))
-- nil: not counted yet. false: there is nobody but the asker.
local listeners
local base = st[3] or '0'
local base_number = tonumber(base)
local raised, gone, notices = {}, {}, {}

local function release(i, at)
  if dropped then return 'DROPPED 0' end
  local field, lease, token, ballot = ARGV[4 + i], ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local eff = st[3 + i] or '0'
  local ballot_number, eff_number = tonumber(ballot), tonumber(eff)
  if ballot_number > eff_number then
    eff, eff_number = ballot, ballot_number
    raised[#raised + 1] = field
    raised[#raised + 1] = ballot
  end
  if base_number > eff_number then eff = base end

  local lock = locks[i]
  if not lock then
    -- MGET sees no value of another type.
    if call('EXISTS', KEYS[1 + i]) == 1 then return 'OTHER ' .. eff end
    return 'NOTHING ' .. eff
  end
  if sub(lock, 1, 3) ~= 'HF1' or #lock < 128 then return 'OTHER ' .. eff end
  if sub(lock, 4, 35) ~= lease then return 'OTHER ' .. higher(eff, sub(lock, 68, 83)) end
  local newest = sub(lock, 84, 99)
  if newest ~= token and tonumber(newest) > tonumber(token) then
    return 'NEWER ' .. higher(eff, sub(lock, 68, 83))
  end
  gone[#gone + 1] = KEYS[1 + i]
  if listeners == nil then
    listeners = call('PUBSUB', 'NUMSUB', ARGV[3])[2] > tonumber(ARGV[4])
      and call('PUBSUB', 'NUMSUB', unpack(ARGV, 5 + count, 4 + 2 * count))
  end
  if listeners and listeners[2 * i] > tonumber(ARGV[at + 4]) then
    notices[#notices + 1] = {ARGV[4 + count + i], ARGV[at + 3]}
  end
  return 'DELETED ' .. eff
end

local replies = {''}
for i = 1, count do replies[1 + i] = release(i, 2 * count + 5 * i) end
-- Deleted first, and a refused write (out of memory) only costs the barrier.
if gone[1] then call('DEL', unpack(gone)) end
for _, notice in ipairs(notices) do redis.pcall('PUBLISH', unpack(notice)) end
if raised[1] then redis.pcall('HSET', KEYS[1], unpack(raised)) end
return replies
