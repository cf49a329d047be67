-- suspend opens or renews a suspension, unless it was closed already.
--
-- KEYS  3 the tombstone of the id
-- ARGV  own+1 id   own+2 how long, ms   own+3 groups
-- Gives epoch and sequence.

if redis.call('EXISTS', KEYS[3]) == 0 then
  local refused = suspend(ARGV[own + 1], tonumber(ARGV[own + 2]), ARGV[own + 3])
  if refused then return refused end
end
return {epoch, text(seq)}
