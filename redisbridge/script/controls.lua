-- controls sets what operators want of caches, or puts back what was lost.
--
-- KEYS  3 the controls
-- ARGV  own+1 the version that the bridge knows of; 0: none   own+2 "1": what follows are the
--       controls of that version, which are put back if older ones are there, or none; "0": it is
--       set, unless older ones are there: they must be put back first
--       own+3 most settings   own+4… a setting, "<cache> <name>", and its value; empty: none
-- Gives epoch, sequence, the present ms, and 1 if that was done, otherwise 0.

local controls, known, back = KEYS[3], tonumber(ARGV[own + 1]), ARGV[own + 2] == '1'
local version = tonumber(redis.call('HGET', controls, 'version') or '0')
if back ~= (known > version) then return {epoch, text(seq), now, 0} end

-- room tells whether what isn't there yet is within the bound. What holds for all caches always is: it is
-- five settings at most. To switch caches off there is as much room again.
local function room()
  local more, most = 0, tonumber(ARGV[own + 3])
  for i = own + 4, #ARGV, 2 do
    local cache, name = string.match(ARGV[i], '^(%S+) (%S+)$')
    if ARGV[i + 1] ~= '' and cache ~= '*' and redis.call('HEXISTS', controls, ARGV[i]) == 0 then
      more = more + 1
      if name == 'off' then most = 2 * tonumber(ARGV[own + 3]) end
    end
  end
  return more == 0 or redis.call('HLEN', controls) + more <= most
end

if back then
  redis.call('DEL', controls)
elseif not room() then
  return redis.error_reply('TOOMANY controls set: at most ' .. ARGV[own + 3])
end
-- Greater than every one before, also where those are forgotten.
redis.call('HSET', controls, 'version', text(back and known or math.max(now, version + 1)))
for i = own + 4, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', controls, ARGV[i])
  else
    redis.call('HSET', controls, ARGV[i], ARGV[i + 1])
  end
end
take('c', '')
stand()
return {epoch, text(seq), now, 1}
