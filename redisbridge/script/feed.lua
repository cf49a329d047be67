-- feed registers a VM and gives the events after its cursor.
--
-- KEYS  3 the registry of VMs
-- ARGV  own+1 VM   own+2 its lease, ms   own+3 cursor's epoch   own+4 its sequence
--       own+5 most events   own+6 most VMs
-- Gives epoch, sequence, the events (none if the cursor is of another epoch, or
-- too far behind), and in how many ms a deadline passes or a raise is due (-1: none is).

local vms, vm, max_vms = KEYS[3], ARGV[own + 1], tonumber(ARGV[own + 6])
redis.call('ZREMRANGEBYSCORE', vms, '-inf', text(now))
if not redis.call('ZSCORE', vms, vm) and redis.call('ZCARD', vms) >= max_vms then
  return redis.error_reply('TOOMANY VMs registered: at most ' .. text(max_vms))
end
redis.call('ZADD', vms, text(now + tonumber(ARGV[own + 2])), vm)

local cursor, events = tonumber(ARGV[own + 4]), {}
local behind = seq - cursor
if ARGV[own + 3] == epoch and behind > 0 and behind <= tonumber(ARGV[own + 5]) then
  events = redis.call('XRANGE', feed, text(cursor + 1) .. '-0', '+')
end
return {epoch, text(seq), events, until_next()}
