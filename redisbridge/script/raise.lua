-- raise invalidates groups for an administrator. Suspensions stay open.
--
-- ARGV  own+1 groups
-- Gives epoch and sequence.

raise(ARGV[own + 1])
return {epoch, text(seq)}
