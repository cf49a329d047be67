-- The prelude that every validity script begins with: where the policy stands. After it come
-- operations.lua, standing.lua and start.lua, and then the script's own part.
--
-- KEYS  1 state  2 feed  3… the script's own; all of them share one hash tag.
-- ARGV  1 epoch to begin if one has to begin (hex)
--       2 quarantine of a new epoch, ms   3 "1": none if there is no state yet
--       4 life of a generation, ms        5 most open suspensions
--       6 length of the feed              7 longest that what the state holds may prolong a quarantine to, ms
--       8… the script's own, at ARGV[own + i]
--
-- Groups travel as wire.JoinGroups writes them: words without comma or space.

local state, feed = KEYS[1], KEYS[2]
local life, own = ARGV[4], 7
local last_number = 2 ^ 53 -- from here on doubles skip integers

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- Lua's own conversion would write 1e+15.
local function text(number)
  return string.format('%.0f', number)
end

-- said gives the 40 characters that a section of INFO has behind a name.
local function said(section, name)
  local info = redis.call('INFO', section)
  local _, last = string.find(info, name .. ':', 1, true)
  if not last then error('INFO ' .. section .. ' of this server has no ' .. name) end
  return string.sub(info, last + 1, last + 40)
end

-- The process that holds the data, and its line of replication. Another run_id
-- is a restart or another node; a primary that lost its role and got it back
-- keeps its run_id, and is told by the changed replication id.
local server = anonymous and '' or said('server', 'run_id') .. ':' .. said('replication', 'master_replid')

-- due is when raises are due, in order, with spaces between: field d:<time> has the groups.
local epoch, seq, earliest, due
-- current: the epoch is of this server and its data.
-- settled: and no deadline has passed, and no raise has become due, that isn't a number yet.
local current, settled

-- upcoming gives when a deadline passes or a raise is due, at the earliest; nil if there is neither.
local function upcoming()
  local first = tonumber(string.match(due, '^%d+') or '')
  if earliest > 0 and (not first or earliest < first) then first = earliest end
  return first
end

do
  local found = redis.call('HMGET', state, 'epoch', 'seq', 'next', 'server', 'due')
  epoch, seq, earliest = found[1], tonumber(found[2] or ''), tonumber(found[3] or '')
  due = found[5] or ''
  current = epoch and seq and earliest and found[4] == server and seq < last_number
  local at = current and upcoming()
  settled = current and (not at or now < at)
end

