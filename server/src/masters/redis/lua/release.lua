-- Gives leases back: deletes each unless it has been granted anew since the token, and says so.
-- Source: docs/protocol.md, "Release"; many in one call: docs/adr/0011.
-- KEYS  1 state   2... a lock each, no two of them the same
-- ARGV  1 run   2 cfg
--       3... a floor field each, then a channel each, then each: lease, token, ballot ('0...': no
--       barrier), notice, the asker listens there ('1'): alone, it is not told
-- Reply {'', each...}: 'code seen': DELETED | NEWER | OTHER | NOTHING | DROPPED
local call, sub, count = redis.call, string.sub, #KEYS - 1
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = call('HMGET', KEYS[1], 'run', 'cfg', 'pb', unpack(ARGV, 3, 2 + count))
local dropped = st[1] ~= ARGV[1] or st[2] ~= ARGV[2]
local locks = call('MGET', unpack(KEYS, 2))
local listeners = call('PUBSUB', 'NUMSUB', unpack(ARGV, 3 + count, 2 + 2 * count))
local base = st[3] or '0'
-- Locks that share a floor field raise it together, once.
local floors, raised, gone, notices = {}, {}, {}, {}

local function release(i, at)
  if dropped then return 'DROPPED 0' end
  local field, lease, token, ballot = ARGV[2 + i], ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local eff = floors[field] or st[3 + i] or '0'
  if tonumber(ballot) > tonumber(eff) then
    eff, floors[field] = ballot, ballot
    raised[#raised + 1] = field
    raised[#raised + 1] = ballot
  end
  eff = higher(eff, base)

  local lock = locks[i]
  if not lock then
    -- MGET sees no value of another type.
    if call('EXISTS', KEYS[1 + i]) == 1 then return 'OTHER ' .. eff end
    return 'NOTHING ' .. eff
  end
  if sub(lock, 1, 3) ~= 'HF1' or #lock < 128 then return 'OTHER ' .. eff end
  if sub(lock, 4, 35) ~= lease then return 'OTHER ' .. higher(eff, sub(lock, 68, 83)) end
  if tonumber(sub(lock, 84, 99)) > tonumber(token) then
    return 'NEWER ' .. higher(eff, sub(lock, 68, 83))
  end
  gone[#gone + 1] = KEYS[1 + i]
  local alone = ARGV[at + 4] == '1' and 1 or 0
  if listeners[2 * i] > alone then notices[#notices + 1] = {ARGV[2 + count + i], ARGV[at + 3]} end
  return 'DELETED ' .. eff
end

local replies = {''}
for i = 1, count do replies[1 + i] = release(i, 2 * count - 2 + 5 * i) end
-- Deleted first, and a refused write (out of memory) only costs the barrier.
if gone[1] then call('DEL', unpack(gone)) end
for _, notice in ipairs(notices) do redis.pcall('PUBLISH', unpack(notice)) end
if raised[1] then redis.pcall('HSET', KEYS[1], unpack(raised)) end
return replies
