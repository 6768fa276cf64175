-- Notes when the replicas last had everything: the time of the latest heartbeat that all of them have
-- acknowledged. An acknowledgement of more than there was before a heartbeat was sent after it, however long it was
-- under way or lay in a socket. Source: docs/protocol.md, "Units that fail over"; docs/adr/0012.
-- It is written when the memory is full too: releases go on then.
-- KEYS  1 state
-- State 'hb' is what was noted, 'beat' the time, offset and replid of the one that is to be acknowledged.
-- Reply 1 the heartbeat that is noted is of the last max_lag | 0 it is not
local info = redis.call('INFO', 'replication')
local replicas, least = 0, nil
for offset in string.gmatch(info, 'state=online,offset=(%d+)') do
  replicas = replicas + 1
  least = math.min(least or tonumber(offset), tonumber(offset))
end
local st = redis.call('HMGET', KEYS[1], 'hb', 'beat', 'cfg')
if st[3] and st[3] ~= CFG then return 0 end
local t = redis.call('TIME')
local now = t[1] .. string.sub('00000' .. t[2], -6)
local time, offset, replid = string.match(st[2] or '', '^(%d+) (%d+) (%w+)$')
local noted = st[1]
if replid ~= REPLID then
  time = nil
elseif replicas >= REPLICAS and least > tonumber(offset) then
  noted, time = time, nil
end
if not time then
  local written = string.match(info, 'master_repl_offset:(%d+)')
  redis.call('HSET', KEYS[1], 'beat', now .. ' ' .. written .. ' ' .. REPLID)
end
if noted ~= st[1] then redis.call('HSET', KEYS[1], 'hb', noted) end
return math.abs(tonumber(now) - tonumber(noted or '0')) <= MAX_LAG and 1 or 0
