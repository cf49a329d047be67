-- confirm writes, whatever else there is to do: WAIT after it then speaks of
-- replicas that have heard from this primary since.
--
-- KEYS  3 the key to write
-- Gives epoch and sequence.

redis.call('SET', KEYS[3], text(now), 'PX', life)
return {epoch, text(seq)}
