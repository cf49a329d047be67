-- claim takes the fetch lease of an entry, if entry and lease still are what the
-- lookup read: who claims after somebody's store must find that store instead.
--
-- KEYS  1 the entry   2 its fetch lease
-- ARGV  1 how the entry began when it was read, empty: there was none
--       2 the lease as it was read, empty: there was none
--       3 the new lease   4 how long it lasts, ms
-- Gives 1, or 0 where something has changed.

local began = redis.call('GETRANGE', KEYS[1], 0, math.max(#ARGV[1], 1) - 1)
local lease = redis.call('GET', KEYS[2]) or ''
if began ~= ARGV[1] or lease ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1
