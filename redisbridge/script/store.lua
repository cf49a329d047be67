-- store keeps an entry, ends the fetch lease that it was fetched under, and no other,
-- and wakes the lookups that wait for it.
--
-- KEYS  1 the entry   2 its fetch lease   3 the upload that becomes the entry, if it came in pieces
-- ARGV  1 the entry's bytes, or the upload's length   2 the entry's life, ms
--       3 the fetch's id, empty: there was no lease   4 the channel to wake
-- Gives 1, or 0 where the upload isn't as long as that: then nothing has changed.

if KEYS[3] then
  if redis.call('STRLEN', KEYS[3]) ~= tonumber(ARGV[1]) then return 0 end
  redis.call('RENAME', KEYS[3], KEYS[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
local fetch = ARGV[3] .. ' '
if fetch ~= ' ' then
  local lease = redis.call('GET', KEYS[2])
  if lease and string.sub(lease, 1, #fetch) == fetch then redis.call('DEL', KEYS[2]) end
  -- A lost wake costs a waiter's patience, an error here would cost the script.
  redis.pcall('PUBLISH', ARGV[4], KEYS[1])
end
return 1
