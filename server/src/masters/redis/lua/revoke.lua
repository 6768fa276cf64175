-- Lets a lease end where it is: from now on every extend of it is LOST, every repair REFUSED and
-- every acquire HELD, until it expires when it would have expired anyway.
-- Source: docs/protocol.md, "Taking a lease back".
-- KEYS  1 lock   2 state
-- ARGV  1 run   2 cfg   3 floor field   4 lease   5 token   6 ballot ('0…': no barrier)
-- Reply {code, '', seen, ...}: REVOKED pttl | NEWER | OTHER | NOTHING | NOTVOTING incident | DROPPED
local function higher(a, b) if tonumber(a) > tonumber(b) then return a end return b end

local st = redis.call('HMGET', KEYS[2], 'run', 'cfg', 'q', 'pb', ARGV[3])
if st[1] ~= ARGV[1] or st[2] ~= ARGV[2] then return {'DROPPED', '', '0'} end
local floor = st[5] or '0'
local eff = higher(higher(floor, st[4] or '0'), ARGV[6])
-- Not pcall: an answer without the barrier would count for more than it says.
if tonumber(ARGV[6]) > tonumber(floor) then redis.call('HSET', KEYS[2], ARGV[3], ARGV[6]) end

local lock = redis.pcall('GET', KEYS[1])
local found, seen = 'NOTHING', eff
if lock then
  if type(lock) == 'table' or string.sub(lock, 1, 3) ~= 'HF1' or #lock < 128 then
    found = 'OTHER'
  else
    seen = higher(eff, string.sub(lock, 68, 83))
    if string.sub(lock, 4, 35) ~= ARGV[4] then
      found = 'OTHER'
    elseif tonumber(string.sub(lock, 84, 99)) > tonumber(ARGV[5]) then
      found = 'NEWER'
    else
      -- `first` goes above every token (2^53 - 1, the same as in acquire.lua). Nothing else
      -- changes, the expiry least of all: it is what ends the lock.
      redis.call('SET', KEYS[1],
        string.sub(lock, 1, 51) .. '9007199254740991' .. string.sub(lock, 68), 'KEEPTTL')
      return {'REVOKED', '', seen, redis.call('PTTL', KEYS[1])}
    end
  end
end
-- What it had may be forgotten: that it is not here says nothing.
if st[3] then return {'NOTVOTING', '', eff, st[3]} end
return {found, '', seen}
