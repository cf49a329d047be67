-- store keeps an entry, ends the fetch lease that it was fetched under, and no other,
-- and wakes the lookups that wait for it.
--
-- KEYS  1 the entry   2 its fetch lease
-- ARGV  1 the entry's bytes   2 its life, ms   3 the fetch's id, empty: there was no lease
--       4 the channel to wake

redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local fetch = ARGV[3] .. ' '
if fetch ~= ' ' then
  local lease = redis.call('GET', KEYS[2])
  if lease and string.sub(lease, 1, #fetch) == fetch then redis.call('DEL', KEYS[2]) end
  -- A lost wake costs a waiter's patience, an error here would cost the script.
  redis.pcall('PUBLISH', ARGV[4], KEYS[1])
end
return 1
