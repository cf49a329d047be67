-- receipts gives what the VMs have applied.
--
-- KEYS  3 the registry of VMs   4 what each has applied   5 there while somebody waits
-- ARGV  own+1 the earliest end of a lease that matters, ms   own+2 for how long somebody
--       waits for a change, ms; 0: nobody does
-- Gives epoch, sequence, the present ms, the VMs with the ends of their leases,
-- "<sequence> <epoch> <ms since when>" of each, and for how many ms more the epoch is in
-- its quarantine.

local vms = redis.call('ZRANGEBYSCORE', KEYS[3], ARGV[own + 1], '+inf', 'WITHSCORES')
local positions = {}
for i = 1, #vms, 2 do
  positions[#positions + 1] = redis.call('HGET', KEYS[4], vms[i]) or ''
end
if ARGV[own + 2] ~= '0' then redis.call('SET', KEYS[5], '1', 'PX', ARGV[own + 2]) end
local quarantine = redis.call('HGET', state, 's:quarantine')
local left = quarantine and math.max(parse(quarantine) - now, 0) or 0
return {epoch, text(seq), now, vms, positions, left}
