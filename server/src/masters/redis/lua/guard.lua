-- Comes before every script on a unit, which may fail over: is this still the primary that the handshake
-- found, and has a replica of it acknowledged a heartbeat of the last max_lag? Otherwise a replica may
-- have been promoted, and have voted, without its knowing.
-- Source: docs/protocol.md, "Units that fail over"; docs/adr/0012.
-- STATE (the key), CFG, REPLID, MAX_LAG (microseconds) and REPLICAS are set before it.
do
  local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
  if replid ~= REPLID then
    return redis.error_reply('IDENTITY master_replid changed: it has been a replica meanwhile')
  end
  local st = redis.call('HMGET', STATE, 'run', 'cfg', 'q', 'hb')
  local t = redis.call('TIME')
  local now = t[1] .. string.sub('00000' .. t[2], -6)
  local stale = math.abs(tonumber(now) - tonumber(st[4] or '0')) > MAX_LAG
  -- Another deployment's is not ours to judge. In quarantine a gap begins another one, so that what was
  -- measured of this one is void; unless there was no heartbeat yet.
  if st[1] and st[2] == CFG and stale and (st[4] or not st[3]) then
    -- Refused while there is no replica, and with it whatever the script is for.
    redis.call('HSET', STATE, 'q', string.sub(redis.sha1hex(REPLID .. now), 1, 16))
  end
end
