-- entry reads entries with their remaining lives (ms), and the fetch leases beside them
-- with their own, each at one moment: a body is never paired with the life of the one that
-- replaced it, and no store is overlooked by whoever sees that its lease has ended.
-- It stands alone: entries live on other nodes of a cluster than what decides their validity.
--
-- KEYS  of each: the entry, its fetch lease
-- Gives the value and the life of each key.

local found = {}
for i = 1, #KEYS do
  found[2 * i - 1] = redis.call('GET', KEYS[i])
  found[2 * i] = redis.call('PTTL', KEYS[i])
end
return found
