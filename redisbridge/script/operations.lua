-- The operations on a policy's position: numbers, raises, suspensions, deadlines, epochs.

local prefix = string.sub(state, 1, -6) -- less the word "state"
local max_open = tonumber(ARGV[5])
local max_groups = 64 -- of one suspension and one event, as in wire.MaxGroups
local max_due = 1024  -- groups that are due at one time; more become everything

local function each(groups)
  return string.gmatch(groups, '[^,]+')
end

-- stand sees to the suspensions without a deadline, see standing.lua; differ are then the
-- caches that the VMs' policies differ about.
local stand, differ

-- wake tells the held polls of every bridge. A lost wake costs a poll's hold, an
-- error here would cost the script.
local function wake(what)
  redis.pcall('PUBLISH', prefix .. 'wake', what)
end

-- take gives the next number to an event of the feed: kind 'r', 's', or 'c', which has
-- no groups: the controls are others now. Its time is for the status.
local function take(kind, groups)
  seq = seq + 1
  redis.call('HSET', state, 'seq', text(seq))
  local add = {'XADD', feed, 'MAXLEN', '~', ARGV[6], text(seq) .. '-0', 'k', kind, 'g', groups, 't', text(now)}
  local added = redis.pcall(unpack(add))
  if type(added) == 'table' and added.err then
    -- Not our stream any more. Without its past every cursor is reset.
    redis.call('DEL', feed)
    redis.call(unpack(add))
  end
  wake(epoch .. ' ' .. text(seq))
end

-- raise gives the groups the next number as their generation. A generation
-- names its epoch, because it may outlive it.
local function raise(groups)
  take('r', groups)
  for group in each(groups) do
    redis.call('SET', prefix .. 'gen:' .. group, text(seq) .. ' ' .. epoch, 'PX', life)
  end
  redis.pcall('HINCRBY', state, 'raises', 1) -- for the status: a lost count must not cost the script
end

local function set_earliest(deadline)
  earliest = deadline
  redis.call('HSET', state, 'next', text(deadline))
end

local function set_due(times)
  due = times
  if due == '' then
    redis.call('HDEL', state, 'due')
  else
    redis.call('HSET', state, 'due', due)
  end
end

