-- close ends one suspension, and leaves a tombstone so that a suspend or a
-- renewal that was overtaken does nothing.
--
-- KEYS  3 the tombstone of the id
-- ARGV  own+1 id   own+2 life of the tombstone, ms   own+3 groups   own+4 "1": raise
-- Gives epoch and sequence.

local id, groups = ARGV[own + 1], ARGV[own + 3]
local known = redis.call('HGET', state, 's:' .. id)
local open_on = known and string.match(known, ' (.*)$')
if ARGV[own + 4] == '1' then
  -- The suspension may have been widened by a renewal that this close's sender
  -- doesn't speak of.
  if open_on and open_on ~= groups then raise(open_on) end
  raise(groups)
end
-- Last, see expire.
if open_on then forget(id, open_on) end
redis.call('SET', KEYS[3], '1', 'PX', ARGV[own + 2])
return {epoch, text(seq)}
