-- lookup reads what decides whether an entry is valid. It comes right behind the prelude: where all is
-- settled, as mostly, nothing of what else there is to a script is needed.
--
-- KEYS  3… the generation of each group
-- ARGV  own+1… the groups
-- Gives epoch, sequence, and each group's generation, empty where the group is
-- suspended.

local function look()
  local open = {}
  for i = 3, #KEYS do
    open[#open + 1] = 'g:' .. ARGV[own + i - 2]
  end
  local suspended = redis.call('HMGET', state, unpack(open))

  local answer = {epoch, text(seq)}
  for i = 3, #KEYS do
    local generation = ''
    if not suspended[i - 2] then
      local found = redis.call('GET', KEYS[i])
      generation = found and string.match(found, '^(%d+) ' .. epoch .. '$')
      if not generation then
        -- Expired, evicted, or of another epoch. No raise can have had a greater
        -- number than the current one: at worst this loses hits.
        generation = text(seq)
        redis.call('SET', KEYS[i], generation .. ' ' .. epoch, 'PX', life)
      elseif redis.call('PTTL', KEYS[i]) * 2 < tonumber(life) then
        redis.call('PEXPIRE', KEYS[i], life)
      end
    end
    answer[#answer + 1] = generation
  end
  return answer
end

if settled then return look() end