-- add_due puts a time into due.
local function add_due(time)
  local times, place = {}, 1
  for other in string.gmatch(due, '%d+') do
    times[#times + 1] = other
    if tonumber(other) < tonumber(time) then place = #times + 1 end
  end
  table.insert(times, place, time)
  set_due(table.concat(times, ' '))
end

-- raise_later lets the groups be raised once more, delay ms after the moment at.
-- Times are rounded up to a 64th of the delay or less, so that there are few of them
-- however many writes there are, and what is due at one time is one raise.
local function raise_later(at, delay, groups)
  local grid = 1
  while grid * 64 < delay do grid = grid * 2 end
  local time = text(math.ceil((at + delay) / grid) * grid)
  local known = redis.call('HGET', state, 'd:' .. time)
  local all, has = {}, {}
  for group in each((known or '') .. ',' .. groups) do
    if not has[group] then
      has[group] = true
      all[#all + 1] = group
    end
  end
  if has['*'] or #all > max_due then all = {'*'} end
  if not known then add_due(time) end -- first: a time without groups is for everything
  redis.call('HSET', state, 'd:' .. time, table.concat(all, ','))
end

-- parse reads a suspension: its deadline, its groups, and how long after its end
-- they are raised once more (0: they aren't).
local function parse(suspension)
  local deadline, groups, also = string.match(suspension, '^(%d+) (%S+) ?(%d*)$')
  return tonumber(deadline), groups, tonumber(also) or 0
end

-- suspensions gives all that are open.
local function suspensions()
  local fields, all = redis.call('HGETALL', state), {}
  for i = 1, #fields, 2 do
    local id = string.match(fields[i], '^s:(.*)$')
    if id then
      local deadline, groups, also = parse(fields[i + 1])
      all[#all + 1] = {id = id, deadline = deadline, groups = groups, also = also}
    end
  end
  return all
end

-- count_open adds to how many suspensions are open on a group.
local function count_open(group, more)
  if redis.call('HINCRBY', state, 'g:' .. group, more) <= 0 then
    redis.call('HDEL', state, 'g:' .. group)
  end
end

-- suspend opens the suspension id, or renews it and adds the groups that it
-- isn't open on yet. Only what is new takes a number.
local function suspend(id, duration, groups, also)
  local known = redis.call('HGET', state, 's:' .. id)
  local all, has, added = {}, {}, {}
  if known then
    local _, open_on = parse(known)
    for group in each(open_on) do
      has[group] = true
      all[#all + 1] = group
    end
  end
  for group in each(groups) do
    if not has[group] then
      has[group] = true
      all[#all + 1] = group
      added[#added + 1] = group
    end
  end
  if #all > max_groups then
    return redis.error_reply('TOOMANY groups on one suspension: found ' .. #all .. ', at most ' .. max_groups)
  end
  if not known then
    if redis.call('HINCRBY', state, 'open', 1) > max_open then
      redis.call('HINCRBY', state, 'open', -1)
      return redis.error_reply('TOOMANY suspensions open: at most ' .. text(max_open))
    end
  end
  local deadline = now + duration
  redis.call('HSET', state, 's:' .. id, text(deadline) .. ' ' .. table.concat(all, ',') .. ' ' .. text(also))
  for _, group in ipairs(added) do count_open(group, 1) end
  local sooner = earliest == 0 or deadline < earliest
  if sooner then set_earliest(deadline) end
  if #added > 0 then
    take('s', table.concat(added, ','))
  elseif sooner then
    wake('sooner') -- held polls wait for a later deadline
  end
end

-- forget ends the suspension id on its groups; what else is open on them stays.
local function forget(id, groups)
  redis.call('HDEL', state, 's:' .. id)
  redis.call('HINCRBY', state, 'open', -1)
  for group in each(groups) do count_open(group, -1) end
end

-- remaining gives for how many ms more the state has something to raise, as far as it can be
-- read; not more than a write can have left, however the clock of who wrote it went.
local function remaining()
  local last, longest = tonumber(string.match(due, '%d+$') or '') or now, now + tonumber(ARGV[7])
  for _, suspension in ipairs(suspensions()) do
    last = math.max(last, (suspension.deadline or longest) + suspension.also)
  end
  return math.min(last, longest) - now
end

-- begin_epoch forgets everything but the controls. Some of what was suspended may be lost, so
-- everything is suspended, for as long as any write may still be in flight; unless the operator
-- asserts that nothing was there before. Who begins it may know shorter deadlines than those of
-- suspensions that are still there:
--
--  1. a write ends without an answer, and stays suspended for a settle of 60 s
--  2. the bridges get a policy with a settle of 10 s, and are started anew
--  3. Redis is, too, with all its data: without this one the write would be forgotten in 15 s
--  4. the origin commits 40 s after 1
local function begin_epoch()
  local absent = redis.call('EXISTS', state) == 0
  local quarantine = math.max(tonumber(ARGV[2]), remaining())
  redis.call('DEL', state, feed)
  epoch, seq, earliest, due = ARGV[1], 0, 0, ''
  redis.call('HSET', state, 'epoch', epoch, 'seq', '0', 'server', server, 'next', '0', 'open', '0')
  if quarantine > 0 and not (absent and ARGV[3] == '1') then
    suspend('quarantine', quarantine, '*', 0)
  end
  stand()
end

-- expire turns every deadline that has passed into a raise, in their order.
-- 'next' is a lower bound of the earliest one: mostly there is nothing to do. Each time costs
-- as much as there are suspensions, so it lies a tenth of a millisecond for each of them ahead at
-- least: of a thousand writes whose outcome is unknown, each would else cost a read of all. What
-- has passed meanwhile is suspended still.
local function expire()
  if earliest == 0 or now < earliest then return end
  local passed, following, open = {}, 0, suspensions()
  for _, suspension in ipairs(open) do
    if suspension.deadline <= now then
      passed[#passed + 1] = suspension
    elseif following == 0 or suspension.deadline < following then
      following = suspension.deadline
    end
  end
  table.sort(passed, function(a, b)
    if a.deadline ~= b.deadline then return a.deadline < b.deadline end
    return a.id < b.id
  end)
  for _, suspension in ipairs(passed) do
    -- In this order: a script that is stopped between two writes (a generation
    -- that may not be written: an ACL, a slot on its way to another node of a
    -- cluster) has changed what it wrote already. What it hasn't raised must
    -- still be suspended.
    raise(suspension.groups)
    if suspension.also > 0 then
      raise_later(suspension.deadline, suspension.also, suspension.groups)
    end
    forget(suspension.id, suspension.groups)
  end
  if following > 0 then following = math.max(following, now + math.floor(#open / 10)) end
  set_earliest(following)
end

-- raise_all raises any number of groups.
local function raise_all(groups)
  local some = {}
  for group in each(groups) do
    some[#some + 1] = group
    if #some == max_groups then
      raise(table.concat(some, ','))
      some = {}
    end
  end
  if #some > 0 then raise(table.concat(some, ',')) end
end

-- raise_due raises what has become due.
local function raise_due()
  local first, left = string.match(due, '^(%d+) ?(.*)$')
  while first and tonumber(first) <= now do
    local field = 'd:' .. first
    raise_all(redis.call('HGET', state, field) or '*')
    set_due(left)
    redis.call('HDEL', state, field)
    first, left = string.match(due, '^(%d+) ?(.*)$')
  end
end

-- until_next gives how many ms it is until a deadline passes or a raise is due,
-- at the earliest; -1 if there is none.
local function until_next()
  local at = upcoming()
  return at and math.max(at - now, 1) or -1
end
