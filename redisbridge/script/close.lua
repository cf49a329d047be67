-- close ends one suspension, and leaves a tombstone so that a suspend or a
-- renewal that was overtaken does nothing.
--
-- KEYS  3 the tombstone of the id
-- ARGV  own+1 id   own+2 life of the tombstone, ms   own+3 groups   own+4 "1": raise
--       own+5 ms until they are raised once more; 0: they aren't
-- Gives epoch and sequence.

local id, groups, also = ARGV[own + 1], ARGV[own + 3], tonumber(ARGV[own + 5])
local known = redis.call('HGET', state, 's:' .. id)
local open_on = known and select(2, parse(known))
if ARGV[own + 4] == '1' then
  -- The suspension may have been widened by a renewal that this close's sender
  -- doesn't speak of.
  local wider = open_on and open_on ~= groups
  if wider then raise(open_on) end
  raise(groups)
  if also > 0 then
    if wider then raise_later(now, also, open_on) end
    raise_later(now, also, groups)
  end
end
-- Last, see expire.
if open_on then forget(id, open_on) end
redis.call('SET', KEYS[3], '1', 'PX', ARGV[own + 2])
return {epoch, text(seq)}
