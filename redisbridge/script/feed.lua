-- feed registers a VM, counts its report and gives the events after its cursor, and the
-- controls.
--
-- KEYS  3 the registry of VMs   4 what each has applied   5 there while somebody
--       waits for receipts   6 the counts of all VMs   7 the number of each one's last report
--       8 the rules of their policies, and until when a VM has them   9 the controls
-- ARGV  own+1 VM   own+2 its lease, ms   own+3 cursor's epoch   own+4 its sequence
--       own+5 most events   own+6 most VMs   own+7 ms that a VM is remembered after its lease
--       own+8 the version of its policy, empty: it only listens   own+9 that one's rules:
--       "<cache>=<digest>", with commas between   own+10 most policies
--       own+11 most counts   own+12 the report's number, 0: there is none   own+13… its
--       counts: a name and by how much
-- Gives epoch, sequence, the events (none if the cursor is of another epoch, or
-- too far behind), in how many ms a deadline passes or a raise is due (-1: none is), the
-- controls, and the caches that the VMs' policies differ about.

local vms, applied, vm, max_vms = KEYS[3], KEYS[4], ARGV[own + 1], tonumber(ARGV[own + 6])
-- Some at a time: each poll brings one VM at most.
local gone = redis.call('ZRANGEBYSCORE', vms, '-inf', text(now - tonumber(ARGV[own + 7])), 'LIMIT', 0, 100)
if #gone > 0 then
  redis.call('ZREM', vms, unpack(gone))
  redis.call('HDEL', applied, unpack(gone))
  redis.call('HDEL', KEYS[7], unpack(gone))
end
if not redis.call('ZSCORE', vms, vm) and redis.call('ZCARD', vms) >= max_vms then
  return redis.error_reply('TOOMANY VMs registered: at most ' .. text(max_vms))
end
local lease = now + tonumber(ARGV[own + 2])
local version, rules = ARGV[own + 8], ARGV[own + 9]
if version ~= '' then
  local until_then = tonumber(redis.call('HGET', KEYS[8], rules) or '0')
  if until_then == 0 and redis.call('HLEN', KEYS[8]) >= tonumber(ARGV[own + 10]) then
    stand() -- forgets those that nobody has any more
    return redis.error_reply('TOOMANY different policies at work: at most ' .. ARGV[own + 10])
  end
  if lease > until_then then redis.call('HSET', KEYS[8], rules, text(lease)) end
end
redis.call('ZADD', vms, text(lease), vm)

-- A VM polls anew right after it has applied an answer: its cursor is its receipt.
local at = ARGV[own + 4] .. ' ' .. ARGV[own + 3] .. ' '
local known = redis.call('HGET', applied, vm) or ''
local since, policy = string.match(string.sub(known, #at + 1), '^(%d+) (.*)$')
if string.sub(known, 1, #at) ~= at or policy ~= version then
  local same = string.sub(known, 1, #at) == at
  redis.call('HSET', applied, vm, at .. (same and since or text(now)) .. ' ' .. version)
  if not same and redis.call('EXISTS', KEYS[5]) == 1 then wake('applied') end
end
stand()

-- A report whose answer was lost comes again with its number.
local report, max_counts = ARGV[own + 12], tonumber(ARGV[own + 11])
if report ~= '0' and redis.call('HGET', KEYS[7], vm) ~= report then
  for i = own + 13, #ARGV, 2 do
    if redis.call('HLEN', KEYS[6]) < max_counts or redis.call('HEXISTS', KEYS[6], ARGV[i]) == 1 then
      redis.call('HINCRBY', KEYS[6], ARGV[i], ARGV[i + 1])
    end
  end
  redis.call('HSET', KEYS[7], vm, report)
end

local cursor, events = tonumber(ARGV[own + 4]), {}
local behind = seq - cursor
if ARGV[own + 3] == epoch and behind > 0 and behind <= tonumber(ARGV[own + 5]) then
  events = redis.call('XRANGE', feed, text(cursor + 1) .. '-0', '+')
end
return {epoch, text(seq), events, until_next(), redis.call('HGETALL', KEYS[9]), differ}
