-- entry reads an entry with its remaining life (ms), and the fetch lease beside it
-- with its own, at one moment: a body is never paired with the life of the one that
-- replaced it, and no store is overlooked by whoever sees that its lease has ended.
-- It stands alone: entries live on other nodes of a cluster than what decides their validity.
--
-- KEYS  1 the entry   2 its fetch lease
return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('PTTL', KEYS[2])}
