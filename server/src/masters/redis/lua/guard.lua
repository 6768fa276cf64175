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
  -- The state of another deployment is not ours to judge. In quarantine, too, a gap opens a new incident, so
  -- that nobody adopts by what was measured before it; but not before the first heartbeat.
  if st[1] and st[2] == CFG and stale and (st[4] or not st[3]) then
    -- While no replica follows, Redis refuses this write, and with it the whole script.
    redis.call('HSET', STATE, 'q', string.sub(redis.sha1hex(REPLID .. now), 1, 16))
  end
end
