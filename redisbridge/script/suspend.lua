-- suspend opens or renews a suspension, unless it was closed already.
--
-- KEYS  3 the tombstone of the id
-- ARGV  own+1 id   own+2 how long, ms   own+3 groups
--       own+4 ms from its end until they are raised once more; 0: they aren't
-- Gives epoch and sequence.

if redis.call('EXISTS', KEYS[3]) == 0 then
  local refused = suspend(ARGV[own + 1], tonumber(ARGV[own + 2]), ARGV[own + 3], tonumber(ARGV[own + 4]))
  if refused then return refused end
end
return {epoch, text(seq)}
