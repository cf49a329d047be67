-- entry reads entries with their remaining lives (ms), and the fetch leases beside them
-- with their own, each at one moment: a body is never paired with the life of the one that
-- replaced it, and no store is overlooked by whoever sees that its lease has ended.
-- It stands alone: entries live on other nodes of a cluster than what decides their validity.
--
-- KEYS  of each: the entry, its fetch lease
-- ARGV  1 bytes: behind so many no more entries are read, but for the first; they are to
--       be asked for by themselves
-- Gives the value and the life of each key, as far as they are read.

local found, bytes = {}, 0
for i = 1, #KEYS, 2 do
  if bytes > tonumber(ARGV[1]) then break end
  for n = i, i + 1 do
    local value = redis.call('GET', KEYS[n])
    found[2 * n - 1], found[2 * n] = value, redis.call('PTTL', KEYS[n])
    if value then bytes = bytes + #value end
  end
end
return found
