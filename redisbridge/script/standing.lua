-- Suspensions without a deadline, of whole caches: what operators have switched off, and
-- what the VMs' policies differ about. So neither is served by anybody, whatever
-- they have heard: lookups meet a suspension, memories hear of it by the feed. The
-- groups that stand so are in the state's field "standing", counted like others
-- in g:<group>; the caches that are differed about are in "differ".

-- off gives the groups that are switched off.
local function off()
  local groups = {}
  for _, field in ipairs(redis.call('HKEYS', prefix .. 'controls')) do
    local cache = string.match(field, '^(%S+) off$')
    if cache then groups[#groups + 1] = cache == '*' and '*' or 'c:' .. cache end
  end
  return groups
end

-- alive gives the rules of each policy that a VM has at work, or had so lately that writes may be open that began by them: a
-- table of digests by cache. Where one has several at work, twice holds their caches. Where nobody is there, the last ones count.
-- gone are those of the others, and words what these stand as.
local function alive()
  local policies, twice, gone, words = {}, {}, {}, {}
  local known, last, at = redis.call('HGETALL', prefix .. 'rules'), nil, 0
  for i = 1, #known, 2 do
    local ends = tonumber(known[i + 1])
    if ends > at or ends == at and known[i] < last then last, at = known[i], ends end
  end
  for i = 1, #known, 2 do
    local rules, stays = {}, known[i] == last or tonumber(known[i + 1]) > now
    for cache, digest in string.gmatch(known[i], '([^=,]+)=([^,]*)') do
      if rules[cache] and stays then twice[cache] = true end
      rules[cache] = digest
    end
    table.insert(stays and policies or gone, rules)
    if not stays then words[#words + 1] = known[i] end
  end
  return policies, twice, gone, words
end

-- compare puts the caches into differ that some policies have rules for, and not all the others the same.
local function compare(some, others, differ)
  for _, rules in ipairs(some) do
    for cache, digest in pairs(rules) do
      for _, other in ipairs(others) do
        if other[cache] ~= digest then differ[cache] = true end
      end
    end
  end
end

-- sorted gives the keys of a table in order.
local function sorted(keys)
  local list = {}
  for key in pairs(keys) do list[#list + 1] = key end
  table.sort(list)
  return list
end

-- differing gives the caches, in order, that not every policy has the same rules for; and those that the policies which are gone
-- had others for, with the words to forget of these.
local function differing()
  local policies, differ, gone, words = alive()
  compare(policies, policies, differ)
  local left = {}
  compare(policies, gone, left)
  compare(gone, policies, left)
  return sorted(differ), sorted(left), words
end

-- set keeps a list of words in a field of the state.
local function set(field, list)
  if #list == 0 then
    redis.call('HDEL', state, field)
  else
    redis.call('HSET', state, field, table.concat(list, ','))
  end
end

-- stand lets exactly that stand suspended. What ends is raised:
--
--  1. a VM with a new policy registers: a cache has rules that the other VMs don't know;
--     it stands suspended from this script on
--  2. a write comes by another VM, which doesn't know that it invalidates the cache
--  3. that VM's lease runs out, or it has registered with the new policy, and so has the term of the write of 2, which may be of
--     unknown outcome, and whose VM may have died: what it suspends and raises is what its own policy says
--  4. the cache is raised, and then the suspension ends: nothing that was stored
--     before 2 is found again
--
-- Likewise what is switched on again doesn't bring back what was stored before. Nor does a policy whose first VM registers when the
-- last one with another is long gone: there was no suspension, so the caches are raised then.
stand = function()
  local caches, left, words = differing()
  local wanted, groups, has = {}, {}, {}
  for _, group in ipairs(off()) do wanted[group] = true end
  for _, cache in ipairs(caches) do wanted['c:' .. cache] = true end
  local known = redis.call('HMGET', state, 'standing', 'differ')
  for group in each(known[1] or '') do
    groups[#groups + 1] = group
    has[group] = true
  end
  -- Each step is whole by itself, and raises first, see expire.
  for i = #groups, 1, -1 do
    local group = groups[i]
    if not wanted[group] then
      raise(group)
      count_open(group, -1)
      table.remove(groups, i)
      set('standing', groups)
    end
  end
  for _, cache in ipairs(left) do
    local group = 'c:' .. cache
    if not has[group] and not wanted[group] then raise(group) end
  end
  if #words > 0 then redis.call('HDEL', prefix .. 'rules', unpack(words)) end
  for _, group in ipairs(sorted(wanted)) do
    if not has[group] then
      groups[#groups + 1] = group
      count_open(group, 1)
      set('standing', groups)
      take('s', group)
    end
  end
  differ = table.concat(caches, ',')
  if differ ~= (known[2] or '') then set('differ', caches) end
end

