-- release ends a fetch lease without a store, and no other, and wakes the lookups that
-- wait for it. A mark in its place says that waiting is of no use for a while.
--
-- KEYS  1 the entry   2 its fetch lease
-- ARGV  1 the fetch's id   2 life of the mark, ms, 0: none   3 the mark   4 the channel to wake

local fetch, lease = ARGV[1] .. ' ', redis.call('GET', KEYS[2])
if lease and string.sub(lease, 1, #fetch) == fetch then
  if ARGV[2] == '0' then
    redis.call('DEL', KEYS[2])
  else
    redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
  end
end
redis.pcall('PUBLISH', ARGV[4], KEYS[1])
return 1
