-- Takes a failed attempt back: deletes only what this attempt alone created.
-- Source: docs/protocol.md, "Cleanup".
-- KEYS  1 lock   2 state
-- ARGV  1 run   2 cfg   3 floor field   4 lease   5 nonce   6 ballot ('0…': no barrier)
-- Reply {code, '', seen}: CLEANED | DROPPED
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = redis.call('HMGET', KEYS[2], 'run', 'cfg', 'pb', ARGV[3])
if st[1] ~= ARGV[1] or st[2] ~= ARGV[2] then return {'DROPPED', '', '0'} end
local floor = st[4] or '0'
local eff = higher(higher(floor, st[3] or '0'), ARGV[6])

local lock = redis.pcall('GET', KEYS[1])
if type(lock) == 'string' and string.sub(lock, 1, 3) == 'HF1' and #lock >= 128 then
  local mine = string.sub(lock, 4, 35) == ARGV[4] and string.sub(lock, 36, 51) == ARGV[5]
  if mine and ARGV[5] ~= '0000000000000000' then
    redis.call('DEL', KEYS[1])
  else
    eff = higher(eff, string.sub(lock, 68, 83))
  end
end
-- Deleted first, and a refused write (out of memory) only costs the barrier.
if tonumber(ARGV[6]) > tonumber(floor) then redis.pcall('HSET', KEYS[2], ARGV[3], ARGV[6]) end
return {'CLEANED', '', eff}
