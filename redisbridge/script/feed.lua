-- feed registers VMs whose polls are read together, counts their reports and gives the
-- events after the cursor that is furthest behind, and the controls.
--
-- KEYS  3 the registry of VMs   4 what each has applied   5 there while somebody
--       waits for receipts   6 the counts of all VMs   7 the number of each one's last report
--       8 the rules of their policies, and until when they count   9 the controls
-- ARGV  own+1 most events   own+2 most VMs   own+3 ms that a VM is remembered after its lease
--       own+4 most policies   own+5 most counts
--       own+6… of each poll: the VM, its lease (ms), its cursor's epoch and sequence, the
--       version of its policy (empty: it only listens), that one's rules ("<cache>=<digest>",
--       with commas between), the report's number (0: there is none), how many counts it
--       has, and these: a name and by how much
-- Gives epoch, sequence, the events, in how many ms a deadline passes or a raise is due
-- (-1: none is), the controls, the caches that the VMs' policies differ about, and for each
-- poll why there is too much for its VM to be registered (empty: it is).

local vms, applied, reported, rules_of = KEYS[3], KEYS[4], KEYS[7], KEYS[8]
local most_events, max_vms = tonumber(ARGV[own + 1]), tonumber(ARGV[own + 2])
local max_policies, max_counts = tonumber(ARGV[own + 4]), tonumber(ARGV[own + 5])

-- know takes in what rules a VM knows, or gives the reason why not. They count until no write can be open any more that it
-- began by them, see stand: the quarantine is the longest term of any.
local function know(poll, lease)
  if poll.version == '' then return end
  lease = lease + tonumber(ARGV[2])
  local until_then = tonumber(redis.call('HGET', rules_of, poll.rules) or '0')
  if until_then == 0 and redis.call('HLEN', rules_of) >= max_policies then
    stand() -- forgets those that nobody has any more
    return 'different policies at work: at most ' .. text(max_policies)
  end
  if lease > until_then then redis.call('HSET', rules_of, poll.rules, text(lease)) end
end

-- receive takes in how far a VM has come. It polls anew right after it has applied an
-- answer: its cursor is its receipt.
local function receive(poll)
  local at = poll.sequence .. ' ' .. poll.epoch .. ' '
  local known = redis.call('HGET', applied, poll.vm) or ''
  local same = string.sub(known, 1, #at) == at
  local since, policy = string.match(string.sub(known, #at + 1), '^(%d+) (.*)$')
  if same and policy == poll.version then return end
  redis.call('HSET', applied, poll.vm, at .. (same and since or text(now)) .. ' ' .. poll.version)
  if not same and redis.call('EXISTS', KEYS[5]) == 1 then wake('applied') end
end

-- register gives the reason why a VM can't be.
local function register(poll)
  if not redis.call('ZSCORE', vms, poll.vm) and redis.call('ZCARD', vms) >= max_vms then
    return 'VMs registered: at most ' .. text(max_vms)
  end
  local lease = now + tonumber(poll.lease)
  local refused = know(poll, lease)
  if refused then return refused end
  -- The longer one: a VM whose answer is lost doesn't hear that its lease is shorter now, and
  -- goes on with the one that it knows.
  redis.call('ZADD', vms, 'GT', text(lease), poll.vm)
  receive(poll)
  return ''
end

-- count adds up what a report counts. One whose answer was lost comes again with its number.
local sums, names = {}, {}
local function count(poll)
  if poll.report == '0' or redis.call('HGET', reported, poll.vm) == poll.report then return end
  for i = poll.first, poll.last, 2 do
    if not sums[ARGV[i]] then
      sums[ARGV[i]] = 0
      names[#names + 1] = ARGV[i]
    end
    sums[ARGV[i]] = sums[ARGV[i]] + tonumber(ARGV[i + 1])
  end
  redis.call('HSET', reported, poll.vm, poll.report)
end

-- Some at a time: each poll brings one VM at most, but mostly none.
local gone = redis.call('ZRANGEBYSCORE', vms, '-inf', text(now - tonumber(ARGV[own + 3])), 'LIMIT', 0, 100)
if #gone > 0 then
  redis.call('ZREM', vms, unpack(gone))
  redis.call('HDEL', applied, unpack(gone))
  redis.call('HDEL', reported, unpack(gone))
end

local polls, refused, i = {}, {}, own + 6
while ARGV[i] do
  local poll = {
    vm = ARGV[i], lease = ARGV[i + 1], epoch = ARGV[i + 2], sequence = ARGV[i + 3], version = ARGV[i + 4],
    rules = ARGV[i + 5], report = ARGV[i + 6], first = i + 8, last = i + 7 + 2 * tonumber(ARGV[i + 7]),
  }
  refused[#refused + 1] = register(poll)
  if refused[#refused] == '' then polls[#polls + 1] = poll end
  i = poll.last + 1
end
stand()

local events, most = {}, 0
for _, poll in ipairs(polls) do
  count(poll)
  local behind = seq - tonumber(poll.sequence)
  if poll.epoch == epoch and behind <= most_events then most = math.max(most, behind) end
end
for _, name in ipairs(names) do
  if redis.call('HLEN', KEYS[6]) < max_counts or redis.call('HEXISTS', KEYS[6], name) == 1 then
    redis.call('HINCRBY', KEYS[6], name, text(sums[name]))
  end
end
if most > 0 then events = redis.call('XRANGE', feed, text(seq - most + 1) .. '-0', '+') end
return {epoch, text(seq), events, until_next(), redis.call('HGETALL', KEYS[9]), differ, refused}
