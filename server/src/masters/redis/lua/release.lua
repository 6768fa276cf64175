-- Gives a lease back: deletes it unless it has been granted anew since the token, and says so.
-- Source: docs/protocol.md, "Release".
-- KEYS  1 lock   2 state
-- ARGV  1 run   2 cfg   3 floor field   4 lease   5 token   6 ballot ('0…': no barrier)
--       7 channel   8 notice   9 the asker listens there ('1'): alone, it is not told
-- Reply 'code  seen': DELETED | NEWER | OTHER | NOTHING | DROPPED
local call, sub = redis.call, string.sub
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = call('HMGET', KEYS[2], 'run', 'cfg', 'pb', ARGV[3])
if st[1] ~= ARGV[1] or st[2] ~= ARGV[2] then return 'DROPPED  0' end
local eff = st[4] or '0'
local raises = tonumber(ARGV[6]) > tonumber(eff)
if raises then eff = ARGV[6] end
eff = higher(eff, st[3] or '0')

local found = 'NOTHING'
local lock = redis.pcall('GET', KEYS[1])
if lock then
  if type(lock) == 'string' and sub(lock, 1, 3) == 'HF1' and #lock >= 128 then
    if sub(lock, 4, 35) ~= ARGV[4] then
      found = 'OTHER'
    elseif tonumber(sub(lock, 84, 99)) > tonumber(ARGV[5]) then
      found = 'NEWER'
    else
      found = 'DELETED'
      call('DEL', KEYS[1])
    end
    if found ~= 'DELETED' then eff = higher(eff, sub(lock, 68, 83)) end
  else
    found = 'OTHER'
  end
end
-- Deleted first, and a refused write (out of memory) only costs the barrier.
if found == 'DELETED' and (ARGV[9] ~= '1' or call('PUBSUB', 'NUMSUB', ARGV[7])[2] > 1) then
  redis.pcall('PUBLISH', ARGV[7], ARGV[8])
end
if raises then redis.pcall('HSET', KEYS[2], ARGV[3], ARGV[6]) end
return found .. '  ' .. eff
