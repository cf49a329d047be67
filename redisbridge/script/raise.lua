-- raise invalidates groups for an administrator. Suspensions stay open.
--
-- ARGV  own+1 groups   own+2 ms until they are raised once more; 0: they aren't
-- Gives epoch, sequence and the present ms.

raise(ARGV[own + 1])
if tonumber(ARGV[own + 2]) > 0 then
  raise_later(now, tonumber(ARGV[own + 2]), ARGV[own + 1])
end
return {epoch, text(seq), now}
